//! A whole page table: single pages, the two halves.

use crate::level::{ENTRIES, LeafSize, Level, ROOT_LEVEL, UPPER_HALF, address, entry_size, index, position};
use crate::{Entry, EntryFlags, Leaf, MapError, PageKind, TableMemory, UnmapError};
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
    /// Nothing that can be reached, but the entry says what there is.
    Marked(PageKind),
    /// Nothing.
    Unmapped,
}

/// A page table, by its root.
pub struct PageTable<M> {
    pub(crate) root: PhysAddr,
    pub(crate) memory: M,
}

/// The table in which the last entry was placed, so that its neighbours need no walk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor(Option<(PhysAddr, Level, u64)>);

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

    /// Maps a page where nothing is; a marker counts as something.
    pub fn map<S: LeafSize>(
        &self,
        page: Page<S>,
        frame: PhysFrame<S>,
        flags: EntryFlags,
        kind: PageKind,
    ) -> Result<(), MapError> {
        self.insert(
            page.start_address(),
            S::LEVEL,
            Entry::page(frame.start_address(), S::LEVEL, flags, kind),
            &mut Cursor::default(),
        )
    }

    /// Leaves a marker where nothing is mapped.
    pub fn mark<S: LeafSize>(&self, page: Page<S>, kind: PageKind) -> Result<(), MapError> {
        self.insert(page.start_address(), S::LEVEL, Entry::marker(kind), &mut Cursor::default())
    }

    /// Places an entry that another table of this kind had, at an address of its size, where nothing is.
    pub fn insert(
        &self,
        start: VirtAddr,
        level: Level,
        entry: Entry,
        cursor: &mut Cursor,
    ) -> Result<(), MapError> {
        check_rules(start, entry.flags())?;
        debug_assert!(start.is_aligned(level.size()));
        let at = position(start);
        let block = at / (level.size() * ENTRIES as u64);
        let table = match cursor.0 {
            Some((table, known, known_block)) if known == level && known_block == block => table,
            _ => self.create_tables(at, level)?,
        };
        *cursor = Cursor(Some((table, level, block)));
        let placed = self.memory.compare_exchange(table, index(at, level as u8), Entry::EMPTY, entry);
        placed.map_err(|_| MapError::Occupied)?;
        self.memory.note_used(table, 1);
        Ok(())
    }

    /// Maps a page over whatever is there, a marker or a page of the same size; returns what was there.
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
        let new = Entry::page(frame.start_address(), S::LEVEL, flags, kind);
        let old = self.memory.update(table, index, |_| new);
        if old.is_empty() {
            self.memory.note_used(table, 1);
        }
        Ok(old)
    }

    /// Unmaps a page, leaving nothing. Tables that become empty are freed. Returns the entry that was there.
    pub fn unmap<S: LeafSize>(&mut self, page: Page<S>) -> Result<Entry, UnmapError> {
        let (table, index) = self.find(page.start_address(), S::LEVEL)?;
        let old = self.memory.update(table, index, |_| Entry::EMPTY);
        self.memory.note_used(table, -1);
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
        let marker = Entry::marker(kind);
        if marker.is_empty() {
            self.memory.note_used(table, -1);
        }
        Ok(self.memory.update(table, index, |_| marker))
    }

    /// Takes a marker away.
    pub fn unmark<S: LeafSize>(&mut self, page: Page<S>) -> Result<(), UnmapError> {
        let at = position(page.start_address());
        let table = self.table_of(at, S::LEVEL)?;
        let unmarked = |entry: Entry| entry.is_marker().then_some(Entry::EMPTY);
        let outcome = self.memory.try_update(table, index(at, S::LEVEL as u8), unmarked);
        outcome.map_err(|_| UnmapError::NotMapped)?;
        self.memory.note_used(table, -1);
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

    /// Changes the page or marker at an address, of whatever size, to what `change` answers, which may be called again
    /// if the CPU changed the entry meanwhile; `None` leaves it. Tells whether it was changed; an empty entry is not.
    pub fn update_at(&self, address: VirtAddr, mut change: impl FnMut(Leaf) -> Option<Entry>) -> bool {
        let (table, leaf) = self.walk(address);
        let change = |entry: Entry| if entry.is_empty() { None } else { change(Leaf { entry, ..leaf }) };
        self.memory.try_update(table, index(position(address), leaf.level as u8), change).is_ok()
    }

    /// The page, marker or empty entry that answers for an address; an empty one with its level, up to which nothing
    /// is mapped around the address.
    pub fn leaf(&self, address: VirtAddr) -> Leaf {
        self.walk(address).1
    }

    /// Visits the entries on the way to an address, from the root down: level (4 to 1), address of the table, index,
    /// entry.
    pub fn visit_path(&self, address: VirtAddr, visit: &mut dyn FnMut(u8, PhysAddr, usize, Entry)) {
        let at = position(address);
        let mut table = self.root;
        let mut level = ROOT_LEVEL;
        loop {
            let index = index(at, level);
            let entry = self.memory.read(table, index);
            visit(level, table, index, entry);
            if !entry.is_table(level) {
                return;
            }
            (table, level) = (entry.address(), level - 1);
        }
    }

    fn walk(&self, address: VirtAddr) -> (PhysAddr, Leaf) {
        let at = position(address);
        let mut table = self.root;
        let mut level = ROOT_LEVEL;
        loop {
            let entry = self.memory.read(table, index(at, level));
            if entry.is_table(level) {
                (table, level) = (entry.address(), level - 1);
                continue;
            }
            let start = crate::level::address(at & !(entry_size(level) - 1));
            return (table, Leaf { start, level: Level::from_number(level), entry });
        }
    }

    /// What is at an address.
    pub fn query(&self, address: VirtAddr) -> Translation {
        let Leaf { level, entry, .. } = self.leaf(address);
        if entry.is_present() {
            let physical = entry.address() + position(address) % level.size();
            return Translation::Mapped { physical, level, entry };
        }
        if entry.is_empty() { Translation::Unmapped } else { Translation::Marked(entry.kind()) }
    }

    /// Makes the table below a root entry, so that what is mapped there later appears in every table that shares the
    /// upper half.
    pub fn fill_root_entry(&self, address: VirtAddr) -> Result<(), MapError> {
        let at = position(address);
        self.child(self.root, index(at, ROOT_LEVEL), at).map(drop)
    }

    /// Fills the upper half of the root with tables.
    pub fn fill_upper_half(&self) -> Result<(), MapError> {
        (UPPER_HALF..ENTRIES)
            .try_for_each(|slot| self.fill_root_entry(address(slot as u64 * entry_size(ROOT_LEVEL))))
    }

    /// Gives an empty table the same upper half as this one. What appears below the same root entries later is seen
    /// through both; new root entries are not.
    pub fn share_upper_half<N: TableMemory>(&self, new: &PageTable<N>) {
        for index in UPPER_HALF..ENTRIES {
            let entry = self.memory.read(self.root, index);
            new.memory.update(new.root, index, |_| entry);
        }
    }

    /// Frees the root. The lower half must be empty; the upper half is shared and stays.
    pub fn free(self) {
        debug_assert!((0..UPPER_HALF).all(|index| self.memory.read(self.root, index).is_empty()));
        self.memory.free(self.root);
    }

    /// The table of this level that holds the position's entry, made if it is missing.
    fn create_tables(&self, at: u64, level: Level) -> Result<PhysAddr, MapError> {
        let mut table = self.root;
        for above in (level as u8 + 1..=ROOT_LEVEL).rev() {
            table = self.child(table, index(at, above), at)?;
        }
        Ok(table)
    }

    /// The table that an entry points to, made if the entry is empty. On failure an empty table may remain above; it
    /// is freed with the next unmapping beside it.
    fn child(&self, table: PhysAddr, index: usize, at: u64) -> Result<PhysAddr, MapError> {
        let mut entry = self.memory.read(table, index);
        if entry.is_empty() {
            let new = self.memory.allocate().ok_or(MapError::OutOfMemory)?;
            match self.memory.compare_exchange(table, index, Entry::EMPTY, Entry::table(new, table_flags(at)))
            {
                Ok(()) => {
                    self.memory.note_used(table, 1);
                    return Ok(new);
                }
                // Another CPU was faster.
                Err(found) => {
                    self.memory.free(new);
                    entry = found;
                }
            }
        }
        if entry.is_table(ROOT_LEVEL) { Ok(entry.address()) } else { Err(MapError::Occupied) }
    }

    /// Makes the tables that a page of this level at an address will need.
    pub fn make_tables(&self, start: VirtAddr, level: Level) -> Result<(), MapError> {
        self.create_tables(position(start), level).map(drop)
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
            if !self.free_if_empty(parent, index(at, below + 1), below + 1) {
                return;
            }
        }
    }

    /// Frees the table that an entry (of a table of `level`) points to, if it is empty and not shared by all address
    /// spaces; tells whether.
    pub(crate) fn free_if_empty(&mut self, parent: PhysAddr, slot: usize, level: u8) -> bool {
        let is_shared = level == ROOT_LEVEL && slot >= UPPER_HALF;
        let table = self.memory.read(parent, slot).address();
        if is_shared || self.memory.used(table) != 0 {
            return false;
        }
        self.memory.update(parent, slot, |_| Entry::EMPTY);
        self.memory.note_used(parent, -1);
        self.memory.free(table);
        true
    }

    /// Splits a huge page or marker into those of the next smaller size, with the same flags.
    pub(crate) fn split(&mut self, table: PhysAddr, slot: usize, level: u8) -> Result<PhysAddr, MapError> {
        let smaller = Level::from_number(level - 1);
        let new = self.memory.allocate().ok_or(MapError::OutOfMemory)?;
        let entry = self.memory.read(table, slot);
        for index in 0..ENTRIES {
            let part = entry.part(smaller, index);
            self.memory.update(new, index, |_| part);
        }
        self.memory.note_used(new, ENTRIES as i32);
        // The user bit of the leaf says which half it is in.
        let user = entry.flags() & EntryFlags::USER;
        let old = self.memory.update(table, slot, |_| Entry::table(new, EntryFlags::WRITABLE | user));
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
    if index(at, ROOT_LEVEL) < UPPER_HALF {
        EntryFlags::WRITABLE | EntryFlags::USER
    } else {
        EntryFlags::WRITABLE
    }
}

/// The rules that hold for every mapping.
pub(crate) fn check_rules(start: VirtAddr, flags: EntryFlags) -> Result<(), MapError> {
    let is_upper = index(position(start), ROOT_LEVEL) >= UPPER_HALF;
    let writable_code = flags.contains(EntryFlags::WRITABLE) && !flags.contains(EntryFlags::NO_EXECUTE);
    let forbidden = start.as_u64() == 0 || is_upper && (flags.contains(EntryFlags::USER) || writable_code);
    if forbidden { Err(MapError::Forbidden) } else { Ok(()) }
}

/// The whole lower half, for walks over a range.
pub(crate) const LOWER_HALF: Range<u64> = 0..1 << 47;
