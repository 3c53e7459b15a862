//! Where page tables lie: the memory that the walks of the crate `paging` run on.
//!
//! Entries are read and written as atomics: the CPU sets accessed and dirty bits meanwhile, and other CPUs walk them.
//!
//! # Soundness
//! A [`Table`] names a frame that holds a page table; such frames are reachable through the direct
//! map (or the boot protocol's, before it stands) and are used as nothing else until freed.

use super::layout;
use crate::addr::PhysAddr;
use core::sync::atomic::{AtomicU64, Ordering};
pub(crate) use paging::{Entry, EntryFlags};
use paging::{PhysFrame, Size4KiB};

/// A frame that holds 512 entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Table(pub(crate) PhysAddr);

impl Table {
    /// Its entries, where physical memory is mapped at `offset`.
    fn entries_at(self, offset: u64) -> &'static [AtomicU64; 512] {
        let entries = (self.0.as_u64() + offset) as *const [AtomicU64; 512];
        // SAFETY: see `# Soundness`; a frame is aligned and as large as the array.
        unsafe { &*entries }
    }

    /// An entry, where physical memory is mapped at `offset`.
    pub(super) fn read_at(self, offset: u64, index: usize) -> Entry {
        Entry::from_bits(self.entries_at(offset)[index].load(Ordering::Acquire))
    }

    /// Changes an entry from one value to another, where physical memory is mapped at `offset`; the error is
    /// what was there instead.
    pub(super) fn exchange_at(
        self,
        offset: u64,
        index: usize,
        current: Entry,
        new: Entry,
    ) -> Result<(), Entry> {
        let slot = &self.entries_at(offset)[index];
        // Release: a CPU that walks through the entry must find the table below it filled.
        slot.compare_exchange(current.to_bits(), new.to_bits(), Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
            .map_err(Entry::from_bits)
    }

    /// An entry, through the direct map.
    pub(super) fn read(self, index: usize) -> Entry {
        self.read_at(layout::DIRECT_MAP, index)
    }

    /// Changes an entry, through the direct map; see [`Table::exchange_at`].
    pub(super) fn exchange(self, index: usize, current: Entry, new: Entry) -> Result<(), Entry> {
        self.exchange_at(layout::DIRECT_MAP, index, current, new)
    }

    /// Stores a word in a table that no CPU walks.
    pub(super) fn set_word(self, index: usize, word: u64) {
        self.entries_at(layout::DIRECT_MAP)[index].store(word, Ordering::Relaxed);
    }

    /// Loads a word that [`Table::set_word`] stored.
    pub(super) fn word(self, index: usize) -> u64 {
        self.entries_at(layout::DIRECT_MAP)[index].load(Ordering::Relaxed)
    }

    /// The same as the crate `paging` names it.
    pub(super) fn as_root(self) -> PhysFrame<Size4KiB> {
        PhysFrame::containing_address(self.0)
    }
}

/// The part of `TableMemory` that says how tables in the direct map are read and changed.
macro_rules! in_direct_map {
    () => {
        fn read(&self, table: $crate::addr::PhysAddr, index: usize) -> $crate::mm::entry::Entry {
            $crate::mm::entry::Table(table).read(index)
        }
        fn compare_exchange(
            &self,
            table: $crate::addr::PhysAddr,
            index: usize,
            current: $crate::mm::entry::Entry,
            new: $crate::mm::entry::Entry,
        ) -> Result<(), $crate::mm::entry::Entry> {
            $crate::mm::entry::Table(table).exchange(index, current, new)
        }
    };
}
pub(super) use in_direct_map;
