//! Sleeps of all kinds: none ends before its time.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::event::{Timespec, poll};
use rustix::io::Errno;
use rustix::thread::futex;
use rustix::time::{ClockId, clock_gettime};

use super::mark;
use crate::report::{Outcome, ensure, ensure_eq};
use crate::worker::Context;

/// The monotonic clock.
pub(super) fn now() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

pub(super) fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs() as i64, tv_nsec: duration.subsec_nanos().into() }
}

pub(crate) fn run(context: &mut Context<'_>) -> Outcome {
    for _ in 0..context.random.within(1..=8) {
        let wanted = match context.random.below(3) {
            0 => Duration::from_nanos(context.random.below(50_000) as u64),
            1 => Duration::from_micros(context.random.below(2_000) as u64),
            _ => Duration::from_micros(context.random.below(15_000) as u64),
        };
        mark!(context);
        let begun = now();
        let kind = context.random.below(4);
        let is_over = match kind {
            0 => {
                std::thread::sleep(wanted);
                true
            }
            1 => until(begun + wanted)?,
            2 => match poll(&mut [], Some(&timespec(wanted))) {
                Err(Errno::INTR) => false,
                answer => answer? == 0,
            },
            _ => match futex::wait(&AtomicU32::new(5), futex::Flags::PRIVATE, 5, Some(&timespec(wanted))) {
                Err(Errno::TIMEDOUT) => true,
                Err(Errno::INTR) => false,
                // Spurious wake-ups are allowed.
                Ok(()) => false,
                Err(errno) => return Err(errno.into()),
            },
        };
        let passed = now() - begun;
        ensure!(!is_over || passed >= wanted, "sleep {kind} of {wanted:?} took {passed:?}");
    }
    let word = AtomicU32::new(5);
    ensure_eq!(futex::wait(&word, futex::Flags::PRIVATE, 6, None), Err(Errno::AGAIN), "another value");
    Ok(())
}

/// Sleeps until a point of the monotonic clock.
fn until(end: Duration) -> Outcome<bool> {
    use rustix::thread::{ClockId, clock_nanosleep_absolute};
    loop {
        match clock_nanosleep_absolute(ClockId::Monotonic, &timespec(end)) {
            Ok(()) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
