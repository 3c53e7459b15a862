//! A whole page table: single pages, the two halves.

use crate::level::{ENTRIES, LeafSize, Level, ROOT_LEVEL, UPPER_HALF, address, entry_size, index, position};
use crate::{Entry, EntryFlags, MapError, PageKind, TableMemory, UnmapError};
use core::ops::Range;
use x86_64::structures::paging::{Page, PhysFrame, Size4KiB};
use x86_64::{PhysAddr, VirtAddr};

/// What is at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Translation {
    /// A page.
    Mapped {
        /// Where the address leads.
        physical: PhysAddr,
        /// Size of the page.
        level: Level,
        /// Its entry.
        entry: Entry,
    },
    /// Nothing, but a marker says what.
    Marked(PageKind),
    /// Nothing.
    Unmapped,
}

/// A page table, by its root.
pub struct PageTable<M> {
    pub(crate) root: PhysAddr,
    pub(crate) memory: M,
}

impl<M: TableMemory> PageTable<M> {
    /// An empty one.
    pub fn new(memory: M) -> Result<PageTable<M>, MapError> {
        let root = memory.allocate().ok_or(MapError::OutOfMemory)?;
        Ok(PageTable { root, memory })
    }

    /// One that exists.
    pub fn from_root(root: PhysFrame<Size4KiB>, memory: M) -> PageTable<M> {
        PageTable { root: root.start_address(), memory }
    }

    /// The root table's frame, for CR3.
    pub fn root(&self) -> PhysFrame<Size4KiB> {
        PhysFrame::containing_address(self.root)
    }

    /// The memory of the tables.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// Maps a page where nothing is; a guard marker counts as something.
    pub fn map<S: LeafSize>(
        &self,
        page: Page<S>,
        frame: PhysFrame<S>,
        flags: EntryFlags,
        kind: PageKind,
    ) -> Result<(), MapError> {
        let start = page.start_address();
        check_rules(start, flags)?;
        self.set_empty(start, S::LEVEL, Entry::leaf(frame.start_address(), S::LEVEL, flags, kind))
    }

    /// Leaves a marker where nothing is mapped.
    pub fn mark<S: LeafSize>(&self, page: Page<S>, kind: PageKind) -> Result<(), MapError> {
        self.set_empty(page.start_address(), S::LEVEL, Entry::marker(kind))
    }

    /// Maps a page or a marker over whatever is there, as long as that has the same size; returns what was there.
    pub fn replace<S: LeafSize>(
        &self,
        page: Page<S>,
        frame: PhysFrame<S>,
        flags: EntryFlags,
        kind: PageKind,
    ) -> Result<Entry, MapError> {
        let start = page.start_address();
        check_rules(start, flags)?;
        let table = self.create_tables(position(start), S::LEVEL)?;
        let level = S::LEVEL as u8;
        let index = index(position(start), level);
        if self.memory.read(table, index).is_table(level) {
            return Err(MapError::Occupied);
        }
        let new = Entry::leaf(frame.start_address(), S::LEVEL, flags, kind);
        Ok(self.memory.update(table, index, |_| new))
    }

    /// Unmaps a page, leaving nothing. Tables that become empty are freed. Returns the entry that was there.
    pub fn unmap<S: LeafSize>(&mut self, page: Page<S>) -> Result<Entry, UnmapError> {
        let (table, index) = self.find(page.start_address(), S::LEVEL)?;
        let old = self.memory.update(table, index, |_| Entry::EMPTY);
        self.free_empty_tables(position(page.start_address()), S::LEVEL);
        Ok(old)
    }

    /// Unmaps a page and leaves a marker.
    pub fn unmap_to_marker<S: LeafSize>(
        &mut self,
        page: Page<S>,
        kind: PageKind,
    ) -> Result<Entry, UnmapError> {
        let (table, index) = self.find(page.start_address(), S::LEVEL)?;
        Ok(self.memory.update(table, index, |_| Entry::marker(kind)))
    }

    /// Takes a marker away.
    pub fn unmark<S: LeafSize>(&mut self, page: Page<S>) -> Result<(), UnmapError> {
        let at = position(page.start_address());
        let table = self.table_of(at, S::LEVEL)?;
        let index = index(at, S::LEVEL as u8);
        let entry = self.memory.read(table, index);
        if !entry.is_marker() {
            return Err(UnmapError::NotMapped);
        }
        self.memory.update(table, index, |now| if now.is_marker() { Entry::EMPTY } else { now });
        self.free_empty_tables(at, S::LEVEL);
        Ok(())
    }

