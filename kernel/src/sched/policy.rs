//! What the scheduler knows of a thread: its policy, the CPUs it may run on, and its place in a run queue.
//!
//! Policies and virtual time are those of `lib/runqueue`. The entity is used under the lock of the queue of the
//! CPU that the thread belongs to; its own lock, below that one, only makes that safe to write down.

use core::sync::atomic::{AtomicI8, AtomicU64, Ordering};
use machine::sync::IrqSpinLock;
use runqueue::{Entity, Nice, Policy};

/// Where a thread stands with the queue of its CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It sleeps, or is new, or on its way to another CPU.
    Off,
    /// It runs.
    Running,
    /// It waits for its turn.
    Queued,
}

/// See the module.
pub(super) struct Scheduling {
    pub(super) entity: IrqSpinLock<(Entity, Place)>,
    /// Kept while the policy is one that has no nice value.
    nice: AtomicI8,
    affinity: AtomicU64,
}

impl Scheduling {
    /// Fair, nice 0, on any CPU.
    pub(super) fn new() -> Scheduling {
        Scheduling {
            entity: IrqSpinLock::new("entity", (Entity::new(Policy::default()), Place::Off)),
            nice: AtomicI8::new(0),
            affinity: AtomicU64::new(u64::MAX),
        }
    }

    /// Takes over another thread's attributes (fork). Only before the thread is started.
    pub(super) fn inherit(&self, parent: &Scheduling) {
        let entity = parent.entity.lock().0.child();
        *self.entity.lock() = (entity, Place::Off);
        self.set_nice(parent.nice());
        self.set_affinity(parent.affinity());
    }

    pub(super) fn policy(&self) -> Policy {
        self.entity.lock().0.policy()
    }

    pub(super) fn nice(&self) -> Nice {
        Nice::clamped(i32::from(self.nice.load(Ordering::Relaxed)))
    }

    pub(super) fn set_nice(&self, nice: Nice) {
        self.nice.store(nice.value() as i8, Ordering::Relaxed);
    }

    /// Bit n: it may run on CPU n.
    pub(super) fn affinity(&self) -> u64 {
        self.affinity.load(Ordering::Relaxed)
    }

    pub(super) fn set_affinity(&self, affinity: u64) {
        self.affinity.store(affinity, Ordering::Relaxed);
    }

    pub(super) fn may_run_on(&self, cpu: usize) -> bool {
        self.affinity() >> cpu & 1 != 0
    }
}
