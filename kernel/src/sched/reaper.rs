//! The reaper: frees threads that have ended.
//!
//! A thread cannot free the stack that it runs on, and the CPU that has just left it is in the middle of a switch. So
//! it is handed over to a thread of the kernel that drops it when nobody else refers to it any more.

use super::thread::Thread;
use super::wait::WaitQueue;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use machine::sync::IrqSpinLock;

static ENDED: IrqSpinLock<VecDeque<Arc<Thread>>> = IrqSpinLock::new("ended threads", VecDeque::new());
static QUEUE: WaitQueue = WaitQueue::named("ended threads");

/// How long a reference that somebody still holds is waited for before the next look.
const RETRY_NS: u64 = 5_000_000;

/// Takes over a thread that has ended and is off its stack.
pub(super) fn bury(thread: Arc<Thread>) {
    ENDED.lock().push_back(thread);
    QUEUE.wake_one();
}

/// The body of the reaper's thread.
pub(super) fn run() {
    loop {
        let thread = QUEUE.wait(|| ENDED.lock().pop_front());
        if Arc::strong_count(&thread) == 1 {
            drop(thread);
            continue;
        }
        ENDED.lock().push_back(thread);
        super::sleep_until(machine::time::monotonic_ns() + RETRY_NS);
    }
}

/// How many threads have ended and are not freed yet: some reference to them is left.
pub(super) fn backlog() -> usize {
    ENDED.lock().len()
}
