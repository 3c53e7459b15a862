//! How a thread is scheduled: class, nice value, real-time priority, allowed CPUs; and what follows for its turns.
//!
//! Fair threads share the CPU by weight: each has a virtual run time that grows as it runs, the faster the lower
//! its weight, and the one that has least of it goes next. A nice step is a factor of 1.25. Real-time threads go
//! before all fair ones, by priority; equal priorities take turns (round robin) or wait (FIFO).

use core::sync::atomic::{AtomicI8, AtomicU8, AtomicU64, Ordering};

/// The class of a thread (`sched_setscheduler`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// SCHED_OTHER: by weight.
    Fair,
    /// SCHED_BATCH: by weight, and never preempts another on waking.
    Batch,
    /// SCHED_IDLE: with hardly any weight.
    Idle,
    /// SCHED_FIFO: until it waits.
    Fifo,
    /// SCHED_RR: in turns.
    RoundRobin,
}

/// A fair thread is to have its turn within this time, if the number of threads allows it.
const LATENCY_NS: u64 = 6_000_000;
/// The shortest turn of a fair thread.
const SHORTEST_TURN_NS: u64 = 750_000;
/// A woken thread preempts only one that is ahead of it by more than this.
const WAKE_UP_ADVANTAGE_NS: u64 = 1_000_000;
/// The turn of a round-robin thread.
pub(crate) const ROUND_ROBIN_NS: u64 = 100_000_000;
/// The weight of nice 0.
const WEIGHT_ONE: u64 = 1024;
/// The weight of [`Class::Idle`].
const WEIGHT_IDLE: u64 = 3;

/// Weights of nice -20 to 19: 1024 * 1.25^-nice.
#[rustfmt::skip]
const WEIGHTS: [u32; 40] = [
    88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916,
    9548, 7620, 6100, 4904, 3906, 3121, 2501, 1991, 1586, 1277,
    1024, 820, 655, 526, 423, 335, 272, 215, 172, 137,
    110, 87, 70, 56, 45, 36, 29, 23, 18, 15,
];

/// The scheduling attributes and the virtual clock of one thread. Written by its owner and, for the clock, under the
/// lock of the run queue that it runs on.
#[derive(Debug)]
pub(crate) struct Policy {
    class: AtomicU8,
    nice: AtomicI8,
    priority: AtomicU8,
    affinity: AtomicU64,
    virtual_ns: AtomicU64,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            class: AtomicU8::new(Class::Fair as u8),
            nice: AtomicI8::new(0),
            priority: AtomicU8::new(0),
            affinity: AtomicU64::new(u64::MAX),
            virtual_ns: AtomicU64::new(0),
        }
    }
}

impl Policy {
    /// The class.
    pub(crate) fn class(&self) -> Class {
        const CLASSES: [Class; 5] = [Class::Fair, Class::Batch, Class::Idle, Class::Fifo, Class::RoundRobin];
        CLASSES[usize::from(self.class.load(Ordering::Relaxed))]
    }

    /// The nice value, -20 to 19.
    pub(crate) fn nice(&self) -> i8 {
        self.nice.load(Ordering::Relaxed)
    }

    /// The real-time priority, 1 to 99; 0 for the fair classes.
    pub(crate) fn priority(&self) -> u8 {
        self.priority.load(Ordering::Relaxed)
    }

    /// Bit n: it may run on CPU n.
    pub(crate) fn affinity(&self) -> u64 {
        self.affinity.load(Ordering::Relaxed)
    }

    /// Takes effect when the thread is queued the next time.
    pub(crate) fn set_class(&self, class: Class, priority: u8) {
        self.class.store(class as u8, Ordering::Relaxed);
        self.priority.store(priority.min(99), Ordering::Relaxed);
    }

    /// Clamped to -20 to 19.
    pub(crate) fn set_nice(&self, nice: i32) {
        self.nice.store(nice.clamp(-20, 19) as i8, Ordering::Relaxed);
    }

    /// At least one bit of an existing CPU must be set; the caller has checked it.
    pub(crate) fn set_affinity(&self, affinity: u64) {
        self.affinity.store(affinity, Ordering::Relaxed);
    }

    /// Takes over another thread's attributes (fork).
    pub(crate) fn copy_from(&self, other: &Policy) {
        self.set_class(other.class(), other.priority());
        self.set_nice(i32::from(other.nice()));
        self.set_affinity(other.affinity());
    }

    pub(super) fn is_real_time(&self) -> bool {
        matches!(self.class(), Class::Fifo | Class::RoundRobin)
    }

    pub(super) fn may_run_on(&self, cpu: usize) -> bool {
        self.affinity() >> cpu & 1 != 0
    }

    pub(super) fn weight(&self) -> u64 {
        match self.class() {
            Class::Idle => WEIGHT_IDLE,
            _ => u64::from(WEIGHTS[usize::from((self.nice() + 20) as u8)]),
        }
    }

    pub(super) fn virtual_ns(&self) -> u64 {
        self.virtual_ns.load(Ordering::Relaxed)
    }

    pub(super) fn set_virtual_ns(&self, virtual_ns: u64) {
        self.virtual_ns.store(virtual_ns, Ordering::Relaxed);
    }

    /// Lets its clock go on after it has run.
    pub(super) fn charge(&self, ran_ns: u64) {
        let virtual_ns = ran_ns.saturating_mul(WEIGHT_ONE) / self.weight();
        self.set_virtual_ns(self.virtual_ns().wrapping_add(virtual_ns));
    }

    /// Where its clock starts when it wakes up in a queue whose clock is `queue_ns`: sleepers come a little early,
    /// but do not save up time.
    pub(super) fn place(&self, queue_ns: u64) {
        let earliest = queue_ns.wrapping_sub(LATENCY_NS / 2);
        if is_before(self.virtual_ns(), earliest) {
            self.set_virtual_ns(earliest);
        }
    }

    /// How long a turn is with `others` more threads waiting; `None`: without end.
    pub(crate) fn turn_ns(&self, others: usize) -> Option<u64> {
        match self.class() {
            Class::Fifo => None,
            Class::RoundRobin => Some(ROUND_ROBIN_NS),
            _ => Some((LATENCY_NS / (others as u64 + 1)).max(SHORTEST_TURN_NS)),
        }
    }

    /// Whether this one, just woken, is to run at once instead of `current`.
    pub(super) fn preempts(&self, current: &Policy) -> bool {
        match (self.is_real_time(), current.is_real_time()) {
            (true, true) => self.priority() > current.priority(),
            (true, false) => true,
            (false, true) => false,
            (false, false) if self.class() != Class::Fair => false,
            (false, false) if current.class() == Class::Idle => true,
            (false, false) => {
                is_before(self.virtual_ns().wrapping_add(WAKE_UP_ADVANTAGE_NS), current.virtual_ns())
            }
        }
    }
}

/// Whether `a` comes before `b` on a clock that wraps around.
pub(super) fn is_before(a: u64, b: u64) -> bool {
    (a.wrapping_sub(b) as i64) < 0
}
