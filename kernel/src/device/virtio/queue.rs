//! Requests on a virtqueue: any number of threads hand in a chain of buffers each and sleep until the device has
//! done it. Completions arrive by interrupt.
//!
//! A request's memory belongs to the device until it is done; so a wait cannot be ended by a signal. When the device
//! breaks the rules or does not answer in time, it is stopped, and only then do the waiters return. What it says later reaches nobody.
//! It can be taken into service [again](RequestQueue::revive) when nobody waits for it any more.

use super::ring::{Ring, SharedMemory, hand_over};
use super::session::Session;
use super::{Handler, VirtioDevice};
use crate::error::{Error, Result};
use crate::sched::wait::WaitQueue;
use crate::sync::Mutex;
use abi::errno::Errno;
use alloc::{sync::Arc, vec::Vec};
use machine::sync::{IrqSpinLock, Once};
use machine::time;
use virtqueue::{AddError, VirtQueue};

pub(super) use virtqueue::Buffer;

/// Buffers of a request with indirect descriptors.
const INDIRECT: u16 = 34;

/// A request that takes longer is lost, and with it the device.
const TIME_LIMIT_NS: u64 = 60_000_000_000;

/// A request in a panic gets so long.
const PANIC_NS: u64 = 100_000_000;

/// The number of the queue: these devices have one.
const QUEUE: u16 = 0;

/// The queue of a device, and the device with it.
pub(super) struct RequestQueue {
    // Dropped first: the device is reset before the queue's memory goes.
    session: Session,
    state: IrqSpinLock<State>,
    /// Woken when there is room for another request.
    room: WaitQueue,
    condition: Mutex<Condition>,
    size: usize,
    /// Called at every interrupt.
    listener: Once<Handler>,
}

/// What can be done with the device.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// It works.
    Works,
    /// It was stopped after breaking the rules, or not answering.
    Stopped,
    /// It is to be stopped for ever.
    Lost,
}

struct State {
    queue: VirtQueue<SharedMemory>,
    /// What the device has, by token.
    requests: Vec<Option<Arc<Request>>>,
    is_broken: bool,
}

/// A request that a thread waits for. (Not the token names it: that is given to another one once it is done.)
struct Request {
    outcome: IrqSpinLock<Option<Outcome>>,
    done: WaitQueue,
}

/// How a request ended.
#[derive(Clone, Copy)]
enum Outcome {
    /// The device did it and wrote so many bytes.
    Done(u32),
    /// The device is broken.
    Broken,
}

impl Request {
    fn new() -> Arc<Self> {
        let outcome = IrqSpinLock::new("virtqueue request", None);
        Arc::new(Self { outcome, done: WaitQueue::named("disk") })
    }

    fn finish(&self, outcome: Outcome) {
        *self.outcome.lock() = Some(outcome);
        self.done.wake_all();
    }
}

impl RequestQueue {
    /// Takes a device into service, with those of the `wanted` features that it offers, and sets up its queue.
    /// `name` is for /proc/interrupts.
    pub(super) fn start(device: &VirtioDevice, name: &'static str, wanted: u64) -> Result<Arc<Self>> {
        let session = device.start(wanted)?;
        let Ring { queue, size, .. } = Ring::set_up(&session, QUEUE, INDIRECT)?;
        let requests = (0..size).map(|_| None).collect();
        let this = Arc::new(Self {
            session,
            state: IrqSpinLock::new("virtqueue", State { queue, requests, is_broken: false }),
            room: WaitQueue::named("virtqueue-room"),
            size: size.into(),
            condition: Mutex::new("virtqueue-condition", Condition::Works),
            listener: Once::new(),
        });
        let weak = Arc::downgrade(&this);
        let handler = Arc::new(move || {
            if let Some(queue) = weak.upgrade() {
                queue.complete();
                if let Some(listener) = queue.listener.get() {
                    listener();
                }
            }
        });
        this.session.set_handler(name, handler);
        this.session.set_ready();
        Ok(this)
    }

    /// The device.
    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// Has `listener` called at every interrupt, also of those that tell of something else than requests.
    pub(super) fn set_listener(&self, listener: Handler) {
        self.listener.call_once(|| listener);
    }

    /// Has the device do a request when nothing else works any more: without waiting for locks and interrupts.
    pub(super) fn perform_in_panic(&self, chain: &[Buffer]) {
        let Some(mut state) = self.state.try_lock() else { return };
        if state.is_broken || state.queue.add(chain).is_err() {
            return;
        }
        // Told in any case: it may wait for another index.
        state.queue.should_notify();
        self.session.notify(QUEUE);
        let deadline = time::monotonic_ns() + PANIC_NS;
        while state.queue.in_flight() > 0 && time::monotonic_ns() < deadline {
            if state.queue.pop_used().is_err() {
                return;
            }
        }
    }

