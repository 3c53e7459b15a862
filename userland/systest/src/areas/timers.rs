//! Signals against sleeping and waiting: interrupted calls, alarms, interval timers.

use std::time::{Duration, Instant};

use crate::report::{Outcome, ensure, ensure_eq, ensure_errno, or_skip, tests};
use crate::sys::Errno;
use crate::sys::process::{Status, fork, wait4};
use crate::sys::signals::{self, Action, act, block, handled, suspend};
use crate::sys::time::{alarm, getitimer, nanosleep, nanosleep_raw, setitimer, timespec};

tests! {
    sleep_is_interrupted_and_tells_the_rest,
    ignored_signal_does_not_interrupt_a_sleep,
    wait_restarts_or_not,
    alarm_rings_once,
    alarm_can_be_replaced_and_cancelled,
    interval_timer_rings_again_and_again,
    virtual_timer_counts_work,
}

const SHORT: Duration = Duration::from_millis(30);

fn sleep_is_interrupted_and_tells_the_rest() -> Outcome {
    act(libc::SIGALRM, Action::Record, libc::SA_RESTART, &[])?;
    setitimer(libc::ITIMER_REAL, SHORT, Duration::ZERO)?;
    let (answer, left) = nanosleep_raw(timespec(Duration::from_secs(10)));
    ensure_errno!(answer, EINTR);
    ensure!(left > Duration::from_secs(5) && left < Duration::from_secs(10), "{left:?} left");
    Ok(())
}

fn ignored_signal_does_not_interrupt_a_sleep() -> Outcome {
    act(libc::SIGALRM, Action::Ignore, 0, &[])?;
    setitimer(libc::ITIMER_REAL, SHORT / 3, Duration::ZERO)?;
    let start = Instant::now();
    nanosleep(SHORT)?;
    ensure!(start.elapsed() >= SHORT);
    Ok(())
}

fn wait_restarts_or_not() -> Outcome {
    for (flags, is_restarted) in [(libc::SA_RESTART, true), (0, false)] {
        act(libc::SIGALRM, Action::Record, flags, &[])?;
        let child = fork(|| {
            let _ = nanosleep(SHORT * 4);
            8
        })?;
        setitimer(libc::ITIMER_REAL, SHORT, Duration::ZERO)?;
        let answer = wait4(child.pid(), 0);
        if is_restarted {
            ensure_eq!(answer, Ok((child.pid(), Status::Exited(8))));
            child.forget();
        } else {
            ensure_errno!(answer, EINTR);
        }
    }
    Ok(())
}

fn alarm_rings_once() -> Outcome {
    act(libc::SIGALRM, Action::Record, 0, &[])?;
    let start = Instant::now();
    ensure_eq!(alarm(1)?, 0);
    ensure_eq!(signals::pause(), Errno(libc::EINTR));
    let passed = start.elapsed();
    ensure!(passed >= Duration::from_millis(999) && passed < Duration::from_secs(4), "rang after {passed:?}");
    ensure_eq!((handled(libc::SIGALRM), alarm(0)?), (1, 0));
    Ok(())
}

fn alarm_can_be_replaced_and_cancelled() -> Outcome {
    ensure_eq!(alarm(100)?, 0);
    ensure!((99..=100).contains(&alarm(50)?));
    let (left, interval) = getitimer(libc::ITIMER_REAL)?;
    ensure!(left > Duration::from_secs(48) && interval.is_zero());
    ensure!((49..=50).contains(&alarm(0)?));
    ensure_eq!(getitimer(libc::ITIMER_REAL)?.0, Duration::ZERO);
    Ok(())
}

fn interval_timer_rings_again_and_again() -> Outcome {
    act(libc::SIGALRM, Action::Record, 0, &[])?;
    let before = block(libc::SIGALRM)?;
    let start = Instant::now();
    setitimer(libc::ITIMER_REAL, Duration::from_millis(20), Duration::from_millis(10))?;
    while handled(libc::SIGALRM) < 5 {
        ensure_eq!(suspend(before), Errno(libc::EINTR));
    }
    let passed = start.elapsed();
    ensure!(passed >= Duration::from_millis(60), "five rings in {passed:?}");
    let (_, interval) = setitimer(libc::ITIMER_REAL, Duration::ZERO, Duration::ZERO)?;
    ensure_eq!(interval, Duration::from_millis(10));
    Ok(())
}

fn virtual_timer_counts_work() -> Outcome {
    act(libc::SIGVTALRM, Action::Record, 0, &[])?;
    or_skip!(setitimer(libc::ITIMER_VIRTUAL, Duration::from_millis(30), Duration::ZERO), EINVAL | ENOSYS);
    nanosleep(Duration::from_millis(60))?;
    ensure_eq!(handled(libc::SIGVTALRM), 0, "sleeping is no work");
    while handled(libc::SIGVTALRM) == 0 {
        std::hint::black_box((0..1000_u64).sum::<u64>());
    }
    ensure_errno!(setitimer(9, SHORT, SHORT), EINVAL);
    Ok(())
}
