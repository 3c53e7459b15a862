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
    /// There is no CMOS clock.
    pub has_no_rtc: bool,
    /// The CMOS clock's register with the century, if it has one.
    pub rtc_century: Option<u8>,
}

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
        has_no_rtc: fields.u16(109).unwrap_or(0) & 1 << 5 != 0,
        rtc_century: fields.u8(108).filter(|index| *index != 0),
    })
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
        set(52, &[2]);
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
        assert_eq!(fadt.reset, Some((Register::Port(0xcf9), 0x0f)));
    }

    #[test]
    fn an_old_table_has_no_reset_register() {
        let fadt = parse(&table(b"FACP", &body()[..116 - 36])).expect("revision 1");
        assert_eq!(fadt.pm1a_control, Some(Register::Port(0x604)));
        assert_eq!(fadt.reset, None);
        assert_eq!(parse(&table(b"FACP", &[0; 8])), Err(Error::Length));
    }
}
