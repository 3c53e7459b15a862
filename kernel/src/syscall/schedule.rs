//! Scheduling: classes, priorities, nice values, CPUs. Source: sched(7), sched_setaffinity(2), getpriority(2).

use super::Call;
use crate::error::{Error, Result};
use crate::process::credentials::capability;
use crate::process::{Process, tree};
use crate::sched::policy::{Class, ROUND_ROBIN_NS};
use crate::sched::{self, Thread};
use abi::errno::Errno;
use abi::resource::{PRIO_PGRP, PRIO_PROCESS, PRIO_USER, RLIMIT_NICE, RLIMIT_RTPRIO};
use abi::sched::{
    SCHED_BATCH, SCHED_FIFO, SCHED_IDLE, SCHED_NORMAL, SCHED_RESET_ON_FORK, SCHED_RR, SchedAttr, SchedParam,
};
use abi::time::Timespec;
use alloc::sync::Arc;
use alloc::vec::Vec;
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

fn class_of(policy: u32) -> Result<Class> {
    match policy & !SCHED_RESET_ON_FORK {
        SCHED_NORMAL => Ok(Class::Fair),
        SCHED_BATCH => Ok(Class::Batch),
        SCHED_IDLE => Ok(Class::Idle),
        SCHED_FIFO => Ok(Class::Fifo),
        SCHED_RR => Ok(Class::RoundRobin),
        _ => Err(Errno::EINVAL.into()),
    }
}

fn number_of(class: Class) -> u32 {
    match class {
        Class::Fair => SCHED_NORMAL,
        Class::Batch => SCHED_BATCH,
        Class::Idle => SCHED_IDLE,
        Class::Fifo => SCHED_FIFO,
        Class::RoundRobin => SCHED_RR,
    }
}

fn is_real_time(class: Class) -> bool {
    matches!(class, Class::Fifo | Class::RoundRobin)
}

fn set_class(call: &Call<'_>, thread: &Arc<Thread>, class: Class, priority: i32) -> Result<u64> {
    let is_valid = if is_real_time(class) { (1..=99).contains(&priority) } else { priority == 0 };
    if !is_valid {
        return Err(Error::new(Errno::EINVAL, "real-time priorities are 1 to 99, others 0"));
    }
    check_permission(call, thread)?;
    let process = thread.process().ok_or(Errno::ESRCH)?;
    let is_privileged = call.process().credentials().has(capability::SYS_NICE);
    if is_real_time(class) && !is_privileged && priority as u64 > process.limits.current(RLIMIT_RTPRIO) {
        return Err(Errno::EPERM.into());
    }
    thread.policy().set_class(class, priority as u8);
    sched::reconsider(thread);
    Ok(0)
}

/// sched_setscheduler(2): thread, policy, parameters.
pub(super) fn sched_setscheduler(call: &mut Call<'_>) -> Result<u64> {
    let thread = thread_of(call, 0)?;
    let parameters: SchedParam = call.read(2)?;
    set_class(call, &thread, class_of(call.uint(1))?, parameters.priority)
}

/// sched_getscheduler(2).
pub(super) fn sched_getscheduler(call: &mut Call<'_>) -> Result<u64> {
    Ok(u64::from(number_of(thread_of(call, 0)?.policy().class())))
}

/// sched_setparam(2): thread, parameters.
pub(super) fn sched_setparam(call: &mut Call<'_>) -> Result<u64> {
    let thread = thread_of(call, 0)?;
    let parameters: SchedParam = call.read(1)?;
    let class = thread.policy().class();
    set_class(call, &thread, class, parameters.priority)
}

/// sched_getparam(2): thread, where they go.
pub(super) fn sched_getparam(call: &mut Call<'_>) -> Result<u64> {
    let priority = i32::from(thread_of(call, 0)?.policy().priority());
    call.write(1, &SchedParam { priority })?;
    Ok(0)
}

/// sched_setattr(2): thread, attributes, flags.
pub(super) fn sched_setattr(call: &mut Call<'_>) -> Result<u64> {
    let thread = thread_of(call, 0)?;
    let size: u32 = call.read(1)?;
    let size = if size == 0 { size_of::<SchedAttr>() } else { size as usize };
    if size < size_of::<SchedAttr>() || size > machine::addr::PAGE_SIZE || call.uint(2) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let attributes: SchedAttr = call.read(1)?;
    let class = class_of(attributes.policy)?;
    let priority = i32::try_from(attributes.priority).map_err(|_| Errno::EINVAL)?;
    if !is_real_time(class) {
        set_nice(call, &thread, attributes.nice)?;
    }
    set_class(call, &thread, class, priority)
}

/// sched_getattr(2): thread, where they go, room there, flags.
pub(super) fn sched_getattr(call: &mut Call<'_>) -> Result<u64> {
    let thread = thread_of(call, 0)?;
    if call.size(2) < size_of::<SchedAttr>() || call.uint(3) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let mut attributes = SchedAttr::new_zeroed();
    attributes.size = size_of::<SchedAttr>() as u32;
    attributes.policy = number_of(thread.policy().class());
    attributes.nice = i32::from(thread.policy().nice());
    attributes.priority = u32::from(thread.policy().priority());
    call.write(1, &attributes)?;
    Ok(0)
}

/// sched_get_priority_max(2).
pub(super) fn sched_get_priority_max(call: &mut Call<'_>) -> Result<u64> {
    Ok(if is_real_time(class_of(call.uint(0))?) { 99 } else { 0 })
}

/// sched_get_priority_min(2).
pub(super) fn sched_get_priority_min(call: &mut Call<'_>) -> Result<u64> {
    Ok(u64::from(is_real_time(class_of(call.uint(0))?)))
}

/// sched_rr_get_interval(2): thread, where it goes.
pub(super) fn sched_rr_get_interval(call: &mut Call<'_>) -> Result<u64> {
    let thread = thread_of(call, 0)?;
    let turn_ns = match thread.policy().class() {
        Class::Fifo => 0,
        Class::RoundRobin => ROUND_ROBIN_NS,
        _ => thread.policy().turn_ns(1).unwrap_or(0),
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
    thread.policy().set_affinity(set);
    sched::reconsider(&thread);
    Ok(0)
}

/// sched_getaffinity(2): thread, bytes of the set, where it goes; answers the bytes written.
pub(super) fn sched_getaffinity(call: &mut Call<'_>) -> Result<u64> {
    let length = call.size(1);
    if length < size_of::<u64>() || length % size_of::<u64>() != 0 {
        return Err(Errno::EINVAL.into());
    }
    let thread = thread_of(call, 0)?;
    call.write(2, &(thread.policy().affinity() & existing_cpus()))?;
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
    let nice = threads_of(call)?.iter().map(|thread| thread.policy().nice()).min().ok_or(Errno::ESRCH)?;
    Ok((20 - i64::from(nice)) as u64)
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
    let nice = nice.clamp(-20, 19);
    check_permission(call, thread)?;
    let process = thread.process().ok_or(Errno::ESRCH)?;
    let is_lower = nice < i32::from(thread.policy().nice());
    let within_limit = (20 - nice) as u64 <= process.limits.current(RLIMIT_NICE);
    if is_lower && !within_limit && !call.process().credentials().has(capability::SYS_NICE) {
        return Err(Errno::EACCES.into());
    }
    thread.policy().set_nice(nice);
    sched::reconsider(thread);
    Ok(())
}
