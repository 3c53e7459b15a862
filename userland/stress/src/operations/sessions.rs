//! Sessions, process groups, stopping and going on, orphans.

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, getpgid, getpgrp, getpid, getppid, getsid, kill_process_group,
    set_child_subreaper, setpgid, setsid,
};

use super::{mark, read_full, write_all};
use crate::random::Random;
use crate::report::{Outcome, ensure, ensure_eq};
use crate::sys::process::{self, Child, Status};
use crate::sys::signals;
use crate::worker::Context;

pub(crate) fn run(context: &mut Context<'_>) -> Outcome {
    let mut random = context.random.fork();
    mark!(context);
    match random.below(4) {
        0 => group(&mut random),
        1 => stop_and_go_on(&mut random),
        2 => process::spawn(|| orphans(&mut random))?.join(),
        _ => session(),
    }
}

/// Signals for a group reach each member, and nobody else.
fn group(random: &mut Random) -> Outcome {
    let mut members: Vec<Child> = Vec::new();
    let count = random.within(1..=5);
    for index in 0..count {
        let leader = members.first().map(Child::pid);
        let child = process::spawn(move || {
            if index % 2 == 0 {
                join(None, leader)?;
            }
            loop {
                signals::pause();
            }
        })?;
        // Parent and child both do it, so that it is done when either goes on.
        join(Some(child.pid()), leader)?;
        members.push(child);
    }
    let bystander = process::spawn(|| {
        loop {
            signals::pause();
        }
    })?;
    let leader = members[0].pid();
    for member in &members {
        ensure_eq!(getpgid(Some(member.pid()))?, leader, "the group of a member");
    }
    let signal = random.pick(&[Signal::TERM, Signal::KILL, Signal::INT]);
    kill_process_group(leader, signal)?;
    for member in &members {
        member.expect_killed(signal.as_raw())?;
    }
    ensure_eq!(kill_process_group(leader, signal), Err(Errno::SRCH), "a group without members");
    ensure_eq!(bystander.change(WaitOptions::NOHANG)?, None, "who is not in the group");
    bystander.kill(Signal::KILL)?;
    bystander.expect_killed(libc::SIGKILL)
}

/// Puts a process into the group of `leader`, or makes it lead one.
fn join(pid: Option<Pid>, leader: Option<Pid>) -> Outcome {
    match setpgid(pid, leader.or(pid)) {
        // It has been killed already.
        Err(Errno::SRCH) => Ok(()),
        answer => Ok(answer?),
    }
}

/// A child is stopped and continued; each change is told once.
fn stop_and_go_on(random: &mut Random) -> Outcome {
    let works = random.once_in(2);
    let child = process::spawn(move || {
        loop {
            if works {
                std::hint::spin_loop();
            } else {
                signals::pause();
            }
        }
    })?;
    for _ in 0..random.within(1..=8) {
        child.kill(Signal::STOP)?;
        let stopped = child.change(WaitOptions::UNTRACED)?;
        ensure_eq!(stopped, Some(Status::Stopped(libc::SIGSTOP)), "after SIGSTOP");
        ensure_eq!(child.change(WaitOptions::UNTRACED | WaitOptions::NOHANG)?, None, "a stop told twice");
        child.kill(Signal::CONT)?;
        ensure_eq!(child.change(WaitOptions::CONTINUED)?, Some(Status::Continued), "after SIGCONT");
    }
    if random.once_in(2) {
        child.kill(Signal::STOP)?;
        if random.once_in(2) {
            child.change(WaitOptions::UNTRACED)?;
        }
    }
    child.kill(Signal::KILL)?;
    child.expect_killed(libc::SIGKILL)
}

/// Who loses its parent goes to the nearest reaper, which gets its status.
fn orphans(random: &mut Random) -> Outcome {
    set_child_subreaper(Some(getpid()))?;
    let own = getpid();
    let count = random.within(1..=5);
    let (reader, writer) = rustix::pipe::pipe()?;
    let middle = process::spawn(|| {
        let mut children = Vec::new();
        for index in 0..count {
            let writer = &writer;
            children.push(process::fork(move || {
                // Until the parent has gone.
                while getppid() != Some(own) {
                    rustix::thread::sched_yield();
                }
                write_all(writer, &[index as u8])?;
                Ok(10 + index as i32)
            })?);
        }
        children.into_iter().for_each(std::mem::forget);
        Ok(())
    })?;
    drop(writer);
    let ended = middle.join();
    let mut seen = vec![0; count];
    let told = read_full(&reader, &mut seen)?;
    let mut codes = Vec::new();
    loop {
        match process::wait(None, WaitOptions::empty()) {
            Ok(Some((_, status))) => codes.push(status.code()?),
            Ok(None) => ensure!(false, "a wait that may sleep found nothing"),
            Err(Errno::CHILD) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    ended?;
    ensure_eq!(told, count, "orphans that reported");
    codes.sort_unstable();
    ensure_eq!(codes, (0..count).map(|index| 10 + index as i32).collect::<Vec<_>>(), "orphans' statuses");
    Ok(())
}

/// A new session has a new group, and nothing of the old.
fn session() -> Outcome {
    let child = process::spawn(|| {
        let own = getpid();
        ensure_eq!(setsid()?, own, "the new session");
        ensure_eq!((getsid(None)?, getpgrp()), (own, own), "session and group");
        ensure_eq!(setsid(), Err(Errno::PERM), "a leader that wants another session");
        let grandchild = process::spawn(|| {
            ensure_eq!((getsid(None)?, getpgrp()), (own, own), "session and group of a child");
            setpgid(None, None)?;
            ensure_eq!((getsid(None)?, getpgrp()), (own, getpid()), "session and group of its own");
            Ok(())
        })?;
        grandchild.join()
    })?;
    child.join()
}