    /// Changes a page's flags; accessed and dirty bits stay. Returns the entry that was there.
    pub fn protect<S: LeafSize>(&self, page: Page<S>, flags: EntryFlags) -> Result<Entry, UnmapError> {
        check_rules(page.start_address(), flags).map_err(|_| UnmapError::Forbidden)?;
        let (table, index) = self.find(page.start_address(), S::LEVEL)?;
        let hardware = EntryFlags::ACCESSED | EntryFlags::DIRTY;
        Ok(self.memory.update(table, index, |entry| entry.with_flags(flags | entry.flags() & hardware)))
    }

    /// What is at an address.
    pub fn query(&self, address: VirtAddr) -> Translation {
        let at = position(address);
        let mut table = self.root;
        let mut level = ROOT_LEVEL;
        loop {
            let entry = self.memory.read(table, index(at, level));
            if entry.is_table(level) {
                (table, level) = (entry.address(), level - 1);
                continue;
            }
            if entry.is_present() {
                let physical = entry.address() + at % entry_size(level);
                return Translation::Mapped { physical, level: Level::from_number(level), entry };
            }
            return if entry.is_empty() { Translation::Unmapped } else { Translation::Marked(entry.kind()) };
        }
    }

    /// Fills the upper half of the root with tables, so that what is mapped there later appears in every table that
    /// shares it.
    pub fn fill_upper_half(&self) -> Result<(), MapError> {
        for index in UPPER_HALF..ENTRIES {
            self.child(self.root, index, position(address(index as u64 * entry_size(ROOT_LEVEL))))?;
        }
        Ok(())
    }

    /// A new table with the same upper half and an empty lower half. This table's upper half should be filled.
    pub fn share_upper_half(&self) -> Result<PageTable<M>, MapError>
    where
        M: Clone,
    {
        let new = PageTable::new(self.memory.clone())?;
        for index in UPPER_HALF..ENTRIES {
            let entry = self.memory.read(self.root, index);
            new.memory.update(new.root, index, |_| entry);
        }
        Ok(new)
    }

    /// Frees the root. The lower half must be empty; the upper half is shared and stays.
    pub fn free(self) {
        debug_assert!((0..UPPER_HALF).all(|index| self.memory.read(self.root, index).is_empty()));
        self.memory.free(self.root);
    }

    /// Whether all entries of a table are empty.
    pub(crate) fn is_empty(&self, table: PhysAddr) -> bool {
        (0..ENTRIES).all(|index| self.memory.read(table, index).is_empty())
    }

    fn set_empty(&self, start: VirtAddr, level: Level, entry: Entry) -> Result<(), MapError> {
        let table = self.create_tables(position(start), level)?;
        let index = index(position(start), level as u8);
        self.memory.compare_exchange(table, index, Entry::EMPTY, entry).map_err(|_| MapError::Occupied)
    }

    /// The table of this level that holds the position's entry, made if it is missing.
    fn create_tables(&self, at: u64, level: Level) -> Result<PhysAddr, MapError> {
        let mut table = self.root;
        for above in (level as u8 + 1..=ROOT_LEVEL).rev() {
            table = self.child(table, index(at, above), at)?;
            debug_assert!(table.is_aligned(4096u64));
        }
        Ok(table)
    }

    /// The table that an entry points to, made if the entry is empty. On failure an empty table may remain above; it
    /// is freed with the next unmapping beside it.
    fn child(&self, table: PhysAddr, index: usize, at: u64) -> Result<PhysAddr, MapError> {
        let entry = self.memory.read(table, index);
        if entry.is_empty() {
            let new = self.memory.allocate().ok_or(MapError::OutOfMemory)?;
            match self.memory.compare_exchange(table, index, Entry::EMPTY, Entry::table(new, table_flags(at)))
            {
                Ok(()) => return Ok(new),
                Err(_) => self.memory.free(new),
            }
        }
        // Another CPU may have been faster: look again.
        let entry = self.memory.read(table, index);
        if entry.is_table(ROOT_LEVEL) { Ok(entry.address()) } else { Err(MapError::Occupied) }
    }

