//! Walks over ranges of addresses: visiting, changing, unmapping, mapping with the largest pages that fit.

use crate::level::{ENTRIES, LeafSize, ROOT_LEVEL, address, entry_size, index, position};
use crate::table::{LOWER_HALF, check_rules};
use crate::{Entry, EntryFlags, Level, MapError, PageKind, PageTable, TableMemory};
use core::ops::{ControlFlow, Range};
use x86_64::structures::paging::{Page, PhysFrame, Size1GiB, Size2MiB, Size4KiB};
use x86_64::{PhysAddr, VirtAddr};

/// A mapping or marker that a walk comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// First address.
    pub start: VirtAddr,
    /// Size.
    pub level: Level,
    /// The entry.
    pub entry: Entry,
}

/// A table on the way of a walk, with the positions that it covers.
#[derive(Clone, Copy)]
struct Node {
    table: PhysAddr,
    level: u8,
    start: u64,
}

impl<M: TableMemory> PageTable<M> {
    /// Calls `visit` for each page and marker that lies in the range, even in part.
    pub fn visit(&self, range: Range<VirtAddr>, visit: &mut impl FnMut(Leaf)) {
        let mut all = |leaf| {
            visit(leaf);
            ControlFlow::Continue(())
        };
        let _ = self.visit_below(self.top(), &positions(&range), &mut all);
    }

    /// The first page or marker in the range for which `matches` holds.
    pub fn find_first(
        &self,
        range: Range<VirtAddr>,
        matches: &mut impl FnMut(&Leaf) -> bool,
    ) -> Option<Leaf> {
        let mut first =
            |leaf| if matches(&leaf) { ControlFlow::Break(leaf) } else { ControlFlow::Continue(()) };
        self.visit_below(self.top(), &positions(&range), &mut first).break_value()
    }

    /// Changes each page and marker of the range to what `change` answers, which may be called again if the CPU
    /// changed the entry meanwhile; `None` leaves it. Then `after` hears what was there and what is there now, and may
    /// end the walk with an error. A huge page that lies in the range only in part is split first. No entry may become
    /// empty: that is [`PageTable::unmap_range`].
    pub fn update_range<C, A>(
        &mut self,
        range: Range<VirtAddr>,
        change: &mut C,
        after: &mut A,
    ) -> Result<(), MapError>
    where
        C: FnMut(Leaf) -> Option<Entry>,
        A: FnMut(Leaf, Entry) -> Result<(), MapError>,
    {
        self.update_below(self.top(), &positions(&range), change, after)
    }

    /// Changes the flags of each page of the range; accessed and dirty bits and markers stay.
    pub fn protect_range(&mut self, range: Range<VirtAddr>, flags: EntryFlags) -> Result<(), MapError> {
        check_rules(range.start, flags)?;
        let hardware = EntryFlags::ACCESSED | EntryFlags::DIRTY;
        let change = &mut |Leaf { entry, .. }: Leaf| {
            entry.is_present().then(|| entry.with_flags(flags | entry.flags() & hardware))
        };
        self.update_range(range, change, &mut |_, _| Ok(()))
    }

    /// Unmaps all pages and markers of the range; `visit` sees each one after it is gone. Tables that become empty are
    /// freed. A huge page that lies in the range only in part is split first, which is the only way to fail.
    pub fn unmap_range(
        &mut self,
        range: Range<VirtAddr>,
        visit: &mut impl FnMut(&M, Leaf),
    ) -> Result<(), MapError> {
        self.unmap_below(self.top(), &positions(&range), visit)
    }

    /// Unmaps the whole lower half, before [`PageTable::free`].
    pub fn unmap_lower_half(&mut self, visit: &mut impl FnMut(&M, Leaf)) -> Result<(), MapError> {
        self.unmap_below(self.top(), &LOWER_HALF, visit)
    }

    /// Maps a range of addresses to a range of physical memory, with the largest pages up to `largest` that fit.
    /// Addresses and length are multiples of 4 KiB. On failure a part may be mapped.
    pub fn map_range(
        &self,
        start: VirtAddr,
        physical: PhysAddr,
        len: u64,
        flags: EntryFlags,
        kind: PageKind,
        largest: Level,
    ) -> Result<(), MapError> {
        if !start.is_aligned(4096u64) || !physical.is_aligned(4096u64) || !len.is_multiple_of(4096) {
            return Err(MapError::Forbidden);
        }
        let mut done = 0;
        while done < len {
            let (from, to) = (start + done, physical + done);
            let fits = |level: Level| {
                let size = level.size();
                level <= largest && from.is_aligned(size) && to.is_aligned(size) && len - done >= size
            };
            let level = [Level::Page1GiB, Level::Page2MiB].into_iter().find(|&level| fits(level));
            match level {
                Some(Level::Page1GiB) => self.map_at::<Size1GiB>(from, to, flags, kind)?,
                Some(_) => self.map_at::<Size2MiB>(from, to, flags, kind)?,
                None => self.map_at::<Size4KiB>(from, to, flags, kind)?,
            }
            done += level.unwrap_or(Level::Page4KiB).size();
        }
        Ok(())
    }

