//! The list of capabilities in the first 256 bytes.

use crate::{Address, ConfigSpace, register};
use alloc::vec::Vec;

/// A capability: what, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Its id: see the constants.
    pub id: u8,
    /// Offset of its first register in configuration space.
    pub offset: u16,
}

impl Capability {
    /// Message-signalled interrupts.
    pub const MSI: u8 = 0x05;
    /// Defined by the vendor; virtio's are of this kind.
    pub const VENDOR: u8 = 0x09;
    /// PCI Express.
    pub const PCI_EXPRESS: u8 = 0x10;
    /// Message-signalled interrupts with a table.
    pub const MSI_X: u8 = 0x11;
}

/// No list is longer: a capability has at least four bytes.
const MAX_CAPABILITIES: usize = (256 - 64) / 4;

/// Follows a function's list to its end, or as far as it makes sense.
pub fn read_capabilities(space: &dyn ConfigSpace, address: Address) -> Vec<Capability> {
    let mut list = Vec::new();
    if space.read_u16(address, register::STATUS) & register::STATUS_HAS_CAPABILITIES == 0 {
        return list;
    }
    let mut next = space.read_u8(address, register::CAPABILITIES) & !3;
    while next >= 0x40 && list.len() < MAX_CAPABILITIES {
        let [id, link, ..] = space.read(address, next.into()).to_le_bytes();
        if id == 0xff {
            break;
        }
        list.push(Capability { id, offset: next.into() });
        next = link & !3;
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{FakeSpace, at};

    #[test]
    fn the_list_is_followed() {
        let space = FakeSpace::default();
        let address = at(0, 1, 0);
        space.add(address, 0x1042_1af4, 0, 0);
        assert_eq!(read_capabilities(&space, address), []);
        space.set(address, 0x34, 0x98, 0);
        space.set(address, 0x98, 0x0000_4011, 0);
        space.set(address, 0x40, 0x0000_0009, 0);
        let expected = [Capability { id: 0x11, offset: 0x98 }, Capability { id: 9, offset: 0x40 }];
        assert_eq!(read_capabilities(&space, address), expected);
    }

    #[test]
    fn a_circle_ends() {
        let space = FakeSpace::default();
        let address = at(0, 1, 0);
        space.add(address, 0x1042_1af4, 0, 0);
        space.set(address, 0x34, 0x40, 0);
        space.set(address, 0x40, 0x0000_4009, 0);
        assert_eq!(read_capabilities(&space, address).len(), MAX_CAPABILITIES);
    }
}
