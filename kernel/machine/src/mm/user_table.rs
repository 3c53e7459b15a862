//! The lower half of an address space.
//!
//! Each used entry of a last-level table holds one counted reference to its frame, one of the level above that maps a
//! huge page holds one to each of its 512 frames. A table's count says how many of its entries are used, and a
//! table that becomes empty is released. Frames and tables are released only after a flush ([`Gather`]).
//!
//! What only adds pages or permissions takes `&self`, and several CPUs may do it at a time: entries change by
//! compare-and-exchange. What takes away takes `&mut self`.
//!
//! A huge page may have to be split when there is no memory for the table, so each brings a spare table along.
//!
//! # Soundness
//! Tables here are frames of their own, changed only through a `UserPageTable` (the CPU's accessed and
//! dirty bits apart). Entries reach user frames only, with the user bit; the upper half is the
//! kernel's and is copied once, since its root entries never change.

use super::{
    OutOfMemory,
    active::{self, PageTableRoot, Root},
    entry::{Entry, EntryFlags, Table},
    frame::{self, Frame},
    gather::Gather,
    huge::HugeFrame,
    kernel_table,
    report::WalkStep,
    tlb,
    user_memory::{Adding, Removing, Spares},
    user_page::{
        HUGE_PAGES, MapError, Mapping, PageFlags, PageState, Sharing, entry_flags, is_huge, page_state,
        pages, with_permissions,
    },
};
use crate::{
    addr::{PAGE_SIZE, PhysAddr, USER_END, VirtAddr},
    sync::SpinLock,
};
use alloc::sync::Arc;
use core::{
    cell::RefCell,
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
};
use paging::{Cursor, Leaf, Level, Page, PageKind, PageTable, PhysFrame};

const PAGE: u64 = PAGE_SIZE as u64;

/// The lower half of an address space: user pages of 4 KiB and 2 MiB. The upper half is the kernel's, shared by all.
/// Every change flushes what CPUs have cached of it before a frame is released.
/// Addresses are page-aligned and below [`USER_END`]; page 0 cannot be mapped. (Both are checked: a panic.)
pub struct UserPageTable {
    root: Arc<Root>,
    spares: SpinLock<Spares>,
    /// See [`batch`](Self::batch).
    is_batch: bool,
    /// What a batch has not flushed yet.
    stale: Range<u64>,
}

const SPLIT: &str = "each huge page has a spare table";

impl UserPageTable {
    /// An empty one.
    pub fn new() -> Result<Self, OutOfMemory> {
        let tables = AtomicUsize::new(0);
        let table = PageTable::new(Adding(&tables)).map_err(|_| OutOfMemory)?;
        kernel_table::share_with(&table);
        let table = Table(table.root().start_address());
        let root = Root { table, users: tlb::Users::new(), resident: AtomicUsize::new(0), tables };
        let spares = SpinLock::new("spare page tables", Spares::EMPTY);
        Ok(Self { root: Arc::new(root), spares, is_batch: false, stale: 0..0 })
    }

