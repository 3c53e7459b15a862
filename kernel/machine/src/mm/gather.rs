//! Frames and tables that have left an address space and wait until the CPUs have forgotten them.

use super::{
    active::Root,
    entry::Table,
    frame::{self, Frame},
    huge::HugeFrame,
    tlb::{self, Taken},
};
use crate::addr::{PAGE_SIZE, PhysAddr, USER_END};
use core::ops::Range;

const PAGE: u64 = PAGE_SIZE as u64;
/// So many frames are noted in place; more of them in pages made for it, as long as there is memory for these.
const IN_PLACE: usize = 32;
/// Frames on such a page: its first word leads to the next one.
const ON_PAGE: usize = PAGE_SIZE / 8 - 1;
/// Pages at most: what is given back waits for that long.
const MOST_PAGES: usize = 20;
/// Says in the address of a frame that it is a huge one.
const HUGE: u64 = 1;

/// See the module. Dropped with something in it, it flushes and releases.
///
/// Other CPUs are asked once for thousands of pages: a large program that ends, or unmaps much, does not keep them from
/// their work.
pub(super) struct Gather<'a> {
    root: &'a Root,
    in_place: [u64; IN_PLACE],
    in_place_count: usize,
    lists: Chain,
    list_count: usize,
    /// Frames on the last list.
    on_list: usize,
    /// Unlinked tables. The link in such a table says "absent" to CPUs that still find it.
    tables: Chain,
    /// What must be flushed.
    pages: Range<u64>,
}

/// Pages, each with the address of the next one in its first word.
struct Chain(Option<Table>);

impl Chain {
    fn push(&mut self, table: Table) {
        let next = self.0.replace(table).map_or(0, |next| next.0.as_u64());
        table.set_word(0, next);
    }

    fn pop(&mut self) -> Option<Table> {
        let table = self.0?;
        let next = table.word(0);
        self.0 = (next != 0).then(|| Table(PhysAddr::new(next)));
        Some(table)
    }
}

impl<'a> Gather<'a> {
    pub(super) fn new(root: &'a Root) -> Self {
        Self {
            root,
            in_place: [0; IN_PLACE],
            in_place_count: 0,
            lists: Chain(None),
            list_count: 0,
            on_list: ON_PAGE,
            tables: Chain(None),
            pages: 0..0,
        }
    }

    /// What the tables said of these pages has changed: it is flushed with the rest.
    pub(super) fn note(&mut self, pages: Range<u64>) {
        let is_first = self.pages.is_empty();
        let start = if is_first { pages.start } else { self.pages.start.min(pages.start) };
        self.pages = start..self.pages.end.max(pages.end);
    }

    /// Takes a frame that was mapped at `page`.
    pub(super) fn release(&mut self, page: u64, frame: Frame) {
        self.note(page..page + PAGE);
        self.put(frame.into_entry().as_u64());
    }

    /// Takes a huge page that was mapped at `page`.
    pub(super) fn release_huge(&mut self, page: u64, huge: HugeFrame) {
        self.note(page..page + HugeFrame::SIZE);
        self.put(huge.into_entry().as_u64() | HUGE);
    }

    /// Takes a table that was unlinked.
    pub(super) fn release_table(&mut self, table: Table) {
        // Any flush makes a CPU forget the ways through all tables; one must come, whatever was mapped there.
        if self.pages.is_empty() {
            self.note(USER_END - PAGE..USER_END);
        }
        self.tables.push(table);
    }

    fn put(&mut self, frame: u64) {
        if self.in_place_count < IN_PLACE {
            self.in_place[self.in_place_count] = frame;
            self.in_place_count += 1;
            return;
        }
        if self.on_list == ON_PAGE && !self.add_list() {
            // The frame itself is part of what is flushed here.
            self.finish();
            release(frame);
            return;
        }
        self.on_list += 1;
        if let Some(list) = self.lists.0 {
            list.set_word(self.on_list, frame);
        }
    }

    fn add_list(&mut self) -> bool {
        if self.list_count == MOST_PAGES {
            return false;
        }
        let Ok(list) = frame::allocate_table() else { return false };
        self.lists.push(list);
        self.list_count += 1;
        self.on_list = 0;
        true
    }

    /// Flushes, then lets everything go.
    pub(super) fn finish(&mut self) {
        if self.pages.is_empty() {
            return;
        }
        let taken = if self.tables.0.is_some() { Taken::Tables } else { Taken::Pages };
        let pages = core::mem::take(&mut self.pages);
        tlb::flush_user(self.root.table, &self.root.users, pages, taken);
        let count = core::mem::take(&mut self.in_place_count);
        self.in_place[..count].iter().for_each(|&frame| release(frame));
        let mut on_list = core::mem::replace(&mut self.on_list, ON_PAGE);
        while let Some(list) = self.lists.pop() {
            (1..=on_list).for_each(|index| release(list.word(index)));
            frame::free_table(list);
            on_list = ON_PAGE;
        }
        self.list_count = 0;
        while let Some(table) = self.tables.pop() {
            frame::free_table(table);
        }
    }
}

/// Gives a frame back, as it was noted.
fn release(frame: u64) {
    let address = PhysAddr::new(frame & !HUGE);
    if frame & HUGE != 0 {
        drop(HugeFrame::from_entry(address));
    } else {
        drop(Frame::from_entry(address));
    }
}

impl Drop for Gather<'_> {
    fn drop(&mut self) {
        self.finish();
    }
}
