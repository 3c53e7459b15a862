//! Scheduling: classes, priorities, nice values, CPUs. Source: sched(7), sched_setaffinity(2), getpriority(2).

use super::Call;
use crate::error::{Error, Result};
use crate::process::credentials::capability;
use crate::process::{Process, tree};
use crate::sched::{self, Thread};
use abi::errno::Errno;
use abi::resource::{PRIO_PGRP, PRIO_PROCESS, PRIO_USER, RLIMIT_NICE, RLIMIT_RTPRIO};
use abi::sched::{
    SCHED_BATCH, SCHED_FIFO, SCHED_IDLE, SCHED_NORMAL, SCHED_RESET_ON_FORK, SCHED_RR, SchedAttr, SchedFlags,
    SchedParam,
};
use abi::time::Timespec;
use alloc::sync::Arc;
use alloc::vec::Vec;
use runqueue::{Nice, Policy, ROUND_ROBIN_NS, RealTimePriority, SLICE_NS};
use zerocopy::{FromZeros, IntoBytes};

/// sched_yield(2).
pub(super) fn sched_yield(_call: &mut Call<'_>) -> Result<u64> {
    sched::yield_now();
    Ok(0)
}

/// The thread of an argument; 0 is the caller.
fn thread_of(call: &Call<'_>, index: usize) -> Result<Arc<Thread>> {
    match call.int(index) {
        0 => Ok(call.thread.clone()),
        tid if tid < 0 => Err(Errno::EINVAL.into()),
        tid => Ok(tree::find_thread(tid).ok_or(Errno::ESRCH)?),
    }
}

/// EPERM unless the caller may change the scheduling of a thread.
fn check_permission(call: &Call<'_>, thread: &Thread) -> Result<()> {
    let other = thread.process().ok_or(Errno::ESRCH)?.credentials();
    if call.process().credentials().may_adjust(&other) { Ok(()) } else { Err(Errno::EPERM.into()) }
}

/// The policy that a number and a priority ask for.
fn policy_of(number: u32, priority: i32, nice: Nice) -> Result<Policy> {
    let real_time = u32::try_from(priority).ok().and_then(RealTimePriority::new);
    match (number, real_time, priority) {
        (SCHED_FIFO, Some(priority), _) => Ok(Policy::Fifo(priority)),
        (SCHED_RR, Some(priority), _) => Ok(Policy::RoundRobin(priority)),
        (SCHED_NORMAL, _, 0) => Ok(Policy::Fair(nice)),
        (SCHED_BATCH, _, 0) => Ok(Policy::Batch(nice)),
        (SCHED_IDLE, _, 0) => Ok(Policy::Idle),
        _ => Err(Error::new(Errno::EINVAL, "real-time priorities are 1 to 99, others 0")),
    }
}

fn number_of(policy: Policy) -> u32 {
    match policy {
        Policy::Fair(_) => SCHED_NORMAL,
        Policy::Batch(_) => SCHED_BATCH,
        Policy::Idle => SCHED_IDLE,
        Policy::Fifo(_) => SCHED_FIFO,
        Policy::RoundRobin(_) => SCHED_RR,
    }
}

fn priority_of(policy: Policy) -> u32 {
    policy.real_time_priority().map_or(0, RealTimePriority::value)
}

/// What a program asks for: all of what decides how a thread is scheduled.
struct Wanted {
    policy: Policy,
    resets_on_fork: bool,
    /// Of fair policies: the length of a turn; `None`: the usual one.
    slice_ns: Option<u64>,
}

/// What a thread has.
fn present(thread: &Thread) -> Wanted {
    Wanted { policy: thread.policy(), resets_on_fork: thread.resets_on_fork(), slice_ns: thread.slice_ns() }
}

