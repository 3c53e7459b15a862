//! Sessions and their controlling terminals; process groups as job control sees them.
//!
//! A session has at most one controlling terminal, a terminal controls at most one session. The terminal keeps the
//! foreground group; who may read and write it is decided here. Source: credentials(7), POSIX.1-2017 11.1.

use super::signal::{self, send_to_group};
use super::{Process, tree};
use crate::error::{Error, Restart, Result};
use abi::errno::Errno;
use abi::signal::Signal;
use alloc::sync::Arc;
use machine::sync::IrqSpinLock;

/// What a terminal must offer to control a session.
pub(crate) trait Terminal: Send + Sync {
    /// Its device number, as `stat` shows it (/proc/PID/stat, tty_nr).
    fn device_number(&self) -> u64;
    /// The foreground group; 0: none.
    fn foreground_group(&self) -> i32;
    /// The session it controls; 0: none.
    fn session(&self) -> i32;
    /// Sets both.
    fn set_owner(&self, session: i32, foreground_group: i32);
    /// As an open file would show it: what /dev/tty opens.
    fn as_any(self: Arc<Self>) -> Arc<dyn core::any::Any + Send + Sync>;
}

/// A session.
pub(crate) struct Session {
    id: i32,
    terminal: IrqSpinLock<Option<Arc<dyn Terminal>>>,
}

impl Session {
    /// A session without a terminal.
    pub(super) fn new(id: i32) -> Arc<Session> {
        Arc::new(Session { id, terminal: IrqSpinLock::new("controlling terminal", None) })
    }

    /// The pid of the process that began it.
    pub(crate) fn id(&self) -> i32 {
        self.id
    }

    /// The controlling terminal.
    pub(crate) fn terminal(&self) -> Option<Arc<dyn Terminal>> {
        self.terminal.lock().clone()
    }

    fn set_terminal(&self, terminal: Option<Arc<dyn Terminal>>) {
        let old = core::mem::replace(&mut *self.terminal.lock(), terminal);
        drop(old);
    }
}

/// Why a terminal is to become the controlling one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It was opened without O_NOCTTY: only if nothing speaks against it.
    Open,
    /// TIOCSCTTY.
    Ask,
    /// TIOCSCTTY by root with the argument 1: take it away from another session.
    Steal,
}

/// Makes a terminal the controlling one of the process's session.
///
/// # Errors
/// EPERM unless the process leads a session that has no terminal, and the terminal no session.
pub(crate) fn claim_terminal(
    process: &Arc<Process>,
    terminal: Arc<dyn Terminal>,
    claim: Claim,
) -> Result<()> {
    let session = process.session();
    if terminal.session() == session.id() {
        return Ok(());
    }
    if session.id() != process.pid() || session.terminal().is_some() {
        return Err(Error::new(Errno::EPERM, "only a session leader without a terminal gets one"));
    }
    if let Some(leader) = tree::find(terminal.session()) {
        if claim != Claim::Steal {
            return Err(Error::new(Errno::EPERM, "the terminal controls another session"));
        }
        leader.session().set_terminal(None);
    }
    terminal.set_owner(session.id(), process.group_id());
    session.set_terminal(Some(terminal));
    Ok(())
}

/// The controlling terminal of a process.
pub(crate) fn controlling_terminal(process: &Process) -> Option<Arc<dyn Terminal>> {
    process.session().terminal()
}

/// Gives the controlling terminal up (TIOCNOTTY, the end of a session leader): if a leader does, the foreground
/// group is told.
///
/// # Errors
/// ENOTTY without one.
pub(crate) fn release_terminal(process: &Arc<Process>) -> Result<()> {
    let session = process.session();
    let terminal = session.terminal().ok_or(Errno::ENOTTY)?;
    if session.id() != process.pid() {
        return Ok(());
    }
    let foreground = terminal.foreground_group();
    terminal.set_owner(0, 0);
    session.set_terminal(None);
    if foreground != 0 {
        send_to_group(foreground, Signal::SIGHUP);
        send_to_group(foreground, Signal::SIGCONT);
    }
    Ok(())
}

/// The line of a terminal is gone: its session loses it, and the leader and the foreground group are told.
pub(crate) fn hang_up(terminal: &Arc<dyn Terminal>) {
    let (id, foreground) = (terminal.session(), terminal.foreground_group());
    terminal.set_owner(0, 0);
    if let Some(leader) = tree::find(id) {
        leader.session().set_terminal(None);
        for signal in [Signal::SIGHUP, Signal::SIGCONT] {
            let info = abi::signal::SigInfo::new(signal, abi::signal::SI_KERNEL);
            // Standard signals always find room.
            signal::send_to_process(&leader, signal, info).unwrap_or(());
        }
    }
    if foreground != 0 && foreground != id {
        send_to_group(foreground, Signal::SIGHUP);
        send_to_group(foreground, Signal::SIGCONT);
    }
}

/// What a process does to its terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TerminalUse {
    /// It reads.
    Read,
    /// It writes with TOSTOP set, or changes settings.
    Write,
}

/// Whether the current process may use its controlling terminal now; a background process is stopped instead.
///
/// # Errors
/// A restartable EINTR once SIGTTIN or SIGTTOU was sent; EIO where that would be no use (it is blocked or ignored
/// while reading, or the group is orphaned).
pub(crate) fn check_foreground(terminal: &dyn Terminal, purpose: TerminalUse) -> Result<()> {
    let thread = crate::sched::current();
    let Some(process) = thread.process() else { return Ok(()) };
    let group = process.group_id();
    let is_ours = terminal.session() == process.session_id();
    if !is_ours || terminal.foreground_group() == 0 || terminal.foreground_group() == group {
        return Ok(());
    }
    let signal = match purpose {
        TerminalUse::Read => Signal::SIGTTIN,
        TerminalUse::Write => Signal::SIGTTOU,
    };
    let is_blocked = thread.user().is_some_and(|user| user.signals().blocked().contains(signal));
    let is_ignored = process.actions().get(signal).handler == abi::signal::SIG_IGN;
    match purpose {
        TerminalUse::Write if is_blocked || is_ignored => return Ok(()),
        TerminalUse::Read if is_blocked || is_ignored => return Err(Errno::EIO.into()),
        _ => {}
    }
    if tree::is_orphaned_group(group) {
        return Err(Errno::EIO.into());
    }
    send_to_group(group, signal);
    Err(Error::interrupted().restarting(Some(Restart::UnlessHandlerForbids)))
}

/// Makes a group the foreground one (TIOCSPGRP).
///
/// # Errors
/// ENOTTY if the terminal does not control the caller's session, or the caller's group is orphaned and in the background; EPERM if the group is not in it, EINVAL if it is none;
/// or what [`check_foreground`] says.
pub(crate) fn set_foreground_group(
    process: &Arc<Process>,
    terminal: &dyn Terminal,
    group: i32,
) -> Result<()> {
    if terminal.session() != process.session_id() {
        return Err(Errno::ENOTTY.into());
    }
    check_foreground(terminal, TerminalUse::Write).map_err(|error| match error.errno {
        Errno::EIO => Error::new(Errno::ENOTTY, "an orphaned group cannot come to the foreground"),
        _ => error,
    })?;
    if group < 0 {
        return Err(Errno::EINVAL.into());
    }
    match tree::session_of_group(group) {
        None => Err(Errno::ESRCH.into()),
        Some(session) if session != process.session_id() => Err(Errno::EPERM.into()),
        Some(session) => {
            terminal.set_owner(session, group);
            Ok(())
        }
    }
}
