//! The lower half of an address space.
//!
//! Each used entry of a last-level table holds one counted reference to its frame; a table's count
//! says how many of its entries are used, and a table that becomes empty is released at once. Frames
//! and tables are released only after a flush ([`Gather`]).
//!
//! A root is kept alive by its [`UserPageTable`] and by every CPU that has it loaded: a CPU may go on
//! with an address space that was dropped (a kernel thread does not care), it then finds nothing in it.
//!
//! # Soundness
//! Tables here are frames of their own, changed only through `&mut UserPageTable` (the CPU's accessed and
//! dirty bits apart). Entries reach user frames only, with the user bit; the upper half is the
//! kernel's and is copied once, since its root entries never change.

use super::{
    OutOfMemory,
    entry::{self, Entry, EntryFlags, Table},
    frame::{self, Frame},
    kernel_table, tlb,
};
use crate::{
    addr::{PAGE_SIZE, USER_END, VirtAddr},
    cpu::{self, MAX_CPUS},
    sync::IrqSpinLock,
};
use alloc::sync::Arc;
use core::{ops::Range, sync::atomic::Ordering};

const PAGE: u64 = PAGE_SIZE as u64;

bitflags::bitflags! {
    /// What a program may do with a page. The CPU lets everything that is allowed something be read.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct PageFlags: u8 {
        /// Loads are allowed.
        const READ = 1;
        /// Stores are allowed.
        const WRITE = 2;
        /// Instruction fetches are allowed.
        const EXECUTE = 4;
    }
}

/// A user page that is there.
#[derive(Clone)]
pub struct Mapping {
    /// What it maps (a reference of its own).
    pub frame: Frame,
    /// Permissions.
    pub flags: PageFlags,
    /// The CPU has read or written it since the bit was last cleared.
    pub accessed: bool,
    /// The CPU has written it since the bit was last cleared.
    pub dirty: bool,
}

/// How fork shares pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Both sides lose the permission to write; who writes first takes a copy.
    CopyOnWrite,
    /// Both sides see each other's stores.
    Shared,
}

fn entry_flags(flags: PageFlags) -> EntryFlags {
    let mut bits = EntryFlags::HELD | EntryFlags::USER;
    bits.set(EntryFlags::PRESENT, !flags.is_empty());
    bits.set(EntryFlags::WRITABLE, flags.contains(PageFlags::WRITE));
    bits.set(EntryFlags::NO_EXECUTE, !flags.contains(PageFlags::EXECUTE));
    bits
}

fn page_flags(entry: Entry) -> PageFlags {
    let mut flags = PageFlags::empty();
    flags.set(PageFlags::READ, entry.has(EntryFlags::PRESENT));
    flags.set(PageFlags::WRITE, entry.has(EntryFlags::WRITABLE));
    flags.set(PageFlags::EXECUTE, entry.has(EntryFlags::PRESENT) && !entry.has(EntryFlags::NO_EXECUTE));
    flags
}

/// Makes a mapping of an entry, with a new reference to its frame.
fn mapping(entry: Entry) -> Mapping {
    Mapping {
        frame: Frame::share(entry.address()),
        flags: page_flags(entry),
        accessed: entry.has(EntryFlags::ACCESSED),
        dirty: entry.has(EntryFlags::DIRTY),
    }
}

/// A root table and who has it loaded.
struct Root {
    table: Table,
    loaded: tlb::CpuSet,
}

impl Drop for Root {
    fn drop(&mut self) {
        frame::free_table(self.table);
    }
}

/// What each CPU has loaded; `None` is the kernel's own root.
static ACTIVE: [IrqSpinLock<Option<Arc<Root>>>; MAX_CPUS] =
    [const { IrqSpinLock::new("active root", None) }; MAX_CPUS];

/// The lower half of an address space: user pages by 4 KiB. The upper half is the kernel's, shared by all.
/// Every change flushes what CPUs have cached of it before a frame is released.
/// Addresses are page-aligned and below [`USER_END`]; page 0 cannot be mapped. (Both are checked: a panic.)
pub struct UserPageTable {
    root: Arc<Root>,
    resident: usize,
}

