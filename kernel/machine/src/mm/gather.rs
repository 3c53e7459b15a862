//! Frames and tables that have left an address space and wait until the CPUs have forgotten them.

use super::{
    entry::Table,
    frame::{self, Frame},
    huge::HugeFrame,
    tlb,
};
use crate::addr::{PAGE_SIZE, USER_END};
use core::ops::Range;

const PAGE: u64 = PAGE_SIZE as u64;
/// So many of each are released with one flush.
const FRAMES: usize = 32;
const TABLES: usize = 8;
const HUGE: usize = 8;

/// See the module. Dropped with something in it, it flushes and releases.
pub(super) struct Gather<'a> {
    loaded: &'a tlb::CpuSet,
    frames: Batch<Frame, FRAMES>,
    huge: Batch<HugeFrame, HUGE>,
    tables: Batch<Table, TABLES>,
    /// What must be flushed.
    pages: Range<u64>,
}

struct Batch<T, const N: usize> {
    items: [Option<T>; N],
    count: usize,
}

impl<T, const N: usize> Batch<T, N> {
    const EMPTY: Self = Self { items: [const { None }; N], count: 0 };

    fn is_full(&self) -> bool {
        self.count == N
    }

    fn push(&mut self, item: T) {
        self.items[self.count] = Some(item);
        self.count += 1;
    }

    fn release(&mut self, mut each: impl FnMut(T)) {
        let count = core::mem::take(&mut self.count);
        self.items[..count].iter_mut().filter_map(Option::take).for_each(&mut each);
    }
}

impl<'a> Gather<'a> {
    pub(super) fn new(loaded: &'a tlb::CpuSet) -> Self {
        Self { loaded, frames: Batch::EMPTY, huge: Batch::EMPTY, tables: Batch::EMPTY, pages: 0..0 }
    }

    /// What the tables said of these pages has changed: it is flushed with the rest.
    pub(super) fn note(&mut self, pages: Range<u64>) {
        let is_first = self.pages.is_empty();
        let start = if is_first { pages.start } else { self.pages.start.min(pages.start) };
        self.pages = start..self.pages.end.max(pages.end);
    }

    /// Takes a frame that was mapped at `page`.
    pub(super) fn release(&mut self, page: u64, frame: Frame) {
        if self.frames.is_full() {
            self.finish();
        }
        self.note(page..page + PAGE);
        self.frames.push(frame);
    }

    /// Takes a huge page that was mapped at `page`.
    pub(super) fn release_huge(&mut self, page: u64, huge: HugeFrame) {
        if self.huge.is_full() {
            self.finish();
        }
        self.note(page..page + HugeFrame::SIZE);
        self.huge.push(huge);
    }

    /// Takes a table that was unlinked.
    pub(super) fn release_table(&mut self, table: Table) {
        if self.tables.is_full() {
            self.finish();
        }
        // Any flush makes a CPU forget the ways through all tables; one must come, whatever was mapped there.
        if self.pages.is_empty() {
            self.note(USER_END - PAGE..USER_END);
        }
        self.tables.push(table);
    }

    /// Flushes, then lets everything go.
    pub(super) fn finish(&mut self) {
        if self.pages.is_empty() {
            return;
        }
        tlb::flush_user(self.loaded, core::mem::take(&mut self.pages));
        self.frames.release(drop);
        self.huge.release(drop);
        self.tables.release(frame::free_table);
    }
}

impl Drop for Gather<'_> {
    fn drop(&mut self) {
        self.finish();
    }
}
