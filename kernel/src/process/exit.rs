//! The end of threads and processes.
//!
//! Every thread ends by itself, in [`exit_thread`]; ending one from outside only asks it to. The last thread of a process
//! gives back memory and files, gives the children away, and tells the parent. What remains of the process then is
//! its status and figures, until the parent has waited for it.

use super::signal::{self, send_to_group, send_to_process};
use super::{ENDED, Process, Sums, futex, session, tree, wait};
use crate::sched::Thread;
use abi::signal::{SI_KERNEL, SIG_IGN, SaFlags, SigInfo, SigSet, Signal};
use abi::wait::WaitStatus;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

/// Ends the current thread with a status of its own (exit(2)), once the present system call returns.
pub(crate) fn leave(thread: &Thread, status: WaitStatus) {
    if let Some(user) = thread.user() {
        user.leave(status);
    }
}

/// The last thing a program's thread does.
pub(super) fn exit_thread(thread: &Arc<Thread>) {
    let user = thread.user().expect("only threads of programs come here");
    let process = user.process.clone();
    futex::exit(thread);
    user.complete_vfork();
    let tid = user.tid();
    let status = user.exit_status();
    let is_last = {
        let mut group = process.group.lock();
        group.threads.retain(|other| !Arc::ptr_eq(other, thread));
        process.usage.ended_threads.add(Sums::of(thread));
        if tid == process.pid() {
            group.leader_exit = Some(status);
        }
        if let Some(executing) = &group.exec {
            executing.unpark();
        }
        signal::pass_on(&group, SigSet::FULL);
        group.threads.is_empty()
    };
    if !is_last {
        if tid != process.pid() {
            tree::remove_thread(tid);
        }
        finish_stop(&process);
        return;
    }
    if tid != process.pid() {
        tree::remove_thread(tid);
    }
    *process.ended_name.lock() = thread.name();
    exit_process(&process);
}

/// A thread that ends may be the last one that a stop was waiting for.
fn finish_stop(process: &Arc<Process>) {
    let telling = process.telling.lock();
    let news = {
        let mut group = process.group.lock();
        let is_news = group.is_stopped() && group.stop.news.is_none() && group.exit.is_none();
        if is_news {
            group.stop.news = group.stop.requested.map(WaitStatus::Stopped);
        }
        group.stop.news.filter(|_| is_news)
    };
    if let Some(news) = news {
        signal::notify_parent(process, news);
    }
    drop(telling);
}

fn exit_process(process: &Arc<Process>) {
    release(process);
    if process.is_init() {
        crate::init::first_process_ended(status(process))
    }
    if process.session_id() == process.pid() {
        // Without a terminal there is nothing to give up.
        session::release_terminal(process).unwrap_or(());
    }
    let bereaved = tree::abandon_children(process);
    for group in bereaved.orphaned_groups {
        let has_stopped =
            tree::group_members(group).iter().any(|member| member.group.lock().stop.requested.is_some());
        if has_stopped {
            send_to_group(group, Signal::SIGHUP);
            send_to_group(group, Signal::SIGCONT);
        }
    }
    for child in bereaved.children {
        tell_child(&child);
        if is_zombie(&child) {
            tell_parent(&child);
        }
    }
    // Children first: whoever hears of this process's end finds its children moved.
    let telling = process.telling.lock();
    process.flags.phase.store(ENDED, Ordering::Release);
    process.exit_event.wake_all();
    tell_parent(process);
    drop(telling);
}

/// Gives back what a process holds.
fn release(process: &Arc<Process>) {
    process.timers().cancel_all();
    let files = process.resources.files.lock().take();
    drop(files);
    let fs = process.resources.fs.lock().take();
    drop(fs);
    let address_space = process.resources.address_space.lock().take();
    if let Some(address_space) = address_space {
        let resident_kib = address_space.usage().resident_peak / 1024;
        process.usage.largest_resident_kib.fetch_max(resident_kib, Ordering::Relaxed);
        machine::mm::activate_kernel();
        drop(address_space);
    }
}

/// The child's parent has ended: some children asked for a signal then.
fn tell_child(child: &Arc<Process>) {
    let wanted = Signal::new(u32::from(child.parent_death_signal()));
    if let Some(signal) = wanted {
        // Standard signals find room; a real-time one that does not is lost.
        send_to_process(child, signal, SigInfo::new(signal, SI_KERNEL)).unwrap_or(());
    }
}

/// Tells the parent of an ended process, or removes the process if the parent does not want to know.
fn tell_parent(process: &Arc<Process>) {
    let Some(parent) = tree::parent_of(process) else {
        // Nobody is left to wait.
        wait::reap(process, None);
        return;
    };
    let action = parent.actions().get(Signal::SIGCHLD);
    let is_unwanted = action.handler == SIG_IGN || action.flags & SaFlags::SA_NOCLDWAIT.bits() != 0;
    if is_unwanted && process.exit_signal() == Some(Signal::SIGCHLD) {
        wait::reap(process, None);
        if action.handler == SIG_IGN {
            parent.child_events.wake_all();
            return;
        }
    }
    signal::notify_parent_of(&parent, process, status(process));
}

/// How a process has ended.
pub(crate) fn status(process: &Process) -> WaitStatus {
    let group = process.group.lock();
    group.exit.or(group.leader_exit).unwrap_or(WaitStatus::Exited(0))
}

/// Whether all threads have ended and nobody has waited for it.
pub(super) fn is_zombie(process: &Process) -> bool {
    process.flags.phase.load(Ordering::Acquire) == ENDED
}