impl UserPageTable {
    /// An empty one.
    pub fn new() -> Result<Self, OutOfMemory> {
        let table = frame::allocate_table()?;
        let kernel = kernel_table::root();
        for index in 256..512 {
            table.set(index, kernel.get(index));
        }
        let root = Root { table, loaded: tlb::CpuSet::new() };
        Ok(Self { root: Arc::new(root), resident: 0 })
    }

    /// The last-level table for a page; makes it, and what is missing above it.
    fn make_leaf(&mut self, page: u64) -> Result<Table, OutOfMemory> {
        let mut table = self.root.table;
        for level in [4, 3, 2] {
            let index = entry::index(page, level);
            table = match table.get(index).table() {
                Some(next) => next,
                None => {
                    let next = match frame::allocate_table() {
                        Ok(next) => next,
                        Err(error) => {
                            prune(&self.root, page);
                            return Err(error);
                        }
                    };
                    table.set(index, Entry::to_table(next, EntryFlags::USER));
                    frame::count_entries(table, 1);
                    next
                }
            };
        }
        Ok(table)
    }

    /// Maps a frame, replacing (and releasing) what was there.
    pub fn map(&mut self, page: VirtAddr, frame: Frame, flags: PageFlags) -> Result<(), OutOfMemory> {
        let page = checked(&(page..page + PAGE)).start;
        let table = self.make_leaf(page)?;
        let entry = Entry::new(frame.into_entry(), entry_flags(flags));
        let slot = &table.entries()[entry::index(page, 1)];
        let old = Entry(slot.swap(entry.0, Ordering::AcqRel));
        if old.is_empty() {
            frame::count_entries(table, 1);
            self.resident += 1;
        } else {
            tlb::flush_user(&self.root.loaded, page..page + PAGE);
            drop(Frame::from_entry(old.address()));
        }
        Ok(())
    }

    /// What is mapped at a page.
    pub fn query(&self, page: VirtAddr) -> Option<Mapping> {
        let page = checked(&(page..page + PAGE)).start;
        let entry = table_above(&self.root, page, 1)?.get(entry::index(page, 1));
        (!entry.is_empty()).then(|| mapping(entry))
    }

    /// Unmaps a range and releases its frames and the tables that become empty; `visit` sees each page before.
    pub fn unmap(&mut self, range: Range<VirtAddr>, visit: &mut dyn FnMut(VirtAddr, &Mapping)) {
        let range = checked(&range);
        let mut gather = Gather::new(&self.root);
        let mut removed = 0;
        for_each_leaf(&self.root, range, |table, pages| {
            for page in pages.clone().step_by(PAGE_SIZE) {
                let slot = &table.entries()[entry::index(page, 1)];
                if slot.load(Ordering::Relaxed) == 0 {
                    continue;
                }
                let entry = Entry(slot.swap(0, Ordering::AcqRel));
                frame::count_entries(table, -1);
                removed += 1;
                visit(VirtAddr::new(page), &mapping(entry));
                gather.release(page, entry);
            }
            if frame::entries(table) == 0 {
                gather.finish();
                prune(&self.root, pages.start);
            }
        });
        gather.finish();
        self.resident -= removed;
    }

    /// Changes every used entry of a range with `change`; flushes once at the end where it says that it must be.
    fn change(&mut self, range: Range<u64>, mut change: impl FnMut(u64, Entry) -> Option<Entry>) {
        let mut changed: Option<Range<u64>> = None;
        for_each_leaf(&self.root, range, |table, pages| {
            for page in pages.step_by(PAGE_SIZE) {
                let slot = &table.entries()[entry::index(page, 1)];
                let step = |value| {
                    let entry = Entry(value);
                    if entry.is_empty() { None } else { change(page, entry).map(|new| new.0) }
                };
                // The CPU may set accessed and dirty between: then `change` is asked again.
                if slot.fetch_update(Ordering::AcqRel, Ordering::Acquire, step).is_ok() {
                    let start = changed.as_ref().map_or(page, |range| range.start);
                    changed = Some(start..page + PAGE);
                }
            }
        });
        if let Some(range) = changed {
            tlb::flush_user(&self.root.loaded, range);
        }
    }

    /// Changes the permissions of what is mapped in a range. Without any, a page stays held but
    /// every access faults.
    pub fn protect(&mut self, range: Range<VirtAddr>, flags: PageFlags) {
        let changed = EntryFlags::PRESENT | EntryFlags::WRITABLE | EntryFlags::NO_EXECUTE;
        self.change(checked(&range), |_, entry| {
            let new = Entry(entry.0 & !changed.bits() | entry_flags(flags).bits());
            (new != entry).then_some(new)
        });
    }

