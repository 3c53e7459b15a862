//! The run queue of one CPU: threads that could run and do not.
//!
//! Order and turns are `lib/runqueue`'s; here its keys get threads. A thread is in at most one queue, and its
//! [`Place`] says so; everything happens under the queue's lock.

use super::policy::Place;
use super::thread::Thread;
use alloc::sync::Arc;
use alloc::vec::Vec;
use runqueue::{Arrival, GRANULARITY_NS, Policy};

/// See the module.
pub(super) struct RunQueue {
    order: runqueue::RunQueue<usize>,
    /// The queued threads, by key.
    threads: Vec<Option<Arc<Thread>>>,
    free: Vec<usize>,
}

impl RunQueue {
    pub(super) const fn new() -> RunQueue {
        RunQueue { order: runqueue::RunQueue::new(), threads: Vec::new(), free: Vec::new() }
    }

    /// How many threads wait in it.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether nobody waits in it.
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Adds a thread. One that is woken while it is on its way to sleep here has not left yet: it does so first.
    pub(super) fn push(&mut self, thread: &Arc<Thread>, arrival: Arrival) {
        let key = self.free.pop().unwrap_or_else(|| {
            self.threads.push(None);
            self.threads.len() - 1
        });
        let mut entity = thread.scheduling.entity.lock();
        let (entity, place) = &mut *entity;
        if *place == Place::Running && matches!(arrival, Arrival::New | Arrival::Wake) {
            self.order.leave(entity);
        }
        debug_assert!(*place != Place::Queued, "a thread is queued twice");
        self.order.enqueue(key, entity, arrival);
        *place = Place::Queued;
        self.threads[key] = Some(thread.clone());
    }

    /// Takes the thread that is to run next; its turn begins.
    pub(super) fn pop(&mut self) -> Option<Arc<Thread>> {
        let key = self.order.pick_next()?;
        let thread = self.take(key);
        self.start(&thread);
        Some(thread)
    }

    /// A thread's turn begins.
    pub(super) fn start(&mut self, thread: &Thread) {
        let mut entity = thread.scheduling.entity.lock();
        self.order.start(&mut entity.0);
        entity.1 = Place::Running;
    }

    /// The running thread has run for so long since this was called last.
    pub(super) fn account(&mut self, running: &Thread, ran_ns: u64) {
        let mut entity = running.scheduling.entity.lock();
        if entity.1 == Place::Running {
            self.order.account(&mut entity.0, ran_ns);
        }
    }

    /// The running thread does not come back, unless somebody has woken it already.
    pub(super) fn leave(&mut self, running: &Thread) {
        let mut entity = running.scheduling.entity.lock();
        if entity.1 == Place::Running {
            self.order.leave(&mut entity.0);
            entity.1 = Place::Off;
        }
    }

    /// Whether somebody else should run instead of the running thread.
    pub(super) fn should_preempt(&self, running: &Thread) -> bool {
        self.order.should_preempt(&running.scheduling.entity.lock().0)
    }

    /// After how long [`should_preempt`](Self::should_preempt) is to be asked again; `None`: not before somebody comes.
    pub(super) fn next_look_ns(&self, running: &Thread) -> Option<u64> {
        if self.is_empty() {
            return None;
        }
        let policy = running.policy();
        let slice_ns = self.order.time_slice(&running.scheduling.entity.lock().0)?;
        Some(if policy.is_fair() { slice_ns.min(GRANULARITY_NS) } else { slice_ns })
    }

    /// Takes a thread that another CPU could run.
    pub(super) fn steal(&mut self, suits: impl Fn(&Thread) -> bool) -> Option<Arc<Thread>> {
        let threads = &self.threads;
        let key = self.order.iter().find(|key| threads[*key].as_ref().is_some_and(|thread| suits(thread)))?;
        let thread = self.take(key);
        let mut entity = thread.scheduling.entity.lock();
        self.order.remove(key, &mut entity.0);
        entity.1 = Place::Off;
        drop(entity);
        Some(thread)
    }

    /// Gives a thread of this CPU another policy.
    pub(super) fn set_policy(&mut self, thread: &Arc<Thread>, policy: Policy) {
        let stolen = self.steal(|other| core::ptr::eq(other, Arc::as_ptr(thread)));
        {
            let mut entity = thread.scheduling.entity.lock();
            let (entity, place) = &mut *entity;
            match place {
                Place::Running => self.order.change_policy(entity, policy),
                Place::Off | Place::Queued => entity.set_policy(policy),
            }
        }
        if let Some(thread) = stolen {
            self.push(&thread, Arrival::New);
        }
    }

    fn take(&mut self, key: usize) -> Arc<Thread> {
        self.free.push(key);
        self.threads[key].take().expect("a key in the order has a thread")
    }
}
