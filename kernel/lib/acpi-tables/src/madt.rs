//! MADT ("APIC"): the CPUs and the interrupt controllers (ACPI 6.5, section 5.2.12).

use crate::{Error, HEADER_LENGTH, bytes::Bytes};
use alloc::vec::Vec;

/// What the MADT tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Madt {
    /// Physical address of the local APICs' registers.
    pub local_apic_address: u64,
    /// The CPUs that can be used, in the firmware's order (the first is usually the boot CPU).
    pub cpus: Vec<Cpu>,
    /// The I/O interrupt controllers.
    pub io_apics: Vec<IoApic>,
    /// ISA interrupts that are not connected one to one.
    pub overrides: Vec<Override>,
    /// Inputs of local APICs that are non-maskable interrupts.
    pub local_nmis: Vec<LocalNmi>,
    /// Inputs of I/O APICs that are.
    pub nmi_sources: Vec<NmiSource>,
}

/// A CPU that is enabled, or can be enabled later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Its local APIC's number, for interrupts and start-up.
    pub apic_id: u32,
    /// Its number in AML.
    pub processor_id: u32,
    /// It may be started now (else: only after being plugged in).
    pub is_enabled: bool,
}

/// An I/O APIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoApic {
    /// Its number (of no use for routing).
    pub id: u8,
    /// Physical address of its registers.
    pub address: u32,
    /// The global interrupt that its input 0 is.
    pub first_interrupt: u32,
}

/// An ISA interrupt that arrives somewhere else, or in another manner, than by ISA's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Override {
    /// The ISA interrupt, 0 to 15.
    pub isa_irq: u8,
    /// The global interrupt it is connected to.
    pub interrupt: u32,
    /// The line is active when low (ISA: high).
    pub is_active_low: bool,
    /// The line is level-triggered (ISA: by edges).
    pub is_level: bool,
}

/// A non-maskable interrupt at an input of local APICs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalNmi {
    /// Of which CPU, by its number in AML; `None`: of all.
    pub processor_id: Option<u32>,
    /// Which input: 0 or 1.
    pub input: u8,
    /// The line is active when low.
    pub is_active_low: bool,
    /// The line is level-triggered.
    pub is_level: bool,
}

/// A non-maskable interrupt at an input of an I/O APIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NmiSource {
    /// The global interrupt.
    pub interrupt: u32,
    /// The line is active when low.
    pub is_active_low: bool,
    /// The line is level-triggered.
    pub is_level: bool,
}

/// Polarity and trigger mode of "MPS INTI" flags (section 5.2.12.5): active low, level-triggered.
fn line_flags(flags: u16) -> (bool, bool) {
    (flags & 3 == 3, flags >> 2 & 3 == 3)
}

/// Reads an MADT. An entry of unknown kind is skipped, one that is too short ends the reading.
pub fn parse(table: &[u8]) -> Result<Madt, Error> {
    let fields = Bytes(table);
    let mut madt = Madt {
        local_apic_address: fields.u32(HEADER_LENGTH).ok_or(Error::Length)?.into(),
        ..Madt::default()
    };
    let mut rest = table.get(HEADER_LENGTH + 8..).ok_or(Error::Length)?;
    while let [kind, length, ..] = *rest {
        let Some((entry, behind)) = rest.split_at_checked(usize::from(length)) else { break };
        if length < 2 || madt.add(kind, Bytes(entry)).is_none() {
            break;
        }
        rest = behind;
    }
    Ok(madt)
}

impl Madt {
    /// Takes in one entry; `None` if it is too short for its kind.
    fn add(&mut self, kind: u8, entry: Bytes<'_>) -> Option<()> {
        match kind {
            // Local APIC, local x2APIC (sections 5.2.12.2, .12): flags bit 0 enabled, bit 1 online capable.
            0 => self.add_cpu(entry.u8(3)?.into(), entry.u8(2)?.into(), entry.u32(4)?),
            9 => self.add_cpu(entry.u32(4)?, entry.u32(12)?, entry.u32(8)?),
            1 => self.io_apics.push(IoApic {
                id: entry.u8(2)?,
                address: entry.u32(4)?,
                first_interrupt: entry.u32(8)?,
            }),
            2 => {
                let (is_active_low, is_level) = line_flags(entry.u16(8)?);
                let (isa_irq, interrupt) = (entry.u8(3)?, entry.u32(4)?);
                self.overrides.push(Override { isa_irq, interrupt, is_active_low, is_level });
            }
            3 => {
                let (is_active_low, is_level) = line_flags(entry.u16(2)?);
                self.nmi_sources.push(NmiSource { interrupt: entry.u32(4)?, is_active_low, is_level });
            }
            // Local APIC NMI, local x2APIC NMI (sections 5.2.12.7, .13); all ones: every CPU.
            4 => self.add_local_nmi(
                Some(entry.u8(2)?).filter(|&id| id != u8::MAX).map(u32::from),
                entry.u16(3)?,
                entry.u8(5)?,
            ),
            10 => self.add_local_nmi(
                Some(entry.u32(4)?).filter(|&id| id != u32::MAX),
                entry.u16(2)?,
                entry.u8(8)?,
            ),
            5 => self.local_apic_address = entry.u64(4)?,
            _ => {}
        }
        Some(())
    }

