//! Which root table each CPU has loaded.
//!
//! A root is kept alive by its [`UserPageTable`](super::UserPageTable) and by every CPU that has it loaded: a CPU may go
//! on with an address space that was dropped (a kernel thread does not care), it then finds nothing in it.
//!
//! # Soundness
//! The upper half of every root is the kernel's, and [`ACTIVE`] keeps what is loaded alive.

use super::{entry::Table, frame, tlb};
use crate::{
    cpu::{self, MAX_CPUS},
    sync::IrqSpinLock,
};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};

/// A root table and who has it loaded.
pub(super) struct Root {
    pub(super) table: Table,
    pub(super) users: tlb::Users,
    /// Pages of 4 KiB that are mapped.
    pub(super) resident: AtomicUsize,
    /// Tables below it, and itself.
    pub(super) tables: AtomicUsize,
}

impl Drop for Root {
    fn drop(&mut self) {
        frame::free_table(self.table);
    }
}

/// What each CPU has loaded; `None` is the kernel's own root.
static ACTIVE: [IrqSpinLock<Option<Arc<Root>>>; MAX_CPUS] =
    [const { IrqSpinLock::new("active root", None) }; MAX_CPUS];

/// The root of a [`UserPageTable`](super::UserPageTable), to be activated while others change the rest. When the
/// table is dropped, this leads to an empty address space.
#[derive(Clone)]
pub struct PageTableRoot(pub(super) Arc<Root>);

impl PageTableRoot {
    /// See [`UserPageTable::activate`](super::UserPageTable::activate).
    pub fn activate(&self) {
        switch_to(Some(&self.0));
    }

    /// See [`UserPageTable::resident_pages`](super::UserPageTable::resident_pages).
    pub fn resident_pages(&self) -> usize {
        self.0.resident.load(Ordering::Relaxed)
    }

    /// See [`UserPageTable::table_count`](super::UserPageTable::table_count).
    pub fn table_count(&self) -> usize {
        self.0.tables.load(Ordering::Relaxed)
    }
}

/// Leaves this CPU with the kernel's address space only.
pub fn activate_kernel() {
    switch_to(None);
}

pub(super) fn switch_to(next: Option<&Arc<Root>>) {
    let _here = cpu::disable_interrupts();
    let mut active = ACTIVE[cpu::current_id()].lock();
    let is_other = active.as_ref().map(Arc::as_ptr) != next.map(Arc::as_ptr);
    let left = active.as_ref().filter(|_| is_other).map(|root| &root.users);
    // SAFETY: the upper half is the kernel's in every root, and `ACTIVE` keeps the root alive.
    unsafe { tlb::load(next.map(|root| (root.table, &root.users)), left) };
    if is_other {
        let old = core::mem::replace(&mut *active, next.cloned());
        drop(active);
        drop(old);
    }
}
