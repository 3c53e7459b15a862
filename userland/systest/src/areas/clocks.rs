//! The vDSO, clocks that are set and steered, CPU time.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use crate::report::{Outcome, Stop, ensure, ensure_eq, ensure_errno, or_skip, skip, tests};
use crate::sys::clock::{
    Vdso, adjust, clock_of_process, count_system_calls, set_clock, set_timer_descriptor, sleep_on, stay_on,
    timer_descriptor, timex,
};
use crate::sys::files::{Fd, read};
use crate::sys::process::{self, Status, fork};
use crate::sys::signals;
use crate::sys::time::{
    Wait, clock, clock_resolution, gettimeofday, nanosleep, poll, sleep_until, time, work_for,
};

tests! {
    vdso_is_mapped_and_named,
    vdso_agrees_with_system_calls,
    vdso_makes_no_system_call,
    vdso_passes_on_what_it_does_not_know,
    vdso_names_the_processor,
    clocks_go_forward_across_processors,
    clocks_go_forward_while_moving,
    coarse_clocks_tick,
    clock_sources_are_named,
    hardware_clock_shows_the_time_of_day,
    uptime_is_the_boot_clock,
    clocks_that_cannot_be_set_say_so,
    clocks_that_nobody_can_sleep_on_say_so,
    setting_the_clock_leaves_the_others_alone,
    sleepers_until_a_time_of_day_notice_a_step,
    timer_descriptors_are_cancelled_by_a_step,
    steering_is_read_back,
    steered_clock_runs_faster_than_raw,
    slewed_clock_gains_what_was_asked,
    wrong_steering_is_refused,
    processor_time_of_others_is_told,
    sleep_on_processor_time_of_another,
    accounts_of_processor_time_agree,
}

const MILLISECOND: Duration = Duration::from_millis(1);

fn vdso() -> Result<Vdso, Stop> {
    match Vdso::find() {
        Some((_, vdso)) => Ok(vdso),
        None => skip!("no vDSO"),
    }
}

fn vdso_is_mapped_and_named() -> Outcome {
    let Some((soname, vdso)) = Vdso::find() else { skip!("no vDSO") };
    ensure_eq!(soname, "linux-vdso.so.1");
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let line = |name: &str| maps.lines().find(|line| line.ends_with(name)).map(str::to_owned);
    let Some(code) = line("[vdso]") else { return Err(Stop::fail(maps)) };
    ensure!(code.starts_with(&format!("{:x}-", vdso.base)) && code.contains(" r-xp "), "{code}");
    let Some(data) = line("[vvar]") else { return Err(Stop::fail(maps)) };
    ensure!(data.contains(" r--p "), "{data}");
    Ok(())
}

fn vdso_agrees_with_system_calls() -> Outcome {
    let vdso = vdso()?;
    let clocks = [
        libc::CLOCK_REALTIME,
        libc::CLOCK_MONOTONIC,
        libc::CLOCK_MONOTONIC_RAW,
        libc::CLOCK_BOOTTIME,
        libc::CLOCK_TAI,
        libc::CLOCK_REALTIME_COARSE,
        libc::CLOCK_MONOTONIC_COARSE,
    ];
    for _ in 0..500 {
        for which in clocks {
            let (before, between, after) = (clock(which)?, vdso.clock(which), clock(which)?);
            let between = between.map_err(|error| Stop::fail(format!("clock {which}: {error}")))?;
            ensure!(
                before <= between && between <= after,
                "clock {which}: {before:?}, {between:?}, {after:?}"
            );
        }
    }
    for which in clocks {
        ensure_eq!(vdso.resolution(which), Ok(clock_resolution(which)?));
    }
    let (before, between, after) = (gettimeofday()?, vdso.day(), gettimeofday()?);
    ensure!(before <= between && between <= after, "{before:?}, {between:?}, {after:?}");
    let (before, between, after) = (time()?, vdso.seconds(), time()?);
    ensure!(before <= between + 1 && between <= after, "{before}, {between}, {after}");
    Ok(())
}

