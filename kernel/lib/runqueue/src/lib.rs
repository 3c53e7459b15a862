//! Which task runs next on one CPU: a run queue of tasks `K`.
//!
//! Two classes. **Real time** (`SCHED_FIFO`, `SCHED_RR`, priority 1 to 99): the highest priority runs; within one
//! priority in turns, round robin after a time slice. **Fair** (`SCHED_OTHER`, `SCHED_BATCH`, `SCHED_IDLE`): earliest
//! eligible virtual deadline first.
//!
//! # Fair tasks
//! * A task's *virtual time* is what it has run, divided by its weight. The queue's virtual time is the weighted average
//!   over all fair tasks, waiting or running: where each would be had it got its exact share. A task that is not
//!   ahead of the average is *eligible*.
//! * A task asks for turns of its slice; the *virtual deadline* of a turn is its virtual time when it asks plus the slice
//!   divided by the weight. Of the eligible tasks the one with the earliest deadline runs. So a task is never ahead of, nor
//!   behind, its exact share by more than about a slice, whatever comes and goes (the tests hold it to that).
//! * A turn ends with its slice. It is cut short by a task that was woken and is eligible: at once if that one is owed time
//!   and has the earlier deadline, else when [`GRANULARITY_NS`] of the turn are over. So who sleeps most of the
//!   time runs soon when it wakes.
//! * What a task is owed or owes when it leaves (its *lag*) counts when it comes back. A credit does not grow while it
//!   sleeps, and a debt is paid by waiting as it would have been on the queue: sleeping gains nothing.
//!
//! # Real-time tasks
//! If fair tasks wait while real-time tasks run, the latter leave them a share of the CPU ([`RealTimeLimit`]), so a
//! real-time task that never sleeps does not lock up the system.
//!
//! # Use
//! Tasks come by [`enqueue`](RunQueue::enqueue) and go by [`leave`](RunQueue::leave) or
//! [`take_where`](RunQueue::take_where), each with its [`Entity`]. The running task is one of the queue's but does not wait
//! in it: [`pick_next`](RunQueue::pick_next) makes it, [`requeue`](RunQueue::requeue) ends its turn. After
//! [`try_reserve`](RunQueue::try_reserve) nothing allocates: wake-ups come from interrupt handlers. Times are nanoseconds.
//!
//! Source: sched(7); Stoica and Abdel-Wahab, "Earliest Eligible Virtual Deadline First", 1995.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod entity;
mod policy;
mod real_time;
#[cfg(test)]
mod tests;
mod tree;

use alloc::collections::TryReserveError;
pub use entity::Entity;
use entity::{ONE_NS, VirtualTime, virtual_time};
pub use policy::{Nice, Policy, RealTimePriority};
pub use real_time::RealTimeLimit;
use real_time::{RealTimeQueue, StarvationGuard};
use tree::DeadlineTree;

/// How long a fair task runs at a time while others wait, unless it asks for something else.
pub const SLICE_NS: u64 = 3_000_000;
/// The least and the most that it can ask for.
pub const SLICE_RANGE_NS: (u64, u64) = (100_000, 100_000_000);
/// How long a fair task runs at least before one that wakes up gets its turn.
pub const GRANULARITY_NS: u64 = 750_000;
/// The time slice of a round-robin task.
pub const ROUND_ROBIN_NS: u64 = 100_000_000;
/// The shortest time after which it makes sense to look again.
const LEAST_LOOK_NS: u64 = 10_000;

/// Why a task comes onto a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It is new, or comes from another CPU.
    New,
    /// It slept.
    Wake,
}

/// Why the running task goes back to those that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requeue {
    /// Somebody else's turn.
    Preempted,
    /// It lets others go first.
    Yielded,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    entity: Entity,
    /// Of its turn.
    used_ns: u64,
    /// Who waits does not disturb it before it has used so much.
    protected_ns: u64,
    is_turn_over: bool,
}

/// The tasks of one CPU. See the module.
#[derive(Clone, Debug)]
pub struct RunQueue<K> {
    id: u32,
    fair: DeadlineTree<K>,
    real_time: RealTimeQueue<K>,
    running: Option<Running>,
    /// Sum of the weights of all fair tasks, the running one included.
    weight: u64,
    /// Sum of their virtual times, each times its weight.
    sum: VirtualTime,
    /// The average when the last fair task left.
    last_average: VirtualTime,
    guard: StarvationGuard,
}

