//! Clocks, sleeping, and time limits. Sleeping may be late, never early.

use std::time::{Duration, Instant};

use crate::report::{Outcome, ensure, ensure_eq, ensure_errno, or_skip, tests};
use crate::sys::probe;
use crate::sys::process::{Status, fork};
use crate::sys::time::{
    clock, clock_resolution, gettimeofday, library_clock, nanosleep, nanosleep_raw, sleep_until, time,
};

tests! {
    monotonic_clock_never_goes_back,
    monotonic_clock_advances_while_busy,
    monotonic_clock_is_the_same_in_children,
    wall_clocks_agree,
    library_and_kernel_agree,
    resolutions_are_told,
    processor_clocks_count_work_only,
    boot_clock_is_not_behind,
    coarse_clocks_are_near,
    wrong_clocks_are_refused,
    sleep_is_never_early,
    sleep_is_not_much_too_long,
    sleep_of_nothing_returns,
    sleep_until_a_time,
    sleep_until_the_past_returns,
    wrong_sleeps_are_refused,
    sleepers_wake_in_order,
    many_sleepers_at_once,
    sleep_lets_others_run,
    busy_processes_share_the_processors,
}

fn monotonic_clock_never_goes_back() -> Outcome {
    let mut last = clock(libc::CLOCK_MONOTONIC)?;
    for _ in 0..20_000 {
        let now = clock(libc::CLOCK_MONOTONIC)?;
        ensure!(now >= last, "{now:?} after {last:?}");
        last = now;
    }
    let mut last = library_clock(libc::CLOCK_MONOTONIC)?;
    for _ in 0..20_000 {
        let now = library_clock(libc::CLOCK_MONOTONIC)?;
        ensure!(now >= last, "{now:?} after {last:?}");
        last = now;
    }
    Ok(())
}

fn monotonic_clock_advances_while_busy() -> Outcome {
    let start = clock(libc::CLOCK_MONOTONIC)?;
    let mut steps = 0;
    let mut last = start;
    while steps < 100 {
        let now = clock(libc::CLOCK_MONOTONIC)?;
        steps += u32::from(now > last);
        last = now;
    }
    ensure!(last - start < Duration::from_secs(2), "100 steps took {:?}: the clock is coarse", last - start);
    Ok(())
}

fn monotonic_clock_is_the_same_in_children() -> Outcome {
    let before = clock(libc::CLOCK_MONOTONIC)?;
    let child = fork(|| i32::from(!clock(libc::CLOCK_MONOTONIC).is_ok_and(|now| now >= before)))?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}

fn wall_clocks_agree() -> Outcome {
    let by_clock = clock(libc::CLOCK_REALTIME)?;
    let (by_day, by_time) = (gettimeofday()?, time()?);
    ensure!(by_clock.abs_diff(by_day) < Duration::from_secs(1), "{by_clock:?} and {by_day:?}");
    ensure!(by_clock.as_secs().abs_diff(by_time) <= 1, "{by_clock:?} and {by_time} s");
    ensure!(by_clock > Duration::from_secs(365 * 24 * 3600), "the wall clock is not set: {by_clock:?}");
    Ok(())
}

fn library_and_kernel_agree() -> Outcome {
    for which in [libc::CLOCK_REALTIME, libc::CLOCK_MONOTONIC] {
        let kernel = clock(which)?;
        let library = library_clock(which)?;
        let again = clock(which)?;
        ensure!(kernel <= library && library <= again, "clock {which}: {kernel:?}, {library:?}, {again:?}");
    }
    Ok(())
}

fn resolutions_are_told() -> Outcome {
    for which in [libc::CLOCK_REALTIME, libc::CLOCK_MONOTONIC] {
        let resolution = clock_resolution(which)?;
        ensure!(!resolution.is_zero() && resolution <= Duration::from_millis(20), "{resolution:?}");
    }
    ensure_errno!(clock_resolution(77), EINVAL);
    Ok(())
}

fn processor_clocks_count_work_only() -> Outcome {
    let before = or_skip!(clock(libc::CLOCK_PROCESS_CPUTIME_ID), EINVAL);
    nanosleep(Duration::from_millis(60))?;
    let slept = clock(libc::CLOCK_PROCESS_CPUTIME_ID)? - before;
    ensure!(slept < Duration::from_millis(40), "60 ms of sleep counted as {slept:?}");
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(150) {
        std::hint::black_box((0..1000_u64).sum::<u64>());
    }
    let worked = clock(libc::CLOCK_PROCESS_CPUTIME_ID)? - before;
    ensure!(worked > Duration::from_millis(20), "150 ms of work counted as {worked:?}");
    ensure!(clock(libc::CLOCK_THREAD_CPUTIME_ID)? > Duration::ZERO);
    Ok(())
}

fn boot_clock_is_not_behind() -> Outcome {
    let monotonic = clock(libc::CLOCK_MONOTONIC)?;
    let boot = or_skip!(clock(libc::CLOCK_BOOTTIME), EINVAL);
    ensure!(boot >= monotonic);
    let raw = or_skip!(clock(libc::CLOCK_MONOTONIC_RAW), EINVAL);
    ensure!(raw.abs_diff(monotonic) < Duration::from_secs(3600));
    Ok(())
}

