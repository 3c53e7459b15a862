//! MSI: one interrupt that the device writes, its message in the capability itself
//! (PCI Local Bus Specification 3.0, section 6.8.1).
//!
//! A function may have up to 32 of them, which must be neighbours; one is used.

use crate::{Address, ConfigSpace};

/// The MSI capability of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msi {
    /// Offset of the capability.
    pub offset: u16,
    /// The address has 64 bits.
    pub is_wide: bool,
}

/// Message control register: offset in the capability, and its bits.
const CONTROL: u16 = 2;
const ENABLE: u16 = 1;
/// How many of the function's messages are on, as a power of two.
const COUNT_MASK: u16 = 7 << 4;
const WIDE: u16 = 1 << 7;
/// Offsets of the message.
const ADDRESS_LOW: u16 = 4;
const ADDRESS_HIGH: u16 = 8;
const DATA_NARROW: u16 = 8;
const DATA_WIDE: u16 = 12;

impl Msi {
    /// Reads the capability at `offset`.
    pub fn read(space: &dyn ConfigSpace, address: Address, offset: u16) -> Msi {
        Msi { offset, is_wide: space.read_u16(address, offset + CONTROL) & WIDE != 0 }
    }

    /// Has the function send this message: an address, which must be below 4 GiB unless the capability is wide, and
    /// 16 bits of data.
    pub fn send(&self, space: &dyn ConfigSpace, at: Address, address: u64, data: u16) {
        self.stop(space, at);
        space.write(at, self.offset + ADDRESS_LOW, address as u32);
        if self.is_wide {
            space.write(at, self.offset + ADDRESS_HIGH, (address >> 32) as u32);
        }
        let data_offset = if self.is_wide { DATA_WIDE } else { DATA_NARROW };
        space.write_u16(at, self.offset + data_offset, data);
        let control = space.read_u16(at, self.offset + CONTROL) & !COUNT_MASK;
        space.write_u16(at, self.offset + CONTROL, control | ENABLE);
    }

    /// Has it send no message. It uses its wired line then, unless that is forbidden.
    pub fn stop(&self, space: &dyn ConfigSpace, at: Address) {
        let control = space.read_u16(at, self.offset + CONTROL);
        space.write_u16(at, self.offset + CONTROL, control & !ENABLE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{FakeSpace, at};

    fn function(control: u32) -> FakeSpace {
        let space = FakeSpace::default();
        space.set(at(0, 3, 0), 0, 0x1234_8086, 0);
        space.set(at(0, 3, 0), 0x50, control << 16 | 0x0005, 0x0071 << 16);
        for offset in [0x54, 0x58, 0x5c] {
            space.set(at(0, 3, 0), offset, 0, u32::MAX);
        }
        space
    }

    #[test]
    fn the_message_is_where_the_width_says() {
        for (control, data_offset) in [(0x0080, 0x5c), (0x0000, 0x58)] {
            let space = function(control | 0x30);
            let msi = Msi::read(&space, at(0, 3, 0), 0x50);
            assert_eq!(msi.is_wide, control != 0);
            msi.send(&space, at(0, 3, 0), 0xfee0_1000, 0x41);
            assert_eq!(space.read(at(0, 3, 0), 0x54), 0xfee0_1000);
            assert_eq!(space.read_u16(at(0, 3, 0), data_offset), 0x41);
            // One message, on.
            assert_eq!(space.read_u16(at(0, 3, 0), 0x52) & 0x71, 1);
            msi.stop(&space, at(0, 3, 0));
            assert_eq!(space.read_u16(at(0, 3, 0), 0x52) & 1, 0);
        }
    }
}