    fn adding(&self) -> PageTable<Adding<'_>> {
        PageTable::from_root(self.root.table.as_root(), Adding(&self.root.tables))
    }

    /// For changes that take away; flushes and releases when it is dropped.
    fn removing(&mut self) -> PageTable<Removing<'_>> {
        let gather = RefCell::new(Gather::new(&self.root));
        PageTable::from_root(
            self.root.table.as_root(),
            Removing { root: &self.root, spares: &self.spares, tables: &self.root.tables, gather },
        )
    }

    /// Maps a frame where nothing is; that of zeros without the permission to write.
    pub fn map(&self, page: VirtAddr, frame: Frame, flags: PageFlags) -> Result<(), MapError> {
        let entry = new_entry(page, &frame, flags);
        let resident = resident_pages_of(&frame);
        self.adding().insert(page, Level::Page4KiB, entry, &mut Cursor::default())?;
        // The entry holds the reference now.
        let _ = frame.into_entry();
        self.root.resident.fetch_add(resident, Ordering::Relaxed);
        Ok(())
    }

    /// Maps a huge page where nothing is, in 2 MiB from `page` on, a multiple of that.
    pub fn map_huge(&self, page: VirtAddr, huge: HugeFrame, flags: PageFlags) -> Result<(), MapError> {
        checked(&(page..page + HugeFrame::SIZE));
        let spare = frame::allocate_table().map_err(|OutOfMemory| MapError::OutOfMemory)?;
        self.spares.lock().push(spare);
        let address = huge.into_entry();
        match self.insert_huge(page, address, flags) {
            Ok(()) => {
                HUGE_PAGES.fetch_add(1, Ordering::Relaxed);
                self.root.resident.fetch_add((HugeFrame::SIZE / PAGE) as usize, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                drop(HugeFrame::from_entry(address));
                let spare = self.spares.lock().pop();
                spare.into_iter().for_each(frame::free_table);
                Err(error.into())
            }
        }
    }

    fn insert_huge(
        &self,
        page: VirtAddr,
        address: PhysAddr,
        flags: PageFlags,
    ) -> Result<(), paging::MapError> {
        let page = Page::<paging::Size2MiB>::containing_address(page);
        self.adding().map(page, PhysFrame::containing_address(address), entry_flags(flags), PageKind::Frame)
    }

    /// Whether nothing at all is mapped in the 2 MiB around an address, nor was lately.
    pub fn is_huge_free(&self, page: VirtAddr) -> bool {
        let leaf = self.adding().leaf(page);
        leaf.entry.is_empty() && leaf.level >= Level::Page2MiB
    }

    /// Maps a frame, replacing (and releasing) what was there; a huge page is split for it.
    pub fn replace(&mut self, page: VirtAddr, frame: Frame, flags: PageFlags) -> Result<(), OutOfMemory> {
        let entry = new_entry(page, &frame, flags);
        let mut table = self.removing();
        let mut old = None;
        let outcome = table.update_range(page..page + PAGE, &mut |_| Some(entry), &mut |leaf, _| {
            old = Some(leaf);
            Ok(())
        });
        outcome.expect(SPLIT);
        match old {
            Some(leaf) => {
                let added = resident_pages_of(&frame);
                let _ = frame.into_entry();
                let removed = resident_pages(&leaf).min(1);
                table.memory().release(leaf);
                drop(table);
                self.root.resident.fetch_add(added, Ordering::Relaxed);
                self.root.resident.fetch_sub(removed, Ordering::Relaxed);
                Ok(())
            }
            None => {
                drop(table);
                self.map(page, frame, flags).map_err(|_| OutOfMemory)
            }
        }
    }

    /// What is mapped at a page.
    pub fn query(&self, page: VirtAddr) -> Option<Mapping> {
        let page = checked(&(page..page + PAGE)).start;
        let leaf = self.adding().leaf(VirtAddr::new(page));
        let address = leaf.entry.address() + page % leaf.level.size();
        (!leaf.entry.is_empty()).then(|| Mapping { frame: Frame::share(address), state: page_state(&leaf) })
    }

    /// Visits the entries on the way to an address.
    pub fn visit_walk(&self, address: VirtAddr, visit: &mut dyn FnMut(WalkStep)) {
        self.adding().visit_path(address, &mut |level, table, index, entry| {
            visit(WalkStep::new(level, table, index, entry));
        });
    }

    /// What an entry says of a page that is mapped.
    pub fn state(&self, page: VirtAddr) -> Option<PageState> {
        checked(&(page..page + PAGE));
        let leaf = self.adding().leaf(page);
        (!leaf.entry.is_empty()).then(|| page_state(&leaf))
    }

    /// Gives a page that is mapped more permissions; no flush is needed for that.
    pub fn allow(&self, page: VirtAddr, flags: PageFlags) {
        checked(&(page..page + PAGE));
        self.adding()
            .update_at(page, |leaf| Some(with_permissions(leaf.entry, page_state(&leaf).flags | flags)));
    }

    /// The same, if nobody else refers to the frame of the page, nor to any of the huge page that it is part of.
    /// Tells whether that is so.
    pub fn allow_exclusive(&self, page: VirtAddr, flags: PageFlags) -> bool {
        checked(&(page..page + PAGE));
        let leaf = self.adding().leaf(page);
        let address = leaf.entry.address();
        let is_exclusive = match () {
            () if leaf.entry.is_empty() => false,
            () if is_huge(&leaf) => HugeFrame::is_exclusive(address),
            () => frame::references(address) == 1,
        };
        if is_exclusive {
            self.allow(page, flags);
        }
        is_exclusive
    }

    /// Unmaps a range and releases its frames and the tables that become empty; `visit` sees each page.
    pub fn unmap(&mut self, range: Range<VirtAddr>, visit: &mut dyn FnMut(VirtAddr, &PageState)) {
        checked(&range);
        let mut removed = 0;
        let unmapped = self.removing().unmap_range(range, &mut |memory, leaf| {
            removed += resident_pages(&leaf);
            visit(leaf.start, &page_state(&leaf));
            memory.release(leaf);
        });
        unmapped.expect(SPLIT);
        self.root.resident.fetch_sub(removed, Ordering::Relaxed);
    }

    /// Changes what is mapped in a range with `change`; flushes once at the end where it says that it must be.
    fn change(&mut self, range: Range<VirtAddr>, mut change: impl FnMut(Leaf) -> Entry) {
        checked(&range);
        let mut table = self.removing();
        let mut changed = None::<Range<u64>>;
        let after = &mut |leaf: Leaf, new: Entry| {
            if takes_away(leaf.entry, new) {
                let start = leaf.start.as_u64();
                let first = changed.as_ref().map_or(start, |range| range.start);
                changed = Some(first..start + leaf.level.size());
            }
            Ok(())
        };
        table.update_range(range, &mut |leaf| Some(change(leaf)), after).expect(SPLIT);
        drop(table);
        self.flush(changed.unwrap_or_default());
    }

    /// Flushes what was changed, or notes it in a batch.
    fn flush(&mut self, pages: Range<u64>) {
        if pages.is_empty() {
            return;
        }
        let is_first = self.stale.is_empty();
        let start = if is_first { pages.start } else { self.stale.start.min(pages.start) };
        self.stale = start..self.stale.end.max(pages.end);
        if !self.is_batch {
            Gather::new(&self.root).note(core::mem::take(&mut self.stale));
        }
    }

    /// Does several changes of permissions ([`protect`](Self::protect), [`share_with`](Self::share_with),
    /// [`clean`](Self::clean)), which are in force on all CPUs only at the end: other CPUs are asked once for all.
    pub fn batch<R>(&mut self, changes: impl FnOnce(&mut Self) -> R) -> R {
        self.is_batch = true;
        let result = changes(self);
        self.is_batch = false;
        let stale = core::mem::take(&mut self.stale);
        self.flush(stale);
        result
    }

    /// Changes the permissions of what is mapped in a range. Without any, a page stays held but
    /// every access faults.
    pub fn protect(&mut self, range: Range<VirtAddr>, flags: PageFlags) {
        self.change(range, |leaf| with_permissions(leaf.entry, flags));
    }

    /// Calls `visit` for each page of a range that is mapped; a huge page may begin before it.
    pub fn visit(&self, range: Range<VirtAddr>, visit: &mut dyn FnMut(VirtAddr, &PageState)) {
        checked(&range);
        self.adding().visit(range, &mut |leaf| visit(leaf.start, &page_state(&leaf)));
    }

    /// For fork: maps every page of the range into `child` too. What is mapped there already stays, so that
    /// this can be called again after it ran out of memory.
    pub fn share_with(
        &mut self,
        child: &mut UserPageTable,
        range: Range<VirtAddr>,
        sharing: Sharing,
    ) -> Result<(), OutOfMemory> {
        checked(&range);
        let keep = |entry: Entry| match sharing {
            Sharing::CopyOnWrite => entry.with_flags(entry.flags() - EntryFlags::WRITABLE),
            Sharing::Shared => entry,
        };
        let (target, mut cursor) = (child.adding(), Cursor::default());
        let mut added = 0;
        let mut table = self.removing();
        let mut changed = 0..0;
        let after = &mut |leaf: Leaf, kept: Entry| {
            let start = leaf.start.as_u64();
            if kept != leaf.entry {
                let first = if changed.is_empty() { start } else { changed.start };
                changed = first..start + leaf.level.size();
            }
            added += share(child, &target, Leaf { entry: kept, ..leaf }, &mut cursor)?;
            Ok(())
        };
        let outcome = table.update_range(range, &mut |leaf| Some(keep(leaf.entry)), after);
        drop(table);
        self.flush(changed);
        child.root.resident.fetch_add(added, Ordering::Relaxed);
        outcome.map_err(|_| OutOfMemory)
    }

    /// Takes the permission to write from the pages of a range, so that the next store is noticed;
    /// calls `visit` for each page that was dirty, and has it clean from then on.
    pub fn clean(&mut self, range: Range<VirtAddr>, visit: &mut dyn FnMut(VirtAddr)) {
        self.change(range, |leaf| {
            let flags = leaf.entry.flags();
            if flags.contains(EntryFlags::DIRTY) {
                visit(leaf.start);
            }
            leaf.entry.with_flags(flags - (EntryFlags::DIRTY | EntryFlags::WRITABLE))
        });
    }

    /// Number of mapped pages of 4 KiB (VmRSS), but those of zeros that all share.
    pub fn resident_pages(&self) -> usize {
        self.root.resident.load(Ordering::Relaxed)
    }

    /// Number of tables that lead to them, the root included (VmPTE).
    pub fn table_count(&self) -> usize {
        self.root.tables.load(Ordering::Relaxed)
    }

    /// Makes this the address space of this CPU; it stays alive while any CPU has it loaded, even when dropped here.
    pub fn activate(&self) {
        active::switch_to(Some(&self.root));
    }

    /// What is needed to activate it, without access to the rest.
    pub fn root(&self) -> PageTableRoot {
        PageTableRoot(self.root.clone())
    }

    /// Moves the mapped pages of a range to `target`, where nothing may be mapped. Out of memory moves nothing.
    /// Huge pages stay whole if they can.
    pub fn move_pages(&mut self, range: Range<VirtAddr>, target: VirtAddr) -> Result<(), OutOfMemory> {
        let source = checked(&range);
        let length = source.end - source.start;
        let goal = checked(&(target..target + length)).start;
        assert!(goal >= source.end || goal + length <= source.start, "a move onto itself");
        let first = range.start;
        let place = |leaf: &Leaf| target + (leaf.start - first);
        self.split_for_move(&range, target);
        if let Err(OutOfMemory) = self.prepare_tables(&range, &place) {
            // Some tables may stand empty.
            self.unmap(target..target + length, &mut |_, _| ());
            return Err(OutOfMemory);
        }
        let mut cursor = Cursor::default();
        let moved = self.removing().unmap_range(range, &mut |memory, leaf| {
            memory.note(&leaf);
            let placed = memory.adding().insert(place(&leaf), leaf.level, leaf.entry, &mut cursor);
            placed.expect("the tables stand, and nothing is mapped there");
        });
        moved.expect("what is cut was split before");
        Ok(())
    }

    /// Splits the huge pages of a range that cannot be moved whole.
    fn split_for_move(&mut self, range: &Range<VirtAddr>, target: VirtAddr) {
        let is_alike = (target.as_u64() ^ range.start.as_u64()).is_multiple_of(HugeFrame::SIZE);
        let mut table = self.removing();
        let is_cut = |leaf: &Leaf| {
            let is_inside = leaf.start >= range.start && leaf.start + leaf.level.size() <= range.end;
            is_huge(leaf) && !(is_alike && is_inside)
        };
        while let Some(leaf) = table.find_first(range.clone(), &mut |leaf| is_cut(leaf)) {
            table.split_huge(leaf.start).expect(SPLIT);
        }
    }

    /// Makes the tables that the pages of a range will need in their new place.
    fn prepare_tables(
        &self,
        range: &Range<VirtAddr>,
        place: &dyn Fn(&Leaf) -> VirtAddr,
    ) -> Result<(), OutOfMemory> {
        let table = self.adding();
        let mut result = Ok(());
        let mut fails = |leaf: &Leaf| {
            result = table.make_tables(place(leaf), leaf.level);
            result.is_err()
        };
        let _ = table.find_first(range.clone(), &mut fails);
        result.map_err(|_| OutOfMemory)
    }
}

