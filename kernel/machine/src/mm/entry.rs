//! Page-table entries and the tables they stand in (Intel SDM vol. 3, 4.5).
//!
//! Tables are read and written as atomics: the CPU sets accessed and dirty bits meanwhile, and
//! other CPUs walk them.
//!
//! # Soundness
//! A [`Table`] names a frame that holds a page table; such frames are reachable through the direct
//! map (or the boot protocol's, before it stands) and are used as nothing else until freed.

use super::layout;
use crate::addr::PhysAddr;
use core::sync::atomic::{AtomicU64, Ordering};

bitflags::bitflags! {
    /// The bits of an entry that are not its address.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct EntryFlags: u64 {
        const PRESENT = 1;
        const WRITABLE = 1 << 1;
        const USER = 1 << 2;
        const WRITE_THROUGH = 1 << 3;
        const NO_CACHE = 1 << 4;
        const ACCESSED = 1 << 5;
        const DIRTY = 1 << 6;
        const HUGE = 1 << 7;
        const GLOBAL = 1 << 8;
        /// Software: the entry holds a user frame. Stands without PRESENT for a page without any permission.
        const HELD = 1 << 9;
        const NO_EXECUTE = 1 << 63;
    }
}

const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// An entry's value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry(pub(crate) u64);

impl Entry {
    pub(crate) const EMPTY: Entry = Entry(0);

    pub(crate) fn new(address: PhysAddr, flags: EntryFlags) -> Self {
        Entry(address.as_u64() & ADDRESS | flags.bits())
    }

    /// One that leads to a table of the next level, leaving all permissions to that.
    pub(crate) fn to_table(table: Table, user: EntryFlags) -> Self {
        Entry::new(table.0, EntryFlags::PRESENT | EntryFlags::WRITABLE | user)
    }

    pub(crate) fn address(self) -> PhysAddr {
        PhysAddr::new(self.0 & ADDRESS)
    }

    pub(crate) fn flags(self) -> EntryFlags {
        EntryFlags::from_bits_truncate(self.0)
    }

    pub(crate) fn has(self, flags: EntryFlags) -> bool {
        self.flags().contains(flags)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The table this leads to.
    pub(crate) fn table(self) -> Option<Table> {
        (self.has(EntryFlags::PRESENT) && !self.has(EntryFlags::HUGE)).then(|| Table(self.address()))
    }
}

/// A frame that holds 512 entries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Table(pub(crate) PhysAddr);

impl Table {
    /// Its entries, through the direct map.
    pub(crate) fn entries(self) -> &'static [AtomicU64; 512] {
        self.entries_at(layout::DIRECT_MAP)
    }

    /// Its entries, where physical memory is mapped at `offset`.
    pub(crate) fn entries_at(self, offset: u64) -> &'static [AtomicU64; 512] {
        let entries = (self.0.as_u64() + offset) as *const [AtomicU64; 512];
        // SAFETY: see `# Soundness`; a frame is aligned and as large as the array.
        unsafe { &*entries }
    }

    pub(crate) fn get(self, index: usize) -> Entry {
        Entry(self.entries()[index].load(Ordering::Relaxed))
    }

    pub(crate) fn set(self, index: usize, entry: Entry) {
        // Release: a CPU that walks through the entry must find the table below it filled.
        self.entries()[index].store(entry.0, Ordering::Release);
    }
}

/// The index into the table of `level` (4 is the root) for an address.
pub(crate) fn index(address: u64, level: u32) -> usize {
    (address >> (12 + 9 * (level - 1)) & 511) as usize
}

/// How many bytes one entry of a table of `level` covers.
pub(crate) const fn span(level: u32) -> u64 {
    1 << (12 + 9 * (level - 1))
}
