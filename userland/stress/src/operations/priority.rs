//! Nice values and policies, while work goes on.

use rustix::process::{getpriority_process, setpriority_process};

use super::mark;
use crate::report::{Outcome, ensure_eq};
use crate::sys::memory::{Mapping, PAGE};
use crate::sys::process;
use crate::sys::time::{policy, set_policy};
use crate::worker::Context;

pub(crate) fn run(context: &mut Context<'_>) -> Outcome {
    let count = context.random.within(1..=4);
    let shared = Mapping::shared(PAGE)?;
    let mut children = Vec::new();
    for index in 0..count {
        let mut random = context.random.fork();
        let shared = &shared;
        children.push(process::spawn(move || {
            let mut nice = getpriority_process(None)?;
            for _ in 0..random.within(1..=20) {
                match random.below(4) {
                    // Upwards only: that needs no privilege.
                    0 if nice < 19 => {
                        nice = random.within((nice + 1) as usize..=19) as i32;
                        setpriority_process(None, nice)?;
                        ensure_eq!(getpriority_process(None)?, nice, "the nice value");
                    }
                    1 => {
                        let wanted = random.pick(&[libc::SCHED_OTHER, libc::SCHED_BATCH]);
                        set_policy(wanted, 0)?;
                        ensure_eq!(policy()?, wanted, "the policy");
                    }
                    2 => real_time(random.within(1..=5) as i32, random.below(20_000))?,
                    _ => rustix::thread::sched_yield(),
                }
                shared.word(index).fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
            Ok(())
        })?);
    }
    mark!(context);
    children.iter().try_for_each(process::Child::join)
}

/// A short turn under a real-time policy, where that is allowed.
fn real_time(priority: i32, work: usize) -> Outcome {
    let wanted = if priority % 2 == 0 { libc::SCHED_FIFO } else { libc::SCHED_RR };
    match set_policy(wanted, priority) {
        Err(rustix::io::Errno::PERM) => return Ok(()),
        answer => answer?,
    }
    ensure_eq!(policy()?, wanted, "the real-time policy");
    for _ in 0..work {
        std::hint::spin_loop();
    }
    set_policy(libc::SCHED_OTHER, 0)?;
    ensure_eq!(policy()?, libc::SCHED_OTHER, "the policy afterwards");
    Ok(())
}