impl<K> RunQueue<K> {
    /// An empty queue. `id` is no other queue's: a task that moves takes its lag along, not its virtual time.
    pub const fn new(id: u32) -> RunQueue<K> {
        RunQueue {
            id,
            fair: DeadlineTree::new(),
            real_time: RealTimeQueue::new(),
            running: None,
            weight: 0,
            sum: 0,
            last_average: 0,
            guard: StarvationGuard::new(),
        }
    }

    /// Makes room for so many tasks in all.
    ///
    /// # Errors
    /// If there is no memory; the queue stays usable as far as its room goes.
    pub fn try_reserve(&mut self, tasks: usize) -> Result<(), TryReserveError> {
        self.fair.try_reserve(tasks)?;
        self.real_time.try_reserve(tasks)
    }

    /// Gives back room for more than so many tasks, as far as none waits in it.
    pub fn shrink(&mut self, tasks: usize) {
        self.fair.shrink(tasks);
        self.real_time.shrink(tasks);
    }

    /// Number of tasks that wait.
    pub fn len(&self) -> usize {
        self.fair.len() + self.real_time.len()
    }

    /// Whether no task waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much there is to do, to compare CPUs: the weights of all tasks that wait or run; a real-time task counts as
    /// nice -20.
    pub fn load(&self) -> u64 {
        let runs = self.running.is_some_and(|running| !running.entity.policy.is_fair());
        self.weight + (self.real_time.len() as u64 + u64::from(runs)) * Nice::MIN.weight()
    }

    /// The highest real-time priority that waits.
    pub fn waiting_priority(&self) -> Option<RealTimePriority> {
        self.real_time.priority()
    }

    /// The running task.
    pub fn running(&self) -> Option<&Entity> {
        self.running.as_ref().map(|running| &running.entity)
    }

