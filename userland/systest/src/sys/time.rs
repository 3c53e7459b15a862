//! Clocks, sleeping, timers, and waiting for descriptors.

use std::time::Duration;

use super::{Result, call};

pub(crate) fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec { tv_sec: duration.as_secs() as i64, tv_nsec: i64::from(duration.subsec_nanos()) }
}

fn timeval(duration: Duration) -> libc::timeval {
    libc::timeval { tv_sec: duration.as_secs() as i64, tv_usec: i64::from(duration.subsec_micros()) }
}

fn duration(time: libc::timespec) -> Duration {
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

pub(crate) fn clock(which: i32) -> Result<Duration> {
    let mut time = timespec(Duration::ZERO);
    call!(SYS_clock_gettime, which, &raw mut time)?;
    Ok(duration(time))
}

pub(crate) fn clock_resolution(which: i32) -> Result<Duration> {
    let mut time = timespec(Duration::ZERO);
    call!(SYS_clock_getres, which, &raw mut time)?;
    Ok(duration(time))
}

/// The monotonic clock, through the C library (and so the vDSO, where there is one).
pub(crate) fn library_clock(which: i32) -> Result<Duration> {
    let mut time = timespec(Duration::ZERO);
    // SAFETY: the address is of a live object.
    match unsafe { libc::clock_gettime(which, &raw mut time) } {
        0 => Ok(duration(time)),
        _ => Err(super::process::last_errno()),
    }
}

pub(crate) fn gettimeofday() -> Result<Duration> {
    let mut time = timeval(Duration::ZERO);
    call!(SYS_gettimeofday, &raw mut time, 0)?;
    Ok(Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000))
}

/// Seconds since 1970 by the oldest call.
pub(crate) fn time() -> Result<u64> {
    call!(SYS_time, 0).map(|seconds| seconds as u64)
}

pub(crate) fn nanosleep(wish: Duration) -> Result<()> {
    nanosleep_raw(timespec(wish)).0
}

/// With any numbers; and what was left of an interrupted sleep.
pub(crate) fn nanosleep_raw(wish: libc::timespec) -> (Result<()>, Duration) {
    let mut left = timespec(Duration::ZERO);
    let answer = call!(SYS_nanosleep, &raw const wish, &raw mut left).map(drop);
    (answer, duration(left))
}

/// Sleeps until a clock shows this time.
pub(crate) fn sleep_until(clock: i32, time: Duration) -> Result<()> {
    let time = timespec(time);
    call!(SYS_clock_nanosleep, clock, libc::TIMER_ABSTIME, &raw const time, 0).map(drop)
}

/// Keeps the processor busy.
pub(crate) fn work_for(length: Duration) {
    let start = std::time::Instant::now();
    while start.elapsed() < length {
        std::hint::black_box((0..1000_u64).sum::<u64>());
    }
}

/// A descriptor and what to wait for; afterwards what is there.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    fd: i32,
    events: i16,
    pub(crate) found: i16,
}

impl Wait {
    pub(crate) fn new(fd: i32, events: i16) -> Self {
        Wait { fd, events, found: 0 }
    }

    pub(crate) fn readable(fd: i32) -> Self {
        Wait::new(fd, libc::POLLIN)
    }
}

/// `poll` with a time limit in whole milliseconds.
pub(crate) fn poll(waits: &mut [Wait], limit: Duration) -> Result<usize> {
    call!(SYS_poll, waits.as_mut_ptr(), waits.len(), limit.as_millis() as i32)
}

/// `poll` without limit.
pub(crate) fn poll_forever(waits: &mut [Wait]) -> Result<usize> {
    call!(SYS_poll, waits.as_mut_ptr(), waits.len(), -1)
}

/// `ppoll` with a mask that holds while waiting.
pub(crate) fn ppoll(waits: &mut [Wait], limit: Option<Duration>, mask: u64) -> Result<usize> {
    let limit = limit.map(timespec);
    let pointer = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    call!(SYS_ppoll, waits.as_mut_ptr(), waits.len(), pointer, &raw const mask, 8)
}

/// A set of descriptors below 128, as bits.
pub(crate) type Set = u128;

/// `select` on reading and writing; the sets that are ready, and what is left of the limit.
pub(crate) fn select(read: Set, write: Set, limit: Option<Duration>) -> Result<(usize, Set, Set, Duration)> {
    let bits = |set: Set| [set as u64, (set >> 64) as u64];
    let (mut read, mut write) = (bits(read), bits(write));
    let mut limit = limit.map(timeval);
    let pointer = limit.as_mut().map_or(std::ptr::null_mut(), std::ptr::from_mut);
    let count = call!(SYS_select, 128, read.as_mut_ptr(), write.as_mut_ptr(), 0, pointer)?;
    let join = |bits: [u64; 2]| u128::from(bits[0]) | u128::from(bits[1]) << 64;
    let left =
        limit.map_or(Duration::ZERO, |left| Duration::new(left.tv_sec as u64, left.tv_usec as u32 * 1000));
    Ok((count, join(read), join(write), left))
}

pub(crate) fn alarm(seconds: u32) -> Result<usize> {
    call!(SYS_alarm, seconds)
}

/// Starts an interval timer: first expiry, then the interval. The old one's rest and interval.
pub(crate) fn setitimer(which: i32, first: Duration, interval: Duration) -> Result<(Duration, Duration)> {
    let new = libc::itimerval { it_interval: timeval(interval), it_value: timeval(first) };
    let mut old = libc::itimerval { it_interval: timeval(Duration::ZERO), it_value: timeval(Duration::ZERO) };
    call!(SYS_setitimer, which, &raw const new, &raw mut old)?;
    Ok(both(&old))
}

pub(crate) fn getitimer(which: i32) -> Result<(Duration, Duration)> {
    let mut now = libc::itimerval { it_interval: timeval(Duration::ZERO), it_value: timeval(Duration::ZERO) };
    call!(SYS_getitimer, which, &raw mut now)?;
    Ok(both(&now))
}

fn both(timer: &libc::itimerval) -> (Duration, Duration) {
    let duration = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    (duration(timer.it_value), duration(timer.it_interval))
}

/// An event counter descriptor.
pub(crate) fn eventfd(start: u32, flags: i32) -> Result<super::files::Fd> {
    call!(SYS_eventfd2, start, flags).map(super::files::Fd::own)
}
