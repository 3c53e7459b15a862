//! Users and groups: asking, changing, and giving up root's rights.

use crate::report::{Outcome, Stop, ensure, ensure_eq, ensure_errno, skip, tests};
use crate::sys::process::{Status, fork};
use crate::sys::users::{
    getegid, geteuid, getgid, getgroups, getresgid, getresuid, getuid, rules_all_users, setgid, setgroups,
    setregid, setresgid, setresuid, setreuid, setuid,
};
use crate::sys::{Errno, probe};

tests! {
    ids_agree,
    root_sets_all_users,
    root_sets_all_groups,
    user_cannot_become_root,
    effective_user_can_come_back,
    real_and_effective_can_be_exchanged,
    groups_can_be_set,
    user_cannot_set_groups,
    children_inherit_users,
    wrong_ids_are_refused,
}

/// Runs `body` in a child of root's; it answers whether all is well.
fn as_root(body: impl FnOnce() -> Result<bool, Errno>) -> Outcome {
    if !rules_all_users() {
        skip!("needs root over all users");
    }
    let child = fork(|| match body() {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(errno) => 2 + errno.0,
    })?;
    match child.wait()? {
        Status::Exited(0) => Ok(()),
        Status::Exited(1) => Err(Stop::fail("not as expected")),
        Status::Exited(code) => Err(Stop::fail(format!("unexpected {}", Errno(code - 2)))),
        other => Err(Stop::fail(other)),
    }
}

fn ids_agree() -> Outcome {
    let [real, effective, _] = getresuid()?;
    ensure_eq!((getuid()?, geteuid()?), (real, effective));
    let [real, effective, _] = getresgid()?;
    ensure_eq!((getgid()?, getegid()?), (real, effective));
    Ok(())
}

fn root_sets_all_users() -> Outcome {
    as_root(|| {
        setuid(1000)?;
        Ok(getresuid()? == [1000; 3] && setuid(0) == Err(Errno(libc::EPERM)))
    })
}

fn root_sets_all_groups() -> Outcome {
    as_root(|| {
        setgid(1000)?;
        Ok(getresgid()? == [1000; 3])
    })
}

fn user_cannot_become_root() -> Outcome {
    as_root(|| {
        setresgid(1000, 1000, 1000)?;
        setresuid(1000, 1000, 1000)?;
        let refused = Err(Errno(libc::EPERM));
        Ok(setuid(0) == refused
            && setresuid(u32::MAX, 0, u32::MAX) == refused
            && setreuid(0, 0) == refused
            && setgid(0) == refused
            && setregid(0, u32::MAX) == refused
            && setresgid(0, 0, 0) == refused
            && setuid(1000).is_ok()
            && getresuid()? == [1000; 3])
    })
}

fn effective_user_can_come_back() -> Outcome {
    as_root(|| {
        setresuid(u32::MAX, 1000, u32::MAX)?;
        let is_changed = getresuid()? == [0, 1000, 0] && setuid(5) == Err(Errno(libc::EPERM));
        setuid(0)?;
        Ok(is_changed && getresuid()? == [0; 3])
    })
}

fn real_and_effective_can_be_exchanged() -> Outcome {
    as_root(|| {
        setresuid(1000, 1001, 1001)?;
        setreuid(1001, 1000)?;
        let is_exchanged = getresuid()? == [1001, 1000, 1000];
        Ok(is_exchanged && setreuid(1002, u32::MAX) == Err(Errno(libc::EPERM)))
    })
}

fn groups_can_be_set() -> Outcome {
    as_root(|| {
        setgroups(&[5, 10, 100_000])?;
        let are_set = getgroups()? == [5, 10, 100_000];
        let count = probe(libc::SYS_getgroups, &[0, 0]) == Ok(3);
        let is_small = probe(libc::SYS_getgroups, &[2, 8]) == Err(Errno(libc::EINVAL));
        setgroups(&[])?;
        Ok(are_set && count && is_small && getgroups()?.is_empty())
    })
}

fn user_cannot_set_groups() -> Outcome {
    as_root(|| {
        setgroups(&[])?;
        setresuid(1000, 1000, 1000)?;
        Ok(setgroups(&[5]) == Err(Errno(libc::EPERM)))
    })
}

fn children_inherit_users() -> Outcome {
    as_root(|| {
        setgroups(&[7])?;
        setresgid(11, 12, 13)?;
        setresuid(0, 1002, 1003)?;
        let child = fork(|| {
            let same = getresuid() == Ok([0, 1002, 1003]) && getresgid() == Ok([11, 12, 13]);
            i32::from(!same || getgroups().as_deref() != Ok(&[7]))
        })?;
        Ok(child.wait()? == Status::Exited(0))
    })
}

fn wrong_ids_are_refused() -> Outcome {
    ensure_errno!(setuid(u32::MAX), EINVAL);
    ensure_errno!(setgid(u32::MAX), EINVAL);
    ensure_errno!(probe(libc::SYS_getgroups, &[usize::MAX, 0]), EINVAL);
    ensure_errno!(probe(libc::SYS_getresuid, &[8, 8, 8]), EFAULT);
    ensure!(setresuid(u32::MAX, u32::MAX, u32::MAX).is_ok(), "-1 changes nothing");
    Ok(())
}