    /// All tasks that wait, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &Entity)> {
        self.fair.iter().chain(self.real_time.iter())
    }

    /// How much of the CPU real-time tasks may take.
    pub fn set_real_time_limit(&mut self, limit: RealTimeLimit) {
        self.guard.limit = limit;
        self.guard.reset();
    }

    /// Adds a task.
    pub fn enqueue(&mut self, item: K, mut entity: Entity, arrival: Arrival) {
        if let Some(priority) = entity.policy.real_time_priority() {
            return self.real_time.push_back(priority, item, entity);
        }
        self.place(&mut entity);
        self.disturb(&entity, arrival);
        self.fair.insert(item, entity);
    }

    /// Ends the turn of the running task `item`: it waits again. Nothing happens if none runs.
    pub fn requeue(&mut self, item: K, why: Requeue) {
        let Some(Running { mut entity, .. }) = self.running.take() else { return };
        match (entity.policy, why) {
            (Policy::Fifo(priority), Requeue::Preempted) => self.real_time.push_front(priority, item, entity),
            (Policy::RoundRobin(priority), Requeue::Preempted) if entity.turn_used_ns < ROUND_ROBIN_NS => {
                self.real_time.push_front(priority, item, entity);
            }
            (Policy::Fifo(priority) | Policy::RoundRobin(priority), _) => {
                entity.turn_used_ns = 0;
                self.real_time.push_back(priority, item, entity);
            }
            (Policy::Fair(_) | Policy::Batch(_) | Policy::Idle, _) => {
                if why == Requeue::Yielded {
                    self.give_up_credit(&mut entity);
                }
                self.fair.insert(item, entity);
            }
        }
    }

    /// Takes the task that is to run now. The one that ran has been requeued, or has left.
    pub fn pick_next(&mut self) -> Option<K> {
        debug_assert!(self.running.is_none(), "the running task is still there");
        let is_fair_first = self.guard.is_fair_first() && !self.fair.is_empty();
        let (item, entity) = match is_fair_first {
            false if self.real_time.len() != 0 => self.real_time.pop()?,
            _ => {
                // The least virtual time is not above the average, so there is one.
                let key = self.fair.first_eligible(self.sum, self.weight)?;
                self.fair.remove(key)?
            }
        };
        self.running =
            Some(Running { entity, used_ns: 0, protected_ns: entity.slice_ns, is_turn_over: false });
        Some(item)
    }

    /// The running task, which was on no queue before (the flow that a CPU started with).
    pub fn adopt(&mut self, mut entity: Entity) {
        if entity.policy.is_fair() {
            self.place(&mut entity);
        }
        self.running =
            Some(Running { entity, used_ns: 0, protected_ns: entity.slice_ns, is_turn_over: false });
    }

    /// The running task has run for so long since this was called last.
    pub fn account(&mut self, ran_ns: u64) {
        let Some(running) = &mut self.running else { return };
        let entity = &mut running.entity;
        if entity.policy.is_fair() {
            let passed = virtual_time(ran_ns, entity.weight());
            entity.virtual_time += passed;
            self.sum += passed * VirtualTime::from(entity.weight());
            running.used_ns = running.used_ns.saturating_add(ran_ns);
            if entity.virtual_time >= entity.deadline {
                entity.renew_request();
                running.is_turn_over = true;
            }
            self.guard.fair_ran(ran_ns);
        } else {
            entity.turn_used_ns = entity.turn_used_ns.saturating_add(ran_ns);
            if !self.fair.is_empty() {
                self.guard.real_time_ran(ran_ns);
            }
        }
    }

    /// The running task goes: it sleeps, ends, or moves to another CPU. `None` if none runs.
    pub fn leave(&mut self) -> Option<Entity> {
        let Running { mut entity, .. } = self.running.take()?;
        self.detach(&mut entity);
        Some(entity)
    }

    /// Changes policy and slice of the running task.
    pub fn change_running(&mut self, change: impl FnOnce(&mut Entity)) {
        let Some(mut running) = self.running.take() else { return };
        self.detach(&mut running.entity);
        change(&mut running.entity);
        if running.entity.policy.is_fair() {
            self.place(&mut running.entity);
        }
        self.running = Some(running);
    }

    /// What a child of the running task starts with; see [`Entity::child`].
    pub fn child(&self) -> Option<Entity> {
        let parent = self.running()?;
        let mut child = Entity { lag: self.lag(parent), ..*parent }.child();
        if child.lag < 0 {
            (child.home, child.virtual_time) = (Some(self.id), parent.virtual_time);
        }
        Some(child)
    }

    /// Takes out a task that waits and `suits`: of the fair ones that with the latest deadline, else the first
    /// real-time one.
    pub fn take_where(&mut self, mut suits: impl FnMut(&K, &Entity) -> bool) -> Option<(K, Entity)> {
        self.take_fair_where(&mut suits).or_else(|| self.take_real_time_where(suits))
    }

    /// [`take_where`](Self::take_where) among fair tasks.
    pub fn take_fair_where(&mut self, mut suits: impl FnMut(&K, &Entity) -> bool) -> Option<(K, Entity)> {
        let key = self.fair.last_where(&mut suits)?;
        let (item, mut entity) = self.fair.remove(key)?;
        self.detach(&mut entity);
        Some((item, entity))
    }

    /// [`take_where`](Self::take_where) among real-time tasks.
    pub fn take_real_time_where(
        &mut self,
        mut suits: impl FnMut(&K, &Entity) -> bool,
    ) -> Option<(K, Entity)> {
        self.real_time.take_where(&mut suits)
    }

    /// Whether another task should run instead of the running one. To be asked, after [`account`](Self::account), when
    /// somebody came and when [`next_look_ns`](Self::next_look_ns) is over.
    pub fn gives_way(&mut self) -> bool {
        let Some(running) = self.running.as_mut() else { return !self.is_empty() };
        let waiting = self.real_time.priority();
        let is_fair_first = self.guard.is_fair_first();
        if let Some(own) = running.entity.policy.real_time_priority() {
            if is_fair_first && !self.fair.is_empty() {
                return true;
            }
            let is_turn_over = matches!(running.entity.policy, Policy::RoundRobin(_))
                && running.entity.turn_used_ns >= ROUND_ROBIN_NS;
            if is_turn_over && waiting.is_none_or(|waiting| waiting < own) {
                running.entity.turn_used_ns = 0;
            }
            return waiting.is_some_and(|waiting| waiting > own || waiting == own && is_turn_over);
        }
        if waiting.is_some() && !is_fair_first {
            return true;
        }
        if self.fair.is_empty() || (!running.is_turn_over && running.used_ns < running.protected_ns) {
            return false;
        }
        let entity = &running.entity;
        let is_behind = entity.virtual_time * VirtualTime::from(self.weight) < self.sum;
        let best = self.fair.first_eligible(self.sum, self.weight);
        let gives_way = best.is_some_and(|(deadline, _)| !is_behind || deadline < entity.deadline);
        if !gives_way && running.is_turn_over {
            (running.used_ns, running.protected_ns) = (0, entity.slice_ns);
            running.is_turn_over = false;
        }
        gives_way
    }

    /// After how long [`gives_way`](Self::gives_way) may have another answer if nobody comes; `None`: never.
    pub fn next_look_ns(&self) -> Option<u64> {
        let running = self.running.as_ref()?;
        let entity = &running.entity;
        let look_ns = if let Some(own) = entity.policy.real_time_priority() {
            let has_equal = self.real_time.priority() == Some(own);
            let takes_turns = has_equal && matches!(entity.policy, Policy::RoundRobin(_));
            let turn_ns = takes_turns.then(|| ROUND_ROBIN_NS.saturating_sub(entity.turn_used_ns));
            let limit_ns = if self.fair.is_empty() { None } else { self.guard.real_time_left_ns() };
            turn_ns.into_iter().chain(limit_ns).min()?
        } else {
            let owed_ns = (self.real_time.len() != 0).then(|| self.guard.owed_ns());
            let turn_ns = (!self.fair.is_empty()).then(|| {
                let left = (entity.deadline - entity.virtual_time) * VirtualTime::from(entity.weight());
                let left_ns = u64::try_from((left + ONE_NS - 1) / ONE_NS).unwrap_or(0);
                match running.protected_ns.checked_sub(running.used_ns) {
                    Some(protected_ns @ 1..) => left_ns.min(protected_ns),
                    _ => left_ns,
                }
            });
            turn_ns.into_iter().chain(owed_ns).min()?
        };
        Some(look_ns.max(LEAST_LOOK_NS))
    }

    /// The virtual time at which every fair task would be had it got its exact share.
    fn average(&self) -> VirtualTime {
        if self.weight == 0 { self.last_average } else { self.sum.div_euclid(self.weight.into()) }
    }

    /// What a fair task of this queue is owed, at most two turns either way.
    fn lag(&self, entity: &Entity) -> VirtualTime {
        if !entity.policy.is_fair() {
            return 0;
        }
        let most = 2 * entity.slice();
        (self.average() - entity.virtual_time).clamp(-most, most)
    }

    /// Gives a fair task that comes its virtual time here.
    fn place(&mut self, entity: &mut Entity) {
        let average = self.average();
        let weight = VirtualTime::from(entity.weight());
        entity.virtual_time = if entity.lag < 0 && entity.home == Some(self.id) {
            // The clock has run on: that much of the debt is paid.
            let most = average + 2 * entity.slice();
            entity.virtual_time.clamp(average, most.max(average))
        } else if self.weight == 0 {
            average
        } else {
            // It moves the average itself; so much further away it must be for the lag to be what it was.
            let others = VirtualTime::from(self.weight);
            average - entity.lag * (others + weight) / others
        };
        (entity.home, entity.lag) = (Some(self.id), 0);
        entity.renew_request();
        self.weight += entity.weight();
        self.sum += entity.virtual_time * weight;
    }

    /// Takes a task, which does not wait any more, out of the sums, and notes its lag.
    fn detach(&mut self, entity: &mut Entity) {
        entity.turn_used_ns = 0;
        if !entity.policy.is_fair() {
            return;
        }
        entity.lag = self.lag(entity);
        let average = self.average();
        self.weight -= entity.weight();
        self.sum -= entity.virtual_time * VirtualTime::from(entity.weight());
        if self.weight == 0 {
            self.last_average = average;
            self.guard.reset();
        }
    }

    /// A fair task that has just come may cut the running one's turn short.
    fn disturb(&mut self, arrived: &Entity, arrival: Arrival) {
        let weight = VirtualTime::from(self.weight);
        let is_eligible = arrived.virtual_time * weight <= self.sum;
        let Some(running) = self.running.as_mut().filter(|running| running.entity.policy.is_fair()) else {
            return;
        };
        match (running.entity.policy, arrived.policy) {
            (_, Policy::Idle) => {}
            (Policy::Idle, _) => {
                running.entity.renew_request();
                running.is_turn_over = true;
            }
            (_, Policy::Fair(_)) if is_eligible && arrival == Arrival::Wake => {
                let is_shorter = arrived.slice_ns < running.entity.slice_ns;
                let is_owed = arrived.virtual_time * weight < self.sum;
                let comes_first = is_shorter || is_owed && arrived.deadline < running.entity.deadline;
                let protected_ns = if comes_first { 0 } else { GRANULARITY_NS };
                running.protected_ns = running.protected_ns.min(protected_ns);
            }
            _ => {}
        }
    }

    /// A task that yields goes behind all others: what it is owed is gone, and somebody else is eligible.
    fn give_up_credit(&mut self, entity: &mut Entity) {
        let own = VirtualTime::from(entity.weight());
        let others = self.weight - entity.weight();
        if others == 0 {
            return;
        }
        let sum_of_others = self.sum - entity.virtual_time * own;
        let behind = sum_of_others.div_euclid(others.into()) + 1;
        if entity.virtual_time < behind {
            self.sum += (behind - entity.virtual_time) * own;
            entity.virtual_time = behind;
        }
        entity.renew_request();
    }
}
