//! The kernel's own page tables after they stand: mapping and unmapping pages of the areas.
//!
//! Entries change atomically, so there is no lock. Tables below the root are made on demand and kept for
//! ever: fault reports walk them at any time, without a lock. The root's entries never change (see [`super::layout`]).
//!
//! # Soundness
//! Only addresses of the areas are mapped here, which no Rust object occupies
//! until the caller, who owns that part of the area, puts one there.

use super::{
    OutOfMemory,
    entry::{Entry, EntryFlags, Table},
    frame, layout,
    report::WalkStep,
};
use crate::addr::{PhysAddr, USER_END, VirtAddr};
use core::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};
use paging::{Leaf, MapError, Page, PageKind, PageTable, PhysFrame, Size4KiB, TableMemory};

static ROOT: AtomicU64 = AtomicU64::new(0);

/// The root table of the kernel's address space.
pub(crate) fn root() -> Table {
    Table(PhysAddr::new(ROOT.load(Ordering::Relaxed)))
}

pub(super) fn set_root(root: Table) {
    ROOT.store(root.0.as_u64(), Ordering::Relaxed);
}

/// Tables in the direct map that stay for ever once they are linked.
struct LastingTables;

impl TableMemory for LastingTables {
    super::entry::in_direct_map!();
    fn allocate(&self) -> Option<PhysAddr> {
        frame::allocate_table().ok().map(|table| table.0)
    }
    /// Only ever one that was not linked, as another CPU was faster.
    fn free(&self, table: PhysAddr) {
        frame::free_table(Table(table));
    }
}

fn table() -> PageTable<LastingTables> {
    PageTable::from_root(root().as_root(), LastingTables)
}

/// Gives an empty table the kernel's upper half.
pub(super) fn share_with<M: TableMemory>(new: &PageTable<M>) {
    table().share_upper_half(new);
}

fn page_of_area(address: u64) -> (Page<Size4KiB>, PageKind) {
    let kind = layout::area_kind(address).expect("only the areas change");
    (Page::containing_address(VirtAddr::new(address)), kind)
}

/// Maps a page of an area, where nothing is mapped; a marker is replaced.
pub(super) fn map(page: u64, address: PhysAddr, flags: EntryFlags) -> Result<(), OutOfMemory> {
    let (page, kind) = page_of_area(page);
    match table().replace(page, PhysFrame::containing_address(address), flags, kind) {
        Ok(old) if old.is_present() => panic!("page {page:?} is mapped already"),
        Ok(_) => Ok(()),
        Err(MapError::OutOfMemory) => Err(OutOfMemory),
        Err(error) => panic!("mapping {page:?}: {error}"),
    }
}

/// Leaves a marker at a page of an area where nothing is.
pub(super) fn mark(page: u64, kind: PageKind) -> Result<(), OutOfMemory> {
    let (page, _) = page_of_area(page);
    match table().mark(page, kind) {
        Ok(()) => Ok(()),
        Err(MapError::OutOfMemory) => Err(OutOfMemory),
        Err(error) => panic!("marking {page:?}: {error}"),
    }
}

/// Unmaps a page of an area and tells what it mapped. The caller flushes before it uses that.
pub(super) fn unmap(page: u64) -> Option<PhysAddr> {
    unmap_to(page, PageKind::Plain)
}

/// The same, and leaves a marker of this kind.
pub(super) fn unmap_to(page: u64, marker: PageKind) -> Option<PhysAddr> {
    let (page, _) = page_of_area(page);
    table().unmap_to_marker(page, marker).ok().map(Entry::address)
}

/// Writes a note on the marker at a page of an area.
pub(super) fn set_note(page: u64, note: u64) {
    let (page, _) = page_of_area(page);
    table().update_at(page.start_address(), |leaf| {
        leaf.entry.is_marker().then(|| Entry::marker_with_note(leaf.entry.kind(), note))
    });
}

/// Visits the entries on the way to an address. Takes no lock.
pub(super) fn visit_path(address: VirtAddr, visit: &mut dyn FnMut(WalkStep)) {
    table().visit_path(address, &mut |level, table, index, entry| {
        visit(WalkStep::new(level, table, index, entry));
    });
}

/// The entry that answers for an address. Takes no lock (for fault reports).
pub(super) fn entry_at(address: VirtAddr) -> Entry {
    table().leaf(address).entry
}

/// The page or empty entry that answers for an address.
pub(super) fn leaf_at(address: VirtAddr) -> Leaf {
    table().leaf(address)
}

/// Whether the kernel's own table maps nothing below the upper half: for tests.
pub fn is_lower_half_empty() -> bool {
    table().find_first(VirtAddr::new(0)..VirtAddr::new(USER_END), &mut |_| true).is_none()
}

/// What the kernel's tables say of a stretch of the upper half: for tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelMapping {
    /// The addresses, one page of some size.
    pub addresses: Range<u64>,
    /// Where it leads.
    pub physical: PhysAddr,
    /// Stores are allowed.
    pub writable: bool,
    /// Instruction fetches are allowed.
    pub executable: bool,
    /// Programs can reach it.
    pub user: bool,
}

/// Calls `visit` for each page of the upper half.
pub fn visit_kernel_mappings(visit: &mut dyn FnMut(&KernelMapping)) {
    let upper_half = VirtAddr::new(layout::DIRECT_MAP)..VirtAddr::new(u64::MAX);
    table().visit(upper_half, &mut |leaf| {
        let (start, flags) = (leaf.start.as_u64(), leaf.entry.flags());
        if leaf.entry.is_present() {
            visit(&KernelMapping {
                addresses: start..start.saturating_add(leaf.level.size()),
                physical: leaf.entry.address(),
                writable: flags.contains(EntryFlags::WRITABLE),
                executable: !flags.contains(EntryFlags::NO_EXECUTE),
                user: flags.contains(EntryFlags::USER),
            });
        }
    });
}
