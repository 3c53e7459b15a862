//! Which task runs next on one CPU: a run queue over task keys.
//!
//! Two classes. **Real time** (`SCHED_FIFO`, `SCHED_RR`, priority 1 to 99): the highest priority runs; within one
//! priority in turns, round robin after a time slice. **Fair** (`SCHED_OTHER`, `SCHED_BATCH`, `SCHED_IDLE`): each task
//! has a virtual time that runs the slower the greater its weight; the task with the least virtual time runs. A task of
//! nice n has 1.25 times the weight of one of nice n + 1.
//!
//! * The running task is *not* in the queue: [`RunQueue::pick_next`] takes it out, [`RunQueue::enqueue`] puts it back.
//! * What the queue must know of a task is in its [`Entity`], which the task owns. While the task is off the queue its
//!   virtual time is relative to that of the queue, so it can sleep for years or go to another CPU.
//! * A task that slept comes back at most half a period before the others: it runs soon, but has no claim on the time
//!   it slept through.
//! * After [`RunQueue::reserve`] nothing allocates: wake-ups come from interrupt handlers.
//!
//! Times are nanoseconds. Source: sched(7); Stoica and Abdel-Wahab, "Earliest Eligible Virtual Deadline First", 1995.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod policy;
#[cfg(test)]
mod tests;

use alloc::collections::BinaryHeap;
use core::cmp::Reverse;
pub use policy::{Nice, Policy, RealTimePriority};

/// The time in which each of a few fair tasks runs once.
pub const PERIOD_NS: u64 = 12_000_000;
/// The least time that a fair task runs before another one gets its turn.
pub const GRANULARITY_NS: u64 = 1_500_000;
/// The time slice of a round-robin task.
pub const ROUND_ROBIN_NS: u64 = 100_000_000;

/// Virtual time: nanoseconds of a task of nice 0. Wide enough never to wrap.
type VirtualTime = i128;

/// What the queue knows of a task. The task owns it.
#[derive(Clone, Copy, Debug)]
pub struct Entity {
    policy: Policy,
    /// On the queue or running: the virtual time. Off: its distance to the queue's.
    virtual_time: VirtualTime,
    /// How long it has run since it was picked; for a round-robin task, in its slice.
    slice_used: u64,
}

impl Entity {
    /// A task that is off any queue.
    pub const fn new(policy: Policy) -> Entity {
        Entity { policy, virtual_time: 0, slice_used: 0 }
    }

    /// Its policy.
    pub const fn policy(&self) -> Policy {
        self.policy
    }

    /// Changes the policy of a task that is off the queue: [remove](RunQueue::remove) it before, enqueue it after.
    pub const fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
        self.slice_used = 0;
    }

    /// What a child starts with: the same policy, and not before its parent's next turn.
    #[must_use]
    pub const fn child(&self) -> Entity {
        Entity { virtual_time: GRANULARITY_NS as VirtualTime, ..Entity::new(self.policy) }
    }
}

/// Why a task comes onto the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It is new, or comes from another CPU.
    New,
    /// It slept.
    Wake,
    /// It was running and still could.
    Preempted,
    /// It was running and lets others go first.
    Yield,
}

/// A fair task on the queue, with its weight: the least virtual time first, then the one that waits longest.
type FairEntry<K> = Reverse<(VirtualTime, i64, K, u64)>;
/// A real-time task on the queue: the highest priority first, then by order.
type RealTimeEntry<K> = (RealTimePriority, Reverse<i64>, K);

/// The tasks that could run on one CPU but do not at the moment.
#[derive(Clone, Debug)]
pub struct RunQueue<K> {
    fair: BinaryHeap<FairEntry<K>>,
    real_time: BinaryHeap<RealTimeEntry<K>>,
    /// Never goes back; new tasks begin here.
    virtual_time: VirtualTime,
    /// Sum of the weights of the fair tasks on the queue.
    weight: u64,
    /// Counts up for the back of the queue, down for the front.
    back: i64,
    front: i64,
}

