//! FADT ("FACP"): power-management and reset registers (ACPI 6.5, section 5.2.9).

use crate::{Error, bytes::Bytes};

/// A register that stands in memory or in port space (section 5.2.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// Physical memory.
    Memory(u64),
    /// An I/O port.
    Port(u16),
    /// Configuration space of a function on bus 0.
    PciConfig {
        /// Device number.
        device: u8,
        /// Function number.
        function: u8,
        /// Offset of the register.
        offset: u16,
    },
}

/// What the FADT tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fadt {
    /// Physical address of the DSDT, 0 if there is none.
    pub dsdt: u64,
    /// Port to which `acpi_enable` is written to leave legacy mode; 0 where there is no such mode.
    pub smi_command_port: u16,
    /// The value to write there.
    pub acpi_enable: u8,
    /// PM1a control register block: sleep type and sleep enable.
    pub pm1a_control: Option<Register>,
    /// PM1b control register block.
    pub pm1b_control: Option<Register>,
    /// The register that resets the machine, and the value to write.
    pub reset: Option<(Register, u8)>,
    /// How events are told; `None` where there are no such registers.
    pub events: Option<Events>,
    /// There is no CMOS clock.
    pub has_no_rtc: bool,
    /// The CMOS clock's register with the century, if it has one.
    pub rtc_century: Option<u8>,
}

/// Registers of events (section 4.8.4). In each block the first half says which have happened and the second which interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events {
    /// The ISA interrupt that tells of them.
    pub interrupt: u16,
    /// Blocks of the fixed events, the second if there is one.
    pub fixed: [Option<Register>; 2],
    /// Bytes of each of these.
    pub fixed_length: u8,
    /// Blocks of general-purpose events: where, bytes, the number of the first event.
    pub general: [Option<(Register, u8, u8)>; 2],
    /// The power button is among the fixed events.
    pub has_power_button: bool,
}

/// Fixed feature flags: the power button is no fixed event; there are no registers of events at all.
const POWER_BUTTON_ELSEWHERE: u32 = 1 << 4;
const REDUCED_HARDWARE: u32 = 1 << 20;

/// Fixed feature flag: the reset register is there (bit 10).
const RESET_REGISTER_SUPPORTED: u32 = 1 << 10;

/// Reads an FADT of any revision; fields that an old one lacks are absent.
pub fn parse(table: &[u8]) -> Result<Fadt, Error> {
    let fields = Bytes(table);
    let dsdt32 = u64::from(fields.u32(40).ok_or(Error::Length)?);
    let smi_command = fields.u32(48).ok_or(Error::Length)?;
    let flags = fields.u32(112).unwrap_or(0);
    let reset = generic_address(fields, 116).zip(fields.u8(128));
    Ok(Fadt {
        dsdt: fields.u64(140).filter(|address| *address != 0).unwrap_or(dsdt32),
        smi_command_port: u16::try_from(smi_command).unwrap_or(0),
        acpi_enable: fields.u8(52).unwrap_or(0),
        pm1a_control: generic_address(fields, 172).or_else(|| port(fields, 64)),
        pm1b_control: generic_address(fields, 184).or_else(|| port(fields, 68)),
        reset: reset.filter(|_| flags & RESET_REGISTER_SUPPORTED != 0),
        events: events(fields, flags),
        has_no_rtc: fields.u16(109).unwrap_or(0) & 1 << 5 != 0,
        rtc_century: fields.u8(108).filter(|index| *index != 0),
    })
}

fn events(fields: Bytes<'_>, flags: u32) -> Option<Events> {
    if flags & REDUCED_HARDWARE != 0 {
        return None;
    }
    let block = |wide: usize, narrow: usize| generic_address(fields, wide).or_else(|| port(fields, narrow));
    let general = |wide, narrow, length: u8, first| {
        block(wide, narrow).filter(|_| length >= 2).map(|register| (register, length, first))
    };
    let byte = |at| fields.u8(at).unwrap_or(0);
    let fixed_length = byte(88);
    let fixed = [block(148, 56), block(160, 60)].map(|block| block.filter(|_| fixed_length >= 4));
    let general = [general(220, 80, byte(92), 0), general(232, 84, byte(93), byte(94))];
    let interrupt = fields.u16(46)?;
    let has_power_button = flags & POWER_BUTTON_ELSEWHERE == 0;
    Some(Events { interrupt, fixed, fixed_length, general, has_power_button })
}

