//! Waiting for something that another thread does under a mutex.

use super::mutex::MutexGuard;
use crate::sched::wait::WaitQueue;
use core::sync::atomic::{AtomicU64, Ordering};

/// Waiting, under a [`Mutex`](super::Mutex), for something that another thread does under it.
pub(crate) struct Condvar {
    /// Number of notifications so far.
    turn: AtomicU64,
    waiters: WaitQueue,
}

impl Condvar {
    /// A condition; `name` is for reports.
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { turn: AtomicU64::new(0), waiters: WaitQueue::named(name) }
    }

    /// Gives the lock back, waits for a notification, takes the lock again. It may return for no reason: call it in
    /// a loop on the condition.
    #[track_caller]
    pub(crate) fn wait<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let mutex = guard.mutex();
        let turn = self.turn.load(Ordering::Acquire);
        drop(guard);
        self.waiters.wait(|| (self.turn.load(Ordering::Acquire) != turn).then_some(()));
        mutex.lock()
    }

    /// Wakes all waiters.
    pub(crate) fn notify_all(&self) {
        self.turn.fetch_add(1, Ordering::AcqRel);
        self.waiters.wake_all();
    }
}
