//! Where a function's wired interrupt (INTA to INTD) arrives, on chipsets whose wiring is known.
//!
//! A bridge turns the pins of what is behind it ([`swizzle`]); on the root bus the chipset decides. ACPI can tell, in a
//! program (`_PRT`); the two chipsets that virtual machines have are documented:
//!
//! * ICH9 (Q35): eight lines PIRQA to PIRQH, at inputs 16 to 23 of the I/O APIC. Which pin has which is set in registers
//!   of the chipset's own for devices 25 to 31; the others are built in.
//! * PIIX3 (440FX): four lines, each routed to an ISA interrupt by a register of the ISA bridge.
//!
//! Source: Intel ICH9 data sheet, 5.8, 10.1 (DIR registers); Intel 82371SB data sheet, 2.2.9 (PIRQRC); PCI-to-PCI Bridge
//! Architecture Specification 1.2, 9.1. The built-in wiring of QEMU's machines: its `docs/specs` and device models.

use crate::{Address, ConfigSpace, register};

/// A pin of a function: 0 = INTA to 3 = INTD.
pub type Pin = u8;

/// The pin at which a bridge passes on the pin of a device behind it.
pub fn swizzle(device: u8, pin: Pin) -> Pin {
    (pin + device) % 4
}

/// Where a pin arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// At this input of the I/O APICs; PCI's way: while the line is low.
    Global(u32),
    /// At this ISA interrupt, in the way that ACPI says of it.
    Isa(u8),
}

/// A chipset that is known, by its host bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chipset {
    /// Intel Q35 with ICH9.
    Ich9,
    /// Intel 440FX with PIIX3.
    Piix,
}

const HOST_BRIDGE: Address = Address { bus: 0, device: 0, function: 0 };
const Q35: u32 = 0x29c0_8086;
const I440FX: u32 = 0x1237_8086;
const PIIX3_ISA: u32 = 0x7000_8086;
/// The four routing registers of PIIX3: bit 7 off, bits 3-0 an ISA interrupt.
const PIRQRC: u16 = 0x60;
const PIRQRC_OFF: u8 = 1 << 7;
/// ICH9: the I/O APIC input of PIRQA.
const PIRQA_INPUT: u32 = 16;

impl Chipset {
    /// Which one this is.
    pub fn detect(space: &dyn ConfigSpace) -> Option<Chipset> {
        match space.read(HOST_BRIDGE, register::ID) {
            Q35 => Some(Self::Ich9),
            I440FX => Some(Self::Piix),
            _ => None,
        }
    }

    /// Where a pin of a device (0-31) on the root bus arrives.
    pub fn wire(self, space: &dyn ConfigSpace, device: u8, pin: Pin) -> Option<Wire> {
        let pin = pin % 4;
        match self {
            Self::Ich9 => {
                // The registers are as after a reset; firmware for virtual machines leaves them so.
                let line = match device {
                    25..=29 | 31 => pin,
                    30 => pin + 4,
                    _ => (device + pin) % 4 + 4,
                };
                Some(Wire::Global(PIRQA_INPUT + u32::from(line)))
            }
            Self::Piix => {
                let bridge = (0..32)
                    .map(|device| Address { bus: 0, device, function: 0 })
                    .find(|&address| space.read(address, register::ID) == PIIX3_ISA)?;
                let line = (device + 3 + pin) % 4;
                let routed = space.read_u8(bridge, PIRQRC + u16::from(line));
                (routed & PIRQRC_OFF == 0).then_some(Wire::Isa(routed & 0xf))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{FakeSpace, at};

    #[test]
    fn bridges_turn_pins() {
        assert_eq!([0, 1, 2, 3].map(|pin| swizzle(2, pin)), [2, 3, 0, 1]);
        assert_eq!(swizzle(31, 3), 2);
    }

    #[test]
    fn ich9_has_eight_lines() {
        let space = FakeSpace::default();
        space.add(at(0, 0, 0), Q35, 0x0600_0000, 0);
        let chipset = Chipset::detect(&space).expect("a Q35");
        let wire = |device, pin| chipset.wire(&space, device, pin);
        assert_eq!(wire(1, 0), Some(Wire::Global(21)));
        assert_eq!(wire(3, 0), Some(Wire::Global(23)));
        assert_eq!(wire(3, 1), Some(Wire::Global(20)));
        assert_eq!(wire(31, 0), Some(Wire::Global(16)));
        assert_eq!(wire(30, 3), Some(Wire::Global(23)));
    }

    #[test]
    fn piix_routes_to_isa_interrupts() {
        let space = FakeSpace::default();
        space.add(at(0, 0, 0), I440FX, 0x0600_0000, 0);
        space.add(at(0, 1, 0), PIIX3_ISA, 0x0601_0000, 0x80);
        space.set(at(0, 1, 0), PIRQRC, u32::from_le_bytes([10, 0x80, 11, 5]), 0);
        let chipset = Chipset::detect(&space).expect("a 440FX");
        let wire = |device, pin| chipset.wire(&space, device, pin);
        assert_eq!(wire(1, 0), Some(Wire::Isa(10)));
        assert_eq!(wire(3, 0), Some(Wire::Isa(11)));
        assert_eq!(wire(4, 0), Some(Wire::Isa(5)));
        assert_eq!(wire(2, 0), None);
    }

    #[test]
    fn another_chipset_is_not_known() {
        let space = FakeSpace::default();
        space.add(at(0, 0, 0), 0x1234_1022, 0x0600_0000, 0);
        assert_eq!(Chipset::detect(&space), None);
    }
}
