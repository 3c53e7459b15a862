//! The reaper: frees threads that have ended.
//!
//! A thread cannot free the stack that it runs on, and the CPU that has just left it is in the middle of a switch. So
//! it is handed over to a thread of the kernel that drops it when nobody else refers to it any more; if that has too much
//! to do, those who make new threads [`help`].

use super::thread::Thread;
use super::wait::WaitQueue;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use machine::sync::IrqSpinLock;

static ENDED: IrqSpinLock<VecDeque<Arc<Thread>>> = IrqSpinLock::new("ended threads", VecDeque::new());
static REFERRED: AtomicUsize = AtomicUsize::new(0);
static QUEUE: WaitQueue = WaitQueue::named("ended threads");

/// How long a reference that somebody still holds is waited for before the next look: at first, and at most.
const RETRY_NS: core::ops::RangeInclusive<u64> = 1_000_000..=1_000_000_000;

/// Takes over a thread that has ended and is off its stack.
pub(super) fn bury(thread: Arc<Thread>) {
    ENDED.lock().push_back(thread);
    QUEUE.wake_one();
}

/// So many may wait to be freed before those who make new ones help.
const BACKLOG_MAX: usize = 16;

/// Frees a thread or two, if many wait: called by who makes a thread, without any lock, so that there are never many more stacks
/// than threads that live, however seldom the reaper runs.
pub(crate) fn help() {
    for _ in 0..2 {
        let thread = {
            let mut ended = ENDED.lock();
            if ended.len() <= BACKLOG_MAX {
                return;
            }
            let Some(thread) = ended.pop_front() else { return };
            if Arc::strong_count(&thread) > 1 {
                ended.push_back(thread);
                continue;
            }
            thread
        };
        drop(thread);
    }
}

/// The body of the reaper's thread.
pub(super) fn run() {
    let mut referred = Vec::new();
    let mut retry_ns = *RETRY_NS.start();
    loop {
        let deadline = machine::time::monotonic_ns() + retry_ns;
        let thread = match referred.is_empty() {
            true => Some(QUEUE.wait_for_work(|| ENDED.lock().pop_front())),
            // The time is over: have another look at those that were still referred to.
            false => QUEUE.wait_until(deadline, || ENDED.lock().pop_front()).ok(),
        };
        retry_ns = if thread.is_some() { *RETRY_NS.start() } else { (retry_ns * 2).min(*RETRY_NS.end()) };
        referred.extend(thread);
        referred.retain(|thread| Arc::strong_count(thread) > 1);
        REFERRED.store(referred.len(), Ordering::Relaxed);
    }
}

/// How many threads have ended and are not freed yet: some reference to them is left.
#[cfg(feature = "tests")]
pub(super) fn backlog() -> usize {
    ENDED.lock().len() + REFERRED.load(Ordering::Relaxed)
}
