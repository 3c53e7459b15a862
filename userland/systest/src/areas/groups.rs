//! Process groups and sessions.

use crate::report::{Outcome, ensure_eq, ensure_errno, tests};
use crate::sys::Errno;
use crate::sys::process::{self, Status, fork};
use crate::sys::signals::pause_forever;
use crate::sys::signals::{self};

tests! {
    group_of_a_child_can_be_set,
    group_calls_refuse_what_is_wrong,
    session_leader_is_its_own_group,
    group_leader_cannot_start_a_session,
    dead_childs_group_can_still_be_signalled_alive,
}

fn group_of_a_child_can_be_set() -> Outcome {
    let mine = process::getpgrp()?;
    let child = fork(pause_forever)?;
    ensure_eq!(process::getpgid(child.pid())?, mine);
    process::setpgid(child.pid(), child.pid())?;
    ensure_eq!(process::getpgid(child.pid())?, child.pid());
    let second = fork(pause_forever)?;
    process::setpgid(second.pid(), child.pid())?;
    ensure_eq!(process::getpgid(second.pid())?, child.pid());
    signals::kill(-child.pid(), libc::SIGTERM)?;
    ensure_eq!(child.wait()?, Status::Killed(libc::SIGTERM));
    ensure_eq!(second.wait()?, Status::Killed(libc::SIGTERM));
    ensure_errno!(signals::kill(-child.pid(), 0), ESRCH);
    Ok(())
}

fn group_calls_refuse_what_is_wrong() -> Outcome {
    let me = process::getpid()?;
    ensure_errno!(process::setpgid(0, -1), EINVAL);
    ensure_errno!(process::setpgid(-1, 0), EINVAL | ESRCH);
    ensure_errno!(process::setpgid(0x3fff_fffe, 0), ESRCH);
    ensure_errno!(process::setpgid(1, 1), ESRCH | EPERM);
    ensure_errno!(process::setpgid(me, 0), EPERM); // a session leader
    ensure_errno!(process::getpgid(0x3fff_fffe), ESRCH);
    ensure_errno!(process::getsid(0x3fff_fffe), ESRCH);
    let child = fork(pause_forever)?;
    ensure_errno!(process::setpgid(child.pid(), 0x3fff_fffe), EPERM); // no such group in this session
    Ok(())
}

fn session_leader_is_its_own_group() -> Outcome {
    let me = process::getpid()?;
    ensure_eq!((process::getsid(0)?, process::getpgrp()?, process::getpgid(0)?), (me, me, me));
    let child = fork(|| {
        let Ok(pid) = process::getpid() else { return 1 };
        let is_old = process::getsid(0) == Ok(me) && process::getpgrp() == Ok(me);
        let is_made = process::setsid() == Ok(pid);
        let is_new = process::getsid(0) == Ok(pid) && process::getpgrp() == Ok(pid);
        i32::from(!is_old) | i32::from(!is_made) << 1 | i32::from(!is_new) << 2
    })?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}

fn group_leader_cannot_start_a_session() -> Outcome {
    ensure_errno!(process::setsid(), EPERM);
    let child = fork(|| {
        let made = process::setpgid(0, 0).is_ok();
        i32::from(!made || process::setsid() != Err(Errno(libc::EPERM)))
    })?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}

fn dead_childs_group_can_still_be_signalled_alive() -> Outcome {
    let leader = fork(pause_forever)?;
    process::setpgid(leader.pid(), leader.pid())?;
    let member = fork(pause_forever)?;
    process::setpgid(member.pid(), leader.pid())?;
    signals::kill(leader.pid(), libc::SIGKILL)?;
    leader.wait()?;
    ensure_eq!(process::getpgid(member.pid())?, leader.pid());
    signals::kill(-leader.pid(), libc::SIGINT)?;
    ensure_eq!(member.wait()?, Status::Killed(libc::SIGINT));
    Ok(())
}