/// A "generic address structure": space, width, offset, access size, address.
fn generic_address(fields: Bytes<'_>, at: usize) -> Option<Register> {
    let address = fields.u64(at + 4)?;
    match fields.u8(at)? {
        _ if address == 0 => None,
        0 => Some(Register::Memory(address)),
        1 => Some(Register::Port(u16::try_from(address).ok()?)),
        2 => Some(Register::PciConfig {
            device: u8::try_from(address >> 32 & 0xffff).ok().filter(|device| *device < 32)?,
            function: u8::try_from(address >> 16 & 0xffff).ok().filter(|function| *function < 8)?,
            offset: (address & 0xffff) as u16,
        }),
        _ => None,
    }
}

fn port(fields: Bytes<'_>, at: usize) -> Option<Register> {
    let port = u16::try_from(fields.u32(at)?).ok()?;
    (port != 0).then_some(Register::Port(port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::table;

    fn body() -> [u8; 208] {
        let mut body = [0; 208];
        let mut set = |at: usize, bytes: &[u8]| body[at - 36..at - 36 + bytes.len()].copy_from_slice(bytes);
        set(40, &0x7fe0_0000_u32.to_le_bytes());
        set(48, &0xb2_u32.to_le_bytes());
        set(46, &[9]);
        set(52, &[2]);
        set(56, &0x600_u32.to_le_bytes());
        set(80, &0x620_u32.to_le_bytes());
        set(88, &[4]);
        set(92, &[16]);
        set(64, &0x604_u32.to_le_bytes());
        set(112, &(1_u32 << 10).to_le_bytes());
        set(116, &[1, 8, 0, 1, 0xf9, 0x0c, 0, 0, 0, 0, 0, 0, 0x0f]);
        body
    }

    #[test]
    fn the_registers_of_qemu_are_found() {
        let fadt = parse(&table(b"FACP", &body())).expect("well formed");
        assert_eq!(fadt.dsdt, 0x7fe0_0000);
        assert_eq!((fadt.smi_command_port, fadt.acpi_enable), (0xb2, 2));
        assert_eq!(fadt.pm1a_control, Some(Register::Port(0x604)));
        assert_eq!(fadt.pm1b_control, None);
        let events = Events {
            interrupt: 9,
            fixed: [Some(Register::Port(0x600)), None],
            fixed_length: 4,
            general: [Some((Register::Port(0x620), 16, 0)), None],
            has_power_button: true,
        };
        assert_eq!(fadt.events, Some(events));
        assert_eq!(fadt.reset, Some((Register::Port(0xcf9), 0x0f)));
    }

    #[test]
    fn an_old_table_has_no_reset_register() {
        let fadt = parse(&table(b"FACP", &body()[..116 - 36])).expect("revision 1");
        assert_eq!(fadt.pm1a_control, Some(Register::Port(0x604)));
        assert_eq!(fadt.reset, None);
        assert_eq!(parse(&table(b"FACP", &[0; 8])), Err(Error::Length));
    }

    #[test]
    fn blocks_that_are_too_short_are_none_and_reduced_hardware_has_none() {
        let mut short = body();
        short[88 - 36] = 3;
        short[92 - 36] = 1;
        let events = parse(&table(b"FACP", &short)).expect("well formed").events.expect("there are some");
        assert_eq!((events.fixed, events.general), ([None; 2], [None; 2]));
        let mut reduced = body();
        reduced[114 - 36] = 1 << 4;
        assert_eq!(parse(&table(b"FACP", &reduced)).expect("well formed").events, None);
    }
}
