//! MSI-X: interrupts that the device writes, each by an entry of a table in its memory
//! (PCI Express Base Specification 5.0, section 7.7.2).

use crate::{Address, ConfigSpace};

/// The MSI-X capability of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsiX {
    /// Offset of the capability.
    pub offset: u16,
    /// Number of table entries, 1 to 2048.
    pub entries: u16,
    /// Which base address register the table is in.
    pub table_bar: u8,
    /// Where the table begins in it.
    pub table_offset: u32,
}

/// Message control register: offset in the capability, and its bits.
const CONTROL: u16 = 2;
const ENABLE: u16 = 1 << 15;
const MASK_ALL: u16 = 1 << 14;
/// Offset of the register that tells where the table is.
const TABLE: u16 = 4;

/// Bytes of a table entry, and its registers: address (low, high), data, control.
pub const ENTRY_LENGTH: usize = 16;
/// Low half of the address that is written.
pub const ENTRY_ADDRESS_LOW: usize = 0;
/// High half of the address that is written.
pub const ENTRY_ADDRESS_HIGH: usize = 4;
/// The value that is written.
pub const ENTRY_DATA: usize = 8;
/// Bit 0: masked.
pub const ENTRY_CONTROL: usize = 12;
/// See [`ENTRY_CONTROL`].
pub const ENTRY_MASKED: u32 = 1;

/// Whether a function's messages are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// MSI-X is off; INTx is used.
    Off,
    /// MSI-X is on, but no entry sends anything.
    Masked,
    /// MSI-X is on; entries that are not masked send their messages.
    On,
}

impl MsiX {
    /// Reads the capability at `offset`.
    pub fn read(space: &dyn ConfigSpace, address: Address, offset: u16) -> MsiX {
        let table = space.read(address, offset + TABLE);
        MsiX {
            offset,
            entries: (space.read_u16(address, offset + CONTROL) & 0x7ff) + 1,
            table_bar: (table & 7) as u8,
            table_offset: table & !7,
        }
    }

    /// Length of the table in bytes.
    pub fn table_length(&self) -> usize {
        usize::from(self.entries) * ENTRY_LENGTH
    }

    /// Switches the function between INTx and messages.
    pub fn set_state(&self, space: &dyn ConfigSpace, address: Address, state: State) {
        let bits = match state {
            State::Off => 0,
            State::Masked => ENABLE | MASK_ALL,
            State::On => ENABLE,
        };
        let control = space.read_u16(address, self.offset + CONTROL) & !(ENABLE | MASK_ALL);
        space.write_u16(address, self.offset + CONTROL, control | bits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{FakeSpace, at};

    #[test]
    fn the_capability_is_read_and_switched() {
        let space = FakeSpace::default();
        let address = at(0, 1, 0);
        space.add(address, 0x1042_1af4, 0, 0);
        space.set(address, 0x98, 0x0002_4011, 0xc000_0000);
        space.set(address, 0x9c, 0x0000_0801, 0);
        let msix = MsiX::read(&space, address, 0x98);
        assert_eq!(msix, MsiX { offset: 0x98, entries: 3, table_bar: 1, table_offset: 0x800 });
        msix.set_state(&space, address, State::Masked);
        assert_eq!(space.read(address, 0x98), 0xc002_4011);
        msix.set_state(&space, address, State::On);
        assert_eq!(space.read(address, 0x98), 0x8002_4011);
    }
}
