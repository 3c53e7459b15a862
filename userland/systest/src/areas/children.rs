//! Waiting for children, zombies, orphans.

use std::time::Duration;

use crate::report::{Outcome, ensure, ensure_eq, ensure_errno, or_skip, skip, tests};
use crate::sys::Errno;
use crate::sys::files::{pipe, read, write};
use crate::sys::process::{self, Status, fork, wait4, waitid};
use crate::sys::signals::pause_forever;
use crate::sys::signals::{self, Action};
use crate::sys::time::nanosleep;
use crate::sys::time::work_for;

tests! {
    wait_without_children_fails,
    wait_for_a_stranger_fails,
    wait_refuses_unknown_options,
    wait_without_hanging_returns_at_once,
    wait_picks_the_named_child,
    wait_picks_by_group,
    wait_tells_a_childs_resources,
    waitid_describes_the_end,
    waitid_can_leave_the_child_waitable,
    zombie_exists_until_it_is_reaped,
    ignored_sigchld_reaps_by_itself,
    sa_nocldwait_reaps_by_itself,
    sigchld_tells_about_the_child,
    orphan_gets_another_parent,
    fifty_children_are_all_reaped,
    parent_death_signal_arrives,
}

fn microseconds(time: libc::timeval) -> i64 {
    time.tv_sec * 1_000_000 + time.tv_usec
}

fn wait_without_children_fails() -> Outcome {
    ensure_errno!(wait4(-1, 0), ECHILD);
    ensure_errno!(wait4(-1, libc::WNOHANG), ECHILD);
    let child = fork(|| 0)?;
    child.wait()?;
    ensure_errno!(wait4(child.pid(), 0), ECHILD);
    Ok(())
}

fn wait_for_a_stranger_fails() -> Outcome {
    let _mine = fork(pause_forever)?;
    ensure_errno!(wait4(1, libc::WNOHANG), ECHILD);
    ensure_errno!(wait4(process::getpid()?, libc::WNOHANG), ECHILD);
    ensure_errno!(wait4(0x3fff_fffe, libc::WNOHANG), ECHILD);
    Ok(())
}

fn wait_refuses_unknown_options() -> Outcome {
    ensure_errno!(wait4(-1, 0x1000), EINVAL);
    ensure_errno!(waitid(libc::P_ALL, 0, 0), EINVAL);
    ensure_errno!(waitid(99, 0, libc::WEXITED), EINVAL);
    Ok(())
}

fn wait_without_hanging_returns_at_once() -> Outcome {
    let child = fork(pause_forever)?;
    ensure_eq!(child.try_wait()?, None);
    ensure_eq!(wait4(-1, libc::WNOHANG)?.0, 0);
    signals::kill(child.pid(), libc::SIGTERM)?;
    ensure_eq!(child.wait()?, Status::Killed(libc::SIGTERM));
    Ok(())
}

fn wait_picks_the_named_child() -> Outcome {
    let children: Vec<_> = (1..=3).map(|code| fork(move || code)).collect::<Result<_, _>>()?;
    for (child, code) in children.iter().zip([1, 2, 3]).rev() {
        ensure_eq!(wait4(child.pid(), 0)?, (child.pid(), Status::Exited(code)));
        child.forget();
    }
    Ok(())
}

fn wait_picks_by_group() -> Outcome {
    let in_my_group = fork(|| 1)?;
    let leader = fork(|| {
        let _ = process::setpgid(0, 0);
        2
    })?;
    let _ = process::setpgid(leader.pid(), leader.pid());
    ensure_eq!(wait4(0, 0)?, (in_my_group.pid(), Status::Exited(1)));
    in_my_group.forget();
    ensure_errno!(wait4(0, 0), ECHILD);
    ensure_eq!(wait4(-leader.pid(), 0)?, (leader.pid(), Status::Exited(2)));
    leader.forget();
    ensure_errno!(wait4(-leader.pid(), 0), ECHILD);
    Ok(())
}

fn wait_tells_a_childs_resources() -> Outcome {
    let child = fork(|| {
        work_for(Duration::from_millis(150));
        0
    })?;
    let usage = process::wait4_usage(child.pid())?;
    child.forget();
    let used = microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
    ensure!(used >= 20_000, "150 ms of work counted as {used} us");
    let children = process::getrusage(libc::RUSAGE_CHILDREN)?;
    ensure!(microseconds(children.ru_utime) + microseconds(children.ru_stime) >= 20_000);
    Ok(())
}

fn waitid_describes_the_end() -> Outcome {
    let child = fork(|| 9)?;
    let info = or_skip!(waitid(libc::P_PID, child.pid(), libc::WEXITED), ENOSYS);
    child.forget();
    let expected =
        process::ChildInfo { signal: libc::SIGCHLD, pid: child.pid(), code: libc::CLD_EXITED, status: 9 };
    ensure_eq!(info, expected);
    let child = fork(pause_forever)?;
    signals::kill(child.pid(), libc::SIGKILL)?;
    let info = waitid(libc::P_ALL, 0, libc::WEXITED)?;
    child.forget();
    ensure_eq!((info.code, info.status, info.pid), (libc::CLD_KILLED, libc::SIGKILL, child.pid()));
    ensure_errno!(waitid(libc::P_ALL, 0, libc::WEXITED), ECHILD);
    Ok(())
}

