//! The request queue of a disk: between those who want transfers and a device that does many requests at a time.
//!
//! A device has one or several *lanes* (hardware queues); a thread uses that of its CPU, and each lane has a lock, a
//! [`request_queue::Queue`] (merging, order, deadlines) and tags of its own. A request that the device has is known
//! to the driver by lane and tag. What the rules are, so that nothing is lost:
//!
//! * Each transfer ends exactly once; while the device may touch its memory, the lane holds it.
//! * A request made of several transfers that fails is done again one by one ([`Outcome::Failed`]), so only the
//!   transfer that really fails is told EIO.
//! * A request that fails through no fault of its own ([`Outcome::Aborted`]) is done again by itself. One that the
//!   device says may work later ([`Outcome::Retry`]), and one that was not answered in time, gets [`ATTEMPTS`].
//! * A flush begins after it was asked for, and ends before whoever asked is told; a write that is to be safe is
//!   followed by one if the device does not know such writes.
//! * A device that does not answer is reset by the thread of `recovery.rs`; if it cannot be, or is removed, all
//!   transfers end with EIO, those of the future too.
//! * The driver's side is let go when the device is removed, however long the disk stays in use. Each lane has a
//!   [`Handle`] of its own on it, so that CPUs share nothing on the way of a request.
//!
//! Locks: that of the hardware; a lane's, then the driver's; the flush gate's by itself. All of this may run in interrupt
//! handlers, [`RequestQueue::submit`], [`RequestQueue::recover`] and [`RequestQueue::remove`] excepted, which sleep.

use super::hardware::{Command, Hardware, Job, Outcome, Request, Shape};
use super::transfer::{Durability, Operation, Transfer};
use super::{Access, BlockDevice, Features, Identity, Limits, statistics::Statistics};
use crate::error::{Error, Result};
use crate::sched::{self, wait::WaitQueue};
use crate::sync::Mutex;
use abi::errno::Errno;
use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use machine::sync::IrqSpinLock;
use machine::{cpu, time};
use request_queue::{FlushGate, Item, Kind};

/// How often a request is tried when it does not work for a reason that may pass.
pub(super) const ATTEMPTS: u8 = 4;

/// Requests that wait in a lane before those who want more have to wait.
const MAX_PENDING: usize = 64;

/// When a request is started at the latest, if the device is free.
const READ_DEADLINE_NS: u64 = 500_000_000;
const WRITE_DEADLINE_NS: u64 = 5_000_000_000;

struct Running {
    request: Request,
    /// When its time is over.
    deadline: u64,
    started: u64,
}

struct Lane {
    state: IrqSpinLock<LaneState>,
    /// Woken when there is room for more.
    room: WaitQueue,
}

/// A lane's own reference to the hardware.
type Handle = Arc<Arc<dyn Hardware>>;

struct LaneState {
    /// `None`: the device is gone.
    hardware: Option<Handle>,
    queue: request_queue::Queue<Job>,
    running: Vec<Option<Running>>,
    free: Vec<u16>,
}

/// Whether requests are started.
mod condition {
    pub(super) const WORKS: u8 = 0;
    pub(super) const RESETTING: u8 = 1;
    pub(super) const DEAD: u8 = 2;
}

/// The request queue of a device. See the module.
pub(crate) struct RequestQueue {
    /// Held while the device is reset or given up; `None`: it is gone.
    hardware: Mutex<Option<Arc<dyn Hardware>>>,
    identity: Identity,
    shape: Shape,
    lanes: Vec<Lane>,
    gate: IrqSpinLock<FlushGate<Arc<Transfer>>>,
    condition: AtomicU8,
    /// The driver saw that the device has to be reset.
    needs_reset: AtomicBool,
    statistics: Statistics,
}