    /// The existing table of this level that holds the position's entry.
    fn table_of(&self, at: u64, level: Level) -> Result<PhysAddr, UnmapError> {
        let mut table = self.root;
        for above in (level as u8 + 1..=ROOT_LEVEL).rev() {
            let entry = self.memory.read(table, index(at, above));
            if !entry.is_present() {
                return Err(UnmapError::NotMapped);
            }
            if !entry.is_table(above) {
                return Err(UnmapError::WrongSize(Level::from_number(above)));
            }
            table = entry.address();
        }
        Ok(table)
    }

    /// Table and index of a page that is mapped.
    fn find(&self, start: VirtAddr, level: Level) -> Result<(PhysAddr, usize), UnmapError> {
        let at = position(start);
        let table = self.table_of(at, level)?;
        let index = index(at, level as u8);
        let entry = self.memory.read(table, index);
        if !entry.is_present() {
            Err(UnmapError::NotMapped)
        } else if entry.is_table(level as u8) {
            Err(UnmapError::Smaller)
        } else {
            Ok((table, index))
        }
    }

    /// Frees the tables above an entry that was cleared, as long as they are empty.
    fn free_empty_tables(&mut self, at: u64, level: Level) {
        for below in level as u8..ROOT_LEVEL {
            // The table of level `below`, and the entry above that points to it.
            let mut parent = self.root;
            for above in (below + 2..=ROOT_LEVEL).rev() {
                parent = self.memory.read(parent, index(at, above)).address();
            }
            let slot = index(at, below + 1);
            let table = self.memory.read(parent, slot).address();
            if !self.can_free(below + 1, slot) || !self.is_empty(table) {
                return;
            }
            self.memory.update(parent, slot, |_| Entry::EMPTY);
            self.memory.free(table);
        }
    }

    /// Whether the table below an entry may be freed: those that all address spaces share stay.
    pub(crate) fn can_free(&self, level: u8, index: usize) -> bool {
        level < ROOT_LEVEL || index < UPPER_HALF
    }

    /// Splits a huge page into pages of the next smaller size, with the same flags.
    pub(crate) fn split(&self, table: PhysAddr, slot: usize, level: u8) -> Result<PhysAddr, MapError> {
        let smaller = Level::from_number(level - 1);
        let new = self.memory.allocate().ok_or(MapError::OutOfMemory)?;
        let entry = self.memory.read(table, slot);
        for index in 0..ENTRIES {
            let address = entry.address() + index as u64 * smaller.size();
            let part = if entry.is_present() {
                Entry::leaf(address, smaller, entry.flags(), entry.kind())
            } else {
                Entry::marker(entry.kind())
            };
            self.memory.update(new, index, |_| part);
        }
        // The user bit of the leaf says which half it is in.
        let user = entry.flags() & EntryFlags::USER;
        let old = self.memory.update(table, slot, |_| Entry::table(new, EntryFlags::WRITE | user));
        // What the CPU did while the parts were made.
        let late = old.flags().difference(entry.flags());
        if !late.is_empty() {
            for index in 0..ENTRIES {
                self.memory.update(new, index, |part| part.with_flags(part.flags() | late));
            }
        }
        Ok(new)
    }

    /// Splits what is mapped at an address until it is mapped in 4 KiB pages.
    pub fn split_huge(&mut self, address: VirtAddr) -> Result<(), MapError> {
        let at = position(address);
        let mut table = self.root;
        for level in (2..=ROOT_LEVEL).rev() {
            let slot = index(at, level);
            let entry = self.memory.read(table, slot);
            if entry.is_empty() {
                return Ok(());
            }
            table = if entry.is_table(level) { entry.address() } else { self.split(table, slot, level)? };
        }
        Ok(())
    }
}

/// Flags of an entry that points to a table: the fixed rule.
fn table_flags(at: u64) -> EntryFlags {
    if index(at, ROOT_LEVEL) < UPPER_HALF { EntryFlags::WRITE | EntryFlags::USER } else { EntryFlags::WRITE }
}

/// The rules that hold for every mapping.
pub(crate) fn check_rules(start: VirtAddr, flags: EntryFlags) -> Result<(), MapError> {
    let is_upper = index(position(start), ROOT_LEVEL) >= UPPER_HALF;
    let writable_code = flags.contains(EntryFlags::WRITE) && !flags.contains(EntryFlags::NO_EXECUTE);
    let forbidden = start.as_u64() == 0 || is_upper && (flags.contains(EntryFlags::USER) || writable_code);
    if forbidden { Err(MapError::Forbidden) } else { Ok(()) }
}

/// The whole lower half, for walks over a range.
pub(crate) const LOWER_HALF: Range<u64> = 0..1 << 47;
