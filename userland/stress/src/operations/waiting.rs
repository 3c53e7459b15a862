//! Children that end while they are waited for: each is reaped once, with its status.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions};

use super::{mark, threads};
use crate::random::Random;
use crate::report::{Outcome, Stop, ensure, ensure_eq};
use crate::sys::process::{self, Child, Status};
use crate::worker::Context;

pub(crate) fn run(context: &mut Context<'_>) -> Outcome {
    let mut random = context.random.fork();
    mark!(context);
    // In a child, which has no other children.
    match random.below(3) {
        0 => process::spawn(|| any(&mut random))?.join(),
        1 => process::spawn(|| two_threads(&mut random))?.join(),
        _ => process::spawn(|| zombies(&mut random))?.join(),
    }
}

/// Forks children that end after a while: pids, and the status of each.
fn brood(random: &mut Random) -> Outcome<HashMap<Pid, (Child, i32)>> {
    let mut children = HashMap::new();
    for _ in 0..random.within(1..=10) {
        let code = random.below(100) as i32;
        let work = random.below(3000);
        let naps = random.below(3);
        let child = process::fork(|| {
            for _ in 0..work {
                std::hint::spin_loop();
            }
            for _ in 0..naps {
                rustix::thread::sched_yield();
            }
            Ok(code)
        })?;
        ensure!(!children.contains_key(&child.pid()), "two living children have the same pid");
        children.insert(child.pid(), (child, code));
    }
    Ok(children)
}

/// Waits for whoever comes, with and without sleeping.
fn any(random: &mut Random) -> Outcome {
    let mut children = brood(random)?;
    while !children.is_empty() {
        let options = if random.once_in(2) { WaitOptions::NOHANG } else { WaitOptions::empty() };
        if let Some((pid, status)) = process::wait(None, options)? {
            take(&mut children, pid, status)?;
        }
    }
    ensure_eq!(process::wait(None, WaitOptions::empty()), Err(Errno::CHILD), "waiting without children");
    Ok(())
}

fn take(children: &mut HashMap<Pid, (Child, i32)>, pid: Pid, status: Status) -> Outcome {
    let Some((child, code)) = children.remove(&pid) else {
        return Err(Stop::fail(format!("{pid} was reaped: twice, or no child")));
    };
    child.forget();
    ensure_eq!(status, Status::Exited(code), "the status of {pid}");
    Ok(())
}

/// Two threads wait for the same children: each gets some, none both.
fn two_threads(random: &mut Random) -> Outcome {
    let children = brood(random)?;
    let count = children.len();
    let reaped = Arc::new(Mutex::new(Vec::new()));
    let reap = {
        let reaped = reaped.clone();
        move || loop {
            match process::wait(None, WaitOptions::empty()) {
                Ok(Some(found)) => {
                    if let Ok(mut reaped) = reaped.lock() {
                        reaped.push(found);
                    }
                }
                Ok(None) => return None,
                Err(errno) => return Some(errno),
            }
        }
    };
    let other = threads::start(reap.clone())?;
    ensure_eq!(reap(), Some(Errno::CHILD), "how waiting ended");
    let end = other.join().map_err(|_| Stop::fail("a thread panicked"))?;
    ensure_eq!(end, Some(Errno::CHILD), "how waiting ended in the other thread");
    let mut children = children;
    let reaped = reaped.lock().map_err(|_| Stop::fail("poisoned"))?;
    ensure_eq!(reaped.len(), count, "children reaped");
    reaped.iter().try_for_each(|(pid, status)| take(&mut children, *pid, *status))
}

/// A child that has ended can be signalled until it is reaped, and is gone afterwards.
fn zombies(random: &mut Random) -> Outcome {
    let mut children: Vec<(Child, i32)> = brood(random)?.into_values().collect();
    while !children.is_empty() {
        let (child, code) = children.swap_remove(random.below(children.len()));
        let pid = child.pid();
        rustix::process::test_kill_process(pid)?;
        ensure_eq!(child.wait()?, Status::Exited(code), "the status of {pid}");
        ensure_eq!(child.change(WaitOptions::empty()).is_err(), true, "reaping {pid} again");
        child.forget();
    }
    Ok(())
}
