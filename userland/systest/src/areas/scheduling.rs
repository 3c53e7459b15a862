//! Scheduling: shares of a CPU, priorities, CPUs to run on, and what is told about it. Shares are those of time that was
//! used, so a slow machine makes these tests longer and not fail.

use std::fs::read_to_string;
use std::time::Duration;

use crate::report::{Outcome, Stop, ensure, ensure_eq, ensure_errno, or_skip, skip, tests};
use crate::sys::process::{self, Child, Status, fork};
use crate::sys::schedule::{
    self, ATTRIBUTES_SIZE, Attributes, cpu_of, current_cpu, scheduler, set_affinity, set_attributes,
    set_scheduler, statistics, work_for_ever,
};
use crate::sys::time::{clock, nanosleep};
use crate::sys::{Errno, probe, signals};

tests! {
    policies_are_kept_and_checked,
    attributes_are_kept_and_checked,
    reset_on_fork_protects_from_children,
    turns_have_lengths,
    nice_values_divide_a_cpu,
    idle_policy_leaves_the_cpu_to_others,
    real_time_runs_before_all_others,
    affinity_is_obeyed,
    affinity_of_others_is_obeyed_at_once,
    busy_processes_spread_over_the_cpus,
    switches_are_counted,
    waiting_for_a_cpu_is_counted,
    times_of_the_cpus_add_up,
}

const MILLISECOND: u64 = 1_000_000;

/// A process that never waits, on one CPU.
fn hog(cpu: usize) -> Outcome<Child> {
    let child = fork(|| work_for_ever())?;
    set_affinity(child.pid(), 1 << cpu)?;
    Ok(child)
}

/// Nanoseconds that a process has used.
fn used(child: &Child) -> Outcome<u64> {
    match statistics(child.pid()) {
        Some([used, ..]) => Ok(used),
        None => Err(Stop::Skip("there is no /proc/PID/schedstat".into())),
    }
}

/// Waits until processes have used so much more together; what each has used of that.
fn run(children: &[&Child], together_ns: u64) -> Outcome<Vec<u64>> {
    let all = || children.iter().map(|child| used(child)).collect::<Outcome<Vec<u64>>>();
    let before = all()?;
    loop {
        nanosleep(Duration::from_millis(5))?;
        let since: Vec<u64> = all()?.iter().zip(&before).map(|(after, before)| after - before).collect();
        if since.iter().sum::<u64>() >= together_ns {
            return Ok(since);
        }
    }
}

/// Lets processes run on until what each has used is as it should be. An error comes to nothing in time if it is the
/// machine's (a CPU that was away for a while), and stays if it is the scheduler's.
fn run_until(children: &[&Child], together_ns: u64, is_right: impl Fn(&[u64]) -> bool) -> Outcome {
    let mut used = run(children, together_ns)?;
    for _ in 0..10 {
        if is_right(&used) {
            return Ok(());
        }
        for (sum, more) in used.iter_mut().zip(run(children, together_ns)?) {
            *sum += more;
        }
    }
    ensure!(is_right(&used), "{used:?} ns were used");
    Ok(())
}

/// The last CPU; this process itself goes to another one if there is one.
fn last_cpu() -> Outcome<usize> {
    let cpus = process::affinity()?;
    let last = cpus[cpus.len() - 1];
    if cpus.len() > 1 {
        set_affinity(0, 1 << cpus[0])?;
    }
    Ok(last)
}