fn vdso_makes_no_system_call() -> Outcome {
    let vdso = vdso()?;
    let current = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    if std::fs::read_to_string(current).is_ok_and(|name| name.trim() != "tsc") {
        skip!("the counter cannot be read by programs");
    }
    // The count itself: one system call is seen as one.
    let (_, calls) = count_system_calls(|| _ = time())?;
    ensure_eq!(calls, 1);
    for which in
        [libc::CLOCK_REALTIME, libc::CLOCK_MONOTONIC, libc::CLOCK_BOOTTIME, libc::CLOCK_MONOTONIC_RAW]
    {
        let (steps, calls) = count_system_calls(|| _ = vdso.clock(which))?;
        ensure!(steps > 10 && calls == 0, "clock {which}: {calls} calls in {steps} instructions");
    }
    let (steps, calls) = count_system_calls(|| {
        vdso.day();
        vdso.seconds();
        vdso.cpu();
        _ = vdso.resolution(libc::CLOCK_REALTIME);
    })?;
    ensure!(steps > 40 && calls == 0, "{calls} calls in {steps} instructions");
    // The C library has found it, too.
    let (_, calls) = count_system_calls(|| _ = crate::sys::time::library_clock(libc::CLOCK_MONOTONIC))?;
    ensure_eq!(calls, 0);
    Ok(())
}

fn vdso_passes_on_what_it_does_not_know() -> Outcome {
    let vdso = vdso()?;
    ensure_eq!(vdso.clock(77), Err(-libc::EINVAL));
    ensure_eq!(vdso.resolution(77), Err(-libc::EINVAL));
    let (before, between) =
        (clock(libc::CLOCK_THREAD_CPUTIME_ID)?, vdso.clock(libc::CLOCK_THREAD_CPUTIME_ID));
    ensure!(between.is_ok_and(|between| between >= before));
    Ok(())
}

fn vdso_names_the_processor() -> Outcome {
    let vdso = vdso()?;
    for cpu in process::affinity()? {
        stay_on(cpu)?;
        for _ in 0..100 {
            ensure_eq!(vdso.cpu(), (cpu as u32, 0));
        }
    }
    Ok(())
}

fn clocks_go_forward_across_processors() -> Outcome {
    let vdso = vdso()?;
    let cpus = process::affinity()?;
    for which in [libc::CLOCK_MONOTONIC, libc::CLOCK_REALTIME, libc::CLOCK_MONOTONIC_RAW] {
        let newest = AtomicU64::new(0);
        let backwards = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for cpu in cpus.iter().copied().take(8) {
                let (newest, backwards) = (&newest, &backwards);
                scope.spawn(move || {
                    if stay_on(cpu).is_err() {
                        return;
                    }
                    for _ in 0..20_000 {
                        // What any thread has seen before this one looks is not later than what it sees.
                        let seen = newest.load(SeqCst);
                        let now = vdso.clock(which).map_or(0, |now| now.as_nanos() as u64);
                        if now < seen {
                            backwards.fetch_max(seen - now, SeqCst);
                        }
                        newest.fetch_max(now, SeqCst);
                    }
                });
            }
        });
        ensure_eq!(backwards.load(SeqCst), 0, "clock {which}, in nanoseconds");
    }
    Ok(())
}

fn clocks_go_forward_while_moving() -> Outcome {
    let vdso = vdso()?;
    let cpus = process::affinity()?;
    let mut last = Duration::ZERO;
    for round in 0..300 {
        stay_on(cpus[round % cpus.len()])?;
        for _ in 0..20 {
            let now = vdso.clock(libc::CLOCK_MONOTONIC).map_err(|error| Stop::fail(error.to_string()))?;
            ensure!(now >= last, "{now:?} after {last:?}");
            let kernel = clock(libc::CLOCK_MONOTONIC)?;
            ensure!(kernel >= now, "{kernel:?} after {now:?}");
            last = kernel;
        }
    }
    Ok(())
}

