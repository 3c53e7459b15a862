//! Clocks that count CPU time: of a process or of one thread, the whole of it or in user mode only.

use super::Process;
use crate::clock;
use crate::sched::Thread;
use alloc::sync::{Arc, Weak};

/// Which part of the CPU time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// In user and kernel mode.
    All,
    /// In user mode.
    User,
}

/// Whose.
#[derive(Clone)]
enum Owner {
    Process(Weak<Process>),
    Thread(Weak<Thread>),
}

/// A clock that runs while somebody does.
#[derive(Clone)]
pub(crate) struct CpuClock {
    owner: Owner,
    part: Part,
}

impl CpuClock {
    /// A process's.
    pub(crate) fn of_process(process: &Arc<Process>, part: Part) -> CpuClock {
        CpuClock { owner: Owner::Process(Arc::downgrade(process)), part }
    }

    /// A process's that is being made.
    pub(crate) fn of_new_process(process: &Weak<Process>, part: Part) -> CpuClock {
        CpuClock { owner: Owner::Process(process.clone()), part }
    }

    /// A thread's.
    pub(crate) fn of_thread(thread: &Arc<Thread>, part: Part) -> CpuClock {
        CpuClock { owner: Owner::Thread(Arc::downgrade(thread)), part }
    }

    /// Nanoseconds used so far; `None` once the owner is gone.
    pub(crate) fn now(&self) -> Option<u64> {
        let (user_ns, system_ns) = match &self.owner {
            Owner::Process(process) => process.upgrade()?.times(),
            Owner::Thread(thread) => thread.upgrade()?.times_at(clock::monotonic_ns()),
        };
        Some(match self.part {
            Part::All => user_ns + system_ns,
            Part::User => user_ns,
        })
    }

    /// Whether this is the clock of that thread.
    pub(crate) fn is_of_thread(&self, thread: &Arc<Thread>) -> bool {
        matches!(&self.owner, Owner::Thread(owner) if owner.as_ptr() == Arc::as_ptr(thread))
    }

    /// How many CPUs can count for it at a time.
    pub(crate) fn width(&self) -> u64 {
        match &self.owner {
            Owner::Process(process) => {
                process.upgrade().map_or(1, |process| process.thread_count().max(1) as u64)
            }
            Owner::Thread(_) => 1,
        }
    }
}