impl<K: Ord + Copy> Default for RunQueue<K> {
    fn default() -> RunQueue<K> {
        RunQueue::new()
    }
}

impl<K: Ord + Copy> RunQueue<K> {
    /// An empty queue.
    pub const fn new() -> RunQueue<K> {
        RunQueue {
            fair: BinaryHeap::new(),
            real_time: BinaryHeap::new(),
            virtual_time: 0,
            weight: 0,
            back: 0,
            front: 0,
        }
    }

    /// Makes room for so many tasks in all.
    pub fn reserve(&mut self, tasks: usize) {
        self.fair.reserve(tasks.saturating_sub(self.fair.len()));
        self.real_time.reserve(tasks.saturating_sub(self.real_time.len()));
    }

    /// Number of tasks on the queue.
    pub fn len(&self) -> usize {
        self.fair.len() + self.real_time.len()
    }

    /// Whether no task is on the queue.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much work waits, to compare CPUs: the weights of the fair tasks, a real-time task counts as nice -20.
    pub fn load(&self) -> u64 {
        self.weight + self.real_time.len() as u64 * Nice::MIN.weight()
    }

    /// The keys of all tasks on the queue, in no order.
    pub fn iter(&self) -> impl Iterator<Item = K> {
        let fair = self.fair.iter().map(|Reverse((_, _, key, _))| *key);
        fair.chain(self.real_time.iter().map(|(_, _, key)| *key))
    }

    /// Puts a task on the queue.
    pub fn enqueue(&mut self, key: K, entity: &mut Entity, arrival: Arrival) {
        match entity.policy {
            Policy::Fifo(priority) | Policy::RoundRobin(priority) => {
                let is_done =
                    matches!(entity.policy, Policy::RoundRobin(_)) && entity.slice_used >= ROUND_ROBIN_NS;
                // Who was pushed aside goes on first, unless the slice is used up.
                let order = if arrival == Arrival::Preempted && !is_done {
                    self.next_front()
                } else {
                    self.next_back()
                };
                if arrival != Arrival::Preempted || is_done {
                    entity.slice_used = 0;
                }
                self.real_time.push((priority, Reverse(order), key));
            }
            Policy::Fair(_) | Policy::Batch(_) | Policy::Idle => {
                self.place(entity, arrival);
                let order = self.next_back();
                self.weight += entity.policy.weight();
                self.fair.push(Reverse((entity.virtual_time, order, key, entity.policy.weight())));
            }
        }
    }

    /// Takes the task that is to run now off the queue; then [start](RunQueue::start) it. The one that ran must be back
    /// on the queue, or have [left](RunQueue::leave).
    pub fn pick_next(&mut self) -> Option<K> {
        if let Some((_, _, key)) = self.real_time.pop() {
            return Some(key);
        }
        let Reverse((virtual_time, _, key, weight)) = self.fair.pop()?;
        self.virtual_time = self.virtual_time.max(virtual_time);
        self.weight -= weight;
        Some(key)
    }

    /// The running task ran for so long: to be called at each tick and before it leaves the CPU.
    pub fn account(&mut self, running: &mut Entity, ran_ns: u64) {
        running.slice_used = running.slice_used.saturating_add(ran_ns);
        if running.policy.is_fair() {
            let scaled = ran_ns as u128 * Nice::DEFAULT.weight() as u128 / running.policy.weight() as u128;
            running.virtual_time += scaled as VirtualTime;
            // The queue's time follows the one that is furthest behind.
            let first = self.fair.peek().map_or(running.virtual_time, |Reverse((time, ..))| *time);
            self.virtual_time = self.virtual_time.max(first.min(running.virtual_time));
        }
    }

    /// The running task was picked just now: its slice begins.
    pub fn start(&mut self, running: &mut Entity) {
        if running.policy.is_fair() {
            running.slice_used = 0;
        }
    }

