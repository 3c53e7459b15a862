//! Real-time tasks that wait, and what keeps them from starving everybody else.

use crate::{Entity, RealTimePriority};
use alloc::collections::{BinaryHeap, TryReserveError};
use core::cmp::{Ordering, Reverse};

#[derive(Clone, Debug)]
struct Entry<K> {
    priority: RealTimePriority,
    /// The least first, within one priority.
    order: i64,
    item: K,
    entity: Entity,
}

impl<K> Entry<K> {
    fn rank(&self) -> (RealTimePriority, Reverse<i64>) {
        (self.priority, Reverse(self.order))
    }
}

impl<K> PartialEq for Entry<K> {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl<K> Eq for Entry<K> {}

impl<K> PartialOrd for Entry<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Entry<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

/// The real-time tasks that wait: the highest priority first, within it by order.
#[derive(Clone, Debug)]
pub(crate) struct RealTimeQueue<K> {
    heap: BinaryHeap<Entry<K>>,
    /// Counts up for the back of a priority's line, down for the front.
    back: i64,
    front: i64,
}

impl<K> RealTimeQueue<K> {
    pub(crate) const fn new() -> Self {
        RealTimeQueue { heap: BinaryHeap::new(), back: 0, front: 0 }
    }

    pub(crate) fn try_reserve(&mut self, tasks: usize) -> Result<(), TryReserveError> {
        self.heap.try_reserve(tasks.saturating_sub(self.heap.len()))
    }

    pub(crate) fn shrink(&mut self, tasks: usize) {
        let mut heap = BinaryHeap::new();
        if self.heap.is_empty() && self.heap.capacity() > tasks && heap.try_reserve_exact(tasks).is_ok() {
            self.heap = heap;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Of the one that is next.
    pub(crate) fn priority(&self) -> Option<RealTimePriority> {
        self.heap.peek().map(|entry| entry.priority)
    }

    /// Adds a task behind its equals.
    pub(crate) fn push_back(&mut self, priority: RealTimePriority, item: K, entity: Entity) {
        self.back += 1;
        self.heap.push(Entry { priority, order: self.back, item, entity });
    }

    /// Adds a task before its equals.
    pub(crate) fn push_front(&mut self, priority: RealTimePriority, item: K, entity: Entity) {
        self.front -= 1;
        self.heap.push(Entry { priority, order: self.front, item, entity });
    }

    pub(crate) fn pop(&mut self) -> Option<(K, Entity)> {
        self.heap.pop().map(|entry| (entry.item, entry.entity))
    }

    /// Takes out the first that `suits`. Takes time in the number of tasks.
    pub(crate) fn take_where(&mut self, suits: &mut dyn FnMut(&K, &Entity) -> bool) -> Option<(K, Entity)> {
        let mut entries = core::mem::take(&mut self.heap).into_vec();
        let suiting = entries.iter().enumerate().filter(|(_, entry)| suits(&entry.item, &entry.entity));
        let index = suiting.max_by(|one, other| one.1.cmp(other.1)).map(|(index, _)| index);
        let taken = index.map(|index| entries.swap_remove(index));
        self.heap = BinaryHeap::from(entries);
        taken.map(|entry| (entry.item, entry.entity))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &Entity)> {
        self.heap.iter().map(|entry| (&entry.item, &entry.entity))
    }
}

/// How much of each period real-time tasks may take while fair tasks wait (sched(7): `sched_rt_runtime_us`,
/// `sched_rt_period_us`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RealTimeLimit {
    /// Of each period; `None`: all of it.
    pub runtime_ns: Option<u64>,
    /// The period, more than the runtime.
    pub period_ns: u64,
}

impl RealTimeLimit {
    /// Linux's: 0.95 s of each second.
    pub const DEFAULT: RealTimeLimit =
        RealTimeLimit { runtime_ns: Some(950_000_000), period_ns: 1_000_000_000 };
}

/// Sees to it that fair tasks get what real-time tasks may not take.
///
/// Only time for which a fair task *waited* counts: then real-time tasks use up their runtime, and when it is gone the
/// fair class goes first until it has had the rest of the period. So a real-time task that leaves the CPU now and then is
/// never held up, and one that never does leaves the share that the limit says.
#[derive(Clone, Debug)]
pub(crate) struct StarvationGuard {
    pub(crate) limit: RealTimeLimit,
    /// What real-time tasks have run while fair ones waited, less what those got in between.
    starved_ns: u64,
    /// What the fair class is still to have, before real-time tasks go on.
    owed_ns: u64,
}

impl StarvationGuard {
    pub(crate) const fn new() -> Self {
        StarvationGuard { limit: RealTimeLimit::DEFAULT, starved_ns: 0, owed_ns: 0 }
    }

    /// A real-time task has run while fair ones waited.
    pub(crate) fn real_time_ran(&mut self, ran_ns: u64) {
        let Some(runtime_ns) = self.limit.runtime_ns else { return };
        self.starved_ns = self.starved_ns.saturating_add(ran_ns);
        if self.starved_ns >= runtime_ns {
            self.starved_ns = 0;
            self.owed_ns = self.limit.period_ns.saturating_sub(runtime_ns);
        }
    }

    /// A fair task has run.
    pub(crate) fn fair_ran(&mut self, ran_ns: u64) {
        self.owed_ns = self.owed_ns.saturating_sub(ran_ns);
        if self.starved_ns > 0
            && let Some(runtime_ns) = self.limit.runtime_ns
        {
            let share_ns = self.limit.period_ns.saturating_sub(runtime_ns).max(1);
            let paid_ns = u128::from(ran_ns) * u128::from(runtime_ns) / u128::from(share_ns);
            self.starved_ns = self.starved_ns.saturating_sub(u64::try_from(paid_ns).unwrap_or(u64::MAX));
        }
    }

    /// No fair task waits or runs: nobody is starved.
    pub(crate) fn reset(&mut self) {
        (self.starved_ns, self.owed_ns) = (0, 0);
    }

    /// Whether the fair class goes first now.
    pub(crate) fn is_fair_first(&self) -> bool {
        self.owed_ns > 0
    }

    /// How long a real-time task may go on while fair ones wait; `None`: for ever.
    pub(crate) fn real_time_left_ns(&self) -> Option<u64> {
        Some(self.limit.runtime_ns?.saturating_sub(self.starved_ns))
    }

    /// What the fair class is still to have before real-time tasks go on.
    pub(crate) fn owed_ns(&self) -> u64 {
        self.owed_ns
    }
}