fn coarse_clocks_are_near() -> Outcome {
    for (coarse, fine) in [
        (libc::CLOCK_MONOTONIC_COARSE, libc::CLOCK_MONOTONIC),
        (libc::CLOCK_REALTIME_COARSE, libc::CLOCK_REALTIME),
    ] {
        let coarse = or_skip!(clock(coarse), EINVAL);
        ensure!(coarse.abs_diff(clock(fine)?) < Duration::from_millis(500));
    }
    Ok(())
}

fn wrong_clocks_are_refused() -> Outcome {
    ensure_errno!(clock(77), EINVAL);
    ensure_errno!(clock(-77), EINVAL);
    ensure_errno!(probe(libc::SYS_clock_gettime, &[0, 8]), EFAULT);
    ensure_errno!(probe(libc::SYS_gettimeofday, &[8, 0]), EFAULT);
    Ok(())
}

fn sleep_is_never_early() -> Outcome {
    for length in [1, 100, 1000, 3333, 10_000, 25_000].map(Duration::from_micros) {
        for _ in 0..5 {
            let start = Instant::now();
            nanosleep(length)?;
            let passed = start.elapsed();
            ensure!(passed >= length, "{length:?} took {passed:?}");
        }
    }
    Ok(())
}

fn sleep_is_not_much_too_long() -> Outcome {
    let best = (0..10)
        .map(|_| {
            let start = Instant::now();
            let _ = nanosleep(Duration::from_millis(5));
            start.elapsed()
        })
        .min()
        .unwrap_or_default();
    ensure!(best < Duration::from_millis(30), "the best of ten sleeps of 5 ms took {best:?}");
    Ok(())
}

fn sleep_of_nothing_returns() -> Outcome {
    nanosleep(Duration::ZERO)?;
    nanosleep(Duration::from_nanos(1))?;
    Ok(())
}

fn sleep_until_a_time() -> Outcome {
    for which in [libc::CLOCK_MONOTONIC, libc::CLOCK_REALTIME] {
        let goal = clock(which)? + Duration::from_millis(30);
        sleep_until(which, goal)?;
        let now = clock(which)?;
        ensure!(now >= goal && now - goal < Duration::from_secs(2), "clock {which}: {now:?}, goal {goal:?}");
    }
    Ok(())
}

fn sleep_until_the_past_returns() -> Outcome {
    let start = Instant::now();
    sleep_until(libc::CLOCK_MONOTONIC, Duration::ZERO)?;
    sleep_until(libc::CLOCK_REALTIME, Duration::from_secs(1))?;
    ensure!(start.elapsed() < Duration::from_secs(1));
    Ok(())
}

fn wrong_sleeps_are_refused() -> Outcome {
    for (tv_sec, tv_nsec) in [(-1, 0), (0, -1), (0, 1_000_000_000)] {
        ensure_errno!(nanosleep_raw(libc::timespec { tv_sec, tv_nsec }).0, EINVAL);
    }
    ensure_errno!(sleep_until(77, Duration::ZERO), EINVAL);
    ensure_errno!(probe(libc::SYS_nanosleep, &[8, 0]), EFAULT);
    Ok(())
}

fn sleepers_wake_in_order() -> Outcome {
    let (reader, writer) = crate::sys::files::pipe(0)?;
    let mut children = Vec::new();
    for number in [4_u8, 2, 5, 1, 3] {
        let writer = *writer;
        children.push(fork(move || {
            let _ = nanosleep(Duration::from_millis(100 * u64::from(number)));
            i32::from(crate::sys::files::write(writer, &[number]) != Ok(1))
        })?);
    }
    drop(writer);
    ensure_eq!(crate::sys::files::read_to_end(*reader)?, vec![1, 2, 3, 4, 5]);
    for child in children {
        ensure_eq!(child.wait()?, Status::Exited(0));
    }
    Ok(())
}

fn many_sleepers_at_once() -> Outcome {
    let start = Instant::now();
    let children = (0..30)
        .map(|_| fork(|| i32::from(nanosleep(Duration::from_millis(50)).is_err())))
        .collect::<Result<Vec<_>, _>>()?;
    for child in children {
        ensure_eq!(child.wait()?, Status::Exited(0));
    }
    let passed = start.elapsed();
    ensure!(passed >= Duration::from_millis(50) && passed < Duration::from_secs(10), "took {passed:?}");
    Ok(())
}

fn sleep_lets_others_run() -> Outcome {
    let shared = crate::sys::memory::Mapping::shared(4096)?;
    let _worker = fork(|| {
        loop {
            shared.set(0, shared.get(0).wrapping_add(1));
        }
    })?;
    nanosleep(Duration::from_millis(50))?;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..10 {
        nanosleep(Duration::from_millis(5))?;
        seen.insert(shared.get(0));
    }
    ensure!(seen.len() > 2, "the other process did not run");
    Ok(())
}

fn busy_processes_share_the_processors() -> Outcome {
    // More endless loops than processors: each must get on, and so must we.
    let count = crate::sys::process::affinity()?.len() + 2;
    let shared = crate::sys::memory::Mapping::shared(count.min(64) * 64)?;
    let workers = (0..count.min(64))
        .map(|index| {
            let shared = &shared;
            fork(move || {
                loop {
                    shared.set(index * 64, shared.get(index * 64).wrapping_add(1).max(1));
                }
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10)
        && !(0..workers.len()).all(|index| shared.get(index * 64) > 0)
    {
        nanosleep(Duration::from_millis(10))?;
    }
    for index in 0..workers.len() {
        ensure!(shared.get(index * 64) > 0, "worker {index} never ran");
    }
    Ok(())
}
