//! The adapter: its queues, commands that threads wait for, and resets.
//!
//! A lane is a queue for commands. Which command a buffer that comes back belongs to stands here, not in what the device says;
//! where the command's bytes and the answer are, the unit knows. Commands that find out what a unit is are few: one at
//! a time, in the first lane, and whoever asks waits.
//!
//! A unit that does not answer is reset through the control queue. If that does not help, the whole adapter is, and what other
//! units have under way begins again.

use super::super::ring::{Ring, SharedMemory, hand_over};
use super::super::session::Session;
use super::super::slots::Slots;
use super::unit::Unit;
use super::wire::{self, ANSWER, Address, Answer, Event, REQUEST, config, queue};
use crate::block::RequestQueue;
use crate::device::registry::Node;
use crate::error::{Error, Result};
use crate::sched::{self, wait::WaitQueue};
use crate::sync::Mutex;
use abi::errno::Errno;
use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use machine::mm::DmaBuffer;
use machine::sync::{IrqSpinLock, SpinLock};
use machine::{cpu, time};
use virtqueue::{AddError, Buffer, VirtQueue};

/// After so many resets without a command that went well between, the adapter is given up.
const MAX_RESETS: u32 = 6;
/// Buffers of a command: two, and 256 KiB of data.
const MAX_CHAIN: u16 = 66;
/// Bytes of an answer's data that a thread gets.
pub(super) const ASKED: usize = 4096;
/// How long a command may take that a thread waits for, and a wish for control.
const ASK_LIMIT_NS: u64 = 10_000_000_000;
const CONTROL_LIMIT_NS: u64 = 5_000_000_000;
const STEP_NS: u64 = 1_000_000;

/// Where a command stands in the memory of whoever asks, and where its answer and the data.
const ASK_ANSWER: usize = 128;
const ASK_DATA: usize = 512;

/// A unit in service.
#[derive(Clone)]
pub(super) struct Served {
    pub(super) unit: Arc<Unit>,
    pub(super) requests: Arc<RequestQueue>,
}

/// See the module.
pub(super) struct Host {
    // Dropped first: the device is reset before its memory goes.
    pub(super) session: Session,
    pub(super) node: Arc<Node>,
    pub(super) lanes: Vec<Lane>,
    control: Mutex<Control>,
    events: IrqSpinLock<Slots>,
    /// Woken when there may be an event.
    pub(super) news: WaitQueue,
    asking: Mutex<DmaBuffer>,
    asked: IrqSpinLock<Option<Asked>>,
    is_answered: WaitQueue,
    pub(super) units: SpinLock<Vec<Served>>,
    /// Held while the adapter is reset.
    resetting: Mutex<()>,
    /// How often it was since a command went well.
    pub(super) resets: AtomicU32,
    /// Held while units are looked for.
    pub(super) looking: Mutex<()>,
    pub(super) is_gone: AtomicBool,
    /// Somebody says that there are other units than before.
    pub(super) is_to_look: AtomicBool,
}

/// A queue for commands.
pub(super) struct Lane {
    state: IrqSpinLock<LaneState>,
}

struct LaneState {
    queue: VirtQueue<SharedMemory>,
    /// By token.
    started: Vec<Option<Started>>,
    /// Room to put a chain together.
    chain: Vec<Buffer>,
    /// The device breaks the rules, or is being reset: nothing is started.
    is_closed: bool,
}

/// Whose command the device has.
enum Started {
    /// That of a request to a unit, which reads so many bytes.
    Request { unit: Arc<Unit>, tag: u16, expected: u32 },
    /// That of the thread that asks.
    Asked,
}

struct Control {
    queue: VirtQueue<SharedMemory>,
    buffer: DmaBuffer,
    is_broken: bool,
}

/// How the command ended that a thread waits for: so much was written; or not at all.
type Asked = core::result::Result<u32, ()>;

