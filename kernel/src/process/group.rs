//! The thread group: what the threads of a process have in common about living, stopping and ending.
//!
//! All of it is under one lock, `Process::group`, so that a signal, a stop and an exit see each other whole.

use super::signal::Pending;
use crate::sched::Thread;
use abi::signal::Signal;
use abi::wait::WaitStatus;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// See the module.
#[derive(Default)]
pub(crate) struct ThreadGroup {
    /// Those that have not ended, the oldest first.
    pub(super) threads: Vec<Arc<Thread>>,
    /// Signals for the process as a whole.
    pub(super) pending: Pending,
    pub(super) stop: Stop,
    /// How the process ends: set once, by the first to say so. All threads are on their way out.
    pub(super) exit: Option<WaitStatus>,
    /// How the first thread ended; that is the process's status if nobody ended the whole.
    pub(super) leader_exit: Option<WaitStatus>,
    /// The thread that executes a program: all others are to end.
    pub(super) exec: Option<Arc<Thread>>,
}

/// Job control.
#[derive(Default)]
pub(super) struct Stop {
    /// All threads are to stop, because of this signal.
    pub(super) requested: Option<Signal>,
    /// A thread has taken a signal that stops, and nothing has come since that lets the process go on.
    pub(super) is_signal_taken: bool,
    /// Which stop of the process's life it is.
    pub(super) generation: u64,
    /// How many threads have stopped.
    pub(super) stopped_threads: usize,
    /// News for the parent that no wait has taken yet.
    pub(super) news: Option<WaitStatus>,
}

impl Stop {
    /// Whether the stop of that number is still on.
    pub(super) fn is_in_force(&self, generation: u64) -> bool {
        self.requested.is_some() && self.generation == generation
    }
}

impl ThreadGroup {
    /// Ends all threads; `status` counts if it is the first. `false`: they are ending already.
    pub(super) fn begin_exit(&mut self, status: WaitStatus) -> bool {
        if self.exit.is_some() {
            return false;
        }
        self.exit = Some(status);
        for thread in &self.threads {
            kill(thread);
        }
        true
    }

    /// Whether all threads have stopped.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.requested.is_some() && self.stop.stopped_threads >= self.threads.len()
    }
}

/// Makes one thread end as soon as it can.
pub(super) fn kill(thread: &Arc<Thread>) {
    if let Some(user) = thread.user() {
        user.set_killed();
    }
    thread.demand_attention();
}