    /// Has the device do a request: first the buffers that it reads, then those that it writes. Sleeps until it is done;
    /// returns how many bytes the device wrote. The buffers must stay meanwhile.
    pub(super) fn perform(&self, chain: &[Buffer]) -> Result<u32> {
        self.perform_within(chain, TIME_LIMIT_NS)
    }

    /// The same of a device that has so long.
    pub(super) fn perform_within(&self, chain: &[Buffer], limit_ns: u64) -> Result<u32> {
        let request = Request::new();
        self.room.wait(|| self.try_add(chain, &request))?;
        let deadline = time::monotonic_ns() + limit_ns;
        match request.done.wait_until(deadline, || *request.outcome.lock()) {
            Ok(Outcome::Done(written)) => Ok(written),
            Ok(Outcome::Broken) | Err(_) => {
                self.stop();
                Err(Error::new(Errno::EIO, "the device does not work as it should"))
            }
        }
    }

    /// Hands a chain to the device; `None` if there is no room now.
    fn try_add(&self, chain: &[Buffer], request: &Arc<Request>) -> Option<Result<()>> {
        let mut state = self.state.lock();
        if state.is_broken {
            return Some(Err(Error::new(Errno::EIO, "the device was stopped")));
        }
        let token = match state.queue.add(chain) {
            Ok(token) => token,
            Err(AddError::Full) => return None,
            Err(_) => return Some(Err(Error::new(Errno::EIO, "the queue does not take the request"))),
        };
        state.requests[token.index()] = Some(request.clone());
        let should_notify = state.queue.should_notify();
        drop(state);
        if should_notify {
            self.session.notify(QUEUE);
        }
        Some(Ok(()))
    }

    /// Takes what the device has done. In interrupt context.
    fn complete(&self) {
        let mut has_room = false;
        loop {
            let mut state = self.state.lock();
            match state.queue.pop_used() {
                Ok(None) => break,
                Ok(Some(used)) => {
                    let request = state.requests[used.token.index()].take();
                    drop(state);
                    if let Some(request) = request {
                        request.finish(Outcome::Done(used.written));
                    }
                    has_room = true;
                }
                Err(error) => {
                    let is_news = !core::mem::replace(&mut state.is_broken, true);
                    drop(state);
                    if is_news {
                        log::error!("virtio: a device breaks the rules: {error}");
                        self.fail_all();
                    }
                    return;
                }
            }
        }
        if has_room {
            self.room.wake_all();
        }
    }

    /// The device goes: as after [`stop`](Self::stop), and its interrupts are not listened to any more.
    pub(super) fn remove(&self) {
        self.stop();
        *self.condition.lock() = Condition::Lost;
        self.session.silence();
    }

    /// Whether the device was stopped, so that it touches no memory. Waits for whoever is stopping it.
    pub(super) fn is_stopped(&self) -> bool {
        *self.condition.lock() != Condition::Works
    }

    /// Stops the device; all requests fail. Returns when it does not touch memory any more.
    fn stop(&self) {
        let mut condition = self.condition.lock();
        if *condition == Condition::Works {
            *condition = if self.session.stop() { Condition::Stopped } else { Condition::Lost };
            self.state.lock().is_broken = true;
            self.fail_all();
        }
    }

    /// Takes a device that was stopped into service again. Nobody has requests now.
    ///
    /// # Errors
    /// EIO if it is of no use any more; and those of [`Session::restart`].
    pub(super) fn revive(&self) -> Result<()> {
        let mut condition = self.condition.lock();
        match *condition {
            Condition::Works => return Ok(()),
            Condition::Stopped => {}
            Condition::Lost => return Err(Error::new(Errno::EIO, "the device was lost")),
        }
        self.session.restart()?;
        let mut state = self.state.lock();
        state.queue.restart();
        hand_over(&self.session, QUEUE, &state.queue)?;
        state.is_broken = false;
        drop(state);
        self.session.set_ready();
        *condition = Condition::Works;
        Ok(())
    }

    /// Tells everybody who waits that the queue is broken.
    fn fail_all(&self) {
        for index in 0..self.size {
            let request = self.state.lock().requests[index].take();
            if let Some(request) = request {
                request.finish(Outcome::Broken);
            }
        }
        self.room.wake_all();
    }
}