    fn map_at<S: LeafSize>(
        &self,
        start: VirtAddr,
        physical: PhysAddr,
        flags: EntryFlags,
        kind: PageKind,
    ) -> Result<(), MapError> {
        self.map::<S>(Page::containing_address(start), PhysFrame::containing_address(physical), flags, kind)
    }

    fn top(&self) -> Node {
        Node { table: self.root, level: ROOT_LEVEL, start: 0 }
    }

    fn visit_below(
        &self,
        node: Node,
        range: &Range<u64>,
        visit: &mut impl FnMut(Leaf) -> ControlFlow<Leaf>,
    ) -> ControlFlow<Leaf> {
        for slot in node.slots(range) {
            let entry = self.memory.read(node.table, slot);
            if entry.is_table(node.level) {
                self.visit_below(node.child(slot, entry), range, visit)?;
            } else if !entry.is_empty() {
                visit(node.leaf(slot, entry))?;
            }
        }
        ControlFlow::Continue(())
    }

    fn update_below<C, A>(
        &mut self,
        node: Node,
        range: &Range<u64>,
        change: &mut C,
        after: &mut A,
    ) -> Result<(), MapError>
    where
        C: FnMut(Leaf) -> Option<Entry>,
        A: FnMut(Leaf, Entry) -> Result<(), MapError>,
    {
        for slot in node.slots(range) {
            match self.descend(node, slot, range)? {
                Step::Empty => {}
                Step::Table(child) => self.update_below(child, range, change, after)?,
                Step::Leaf => {
                    let leaf = |entry| node.leaf(slot, entry);
                    let updated = self.memory.try_update(node.table, slot, |entry| change(leaf(entry)));
                    if let Ok((old, new)) = updated {
                        debug_assert!(!new.is_empty(), "entries are emptied by unmapping");
                        after(leaf(old), new)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn unmap_below(
        &mut self,
        node: Node,
        range: &Range<u64>,
        visit: &mut impl FnMut(&M, Leaf),
    ) -> Result<(), MapError> {
        for slot in node.slots(range) {
            match self.descend(node, slot, range)? {
                Step::Empty => {}
                Step::Leaf => {
                    let old = self.memory.update(node.table, slot, |_| Entry::EMPTY);
                    self.memory.note_used(node.table, -1);
                    visit(&self.memory, node.leaf(slot, old));
                }
                Step::Table(child) => {
                    self.unmap_below(child, range, visit)?;
                    self.free_if_empty(node.table, slot, node.level);
                }
            }
        }
        Ok(())
    }

    /// What is in a slot, after a huge page that the range cuts has been split.
    fn descend(&mut self, node: Node, slot: usize, range: &Range<u64>) -> Result<Step, MapError> {
        let entry = self.memory.read(node.table, slot);
        if entry.is_empty() {
            return Ok(Step::Empty);
        }
        if entry.is_table(node.level) {
            return Ok(Step::Table(node.child(slot, entry)));
        }
        let start = node.slot_start(slot);
        let is_whole = range.start <= start && range.end >= start + entry_size(node.level);
        if is_whole || node.level == 1 {
            return Ok(Step::Leaf);
        }
        self.split(node.table, slot, node.level)?;
        Ok(Step::Table(node.child(slot, self.memory.read(node.table, slot))))
    }
}

enum Step {
    Empty,
    Leaf,
    Table(Node),
}

impl Node {
    fn slot_start(&self, slot: usize) -> u64 {
        self.start + slot as u64 * entry_size(self.level)
    }

    fn child(&self, slot: usize, entry: Entry) -> Node {
        Node { table: entry.address(), level: self.level - 1, start: self.slot_start(slot) }
    }

    fn leaf(&self, slot: usize, entry: Entry) -> Leaf {
        Leaf { start: address(self.slot_start(slot)), level: Level::from_number(self.level), entry }
    }

    /// The slots that the range touches.
    fn slots(&self, range: &Range<u64>) -> Range<usize> {
        let end = self.start + entry_size(self.level) * ENTRIES as u64;
        if range.start >= range.end || range.start >= end || range.end <= self.start {
            return 0..0;
        }
        let first = index(range.start.max(self.start), self.level);
        let last = index(range.end.min(end) - 1, self.level);
        first..last + 1
    }
}

/// A range of addresses as positions, widened to whole pages.
fn positions(range: &Range<VirtAddr>) -> Range<u64> {
    if range.start >= range.end {
        return 0..0;
    }
    // By the last byte, since the end may be the first address behind a half.
    let last = position(VirtAddr::new_truncate(range.end.as_u64() - 1));
    position(range.start) & !0xfff..(last | 0xfff) + 1
}
