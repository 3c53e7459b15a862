//! Timers: something that happens at a point of a clock, never before it.
//!
//! Each CPU has a queue for each clock of what it was asked for; its one-shot timer is set to the first. Actions run in
//! interrupt context. A [`Timer`] is cancelled when it is dropped; an action that has already begun on another CPU is not
//! waited for, so actions must bear being a little late.
//!
//! A thread's timeout may come late by its timer slack, so that several share an interrupt; a [`Timer`] has none.

use super::cpu;
use super::thread::Thread;
use crate::clock::SECOND_NS;
use alloc::sync::Arc;
use machine::sync::IrqSpinLock;
use machine::time::{self, Reading};
use timers::{TimerId, Timers};

/// What a timer does, in interrupt context.
pub(crate) type Callback = Arc<dyn Fn() + Send + Sync>;

/// The clocks that deadlines count in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// Time since boot.
    Monotonic,
    /// The time of day, which can be set.
    Realtime,
    /// International atomic time.
    Tai,
}

/// How many.
const BASES: usize = 3;
/// All of them, in the order of their numbers.
pub(crate) const ALL_BASES: [Base; BASES] = [Base::Monotonic, Base::Realtime, Base::Tai];

impl Base {
    /// What the clock shows.
    pub(crate) fn now(self) -> u64 {
        time::read(match self {
            Base::Monotonic => Reading::Monotonic,
            Base::Realtime => Reading::Realtime,
            Base::Tai => Reading::Tai,
        })
    }

    /// What monotonic time will be, if nobody sets the clock, at a point of it.
    fn to_monotonic(self, ns: u64) -> u64 {
        match self {
            Base::Monotonic => ns,
            Base::Realtime => ns.saturating_sub(time::realtime_offset_ns()),
            Base::Tai => {
                let ahead_ns = i64::from(time::tai_offset_s()) * SECOND_NS as i64;
                ns.saturating_sub(time::realtime_offset_ns().saturating_add_signed(ahead_ns))
            }
        }
    }
}

/// A point of a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    /// The clock.
    pub(crate) base: Base,
    /// Nanoseconds.
    pub(crate) ns: u64,
}

impl Deadline {
    /// A point of the monotonic clock.
    pub(crate) const fn monotonic(ns: u64) -> Deadline {
        Deadline { base: Base::Monotonic, ns }
    }

    /// A time of day.
    pub(crate) const fn realtime(ns: u64) -> Deadline {
        Deadline { base: Base::Realtime, ns }
    }

    /// Whether the clock shows it, or later.
    pub(crate) fn has_passed(self) -> bool {
        self.base.now() >= self.ns
    }

    /// What is left, in nanoseconds.
    pub(crate) fn remaining_ns(self) -> u64 {
        self.ns.saturating_sub(self.base.now())
    }
}

impl From<u64> for Deadline {
    fn from(monotonic_ns: u64) -> Deadline {
        Deadline::monotonic(monotonic_ns)
    }
}

enum Action {
    Unpark(Arc<Thread>),
    Call(Callback),
}

/// The timers of one CPU. Waking and cancelling allocate nothing.
pub(super) struct TimerQueue {
    timers: [Timers<Action>; BASES],
}

impl TimerQueue {
    pub(super) const fn new() -> Self {
        Self { timers: [const { Timers::new() }; BASES] }
    }

    /// When the next one is due, on the monotonic clock.
    pub(super) fn first_deadline(&self) -> Option<u64> {
        let first = |base: Base| Some(base.to_monotonic(self.timers[base as usize].next_deadline()?));
        ALL_BASES.into_iter().filter_map(first).min()
    }

    fn pop_expired(&mut self) -> Option<Action> {
        ALL_BASES.into_iter().find_map(|base| {
            let timers = &mut self.timers[base as usize];
            if timers.is_empty() { None } else { timers.pop_expired(base.now()).map(|(_, action)| action) }
        })
    }
}

/// Does what is due.
pub(super) fn expire(queue: &IrqSpinLock<TimerQueue>) {
    loop {
        let due = queue.lock().pop_expired();
        match due {
            Some(Action::Unpark(thread)) => thread.unpark(),
            Some(Action::Call(call)) => call(),
            None => return,
        }
    }
}

/// The time of day was set, or the clock's rate was: does what is due on any CPU now, and has all CPUs set their timers anew.
pub(crate) fn clock_was_set() {
    let _guard = machine::cpu::disable_interrupts();
    for id in 0..machine::cpu::count() {
        expire(&cpu::of(id).timers);
    }
    super::tick::reset();
}

/// What waits on a clock.
pub(crate) struct Waiting {
    /// How many timers.
    pub(crate) count: usize,
    /// When the first has to be looked at, on that clock.
    pub(crate) first_ns: Option<u64>,
}

/// What waits on each clock on a CPU.
pub(crate) fn waiting_on(id: usize) -> [Waiting; BASES] {
    let queue = cpu::of(id).timers.lock();
    queue.timers.each_ref().map(|timers| Waiting { count: timers.len(), first_ns: timers.next_deadline() })
}

/// An entry in some CPU's queue.
#[derive(Clone, Copy)]
struct Entry {
    cpu: usize,
    base: Base,
    id: TimerId,
}

impl Entry {
    fn add(Deadline { base, ns }: Deadline, slack_ns: u64, action: Action) -> Entry {
        let _guard = machine::cpu::disable_interrupts();
        let cpu = machine::cpu::current_id();
        let (id, is_first) = {
            let mut queue = cpu::of(cpu).timers.lock();
            let timers = &mut queue.timers[base as usize];
            let id = timers.insert(ns, slack_ns, action);
            (id, timers.is_first(id))
        };
        if is_first {
            super::tick::rearm();
        }
        Entry { cpu, base, id }
    }

    /// Takes it out, if it is still there.
    fn remove(self) {
        let removed = cpu::of(self.cpu).timers.lock().timers[self.base as usize].cancel(self.id);
        drop(removed);
    }
}

/// Unparks a thread at a point of time, or as late as its timer slack allows, unless dropped before.
pub(super) struct Timeout(Entry);

impl Timeout {
    pub(super) fn new(deadline: impl Into<Deadline>, thread: Arc<Thread>) -> Timeout {
        let slack_ns = thread.user().map_or(0, |user| user.timer_slack_ns());
        Timeout(Entry::add(deadline.into(), slack_ns, Action::Unpark(thread)))
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
    pub(crate) fn set(&self, deadline: impl Into<Deadline>) {
        let mut entry = self.entry.lock();
        if let Some(old) = entry.take() {
            old.remove();
        }
        *entry = Some(Entry::add(deadline.into(), 0, Action::Call(self.call.clone())));
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
