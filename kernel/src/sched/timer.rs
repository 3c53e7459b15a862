//! Timers: something that happens at a point of the monotonic clock, never before it.
//!
//! Each CPU has a queue of what it was asked for; its one-shot timer is set to the first. Actions run in interrupt
//! context. A [`Timer`] is cancelled when it is dropped; an action that has already begun on another CPU is not waited
//! for, so actions must bear being a little late.

use super::cpu;
use super::thread::Thread;
use alloc::sync::Arc;
use machine::sync::IrqSpinLock;
use machine::time;
use timers::{TimerId, Timers};

/// What a timer does, in interrupt context.
pub(crate) type Callback = Arc<dyn Fn() + Send + Sync>;

enum Action {
    Unpark(Arc<Thread>),
    Call(Callback),
}

/// The timers of one CPU. Waking and cancelling allocate nothing.
pub(super) struct TimerQueue {
    timers: Timers<Action>,
}

impl TimerQueue {
    pub(super) const fn new() -> Self {
        Self { timers: Timers::new() }
    }

    /// When the next one is due.
    pub(super) fn first_deadline(&self) -> Option<u64> {
        self.timers.next_deadline()
    }
}

/// Does what is due.
pub(super) fn expire(queue: &IrqSpinLock<TimerQueue>) {
    loop {
        let due = queue.lock().timers.pop_expired(time::monotonic_ns());
        match due {
            Some((_, Action::Unpark(thread))) => thread.unpark(),
            Some((_, Action::Call(call))) => call(),
            None => return,
        }
    }
}

/// An entry in some CPU's queue.
#[derive(Clone, Copy)]
struct Entry {
    cpu: usize,
    id: TimerId,
}

impl Entry {
    fn add(deadline_ns: u64, action: Action) -> Entry {
        let _guard = machine::cpu::disable_interrupts();
        let cpu = machine::cpu::current_id();
        let (id, is_first) = {
            let mut queue = cpu::of(cpu).timers.lock();
            let id = queue.timers.insert(deadline_ns, action);
            (id, queue.first_deadline() == Some(deadline_ns))
        };
        if is_first {
            cpu::rearm_timer();
        }
        Entry { cpu, id }
    }

    /// Takes it out, if it is still there.
    fn remove(self) {
        let removed = cpu::of(self.cpu).timers.lock().timers.cancel(self.id);
        drop(removed);
    }
}

/// Unparks a thread at a point of time, unless dropped before.
pub(super) struct Timeout(Entry);

impl Timeout {
    pub(super) fn new(deadline_ns: u64, thread: Arc<Thread>) -> Timeout {
        Timeout(Entry::add(deadline_ns, Action::Unpark(thread)))
    }
}

impl Drop for Timeout {
    fn drop(&mut self) {
        self.0.remove();
    }
}

/// A timer that can be set again and again.
pub(crate) struct Timer {
    call: Callback,
    entry: IrqSpinLock<Option<Entry>>,
}

impl Timer {
    /// A timer that is not set.
    pub(crate) fn new(call: Callback) -> Timer {
        Timer { call, entry: IrqSpinLock::new("timer", None) }
    }

    /// Sets it, instead of what it was set to before. Its own action may do that, too.
    pub(crate) fn set(&self, deadline_ns: u64) {
        let mut entry = self.entry.lock();
        if let Some(old) = entry.take() {
            old.remove();
        }
        *entry = Some(Entry::add(deadline_ns, Action::Call(self.call.clone())));
    }

    /// Makes it wait for nothing.
    pub(crate) fn cancel(&self) {
        if let Some(entry) = self.entry.lock().take() {
            entry.remove();
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.cancel();
    }
}
