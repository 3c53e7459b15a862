//! The thread that looks after request queues: it resets devices that ask for it or that do not answer in time, and has
//! the disks of those that are dead disappear.

use super::{queue::RequestQueue, registry};
use crate::error::Result;
use crate::sched::{self, wait::WaitQueue};
use alloc::{sync::Arc, sync::Weak, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering};
use machine::sync::SpinLock;
use machine::time;

/// How long it looks away at most: requests are given at least as long.
const PERIOD_NS: u64 = 2_000_000_000;

static QUEUES: SpinLock<Vec<Weak<RequestQueue>>> = SpinLock::new("request queues", Vec::new());
static IS_WANTED: AtomicBool = AtomicBool::new(false);
static WORK: WaitQueue = WaitQueue::named("disk-recovery");

/// Looks after a queue as long as it exists.
pub(super) fn watch(queue: &Arc<RequestQueue>) {
    let mut queues = QUEUES.lock();
    queues.retain(|queue| queue.strong_count() != 0);
    queues.push(Arc::downgrade(queue));
}

/// A queue wants to be looked at now. From any context.
pub(super) fn wake() {
    IS_WANTED.store(true, Ordering::Release);
    WORK.wake_one();
}

/// Starts the thread.
pub(super) fn start() -> Result<()> {
    sched::spawn("disk-recovery", run).map(drop)
}

fn run() {
    loop {
        let queues: Vec<_> = QUEUES.lock().iter().filter_map(Weak::upgrade).collect();
        let now = time::monotonic_ns();
        for queue in &queues {
            queue.recover(now);
            if queue.is_dead() {
                registry::remove(queue);
            }
        }
        let next = queues.iter().filter_map(|queue| queue.next_deadline()).min();
        drop(queues);
        let wake_at = next.unwrap_or(u64::MAX).min(time::monotonic_ns() + PERIOD_NS);
        // When the time is over it looks again as well.
        let _ = WORK.wait_for_work_until(wake_at, || IS_WANTED.swap(false, Ordering::AcqRel).then_some(()));
    }
}
