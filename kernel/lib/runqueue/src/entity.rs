//! What a queue knows of a task.

use crate::{Policy, SLICE_NS, SLICE_RANGE_NS};

/// Virtual time: 1024ths of a nanosecond of a task of nice 0. Wide enough never to wrap, and so is its product with any
/// sum of weights.
pub(crate) type VirtualTime = i128;

/// Virtual time of a nanosecond, times the weight of who runs.
pub(crate) const ONE_NS: VirtualTime = 1 << SHIFT;
/// Units in a nanosecond (10 bits) times the weight of nice 0 (another 10).
const SHIFT: u32 = 20;

/// Virtual time that passes for a task of the given weight while it runs for `ran_ns`.
pub(crate) const fn virtual_time(ran_ns: u64, weight: u64) -> VirtualTime {
    if ran_ns >> (u64::BITS - SHIFT) == 0 {
        // The usual case, without a long division.
        ((ran_ns << SHIFT) / weight) as VirtualTime
    } else {
        (((ran_ns as u128) << SHIFT) / weight as u128) as VirtualTime
    }
}

/// A task's place in virtual time. While the task is on a queue (waiting or running) the queue has it, else its owner.
#[derive(Clone, Copy, Debug)]
pub struct Entity {
    pub(crate) policy: Policy,
    /// How long one turn is to be.
    pub(crate) slice_ns: u64,
    /// The virtual time that it has used, on the clock of the queue `home`.
    pub(crate) virtual_time: VirtualTime,
    /// Off the queue: what it was owed when it left (negative: what it owed).
    pub(crate) lag: VirtualTime,
    /// On the queue: when, in virtual time, its present request is to be served.
    pub(crate) deadline: VirtualTime,
    /// The queue it was on last.
    pub(crate) home: Option<u32>,
    /// Used of a round-robin turn that was interrupted.
    pub(crate) turn_used_ns: u64,
}

impl Entity {
    /// A task that has never been on a queue.
    pub const fn new(policy: Policy) -> Entity {
        Entity {
            policy,
            slice_ns: SLICE_NS,
            virtual_time: 0,
            lag: 0,
            deadline: 0,
            home: None,
            turn_used_ns: 0,
        }
    }

    /// Its policy.
    pub const fn policy(&self) -> Policy {
        self.policy
    }

    /// The length of its turns.
    pub const fn slice_ns(&self) -> u64 {
        self.slice_ns
    }

    /// Changes the policy of a task that is off the queue. See
    /// [`change_running`](crate::RunQueue::change_running) and [`take_where`](crate::RunQueue::take_where) for others.
    pub const fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
        self.turn_used_ns = 0;
    }

    /// Changes the length of its turns, brought into [`SLICE_RANGE_NS`]; `None`: the usual one. Shorter turns come
    /// sooner, and are not more in sum.
    pub const fn set_slice_ns(&mut self, slice_ns: Option<u64>) {
        self.slice_ns = match slice_ns {
            None => SLICE_NS,
            Some(slice_ns) if slice_ns < SLICE_RANGE_NS.0 => SLICE_RANGE_NS.0,
            Some(slice_ns) if slice_ns > SLICE_RANGE_NS.1 => SLICE_RANGE_NS.1,
            Some(slice_ns) => slice_ns,
        };
    }

    /// What a task starts with that was made by this one, which is off the queue: its policy and its debts. So nobody
    /// gets more by having children do the work. (Of the running task: [`RunQueue::child`](crate::RunQueue::child).)
    #[must_use]
    pub const fn child(&self) -> Entity {
        let lag = if self.lag < 0 { self.lag } else { 0 };
        Entity { slice_ns: self.slice_ns, lag, ..Entity::new(self.policy) }
    }

    pub(crate) const fn weight(&self) -> u64 {
        self.policy.weight()
    }

    /// A turn in virtual time.
    pub(crate) const fn slice(&self) -> VirtualTime {
        virtual_time(self.slice_ns, self.weight())
    }

    /// Asks for another turn.
    pub(crate) const fn renew_request(&mut self) {
        self.deadline = self.virtual_time + self.slice();
    }
}
