//! Watching over threads: a list of all, and reports of those that wait for too long.
//!
//! A thread that has waited for too long for something that comes for sure (a disk, a lock) is reported once for
//! each such wait, with what it waits for, who holds that, where it is, and where the holder is. How long is too long
//! says /proc/sys/kernel/hung_task_timeout_secs; how many reports there may be, hung_task_warnings.

use super::thread::{State, Thread};
use super::wait::{WaitQueue, Waiting};
use crate::clock::SECOND_NS;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use id_map::IdMap;
use machine::sync::IrqSpinLock;
use machine::time;

static THREADS: IrqSpinLock<IdMap<u64, Weak<Thread>>> = IrqSpinLock::new("all threads", IdMap::new());

/// A wait of so many seconds is reported; 0: none is.
static TIMEOUT_SECONDS: AtomicU64 = AtomicU64::new(120);
/// How many reports are still allowed; negative: any number.
static WARNINGS: AtomicI64 = AtomicI64::new(10);
/// Somebody has changed the timeout.
static CHANGED: WaitQueue = WaitQueue::named("hung task check");

/// After how many seconds a wait is reported; 0: never.
pub(crate) fn hung_timeout_seconds() -> u64 {
    TIMEOUT_SECONDS.load(Ordering::Relaxed)
}

/// See [`hung_timeout_seconds`].
pub(crate) fn set_hung_timeout_seconds(seconds: u64) {
    TIMEOUT_SECONDS.store(seconds, Ordering::Relaxed);
    CHANGED.wake_all();
}

/// How many waits will still be reported; negative: any number.
pub(crate) fn hung_warnings() -> i64 {
    WARNINGS.load(Ordering::Relaxed)
}

/// See [`hung_warnings`].
pub(crate) fn set_hung_warnings(warnings: i64) {
    WARNINGS.store(warnings, Ordering::Relaxed);
}

/// Enters a new thread.
pub(super) fn enter(thread: &Arc<Thread>) {
    THREADS.lock().insert(thread.id(), Arc::downgrade(thread));
}

/// Removes a thread that is being freed.
pub(super) fn remove(id: u64) {
    THREADS.lock().remove(id);
}

/// All threads there are, those of the kernel included: also the CPUs' idle ones, and the one that boots.
pub(crate) fn all() -> Vec<Arc<Thread>> {
    THREADS.lock().values().filter_map(Weak::upgrade).collect()
}

/// The thread with the lowest id above `id`: for going through all without a list of them.
pub(crate) fn next_after(id: u64) -> Option<Arc<Thread>> {
    let threads = THREADS.lock();
    threads.iter_from(id.checked_add(1)?).find_map(|(_, thread)| thread.upgrade())
}

/// The thread with that id.
pub(crate) fn find(id: u64) -> Option<Arc<Thread>> {
    THREADS.lock().get(id).and_then(Weak::upgrade)
}

/// Calls a function with each thread, for panics: waits for nothing, frees nothing. `false`: the list is in use.
pub(crate) fn visit_for_report(visit: &mut dyn FnMut(&Thread)) -> bool {
    let Some(threads) = THREADS.try_lock() else { return false };
    for thread in threads.values().filter_map(Weak::upgrade) {
        visit(&thread);
        // This may be the last reference, and a panic is no time to free what it leads to.
        core::mem::forget(thread);
    }
    true
}

/// One line about a thread: id, name, state, CPU, and what it waits for.
pub(crate) fn describe(thread: &Thread) -> String {
    let mut line = format!("{:?}: {:?} on CPU {}", thread, thread.state(), thread.cpu());
    if let Some(waiting) = thread.waiting() {
        let since_ms = time::monotonic_ns().saturating_sub(waiting.since_ns) / 1_000_000;
        line += &format!(", waits for {} since {since_ms} ms", waiting.what);
        if let Some(holder) = waiting.holder.filter(|holder| holder.thread != 0) {
            line += &format!(", held by thread {}", holder.thread);
            if let Some(place) = holder.since {
                line += &format!(" since {place}");
            }
        }
    }
    line
}

/// How much of its stack a thread has used at most.
#[derive(Clone, Debug)]
pub(crate) struct StackUse {
    /// Bytes that were used.
    pub(crate) used: usize,
    /// Bytes that there are.
    pub(crate) size: usize,
    /// The thread's name.
    pub(crate) name: String,
}

/// Of the threads that have ended, the one that needed most; `used` again, to look without the lock.
static DEEPEST: IrqSpinLock<Option<StackUse>> = IrqSpinLock::new("deepest stack", None);
static DEEPEST_USED: AtomicUsize = AtomicUsize::new(0);

