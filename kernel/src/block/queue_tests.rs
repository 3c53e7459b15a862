//! Tests of the request queue with a device that does what it is told to, when it is told to.

use super::hardware::{Command, Hardware, Outcome, Shape};
use super::queue::RequestQueue;
use super::{Access, Batch, Disk, Durability, Features, Limits, Operation, Priority, Segment};
use crate::error::{Error, Result};
use crate::sched;
use abi::errno::Errno;
use abi::stat::DeviceNumber;
use alloc::{string::String, sync::Arc, sync::Weak, vec, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use machine::addr::PAGE_SIZE;
use machine::mm::Frame;
use machine::sync::{IrqSpinLock, Once};
use machine::time;
use test_macro::kernel_test;

const PAGE: u64 = PAGE_SIZE as u64;
const PAGES: u64 = 256;
const DEPTH: usize = 4;
const LIMIT_NS: u64 = 20_000_000;

/// What the device does with requests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// Works.
    Works,
    /// Says nothing until it is reset.
    Silent,
    /// Says nothing, and cannot be reset.
    Broken,
    /// Ends everything that is under way with an error when one request touches the page, as NCQ does.
    AbortsAt(u64),
    /// Fails requests that touch the page, and does the others.
    FailsAt(u64),
    /// Fails so many requests, and works afterwards.
    Moody(usize),
}

/// A device of 256 pages, in memory. Requests are done when it is kicked.
struct Fake {
    queue: Once<Weak<RequestQueue>>,
    state: IrqSpinLock<State>,
    resets: AtomicUsize,
}

struct State {
    mood: Mood,
    contents: Vec<Frame>,
    /// What the device has: its tag, and what it shall do.
    has: Vec<(u16, Told)>,
    /// All that it ever did: what, first page, pages.
    done: Vec<(Operation, u64, u64)>,
    /// Somebody is doing what the device has.
    is_kicked: bool,
}

#[derive(Clone)]
struct Told {
    operation: Operation,
    page: u64,
    frames: Vec<Frame>,
}

impl Told {
    fn touches(&self, page: u64) -> bool {
        (self.page..self.page + self.frames.len() as u64).contains(&page)
    }
}

impl Hardware for Fake {
    fn start(&self, _lane: usize, tag: u16, command: &Command<'_>) -> Result<()> {
        let frames: Vec<_> = command.segments().map(|segment| segment.frame.clone()).collect();
        assert_eq!(frames.len() as u64 * PAGE, command.length);
        let page = command.offset / PAGE;
        let operation = command.operation;
        self.state.lock().has.push((tag, Told { operation, page, frames }));
        Ok(())
    }

    fn kick(&self, lane: usize) {
        let Some(queue) = self.queue.get().and_then(Weak::upgrade) else { return };
        // What completions start is done here too, not deeper and deeper on the stack.
        if core::mem::replace(&mut self.state.lock().is_kicked, true) {
            return;
        }
        loop {
            let Some(outcomes) = self.state.lock().work() else { break };
            for (tag, outcome) in outcomes {
                queue.complete(lane, tag, outcome);
            }
            queue.resume(lane);
        }
    }

    fn reset(&self) -> Result<()> {
        self.resets.fetch_add(1, Ordering::AcqRel);
        let mut state = self.state.lock();
        state.has.clear();
        match state.mood {
            Mood::Broken => Err(Error::new(Errno::EIO, "broken on purpose")),
            _ => {
                state.mood = Mood::Works;
                Ok(())
            }
        }
    }

    fn stop(&self) {
        self.state.lock().has.clear();
    }
}

impl State {
    /// Does what the device has; `None` if it has nothing.
    fn work(&mut self) -> Option<Vec<(u16, Outcome)>> {
        if self.has.is_empty() || matches!(self.mood, Mood::Silent | Mood::Broken) {
            self.is_kicked = false;
            return None;
        }
        let has = core::mem::take(&mut self.has);
        Some(match self.mood {
            Mood::AbortsAt(page) if has.iter().any(|(_, told)| told.touches(page)) => {
                let outcome = if has.len() == 1 { Outcome::Failed } else { Outcome::Aborted };
                has.iter().map(|(tag, _)| (*tag, outcome)).collect()
            }
            _ => has.iter().map(|(tag, told)| (*tag, self.perform(told))).collect(),
        })
    }

    fn perform(&mut self, told: &Told) -> Outcome {
        match &mut self.mood {
            Mood::FailsAt(page) if told.touches(*page) => return Outcome::Failed,
            Mood::Moody(count) if *count > 0 => {
                *count -= 1;
                return Outcome::Retry;
            }
            _ => {}
        }
        self.done.push((told.operation, told.page, told.frames.len() as u64));
        for (page, frame) in (told.page..).zip(&told.frames) {
            match told.operation {
                Operation::Read => frame.copy_from(&self.contents[page as usize]),
                _ => self.contents[page as usize].copy_from(frame),
            }
        }
        Outcome::Done
    }
}