    /// Calls `visit` for each mapped page of a range.
    pub fn visit(&self, range: Range<VirtAddr>, visit: &mut dyn FnMut(VirtAddr, &Mapping)) {
        for_each_leaf(&self.root, checked(&range), |table, pages| {
            for page in pages.step_by(PAGE_SIZE) {
                let entry = table.get(entry::index(page, 1));
                if !entry.is_empty() {
                    visit(VirtAddr::new(page), &mapping(entry));
                }
            }
        });
    }

    /// For fork: maps every page of the range into `child` too, where nothing may be mapped.
    pub fn share_with(
        &mut self,
        child: &mut UserPageTable,
        range: Range<VirtAddr>,
        sharing: Sharing,
    ) -> Result<(), OutOfMemory> {
        let mut result = Ok(());
        let mut at: Option<(u64, Table)> = None;
        let mut added = 0;
        self.change(checked(&range), |page, entry| {
            if result.is_err() {
                return None;
            }
            let leaf_start = page & !(entry::span(2) - 1);
            let table = match at {
                Some((start, table)) if start == leaf_start => table,
                _ => match child.make_leaf(page) {
                    Ok(table) => table,
                    Err(error) => {
                        result = Err(error);
                        return None;
                    }
                },
            };
            at = Some((leaf_start, table));
            let kept = match sharing {
                Sharing::CopyOnWrite => Entry(entry.0 & !EntryFlags::WRITABLE.bits()),
                Sharing::Shared => entry,
            };
            let slot = &table.entries()[entry::index(page, 1)];
            let fresh = Entry(kept.0 & !(EntryFlags::ACCESSED | EntryFlags::DIRTY).bits());
            if slot.swap(fresh.0, Ordering::AcqRel) == 0 {
                Frame::share(entry.address()).into_entry();
                frame::count_entries(table, 1);
                added += 1;
            }
            (kept != entry).then_some(kept)
        });
        child.resident += added;
        result
    }

    /// Takes the permission to write from the pages of a range, so that the next store is noticed;
    /// calls `visit` for each page that was dirty, and has it clean from then on.
    pub fn clean(&mut self, range: Range<VirtAddr>, visit: &mut dyn FnMut(VirtAddr)) {
        self.change(checked(&range), |page, entry| {
            if entry.has(EntryFlags::DIRTY) {
                visit(VirtAddr::new(page));
            }
            let cleaned = Entry(entry.0 & !(EntryFlags::DIRTY | EntryFlags::WRITABLE).bits());
            (cleaned != entry).then_some(cleaned)
        });
    }

    /// Number of mapped pages (VmRSS).
    pub fn resident_pages(&self) -> usize {
        self.resident
    }

    /// Makes this the address space of this CPU; it stays alive while any CPU has it loaded, even when dropped here.
    pub fn activate(&self) {
        switch_to(Some(&self.root));
    }

    /// What is needed to activate it, without access to the rest.
    pub fn root(&self) -> PageTableRoot {
        PageTableRoot(self.root.clone())
    }

    /// Moves the mapped pages of a range to `target`, where nothing may be mapped. Out of memory
    /// leaves the rest where it was; what was moved stays moved.
    pub fn move_pages(&mut self, range: Range<VirtAddr>, target: VirtAddr) -> Result<(), OutOfMemory> {
        let source = checked(&range);
        let length = source.end - source.start;
        let target = checked(&(target..target + length)).start;
        assert!(target >= source.end || target + length <= source.start, "a move onto itself");
        let mut page = source.start;
        while page < source.end {
            let Some(from) = table_above(&self.root, page, 1) else {
                page = (page | (entry::span(2) - 1)) + 1;
                continue;
            };
            let new = page - source.start + target;
            if !from.get(entry::index(page, 1)).is_empty() {
                let to = self.make_leaf(new)?;
                let entry = from.entries()[entry::index(page, 1)].swap(0, Ordering::AcqRel);
                to.set(entry::index(new, 1), Entry(entry));
                frame::count_entries(from, -1);
                frame::count_entries(to, 1);
                if frame::entries(from) == 0 {
                    tlb::flush_user(&self.root.loaded, page & !(entry::span(2) - 1)..page + PAGE);
                    prune(&self.root, page);
                }
            }
            page += PAGE;
        }
        tlb::flush_user(&self.root.loaded, source);
        Ok(())
    }
}

