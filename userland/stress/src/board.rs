//! What all processes of a run share: who does what, how far each is, and the counts of what was sent to whom.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering::Relaxed};

/// The largest number of workers.
pub(crate) const MAX_JOBS: usize = 64;
/// Room for the counts of operations.
pub(crate) const MAX_OPERATIONS: usize = 32;

/// The board; lies in a zeroed mapping that forked processes share, so each field is an atomic number.
#[repr(C)]
pub(crate) struct Board {
    /// The workers are to end after their present step.
    pub(crate) is_over: AtomicBool,
    /// What each worker does.
    pub(crate) slots: [Slot; MAX_JOBS],
    /// How often each operation was done.
    pub(crate) done: [AtomicU64; MAX_OPERATIONS],
    /// How often one ended for want of memory.
    pub(crate) refused: [AtomicU64; MAX_OPERATIONS],
    /// Workers that have ended their work and wait for the others.
    pub(crate) resting: AtomicU32,
}

/// One worker's part.
#[repr(C)]
pub(crate) struct Slot {
    /// 0: does not take signals (yet, or any more).
    pub(crate) pid: AtomicI32,
    /// The number of the present step, from 1.
    pub(crate) step: AtomicU64,
    /// The operation of that step, from 0.
    pub(crate) operation: AtomicU32,
    /// The source line of the last mark that the operation passed.
    pub(crate) line: AtomicU32,
    /// Signals that were queued for this worker by others.
    pub(crate) sent: AtomicU64,
    /// The sum of their values.
    pub(crate) sent_sum: AtomicU64,
    /// Signals that its handler has taken, and the sum of their values.
    pub(crate) received: AtomicU64,
    pub(crate) received_sum: AtomicU64,
}

impl Slot {
    /// Notes where the worker is, for the watchdog's report.
    pub(crate) fn mark(&self, line: u32) {
        self.line.store(line, Relaxed);
    }
}