/// EPERM unless the caller may give the thread what it wants.
fn check_wish(call: &Call<'_>, thread: &Thread, wanted: &Wanted) -> Result<()> {
    check_permission(call, thread)?;
    if call.process().credentials().has(capability::SYS_NICE) {
        return Ok(());
    }
    let process = thread.process().ok_or(Errno::ESRCH)?;
    let (old, new) = (thread.policy(), wanted.policy);
    let limit = process.limits.current(RLIMIT_RTPRIO);
    let may_have_nice = |nice: Nice| {
        nice >= thread.nice() || (20 - nice.value()) as u64 <= process.limits.current(RLIMIT_NICE)
    };
    let is_allowed = match new {
        Policy::Fair(nice) | Policy::Batch(nice) => may_have_nice(nice),
        Policy::Idle => true,
        // Without a limit no new real-time policy; and never above both the limit and what it has.
        Policy::Fifo(_) | Policy::RoundRobin(_) => {
            (number_of(old) == number_of(new) || limit != 0)
                && (priority_of(new) <= priority_of(old) || u64::from(priority_of(new)) <= limit)
        }
    };
    // Out of SCHED_IDLE only who could have the nice value anyway; and what protects others from children stays.
    let stays_idle = old != Policy::Idle
        || new == Policy::Idle
        || (20 - thread.nice().value()) as u64 <= process.limits.current(RLIMIT_NICE);
    let keeps_reset = wanted.resets_on_fork || !thread.resets_on_fork();
    if is_allowed && stays_idle && keeps_reset { Ok(()) } else { Err(Errno::EPERM.into()) }
}

fn apply(call: &Call<'_>, thread: &Arc<Thread>, wanted: &Wanted) -> Result<u64> {
    check_wish(call, thread, wanted)?;
    if let Policy::Fair(nice) | Policy::Batch(nice) = wanted.policy {
        sched::set_nice(thread, nice);
    }
    sched::set_resets_on_fork(thread, wanted.resets_on_fork);
    sched::set_slice(thread, wanted.slice_ns);
    sched::set_policy(thread, wanted.policy);
    Ok(0)
}

/// sched_setscheduler(2): thread, policy, parameters.
pub(super) fn sched_setscheduler(call: &mut Call<'_>) -> Result<u64> {
    let thread = thread_of(call, 0)?;
    let parameters: SchedParam = call.read(2)?;
    let number = call.uint(1);
    let policy = policy_of(number & !SCHED_RESET_ON_FORK, parameters.priority, thread.nice())?;
    let resets_on_fork = number & SCHED_RESET_ON_FORK != 0;
    apply(call, &thread, &Wanted { policy, resets_on_fork, ..present(&thread) })
}

/// sched_getscheduler(2).
pub(super) fn sched_getscheduler(call: &mut Call<'_>) -> Result<u64> {
    let thread = thread_of(call, 0)?;
    let flag = if thread.resets_on_fork() { SCHED_RESET_ON_FORK } else { 0 };
    Ok(u64::from(number_of(thread.policy()) | flag))
}

/// sched_setparam(2): thread, parameters.
pub(super) fn sched_setparam(call: &mut Call<'_>) -> Result<u64> {
    let thread = thread_of(call, 0)?;
    let parameters: SchedParam = call.read(1)?;
    let policy = policy_of(number_of(thread.policy()), parameters.priority, thread.nice())?;
    apply(call, &thread, &Wanted { policy, ..present(&thread) })
}

/// sched_getparam(2): thread, where they go.
pub(super) fn sched_getparam(call: &mut Call<'_>) -> Result<u64> {
    let priority = priority_of(thread_of(call, 0)?.policy());
    call.write(1, &SchedParam { priority: priority as i32 })?;
    Ok(0)
}

