//! Page sizes as levels of the table, and where an address's entry stands at a level.

use x86_64::VirtAddr;
use x86_64::structures::paging::{PageSize, Size1GiB, Size2MiB, Size4KiB};

/// Level of the root table.
pub(crate) const ROOT_LEVEL: u8 = 4;
/// Entries of a table.
pub(crate) const ENTRIES: usize = 512;
/// First index of the root table that belongs to the upper half.
pub(crate) const UPPER_HALF: usize = 256;
/// The bits of an address that are translated; the rest copy the highest of them.
const POSITION_MASK: u64 = (1 << 48) - 1;

/// The level at which a mapping stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// The last level: 4 KiB.
    Page4KiB = 1,
    /// A page directory: 2 MiB.
    Page2MiB = 2,
    /// A page-directory-pointer table: 1 GiB.
    Page1GiB = 3,
}

impl Level {
    /// Bytes that one entry maps.
    pub const fn size(self) -> u64 {
        entry_size(self as u8)
    }

    pub(crate) fn from_number(number: u8) -> Level {
        match number {
            1 => Level::Page4KiB,
            2 => Level::Page2MiB,
            _ => Level::Page1GiB,
        }
    }
}

/// A page size that can be mapped.
pub trait LeafSize: PageSize {
    /// Its level.
    const LEVEL: Level;
}

impl LeafSize for Size4KiB {
    const LEVEL: Level = Level::Page4KiB;
}

impl LeafSize for Size2MiB {
    const LEVEL: Level = Level::Page2MiB;
}

impl LeafSize for Size1GiB {
    const LEVEL: Level = Level::Page1GiB;
}

/// Bytes that an entry of a table of this level covers.
pub(crate) const fn entry_size(level: u8) -> u64 {
    4096 << (9 * (level as u64 - 1))
}

/// The translated bits of an address: halves become neighbours, so ranges can be walked.
pub(crate) fn position(address: VirtAddr) -> u64 {
    address.as_u64() & POSITION_MASK
}

/// The address of a position.
pub(crate) fn address(position: u64) -> VirtAddr {
    VirtAddr::new_truncate(position)
}

/// The index of a position in a table of this level.
pub(crate) fn index(position: u64, level: u8) -> usize {
    (position / entry_size(level)) as usize % ENTRIES
}
