//! Page tables on which another CPU starts: the kernel's, and the start code's page at its own address.
//!
//! # Soundness
//! The upper half is a copy of the kernel's root, whose entries never change. The lower half holds one page,
//! executable and not writable, which only the starting CPU uses.

use super::{
    OutOfMemory, START_CODE,
    entry::{self, Entry, EntryFlags, Table},
    frame, kernel_table,
};
use crate::addr::PhysAddr;
use frames::Zone;

/// Temporary tables, given back when dropped.
pub(crate) struct StartTables([Table; 4]);

impl StartTables {
    /// Makes them.
    pub(crate) fn new() -> Result<Self, OutOfMemory> {
        let mut tables = [None; 4];
        for slot in 0..4 {
            match frame::allocate_table_in(Zone::Low) {
                Ok(table) => tables[slot] = Some(table),
                Err(error) => {
                    tables.into_iter().flatten().for_each(frame::free_table);
                    return Err(error);
                }
            }
        }
        let tables = tables.map(|table| table.expect("all four were allocated"));
        for index in 256..512 {
            tables[0].set(index, kernel_table::root().get(index));
        }
        let page = START_CODE.as_u64();
        for (table, level) in [(0, 4), (1, 3), (2, 2)] {
            tables[table]
                .set(entry::index(page, level), Entry::to_table(tables[table + 1], EntryFlags::empty()));
        }
        tables[3].set(entry::index(page, 1), Entry::new(START_CODE, EntryFlags::PRESENT));
        Ok(Self(tables))
    }

    /// The root, below 4 GiB, as a CPU in 16-bit mode can load it.
    pub(crate) fn root(&self) -> PhysAddr {
        self.0[0].0
    }
}

impl Drop for StartTables {
    fn drop(&mut self) {
        self.0.into_iter().for_each(frame::free_table);
    }
}

/// Leaves the temporary tables for the kernel's own, on the CPU that runs this, with its protections.
pub(crate) fn load_kernel_tables() {
    super::enable_protection();
    // SAFETY: the kernel's own tables, which live for ever.
    unsafe { super::load_root(kernel_table::root()) };
}