fn policies_are_kept_and_checked() -> Outcome {
    ensure_eq!(scheduler(0)?, (libc::SCHED_OTHER, 0));
    for policy in [libc::SCHED_BATCH, libc::SCHED_IDLE, libc::SCHED_OTHER] {
        // To leave SCHED_IDLE again is a privilege.
        or_skip!(set_scheduler(0, policy, 0), EPERM);
        ensure_eq!(scheduler(0)?, (policy, 0));
        ensure_errno!(set_scheduler(0, policy, 1), EINVAL);
    }
    for policy in [libc::SCHED_FIFO, libc::SCHED_RR] {
        ensure_eq!(schedule::priorities(policy)?, (1, 99));
        ensure_errno!(set_scheduler(0, policy, 0), EINVAL);
        ensure_errno!(set_scheduler(0, policy, 100), EINVAL);
        or_skip!(set_scheduler(0, policy, 7), EPERM);
        ensure_eq!(scheduler(0)?, (policy, 7));
    }
    set_scheduler(0, libc::SCHED_OTHER, 0)?;
    ensure_eq!(schedule::priorities(libc::SCHED_OTHER)?, (0, 0));
    ensure_errno!(schedule::priorities(99), EINVAL);
    ensure_errno!(set_scheduler(0, 99, 0), EINVAL);
    ensure_errno!(set_scheduler(0x3fff_fffe, libc::SCHED_OTHER, 0), ESRCH);
    ensure_errno!(set_scheduler(-1, libc::SCHED_OTHER, 0), EINVAL);
    ensure_errno!(scheduler(0x3fff_fffe), ESRCH);
    Ok(())
}

fn attributes_are_kept_and_checked() -> Outcome {
    let nice = |nice| Attributes { size: ATTRIBUTES_SIZE, nice, ..Attributes::default() };
    set_attributes(0, &nice(7))?;
    let told = schedule::attributes(0)?;
    ensure_eq!((told.policy, told.nice, told.priority, told.flags), (0, 7, 0, 0));
    ensure_eq!(process::getpriority(libc::PRIO_PROCESS as u32, 0)?, 13);
    set_attributes(0, &nice(100))?;
    ensure_eq!(schedule::attributes(0)?.nice, 19);
    ensure_errno!(set_attributes(0, &Attributes { size: 40, ..nice(19) }), E2BIG);
    ensure_errno!(set_attributes(0, &Attributes { flags: 1 << 40, ..nice(19) }), EINVAL);
    ensure_errno!(set_attributes(0, &Attributes { policy: 99, ..nice(19) }), EINVAL);
    ensure_errno!(set_attributes(0, &Attributes { policy: 1, ..nice(0) }), EINVAL);
    ensure_errno!(probe(libc::SYS_sched_getattr, &[0, 0, 47, 0]), EINVAL);
    let urgent = Attributes { policy: libc::SCHED_RR as u32, priority: 33, ..nice(0) };
    or_skip!(set_attributes(0, &urgent), EPERM);
    let told = schedule::attributes(0)?;
    ensure_eq!((told.policy, told.priority), (libc::SCHED_RR as u32, 33));
    Ok(())
}

fn reset_on_fork_protects_from_children() -> Outcome {
    const RESET_ON_FORK: i32 = 0x4000_0000;
    or_skip!(set_scheduler(0, libc::SCHED_FIFO | RESET_ON_FORK, 5), EPERM);
    ensure_eq!(scheduler(0)?, (libc::SCHED_FIFO | RESET_ON_FORK, 5));
    let child = fork(|| i32::from(scheduler(0) != Ok((libc::SCHED_OTHER, 0))))?;
    ensure_eq!(child.wait()?, process::Status::Exited(0));
    set_scheduler(0, libc::SCHED_FIFO, 5)?;
    let child = fork(|| i32::from(scheduler(0) != Ok((libc::SCHED_FIFO, 5))))?;
    ensure_eq!(child.wait()?, process::Status::Exited(0));
    Ok(())
}

fn turns_have_lengths() -> Outcome {
    // Less than a tick may be told as nothing.
    let usual = schedule::turn(0)?;
    ensure!(usual <= Duration::from_millis(100), "{usual:?}");
    or_skip!(set_scheduler(0, libc::SCHED_RR, 1), EPERM);
    ensure!(schedule::turn(0)? >= Duration::from_millis(10));
    set_scheduler(0, libc::SCHED_FIFO, 1)?;
    ensure_eq!(schedule::turn(0)?, Duration::ZERO);
    ensure_errno!(schedule::turn(0x3fff_fffe), ESRCH);
    Ok(())
}

