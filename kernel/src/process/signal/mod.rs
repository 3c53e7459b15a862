//! Signals.
//!
//! | file | what |
//! |---|---|
//! | `send.rs` | from a sender to a pending set, and the side effects of some signals |
//! | `pending.rs` | what waits to be delivered |
//! | `thread_signals.rs` | mask, pending signals and alternate stack of a thread |
//! | `actions.rs` | what a process does about each signal |
//! | `deliver.rs` | on the way to user mode: the default action, or a handler; the restart of calls |
//! | `frame.rs` | the stack frame of a handler, and the way back |
//! | `stop.rs` | stopping and going on |
//! | `file.rs` | signals that are read from a file |
//!
//! A sender only leaves the signal and wakes a thread; everything else happens in the receiving thread on its way
//! to user mode. Sending works in interrupt handlers.
//!
//! Source: signal(7), POSIX.1-2017 section 2.4.

mod actions;
mod deliver;
mod file;
mod frame;
mod pending;
mod send;
mod stop;
mod thread_signals;

pub(crate) use actions::Actions;
pub(super) use deliver::deliver;
pub(crate) use file::SignalFile;
pub(crate) use frame::{reported_stack, restore as restore_frame, set_alternate_stack, smallest_stack};
pub(crate) use pending::Pending;
pub(crate) use send::{force, send_to_group, send_to_process, send_to_thread};
pub(super) use stop::{child_info, notify_parent, notify_parent_of};
pub(crate) use thread_signals::{NO_STACK, ThreadSignals};

use super::group::ThreadGroup;
use super::{Process, UserThread};
use crate::error::{Error, Result};
use crate::sched::Thread;
use crate::sched::wait::WaitQueue;
use crate::syscall::Call;
use abi::errno::Errno;
use abi::signal::{KernelSigaction, SI_TIMER, SigInfo, SigSet, Signal};
use alloc::boxed::Box;
use alloc::sync::Arc;