/// Whether CPUs that know an old entry of the same page may do something that the new one forbids, or fail to note
/// that they did it.
fn takes_away(old: Entry, new: Entry) -> bool {
    let lost = old.flags() - new.flags();
    let no_execute = (new.flags() - old.flags()).contains(EntryFlags::NO_EXECUTE);
    old.is_present()
        && (!new.is_present()
            || lost.intersects(EntryFlags::WRITABLE | EntryFlags::DIRTY)
            || no_execute
            || old.address() != new.address())
}

/// How many pages of memory a leaf has that are not everybody's zeros.
fn resident_pages(leaf: &Leaf) -> usize {
    if !is_huge(leaf) && frame::is_zeros(leaf.entry.address()) { 0 } else { pages(leaf) }
}

/// The same of a frame.
fn resident_pages_of(frame: &Frame) -> usize {
    usize::from(!frame.is_zeros())
}

/// Maps what `leaf` says into a child too; tells how many pages that made.
fn share(
    child: &UserPageTable,
    target: &PageTable<Adding<'_>>,
    leaf: Leaf,
    cursor: &mut Cursor,
) -> Result<usize, paging::MapError> {
    let address = leaf.entry.address();
    let hardware = EntryFlags::ACCESSED | EntryFlags::DIRTY;
    let fresh = leaf.entry.with_flags(leaf.entry.flags() - hardware);
    if is_huge(&leaf) {
        // The spare is there before the page that may need it, and one too many does no harm.
        let spare = frame::allocate_table().map_err(|OutOfMemory| paging::MapError::OutOfMemory)?;
        child.spares.lock().push(spare);
    }
    match target.insert(leaf.start, leaf.level, fresh, cursor) {
        Ok(()) if is_huge(&leaf) => {
            let _ = HugeFrame::share(address).into_entry();
            HUGE_PAGES.fetch_add(1, Ordering::Relaxed);
            Ok(pages(&leaf))
        }
        Ok(()) => {
            let _ = Frame::share(address).into_entry();
            Ok(resident_pages(&leaf))
        }
        Err(paging::MapError::Occupied) => Ok(0),
        Err(error) => Err(error),
    }
}

impl Drop for UserPageTable {
    fn drop(&mut self) {
        self.unmap(VirtAddr::new(PAGE)..VirtAddr::new(USER_END), &mut |_, _| ());
        while let Some(spare) = self.spares.get_mut().pop() {
            frame::free_table(spare);
        }
    }
}

fn new_entry(page: VirtAddr, frame: &Frame, flags: PageFlags) -> Entry {
    checked(&(page..page + PAGE));
    let entry = Entry::page(frame.address(), Level::Page4KiB, entry_flags(flags), PageKind::Frame);
    with_permissions(entry, flags)
}

/// Checks a range as the type's documentation says; in plain numbers.
fn checked(range: &Range<VirtAddr>) -> Range<u64> {
    let (start, end) = (range.start.as_u64(), range.end.as_u64());
    let aligned = start.is_multiple_of(PAGE) && end.is_multiple_of(PAGE);
    assert!(
        aligned && PAGE <= start && start <= end && end <= USER_END,
        "bad user range {start:#x}..{end:#x}"
    );
    start..end
}