    /// The running task does not come back: it sleeps, ends, or goes to another CPU.
    pub fn leave(&mut self, running: &mut Entity) {
        if running.policy.is_fair() {
            running.virtual_time -= self.virtual_time;
        }
    }

    /// Changes the policy of the running task.
    pub fn change_policy(&mut self, running: &mut Entity, policy: Policy) {
        self.leave(running);
        running.set_policy(policy);
        if policy.is_fair() {
            self.place(running, Arrival::New);
        }
    }

    /// Takes a task off the queue wherever it is; `false` if it is not there. Takes time in the number of tasks.
    pub fn remove(&mut self, key: K, entity: &mut Entity) -> bool {
        let before = self.len();
        if entity.policy.is_fair() {
            self.fair.retain(|Reverse((_, _, other, _))| *other != key);
        } else {
            self.real_time.retain(|(_, _, other)| *other != key);
        }
        let was_here = self.len() < before;
        if was_here {
            if entity.policy.is_fair() {
                self.weight = self.weight.saturating_sub(entity.policy.weight());
            }
            self.leave(entity);
        }
        was_here
    }

    /// How long the running task may go on if nobody else comes; `None`: as long as it likes.
    pub fn time_slice(&self, running: &Entity) -> Option<u64> {
        match running.policy {
            Policy::Fifo(_) => None,
            Policy::RoundRobin(_) => Some(ROUND_ROBIN_NS),
            Policy::Fair(_) | Policy::Batch(_) | Policy::Idle => {
                if self.fair.is_empty() {
                    return None;
                }
                let weight = running.policy.weight();
                Some((PERIOD_NS * weight / (self.weight + weight)).max(GRANULARITY_NS))
            }
        }
    }

    /// Whether another task should run instead of the running one: to be asked at ticks and after a wake-up.
    pub fn should_preempt(&self, running: &Entity) -> bool {
        let best = self.real_time.peek().map(|(priority, _, _)| *priority);
        let Some(own) = running.policy.real_time_priority() else {
            return best.is_some() || self.should_preempt_fair(running);
        };
        let is_slice_used =
            matches!(running.policy, Policy::RoundRobin(_)) && running.slice_used >= ROUND_ROBIN_NS;
        best.is_some_and(|best| best > own || best == own && is_slice_used)
    }

    fn should_preempt_fair(&self, running: &Entity) -> bool {
        let Some(Reverse((first, ..))) = self.fair.peek() else { return false };
        let is_slice_used = self.time_slice(running).is_some_and(|slice| running.slice_used >= slice);
        if is_slice_used {
            return *first < running.virtual_time;
        }
        // A task that is far behind need not wait for the end of the slice.
        first + (GRANULARITY_NS as VirtualTime) < running.virtual_time
            && running.slice_used >= GRANULARITY_NS / 2
    }

    /// Gives a fair task its virtual time on this queue.
    fn place(&self, entity: &mut Entity, arrival: Arrival) {
        let period = PERIOD_NS as VirtualTime;
        match arrival {
            Arrival::Preempted => {}
            Arrival::Yield => {
                let last = self.fair.iter().map(|Reverse((time, ..))| *time).max();
                entity.virtual_time = entity.virtual_time.max(last.unwrap_or(self.virtual_time));
            }
            Arrival::New | Arrival::Wake => {
                // Debts stay, but not for ever; credit is half a period. Those who work in the background get none.
                let credit = match entity.policy {
                    Policy::Fair(_) if arrival == Arrival::Wake => period / 2,
                    _ => 0,
                };
                let scale =
                    Nice::DEFAULT.weight() as VirtualTime * period / entity.policy.weight() as VirtualTime;
                entity.virtual_time = self.virtual_time + entity.virtual_time.clamp(-credit, scale);
            }
        }
    }

    fn next_back(&mut self) -> i64 {
        self.back += 1;
        self.back
    }

    fn next_front(&mut self) -> i64 {
        self.front -= 1;
        self.front
    }
}
