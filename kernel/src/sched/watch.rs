//! Watching over threads: a list of all, and reports of those that wait for too long.
//!
//! A thread that has waited for two minutes for something that comes for sure (a disk, a lock) is reported once for
//! each such wait, with what it waits for, who holds that, and where it is.

use super::thread::{State, Thread};
use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use machine::sync::IrqSpinLock;
use machine::time;

static THREADS: IrqSpinLock<BTreeMap<u64, Weak<Thread>>> = IrqSpinLock::new("all threads", BTreeMap::new());

/// A wait of this length is reported.
const TOO_LONG_NS: u64 = 120_000_000_000;
/// How often is looked.
const PERIOD_NS: u64 = 30_000_000_000;

/// Enters a new thread.
pub(super) fn enter(thread: &Arc<Thread>) {
    THREADS.lock().insert(thread.id(), Arc::downgrade(thread));
}

/// Removes a thread that is being freed.
pub(super) fn remove(id: u64) {
    THREADS.lock().remove(&id);
}

/// All threads there are, those of the kernel included.
pub(crate) fn all() -> Vec<Arc<Thread>> {
    THREADS.lock().values().filter_map(Weak::upgrade).collect()
}

/// The thread with the lowest id above `id`: for going through all without a list of them.
pub(crate) fn next_after(id: u64) -> Option<Arc<Thread>> {
    let threads = THREADS.lock();
    threads.range(id.checked_add(1)?..).find_map(|(_, thread)| thread.upgrade())
}

/// The thread with that id.
pub(crate) fn find(id: u64) -> Option<Arc<Thread>> {
    THREADS.lock().get(&id).and_then(Weak::upgrade)
}

/// One line about a thread: id, name, state, CPU, and what it waits for.
pub(crate) fn describe(thread: &Thread) -> alloc::string::String {
    let mut line = alloc::format!("{:?}: {:?} on CPU {}", thread, thread.state(), thread.cpu());
    if let Some(waiting) = thread.waiting() {
        let since_ms = time::monotonic_ns().saturating_sub(waiting.since_ns) / 1_000_000;
        line += &alloc::format!(", waits for {} since {since_ms} ms", waiting.what);
        if let Some(holder) = waiting.holder.filter(|holder| *holder != 0) {
            line += &alloc::format!(", held by thread {holder}");
        }
    }
    line
}

/// Logs a thread, who holds what it waits for, what that one waits for, and so on; a deadlock closes the circle.
fn log_chain(first: &Arc<Thread>) {
    let mut seen = Vec::new();
    let mut next = Some(first.clone());
    while let Some(thread) = next {
        log_one(&thread);
        seen.push(thread.id());
        let holder = thread.waiting().and_then(|waiting| waiting.holder);
        if holder.is_some_and(|holder| seen.contains(&holder)) {
            log::error!("sched: these threads wait for each other for ever");
            return;
        }
        next = holder.and_then(|holder| THREADS.lock().get(&holder).and_then(Weak::upgrade));
    }
}

fn log_one(thread: &Thread) {
    log::warn!("{}", describe(thread));
    if let Some(trace) = thread.task.backtrace() {
        trace.to_string().lines().for_each(|line| log::warn!("  {line}"));
    }
}

/// The body of the thread that looks.
pub(super) fn run() {
    static REPORTED_SINCE: AtomicU64 = AtomicU64::new(0);
    loop {
        super::sleep_until(time::monotonic_ns() + PERIOD_NS);
        let now = time::monotonic_ns();
        for thread in all() {
            let Some(waiting) = thread.waiting() else { continue };
            let is_hung =
                thread.state() == State::Waiting && now.saturating_sub(waiting.since_ns) > TOO_LONG_NS;
            // Reported waits began before those that are still to be reported.
            if is_hung && waiting.since_ns > REPORTED_SINCE.load(Ordering::Relaxed) {
                REPORTED_SINCE.store(waiting.since_ns, Ordering::Relaxed);
                log::error!("sched: a thread hangs");
                log_chain(&thread);
            }
        }
    }
}
