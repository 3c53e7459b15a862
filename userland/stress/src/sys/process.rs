//! Processes: forking, ending, waiting.

use std::cell::Cell;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, waitpid};

use crate::report::{Outcome, Stop};
use crate::worker;

/// The status of a child whose operation failed, after its report.
const FAILED: i32 = 121;
/// The status of a child that was refused memory.
const REFUSED: i32 = 122;

/// How a process ended or changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Status {
    Exited(i32),
    Killed(i32),
    Stopped(i32),
    Continued,
}

impl Status {
    fn of(status: WaitStatus) -> Self {
        if let Some(code) = status.exit_status() {
            Status::Exited(code)
        } else if let Some(signal) = status.terminating_signal() {
            Status::Killed(signal)
        } else if let Some(signal) = status.stopping_signal() {
            Status::Stopped(signal)
        } else {
            Status::Continued
        }
    }

    /// The exit status, where a child did what it was forked for.
    ///
    /// # Errors
    /// It failed, was refused memory, or was killed.
    #[track_caller]
    pub(crate) fn code(self) -> Outcome<i32> {
        match self {
            Status::Exited(FAILED) => Err(Stop::Told),
            Status::Exited(REFUSED) => Err(Stop::Refused),
            Status::Exited(code) => Ok(code),
            other => Err(Stop::fail(format!("a child ended: {other:?}"))),
        }
    }
}

/// A child of ours. One that nobody waited for is killed and reaped when dropped.
#[derive(Debug)]
pub(crate) struct Child {
    pid: Pid,
    is_reaped: Cell<bool>,
}

impl Child {
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    pub(crate) fn kill(&self, signal: Signal) -> Outcome {
        Ok(kill_process(self.pid, signal)?)
    }

    /// Waits for its end.
    pub(crate) fn wait(&self) -> Outcome<Status> {
        let changed = self.change(WaitOptions::empty())?;
        changed.ok_or_else(|| Stop::fail("a wait that may sleep found nothing"))
    }

    /// Waits for a change; `None` if there is none and the options forbid to wait.
    pub(crate) fn change(&self, options: WaitOptions) -> Outcome<Option<Status>> {
        let Some((pid, status)) = wait(Some(self.pid), options)? else { return Ok(None) };
        if pid != self.pid {
            return Err(Stop::fail(format!("waiting for {} gave {pid}", self.pid)));
        }
        self.is_reaped.set(matches!(status, Status::Exited(_) | Status::Killed(_)));
        Ok(Some(status))
    }

    /// Waits for its end, which must be a success.
    #[track_caller]
    pub(crate) fn join(&self) -> Outcome {
        match self.wait()?.code()? {
            0 => Ok(()),
            code => Err(Stop::fail(format!("a child's exit status is {code}"))),
        }
    }

    /// Waits for its end, which must come by this signal.
    #[track_caller]
    pub(crate) fn expect_killed(&self, signal: i32) -> Outcome {
        match self.wait()? {
            Status::Killed(killer) if killer == signal => Ok(()),
            status => Err(match status.code() {
                Ok(code) => Stop::fail(format!("exited with {code} instead of being killed by {signal}")),
                Err(stop) => stop,
            }),
        }
    }

    /// Somebody else waited for it.
    pub(crate) fn forget(&self) {
        self.is_reaped.set(true);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.is_reaped.get() {
            let _ = kill_process(self.pid, Signal::KILL);
            let _ = self.wait();
        }
    }
}

/// `waitpid` for one child or any, also when handlers run meanwhile: who changed, and how.
pub(crate) fn wait(pid: Option<Pid>, options: WaitOptions) -> Result<Option<(Pid, Status)>, Errno> {
    let changed = rustix::io::retry_on_intr(|| match pid {
        Some(pid) => waitpid(Some(pid), options),
        None => rustix::process::wait(options),
    })?;
    Ok(changed.map(|(pid, status)| (pid, Status::of(status))))
}

/// Runs `body` in a forked child and ends the child with its answer.
///
/// # Errors
/// Refused, or a failure.
pub(crate) fn fork(body: impl FnOnce() -> Outcome<i32>) -> Outcome<Child> {
    // SAFETY: the process has one thread; the child never returns from here.
    match unsafe { libc::fork() } {
        -1 if super::last_errno() == Errno::AGAIN => Err(Stop::Refused),
        -1 => Err(super::last_errno().into()),
        0 => exit(match body() {
            Ok(code) => code,
            Err(Stop::Refused) => REFUSED,
            Err(Stop::Told) => FAILED,
            Err(Stop::Fail(why)) => {
                worker::tell(&format!("in a child: {why}"));
                FAILED
            }
        }),
        pid => Ok(Child { pid: Pid::from_raw(pid).expect("pids are positive"), is_reaped: Cell::new(false) }),
    }
}

/// The same for a child that only has to succeed.
pub(crate) fn spawn(body: impl FnOnce() -> Outcome) -> Outcome<Child> {
    fork(|| body().map(|()| 0))
}

/// [`spawn`], and the child closes descriptors that are the parent's alone; `body` must not use them.
pub(crate) fn spawn_without(parents: &[&OwnedFd], body: impl FnOnce() -> Outcome) -> Outcome<Child> {
    fork(|| {
        for fd in parents {
            // SAFETY: the child never comes to the owner's end, and nobody uses the number until then.
            unsafe { libc::close(fd.as_raw_fd()) };
        }
        body().map(|()| 0)
    })
}

/// Ends the process at once, all threads included.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}