fn waitid_can_leave_the_child_waitable() -> Outcome {
    let child = fork(|| 3)?;
    for _ in 0..2 {
        let info = or_skip!(waitid(libc::P_PID, child.pid(), libc::WEXITED | libc::WNOWAIT), ENOSYS);
        ensure_eq!((info.pid, info.status), (child.pid(), 3));
    }
    ensure_eq!(child.wait()?, Status::Exited(3));
    let child = fork(pause_forever)?;
    let info = waitid(libc::P_PID, child.pid(), libc::WEXITED | libc::WNOHANG)?;
    ensure_eq!(info.pid, 0);
    Ok(())
}

fn zombie_exists_until_it_is_reaped() -> Outcome {
    let child = fork(|| 0)?;
    let group = process::getpgid(child.pid())?;
    let info = or_skip!(waitid(libc::P_PID, child.pid(), libc::WEXITED | libc::WNOWAIT), ENOSYS);
    ensure_eq!(info.pid, child.pid());
    signals::kill(child.pid(), 0)?;
    signals::kill(child.pid(), libc::SIGTERM)?;
    ensure_eq!(process::getpgid(child.pid())?, group);
    ensure_eq!(child.wait()?, Status::Exited(0));
    ensure_errno!(signals::kill(child.pid(), 0), ESRCH);
    ensure_errno!(process::getpgid(child.pid()), ESRCH);
    Ok(())
}

fn ignored_sigchld_reaps_by_itself() -> Outcome {
    signals::act(libc::SIGCHLD, Action::Ignore, 0, &[])?;
    reaps_by_itself()
}

fn sa_nocldwait_reaps_by_itself() -> Outcome {
    signals::act(libc::SIGCHLD, Action::Default, libc::SA_NOCLDWAIT, &[])?;
    reaps_by_itself()
}

fn reaps_by_itself() -> Outcome {
    let child = fork(|| {
        let _ = nanosleep(Duration::from_millis(20));
        5
    })?;
    ensure_errno!(wait4(child.pid(), 0), ECHILD);
    child.forget();
    // On another CPU it may still be on its way out.
    for _ in 0..1000 {
        if signals::kill(child.pid(), 0).is_err() {
            break;
        }
        nanosleep(Duration::from_millis(1))?;
    }
    ensure_errno!(signals::kill(child.pid(), 0), ESRCH);
    Ok(())
}

fn sigchld_tells_about_the_child() -> Outcome {
    signals::act(libc::SIGCHLD, Action::RecordInfo, 0, &[])?;
    let before = signals::block(libc::SIGCHLD)?;
    let child = fork(|| 11)?;
    while signals::handled(libc::SIGCHLD) == 0 {
        ensure_eq!(signals::suspend(before), Errno(libc::EINTR));
    }
    let last = signals::last();
    ensure_eq!((last.code, last.pid), (libc::CLD_EXITED, child.pid()));
    ensure_eq!(child.wait()?, Status::Exited(11));
    Ok(())
}

fn orphan_gets_another_parent() -> Outcome {
    let (reader, writer) = pipe(0)?;
    let parent = fork(|| {
        let me = process::getpid();
        let grandchild = fork(|| {
            while process::getppid() == me {
                let _ = nanosleep(Duration::from_millis(1));
            }
            i32::from(write(*writer, &[2]).is_err())
        });
        let Ok(grandchild) = grandchild else { return 1 };
        grandchild.forget();
        0
    })?;
    ensure_eq!(parent.wait()?, Status::Exited(0));
    let mut byte = [0];
    ensure_eq!(read(*reader, &mut byte)?, 1);
    ensure_eq!(byte[0], 2);
    ensure_errno!(wait4(-1, libc::WNOHANG), ECHILD);
    Ok(())
}

fn fifty_children_are_all_reaped() -> Outcome {
    let children: Vec<_> = (0..50).map(|code| fork(move || code)).collect::<Result<_, _>>()?;
    let mut seen = [false; 50];
    for _ in &children {
        let (pid, status) = wait4(-1, 0)?;
        let index = children.iter().position(|child| child.pid() == pid);
        let Some(index) = index else {
            return Err(crate::report::Stop::fail(format!("reaped a stranger: {pid}")));
        };
        children[index].forget();
        ensure_eq!(status, Status::Exited(index as i32));
        ensure!(!std::mem::replace(&mut seen[index], true));
    }
    ensure_errno!(wait4(-1, 0), ECHILD);
    Ok(())
}

fn parent_death_signal_arrives() -> Outcome {
    let (reader, writer) = pipe(0)?;
    let middle = fork(|| {
        let grandchild = fork(|| {
            let armed = process::prctl(libc::PR_SET_PDEATHSIG, libc::SIGUSR1 as u64)
                .and_then(|_| signals::act(libc::SIGUSR1, Action::Record, 0, &[]).map(|()| 0))
                .and_then(|_| signals::block(libc::SIGUSR1));
            let Ok(before) = armed else { return 1 };
            let _ = write(*writer, &[1]);
            let _ = signals::suspend(before);
            let _ = write(*writer, &[2]);
            0
        });
        let Ok(grandchild) = grandchild else { return 1 };
        grandchild.forget();
        let _ = signals::pause();
        0
    })?;
    let mut byte = [0];
    ensure_eq!(read(*reader, &mut byte)?, 1);
    if byte[0] != 1 {
        skip!("no PR_SET_PDEATHSIG");
    }
    signals::kill(middle.pid(), libc::SIGKILL)?;
    middle.wait()?;
    ensure_eq!(read(*reader, &mut byte)?, 1);
    ensure_eq!(byte[0], 2);
    Ok(())
}
