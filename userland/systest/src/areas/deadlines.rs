//! Whatever waits for a time: never early by the clock that it waits for, and not lost.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use crate::report::{Outcome, ensure, ensure_eq, ensure_errno, or_skip, skip, tests};
use crate::sys::clock::{
    Timer, clock_of_process, epoll_wait_for_nothing, futex_wait, set_timer_descriptor, sleep_on, stay_on,
    timer_descriptor, timer_slack, wait_for_timer,
};
use crate::sys::files::read;
use crate::sys::process::{self, Status, fork};
use crate::sys::signals;
use crate::sys::time::{clock, nanosleep, poll, ppoll, select, setitimer, sleep_until, work_for};

tests! {
    thousands_of_sleeps_are_never_early,
    no_timeout_is_early,
    absolute_timeouts_are_never_early,
    timer_descriptors_count_every_period,
    timers_tell_of_overruns,
    timers_of_all_clocks_ring,
    timers_on_processor_time_ring,
    timers_tell_what_is_left,
    silent_timers_run,
    hundreds_of_timers_ring_once_each,
    timer_slack_is_kept_and_inherited,
    timers_on_wrong_clocks_are_refused,
}

const MILLISECOND: Duration = Duration::from_millis(1);

/// Numbers that look random; the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

fn thousands_of_sleeps_are_never_early() -> Outcome {
    let cpus = process::affinity()?;
    let workers = (0..4.min(2 * cpus.len()))
        .map(|worker| {
            let cpu = cpus[worker % cpus.len()];
            fork(move || {
                let mut random = Random(0x1234_5678 + worker as u64 * 977);
                if stay_on(cpu).is_err() {
                    return 2;
                }
                for round in 0..600 {
                    let length =
                        Duration::from_nanos(random.below(if round % 50 == 0 { 5_000_000 } else { 400_000 }));
                    let which = if round % 2 == 0 { libc::CLOCK_MONOTONIC } else { libc::CLOCK_BOOTTIME };
                    let before = clock(which).unwrap_or_default();
                    let slept = sleep_on(which, length).0;
                    let passed = clock(which).unwrap_or_default() - before;
                    if slept.is_err() || passed < length {
                        return 1;
                    }
                }
                0
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    for worker in workers {
        ensure_eq!(worker.wait()?, Status::Exited(0));
    }
    Ok(())
}

fn no_timeout_is_early() -> Outcome {
    let mut random = Random(99);
    let word = AtomicU32::new(0);
    signals::block(libc::SIGUSR1)?;
    for round in 0..400 {
        let length = Duration::from_nanos(random.below(1_500_000));
        let whole = Duration::from_millis(random.below(3));
        let start = clock(libc::CLOCK_MONOTONIC)?;
        let wanted = match round % 6 {
            0 => {
                ensure_eq!(poll(&mut [], whole)?, 0);
                whole
            }
            1 => {
                ensure_eq!(ppoll(&mut [], Some(length), 0)?, 0);
                length
            }
            2 => {
                let micros = Duration::from_micros(length.as_micros() as u64);
                ensure_eq!(select(0, 0, Some(micros))?.0, 0);
                micros
            }
            3 => {
                ensure_eq!(epoll_wait_for_nothing(whole.as_millis() as i32)?, 0);
                whole
            }
            4 => {
                ensure_errno!(futex_wait(&word, None, length), ETIMEDOUT);
                length
            }
            _ => {
                ensure_errno!(signals::timed_wait(bit(libc::SIGUSR1), Some(length)), EAGAIN);
                length
            }
        };
        let passed = clock(libc::CLOCK_MONOTONIC)? - start;
        ensure!(passed >= wanted, "kind {}: {wanted:?} took {passed:?}", round % 6);
    }
    Ok(())
}

fn absolute_timeouts_are_never_early() -> Outcome {
    let mut random = Random(5);
    let word = AtomicU32::new(0);
    for round in 0..300 {
        let which = if round % 2 == 0 { libc::CLOCK_MONOTONIC } else { libc::CLOCK_REALTIME };
        let goal = clock(which)? + Duration::from_nanos(random.below(1_000_000));
        match round % 3 {
            0 => sleep_until(which, goal)?,
            1 => ensure_errno!(futex_wait(&word, Some(which), goal), ETIMEDOUT),
            _ => {
                let fd = timer_descriptor(which, 0)?;
                set_timer_descriptor(fd.raw(), libc::TFD_TIMER_ABSTIME, goal, Duration::ZERO)?;
                ensure_eq!(read(fd.raw(), &mut [0; 8])?, 8);
            }
        }
        let now = clock(which)?;
        ensure!(now >= goal, "clock {which}, kind {}: {goal:?} was {now:?}", round % 3);
    }
    Ok(())
}

fn timer_descriptors_count_every_period() -> Outcome {
    let fd = timer_descriptor(libc::CLOCK_MONOTONIC, 0)?;
    let start = clock(libc::CLOCK_MONOTONIC)?;
    set_timer_descriptor(fd.raw(), 0, MILLISECOND, MILLISECOND)?;
    // The periods count from a moment between the two.
    let armed = clock(libc::CLOCK_MONOTONIC)?;
    let mut counted = 0;
    let mut number = [0; 8];
    while counted < 60 {
        nanosleep(7 * MILLISECOND)?;
        let before = clock(libc::CLOCK_MONOTONIC)?;
        ensure_eq!(read(fd.raw(), &mut number)?, 8);
        let after = clock(libc::CLOCK_MONOTONIC)?;
        counted += u64::from_le_bytes(number);
        let (least, most) = ((before - armed).as_millis() as u64, (after - start).as_millis() as u64);
        ensure!(counted + 1 >= least && counted <= most, "{counted} of {least} to {most}");
    }
    Ok(())
}

fn timers_tell_of_overruns() -> Outcome {
    for signal in [libc::SIGRTMIN(), libc::SIGUSR1] {
        signals::block(signal)?;
        let timer = Timer::new(libc::CLOCK_MONOTONIC, signal, 4711)?;
        let start = clock(libc::CLOCK_MONOTONIC)?;
        timer.set(0, 2 * MILLISECOND, 2 * MILLISECOND)?;
        nanosleep(50 * MILLISECOND)?;
        let rang = wait_for_timer(bit(signal), Duration::from_secs(5))?;
        let periods = (clock(libc::CLOCK_MONOTONIC)? - start).as_millis() as i32 / 2;
        ensure_eq!((rang.code, rang.id, rang.value), (libc::SI_TIMER, timer.id(), 4711));
        ensure!((22..periods).contains(&rang.overruns), "{} of {periods} periods", rang.overruns);
        ensure_eq!(timer.overruns()?, rang.overruns as usize);
        // One signal at a time, however often it rings.
        timer.set(0, Duration::ZERO, Duration::ZERO)?;
        let _ = wait_for_timer(bit(signal), Duration::ZERO);
        ensure_errno!(wait_for_timer(bit(signal), 10 * MILLISECOND), EAGAIN);
    }
    Ok(())
}

fn timers_of_all_clocks_ring() -> Outcome {
    signals::block(libc::SIGUSR1)?;
    for which in [libc::CLOCK_REALTIME, libc::CLOCK_MONOTONIC, libc::CLOCK_BOOTTIME, libc::CLOCK_TAI] {
        for flags in [0, libc::TIMER_ABSTIME] {
            let timer = Timer::new(which, libc::SIGUSR1, 1)?;
            let goal = clock(which)? + 3 * MILLISECOND;
            let first = if flags == 0 { 3 * MILLISECOND } else { goal };
            timer.set(flags, first, Duration::ZERO)?;
            wait_for_timer(bit(libc::SIGUSR1), Duration::from_secs(5))?;
            let now = clock(which)?;
            ensure!(now >= goal, "clock {which}: {goal:?} was {now:?}");
        }
    }
    Ok(())
}

fn timers_on_processor_time_ring() -> Outcome {
    signals::block(libc::SIGUSR1)?;
    for which in [libc::CLOCK_PROCESS_CPUTIME_ID, libc::CLOCK_THREAD_CPUTIME_ID] {
        let timer = Timer::new(which, libc::SIGUSR1, 1)?;
        let goal = clock(which)? + 20 * MILLISECOND;
        timer.set(0, 20 * MILLISECOND, Duration::ZERO)?;
        ensure_errno!(wait_for_timer(bit(libc::SIGUSR1), 30 * MILLISECOND), EAGAIN);
        let mut rounds = 0;
        while wait_for_timer(bit(libc::SIGUSR1), Duration::ZERO).is_err() {
            work_for(5 * MILLISECOND);
            rounds += 1;
            ensure!(rounds < 2000, "it never rings");
        }
        let now = clock(which)?;
        ensure!(now >= goal, "clock {which}: {goal:?} was {now:?}");
    }
    // Of another process.
    let child = fork(|| {
        work_for(Duration::from_secs(30));
        0
    })?;
    let which = clock_of_process(child.pid());
    let timer = Timer::new(which, libc::SIGUSR1, 1)?;
    let goal = clock(which)? + 20 * MILLISECOND;
    timer.set(0, 20 * MILLISECOND, Duration::ZERO)?;
    wait_for_timer(bit(libc::SIGUSR1), Duration::from_secs(15))?;
    ensure!(clock(which)? >= goal);
    signals::kill(child.pid(), libc::SIGKILL)?;
    Ok(())
}

fn timers_tell_what_is_left() -> Outcome {
    let timer = Timer::new(libc::CLOCK_MONOTONIC, libc::SIGUSR1, 0)?;
    ensure_eq!(timer.get()?, (Duration::ZERO, Duration::ZERO));
    timer.set(0, Duration::from_secs(100), Duration::from_secs(7))?;
    let (left, interval) = timer.get()?;
    ensure!(left > Duration::from_secs(90) && left <= Duration::from_secs(100), "{left:?}");
    ensure_eq!(interval, Duration::from_secs(7));
    Ok(())
}

fn silent_timers_run() -> Outcome {
    let timer = Timer::silent(libc::CLOCK_MONOTONIC)?;
    timer.set(0, 2 * MILLISECOND, Duration::from_secs(50))?;
    nanosleep(5 * MILLISECOND)?;
    let (left, _) = timer.get()?;
    ensure!(
        left > Duration::from_secs(40) && left <= Duration::from_secs(50),
        "{left:?} are left of the second period"
    );
    Ok(())
}

fn hundreds_of_timers_ring_once_each() -> Outcome {
    const COUNT: usize = 300;
    let signal = libc::SIGRTMIN() + 3;
    signals::block(signal)?;
    let mut random = Random(3);
    let timers = (0..COUNT)
        .map(|number| Timer::new(libc::CLOCK_MONOTONIC, signal, number))
        .collect::<Result<Vec<_>, _>>()?;
    for timer in &timers {
        timer.set(0, Duration::from_micros(1 + random.below(20_000)), Duration::ZERO)?;
    }
    let mut rung = [0; COUNT];
    for _ in 0..COUNT {
        rung[wait_for_timer(bit(signal), Duration::from_secs(5))?.value] += 1;
    }
    ensure!(rung.iter().all(|times| *times == 1), "{rung:?}");
    ensure_errno!(wait_for_timer(bit(signal), 2 * MILLISECOND), EAGAIN);
    Ok(())
}

fn timer_slack_is_kept_and_inherited() -> Outcome {
    let first = or_skip!(timer_slack(None), EINVAL);
    if first == 0 {
        skip!("no timer slack in this scheduling class");
    }
    timer_slack(Some(123_456))?;
    ensure_eq!(timer_slack(None)?, 123_456);
    let child = fork(|| {
        let inherited = timer_slack(None) == Ok(123_456);
        let reset =
            timer_slack(Some(9)).is_ok() && timer_slack(Some(0)).is_ok() && timer_slack(None) == Ok(123_456);
        i32::from(!(inherited && reset))
    })?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    timer_slack(Some(0))?;
    ensure_eq!(timer_slack(None)?, first);
    // A large slack makes sleeps late, not early, and not later than it allows by much.
    timer_slack(Some(30_000_000))?;
    let start = clock(libc::CLOCK_MONOTONIC)?;
    nanosleep(MILLISECOND)?;
    let passed = clock(libc::CLOCK_MONOTONIC)? - start;
    ensure!(passed >= MILLISECOND && passed < Duration::from_secs(2), "{passed:?}");
    // Interval timers have none.
    timer_slack(Some(1_000_000_000))?;
    signals::block(libc::SIGALRM)?;
    let start = clock(libc::CLOCK_MONOTONIC)?;
    setitimer(libc::ITIMER_REAL, 5 * MILLISECOND, Duration::ZERO)?;
    signals::timed_wait(bit(libc::SIGALRM), None)?;
    let passed = clock(libc::CLOCK_MONOTONIC)? - start;
    ensure!(passed >= 5 * MILLISECOND && passed < 700 * MILLISECOND, "{passed:?}");
    Ok(())
}

fn timers_on_wrong_clocks_are_refused() -> Outcome {
    for which in [libc::CLOCK_MONOTONIC_RAW, libc::CLOCK_MONOTONIC_COARSE] {
        ensure_errno!(Timer::silent(which).map(drop), EOPNOTSUPP);
        ensure_errno!(timer_descriptor(which, 0).map(drop), EINVAL);
    }
    ensure_errno!(Timer::silent(77).map(drop), EINVAL);
    ensure_errno!(timer_descriptor(libc::CLOCK_TAI, 0).map(drop), EINVAL);
    ensure_errno!(Timer::new(libc::CLOCK_MONOTONIC, 0, 0).map(drop), EINVAL);
    let timer = Timer::silent(libc::CLOCK_MONOTONIC)?;
    ensure_errno!(
        crate::sys::probe(libc::SYS_timer_settime, &[timer.id() as usize, 0, 0, 0]),
        EINVAL | EFAULT
    );
    Ok(())
}