impl RequestQueue {
    /// The queue of a device that is ready for work.
    pub(crate) fn new(hardware: Arc<dyn Hardware>, shape: Shape) -> Arc<Self> {
        let lane = |_| {
            let running = (0..shape.limits.depth).map(|_| None).collect();
            let free = (0..shape.limits.depth as u16).rev().collect();
            let queue = request_queue::Queue::new(shape.limits);
            let handle = Some(Arc::new(hardware.clone()));
            let state = IrqSpinLock::new("disk lane", LaneState { hardware: handle, queue, running, free });
            Lane { state, room: WaitQueue::named("disk-room") }
        };
        let lanes = (0..shape.lanes.max(1)).map(lane).collect();
        let queue = Arc::new(Self {
            identity: hardware.identify(),
            hardware: Mutex::new("disk recovery", Some(hardware)),
            shape,
            lanes,
            gate: IrqSpinLock::new("disk flush gate", FlushGate::new()),
            condition: AtomicU8::new(condition::WORKS),
            needs_reset: AtomicBool::new(false),
            statistics: Statistics::default(),
        });
        super::recovery::watch(&queue);
        queue
    }

    /// Whether it is of no use any more.
    pub(super) fn is_dead(&self) -> bool {
        self.condition.load(Ordering::Acquire) == condition::DEAD
    }

    fn insert(&self, lane: usize, job: Job) {
        let is_plain = matches!(job.transfer.operation, Operation::Read | Operation::Write(_));
        let item = item_of(job, self.shape.are_others_alone && !is_plain);
        let is_read = item.kind == Kind::Read;
        let was_merged = self.lanes[lane].state.lock().queue.insert(item);
        if was_merged {
            self.statistics.note_merge(is_read);
        }
    }

    /// Starts what can be started in a lane.
    fn run(&self, lane: usize) {
        let mut to_kick = None;
        let mut refused = Vec::new();
        {
            let mut state = self.lanes[lane].state.lock();
            let state = &mut *state;
            while self.condition.load(Ordering::Acquire) == condition::WORKS
                && let Some(hardware) = &state.hardware
                && let Some(&tag) = state.free.last()
            {
                let now = time::monotonic_ns();
                let Some(request) = state.queue.next(now) else { break };
                match hardware.start(lane, tag, &Command::of(&request)) {
                    Ok(()) => {
                        state.free.pop();
                        let deadline = now.saturating_add(self.shape.time_limit_ns);
                        state.running[usize::from(tag)] = Some(Running { request, deadline, started: now });
                        if to_kick.is_none() {
                            to_kick = Some(hardware.clone());
                        }
                    }
                    // There is room again when something has ended; if nothing is under way, recovery asks again.
                    Err(error) if error.errno == Errno::EBUSY => {
                        state.queue.put_back(request);
                        break;
                    }
                    Err(error) => {
                        state.queue.done(request.id);
                        refused.push((request, error));
                    }
                }
            }
        }
        if let Some(hardware) = to_kick {
            hardware.kick(lane);
        }
        for (request, error) in refused {
            request.parts.into_iter().for_each(|job| self.finish(lane, job, Err(error)));
        }
    }

    /// A request has ended. To be called by the driver, in any context, without a lock that [`Hardware::start`] takes;
    /// [`resume`](Self::resume) must follow. A tag that is not under way is ignored.
    pub(crate) fn complete(&self, lane: usize, tag: u16, outcome: Outcome) {
        let mut state = self.lanes[lane].state.lock();
        let Some(running) = state.running.get_mut(usize::from(tag)).and_then(Option::take) else { return };
        state.free.push(tag);
        let Running { mut request, started, .. } = running;
        if outcome == Outcome::Retry {
            request.parts.iter_mut().for_each(|job| job.attempts += 1);
        }
        let has_attempts = request.parts.iter().all(|job| job.attempts < ATTEMPTS);
        let is_shared = request.parts.len() > 1;
        match outcome {
            Outcome::Failed if is_shared => state.queue.retry(request, |job| item_of(job, true)),
            Outcome::Retry | Outcome::Aborted if has_attempts || is_shared => {
                state.queue.retry(request, |job| item_of(job, true));
            }
            _ => {
                state.queue.done(request.id);
                drop(state);
                self.statistics.note(&Command::of(&request), time::monotonic_ns().saturating_sub(started));
                let outcome = match outcome {
                    Outcome::Done => Ok(()),
                    Outcome::Unsupported => {
                        Err(Error::new(Errno::EOPNOTSUPP, "the device cannot do this request"))
                    }
                    _ => Err(Error::new(Errno::EIO, "the device reports an error")),
                };
                request.parts.into_iter().for_each(|job| self.finish(lane, job, outcome));
            }
        }
    }