/// sched_setattr(2): thread, attributes, flags.
pub(super) fn sched_setattr(call: &mut Call<'_>) -> Result<u64> {
    let thread = thread_of(call, 0)?;
    if call.uint(2) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let attributes = read_attributes(call)?;
    let flags = SchedFlags::from_bits(attributes.flags).ok_or(Errno::EINVAL)?;
    let (old, keeps) = (thread.policy(), |flag| flags.contains(flag));
    let number = if keeps(SchedFlags::SCHED_FLAG_KEEP_POLICY) { number_of(old) } else { attributes.policy };
    let resets_on_fork = keeps(SchedFlags::SCHED_FLAG_RESET_ON_FORK);
    if keeps(SchedFlags::SCHED_FLAG_KEEP_PARAMS) {
        let policy = policy_of(number, priority_of(old) as i32, thread.nice())?;
        return apply(call, &thread, &Wanted { policy, resets_on_fork, ..present(&thread) });
    }
    let priority = i32::try_from(attributes.priority).map_err(|_| Errno::EINVAL)?;
    let policy = policy_of(number, priority, Nice::clamped(attributes.nice))?;
    let slice_ns = Some(attributes.runtime).filter(|runtime| policy.is_fair() && *runtime != 0);
    apply(call, &thread, &Wanted { policy, resets_on_fork, slice_ns })
}

/// The attributes of `sched_setattr`, whose size the program says: what it knows and this kernel does not must be 0.
fn read_attributes(call: &mut Call<'_>) -> Result<SchedAttr> {
    let own = size_of::<SchedAttr>();
    let size: u32 = call.read(1)?;
    let size = if size == 0 { own } else { size as usize };
    if size < own || size > machine::addr::PAGE_SIZE {
        let told = SchedAttr { size: own as u32, ..call.read(1)? };
        call.write(1, &told)?;
        return Err(Errno::E2BIG.into());
    }
    let mut rest = alloc::vec![0; size - own];
    machine::mm::user::copy_from(&mut rest, call.arg(1).wrapping_add(own as u64))?;
    if rest.iter().any(|byte| *byte != 0) {
        return Err(Errno::E2BIG.into());
    }
    call.read(1)
}

/// sched_getattr(2): thread, where they go, room there, flags.
pub(super) fn sched_getattr(call: &mut Call<'_>) -> Result<u64> {
    let thread = thread_of(call, 0)?;
    let room = size_of::<SchedAttr>()..=machine::addr::PAGE_SIZE;
    if !room.contains(&call.size(2)) || call.uint(3) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let mut attributes = SchedAttr::new_zeroed();
    attributes.size = size_of::<SchedAttr>() as u32;
    attributes.policy = number_of(thread.policy());
    if thread.resets_on_fork() {
        attributes.flags = SchedFlags::SCHED_FLAG_RESET_ON_FORK.bits();
    }
    if thread.policy().is_fair() {
        attributes.nice = thread.nice().value();
        attributes.runtime = thread.slice_ns().unwrap_or(SLICE_NS);
    } else {
        attributes.priority = priority_of(thread.policy());
    }
    call.write(1, &attributes)?;
    Ok(0)
}

