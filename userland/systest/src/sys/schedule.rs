//! Scheduling: policies, CPUs, and what processes have used.

use std::fs::read_to_string;
use std::hint::black_box;
use std::time::Duration;

use super::{Result, call};

/// `struct sched_attr`, first version.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Attributes {
    pub(crate) size: u32,
    pub(crate) policy: u32,
    pub(crate) flags: u64,
    pub(crate) nice: i32,
    pub(crate) priority: u32,
    pub(crate) runtime: u64,
    pub(crate) deadline: u64,
    pub(crate) period: u64,
}

/// The size of [`Attributes`].
pub(crate) const ATTRIBUTES_SIZE: u32 = 48;

pub(crate) fn set_attributes(pid: i32, attributes: &Attributes) -> Result<()> {
    call!(SYS_sched_setattr, pid, std::ptr::from_ref(attributes), 0).map(drop)
}

pub(crate) fn attributes(pid: i32) -> Result<Attributes> {
    let mut attributes = Attributes::default();
    call!(SYS_sched_getattr, pid, &raw mut attributes, ATTRIBUTES_SIZE, 0)?;
    Ok(attributes)
}

/// Policy (`SCHED_*`) and real-time priority.
pub(crate) fn set_scheduler(pid: i32, policy: i32, priority: i32) -> Result<()> {
    call!(SYS_sched_setscheduler, pid, policy, &raw const priority).map(drop)
}

pub(crate) fn scheduler(pid: i32) -> Result<(i32, i32)> {
    let policy = call!(SYS_sched_getscheduler, pid)?;
    let mut priority = 0_i32;
    call!(SYS_sched_getparam, pid, &raw mut priority)?;
    Ok((policy as i32, priority))
}

/// The length of a turn.
pub(crate) fn turn(pid: i32) -> Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    call!(SYS_sched_rr_get_interval, pid, &raw mut time)?;
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// Least and greatest priority of a policy.
pub(crate) fn priorities(policy: i32) -> Result<(usize, usize)> {
    Ok((call!(SYS_sched_get_priority_min, policy)?, call!(SYS_sched_get_priority_max, policy)?))
}

/// Bit n of `mask` stands for CPU n.
pub(crate) fn set_affinity(pid: i32, mask: u64) -> Result<()> {
    call!(SYS_sched_setaffinity, pid, size_of_val(&mask), &raw const mask).map(drop)
}

/// The CPU that runs this.
pub(crate) fn current_cpu() -> Result<usize> {
    let mut cpu = 0_u32;
    call!(SYS_getcpu, &raw mut cpu, 0, 0)?;
    Ok(cpu as usize)
}

/// The CPU that runs another process, or did so last.
pub(crate) fn cpu_of(pid: i32) -> Option<usize> {
    let stat = read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(36)?.parse().ok()
}

/// What a process has used up to now: nanoseconds on a CPU, nanoseconds of waiting for one, turns.
pub(crate) fn statistics(pid: i32) -> Option<[u64; 3]> {
    let text = read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    let mut words = text.split_whitespace().map(|word| word.parse().ok());
    Some([words.next()??, words.next()??, words.next()??])
}

/// Keeps a CPU busy until somebody ends the process.
pub(crate) fn work_for_ever() -> ! {
    loop {
        black_box((0..1_000_u64).sum::<u64>());
    }
}
