//! PCI configuration space: what stands in it, and how the tree of buses is walked.
//!
//! The access itself is a trait, [`ConfigSpace`], so that everything here is tested on the host against
//! an array. Devices are not trusted: capability lists may be circular, bridges may lead back, sizes may be
//! odd; what makes no sense is left out.
//!
//! | file | what |
//! |---|---|
//! | `function.rs` | one function's header: who it is, and its bridge numbers |
//! | `bar.rs` | base address registers and their sizes |
//! | `capability.rs` | the capability list |
//! | `msi.rs`, `msix.rs` | the MSI capability; the MSI-X capability and its table's entries |
//! | `wire.rs` | where wired interrupts arrive |
//! | `scan.rs` | the walk through all buses |
//! | `slot.rs` | slots that devices are put into while the machine runs |
//! | `window.rs` | what bridges pass on; places for the registers of what came |
//!
//! Source: PCI Local Bus Specification 3.0, chapter 6; PCI Express Base Specification 5.0, chapter 7.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod bar;
mod capability;
mod function;
pub mod msi;
pub mod msix;
pub mod register;
mod scan;
pub mod slot;
pub mod window;
pub mod wire;

pub use bar::{Bar, read_bars, read_rom};
pub use capability::{Capability, read_capabilities};
pub use function::{Bridge, Function, Kind};
pub use scan::{functions_of, scan};

use core::fmt;

/// Where a function is: bus, device (0-31), function (0-7). Segment 0 always.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// Bus.
    pub bus: u8,
    /// Device on the bus.
    pub device: u8,
    /// Function of the device.
    pub function: u8,
}

impl fmt::Display for Address {
    /// As Linux writes it: `0000:00:1f.2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0000:{:02x}:{:02x}.{}", self.bus, self.device, self.function)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Access to configuration space. Offsets are multiples of four.
pub trait ConfigSpace {
    /// Reads a double word; all ones where nothing answers.
    fn read(&self, address: Address, offset: u16) -> u32;

    /// Writes a double word.
    fn write(&self, address: Address, offset: u16, value: u32);

    /// Reads the 16 bits at an even offset.
    fn read_u16(&self, address: Address, offset: u16) -> u16 {
        (self.read(address, offset & !3) >> (offset % 4 * 8)) as u16
    }

    /// Reads the byte at an offset.
    fn read_u8(&self, address: Address, offset: u16) -> u8 {
        (self.read(address, offset & !3) >> (offset % 4 * 8)) as u8
    }

    /// Writes the 16 bits at an even offset. The other half of the double word is written back as it was read.
    fn write_u16(&self, address: Address, offset: u16, value: u16) {
        let shift = offset % 4 * 8;
        let kept = self.read(address, offset & !3) & !(0xffff << shift);
        self.write(address, offset & !3, kept | u32::from(value) << shift);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::{cell::RefCell, collections::BTreeMap};

    /// Functions as arrays of registers. A write changes only the bits of a register's mask (none by default).
    #[derive(Default)]
    pub(crate) struct FakeSpace {
        functions: RefCell<BTreeMap<(Address, u16), (u32, u32)>>,
    }

    pub(crate) const fn at(bus: u8, device: u8, function: u8) -> Address {
        Address { bus, device, function }
    }

    impl FakeSpace {
        pub(crate) fn set(&self, address: Address, offset: u16, value: u32, writable: u32) {
            self.functions.borrow_mut().insert((address, offset), (value, writable));
        }

        /// A function with identity and header type.
        pub(crate) fn add(&self, address: Address, id: u32, class: u32, header_type: u8) {
            self.set(address, 0x00, id, 0);
            self.set(address, 0x04, 0x0010_0007, 0x0000_ffff);
            self.set(address, 0x08, class, 0);
            self.set(address, 0x0c, u32::from(header_type) << 16, 0);
        }

        fn exists(&self, address: Address) -> bool {
            self.functions.borrow().contains_key(&(address, 0))
        }
    }

    impl ConfigSpace for FakeSpace {
        fn read(&self, address: Address, offset: u16) -> u32 {
            assert!(offset.is_multiple_of(4));
            let missing = if self.exists(address) { 0 } else { u32::MAX };
            self.functions.borrow().get(&(address, offset)).map_or(missing, |register| register.0)
        }

        fn write(&self, address: Address, offset: u16, value: u32) {
            assert!(offset.is_multiple_of(4));
            if let Some(register) = self.functions.borrow_mut().get_mut(&(address, offset)) {
                register.0 = register.0 & !register.1 | value & register.1;
            }
        }
    }

    #[test]
    fn parts_of_a_register_are_reached() {
        let space = FakeSpace::default();
        space.set(at(0, 1, 0), 0, 0x1234_5678, u32::MAX);
        assert_eq!(space.read_u16(at(0, 1, 0), 2), 0x1234);
        assert_eq!(space.read_u8(at(0, 1, 0), 1), 0x56);
        space.write_u16(at(0, 1, 0), 2, 0xabcd);
        assert_eq!(space.read(at(0, 1, 0), 0), 0xabcd_5678);
    }

    #[test]
    fn addresses_print_as_on_linux() {
        assert_eq!(at(3, 0x1f, 2).to_string(), "0000:03:1f.2");
    }
}
