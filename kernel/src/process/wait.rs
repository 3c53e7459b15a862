//! Waiting for children: wait4, waitid.

use super::signal::child_info;
use super::{ENDED, Process, REAPED, exit, tree};
use crate::error::Result;
use crate::sched::Thread;
use abi::errno::Errno;
use abi::signal::{SigInfo, Signal};
use abi::wait::{WaitFlags, WaitStatus};
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

/// Whom a wait is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    /// Any child.
    Any,
    /// This one.
    Process(i32),
    /// Any child in this group.
    Group(i32),
}

/// What a wait has found.
pub(crate) struct News {
    /// Who.
    pub(crate) pid: i32,
    /// What.
    pub(crate) status: WaitStatus,
    /// As SIGCHLD would tell it.
    pub(crate) info: SigInfo,
    /// What it and its children used: user, system time in nanoseconds, and so on.
    pub(crate) usage: super::Sums,
    /// Its largest resident size.
    pub(crate) largest_resident_kib: u64,
}

/// Waits for news of a child. `None`: there is none yet, and WNOHANG was given.
///
/// # Errors
/// ECHILD without such a child; a restartable EINTR.
pub(crate) fn wait(thread: &Arc<Thread>, whom: Whom, flags: WaitFlags) -> Result<Option<News>> {
    let process = thread.process().ok_or(Errno::ECHILD)?;
    let look = || match look(process, whom, flags) {
        Ok(Look::Found(news)) => Some(Ok(Some(*news))),
        Ok(Look::Nothing) if flags.contains(WaitFlags::WNOHANG) => Some(Ok(None)),
        Ok(Look::Nothing) => None,
        Err(error) => Some(Err(error)),
    };
    process.child_events.wait_interruptible(look, None)?
}

enum Look {
    Found(alloc::boxed::Box<News>),
    Nothing,
}

fn look(process: &Arc<Process>, whom: Whom, flags: WaitFlags) -> Result<Look> {
    let mut has_any = false;
    for child in tree::children_of(process) {
        if !suits(&child, whom, flags) || child.flags.phase.load(Ordering::Acquire) == REAPED {
            continue;
        }
        if let Some(news) = take_news(process, &child, flags) {
            return Ok(Look::Found(alloc::boxed::Box::new(news)));
        }
        // Another thread of this process may have reaped it just now: nobody would tell this one.
        has_any |= child.flags.phase.load(Ordering::Acquire) != REAPED;
    }
    if has_any { Ok(Look::Nothing) } else { Err(Errno::ECHILD.into()) }
}

fn suits(child: &Process, whom: Whom, flags: WaitFlags) -> bool {
    let is_meant = match whom {
        Whom::Any => true,
        Whom::Process(pid) => child.pid() == pid,
        Whom::Group(group) => child.group_id() == group,
    };
    // "Clone" children are those that do not send SIGCHLD.
    let is_clone = child.exit_signal() != Some(Signal::SIGCHLD);
    is_meant && (flags.contains(WaitFlags::__WALL) || is_clone == flags.contains(WaitFlags::__WCLONE))
}

fn take_news(parent: &Process, child: &Arc<Process>, flags: WaitFlags) -> Option<News> {
    if flags.contains(WaitFlags::WEXITED) && exit::is_zombie(child) {
        // Its SIGCHLD is sent before anybody has waited for it.
        drop(child.telling.lock());
        let news = describe(child, exit::status(child));
        if flags.contains(WaitFlags::WNOWAIT) || reap(child, Some(parent)) {
            return Some(news);
        }
        return None;
    }
    let mut group = child.group.lock();
    let status = group.stop.news.filter(|news| match news {
        WaitStatus::Stopped(_) => flags.contains(WaitFlags::WUNTRACED),
        WaitStatus::Continued => flags.contains(WaitFlags::WCONTINUED),
        WaitStatus::Exited(_) | WaitStatus::Signaled { .. } => false,
    })?;
    if !flags.contains(WaitFlags::WNOWAIT) {
        group.stop.news = None;
    }
    drop(group);
    // As above.
    drop(child.telling.lock());
    Some(describe(child, status))
}

fn describe(child: &Process, status: WaitStatus) -> News {
    News {
        pid: child.pid(),
        status,
        info: child_info(child, Signal::SIGCHLD, status),
        usage: child.sums().plus(child.children_sums()),
        largest_resident_kib: child.largest_resident_kib(),
    }
}

/// Removes an ended process; its figures go to the parent that waited for it. `false`: somebody else did it.
pub(super) fn reap(child: &Arc<Process>, parent: Option<&Process>) -> bool {
    let phase = &child.flags.phase;
    if phase.compare_exchange(ENDED, REAPED, Ordering::AcqRel, Ordering::Acquire).is_err() {
        return false;
    }
    if let Some(parent) = parent {
        parent.usage.children.add(child.sums().plus(child.children_sums()));
        let largest_kib = child.largest_resident_kib().max(child.largest_child_resident_kib());
        parent.usage.largest_child_resident_kib.fetch_max(largest_kib, Ordering::Relaxed);
    }
    tree::remove(child);
    true
}