fn nice_values_divide_a_cpu() -> Outcome {
    let cpu = last_cpu()?;
    for (nice, expected) in [(0, 1.0), (5, 1024.0 / 335.0)] {
        let (one, other) = (hog(cpu)?, hog(cpu)?);
        process::setpriority(libc::PRIO_PROCESS as u32, other.pid(), nice)?;
        run(&[&one, &other], 50 * MILLISECOND)?;
        run_until(&[&one, &other], 900 * MILLISECOND, |used| {
            (0.8..1.25).contains(&(used[0] as f64 / used[1] as f64 / expected))
        })?;
    }
    Ok(())
}

fn idle_policy_leaves_the_cpu_to_others() -> Outcome {
    let cpu = last_cpu()?;
    let (one, other) = (hog(cpu)?, hog(cpu)?);
    set_scheduler(other.pid(), libc::SCHED_IDLE, 0)?;
    run_until(&[&one, &other], 500 * MILLISECOND, |used| used[1] * 20 < used[0])
}

fn real_time_runs_before_all_others() -> Outcome {
    let cpu = last_cpu()?;
    let fair = hog(cpu)?;
    let urgent = hog(cpu)?;
    // This process measures, and goes first before there is who leaves it nothing: on one CPU it would get next to
    // nothing beside the two.
    or_skip!(set_scheduler(0, libc::SCHED_FIFO, 2), EPERM);
    process::setpriority(libc::PRIO_PROCESS as u32, fair.pid(), -20).or_else(|errno| match errno {
        Errno(libc::EACCES) => Ok(0),
        errno => Err(errno),
    })?;
    or_skip!(set_scheduler(urgent.pid(), libc::SCHED_FIFO, 1), EPERM);
    run(&[&urgent], 10 * MILLISECOND)?;
    // The system may keep one part in twenty for others, and give it in one piece.
    run_until(&[&urgent, &fair], 400 * MILLISECOND, |used| used[1] * 10 <= used[0])
}

fn affinity_is_obeyed() -> Outcome {
    let cpus = process::affinity()?;
    for _ in 0..10 {
        for &cpu in &cpus {
            set_affinity(0, 1 << cpu)?;
            ensure_eq!(current_cpu()?, cpu);
            ensure_eq!(process::affinity()?, [cpu]);
            nanosleep(Duration::from_micros(100))?;
            ensure_eq!(current_cpu()?, cpu, "after sleeping");
        }
    }
    ensure_errno!(set_affinity(0, 0), EINVAL);
    ensure_errno!(set_affinity(0x3fff_fffe, 1), ESRCH);
    ensure_errno!(probe(libc::SYS_sched_setaffinity, &[0, 8, 0]), EFAULT);
    Ok(())
}

fn affinity_of_others_is_obeyed_at_once() -> Outcome {
    let cpus = process::affinity()?;
    let child = hog(cpus[0])?;
    for round in 0..20 {
        let cpu = cpus[round % cpus.len()];
        set_affinity(child.pid(), 1 << cpu)?;
        ensure_eq!(cpu_of(child.pid()), Some(cpu), "round {round}");
    }
    Ok(())
}

fn busy_processes_spread_over_the_cpus() -> Outcome {
    let cpus = process::affinity()?;
    if cpus.len() < 2 {
        skip!("there is one CPU");
    }
    // All on one; then they may go.
    let children = cpus.iter().map(|_| hog(cpus[0])).collect::<Outcome<Vec<_>>>()?;
    let all: Vec<&Child> = children.iter().collect();
    run(&all, 20 * MILLISECOND)?;
    let mask = cpus.iter().fold(0, |mask, cpu| mask | 1 << cpu);
    for child in &children {
        set_affinity(child.pid(), mask)?;
    }
    run(&all, 50 * MILLISECOND * cpus.len() as u64)?;
    let used = run(&all, 300 * MILLISECOND * cpus.len() as u64)?;
    let (least, most) = (used.iter().min().copied().unwrap_or(0), used.iter().max().copied().unwrap_or(0));
    ensure!(least * 10 >= most * 7, "{used:?}");
    Ok(())
}