fn coarse_clocks_tick() -> Outcome {
    for (coarse, fine) in [
        (libc::CLOCK_MONOTONIC_COARSE, libc::CLOCK_MONOTONIC),
        (libc::CLOCK_REALTIME_COARSE, libc::CLOCK_REALTIME),
    ] {
        let resolution = clock_resolution(coarse)?;
        ensure!(resolution >= MILLISECOND && resolution <= 10 * MILLISECOND, "{resolution:?}");
        let mut seen = std::collections::BTreeSet::new();
        let start = clock(fine)?;
        while clock(fine)? - start < 50 * MILLISECOND {
            let now = clock(coarse)?;
            ensure!(now <= clock(fine)?, "the coarse clock is ahead");
            seen.insert(now);
        }
        ensure!(seen.len() <= 60, "{} ticks in 50 ms and a little", seen.len());
    }
    Ok(())
}

fn clock_sources_are_named() -> Outcome {
    let folder = "/sys/devices/system/clocksource/clocksource0/";
    let Ok(current) = std::fs::read_to_string(format!("{folder}current_clocksource")) else {
        skip!("no /sys")
    };
    let available = std::fs::read_to_string(format!("{folder}available_clocksource"))?;
    ensure!(available.split_whitespace().any(|name| name == current.trim()), "{current:?} of {available:?}");
    Ok(())
}

fn hardware_clock_shows_the_time_of_day() -> Outcome {
    let Ok(text) = std::fs::read_to_string("/sys/class/rtc/rtc0/since_epoch") else { skip!("no rtc0") };
    let shown = text.trim().parse::<u64>().map_err(|_| Stop::fail(&text))?;
    ensure!(shown.abs_diff(time()?) < 24 * 3600, "{shown} and {}", time()?);
    let one = || std::fs::read_to_string("/proc/driver/rtc");
    if let Ok(text) = one() {
        ensure!(text.contains("rtc_time") && text.contains("rtc_date"), "{text}");
    }
    Ok(())
}

fn uptime_is_the_boot_clock() -> Outcome {
    let before = clock(libc::CLOCK_BOOTTIME)?;
    let text = std::fs::read_to_string("/proc/uptime")?;
    let seconds = text.split(' ').next().and_then(|word| word.parse::<f64>().ok());
    let Some(seconds) = seconds else { return Err(Stop::fail(text)) };
    let after = clock(libc::CLOCK_BOOTTIME)?;
    ensure!(
        before.as_secs_f64() <= seconds + 0.011 && seconds <= after.as_secs_f64(),
        "{before:?} {text} {after:?}"
    );
    Ok(())
}

fn clocks_that_cannot_be_set_say_so() -> Outcome {
    let now = clock(libc::CLOCK_REALTIME)?;
    for which in [
        libc::CLOCK_MONOTONIC,
        libc::CLOCK_MONOTONIC_RAW,
        libc::CLOCK_BOOTTIME,
        libc::CLOCK_REALTIME_COARSE,
        77,
    ] {
        ensure_errno!(set_clock(which, now), EINVAL);
    }
    ensure_errno!(set_clock(libc::CLOCK_PROCESS_CPUTIME_ID, now), EINVAL);
    ensure_errno!(set_clock(clock_of_process(std::process::id() as i32), now), EPERM);
    ensure_errno!(set_clock(libc::CLOCK_REALTIME, Duration::from_secs(i64::MAX as u64)), EINVAL | EPERM);
    Ok(())
}