fn device(mood: Mood, features: Features) -> (Arc<Fake>, Arc<Disk>) {
    let contents = (0..PAGES).map(|_| Frame::allocate_zeroed().expect("a page")).collect();
    let state = State { mood, contents, has: Vec::new(), done: Vec::new(), is_kicked: false };
    let state = IrqSpinLock::new("fake disk", state);
    let fake = Arc::new(Fake { queue: Once::new(), state, resets: AtomicUsize::new(0) });
    let shape = Shape {
        size_bytes: PAGES * PAGE,
        block_size: 512,
        access: Access::ReadWrite,
        features,
        limits: Limits { max_length: 8 * PAGE, max_segments: 8, depth: DEPTH, needs_whole_pages: false },
        lanes: 1,
        are_others_alone: false,
        time_limit_ns: LIMIT_NS,
        memory_alignment: 4,
    };
    let queue = RequestQueue::new(fake.clone(), shape);
    fake.queue.call_once(|| Arc::downgrade(&queue));
    (fake, Disk::whole(String::from("fake"), DeviceNumber::new(1, 254), queue, None))
}

fn page_of(value: u8) -> Frame {
    let frame = Frame::allocate().expect("a page");
    frame.write(0, &[value; PAGE_SIZE]);
    frame
}

fn add_write(disk: &Disk, batch: &mut Batch<'_>, page: u64, durability: Durability) {
    let segments = vec![Segment::first(page_of(page as u8), PAGE_SIZE)];
    disk.add(batch, Operation::Write(durability), page * PAGE, segments).expect("it is on the disk");
}

fn write(disk: &Disk, pages: core::ops::Range<u64>) -> Vec<Result<()>> {
    let mut batch = disk.batch(Priority::Normal);
    pages.for_each(|page| add_write(disk, &mut batch, page, Durability::Cached));
    batch.wait_for_each().into_iter().map(|(_, outcome)| outcome).collect()
}

fn first_byte(fake: &Fake, page: u64) -> u8 {
    let mut byte = [0];
    fake.state.lock().contents[page as usize].read(0, &mut byte);
    byte[0]
}

#[kernel_test]
fn neighbours_of_a_batch_are_one_request() {
    let (fake, disk) = device(Mood::Works, Features::default());
    assert!(write(&disk, 10..26).iter().all(Result::is_ok));
    let done = core::mem::take(&mut fake.state.lock().done);
    let write_of = |page| (Operation::Write(Durability::Cached), page, 8);
    assert_eq!(done, [write_of(10), write_of(18)]);
    let mut bytes = vec![0; 16 * PAGE_SIZE];
    disk.read(10 * PAGE, &mut bytes).expect("what was written");
    assert!((10..).zip(bytes.chunks(PAGE_SIZE)).all(|(page, bytes)| bytes.iter().all(|byte| *byte == page)));
    let counts = disk.statistics().expect("they are counted").requests();
    assert_eq!(counts, [2, 2, 0]);
}

#[kernel_test]
fn the_block_cache_asks_for_neighbours_together() {
    let (_, disk) = device(Mood::Works, Features::default());
    let cache = disk.cache();
    let requests = || disk.statistics().expect("they are counted").requests()[..2].to_vec();
    for page in 32..64 {
        cache.write(page * PAGE, &[page as u8; PAGE_SIZE]).expect("within the disk");
    }
    assert_eq!(requests(), [0, 0], "whole blocks need not be read, and can wait");
    cache.flush().expect("the device works");
    assert_eq!(requests(), [0, 4], "the device takes 8 pages at a time");
    cache.shrink(0);
    let mut bytes = vec![0; 32 * PAGE_SIZE];
    for _ in 0..2 {
        cache.read(32 * PAGE, &mut bytes).expect("the device works");
        assert!(
            (32..).zip(bytes.chunks(PAGE_SIZE)).all(|(page, bytes)| bytes.iter().all(|byte| *byte == page))
        );
        assert_eq!(requests(), [4, 4], "what was read is there");
    }
}

#[kernel_test]
fn only_the_sector_that_fails_is_lost() {
    for mood in [Mood::FailsAt(13), Mood::AbortsAt(13)] {
        let (fake, disk) = device(mood, Features::default());
        let outcomes = write(&disk, 5..40);
        for (page, outcome) in (5..).zip(outcomes) {
            let expected = if page == 13 { Err(Errno::EIO) } else { Ok(()) };
            assert_eq!(outcome.map_err(|error| error.errno), expected, "page {page}");
            assert_eq!(first_byte(&fake, page), if page == 13 { 0 } else { page as u8 });
        }
    }
}

#[kernel_test]
fn what_may_work_later_is_tried_again() {
    let (_, disk) = device(Mood::Moody(3), Features::default());
    assert_eq!(write(&disk, 7..8), [Ok(())]);
    let (fake, disk) = device(Mood::Moody(1000), Features::default());
    let outcomes = write(&disk, 7..8);
    assert_eq!(outcomes[0].map_err(|error| error.errno), Err(Errno::EIO));
    assert!(matches!(fake.state.lock().mood, Mood::Moody(left) if left >= 990));
}