    fn add_local_nmi(&mut self, processor_id: Option<u32>, flags: u16, input: u8) {
        let (is_active_low, is_level) = line_flags(flags);
        self.local_nmis.push(LocalNmi { processor_id, input, is_active_low, is_level });
    }

    fn add_cpu(&mut self, apic_id: u32, processor_id: u32, flags: u32) {
        let is_known = self.cpus.iter().any(|cpu| cpu.apic_id == apic_id);
        if flags & 3 != 0 && !is_known {
            self.cpus.push(Cpu { apic_id, processor_id, is_enabled: flags & 1 != 0 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::table;

    const BODY: &[u8] = &[
        0, 0, 0xe0, 0xfe, 1, 0, 0, 0, // local APIC address, flags
        0, 8, 0, 0, 1, 0, 0, 0, // CPU 0, enabled
        0, 8, 1, 4, 1, 0, 0, 0, // CPU 1 = APIC 4, enabled
        0, 8, 2, 9, 0, 0, 0, 0, // cannot be used
        9, 16, 0, 0, 0, 1, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, // x2APIC 256, can be plugged in
        1, 12, 2, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0, // I/O APIC
        2, 10, 0, 0, 2, 0, 0, 0, 0, 0, // IRQ 0 -> 2, by ISA's rules
        2, 10, 0, 9, 9, 0, 0, 0, 0x0f, 0, // IRQ 9: level, low
        3, 8, 0x0d, 0, 23, 0, 0, 0, // interrupt 23 is an NMI: level, high
        4, 6, 0xff, 0, 0, 1, // input 1 of all CPUs is an NMI
        10, 12, 3, 0, 7, 0, 0, 0, 0, 0, 0, 0, // input 0 of CPU 7 is one: low
        0x7f, 4, 0, 0, // something else
    ];

    #[test]
    fn everything_is_found() {
        let madt = parse(&table(b"APIC", BODY)).expect("well formed");
        assert_eq!(madt.local_apic_address, 0xfee0_0000);
        assert_eq!(
            madt.cpus,
            [
                Cpu { apic_id: 0, processor_id: 0, is_enabled: true },
                Cpu { apic_id: 4, processor_id: 1, is_enabled: true },
                Cpu { apic_id: 256, processor_id: 7, is_enabled: false },
            ]
        );
        assert_eq!(madt.io_apics, [IoApic { id: 2, address: 0xfec0_0000, first_interrupt: 0 }]);
        assert_eq!(
            madt.overrides,
            [
                Override { isa_irq: 0, interrupt: 2, is_active_low: false, is_level: false },
                Override { isa_irq: 9, interrupt: 9, is_active_low: true, is_level: true },
            ]
        );
        assert_eq!(
            madt.local_nmis,
            [
                LocalNmi { processor_id: None, input: 1, is_active_low: false, is_level: false },
                LocalNmi { processor_id: Some(7), input: 0, is_active_low: true, is_level: false },
            ]
        );
        assert_eq!(madt.nmi_sources, [NmiSource { interrupt: 23, is_active_low: false, is_level: true }]);
    }

    #[test]
    fn any_cut_or_changed_table_is_survived() {
        for end in 0..BODY.len() {
            let _ = parse(&table(b"APIC", &BODY[..end]));
            let mut changed = BODY.to_vec();
            for value in [0, 1, 0xff] {
                changed[end] = value;
                let _ = parse(&table(b"APIC", &changed));
            }
        }
        assert_eq!(parse(&table(b"APIC", &[])), Err(Error::Length));
    }
}
