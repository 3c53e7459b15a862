//! The kernel's own page tables after they stand: mapping and unmapping pages of the areas.
//!
//! All changes go through one lock. Tables below the root are made on demand and kept for ever;
//! the root's entries never change (see [`super::layout`]).
//!
//! # Soundness
//! Only addresses of the device and stack areas are mapped here, which no Rust object occupies
//! until the caller, who owns that part of the area, puts one there.

use super::{
    OutOfMemory,
    entry::{self, Entry, EntryFlags, Table},
    frame, layout,
};
use crate::{addr::PhysAddr, sync::IrqSpinLock};
use core::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

static ROOT: AtomicU64 = AtomicU64::new(0);
static CHANGE: IrqSpinLock<()> = IrqSpinLock::new("kernel page tables", ());

/// The root table of the kernel's address space.
pub(crate) fn root() -> Table {
    Table(PhysAddr::new(ROOT.load(Ordering::Relaxed)))
}

pub(super) fn set_root(root: Table) {
    ROOT.store(root.0.as_u64(), Ordering::Relaxed);
}

/// The table with the entry for a 4 KiB page.
fn leaf(page: u64) -> Option<Table> {
    [4, 3, 2].into_iter().try_fold(root(), |table, level| table.get(entry::index(page, level)).table())
}

/// The same; makes it, and what is missing above it.
fn make_leaf(page: u64) -> Result<Table, OutOfMemory> {
    let mut table = root();
    for level in [4, 3, 2] {
        let index = entry::index(page, level);
        table = match table.get(index).table() {
            Some(next) => next,
            None => {
                assert!(level < 4, "the root has all its entries from the start");
                let next = frame::allocate_table()?;
                table.set(index, Entry::to_table(next, EntryFlags::empty()));
                next
            }
        };
    }
    Ok(table)
}

fn is_area(page: u64) -> bool {
    (layout::DEVICE_AREA..layout::STACK_AREA + layout::AREA_SIZE).contains(&page)
}

/// Maps a page of an area, which must not be mapped.
pub(super) fn map(page: u64, address: PhysAddr, flags: EntryFlags) -> Result<(), OutOfMemory> {
    assert!(is_area(page), "only the areas change");
    let _changing = CHANGE.lock();
    let table = make_leaf(page)?;
    let index = entry::index(page, 1);
    assert!(table.get(index).is_empty(), "page {page:#x} is mapped already");
    table.set(index, Entry::new(address, flags));
    Ok(())
}

/// Unmaps a page of an area and tells what it mapped. The caller flushes before it uses that.
pub(super) fn unmap(page: u64) -> Option<PhysAddr> {
    assert!(is_area(page), "only the areas change");
    let _changing = CHANGE.lock();
    let table = leaf(page)?;
    let index = entry::index(page, 1);
    let entry = table.get(index);
    table.set(index, Entry::EMPTY);
    (!entry.is_empty()).then(|| entry.address())
}

/// Whether a page of an area is mapped. Takes no lock (for fault reports).
pub(super) fn is_mapped(page: u64) -> bool {
    leaf(page).is_some_and(|table| table.get(entry::index(page, 1)).has(EntryFlags::PRESENT))
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
    for index in 256..512 {
        visit_entry(root(), 4, index, 0xffff_0000_0000_0000, visit);
    }
}

fn visit_entry(table: Table, level: u32, index: usize, base: u64, visit: &mut dyn FnMut(&KernelMapping)) {
    let entry = table.get(index);
    let start = base + index as u64 * entry::span(level);
    if level > 1
        && let Some(below) = entry.table()
    {
        for index in 0..512 {
            visit_entry(below, level - 1, index, start, visit);
        }
    } else if entry.has(EntryFlags::PRESENT) {
        visit(&KernelMapping {
            addresses: start..start.saturating_add(entry::span(level)),
            physical: entry.address(),
            writable: entry.has(EntryFlags::WRITABLE),
            executable: !entry.has(EntryFlags::NO_EXECUTE),
            user: entry.has(EntryFlags::USER),
        });
    }
}
