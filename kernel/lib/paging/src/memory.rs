//! What the walk needs from outside, and how it fails.

use crate::{Entry, Level};
use core::fmt;
use x86_64::PhysAddr;

/// The memory that tables lie in. A table is a frame of 512 entries, named by its physical address.
pub trait TableMemory {
    /// An atomic load of an entry.
    fn read(&self, table: PhysAddr, index: usize) -> Entry;

    /// An atomic compare-and-exchange of an entry; the error is what was there instead.
    fn compare_exchange(
        &self,
        table: PhysAddr,
        index: usize,
        current: Entry,
        new: Entry,
    ) -> Result<(), Entry>;

    /// A table of 512 empty entries; `None` if there is no memory.
    fn allocate(&self) -> Option<PhysAddr>;

    /// Notes that entries of a table came into use (`change` above 0) or became empty (below). Not needed where tables
    /// stay when they are empty.
    fn note_used(&self, _table: PhysAddr, _change: i32) {}

    /// How many entries of a table are in use. Asked only when tables are about to be freed; those that stay always have
    /// some.
    fn used(&self, _table: PhysAddr) -> i32 {
        i32::MAX
    }

    /// Takes back a table that is no longer linked. CPUs may still hold parts of it in their caches: it must not be
    /// used for anything else until they have flushed.
    fn free(&self, table: PhysAddr);

    /// Changes an entry, whatever the CPU does to it meanwhile; returns what was there. `change` may be called again
    /// with a newer value.
    fn update(&self, table: PhysAddr, index: usize, mut change: impl FnMut(Entry) -> Entry) -> Entry
    where
        Self: Sized,
    {
        let always = |entry| Some(change(entry));
        match self.try_update(table, index, always) {
            Ok((old, _)) | Err(old) => old,
        }
    }

    /// Changes an entry unless `change` answers `None`: then the error is what is there. Else what was there and what
    /// is there now.
    fn try_update(
        &self,
        table: PhysAddr,
        index: usize,
        mut change: impl FnMut(Entry) -> Option<Entry>,
    ) -> Result<(Entry, Entry), Entry>
    where
        Self: Sized,
    {
        let mut current = self.read(table, index);
        loop {
            let new = change(current).ok_or(current)?;
            if new == current {
                return Ok((current, new));
            }
            match self.compare_exchange(table, index, current, new) {
                Ok(()) => return Ok((current, new)),
                Err(newer) => current = newer,
            }
        }
    }
}

impl<M: TableMemory> TableMemory for &M {
    fn read(&self, table: PhysAddr, index: usize) -> Entry {
        (**self).read(table, index)
    }

    fn compare_exchange(
        &self,
        table: PhysAddr,
        index: usize,
        current: Entry,
        new: Entry,
    ) -> Result<(), Entry> {
        (**self).compare_exchange(table, index, current, new)
    }

    fn allocate(&self) -> Option<PhysAddr> {
        (**self).allocate()
    }

    fn note_used(&self, table: PhysAddr, change: i32) {
        (**self).note_used(table, change);
    }

    fn used(&self, table: PhysAddr) -> i32 {
        (**self).used(table)
    }

    fn free(&self, table: PhysAddr) {
        (**self).free(table);
    }
}

/// Why a page was not mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// No memory for a table.
    OutOfMemory,
    /// Something is mapped or marked there, or a part of it is.
    Occupied,
    /// The mapping would break a rule: see the crate's documentation.
    Forbidden,
}

/// Why a page was not unmapped or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnmapError {
    /// Nothing is mapped there.
    NotMapped,
    /// What is mapped there has another size.
    WrongSize(Level),
    /// It is mapped in smaller pages.
    Smaller,
    /// The change would break a rule.
    Forbidden,
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MapError::OutOfMemory => "no memory for a page table",
            MapError::Occupied => "page is mapped already",
            MapError::Forbidden => "mapping would break a rule",
        })
    }
}

impl fmt::Display for UnmapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnmapError::NotMapped => f.write_str("page is not mapped"),
            UnmapError::WrongSize(level) => write!(f, "page is part of one of {} bytes", level.size()),
            UnmapError::Smaller => f.write_str("page is mapped in smaller pages"),
            UnmapError::Forbidden => f.write_str("change would break a rule"),
        }
    }
}

impl core::error::Error for MapError {}
impl core::error::Error for UnmapError {}
