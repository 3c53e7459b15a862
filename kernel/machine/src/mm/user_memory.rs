//! Where the tables of an address space come from, and where they go: for what adds pages, and for what takes them away.
//!
//! # Soundness
//! As in `user_table`: the tables here are frames of their own, and what an entry held is released after a flush.

use super::{
    active::Root,
    entry::Table,
    frame::{self, Frame},
    gather::Gather,
    huge::HugeFrame,
    user_page::{HUGE_PAGES, is_huge},
};
use crate::{addr::PhysAddr, sync::SpinLock};
use core::{
    cell::RefCell,
    sync::atomic::{AtomicUsize, Ordering},
};
use paging::{Leaf, PageTable, TableMemory};

/// Tables for huge pages that are split, one for each at least, linked through their first word.
pub(super) struct Spares {
    first: Option<Table>,
}

impl Spares {
    pub(super) const EMPTY: Spares = Spares { first: None };

    pub(super) fn push(&mut self, table: Table) {
        table.set_word(0, self.first.map_or(0, |next| next.0.as_u64()));
        self.first = Some(table);
    }

    pub(super) fn pop(&mut self) -> Option<Table> {
        let table = self.first?;
        let next = table.word(0);
        table.set_word(0, 0);
        self.first = (next != 0).then(|| Table(PhysAddr::new(next)));
        Some(table)
    }
}

/// Tables, for what adds pages: those that were not linked after all are free at once. Counts the tables.
pub(super) struct Adding<'a>(pub(super) &'a AtomicUsize);

/// Tables, for what takes pages away: those that were unlinked wait for the flush, and a table that is needed, which
/// is to split a huge page, is a spare one.
pub(super) struct Removing<'a> {
    pub(super) root: &'a Root,
    pub(super) spares: &'a SpinLock<Spares>,
    pub(super) tables: &'a AtomicUsize,
    pub(super) gather: RefCell<Gather<'a>>,
}

impl TableMemory for Adding<'_> {
    super::entry::in_direct_map!();
    fn allocate(&self) -> Option<PhysAddr> {
        let table = frame::allocate_table().ok()?;
        self.0.fetch_add(1, Ordering::Relaxed);
        Some(table.0)
    }
    fn note_used(&self, table: PhysAddr, change: i32) {
        frame::count_entries(Table(table), change);
    }
    fn used(&self, table: PhysAddr) -> i32 {
        frame::entries(Table(table))
    }
    fn free(&self, table: PhysAddr) {
        self.0.fetch_sub(1, Ordering::Relaxed);
        frame::free_table(Table(table));
    }
}

impl TableMemory for Removing<'_> {
    super::entry::in_direct_map!();
    fn allocate(&self) -> Option<PhysAddr> {
        HUGE_PAGES.fetch_sub(1, Ordering::Relaxed);
        self.tables.fetch_add(1, Ordering::Relaxed);
        self.spares.lock().pop().map(|table| table.0)
    }
    fn note_used(&self, table: PhysAddr, change: i32) {
        Adding(self.tables).note_used(table, change);
    }
    fn used(&self, table: PhysAddr) -> i32 {
        Adding(self.tables).used(table)
    }
    fn free(&self, table: PhysAddr) {
        self.tables.fetch_sub(1, Ordering::Relaxed);
        self.gather.borrow_mut().release_table(Table(table));
    }
}

impl Removing<'_> {
    /// The same table, to add to it.
    pub(super) fn adding(&self) -> PageTable<Adding<'_>> {
        PageTable::from_root(self.root.table.as_root(), Adding(self.tables))
    }

    /// What an entry held goes, once it is flushed.
    pub(super) fn release(&self, leaf: Leaf) {
        let (start, address) = (leaf.start.as_u64(), leaf.entry.address());
        let mut gather = self.gather.borrow_mut();
        if is_huge(&leaf) {
            HUGE_PAGES.fetch_sub(1, Ordering::Relaxed);
            gather.release_huge(start, HugeFrame::from_entry(address));
            // Not under the lock: a full batch is flushed on other CPUs.
            let spare = self.spares.lock().pop();
            spare.into_iter().for_each(|spare| gather.release_table(spare));
        } else {
            gather.release(start, Frame::from_entry(address));
        }
    }

    /// An entry was changed so that CPUs must forget it.
    pub(super) fn note(&self, leaf: &Leaf) {
        let start = leaf.start.as_u64();
        self.gather.borrow_mut().note(start..start + leaf.level.size());
    }
}
