//! One function's header.

use crate::{Address, ConfigSpace, register};

/// A function of a device, as its header describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Where it is.
    pub address: Address,
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Vendor of the card (0 for bridges).
    pub subsystem_vendor: u16,
    /// Id of the card (0 for bridges).
    pub subsystem: u16,
    /// Class, subclass and programming interface: 0xCCSSPP.
    pub class: u32,
    /// Revision.
    pub revision: u8,
    /// Header type: what the rest of the header means.
    pub kind: Kind,
    /// Which interrupt pin it uses: 1 = INTA; 0 = none.
    pub interrupt_pin: u8,
    /// What firmware noted as its interrupt line; 0xff: none.
    pub interrupt_line: u8,
}

/// Kinds of functions, by header type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A device.
    Device,
    /// A bridge to another bus.
    Bridge(Bridge),
    /// Something else (CardBus).
    Other(u8),
}

/// A bridge's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// The bus behind it; 0: not set up.
    pub secondary: u8,
    /// The last bus behind it.
    pub subordinate: u8,
}

impl Function {
    /// Reads the header; `None` if there is no such function.
    pub fn read(space: &dyn ConfigSpace, address: Address) -> Option<Function> {
        let id = space.read(address, register::ID);
        if matches!(id & 0xffff, 0 | 0xffff) {
            return None;
        }
        let class = space.read(address, register::CLASS);
        let kind = match space.read_u8(address, register::HEADER_TYPE) & 0x7f {
            0 => Kind::Device,
            1 => {
                let [_, secondary, subordinate, _] = space.read(address, register::BUSES).to_le_bytes();
                Kind::Bridge(Bridge { secondary, subordinate })
            }
            other => Kind::Other(other),
        };
        let subsystem = if kind == Kind::Device { space.read(address, register::SUBSYSTEM) } else { 0 };
        Some(Function {
            address,
            vendor: id as u16,
            device: (id >> 16) as u16,
            subsystem_vendor: subsystem as u16,
            subsystem: (subsystem >> 16) as u16,
            class: class >> 8,
            revision: class as u8,
            kind,
            interrupt_pin: space.read_u8(address, register::INTERRUPT_PIN),
            interrupt_line: space.read_u8(address, register::INTERRUPT_LINE),
        })
    }

    /// How many base address registers its kind has.
    pub fn bar_count(&self) -> usize {
        match self.kind {
            Kind::Device => 6,
            Kind::Bridge(_) => 2,
            Kind::Other(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{FakeSpace, at};

    #[test]
    fn a_header_is_read() {
        let space = FakeSpace::default();
        space.add(at(0, 2, 0), 0x1042_1af4, 0x0100_0001, 0);
        space.set(at(0, 2, 0), 0x2c, 0x1100_1af4, 0);
        space.set(at(0, 2, 0), 0x3c, 0x0000_010b, 0);
        let function = Function::read(&space, at(0, 2, 0)).expect("it is there");
        assert_eq!((function.vendor, function.device), (0x1af4, 0x1042));
        assert_eq!((function.class, function.revision), (0x01_00_00, 1));
        assert_eq!((function.subsystem_vendor, function.subsystem), (0x1af4, 0x1100));
        assert_eq!((function.interrupt_pin, function.interrupt_line), (1, 11));
        assert_eq!(function.kind, Kind::Device);
        assert_eq!(Function::read(&space, at(0, 3, 0)), None);
    }
}
