//! The page cache while pages are on their way to the disk: who writes goes on, who takes pages away waits.

use crate::{
    error::Result,
    fs::{
        io::{Destination, Source},
        page_cache::{Backing, PageCache, PageStore, WritePlace},
    },
    sched::{self, State, wait::WaitQueue},
};
use alloc::sync::Arc;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use machine::{
    addr::PAGE_SIZE,
    mm::Frame,
    sync::{Once, SpinLock},
};
use test_macro::kernel_test;

/// A disk that does not end its first write before it is let.
struct SlowDisk {
    news: WaitQueue,
    has_begun: AtomicBool,
    may_end: AtomicBool,
    /// How many pages were written.
    written: AtomicUsize,
    /// What its one page holds.
    page: SpinLock<[u8; PAGE_SIZE]>,
}

impl SlowDisk {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            news: WaitQueue::named("slow-disk"),
            has_begun: AtomicBool::new(false),
            may_end: AtomicBool::new(false),
            written: AtomicUsize::new(0),
            page: SpinLock::new("slow-disk-page", [0xee; PAGE_SIZE]),
        })
    }

    fn tell(&self, what: &AtomicBool) {
        what.store(true, Ordering::Release);
        self.news.wake_all();
    }

    fn wait_for(&self, what: &AtomicBool) {
        self.news.wait(|| what.load(Ordering::Acquire).then_some(()));
    }
}

impl PageStore for SlowDisk {
    fn backing(&self) -> Backing {
        Backing::Disk
    }

    fn read(&self, _first: u64, frames: &[Frame]) -> Result<()> {
        frames.iter().for_each(|frame| frame.write(0, &*self.page.lock()));
        Ok(())
    }

    fn write(&self, first: u64, frames: &[Frame], _size: u64) -> Result<()> {
        self.tell(&self.has_begun);
        self.wait_for(&self.may_end);
        if first == 0 {
            frames[0].read(0, &mut *self.page.lock());
        }
        self.written.fetch_add(frames.len(), Ordering::AcqRel);
        Ok(())
    }

    fn reserve(&self, _range: Range<u64>) -> Result<()> {
        Ok(())
    }
}

/// A cache whose first page is on its way to the disk, by the thread.
fn with_a_page_in_flight() -> (Arc<SlowDisk>, Arc<PageCache>, Arc<sched::Thread>) {
    let disk = SlowDisk::new();
    let cache = PageCache::new(disk.clone(), 0);
    write_page(&cache, 0, 1);
    let writer = cache.clone();
    let thread = sched::spawn("test-write-back", move || writer.write_back().expect("the disk takes all"));
    disk.wait_for(&disk.has_begun);
    (disk, cache, thread.expect("a thread"))
}

fn write_page(cache: &PageCache, index: u64, byte: u8) {
    let bytes = [byte; PAGE_SIZE];
    let mut offset = index * PAGE_SIZE as u64;
    let written = cache.write(&mut offset, &mut Source::kernel(&bytes), WritePlace::Offset, u64::MAX);
    assert_eq!(written.ok(), Some(PAGE_SIZE));
}

fn join(thread: &sched::Thread) {
    while thread.state() != State::Exited {
        sched::yield_now();
    }
}

#[kernel_test]
fn writing_goes_on_while_pages_are_written_back() {
    let (disk, cache, thread) = with_a_page_in_flight();
    // It would not come back if it waited for the disk.
    (1..4).for_each(|index| write_page(&cache, index, 2));
    write_page(&cache, 0, 3);
    assert_eq!(disk.written.load(Ordering::Acquire), 0);
    disk.tell(&disk.may_end);
    join(&thread);
    // What was written meanwhile is dirty, the page in flight among it.
    cache.write_back().expect("the disk takes all");
    assert_eq!(disk.written.load(Ordering::Acquire), 5);
    assert_eq!(disk.page.lock()[17], 3);
}

#[kernel_test]
fn a_direct_read_waits_for_what_is_on_its_way() {
    let (disk, cache, thread) = with_a_page_in_flight();
    let seen = Arc::new(Once::new());
    let reader = {
        let (cache, seen) = (cache.clone(), seen.clone());
        sched::spawn("test-reader", move || {
            let mut bytes = [0; 512];
            let read = cache.read_direct(&mut 0, &mut Destination::kernel(&mut bytes));
            seen.call_once(|| (read.ok(), bytes[17]));
        })
    };
    (0..100).for_each(|_| sched::yield_now());
    disk.tell(&disk.may_end);
    join(&thread);
    join(&reader.expect("a thread"));
    assert_eq!(seen.get(), Some(&(Some(512), 1)), "not what the disk held before");
}

#[kernel_test]
fn space_is_taken_away_when_nothing_is_on_its_way() {
    let (disk, cache, thread) = with_a_page_in_flight();
    let written = Arc::new(AtomicUsize::new(usize::MAX));
    let shrinker = {
        let (disk, written) = (disk.clone(), written.clone());
        sched::spawn("test-truncation", move || {
            let note = || {
                written.store(disk.written.load(Ordering::Acquire), Ordering::Release);
                Ok(())
            };
            cache.resize(0, note).expect("it can be cut");
        })
    };
    (0..100).for_each(|_| sched::yield_now());
    disk.tell(&disk.may_end);
    join(&thread);
    join(&shrinker.expect("a thread"));
    assert_eq!(written.load(Ordering::Acquire), 1, "the page has reached the disk when its space goes");
}