#[kernel_test]
fn a_silent_device_is_reset_and_nothing_is_lost() {
    let (fake, disk) = device(Mood::Silent, Features::default());
    assert!(write(&disk, 0..100).iter().all(Result::is_ok));
    assert!(fake.resets.load(Ordering::Acquire) >= 1);
    assert!((0..100).all(|page| first_byte(&fake, page) == page as u8));
}

#[kernel_test]
fn a_device_that_cannot_be_reset_fails_everything() {
    let (fake, disk) = device(Mood::Broken, Features::default());
    let outcomes = write(&disk, 0..100);
    assert!(outcomes.iter().all(|outcome| outcome.map_err(|error| error.errno) == Err(Errno::EIO)));
    let mut buffer = [0; 512];
    assert_eq!(disk.read(0, &mut buffer).map_err(|error| error.errno), Err(Errno::EIO));
    assert_eq!(disk.flush().map_err(|error| error.errno), Err(Errno::EIO));
    assert_eq!(fake.resets.load(Ordering::Acquire), 1);
}

#[kernel_test]
fn a_device_that_is_taken_away_fails_what_it_has() {
    let (fake, disk) = device(Mood::Silent, Features { has_cache: true, ..Features::default() });
    static WAITERS: AtomicUsize = AtomicUsize::new(0);
    WAITERS.store(0, Ordering::Release);
    for page in 0..6 {
        let disk = disk.clone();
        let body = move || {
            let outcome = if page == 5 {
                disk.flush()
            } else {
                disk.write(page * PAGE, &vec![1; PAGE_SIZE], Durability::Cached)
            };
            assert_eq!(outcome.map_err(|error| error.errno), Err(Errno::EIO));
            WAITERS.fetch_add(1, Ordering::AcqRel);
        };
        sched::spawn("writer", body).expect("a thread");
    }
    wait_until(|| !fake.state.lock().has.is_empty());
    let queue = fake.queue.get().and_then(Weak::upgrade).expect("the disk has it");
    queue.remove();
    assert_eq!(Arc::strong_count(&fake), 1, "the hardware was let go, though the disk is still there");
    wait_until(|| WAITERS.load(Ordering::Acquire) == 6);
    assert_eq!(disk.read(0, &mut [0; PAGE_SIZE]).map_err(|error| error.errno), Err(Errno::EIO));
}

fn wait_until(condition: impl Fn() -> bool) {
    let deadline = time::monotonic_ns() + 30_000_000_000;
    while !condition() {
        assert!(time::monotonic_ns() < deadline, "it does not come about");
        sched::yield_now();
    }
}

#[kernel_test]
fn a_safe_write_is_followed_by_a_flush_if_the_device_needs_one() {
    let operations = |features| {
        let (fake, disk) = device(Mood::Works, features);
        let mut batch = disk.batch(Priority::Urgent);
        add_write(&disk, &mut batch, 3, Durability::Safe);
        batch.wait().expect("it works");
        let done = core::mem::take(&mut fake.state.lock().done);
        done.into_iter().map(|(operation, ..)| operation).collect::<Vec<_>>()
    };
    let (safe, plain) = (Operation::Write(Durability::Safe), Features::default());
    assert_eq!(operations(plain), [safe]);
    let has_cache = Features { has_cache: true, ..plain };
    assert_eq!(operations(has_cache), [safe, Operation::Flush]);
    assert_eq!(operations(Features { has_safe_writes: true, ..has_cache }), [safe]);
}

#[kernel_test]
fn flushes_reach_the_device_if_it_has_a_cache() {
    for has_cache in [false, true] {
        let (fake, disk) = device(Mood::Works, Features { has_cache, ..Features::default() });
        disk.flush().expect("it works");
        assert_eq!(fake.state.lock().done.len(), usize::from(has_cache));
    }
}

#[kernel_test]
fn many_threads_share_a_queue() {
    let (fake, disk) = device(Mood::FailsAt(200), Features { has_cache: true, ..Features::default() });
    static DONE: AtomicUsize = AtomicUsize::new(0);
    static WENT_WRONG: AtomicBool = AtomicBool::new(false);
    DONE.store(0, Ordering::Release);
    WENT_WRONG.store(false, Ordering::Release);
    for thread in 0..6_u64 {
        let disk = disk.clone();
        let body = move || {
            for round in 0..40 {
                let page = thread * 40 + (round * 7 + thread) % 40;
                let outcome = write(&disk, page..page + 1)[0].and_then(|()| disk.flush());
                let mut byte = [0];
                let frame = Frame::allocate_zeroed().expect("a page");
                let read = disk.read_frames(page * PAGE, core::slice::from_ref(&frame));
                frame.read(0, &mut byte);
                let is_bad = page == 200;
                let fits = outcome.is_err() == is_bad && read.is_err() == is_bad;
                if !fits || (!is_bad && byte[0] != page as u8) {
                    WENT_WRONG.store(true, Ordering::Release);
                }
            }
            DONE.fetch_add(1, Ordering::AcqRel);
        };
        sched::spawn("disk-user", body).expect("a thread");
    }
    wait_until(|| DONE.load(Ordering::Acquire) == 6);
    assert!(!WENT_WRONG.load(Ordering::Acquire));
    assert!(fake.state.lock().has.is_empty());
}