fn clocks_that_nobody_can_sleep_on_say_so() -> Outcome {
    for which in [libc::CLOCK_MONOTONIC_RAW, libc::CLOCK_MONOTONIC_COARSE, libc::CLOCK_REALTIME_COARSE] {
        ensure_errno!(sleep_on(which, MILLISECOND).0, EOPNOTSUPP);
    }
    ensure_errno!(sleep_on(libc::CLOCK_THREAD_CPUTIME_ID, MILLISECOND).0, EINVAL | EOPNOTSUPP);
    for which in [libc::CLOCK_BOOTTIME, libc::CLOCK_TAI, libc::CLOCK_REALTIME] {
        let start = clock(libc::CLOCK_MONOTONIC)?;
        sleep_on(which, MILLISECOND).0?;
        ensure!(clock(libc::CLOCK_MONOTONIC)? - start >= MILLISECOND);
        sleep_until(which, clock(which)? + MILLISECOND)?;
    }
    Ok(())
}

/// Skips the test unless the machine was booted for it: nobody else's clock is touched.
fn may_touch_the_clock() -> Outcome {
    match std::fs::read_to_string("/proc/cmdline") {
        Ok(line) if line.contains("systest") => Ok(()),
        _ => skip!("the machine was not booted for systest: its clock is left alone"),
    }
}

/// Sets the time of day ahead for as long as it lives; back, less what has passed, at its end.
struct Ahead(Duration);

impl Ahead {
    fn by(step: Duration) -> Result<Ahead, Stop> {
        may_touch_the_clock()?;
        or_skip!(set_clock(libc::CLOCK_REALTIME, clock(libc::CLOCK_REALTIME)? + step), EPERM);
        Ok(Ahead(step))
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        let now = clock(libc::CLOCK_REALTIME).unwrap_or_default();
        let _ = set_clock(libc::CLOCK_REALTIME, now.saturating_sub(self.0));
    }
}

fn setting_the_clock_leaves_the_others_alone() -> Outcome {
    let step = Duration::from_secs(5000);
    let (monotonic, real) = (clock(libc::CLOCK_MONOTONIC)?, clock(libc::CLOCK_REALTIME)?);
    let ahead = Ahead::by(step)?;
    let passed = clock(libc::CLOCK_MONOTONIC)? - monotonic;
    ensure!(passed < Duration::from_secs(100), "{passed:?}");
    let moved = clock(libc::CLOCK_REALTIME)? - real;
    ensure!(moved >= step && moved <= step + passed + MILLISECOND, "{moved:?}");
    if let Ok(vdso) = vdso() {
        ensure!(vdso.clock(libc::CLOCK_REALTIME).is_ok_and(|now| now >= real + step));
    }
    drop(ahead);
    let total = clock(libc::CLOCK_MONOTONIC)? - monotonic;
    let moved = clock(libc::CLOCK_REALTIME)? - real;
    ensure!(moved.abs_diff(total) < 100 * MILLISECOND, "{moved:?} in {total:?}");
    Ok(())
}

fn sleepers_until_a_time_of_day_notice_a_step() -> Outcome {
    let start = clock(libc::CLOCK_MONOTONIC)?;
    let goal = clock(libc::CLOCK_REALTIME)? + Duration::from_secs(1000);
    let sleeper = fork(move || i32::from(sleep_until(libc::CLOCK_REALTIME, goal).is_err()))?;
    // A length stays a length, of whatever clock.
    let patient = fork(|| {
        let start = clock(libc::CLOCK_MONOTONIC).unwrap_or_default();
        let slept = sleep_on(libc::CLOCK_REALTIME, 400 * MILLISECOND).0.is_ok();
        let passed = clock(libc::CLOCK_MONOTONIC).unwrap_or_default() - start;
        i32::from(!slept || passed < 400 * MILLISECOND)
    })?;
    nanosleep(50 * MILLISECOND)?;
    let ahead = Ahead::by(Duration::from_secs(2000));
    if ahead.is_err() {
        let _ = signals::kill(sleeper.pid(), libc::SIGKILL);
    }
    let _ahead = ahead?;
    ensure_eq!(sleeper.wait()?, Status::Exited(0));
    ensure_eq!(patient.wait()?, Status::Exited(0));
    let passed = clock(libc::CLOCK_MONOTONIC)? - start;
    ensure!(passed < Duration::from_secs(10), "it took {passed:?}");
    Ok(())
}