    /// Goes on after requests of a lane have ended.
    pub(crate) fn resume(&self, lane: usize) {
        self.run(lane);
        if self.lanes[lane].state.lock().queue.len() < MAX_PENDING {
            self.lanes[lane].room.wake_all();
        }
    }

    /// Tells that a transfer has ended, or has a flush follow.
    fn finish(&self, lane: usize, job: Job, outcome: Result<()>) {
        let transfer = job.transfer;
        match transfer.operation {
            Operation::Flush => {
                let (served, is_next) = self.gate.lock().end();
                served.iter().for_each(|transfer| transfer.finish(outcome));
                // The next flush is asked for by one of those whom it serves.
                if is_next {
                    self.start_flush(lane);
                }
            }
            Operation::Write(Durability::Safe) if outcome.is_ok() && self.needs_flush() => {
                self.ask_for_flush(lane, transfer);
            }
            _ => transfer.finish(outcome),
        }
    }

    /// Whether safe writes are plain writes with a flush.
    fn needs_flush(&self) -> bool {
        self.shape.features.has_cache && !self.shape.features.has_safe_writes
    }

    fn ask_for_flush(&self, lane: usize, who: Arc<Transfer>) {
        if self.gate.lock().ask(who) {
            self.start_flush(lane);
        }
    }

    fn start_flush(&self, lane: usize) {
        let transfer = Transfer::flush();
        if self.is_dead() {
            return self.finish(lane, Job { transfer, attempts: 0 }, Err(gone()));
        }
        self.insert(lane, Job { transfer, attempts: 0 });
        self.run(lane);
    }

    /// The device has to be reset: what it has is done again afterwards. From any context.
    pub(crate) fn request_reset(&self) {
        self.needs_reset.store(true, Ordering::Release);
        super::recovery::wake();
    }

    /// Resets the device if it has to be, and starts what was left behind. Called by the thread of `recovery.rs`.
    pub(super) fn recover(&self, now: u64) {
        let is_late =
            |lane: &Lane| lane.state.lock().running.iter().flatten().any(|running| running.deadline <= now);
        let needs_reset = self.needs_reset.swap(false, Ordering::AcqRel);
        if needs_reset || self.lanes.iter().any(is_late) {
            if !needs_reset {
                log::error!("block: a disk does not answer: resetting it");
            }
            self.reset(now);
        }
        (0..self.lanes.len()).for_each(|lane| self.resume(lane));
    }

    fn reset(&self, now: u64) {
        let hardware = self.hardware.lock();
        let Some(hardware) = hardware.as_ref().filter(|_| !self.is_dead()) else { return };
        self.condition.store(condition::RESETTING, Ordering::Release);
        // Nobody is in the middle of starting a request afterwards.
        self.lanes.iter().for_each(|lane| drop(lane.state.lock()));
        if let Err(error) = hardware.reset() {
            log::error!("block: a disk is of no use any more: {error}");
            return self.give_up();
        }
        self.begin_again(now);
        self.condition.store(condition::WORKS, Ordering::Release);
    }

    /// The device was reset on behalf of another disk: all that it had begins again, after [`resume`](Self::resume).
    pub(crate) fn abort_all(&self) {
        self.begin_again(0);
    }

    /// Takes back all that the device had, which does not touch it any more. What is late then was tried once more.
    fn begin_again(&self, now: u64) {
        for (index, lane) in self.lanes.iter().enumerate() {
            for tag in 0..self.shape.limits.depth {
                let is_late = |running: &Running| running.deadline <= now;
                let was_late = lane.state.lock().running[tag].as_ref().is_some_and(is_late);
                self.complete(index, tag as u16, if was_late { Outcome::Retry } else { Outcome::Aborted });
            }
        }
    }

    /// The device goes, or is gone: all transfers end with EIO, now and from now on, and its disks are not found any more.
    /// On return nobody here uses the hardware, which is stopped. Sleeps.
    pub(crate) fn remove(&self) {
        self.end();
        super::registry::remove(self);
    }