fn switches_are_counted() -> Outcome {
    let before = process::getrusage(libc::RUSAGE_SELF)?;
    for _ in 0..20 {
        // Long enough that it is not over before it has begun on a machine that was away for a moment.
        nanosleep(Duration::from_millis(5))?;
    }
    let after = process::getrusage(libc::RUSAGE_SELF)?;
    let voluntary = after.ru_nvcsw - before.ru_nvcsw;
    ensure!((10..100).contains(&voluntary), "{voluntary} voluntary switches in 20 naps");
    let cpu = last_cpu()?;
    let (one, other) = (hog(cpu)?, hog(cpu)?);
    run_until(&[&one, &other], 200 * MILLISECOND, |_| {
        let status = read_to_string(format!("/proc/{}/status", one.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"));
        let involuntary: u64 = line.and_then(|number| number.trim().parse().ok()).unwrap_or(0);
        involuntary >= 5
    })
}

fn waiting_for_a_cpu_is_counted() -> Outcome {
    let cpu = last_cpu()?;
    let (one, other) = (hog(cpu)?, hog(cpu)?);
    let of = |child: &Child| {
        statistics(child.pid()).ok_or_else(|| Stop::Skip("there is no /proc/PID/schedstat".into()))
    };
    run(&[&one, &other], 20 * MILLISECOND)?;
    // In this order: what the other uses between the two is waited for, too.
    let [_, waited_before, turns_before] = of(&one)?;
    let [used_before, ..] = of(&other)?;
    run(&[&one, &other], 300 * MILLISECOND)?;
    signals::kill(other.pid(), libc::SIGSTOP)?;
    ensure_eq!(other.wait_for(libc::WUNTRACED)?, Status::Stopped(libc::SIGSTOP));
    // It has the CPU for itself then, so that the end of its waiting is counted.
    run(&[&one], 10 * MILLISECOND)?;
    let [_, waited, turns] = of(&one)?;
    let [used, ..] = of(&other)?;
    let (waited, used) = (waited - waited_before, used - used_before);
    // Whatever the machine is up to, one of them waits while the other runs.
    ensure!(waited * 10 >= used * 9, "one waited {waited} ns while the other used {used} ns");
    ensure!(turns > turns_before, "no turn in {waited} ns");
    Ok(())
}

/// User, nice, system and idle time of each CPU, in ticks.
fn cpu_times() -> Outcome<Vec<[u64; 4]>> {
    let text = read_to_string("/proc/stat")?;
    let lines = text.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "));
    Ok(lines
        .map(|line| {
            let mut numbers = line.split_whitespace().skip(1).map(|word| word.parse().unwrap_or(0));
            [(); 4].map(|()| numbers.next().unwrap_or(0))
        })
        .collect())
}

fn times_of_the_cpus_add_up() -> Outcome {
    const TICK: u64 = 10 * MILLISECOND;
    let cpu = last_cpu()?;
    // The clock is read before and after the times: a machine may be away between the two.
    let now = || clock(libc::CLOCK_MONOTONIC);
    let (earliest, idle, latest) = (now()?, cpu_times()?, now()?);
    let child = hog(cpu)?;
    run(&[&child], 300 * MILLISECOND)?;
    let (ended, busy, closed) = (now()?, cpu_times()?, now()?);
    let least = (ended - latest).as_nanos() as u64 / TICK;
    let most = (closed - earliest).as_nanos() as u64 / TICK;
    let since = |cpu: usize, mode: usize| busy[cpu][mode].saturating_sub(idle[cpu][mode]);
    ensure!(since(cpu, 0) >= 25, "CPU {cpu} shows {} ticks of user time of 30", since(cpu, 0));
    for cpu in 0..busy.len() {
        let sum: u64 = (0..4).map(|mode| since(cpu, mode)).sum();
        // Other things that a CPU does are counted in other columns on some systems.
        let is_right = sum <= most + 5 && sum + least / 5 + 5 >= least;
        ensure!(is_right, "CPU {cpu}: {sum} of {least} to {most} ticks");
    }
    Ok(())
}
