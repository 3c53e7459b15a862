//! What the scheduler knows of a thread: its policy, the CPUs it may run on, and its entity.
//!
//! While a thread waits in a run queue or runs, its [`Entity`] is in the queue (`lib/runqueue`); else it is here. So
//! whoever finds it here has the thread for itself, and a thread cannot be queued twice.

use core::sync::atomic::{AtomicBool, AtomicI8, AtomicU32, AtomicU64, Ordering};
use machine::sync::IrqSpinLock;
use runqueue::{Entity, Nice, Policy, RealTimePriority};

/// See the module.
pub(super) struct Scheduling {
    /// `None` while a queue has it. Changed under the lock of the queue that it leaves or comes to.
    pub(super) entity: IrqSpinLock<Option<Entity>>,
    /// What the entity's policy is, for those who only want to know: see [`packed`].
    policy: AtomicU32,
    /// Kept while the policy is one that has no nice value.
    nice: AtomicI8,
    affinity: AtomicU64,
    /// Asked for by `sched_setattr`; 0: the usual slice.
    slice_ns: AtomicU64,
    /// Children start with the default policy (SCHED_RESET_ON_FORK).
    resets_on_fork: AtomicBool,
}

impl Scheduling {
    /// Fair, nice 0, on any CPU.
    pub(super) fn new() -> Scheduling {
        Scheduling {
            entity: IrqSpinLock::new("entity", Some(Entity::new(Policy::default()))),
            policy: AtomicU32::new(packed(Policy::default())),
            nice: AtomicI8::new(0),
            affinity: AtomicU64::new(u64::MAX),
            slice_ns: AtomicU64::new(0),
            resets_on_fork: AtomicBool::new(false),
        }
    }

    /// Takes over another thread's attributes (fork); `entity` is what its queue gives the child to start with. Only
    /// before the thread is started.
    pub(super) fn inherit(&self, parent: &Scheduling, mut entity: Entity) {
        self.set_nice(parent.nice());
        self.set_affinity(parent.affinity());
        if !parent.resets_on_fork() {
            self.set_slice_ns(parent.slice_ns());
        } else if !entity.policy().is_fair() || parent.nice() < Nice::DEFAULT {
            self.set_nice(Nice::DEFAULT);
            entity.set_policy(Policy::default());
        }
        entity.set_slice_ns(self.slice_ns());
        self.note_policy(entity.policy());
        *self.entity.lock() = Some(entity);
    }

    pub(super) fn policy(&self) -> Policy {
        unpacked(self.policy.load(Ordering::Relaxed))
    }

    /// The entity has this policy now.
    pub(super) fn note_policy(&self, policy: Policy) {
        self.policy.store(packed(policy), Ordering::Relaxed);
    }

    pub(super) fn nice(&self) -> Nice {
        Nice::clamped(i32::from(self.nice.load(Ordering::Relaxed)))
    }

    pub(super) fn set_nice(&self, nice: Nice) {
        self.nice.store(nice.value() as i8, Ordering::Relaxed);
    }

    /// The length of its turns, if it has asked for one.
    pub(super) fn slice_ns(&self) -> Option<u64> {
        Some(self.slice_ns.load(Ordering::Relaxed)).filter(|slice_ns| *slice_ns != 0)
    }

    pub(super) fn set_slice_ns(&self, slice_ns: Option<u64>) {
        self.slice_ns.store(slice_ns.unwrap_or(0), Ordering::Relaxed);
    }

    pub(super) fn resets_on_fork(&self) -> bool {
        self.resets_on_fork.load(Ordering::Relaxed)
    }

    pub(super) fn set_resets_on_fork(&self, resets: bool) {
        self.resets_on_fork.store(resets, Ordering::Relaxed);
    }

    /// Bit n: it may run on CPU n.
    pub(super) fn affinity(&self) -> u64 {
        self.affinity.load(Ordering::SeqCst)
    }

    pub(super) fn set_affinity(&self, affinity: u64) {
        self.affinity.store(affinity, Ordering::SeqCst);
    }

    pub(super) fn may_run_on(&self, cpu: usize) -> bool {
        self.affinity() >> cpu & 1 != 0
    }
}

/// A policy as a number: class and value.
fn packed(policy: Policy) -> u32 {
    let (class, value) = match policy {
        Policy::Fair(nice) => (0, nice.value() + 20),
        Policy::Batch(nice) => (1, nice.value() + 20),
        Policy::Idle => (2, 0),
        Policy::Fifo(priority) => (3, priority.value() as i32),
        Policy::RoundRobin(priority) => (4, priority.value() as i32),
    };
    class << 8 | value as u32
}

/// The policy behind a number that [`packed`] made.
fn unpacked(number: u32) -> Policy {
    let value = number & 0xff;
    let nice = Nice::clamped(value as i32 - 20);
    let priority = RealTimePriority::new(value);
    match (number >> 8, priority) {
        (1, _) => Policy::Batch(nice),
        (2, _) => Policy::Idle,
        (3, Some(priority)) => Policy::Fifo(priority),
        (4, Some(priority)) => Policy::RoundRobin(priority),
        _ => Policy::Fair(nice),
    }
}