/// How `restart_syscall` goes on with a call that a signal ended: the rest of a sleep, say.
pub(crate) type RestartBlock = Box<dyn FnOnce(&mut Call<'_>) -> Result<u64> + Send>;

/// Signals that are pending for a thread: its own and its process's.
pub(crate) fn pending_set(thread: &Thread) -> SigSet {
    let Some(user) = thread.user() else { return SigSet::EMPTY };
    user.process.group.lock().pending.set().union(user.signals.pending())
}

/// Replaces the blocked signals of the current thread and returns the old ones.
pub(crate) fn set_mask(thread: &Arc<Thread>, blocked: SigSet) -> SigSet {
    let Some(user) = thread.user() else { return SigSet::EMPTY };
    let old = user.signals.set_blocked(blocked);
    recompute(thread);
    old
}

/// Replaces the blocked signals of the current thread until the present system call is over (ppoll, sigsuspend).
/// If a signal ends the call, its handler still runs under the replaced mask.
pub(crate) fn set_temporary_mask(thread: &Arc<Thread>, blocked: SigSet) {
    let Some(user) = thread.user() else { return };
    user.signals.set_temporary_mask(blocked);
    recompute(thread);
}

/// Finds out anew whether there is something to deliver to a thread.
pub(super) fn recompute(thread: &Arc<Thread>) {
    let Some(user) = thread.user() else { return };
    let group = user.process.group.lock();
    let ready = group.pending.set().union(user.signals.pending()).difference(user.signals.blocked());
    let interrupted = !ready.is_empty() || group.stop.requested.is_some() || user.is_killed();
    user.signals.set_interrupted(interrupted);
    let unwanted = group.pending.set().difference(user.signals.wanted());
    pass_on(&group, unwanted);
    drop(group);
    if interrupted {
        thread.demand_attention();
    }
}

/// Takes a pending signal of `wanted`, the thread's own first.
pub(super) fn take_pending(thread: &Thread, wanted: SigSet) -> Option<(Signal, SigInfo)> {
    let user = thread.user()?;
    let mut group = user.process.group.lock();
    let taken = user.signals.take(wanted).or_else(|| group.pending.take(wanted));
    group.stop.is_signal_taken |= taken.as_ref().is_some_and(|taken| SigSet::STOPPING.contains(taken.0));
    drop(group);
    if let Some((_, info)) = taken.as_ref().filter(|(_, info)| info.code == SI_TIMER) {
        user.process.timers().note_delivery(info.timer_id(), info.overruns());
    }
    taken
}

/// Signals of the process that one thread was woken for and will not take: it blocks them now, or has ended. Threads
/// that would take them are woken.
pub(super) fn pass_on(group: &ThreadGroup, unwanted: SigSet) {
    let left = group.pending.set().intersection(unwanted);
    if left.is_empty() || group.stop.requested.is_some() {
        return;
    }
    for thread in &group.threads {
        let takes = |user: &UserThread| {
            !user.signals.is_interrupted() && !left.intersection(user.signals.wanted()).is_empty()
        };
        if thread.user().is_some_and(takes) {
            send::wake(thread);
        }
    }
}

/// Waits for one of the signals of `wanted` and takes it without delivering it (sigtimedwait).
///
/// # Errors
/// EAGAIN when the deadline passes, EINTR when another signal comes.
pub(crate) fn wait_for(thread: &Arc<Thread>, wanted: SigSet, deadline_ns: Option<u64>) -> Result<SigInfo> {
    static QUEUE: WaitQueue = WaitQueue::named("signal");
    let user = thread.user().ok_or(Errno::EINVAL)?;
    let wanted = wanted.difference(SigSet::UNBLOCKABLE);
    user.signals.set_awaited(wanted);
    recompute(thread);
    let waited = QUEUE.wait_interruptible(|| take_pending(thread, wanted), deadline_ns);
    // The sender ends the wait before the signal is looked for again; and it may come with the deadline.
    let taken = waited.or_else(|error| take_pending(thread, wanted).ok_or(error));
    user.signals.set_awaited(SigSet::EMPTY);
    // What came while nothing was awaited any more, or was left, is found now.
    recompute(thread);
    match taken {
        Ok((_, info)) => Ok(info),
        Err(error) if error.errno == Errno::ETIMEDOUT => Err(Errno::EAGAIN.into()),
        // Never restarted: the caller wants to know that something came.
        Err(error) => Err(error.restarting(None)),
    }
}

/// Sleeps until a signal is delivered (pause, sigsuspend). Always an error.
pub(crate) fn wait_for_any() -> Error {
    static QUEUE: WaitQueue = WaitQueue::named("pause");
    match QUEUE.wait_interruptible(|| None::<()>, None) {
        Ok(()) => Errno::EINTR.into(),
        Err(error) => error.restarting(Some(crate::error::Restart::WithoutHandler)),
    }
}

/// Replaces the action for a signal and returns the old one (sigaction).
pub(crate) fn set_action(process: &Process, signal: Signal, action: KernelSigaction) -> KernelSigaction {
    let old = process.actions().set(signal, action);
    if process.actions().disposition(signal) == actions::Disposition::Ignore {
        // POSIX: pending instances of a signal that is ignored from now on are forgotten, blocked or not.
        let mut group = process.group.lock();
        group.pending.discard(signal.to_set());
        for user in group.threads.iter().filter_map(|thread| thread.user()) {
            user.signals.discard(signal.to_set());
        }
    }
    old
}

/// How many signals may be queued for a process.
fn queue_limit(process: &Process) -> usize {
    let limit = process.limits.current(abi::resource::RLIMIT_SIGPENDING);
    usize::try_from(limit).unwrap_or(usize::MAX).min(MOST_QUEUED)
}

/// However high RLIMIT_SIGPENDING is.
const MOST_QUEUED: usize = 16 * 1024;
