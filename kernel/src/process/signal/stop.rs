//! Job control: a process stops when all its threads have, and goes on at once.

use super::send::send_to_process;
use crate::process::group::ThreadGroup;
use crate::process::{Process, tree};
use crate::sched::{self, Thread};
use abi::signal::{CLD_CONTINUED, CLD_DUMPED, CLD_EXITED, CLD_KILLED, CLD_STOPPED, SaFlags, SigInfo, Signal};
use abi::wait::WaitStatus;
use alloc::sync::Arc;

/// A stop signal was taken: all threads of the process are to stop.
pub(super) fn request(thread: &Arc<Thread>, signal: Signal) {
    let Some(process) = thread.process() else { return };
    let mut group = process.group.lock();
    // A SIGCONT that came after the signal was taken wins.
    let is_in_force = core::mem::take(&mut group.stop.is_signal_taken);
    if !is_in_force || group.exit.is_some() || group.stop.requested.is_some() {
        return;
    }
    group.stop.requested = Some(signal);
    group.stop.generation += 1;
    group.stop.stopped_threads = 0;
    for other in &group.threads {
        if let Some(user) = other.user() {
            user.signals.set_interrupted(true);
        }
        other.demand_attention();
    }
}

/// Stops the current thread if its process is to stop, until it goes on or ends. `false`: there was no reason.
pub(super) fn stop_if_requested(thread: &Arc<Thread>) -> bool {
    let Some(user) = thread.user() else { return false };
    // Until SIGCHLD is sent, nobody finds the news by waiting.
    let telling = user.process.telling.lock();
    let mut group = user.process.group.lock();
    let Some(signal) = group.stop.requested else { return false };
    if user.is_killed() {
        return false;
    }
    group.stop.stopped_threads += 1;
    let generation = group.stop.generation;
    let all_stopped = group.is_stopped();
    if all_stopped {
        group.stop.news = Some(WaitStatus::Stopped(signal));
    }
    drop(group);
    if all_stopped {
        notify_parent(&user.process, WaitStatus::Stopped(signal));
    }
    drop(telling);
    thread.set_stopped(true);
    while user.process.group.lock().stop.is_in_force(generation) && !user.is_killed() {
        sched::park();
    }
    thread.set_stopped(false);
    true
}

/// Lets all threads go on. Returns what the parent has to hear, if they had stopped.
pub(super) fn resume(group: &mut ThreadGroup) -> Option<WaitStatus> {
    group.stop.is_signal_taken = false;
    group.stop.requested?;
    let had_stopped = group.is_stopped();
    group.stop.requested = None;
    group.stop.stopped_threads = 0;
    for thread in &group.threads {
        thread.demand_attention();
    }
    group.stop.news = had_stopped.then_some(WaitStatus::Continued);
    group.stop.news
}

/// Tells the parent of a process what has become of it: SIGCHLD, and whoever waits wakes up.
/// The process's `telling` is held, no lock of the process tree or of a thread group.
pub(in crate::process) fn notify_parent(process: &Arc<Process>, news: WaitStatus) {
    if let Some(parent) = tree::parent_of(process) {
        notify_parent_of(&parent, process, news);
    }
}

/// [`notify_parent`] for a process that may have left the tree.
pub(in crate::process) fn notify_parent_of(parent: &Arc<Process>, process: &Arc<Process>, news: WaitStatus) {
    let signal = match news {
        WaitStatus::Stopped(_) | WaitStatus::Continued => {
            let flags = parent.actions().get(Signal::SIGCHLD).flags;
            (flags & SaFlags::SA_NOCLDSTOP.bits() == 0).then_some(Signal::SIGCHLD)
        }
        WaitStatus::Exited(_) | WaitStatus::Signaled { .. } => process.exit_signal(),
    };
    if let Some(signal) = signal {
        // A standard signal finds room; a real-time exit signal that does not is lost, as on Linux.
        send_to_process(parent, signal, child_info(process, signal, news)).unwrap_or(());
    }
    parent.child_events.wake_all();
}

/// What a SIGCHLD handler and waitid are told.
pub(in crate::process) fn child_info(process: &Process, signal: Signal, news: WaitStatus) -> SigInfo {
    let (code, status) = match news {
        WaitStatus::Exited(code) => (CLD_EXITED, i32::from(code)),
        WaitStatus::Signaled { signal, core: false } => (CLD_KILLED, i32::from(signal.number())),
        WaitStatus::Signaled { signal, core: true } => (CLD_DUMPED, i32::from(signal.number())),
        WaitStatus::Stopped(signal) => (CLD_STOPPED, i32::from(signal.number())),
        WaitStatus::Continued => (CLD_CONTINUED, i32::from(Signal::SIGCONT.number())),
    };
    let ticks = |ns: u64| (ns / (1_000_000_000 / abi::time::USER_HZ)) as i64;
    let (user_ns, system_ns) = process.times();
    let uid = process.credentials().uid;
    let mut info = SigInfo::child(code, process.pid(), uid, status, ticks(user_ns), ticks(system_ns));
    info.signo = i32::from(signal.number());
    info
}