/// The root of a [`UserPageTable`], to be activated while others change the rest. When the table is
/// dropped, this leads to an empty address space.
#[derive(Clone)]
pub struct PageTableRoot(Arc<Root>);

impl PageTableRoot {
    /// See [`UserPageTable::activate`].
    pub fn activate(&self) {
        switch_to(Some(&self.0));
    }
}

impl Drop for UserPageTable {
    fn drop(&mut self) {
        self.unmap(VirtAddr::new(PAGE)..VirtAddr::new(USER_END), &mut |_, _| ());
    }
}

/// Leaves this CPU with the kernel's address space only.
pub fn activate_kernel() {
    switch_to(None);
}

fn switch_to(next: Option<&Arc<Root>>) {
    let _here = cpu::disable_interrupts();
    let this = cpu::current_id();
    let mut active = ACTIVE[this].lock();
    if active.as_ref().map(Arc::as_ptr) == next.map(Arc::as_ptr) {
        return;
    }
    // The set says so before the CPU can cache anything, and until it has forgotten everything.
    if let Some(root) = next {
        root.loaded.insert(this);
    }
    let table = next.map_or(kernel_table::root(), |root| root.table);
    // SAFETY: the upper half is the kernel's in every root, and `ACTIVE` keeps the root alive.
    unsafe { super::load_root(table) };
    let old = core::mem::replace(&mut *active, next.cloned());
    if let Some(root) = &old {
        root.loaded.remove(this);
    }
    drop(active);
    drop(old);
}

/// There is no table for an address; the entry of a table of `level` is empty.
struct Missing {
    level: u32,
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

/// Calls `visit` for each last-level table that exists for the range, with the part of the range in it.
fn for_each_leaf(root: &Root, range: Range<u64>, mut visit: impl FnMut(Table, Range<u64>)) {
    let mut page = range.start;
    while page < range.end {
        let walk = [4, 3, 2].into_iter().try_fold(root.table, |table, level| {
            table.get(entry::index(page, level)).table().ok_or(Missing { level })
        });
        let span = match &walk {
            Ok(_) => entry::span(2),
            Err(missing) => entry::span(missing.level),
        };
        let end = ((page | (span - 1)) + 1).min(range.end);
        if let Ok(table) = walk {
            visit(table, page..end);
        }
        page = end;
    }
}

/// The table of `level` on the way to an address.
fn table_above(root: &Root, page: u64, level: u32) -> Option<Table> {
    (level + 1..=4).rev().try_fold(root.table, |table, level| table.get(entry::index(page, level)).table())
}

/// Releases the tables on the way to a page that have become empty, from the last level up.
fn prune(root: &Root, page: u64) {
    for level in [2, 3, 4] {
        let Some(table) = table_above(root, page, level) else { continue };
        let index = entry::index(page, level);
        if let Some(below) = table.get(index).table()
            && frame::entries(below) == 0
        {
            table.set(index, Entry::EMPTY);
            frame::count_entries(table, -1);
            // Any flush of an address under an entry makes the CPU forget the way there as well.
            tlb::flush_user(&root.loaded, page..page + PAGE);
            frame::free_table(below);
        }
    }
}

/// Frames that left the tables and wait for the flush.
struct Gather<'a> {
    root: &'a Root,
    frames: [Option<Frame>; 32],
    count: usize,
    pages: Range<u64>,
}

impl<'a> Gather<'a> {
    fn new(root: &'a Root) -> Self {
        Self { root, frames: [const { None }; 32], count: 0, pages: 0..0 }
    }

    fn release(&mut self, page: u64, entry: Entry) {
        if self.count == self.frames.len() {
            self.finish();
        }
        if self.count == 0 {
            self.pages.start = page;
        }
        self.pages.end = page + PAGE;
        self.frames[self.count] = Some(Frame::from_entry(entry.address()));
        self.count += 1;
    }

    /// Flushes, then lets the frames go.
    fn finish(&mut self) {
        if self.count > 0 {
            tlb::flush_user(&self.root.loaded, self.pages.clone());
            self.frames[..self.count].fill(None);
            self.count = 0;
        }
    }
}