    /// The same, but its disks are found until [`remove`](Self::remove): for devices with several disks, one of which may just be
    /// taken in by somebody who waits for a transfer.
    pub(crate) fn end(&self) {
        let mut hardware = self.hardware.lock();
        self.condition.store(condition::DEAD, Ordering::Release);
        for lane in &self.lanes {
            let Some(handle) = lane.state.lock().hardware.take() else { continue };
            // Somebody may just be telling the device of what was started.
            while Arc::strong_count(&handle) > 1 {
                sched::yield_now();
            }
        }
        if let Some(hardware) = hardware.take() {
            hardware.stop();
        }
        drop(hardware);
        self.give_up();
    }

    fn give_up(&self) {
        self.condition.store(condition::DEAD, Ordering::Release);
        for (index, lane) in self.lanes.iter().enumerate() {
            let mut state = lane.state.lock();
            let mut requests = state.queue.drain();
            for tag in 0..state.running.len() {
                if let Some(running) = state.running[tag].take() {
                    state.free.push(tag as u16);
                    state.queue.done(running.request.id);
                    requests.push(running.request);
                }
            }
            drop(state);
            let jobs = requests.into_iter().flat_map(|request| request.parts);
            jobs.for_each(|job| self.finish(index, job, Err(gone())));
            lane.room.wake_all();
        }
    }

    /// The earliest time at which a request is late.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        let of = |lane: &Lane| lane.state.lock().running.iter().flatten().map(|r| r.deadline).min();
        self.lanes.iter().filter_map(of).min()
    }
}

impl BlockDevice for RequestQueue {
    fn size_bytes(&self) -> u64 {
        self.shape.size_bytes
    }

    fn block_size(&self) -> u32 {
        self.shape.block_size
    }

    fn access(&self) -> Access {
        self.shape.access
    }

    fn features(&self) -> Features {
        self.shape.features
    }

    fn limits(&self) -> Limits {
        self.shape.limits
    }

    fn memory_alignment(&self) -> u32 {
        self.shape.memory_alignment
    }

    fn submit(&self, transfers: Vec<Arc<Transfer>>) {
        let lane = cpu::current_id() % self.lanes.len();
        for transfer in transfers {
            if transfer.operation == Operation::Flush {
                match self.shape.features.has_cache {
                    true => self.ask_for_flush(lane, transfer),
                    // What is written is safe at once.
                    false => transfer.finish(if self.is_dead() { Err(gone()) } else { Ok(()) }),
                }
                continue;
            }
            let has_room = || self.is_dead() || self.lanes[lane].state.lock().queue.len() < MAX_PENDING;
            if !has_room() {
                self.run(lane);
                self.lanes[lane].room.wait(|| has_room().then_some(()));
            }
            self.insert(lane, Job { transfer, attempts: 0 });
        }
        self.run(lane);
        if self.is_dead() {
            self.give_up();
        }
    }

    fn identify(&self) -> Identity {
        self.identity.clone()
    }

    fn statistics(&self) -> Option<&Statistics> {
        Some(&self.statistics)
    }
}

fn gone() -> Error {
    Error::new(Errno::EIO, "the disk is gone")
}

fn item_of(job: Job, is_alone: bool) -> Item<Job> {
    let transfer = &job.transfer;
    let (kind, wait) = match transfer.operation {
        Operation::Read => (Kind::Read, READ_DEADLINE_NS),
        Operation::Write(Durability::Cached) => (Kind::Write, WRITE_DEADLINE_NS),
        Operation::Write(Durability::Safe) => (Kind::WriteThrough, READ_DEADLINE_NS),
        Operation::Discard | Operation::WriteZeroes => (Kind::Change, WRITE_DEADLINE_NS),
        Operation::Flush => (Kind::Command, READ_DEADLINE_NS),
    };
    Item {
        kind,
        start: transfer.offset,
        length: transfer.length,
        segments: transfer.segments.len(),
        borders: transfer.borders(),
        priority: transfer.priority,
        deadline: time::monotonic_ns() + wait,
        is_alone,
        what: job,
    }
}
