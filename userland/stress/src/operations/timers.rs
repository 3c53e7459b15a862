//! Timers: timer descriptors count right and never early, interval timers send what they should.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

use super::{mark, sleep};
use crate::random::Random;
use crate::report::{Outcome, ensure};
use crate::sys::process;
use crate::sys::signals::{self, Action};
use crate::sys::time::set_interval_timer;
use crate::worker::Context;

pub(crate) fn run(context: &mut Context<'_>) -> Outcome {
    mark!(context);
    match context.random.below(3) {
        0 => descriptor(&mut context.random),
        1 => interval(&mut context.random),
        _ => alarm(&mut context.random),
    }
}

fn set(timer: &OwnedFd, first: Duration, interval: Duration) -> Outcome {
    let value = Itimerspec { it_interval: sleep::timespec(interval), it_value: sleep::timespec(first) };
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &value)?;
    Ok(())
}

/// A periodic descriptor: the number of expirations fits the time that has passed.
fn descriptor(random: &mut Random) -> Outcome {
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
    let period = Duration::from_micros(random.within(200..=4000) as u64);
    let begun = sleep::now();
    set(&timer, period, period)?;
    let mut total = 0;
    for _ in 0..random.within(1..=8) {
        if random.once_in(2) {
            let mut ready = [PollFd::new(&timer, PollFlags::IN)];
            rustix::io::retry_on_intr(|| poll(&mut ready, None))?;
        }
        let mut count = [0; 8];
        rustix::io::retry_on_intr(|| rustix::io::read(&timer, &mut count))?;
        let count = u64::from_ne_bytes(count);
        ensure!(count > 0, "a read of no expirations");
        total += count;
        let passed = sleep::now() - begun;
        let most = (passed.as_nanos() / period.as_nanos()) as u64;
        ensure!(total <= most, "{total} expirations of {period:?} in {passed:?}");
    }
    set(&timer, Duration::ZERO, Duration::ZERO)
}

/// SIGALRM at an interval: at least once, and not more often than fits.
fn interval(random: &mut Random) -> Outcome {
    let period = Duration::from_micros(random.within(500..=4000) as u64);
    let wanted = random.within(1..=5) as u64;
    let child = process::spawn(|| {
        signals::forget_counts();
        signals::act(libc::SIGALRM, Action::Count)?;
        let begun = sleep::now();
        set_interval_timer(period, period)?;
        while signals::handled(libc::SIGALRM) < wanted {
            std::hint::spin_loop();
        }
        set_interval_timer(Duration::ZERO, Duration::ZERO)?;
        let (count, passed) = (signals::handled(libc::SIGALRM), sleep::now() - begun);
        let most = (passed.as_nanos() / period.as_nanos()) as u64;
        ensure!(count <= most, "{count} signals of {period:?} in {passed:?}");
        Ok(())
    })?;
    child.join()
}

/// A process that an alarm ends, not before its time.
fn alarm(random: &mut Random) -> Outcome {
    let limit = Duration::from_micros(random.within(100..=8000) as u64);
    let begun = sleep::now();
    let child = process::spawn(|| {
        signals::act(libc::SIGALRM, Action::Default)?;
        set_interval_timer(limit, Duration::ZERO)?;
        loop {
            signals::pause();
        }
    })?;
    child.expect_killed(libc::SIGALRM)?;
    let passed = sleep::now() - begun;
    ensure!(passed >= limit, "an alarm of {limit:?} after {passed:?}");
    Ok(())
}
