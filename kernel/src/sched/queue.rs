//! The run queue of one CPU, with threads in it. Order and turns are `lib/runqueue`'s; what is here moves a thread's
//! entity between the thread and the queue. Everything happens under the queue's lock.

use super::thread::Thread;
use alloc::sync::Arc;
use runqueue::{Arrival, Entity, RealTimeLimit, RealTimePriority, Requeue};

/// See the module.
pub(super) struct RunQueue {
    order: runqueue::RunQueue<Arc<Thread>>,
    /// The thread whose entity the order has as the running one; 0: none (the idle thread has none).
    running: u64,
}

impl RunQueue {
    pub(super) const fn new(cpu: usize) -> RunQueue {
        RunQueue { order: runqueue::RunQueue::new(cpu as u32), running: 0 }
    }

    /// Makes room for so many threads in all; `false` if there is no memory.
    pub(super) fn reserve(&mut self, threads: usize) -> bool {
        self.order.try_reserve(threads).is_ok()
    }

    /// Gives back room for more than so many threads, as far as none waits in it.
    pub(super) fn shrink(&mut self, threads: usize) {
        self.order.shrink(threads);
    }

    /// How many threads wait.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// How much there is to do, in weights.
    pub(super) fn load(&self) -> u64 {
        self.order.load()
    }

    pub(super) fn waiting_priority(&self) -> Option<RealTimePriority> {
        self.order.waiting_priority()
    }

    /// The running thread's entity.
    pub(super) fn running(&self) -> Option<&Entity> {
        self.order.running()
    }

    pub(super) fn set_real_time_limit(&mut self, limit: RealTimeLimit) {
        self.order.set_real_time_limit(limit);
    }

    /// The thread that this CPU has been running without a queue.
    pub(super) fn adopt(&mut self, thread: &Thread) {
        if let Some(entity) = thread.scheduling.entity.lock().take() {
            self.order.adopt(entity);
            self.running = thread.id();
        }
    }

    /// Adds a thread. One that is woken while it is on its way to sleep here has not left yet: it does so first.
    pub(super) fn push(&mut self, thread: &Arc<Thread>, arrival: Arrival) {
        self.leave(thread);
        let entity = thread.scheduling.entity.lock().take();
        debug_assert!(entity.is_some(), "a thread is queued twice");
        if let Some(entity) = entity {
            self.order.enqueue(thread.clone(), entity, arrival);
        }
    }

    /// Takes the thread that is to run next; its turn begins.
    pub(super) fn pop(&mut self) -> Option<Arc<Thread>> {
        let thread = self.order.pick_next()?;
        self.running = thread.id();
        Some(thread)
    }

    /// The running thread waits again, unless it has left already.
    pub(super) fn requeue(&mut self, thread: &Arc<Thread>, why: Requeue) {
        if self.running == thread.id() {
            self.running = 0;
            self.order.requeue(thread.clone(), why);
        }
    }

    /// If `thread` is the running one, it goes.
    pub(super) fn leave(&mut self, thread: &Thread) {
        if self.running == thread.id() {
            self.running = 0;
            *thread.scheduling.entity.lock() = self.order.leave();
        }
    }

    /// The running thread has run for so long since this was called last.
    pub(super) fn account(&mut self, ran_ns: u64) {
        self.order.account(ran_ns);
    }

    /// Whether somebody else should run instead of the running thread (or of none).
    pub(super) fn gives_way(&mut self) -> bool {
        self.order.gives_way()
    }

    /// After how long [`gives_way`](Self::gives_way) is to be asked again; `None`: not before somebody comes.
    pub(super) fn next_look_ns(&self) -> Option<u64> {
        self.order.next_look_ns()
    }

    /// What a child of the running thread starts with.
    pub(super) fn child(&self) -> Option<Entity> {
        self.order.child()
    }

    /// Takes out a certain thread, if it waits here.
    pub(super) fn take(&mut self, thread: &Arc<Thread>) -> bool {
        self.taken(|order| order.take_where(|other, _| Arc::ptr_eq(other, thread))).is_some()
    }

    /// Takes out a fair thread that `suits`, the one that has the longest to wait.
    pub(super) fn take_fair(
        &mut self,
        suits: impl FnMut(&Arc<Thread>, &Entity) -> bool,
    ) -> Option<Arc<Thread>> {
        self.taken(|order| order.take_fair_where(suits))
    }

    /// Takes out the first real-time thread that `suits`.
    pub(super) fn take_real_time(
        &mut self,
        suits: impl FnMut(&Arc<Thread>, &Entity) -> bool,
    ) -> Option<Arc<Thread>> {
        self.taken(|order| order.take_real_time_where(suits))
    }

    fn taken(
        &mut self,
        take: impl FnOnce(&mut runqueue::RunQueue<Arc<Thread>>) -> Option<(Arc<Thread>, Entity)>,
    ) -> Option<Arc<Thread>> {
        let (thread, entity) = take(&mut self.order)?;
        *thread.scheduling.entity.lock() = Some(entity);
        Some(thread)
    }

    /// Changes the entity of a thread of this CPU; `false` if it is not here (it moves just now).
    pub(super) fn change(&mut self, thread: &Arc<Thread>, change: impl Fn(&mut Entity)) -> bool {
        if self.running == thread.id() {
            self.order.change_running(change);
            return true;
        }
        let was_queued = self.take(thread);
        let is_here = match thread.scheduling.entity.lock().as_mut() {
            Some(entity) => {
                change(entity);
                true
            }
            None => false,
        };
        if was_queued {
            self.push(thread, Arrival::New);
        }
        is_here
    }
}
