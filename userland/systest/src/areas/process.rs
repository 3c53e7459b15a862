//! Processes: forking, ending, and what a child inherits.

use crate::report::{Outcome, ensure, ensure_eq, ensure_errno, tests};
use crate::sys::files::{self, pipe, read, read_to_end, write};
use crate::sys::process::{self, Status, fork, wait4};
use crate::sys::signals::{self};

tests! {
    exit_status_reaches_the_parent,
    death_by_signal_reaches_the_parent,
    abort_is_a_death_by_sigabrt,
    child_knows_its_parent,
    child_pids_are_distinct,
    vfork_child_runs_and_parent_goes_on,
    clone_with_shared_memory_writes_into_the_parent,
    clone_without_signal_needs_a_special_wait,
    generations_of_children_come_back,
    child_inherits_mask_directory_and_umask,
    child_inherits_no_pending_signals_and_no_alarm,
    child_shares_file_positions,
    child_closing_leaves_the_parents_descriptor,
}

fn exit_status_reaches_the_parent() -> Outcome {
    for (code, expected) in [(0, 0), (1, 1), (42, 42), (127, 127), (255, 255), (256 + 3, 3), (-1, 255)] {
        ensure_eq!(fork(|| code)?.wait()?, Status::Exited(expected));
    }
    Ok(())
}

fn death_by_signal_reaches_the_parent() -> Outcome {
    for signal in
        [libc::SIGHUP, libc::SIGKILL, libc::SIGTERM, libc::SIGUSR1, libc::SIGPIPE, libc::SIGALRM, 40]
    {
        let child = fork(|| {
            let _ = signals::raise(signal);
            7
        })?;
        ensure_eq!(child.wait()?, Status::Killed(signal));
    }
    Ok(())
}

fn abort_is_a_death_by_sigabrt() -> Outcome {
    let status = fork(|| std::process::abort())?.wait()?;
    ensure_eq!(status, Status::Killed(libc::SIGABRT));
    Ok(())
}

fn child_knows_its_parent() -> Outcome {
    let me = process::getpid()?;
    ensure!(me > 1, "pid {me} for a test");
    ensure_eq!(process::gettid()?, me);
    let (reader, writer) = pipe(0)?;
    let child = fork(|| {
        let ids = [process::getppid(), process::getpid(), process::gettid()].map(|id| id.unwrap_or(-1));
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        i32::from(write(*writer, &bytes) != Ok(bytes.len()))
    })?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    let mut bytes = [0; 12];
    ensure_eq!(read(*reader, &mut bytes)?, 12);
    let expected: Vec<u8> = [me, child.pid(), child.pid()].iter().flat_map(|id| id.to_le_bytes()).collect();
    ensure_eq!(bytes.as_slice(), expected.as_slice());
    Ok(())
}

fn child_pids_are_distinct() -> Outcome {
    let children: Vec<_> = (0..10).map(|_| fork(|| 0)).collect::<Result<_, _>>()?;
    let mut pids: Vec<i32> = children.iter().map(process::Child::pid).collect();
    pids.sort_unstable();
    pids.dedup();
    ensure_eq!(pids.len(), 10);
    ensure!(!pids.contains(&process::getpid()?));
    for child in children {
        ensure_eq!(child.wait()?, Status::Exited(0));
    }
    Ok(())
}

fn vfork_child_runs_and_parent_goes_on() -> Outcome {
    ensure_eq!(process::vfork_and_exit(33)?.wait()?, Status::Exited(33));
    Ok(())
}

fn clone_with_shared_memory_writes_into_the_parent() -> Outcome {
    use std::sync::atomic::{AtomicI32, Ordering::SeqCst};
    static NOTE: AtomicI32 = AtomicI32::new(0);
    let child = process::clone_with(libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD, || {
        NOTE.store(17, SeqCst);
        4
    })?;
    ensure_eq!(NOTE.load(SeqCst), 17);
    ensure_eq!(child.wait()?, Status::Exited(4));
    let child = process::clone_with(libc::SIGCHLD, || {
        NOTE.store(18, SeqCst);
        5
    })?;
    ensure_eq!(child.wait()?, Status::Exited(5));
    ensure_eq!(NOTE.load(SeqCst), 17, "without CLONE_VM");
    Ok(())
}

fn clone_without_signal_needs_a_special_wait() -> Outcome {
    let child = process::clone_with(0, || 6)?;
    ensure_errno!(wait4(child.pid(), 0), ECHILD);
    ensure_eq!(child.wait_for(libc::__WALL)?, Status::Exited(6));
    Ok(())
}

fn generations_of_children_come_back() -> Outcome {
    fn descend(depth: i32) -> i32 {
        if depth == 0 {
            return 0;
        }
        match fork(|| descend(depth - 1)).and_then(|child| child.wait()) {
            Ok(Status::Exited(below)) => below + 1,
            _ => 200,
        }
    }
    ensure_eq!(descend(20), 20);
    Ok(())
}

fn child_inherits_mask_directory_and_umask() -> Outcome {
    files::mkdir("below", 0o755)?;
    files::chdir("below")?;
    signals::block(libc::SIGUSR2)?;
    files::umask(0o027);
    let here = files::getcwd(4096)?;
    let child = fork(|| {
        let mask = signals::mask() == Ok(signals::set_of(libc::SIGUSR2));
        let directory = files::getcwd(4096) == Ok(here.clone());
        let umask = files::umask(0) == 0o027;
        let _ = files::chdir("/");
        i32::from(!mask) | i32::from(!directory) << 1 | i32::from(!umask) << 2
    })?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    ensure_eq!(files::getcwd(4096)?, here);
    ensure_eq!(files::umask(0o022), 0o027);
    Ok(())
}

fn child_inherits_no_pending_signals_and_no_alarm() -> Outcome {
    signals::block(libc::SIGUSR1)?;
    signals::raise(libc::SIGUSR1)?;
    ensure_eq!(signals::pending()?, signals::set_of(libc::SIGUSR1));
    crate::sys::time::alarm(100)?;
    let child = fork(|| {
        let pending = signals::pending() == Ok(0);
        let alarm = crate::sys::time::alarm(0) == Ok(0);
        i32::from(!pending) | i32::from(!alarm) << 1
    })?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    ensure_eq!(signals::pending()?, signals::set_of(libc::SIGUSR1));
    Ok(())
}

fn child_shares_file_positions() -> Outcome {
    files::put("file", b"abcdef")?;
    let file = files::open("file", libc::O_RDONLY, 0)?;
    let child = fork(|| {
        let mut bytes = [0; 4];
        i32::from(read(*file, &mut bytes) != Ok(4))
    })?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    ensure_eq!(read_to_end(*file)?, b"ef");
    Ok(())
}

fn child_closing_leaves_the_parents_descriptor() -> Outcome {
    let (reader, writer) = pipe(0)?;
    let number = *writer;
    let child = fork(|| i32::from(files::close(number).is_err()))?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    ensure_eq!(write(*writer, b"x")?, 1);
    writer.close()?;
    ensure_eq!(read_to_end(*reader)?, b"x");
    Ok(())
}