fn timer_descriptors_are_cancelled_by_a_step() -> Outcome {
    let cancel = libc::TFD_TIMER_ABSTIME | libc::TFD_TIMER_CANCEL_ON_SET;
    let goal = clock(libc::CLOCK_REALTIME)? + Duration::from_secs(1000);
    let new = |flags: i32, first: Duration| -> Result<Fd, Stop> {
        let fd = timer_descriptor(libc::CLOCK_REALTIME, libc::TFD_NONBLOCK)?;
        set_timer_descriptor(fd.raw(), flags, first, Duration::ZERO)?;
        Ok(fd)
    };
    let cancelled = new(cancel, goal)?;
    let absolute = new(libc::TFD_TIMER_ABSTIME, goal)?;
    let relative = new(0, Duration::from_secs(1000))?;
    let ahead = Ahead::by(Duration::from_secs(2000))?;
    let mut number = [0; 8];
    for fd in [cancelled.raw(), absolute.raw()] {
        ensure_eq!(poll(&mut [Wait::readable(fd)], Duration::from_secs(5))?, 1);
    }
    ensure_errno!(read(cancelled.raw(), &mut number), ECANCELED);
    ensure_eq!(read(absolute.raw(), &mut number)?, 8);
    ensure_eq!(u64::from_le_bytes(number), 1);
    ensure_errno!(read(relative.raw(), &mut number), EAGAIN);
    drop(ahead);
    Ok(())
}

fn steering_is_read_back() -> Outcome {
    let mut now = timex();
    let state = adjust(&mut now)?;
    ensure!(state <= 5, "state {state}");
    ensure!((9_000..=11_000).contains(&now.tick), "tick {}", now.tick);
    ensure_eq!(now.tolerance, 500 << 16);
    let shown = Duration::from_secs(now.time.tv_sec as u64);
    ensure!(shown.abs_diff(clock(libc::CLOCK_REALTIME)?) < Duration::from_secs(2), "{shown:?}");
    may_touch_the_clock()?;
    let mut new = timex();
    (new.modes, new.freq) = (libc::ADJ_FREQUENCY, 12 << 16);
    or_skip!(adjust(&mut new), EPERM);
    let mut back = timex();
    adjust(&mut back)?;
    ensure_eq!(back.freq, 12 << 16);
    (new.modes, new.freq) = (libc::ADJ_FREQUENCY, 501 << 16);
    adjust(&mut new)?;
    ensure_eq!(new.freq, 500 << 16);
    (new.modes, new.freq) = (libc::ADJ_FREQUENCY, now.freq);
    adjust(&mut new)?;
    Ok(())
}

/// How much MONOTONIC gains on MONOTONIC_RAW in a time.
fn gain_in(length: Duration) -> Result<f64, Stop> {
    let both = || -> Result<(Duration, Duration), Stop> {
        Ok((clock(libc::CLOCK_MONOTONIC)?, clock(libc::CLOCK_MONOTONIC_RAW)?))
    };
    let (steered, raw) = both()?;
    nanosleep(length)?;
    let (steered_then, raw_then) = both()?;
    Ok((steered_then - steered).as_secs_f64() / (raw_then - raw).as_secs_f64() - 1.0)
}

fn steered_clock_runs_faster_than_raw() -> Outcome {
    let mut old = timex();
    adjust(&mut old)?;
    may_touch_the_clock()?;
    let mut new = timex();
    (new.modes, new.tick) = (libc::ADJ_TICK, 11_000);
    or_skip!(adjust(&mut new), EPERM);
    let gain = gain_in(500 * MILLISECOND);
    (new.modes, new.tick) = (libc::ADJ_TICK, old.tick);
    adjust(&mut new)?;
    let gain = gain?;
    ensure!((0.05..0.15).contains(&gain), "a tenth was asked for, it gained {gain}");
    let normal = gain_in(500 * MILLISECOND)?;
    ensure!(normal.abs() < 0.02, "it goes on gaining {normal}");
    Ok(())
}