/// sched_get_priority_max(2).
pub(super) fn sched_get_priority_max(call: &mut Call<'_>) -> Result<u64> {
    match call.uint(0) {
        SCHED_FIFO | SCHED_RR => Ok(99),
        SCHED_NORMAL | SCHED_BATCH | SCHED_IDLE => Ok(0),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// sched_get_priority_min(2).
pub(super) fn sched_get_priority_min(call: &mut Call<'_>) -> Result<u64> {
    match call.uint(0) {
        SCHED_FIFO | SCHED_RR => Ok(1),
        SCHED_NORMAL | SCHED_BATCH | SCHED_IDLE => Ok(0),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// sched_rr_get_interval(2): thread, where it goes.
pub(super) fn sched_rr_get_interval(call: &mut Call<'_>) -> Result<u64> {
    let thread = thread_of(call, 0)?;
    let turn_ns = match thread.policy() {
        Policy::Fifo(_) => 0,
        Policy::RoundRobin(_) => ROUND_ROBIN_NS,
        _ => thread.slice_ns().unwrap_or(SLICE_NS),
    };
    call.write(1, &Timespec::from_nanos(turn_ns))?;
    Ok(0)
}

/// The CPUs there are, as bits.
fn existing_cpus() -> u64 {
    match machine::cpu::count() {
        count if count >= 64 => u64::MAX,
        count => (1 << count) - 1,
    }
}

/// sched_setaffinity(2): thread, bytes of the set, set.
pub(super) fn sched_setaffinity(call: &mut Call<'_>) -> Result<u64> {
    let thread = thread_of(call, 0)?;
    let mut set = 0u64;
    let length = call.size(1).min(size_of::<u64>());
    machine::mm::user::copy_from(&mut set.as_mut_bytes()[..length], call.arg(2))?;
    check_permission(call, &thread)?;
    if set & existing_cpus() == 0 {
        return Err(Errno::EINVAL.into());
    }
    sched::set_affinity(&thread, set);
    Ok(0)
}

/// sched_getaffinity(2): thread, bytes of the set, where it goes; answers the bytes written.
pub(super) fn sched_getaffinity(call: &mut Call<'_>) -> Result<u64> {
    let length = call.size(1);
    if length < size_of::<u64>() || !length.is_multiple_of(size_of::<u64>()) {
        return Err(Errno::EINVAL.into());
    }
    let thread = thread_of(call, 0)?;
    call.write(2, &(thread.affinity() & existing_cpus()))?;
    Ok(size_of::<u64>() as u64)
}

/// getcpu(2): where the CPU goes, where the node goes.
pub(super) fn getcpu(call: &mut Call<'_>) -> Result<u64> {
    call.write_optional(0, &(call.thread.cpu() as u32))?;
    call.write_optional(1, &0u32)?;
    Ok(0)
}

/// The threads that getpriority and setpriority mean.
fn threads_of(call: &Call<'_>) -> Result<Vec<Arc<Thread>>> {
    let who = call.int(1);
    let all_threads =
        |processes: Vec<Arc<Process>>| processes.iter().flat_map(|process| process.threads()).collect();
    match call.int(0) {
        PRIO_PROCESS if who == 0 => Ok(alloc::vec![call.thread.clone()]),
        PRIO_PROCESS => Ok(tree::find_thread(who).into_iter().collect()),
        PRIO_PGRP => {
            let group = if who == 0 { call.process().group_id() } else { who };
            Ok(all_threads(tree::group_members(group)))
        }
        PRIO_USER => {
            let uid = if who == 0 { call.process().credentials().uid } else { who as u32 };
            let of_user = tree::all().into_iter().filter(|process| process.credentials().uid == uid);
            Ok(all_threads(of_user.collect()))
        }
        _ => Err(Errno::EINVAL.into()),
    }
}

/// getpriority(2): kind, whose; answers 20 minus the nice value.
pub(super) fn getpriority(call: &mut Call<'_>) -> Result<u64> {
    let nice = threads_of(call)?.iter().map(|thread| thread.nice()).min().ok_or(Errno::ESRCH)?;
    Ok((20 - nice.value()) as u64)
}

/// setpriority(2): kind, whose, nice value.
pub(super) fn setpriority(call: &mut Call<'_>) -> Result<u64> {
    let threads = threads_of(call)?;
    if threads.is_empty() {
        return Err(Errno::ESRCH.into());
    }
    for thread in threads {
        set_nice(call, &thread, call.int(2))?;
    }
    Ok(0)
}

fn set_nice(call: &Call<'_>, thread: &Arc<Thread>, nice: i32) -> Result<()> {
    let nice = Nice::clamped(nice);
    check_permission(call, thread)?;
    let process = thread.process().ok_or(Errno::ESRCH)?;
    let is_lower = nice < thread.nice();
    let within_limit = (20 - nice.value()) as u64 <= process.limits.current(RLIMIT_NICE);
    if is_lower && !within_limit && !call.process().credentials().has(capability::SYS_NICE) {
        return Err(Errno::EACCES.into());
    }
    sched::set_nice(thread, nice);
    Ok(())
}
