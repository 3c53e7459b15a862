//! From CPU to CPU: the system puts the process where it is told, and arithmetic does not suffer.

use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

use super::mark;
use crate::report::{Outcome, ensure, ensure_eq};
use crate::sys::process;
use crate::worker::Context;

pub(crate) fn run(context: &mut Context<'_>) -> Outcome {
    let allowed = sched_getaffinity(None)?;
    let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
    ensure_eq!(cpus.len() as u32, allowed.count());
    mark!(context);
    let outcome = wander(context, &cpus);
    sched_setaffinity(None, &allowed)?;
    outcome?;
    mark!(context);
    move_child(context, &cpus)
}

fn only(cpu: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(cpu);
    set
}

/// Moves on between the parts of a sum, which must come out to the last bit.
fn wander(context: &mut Context<'_>, cpus: &[usize]) -> Outcome {
    let start = context.random.below(1000) as f64;
    let parts = context.random.within(1..=20);
    let mut sum = start;
    for part in 0..parts {
        let cpu = context.random.pick(cpus);
        sched_setaffinity(None, &only(cpu))?;
        ensure_eq!(sched_getcpu(), cpu, "the CPU after moving");
        sum = add(sum, part);
        ensure_eq!(sched_getcpu(), cpu, "the CPU after some work");
    }
    let expected = (0..parts).fold(start, add);
    ensure!(sum.to_bits() == expected.to_bits(), "the sum is {sum}, expected {expected}");
    Ok(())
}

/// A sum that depends on each of its roundings.
fn add(sum: f64, part: usize) -> f64 {
    (1..300).fold(sum, |sum, index| std::hint::black_box(sum * 1.000_001 + (part + index) as f64 / 3.0))
}

/// Moves a child around while it works.
fn move_child(context: &mut Context<'_>, cpus: &[usize]) -> Outcome {
    let (reader, writer) = rustix::pipe::pipe()?;
    let child = process::spawn_without(&[&writer], || {
        let mut sums = Vec::new();
        rustix::io::ioctl_fionbio(&reader, true)?;
        while rustix::io::read(&reader, &mut [0]) == Err(rustix::io::Errno::AGAIN) {
            sums.push((0..8).fold(1.0, add));
            ensure!(sums.iter().all(|sum| *sum == sums[0]), "sums differ: {sums:?}");
            sums.truncate(1);
        }
        Ok(())
    })?;
    for _ in 0..context.random.within(1..=12) {
        let cpu = context.random.pick(cpus);
        match sched_setaffinity(Some(child.pid()), &only(cpu)) {
            Ok(()) => {}
            Err(errno) => {
                child.join()?;
                return Err(errno.into());
            }
        }
        rustix::thread::sched_yield();
    }
    drop(writer);
    child.join()
}