/// What a thread has used; `None` for one on the stack that its CPU started on.
pub(crate) fn stack_use(thread: &Thread) -> Option<StackUse> {
    let used = thread.task.stack_used()?;
    let stack = thread.task.stack();
    Some(StackUse { used, size: (stack.end - stack.start) as usize, name: thread.name() })
}

/// Takes account of the stack of a thread that is being freed.
pub(super) fn note_stack(thread: &Thread) {
    if thread.task.stack_used().is_some_and(|used| used > DEEPEST_USED.load(Ordering::Relaxed)) {
        let found = stack_use(thread);
        let mut deepest = DEEPEST.lock();
        DEEPEST_USED.store(found.as_ref().map_or(0, |found| found.used), Ordering::Relaxed);
        let old = core::mem::replace(&mut *deepest, found);
        drop(deepest);
        drop(old);
    }
}

/// The thread that has needed most of its stack, of all there ever were.
pub(crate) fn deepest_stack() -> Option<StackUse> {
    // In this order: who ends in between is in both, not in neither.
    let running = all();
    let ended = DEEPEST.lock().clone();
    running.iter().filter_map(|thread| stack_use(thread)).chain(ended).max_by_key(|stack| stack.used)
}

/// The threads that have waited for longer than `limit_ns` for something that comes for sure.
pub(crate) fn hung(limit_ns: u64) -> Vec<(Arc<Thread>, Waiting)> {
    let now = time::monotonic_ns();
    let is_hung = |thread: &Arc<Thread>| {
        let waiting = thread.waiting().filter(|_| thread.state() == State::Waiting)?;
        (now.saturating_sub(waiting.since_ns) > limit_ns).then(|| (thread.clone(), waiting))
    };
    all().iter().filter_map(is_hung).collect()
}

/// Describes a thread, who holds what it waits for, what that one waits for, and so on; a deadlock closes the circle.
pub(crate) fn describe_chain(first: &Arc<Thread>) -> String {
    let mut text = String::new();
    let mut seen = Vec::new();
    let mut next = Some(first.clone());
    while let Some(thread) = next {
        describe_with_stack(&mut text, &thread);
        seen.push(thread.id());
        let holder = thread.waiting().and_then(|waiting| waiting.holder).map(|holder| holder.thread);
        if holder.is_some_and(|holder| seen.contains(&holder)) {
            text += "these threads wait for each other for ever\n";
            break;
        }
        next = holder.and_then(|holder| THREADS.lock().get(holder).and_then(Weak::upgrade));
    }
    text
}

fn describe_with_stack(text: &mut String, thread: &Thread) {
    *text += &describe(thread);
    *text += "\n";
    thread.visit_locks(&mut |lock| *text += &format!("  holds `{}` since {}\n", lock.name, lock.place));
    if let Some(trace) = thread.task.backtrace() {
        *text += &trace.to_string();
    }
}

/// The body of the thread that looks.
pub(super) fn run() {
    /// How often is looked, at least.
    const PERIOD_SECONDS: u64 = 30;
    // By thread: since when the wait lasts that was reported last.
    let mut reported: Vec<(u64, u64)> = Vec::new();
    loop {
        let timeout = hung_timeout_seconds();
        let is_changed = || (hung_timeout_seconds() != timeout).then_some(());
        if timeout == 0 {
            CHANGED.wait_for_work(is_changed);
            continue;
        }
        let period_ns = PERIOD_SECONDS.min(timeout) * SECOND_NS;
        if CHANGED.wait_for_work_until(time::monotonic_ns() + period_ns, is_changed).is_ok() {
            continue;
        }
        let hung = hung(timeout.saturating_mul(SECOND_NS));
        reported
            .retain(|entry| hung.iter().any(|(thread, waiting)| (thread.id(), waiting.since_ns) == *entry));
        for (thread, waiting) in &hung {
            let entry = (thread.id(), waiting.since_ns);
            let is_new = !reported.contains(&entry);
            if is_new {
                reported.push(entry);
            }
            if is_new && may_warn() {
                log::error!("sched: a thread has been waiting for more than {timeout} seconds");
                describe_chain(thread).lines().for_each(|line| log::warn!("{line}"));
            }
        }
    }
}

/// Whether one more report is allowed, which is then counted.
fn may_warn() -> bool {
    let take = |left: i64| (left > 0).then(|| left - 1);
    hung_warnings() < 0 || WARNINGS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
}
