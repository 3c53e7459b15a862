//! Times, interval timers, policies: what rustix does not have.

use std::mem::zeroed;
use std::time::Duration;

use rustix::io::Errno;

use super::answer;

/// A duration as the kernel wants it.
pub(crate) fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec { tv_sec: duration.as_secs() as _, tv_nsec: i64::from(duration.subsec_nanos()) }
}

/// Sets the timer that sends SIGALRM: at first after `first`, then each `interval`; zero switches it off.
pub(crate) fn set_interval_timer(first: Duration, interval: Duration) -> Result<(), Errno> {
    let timeval = |duration: Duration| libc::timeval {
        tv_sec: duration.as_secs() as _,
        tv_usec: i64::from(duration.subsec_micros()),
    };
    let new = libc::itimerval { it_interval: timeval(interval), it_value: timeval(first) };
    // SAFETY: a live object.
    answer(unsafe { libc::setitimer(libc::ITIMER_REAL as _, &raw const new, std::ptr::null_mut()) }).map(drop)
}

/// Gives this thread a scheduling policy and its real-time priority (0 for the others).
pub(crate) fn set_policy(policy: i32, priority: i32) -> Result<(), Errno> {
    // SAFETY: all fields are numbers; the C libraries differ in how many there are.
    let mut parameters: libc::sched_param = unsafe { zeroed() };
    parameters.sched_priority = priority;
    // SAFETY: a live object. By number, since musl's function answers ENOSYS.
    let value = unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, policy, &raw const parameters) };
    answer(value as i32).map(drop)
}

/// The scheduling policy of this thread.
pub(crate) fn policy() -> Result<i32, Errno> {
    // SAFETY: takes a number.
    answer(unsafe { libc::syscall(libc::SYS_sched_getscheduler, 0) } as i32)
}
