//! Starting, watching and reaping processes.

use std::env;
use std::fmt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};
use signal_hook::low_level::signal_name;

use crate::say::say;
use crate::shutdown::Goal;
use crate::signals::Signals;

/// How a process ended, for messages and decisions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Status {
    Exited(i32),
    Killed(i32),
}

impl Status {
    pub(crate) fn is_success(self) -> bool {
        self == Status::Exited(0)
    }

    fn of(status: WaitStatus) -> Self {
        match status.terminating_signal() {
            Some(signal) => Status::Killed(signal),
            None => Status::Exited(status.exit_status().unwrap_or_default()),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Exited(status) => write!(out, "exited with status {status}"),
            Status::Killed(signal) => {
                write!(out, "was killed by signal {signal} ({})", signal_name(*signal).unwrap_or("unnamed"))
            }
        }
    }
}

/// What [`run_to_end`] saw.
pub(crate) enum Ended {
    Status(Status),
    NotStarted,
    TimedOut,
    /// A signal asked for the system's end while the process still ran.
    Interrupted(Goal),
}

/// Starts a command as a session of its own on a terminal below `/dev`.
pub(crate) fn start(tty: &str, command: &[String]) -> Option<Pid> {
    let me = env::current_exe().unwrap_or_else(|_| PathBuf::from("/sbin/init"));
    match Command::new(&me).arg("--on").arg(tty).args(command).spawn() {
        Ok(child) => i32::try_from(child.id()).ok().and_then(Pid::from_raw),
        Err(error) => {
            say!("cannot start a process ({}): {error}", me.display());
            None
        }
    }
}

/// Reaps one ended process, ours or an orphan.
pub(crate) fn reap() -> Reaped {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => return Reaped::One(pid, Status::of(status)),
            Ok(None) => return Reaped::NoneEnded,
            Err(Errno::INTR) => {}
            Err(_) => return Reaped::NoneLeft,
        }
    }
}

pub(crate) enum Reaped {
    One(Pid, Status),
    /// Processes are alive, none has ended.
    NoneEnded,
    /// There is no child at all.
    NoneLeft,
}

/// Runs a command on a terminal until it ends, or for at most `limit`; reaps everything else meanwhile.
pub(crate) fn run_to_end(tty: &str, command: &[String], signals: &Signals, limit: Option<Duration>) -> Ended {
    let Some(started) = start(tty, command) else { return Ended::NotStarted };
    let deadline = limit.map(|limit| Instant::now() + limit);
    loop {
        while let Reaped::One(pid, status) = reap() {
            if pid == started {
                return Ended::Status(status);
            }
        }
        if let Some(goal) = signals.take_wish() {
            return Ended::Interrupted(goal);
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ended::TimedOut;
        }
        signals.wait(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_read_as_sentences() {
        assert_eq!(Status::Exited(3).to_string(), "exited with status 3");
        assert_eq!(Status::Killed(11).to_string(), "was killed by signal 11 (SIGSEGV)");
        assert!(Status::Exited(0).is_success() && !Status::Killed(9).is_success());
    }
}
