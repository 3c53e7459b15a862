//! Stopping and continuing processes, and what their parents are told.

use std::time::Duration;

use crate::report::{Outcome, ensure, ensure_eq, ensure_errno, or_skip, tests};
use crate::sys::files::{pipe, read, write};
use crate::sys::process::{self, Status, fork, wait4, waitid};
use crate::sys::signals::pause_forever;
use crate::sys::signals::{self, Action, act, handled, kill, raise};
use crate::sys::time::nanosleep;

tests! {
    stop_and_continue_are_told,
    stop_is_told_by_waitid,
    stopped_child_does_not_run,
    continue_wakes_even_if_ignored,
    kill_ends_a_stopped_process,
    sigchld_comes_for_stops_unless_refused,
    sigttin_and_sigtstp_stop_by_default,
    orphaned_group_is_hung_up,
}

const SHORT: Duration = Duration::from_millis(30);

fn stop_and_continue_are_told() -> Outcome {
    let child = fork(pause_forever)?;
    for _ in 0..2 {
        kill(child.pid(), libc::SIGSTOP)?;
        ensure_eq!(child.wait_for(libc::WUNTRACED)?, Status::Stopped(libc::SIGSTOP));
        ensure_eq!(wait4(child.pid(), libc::WUNTRACED | libc::WNOHANG)?.0, 0, "told once");
        kill(child.pid(), libc::SIGCONT)?;
        ensure_eq!(child.wait_for(libc::WCONTINUED)?, Status::Continued);
    }
    kill(child.pid(), libc::SIGSTOP)?;
    nanosleep(SHORT)?;
    ensure_eq!(child.try_wait()?, None, "without WUNTRACED a stop is no news");
    kill(child.pid(), libc::SIGKILL)?;
    ensure_eq!(child.wait()?, Status::Killed(libc::SIGKILL));
    Ok(())
}

fn stop_is_told_by_waitid() -> Outcome {
    let child = fork(pause_forever)?;
    kill(child.pid(), libc::SIGSTOP)?;
    let info = or_skip!(waitid(libc::P_PID, child.pid(), libc::WSTOPPED), ENOSYS);
    ensure_eq!((info.code, info.status), (libc::CLD_STOPPED, libc::SIGSTOP));
    kill(child.pid(), libc::SIGCONT)?;
    let info = waitid(libc::P_PID, child.pid(), libc::WCONTINUED)?;
    ensure_eq!((info.code, info.status), (libc::CLD_CONTINUED, libc::SIGCONT));
    Ok(())
}

fn stopped_child_does_not_run() -> Outcome {
    let (reader, writer) = pipe(libc::O_NONBLOCK)?;
    let child = fork(|| {
        loop {
            let _ = write(*writer, b".");
            let _ = nanosleep(Duration::from_millis(1));
        }
    })?;
    nanosleep(SHORT)?;
    kill(child.pid(), libc::SIGSTOP)?;
    ensure_eq!(child.wait_for(libc::WUNTRACED)?, Status::Stopped(libc::SIGSTOP));
    let mut bytes = [0; 4096];
    while read(*reader, &mut bytes).is_ok() {}
    nanosleep(SHORT)?;
    ensure_errno!(read(*reader, &mut bytes), EAGAIN);
    kill(child.pid(), libc::SIGCONT)?;
    nanosleep(SHORT * 2)?;
    ensure!(read(*reader, &mut bytes)? > 0);
    Ok(())
}

fn continue_wakes_even_if_ignored() -> Outcome {
    let child = fork(|| {
        let _ = act(libc::SIGCONT, Action::Ignore, 0, &[]);
        let _ = raise(libc::SIGSTOP);
        9
    })?;
    ensure_eq!(child.wait_for(libc::WUNTRACED)?, Status::Stopped(libc::SIGSTOP));
    kill(child.pid(), libc::SIGCONT)?;
    ensure_eq!(child.wait()?, Status::Exited(9));
    Ok(())
}

fn kill_ends_a_stopped_process() -> Outcome {
    let child = fork(pause_forever)?;
    kill(child.pid(), libc::SIGSTOP)?;
    child.wait_for(libc::WUNTRACED)?;
    kill(child.pid(), libc::SIGTERM)?; // waits for the continuation
    nanosleep(SHORT)?;
    ensure_eq!(child.try_wait()?, None);
    kill(child.pid(), libc::SIGKILL)?;
    ensure_eq!(child.wait()?, Status::Killed(libc::SIGKILL));
    Ok(())
}

fn sigchld_comes_for_stops_unless_refused() -> Outcome {
    for (flags, expected) in [(0, true), (libc::SA_NOCLDSTOP, false)] {
        act(libc::SIGCHLD, Action::RecordInfo, flags, &[])?;
        let before = handled(libc::SIGCHLD);
        let child = fork(pause_forever)?;
        kill(child.pid(), libc::SIGSTOP)?;
        while child.wait_for(libc::WUNTRACED).is_err_and(|errno| errno.0 == libc::EINTR) {}
        ensure_eq!(handled(libc::SIGCHLD) > before, expected, "flags {flags}");
        if expected {
            ensure_eq!(signals::last().code, libc::CLD_STOPPED);
        }
        signals::set_default(libc::SIGCHLD)?;
    }
    Ok(())
}

fn sigttin_and_sigtstp_stop_by_default() -> Outcome {
    // In a group that is not orphaned: its leader's parent is in this session, in another group.
    for signal in [libc::SIGTTIN, libc::SIGTTOU, libc::SIGTSTP] {
        let child = fork(|| {
            let _ = process::setpgid(0, 0);
            let _ = raise(signal);
            3
        })?;
        ensure_eq!(child.wait_for(libc::WUNTRACED)?, Status::Stopped(signal));
        kill(child.pid(), libc::SIGCONT)?;
        ensure_eq!(child.wait()?, Status::Exited(3));
    }
    Ok(())
}

fn orphaned_group_is_hung_up() -> Outcome {
    let (reader, writer) = pipe(0)?;
    let parent = fork(|| {
        let grandchild = fork(|| {
            let _ = process::setpgid(0, 0);
            let _ = act(libc::SIGHUP, Action::EndProcess, 0, &[]);
            let _ = act(libc::SIGCONT, Action::Record, 0, &[]);
            let _ = write(*writer, b"r");
            let _ = raise(libc::SIGSTOP);
            // Continued by the kernel, after the hang-up was handled.
            0
        });
        let Ok(grandchild) = grandchild else { return 1 };
        if grandchild.wait_for(libc::WUNTRACED) != Ok(Status::Stopped(libc::SIGSTOP)) {
            return 2;
        }
        grandchild.forget();
        0
    })?;
    drop(writer);
    ensure_eq!(parent.wait()?, Status::Exited(0));
    // The grandchild holds the writing end until it ends.
    ensure_eq!(crate::sys::files::read_to_end(*reader)?, b"r");
    Ok(())
}
