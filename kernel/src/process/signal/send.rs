//! Sending: from a sender to a pending set, with the side effects that happen at once.
//!
//! SIGCONT lets a stopped process go on even if it is blocked or ignored, and takes back pending stops; a stop
//! signal takes back a pending SIGCONT; a signal that is sure to end the process ends all its threads here, so that
//! even those in uninterruptible waits hear of it as soon as they can.

use super::actions::Disposition;
use super::queue_limit;
use super::stop;
use crate::error::Result;
use crate::process::group::ThreadGroup;
use crate::process::{Process, tree};
use crate::sched::Thread;
use abi::errno::Errno;
use abi::signal::{DefaultAction, SI_USER, SIG_DFL, SIG_IGN, SigInfo, SigSet, Signal};
use abi::wait::WaitStatus;
use alloc::sync::Arc;

/// Sends a signal to a process: some thread of it that does not block it will take it.
///
/// # Errors
/// EAGAIN if it is a real-time signal and too many are queued. (A process that has ended takes everything.)
pub(crate) fn send_to_process(process: &Arc<Process>, signal: Signal, info: SigInfo) -> Result<()> {
    send(process, None, signal, info)
}

/// Sends a signal to one thread.
///
/// # Errors
/// See [`send_to_process`].
pub(crate) fn send_to_thread(thread: &Arc<Thread>, signal: Signal, info: SigInfo) -> Result<()> {
    let Some(process) = thread.process() else { return Ok(()) };
    send(process, Some(thread), signal, info)
}

/// Sends a signal of the kernel's own to every process of a group (the terminal's way).
pub(crate) fn send_to_group(group: i32, signal: Signal) {
    let info = SigInfo::new(signal, abi::signal::SI_KERNEL);
    for process in tree::group_members(group) {
        // Standard signals always find room.
        send_to_process(&process, signal, info).unwrap_or(());
    }
}

/// Sends a signal that an instruction of the thread has caused: it cannot be blocked or ignored away.
pub(crate) fn force(thread: &Arc<Thread>, signal: Signal, info: SigInfo) {
    let Some(user) = thread.user() else { return };
    let process = &user.process;
    let mut action = process.actions().get(signal);
    let is_blocked = user.signals.is_blocked(signal);
    if is_blocked || action.handler == SIG_IGN {
        action.handler = SIG_DFL;
        process.actions().set(signal, action);
        let mut blocked = user.signals.blocked();
        blocked.remove(signal);
        user.signals.set_blocked(blocked);
    }
    if action.handler == SIG_DFL {
        // Nobody is protected from his own faults, not even the first process.
        process.end(WaitStatus::Signaled { signal, core: false });
        return;
    }
    let group = process.group.lock();
    // A synchronous signal is a standard one: it finds room.
    user.signals.add(signal, info, usize::MAX).unwrap_or_else(|_| unreachable!("there is no limit"));
    drop(group);
    wake(thread);
}

fn send(process: &Arc<Process>, target: Option<&Arc<Thread>>, signal: Signal, info: SigInfo) -> Result<()> {
    let limit = if signal.is_real_time() { queue_limit(process) } else { usize::MAX };
    // Until SIGCHLD is sent, nobody finds the news by waiting.
    let telling = (signal == Signal::SIGCONT).then(|| process.telling.lock());
    let mut group = process.group.lock();
    let Some(first) = group.threads.first().cloned() else { return Ok(()) };
    let news = side_effects(&mut group, signal);
    let result = post(process, &mut group, target, &first, signal, info, limit);
    drop(group);
    process.signal_event.wake_all();
    if let Some(news) = news {
        stop::notify_parent(process, news);
    }
    drop(telling);
    result
}

/// What a signal does whether it is blocked, ignored or handled. Returns what the parent has to hear.
fn side_effects(group: &mut ThreadGroup, signal: Signal) -> Option<WaitStatus> {
    if SigSet::STOPPING.contains(signal) {
        discard(group, Signal::SIGCONT.to_set());
        return None;
    }
    match signal {
        Signal::SIGCONT => {
            discard(group, SigSet::STOPPING);
            stop::resume(group)
        }
        Signal::SIGKILL => {
            discard(group, SigSet::STOPPING);
            None
        }
        _ => None,
    }
}

fn discard(group: &mut ThreadGroup, signals: SigSet) {
    group.pending.discard(signals);
    for user in group.threads.iter().filter_map(|thread| thread.user()) {
        user.signals.discard(signals);
    }
}

fn post(
    process: &Process,
    group: &mut ThreadGroup,
    target: Option<&Arc<Thread>>,
    first: &Arc<Thread>,
    signal: Signal,
    info: SigInfo,
    limit: usize,
) -> Result<()> {
    let aim = target.unwrap_or(first);
    let Some(user) = aim.user() else { return Ok(()) };
    let disposition = process.actions().disposition(signal);
    let is_blocked = user.signals.is_blocked(signal);
    let is_protected = process.is_init() && matches!(disposition, Disposition::Default(_));
    if is_protected || (disposition == Disposition::Ignore && !is_blocked) {
        return Ok(());
    }
    let added = match target {
        Some(_) => user.signals.add(signal, info, limit),
        None => group.pending.add(signal, info, limit),
    };
    if added.is_err() && info.code != SI_USER {
        return Err(Errno::EAGAIN.into());
    }
    let taker = match target {
        Some(target) => user.signals.wants(signal).then_some(target),
        None => {
            group.threads.iter().find(|thread| thread.user().is_some_and(|user| user.signals.wants(signal)))
        }
    };
    // A stopped process takes nothing until it goes on.
    let is_stopped = group.stop.requested.is_some();
    let taker = match (taker, signal) {
        (None, Signal::SIGKILL) => Some(aim),
        (_, signal) if is_stopped && signal != Signal::SIGKILL => None,
        (taker, _) => taker,
    };
    let Some(taker) = taker.cloned() else { return Ok(()) };
    let ends =
        matches!(disposition, Disposition::Default(DefaultAction::Terminate | DefaultAction::CoreDump));
    let is_awaited = taker.user().is_some_and(|user| user.signals.is_blocked(signal));
    if ends && !is_awaited {
        group.begin_exit(WaitStatus::Signaled { signal, core: false });
    } else {
        wake(&taker);
    }
    Ok(())
}

/// Makes a thread look at its signals.
pub(super) fn wake(thread: &Arc<Thread>) {
    if let Some(user) = thread.user() {
        user.signals.set_interrupted(true);
    }
    thread.demand_attention();
}
