//! What a process has used, and its children: times, switches, memory.

use super::Process;
use crate::clock;
use crate::sched::Thread;
use core::sync::atomic::{AtomicU64, Ordering};

/// Times and counts, in nanoseconds, of what is no longer there to ask.
#[derive(Default)]
pub(super) struct Usage {
    pub(super) ended_threads: Totals,
    pub(super) children: Totals,
    pub(super) largest_resident_kib: AtomicU64,
    pub(super) largest_child_resident_kib: AtomicU64,
}

#[derive(Default)]
pub(super) struct Totals {
    user_ns: AtomicU64,
    system_ns: AtomicU64,
    voluntary_switches: AtomicU64,
    involuntary_switches: AtomicU64,
}

impl Totals {
    pub(super) fn add(&self, other: Sums) {
        self.user_ns.fetch_add(other.user_ns, Ordering::Relaxed);
        self.system_ns.fetch_add(other.system_ns, Ordering::Relaxed);
        self.voluntary_switches.fetch_add(other.voluntary_switches, Ordering::Relaxed);
        self.involuntary_switches.fetch_add(other.involuntary_switches, Ordering::Relaxed);
    }

    pub(super) fn sums(&self) -> Sums {
        Sums {
            user_ns: self.user_ns.load(Ordering::Relaxed),
            system_ns: self.system_ns.load(Ordering::Relaxed),
            voluntary_switches: self.voluntary_switches.load(Ordering::Relaxed),
            involuntary_switches: self.involuntary_switches.load(Ordering::Relaxed),
        }
    }
}

/// Times and switches, added up over threads.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) user_ns: u64,
    pub(crate) system_ns: u64,
    pub(crate) voluntary_switches: u64,
    pub(crate) involuntary_switches: u64,
}

impl Sums {
    /// Of one thread, up to now.
    pub(crate) fn of(thread: &Thread) -> Sums {
        let accounts = &thread.accounts;
        let (user_ns, system_ns) = thread.times_at(clock::monotonic_ns());
        Sums {
            user_ns,
            system_ns,
            voluntary_switches: accounts.voluntary_switches.load(Ordering::Relaxed),
            involuntary_switches: accounts.involuntary_switches.load(Ordering::Relaxed),
        }
    }

    pub(super) fn plus(self, other: Sums) -> Sums {
        Sums {
            user_ns: self.user_ns + other.user_ns,
            system_ns: self.system_ns + other.system_ns,
            voluntary_switches: self.voluntary_switches + other.voluntary_switches,
            involuntary_switches: self.involuntary_switches + other.involuntary_switches,
        }
    }
}

impl Process {
    /// User and system time of all its threads up to now, ended ones included, in nanoseconds.
    pub(crate) fn times(&self) -> (u64, u64) {
        let sums = self.sums();
        (sums.user_ns, sums.system_ns)
    }

    /// Times and switches of all its threads up to now, ended ones included.
    pub(crate) fn sums(&self) -> Sums {
        let group = self.group.lock();
        let ended = self.usage.ended_threads.sums();
        group.threads.iter().fold(ended, |sum, thread| sum.plus(Sums::of(thread)))
    }

    /// The same of the children that it has waited for, and theirs.
    pub(crate) fn children_sums(&self) -> Sums {
        self.usage.children.sums()
    }

    /// The largest resident size it ever had, in KiB.
    pub(crate) fn largest_resident_kib(&self) -> u64 {
        self.usage.largest_resident_kib.load(Ordering::Relaxed)
    }

    /// The largest resident size that a child it has waited for ever had, in KiB.
    pub(crate) fn largest_child_resident_kib(&self) -> u64 {
        self.usage.largest_child_resident_kib.load(Ordering::Relaxed)
    }
}