fn slewed_clock_gains_what_was_asked() -> Outcome {
    may_touch_the_clock()?;
    let mut slew = timex();
    (slew.modes, slew.offset) = (libc::ADJ_OFFSET_SINGLESHOT, 700);
    or_skip!(adjust(&mut slew), EPERM);
    let mut rest = timex();
    rest.modes = libc::ADJ_OFFSET_SS_READ;
    let deadline = clock(libc::CLOCK_MONOTONIC)? + Duration::from_secs(8);
    loop {
        adjust(&mut rest)?;
        ensure!((0..=700).contains(&rest.offset), "{} µs are left", rest.offset);
        if rest.offset == 0 {
            return Ok(());
        }
        ensure!(clock(libc::CLOCK_MONOTONIC)? < deadline, "{} µs are still left", rest.offset);
        nanosleep(100 * MILLISECOND)?;
    }
}

fn wrong_steering_is_refused() -> Outcome {
    may_touch_the_clock()?;
    for (modes, tick) in [(libc::ADJ_TICK, 8_000), (libc::ADJ_TICK, 12_000)] {
        let mut wrong = timex();
        (wrong.modes, wrong.tick) = (modes, tick);
        ensure_errno!(adjust(&mut wrong), EINVAL | EPERM);
    }
    let mut wrong = timex();
    wrong.modes = 0x8000;
    ensure_errno!(adjust(&mut wrong), EINVAL);
    Ok(())
}

fn processor_time_of_others_is_told() -> Outcome {
    let child = fork(|| {
        work_for(Duration::from_secs(30));
        0
    })?;
    let which = clock_of_process(child.pid());
    let deadline = clock(libc::CLOCK_MONOTONIC)? + Duration::from_secs(10);
    while clock(which)? < 20 * MILLISECOND {
        ensure!(clock(libc::CLOCK_MONOTONIC)? < deadline, "the child's clock shows {:?}", clock(which)?);
        nanosleep(5 * MILLISECOND)?;
    }
    signals::kill(child.pid(), libc::SIGKILL)?;
    ensure_eq!(child.wait()?, Status::Killed(libc::SIGKILL));
    ensure_errno!(clock(which), EINVAL);
    Ok(())
}

fn sleep_on_processor_time_of_another() -> Outcome {
    let child = fork(|| {
        work_for(Duration::from_secs(30));
        0
    })?;
    let which = clock_of_process(child.pid());
    let before = clock(which)?;
    sleep_on(which, 30 * MILLISECOND).0?;
    let used = clock(which)? - before;
    ensure!(used >= 30 * MILLISECOND, "the child used {used:?}");
    signals::kill(child.pid(), libc::SIGKILL)?;
    Ok(())
}

fn accounts_of_processor_time_agree() -> Outcome {
    work_for(120 * MILLISECOND);
    let by_clock = clock(libc::CLOCK_PROCESS_CPUTIME_ID)?;
    let (ticks, _) = process::times()?;
    let usage = process::getrusage(libc::RUSAGE_SELF)?;
    let of = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    let by_usage = of(usage.ru_utime) + of(usage.ru_stime);
    let by_times = Duration::from_millis((ticks.tms_utime + ticks.tms_stime) as u64 * 10);
    let near = 40 * MILLISECOND;
    ensure!(by_clock.abs_diff(by_usage) < near, "{by_clock:?} and {by_usage:?}");
    ensure!(by_clock.abs_diff(by_times) < near, "{by_clock:?} and {by_times:?}");
    Ok(())
}