impl Host {
    /// Takes an adapter into service, without looking for units.
    pub(super) fn start(session: Session, node: Arc<Node>) -> Result<Arc<Self>> {
        let lanes = (session.config::<u32>(config::QUEUES) as usize).clamp(1, cpu::count());
        let lanes = (0..lanes).map(|index| Lane::new(&session, index)).collect::<Result<Vec<_>>>()?;
        let Ring { queue, .. } = Ring::new(&session, queue::CONTROL, 0)?;
        let control = Control { queue, buffer: DmaBuffer::allocate(128)?, is_broken: false };
        let events = Slots::new(&session, queue::EVENTS, wire::EVENT)?;
        let host = Arc::new(Self {
            session,
            node,
            lanes,
            control: Mutex::new("virtio-scsi control", control),
            events: IrqSpinLock::new("virtio-scsi events", events),
            news: WaitQueue::named("virtio-scsi"),
            asking: Mutex::new("virtio-scsi asking", DmaBuffer::allocate(ASK_DATA + ASKED)?),
            asked: IrqSpinLock::new("virtio-scsi answer", None),
            is_answered: WaitQueue::named("virtio-scsi-answer"),
            units: SpinLock::new("virtio-scsi units", Vec::new()),
            resetting: Mutex::new("virtio-scsi resetting", ()),
            resets: AtomicU32::new(0),
            looking: Mutex::new("virtio-scsi looking", ()),
            is_gone: AtomicBool::new(false),
            is_to_look: AtomicBool::new(false),
        });
        let last = host.session.interrupts() - 1;
        host.session.set_handlers("virtio-scsi", &|index| {
            let host = Arc::downgrade(&host);
            Arc::new(move || {
                if let Some(host) = host.upgrade() {
                    host.interrupt(index, index == last);
                }
            })
        });
        host.enable()?;
        Ok(host)
    }

    /// Most pieces of memory of a request.
    pub(super) fn max_segments(&self) -> usize {
        let told = self.session.config::<u32>(config::SEGMENTS).max(1) as usize;
        let most = self.lanes.first().map_or(0, |lane| usize::from(lane.state.lock().queue.size()));
        let chain = if self.session.has_indirect() { usize::from(MAX_CHAIN).min(most) } else { most.min(16) };
        told.min(chain.saturating_sub(2)).max(1)
    }

    /// Hands the queues to the device and has it work.
    fn enable(&self) -> Result<()> {
        self.session.set_config(config::SENSE_SIZE, wire::SENSE as u32);
        self.session.set_config(config::COMMAND_SIZE, wire::COMMAND as u32);
        let mut control = self.control.lock();
        control.queue.restart();
        control.is_broken = false;
        hand_over(&self.session, queue::CONTROL, &control.queue)?;
        drop(control);
        self.events.lock().restart(&self.session, queue::EVENTS)?;
        for (index, lane) in self.lanes.iter().enumerate() {
            let mut state = lane.state.lock();
            state.queue.restart();
            hand_over(&self.session, lane_queue(index), &state.queue)?;
            state.is_closed = false;
        }
        self.session.set_ready();
        self.offer_events();
        Ok(())
    }

    fn offer_events(&self) {
        let mut events = self.events.lock();
        while events.offer() {}
        let should_notify = events.should_notify();
        drop(events);
        if should_notify {
            self.session.notify(queue::EVENTS);
        }
    }

    /// An event of the device.
    pub(super) fn next_event(&self) -> Option<Event> {
        let mut events = self.events.lock();
        let slot = events.take()?;
        let mut bytes = [0; wire::EVENT];
        events.read(slot, &mut bytes);
        bytes[slot.written..].fill(0);
        events.free_slot(slot);
        drop(events);
        self.offer_events();
        Some(Event::read(bytes))
    }

    pub(super) fn has_events(&self) -> bool {
        self.events.lock().has_used()
    }

    fn interrupt(&self, index: usize, is_last: bool) {
        let first = usize::from(queue::FIRST_LANE);
        let end = if is_last { first + self.lanes.len() } else { index + 1 };
        for queue in index..end {
            match queue.checked_sub(first) {
                Some(lane) if lane < self.lanes.len() => self.complete(lane),
                _ => {}
            }
        }
        if self.has_events() {
            self.news.wake_all();
        }
    }

