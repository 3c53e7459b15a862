//! Page tables on which another CPU starts: the kernel's, and the start code's page at its own address.
//!
//! # Soundness
//! The upper half is a copy of the kernel's root, whose entries never change. The lower half holds one page,
//! executable and not writable, which only the starting CPU uses.

use super::{
    OutOfMemory, START_CODE,
    entry::{EntryFlags, Table},
    frame, kernel_table,
};
use crate::addr::{PhysAddr, VirtAddr};
use core::cell::RefCell;
use frames::Zone;
use paging::{Page, PageKind, PageTable, PhysFrame, Size4KiB, TableMemory};

/// One table of each level.
const TABLES: usize = 4;

/// Temporary tables, given back when dropped. All lie below 4 GiB, as a CPU in 16-bit mode can load no other root.
pub(crate) struct StartTables(RefCell<[Option<Table>; TABLES]>);

impl TableMemory for StartTables {
    super::entry::in_direct_map!();
    fn allocate(&self) -> Option<PhysAddr> {
        let mut tables = self.0.borrow_mut();
        let slot = tables.iter_mut().find(|slot| slot.is_none())?;
        let table = frame::allocate_table_in(Zone::Low).ok()?;
        *slot = Some(table);
        Some(table.0)
    }
    /// They go all at once, when this is dropped.
    fn free(&self, _table: PhysAddr) {}
}

impl StartTables {
    /// Makes them.
    pub(crate) fn new() -> Result<Self, OutOfMemory> {
        let tables = StartTables(RefCell::new([None; TABLES]));
        let table = PageTable::new(&tables).map_err(|_| OutOfMemory)?;
        kernel_table::share_with(&table);
        let page = Page::<Size4KiB>::containing_address(VirtAddr::new(START_CODE.as_u64()));
        let frame = PhysFrame::containing_address(START_CODE);
        let mapped = table.map(page, frame, EntryFlags::empty(), PageKind::Plain);
        mapped.map_err(|_| OutOfMemory)?;
        Ok(tables)
    }

    /// The root, below 4 GiB.
    pub(crate) fn root(&self) -> PhysAddr {
        self.0.borrow()[0].expect("the root was allocated first").0
    }
}

impl Drop for StartTables {
    fn drop(&mut self) {
        self.0.get_mut().iter().flatten().for_each(|table| frame::free_table(*table));
    }
}

/// Leaves the temporary tables for the kernel's own, on the CPU that runs this, with its protections.
pub(crate) fn load_kernel_tables() {
    super::enable_protection();
    // SAFETY: the kernel's own tables, which live for ever.
    unsafe { super::load_root(kernel_table::root()) };
}