    /// Takes what the device has done in a lane. In interrupt context.
    fn complete(&self, lane: usize) {
        loop {
            let mut state = self.lanes[lane].state.lock();
            if state.is_closed {
                return;
            }
            match state.queue.pop_used() {
                Ok(Some(used)) => {
                    let started = state.started[used.token.index()].take();
                    drop(state);
                    match started {
                        Some(Started::Request { unit, tag, expected }) => {
                            unit.complete(self, lane, tag, used.written, expected);
                        }
                        Some(Started::Asked) => self.answer(Ok(used.written)),
                        None => {}
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    state.is_closed = true;
                    drop(state);
                    log::error!("virtio: a SCSI adapter breaks the rules: {error}");
                    self.answer(Err(()));
                    self.each_unit(&mut |served| served.requests.request_reset());
                    return;
                }
            }
        }
        self.each_unit(&mut |served| {
            if served.unit.takes_up(lane) {
                served.requests.resume(lane);
            }
        });
    }

    /// Calls `act` with each unit. Any context.
    fn each_unit(&self, act: &mut dyn FnMut(&Served)) {
        let mut index = 0;
        loop {
            // Not under the lock: what is done takes others.
            let Some(served) = self.units.lock().get(index).cloned() else { return };
            act(&served);
            index += 1;
        }
    }

    fn answer(&self, outcome: Asked) {
        *self.asked.lock() = Some(outcome);
        self.is_answered.wake_all();
    }

    /// Hands a unit's request to the device, known by its tag, which reads so many bytes; `fill` puts its chain together.
    ///
    /// # Errors
    /// EBUSY if there is no room now; EIO if the queue does not take it.
    pub(super) fn start_request(
        &self,
        lane: usize,
        unit: &Arc<Unit>,
        (tag, expected): (u16, u32),
        fill: &mut dyn FnMut(&mut Vec<Buffer>),
    ) -> Result<()> {
        self.lanes[lane].add(Started::Request { unit: unit.clone(), tag, expected }, fill)
    }

    /// Tells the device of what was started in a lane.
    pub(super) fn kick(&self, lane: usize) {
        let should_notify = self.lanes[lane].state.lock().queue.should_notify();
        if should_notify {
            self.session.notify(lane_queue(lane));
        }
    }

    /// Whether the device has commands of a unit.
    fn has_requests_of(&self, unit: &Unit) -> bool {
        let is_its = |started: &Option<Started>| match started {
            Some(Started::Request { unit: other, .. }) => core::ptr::eq(Arc::as_ptr(other), unit),
            _ => false,
        };
        self.lanes.iter().any(|lane| lane.state.lock().started.iter().any(is_its))
    }

    /// Asks a unit something, and waits for the answer; its data are written to `data`. Tells how many there are.
    ///
    /// # Errors
    /// EIO if the device does not answer as it should.
    pub(super) fn ask(
        &self,
        address: Address,
        command: &scsi::Command,
        data: &mut [u8],
    ) -> Result<(Answer, usize)> {
        let buffer = self.asking.lock();
        buffer.write(0, &wire::request(address, u64::MAX, command));
        buffer.write(ASK_ANSWER, &[0; ANSWER]);
        let at = |offset: usize| buffer.address().as_u64() + offset as u64;
        let length = data.len().min(ASKED);
        let chain = [
            Buffer::to_device(at(0), REQUEST as u32),
            Buffer::from_device(at(ASK_ANSWER), ANSWER as u32),
            Buffer::from_device(at(ASK_DATA), length as u32),
        ];
        let chain = if length == 0 { &chain[..2] } else { &chain };
        *self.asked.lock() = None;
        let deadline = time::monotonic_ns() + ASK_LIMIT_NS;
        while let Err(error) = self.lanes[0].add(Started::Asked, &mut |all| all.extend_from_slice(chain)) {
            if error.errno != Errno::EBUSY || self.is_gone() || time::monotonic_ns() > deadline {
                return Err(error);
            }
            sched::sleep_until(time::monotonic_ns() + STEP_NS);
        }
        self.kick(0);
        let written = self.is_answered.wait_until(deadline, || *self.asked.lock());
        let broken = Error::new(Errno::EIO, "the SCSI adapter does not answer as it should");
        let Ok(Ok(written)) = written else {
            // The memory is the device's until it was reset.
            self.reset_all(None)?;
            return Err(broken);
        };
        let mut bytes = [0; ANSWER];
        buffer.read(ASK_ANSWER, &mut bytes);
        let answer = Answer::read(&bytes, written as usize).ok_or(broken)?;
        let moved = (written as usize).saturating_sub(ANSWER).min(length);
        let moved = moved.min(length.saturating_sub(answer.residue as usize));
        buffer.read(ASK_DATA, &mut data[..moved]);
        Ok((answer, moved))
    }

    /// Has a unit end all that it has under way; on return the device has nothing of it, by whatever means.
    ///
    /// # Errors
    /// EIO if the whole adapter had to be reset, and could not be: it is of no use any more.
    pub(super) fn reset_unit(&self, unit: &Unit) -> Result<()> {
        let is_done = self.control(&wire::reset(unit.address())).is_ok() && {
            let deadline = time::monotonic_ns() + CONTROL_LIMIT_NS;
            while self.has_requests_of(unit) && time::monotonic_ns() < deadline {
                sched::sleep_until(time::monotonic_ns() + STEP_NS);
            }
            !self.has_requests_of(unit)
        };
        if is_done { Ok(()) } else { self.reset_all(Some(unit)) }
    }

    /// Has the device do something through the control queue, whatever it answers to that.
    fn control(&self, wish: &[u8; wire::CONTROL]) -> Result<()> {
        let broken = Error::new(Errno::EIO, "the SCSI adapter takes no control");
        let mut control = self.control.lock();
        if control.is_broken || self.is_gone() {
            return Err(broken);
        }
        control.buffer.write(0, wish);
        let address = control.buffer.address().as_u64();
        let chain = [
            Buffer::to_device(address, wire::CONTROL as u32),
            Buffer::from_device(address + 64, wire::CONTROL_ANSWER as u32),
        ];
        control.queue.add(&chain).map_err(|_| broken)?;
        if control.queue.should_notify() {
            self.session.notify(queue::CONTROL);
        }
        let deadline = time::monotonic_ns() + CONTROL_LIMIT_NS;
        loop {
            match control.queue.pop_used() {
                Ok(Some(_)) => return Ok(()),
                Ok(None) if time::monotonic_ns() < deadline => {
                    sched::sleep_until(time::monotonic_ns() + STEP_NS);
                }
                _ => {
                    control.is_broken = true;
                    return Err(broken);
                }
            }
        }
    }

    /// Resets the adapter. What units have under way begins again, but for the one that wants this: it sees to that itself.
    fn reset_all(&self, culprit: Option<&Unit>) -> Result<()> {
        let _resetting = self.resetting.lock();
        if self.is_gone() {
            return Err(Error::new(Errno::EIO, "the SCSI adapter is gone"));
        }
        log::warn!("virtio: {}: resetting the SCSI adapter", self.node.name());
        self.close();
        let is_hopeless = self.resets.fetch_add(1, Ordering::Relaxed) >= MAX_RESETS;
        let outcome = match is_hopeless {
            true => Err(Error::new(Errno::EIO, "resets do not help the SCSI adapter")),
            false => self.session.restart(),
        };
        if outcome.is_err() {
            self.session.stop();
        }
        // The device has nothing now, and gets nothing yet.
        let is_other =
            |served: &Served| !culprit.is_some_and(|unit| core::ptr::eq(Arc::as_ptr(&served.unit), unit));
        self.each_unit(&mut |served| {
            if is_other(served) {
                served.requests.abort_all();
            }
        });
        let outcome = outcome.and_then(|()| self.enable());
        self.each_unit(&mut |served| {
            match &outcome {
                _ if !is_other(served) => {}
                Ok(()) => (0..self.lanes.len()).for_each(|lane| served.requests.resume(lane)),
                // It finds out by itself that there is no help.
                Err(_) => served.requests.request_reset(),
            }
        });
        outcome
    }

    /// Nothing is started from now on, and what comes back is not looked at; the device is about to be reset, or was.
    fn close(&self) {
        for lane in &self.lanes {
            let started = {
                let mut state = lane.state.lock();
                state.is_closed = true;
                let empty = (0..state.started.len()).map(|_| None).collect();
                core::mem::replace(&mut state.started, empty)
            };
            drop(started);
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    /// The adapter goes, and its units with it.
    pub(super) fn remove(&self) {
        self.is_gone.store(true, Ordering::Release);
        self.session.silence();
        let resetting = self.resetting.lock();
        self.session.stop();
        self.close();
        drop(resetting);
        self.answer(Err(()));
        self.news.wake_all();
        // Whoever is looking for units waits for nothing but these.
        self.each_unit(&mut |served| served.requests.end());
        let _looking = self.looking.lock();
        let units = core::mem::take(&mut *self.units.lock());
        units.iter().for_each(|served| served.requests.remove());
    }
}

fn lane_queue(lane: usize) -> u16 {
    queue::FIRST_LANE + lane as u16
}

impl Lane {
    fn new(session: &Session, index: usize) -> Result<Self> {
        let Ring { mut queue, size } = Ring::new(session, lane_queue(index), MAX_CHAIN)?;
        // QEMU counts what is written to the unit too.
        queue.cut_lengths();
        let started = (0..size).map(|_| None).collect();
        let chain = Vec::with_capacity(MAX_CHAIN.into());
        let state = LaneState { queue, started, chain, is_closed: true };
        Ok(Self { state: IrqSpinLock::new("virtio-scsi ring", state) })
    }

    fn add(&self, started: Started, fill: &mut dyn FnMut(&mut Vec<Buffer>)) -> Result<()> {
        let mut state = self.state.lock();
        let state = &mut *state;
        if state.is_closed {
            return Err(Error::new(Errno::EBUSY, "the device is to be reset"));
        }
        state.chain.clear();
        fill(&mut state.chain);
        match state.queue.add(&state.chain) {
            Ok(token) => {
                state.started[token.index()] = Some(started);
                Ok(())
            }
            Err(AddError::Full) => Err(Error::new(Errno::EBUSY, "the queue is full")),
            Err(_) => Err(Error::new(Errno::EIO, "the queue does not take the request")),
        }
    }
}
