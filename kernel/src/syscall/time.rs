//! Clocks, sleeping, timers, and what a process has used. Source: clock_gettime(2), clock_nanosleep(2), timer_create(2).

use super::{Call, process::usage, timex};
use crate::clock::{self, SECOND_NS};
use crate::error::{Error, Restart, Result};
use crate::process::cpu_clock::{CpuClock, Part};
use crate::process::credentials::capability;
use crate::process::timers::{Counting, Event, Setting, Source};
use crate::process::{Sums, tree};
use crate::sched::timer::{Base, Deadline};
use crate::sched::wait::WaitQueue;
use abi::errno::Errno;
use abi::resource::{RUSAGE_CHILDREN, RUSAGE_SELF, RUSAGE_THREAD, Rusage};
use abi::signal::{SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD_ID, SigEvent, Signal};
use abi::time::{
    CLOCK_BOOTTIME, CLOCK_BOOTTIME_ALARM, CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE, CLOCK_MONOTONIC_RAW,
    CLOCK_PROCESS_CPUTIME_ID, CLOCK_REALTIME, CLOCK_REALTIME_ALARM, CLOCK_REALTIME_COARSE, CLOCK_TAI,
    CLOCK_THREAD_CPUTIME_ID, ITIMER_REAL, Itimerspec, Itimerval, TIMER_ABSTIME, Timespec, Timeval, Timex,
    Timezone, Tms, USER_HZ,
};
use core::sync::atomic::{AtomicBool, Ordering};
use machine::time::{COARSE_NS, Reading};
use timekeeping::discipline::{self, Discipline};

/// A clock that can be asked.
enum Clock {
    /// One that always runs.
    Real(Reading),
    /// CPU time.
    Cpu(CpuClock),
}

impl Clock {
    fn find(call: &Call<'_>, id: i32) -> Result<Clock> {
        Ok(Clock::Real(match id {
            CLOCK_REALTIME | CLOCK_REALTIME_ALARM => Reading::Realtime,
            CLOCK_MONOTONIC | CLOCK_BOOTTIME | CLOCK_BOOTTIME_ALARM => Reading::Monotonic,
            CLOCK_MONOTONIC_RAW => Reading::Raw,
            CLOCK_REALTIME_COARSE => Reading::RealtimeCoarse,
            CLOCK_MONOTONIC_COARSE => Reading::MonotonicCoarse,
            CLOCK_TAI => Reading::Tai,
            CLOCK_PROCESS_CPUTIME_ID => {
                return Ok(Clock::Cpu(CpuClock::of_process(call.process(), Part::All)));
            }
            CLOCK_THREAD_CPUTIME_ID => return Ok(Clock::Cpu(CpuClock::of_thread(call.thread, Part::All))),
            id if id < 0 => return Clock::of_number(call, id),
            _ => return Err(Errno::EINVAL.into()),
        }))
    }

    /// Ids below 0 carry a process or thread number: `!number << 3`, bit 2 for a thread, two bits for the kind.
    fn of_number(call: &Call<'_>, id: i32) -> Result<Clock> {
        const IS_THREAD: i32 = 4;
        const USER_ONLY: i32 = 1;
        const NO_KIND: i32 = 3;
        let number = !(id >> 3);
        let part = match id & 3 {
            NO_KIND => return Err(Errno::EINVAL.into()),
            USER_ONLY => Part::User,
            _ => Part::All,
        };
        Ok(Clock::Cpu(match (id & IS_THREAD != 0, number) {
            (true, 0) => CpuClock::of_thread(call.thread, part),
            (true, tid) => {
                // Only threads of one's own process have a clock for others to see.
                let thread = tree::find_thread(tid).ok_or(Errno::EINVAL)?;
                let is_ours = thread.process().is_some_and(|process| process.pid() == call.process().pid());
                CpuClock::of_thread(&if is_ours { Ok(thread) } else { Err(Errno::EINVAL) }?, part)
            }
            (false, 0) => CpuClock::of_process(call.process(), part),
            (false, pid) => CpuClock::of_process(&tree::find(pid).ok_or(Errno::EINVAL)?, part),
        }))
    }

    fn now(&self) -> Result<u64> {
        match self {
            Clock::Real(reading) => Ok(machine::time::read(*reading)),
            Clock::Cpu(clock) => clock.now().ok_or(Errno::EINVAL.into()),
        }
    }

    fn resolution_ns(&self) -> u64 {
        match self {
            Clock::Real(Reading::RealtimeCoarse | Reading::MonotonicCoarse) => COARSE_NS,
            _ => 1,
        }
    }

    /// The clock that timers on it wait for; `None`: it has none.
    fn base(reading: Reading) -> Option<Base> {
        match reading {
            Reading::Realtime => Some(Base::Realtime),
            Reading::Monotonic => Some(Base::Monotonic),
            Reading::Tai => Some(Base::Tai),
            Reading::Raw | Reading::RealtimeCoarse | Reading::MonotonicCoarse => None,
        }
    }
}

/// Timers on the alarm clocks could wake the machine: not everybody may set them.
pub(super) fn check_alarm(call: &Call<'_>, id: i32) -> Result<()> {
    let is_alarm = matches!(id, CLOCK_REALTIME_ALARM | CLOCK_BOOTTIME_ALARM);
    if is_alarm && !call.process().credentials().has(capability::WAKE_ALARM) {
        return Err(Error::new(Errno::EPERM, "CAP_WAKE_ALARM"));
    }
    Ok(())
}

/// clock_gettime(2): clock, where the time goes.
pub(super) fn clock_gettime(call: &mut Call<'_>) -> Result<u64> {
    let now = Clock::find(call, call.int(0))?.now()?;
    call.write(1, &Timespec::from_nanos(now))?;
    Ok(0)
}

/// clock_getres(2): clock, where the resolution goes.
pub(super) fn clock_getres(call: &mut Call<'_>) -> Result<u64> {
    let resolution_ns = Clock::find(call, call.int(0))?.resolution_ns();
    call.write_optional(1, &Timespec::from_nanos(resolution_ns))?;
    Ok(0)
}

/// clock_settime(2): clock, time.
pub(super) fn clock_settime(call: &mut Call<'_>) -> Result<u64> {
    match Clock::find(call, call.int(0))? {
        Clock::Real(_) if call.int(0) == CLOCK_REALTIME => {}
        Clock::Cpu(_) if call.int(0) >= 0 => return Err(Error::new(Errno::EINVAL, "CPU time cannot be set")),
        Clock::Real(_) => return Err(Error::new(Errno::EINVAL, "a clock that cannot be set")),
        Clock::Cpu(_) => return Err(Error::new(Errno::EPERM, "CPU time cannot be set")),
    }
    let time: Timespec = call.read(1)?;
    let nanoseconds = time.to_nanos().ok_or(Errno::EINVAL)?;
    check_time_right(call)?;
    clock::set_realtime_ns(nanoseconds)?;
    Ok(0)
}

fn check_time_right(call: &Call<'_>) -> Result<()> {
    if !call.process().credentials().has(capability::SYS_TIME) {
        return Err(Error::new(Errno::EPERM, "CAP_SYS_TIME"));
    }
    Ok(())
}

/// gettimeofday(2): time, time zone.
pub(super) fn gettimeofday(call: &mut Call<'_>) -> Result<u64> {
    call.write_optional(0, &Timeval::from_nanos(clock::realtime_ns()))?;
    let (minuteswest, dsttime) = machine::time::time_zone();
    call.write_optional(1, &Timezone { minuteswest, dsttime })?;
    Ok(0)
}

/// settimeofday(2): time, time zone. The first call with a zone alone says that the hardware clock shows local time, as
/// the system had it until then: the time of day is moved by the zone.
pub(super) fn settimeofday(call: &mut Call<'_>) -> Result<u64> {
    static HAS_ZONE: AtomicBool = AtomicBool::new(false);
    const MOST_MINUTES: i32 = 15 * 60;
    let time = match call.read_optional::<Timeval>(0)? {
        Some(time) => Some(time.to_nanos().ok_or(Errno::EINVAL)?),
        None => None,
    };
    let zone = call.read_optional::<Timezone>(1)?;
    check_time_right(call)?;
    if let Some(zone) = zone {
        if !(-MOST_MINUTES..=MOST_MINUTES).contains(&zone.minuteswest) {
            return Err(Error::new(Errno::EINVAL, "no time zone"));
        }
        machine::time::set_time_zone(zone.minuteswest, zone.dsttime);
        if !HAS_ZONE.swap(true, Ordering::Relaxed) && time.is_none() && zone.minuteswest != 0 {
            clock::step(i128::from(zone.minuteswest) * 60 * i128::from(SECOND_NS))?;
        }
    }
    if let Some(time) = time {
        clock::set_realtime_ns(time)?;
    }
    Ok(0)
}

/// adjtimex(2): what to set, and what is then.
pub(super) fn adjtimex(call: &mut Call<'_>) -> Result<u64> {
    adjust(call, 0)
}

/// clock_adjtime(2): clock, as adjtimex(2).
pub(super) fn clock_adjtime(call: &mut Call<'_>) -> Result<u64> {
    Clock::find(call, call.int(0))?;
    if call.int(0) != CLOCK_REALTIME {
        return Err(Error::new(Errno::EOPNOTSUPP, "only the time of day is steered"));
    }
    adjust(call, 1)
}

fn adjust(call: &Call<'_>, argument: usize) -> Result<u64> {
    let mut timex: Timex = call.read(argument)?;
    let request = timex::to_request(&timex);
    Discipline::check(&request).map_err(|discipline::Invalid| Errno::EINVAL)?;
    if !Discipline::only_asks(&request) {
        check_time_right(call)?;
    }
    if request.modes & discipline::mode::SETOFFSET != 0 && request.modes & discipline::mode::ADJTIME == 0 {
        let (unit_ns, most) = if request.modes & discipline::mode::NANO != 0 {
            (1, SECOND_NS as i64)
        } else {
            (1000, 1_000_000)
        };
        if !(0..most).contains(&timex.time_fraction) {
            return Err(Error::new(Errno::EINVAL, "no fraction of a second"));
        }
        clock::step(
            i128::from(timex.time_s) * i128::from(SECOND_NS) + i128::from(timex.time_fraction * unit_ns),
        )?;
    }
    let answer = clock::adjust(&request);
    timex::fill(&mut timex, &answer, clock::realtime_ns());
    call.write(argument, &timex)?;
    Ok(answer.state as u64)
}

/// time(2).
pub(super) fn time(call: &mut Call<'_>) -> Result<u64> {
    let seconds = clock::realtime_ns() / SECOND_NS;
    call.write_optional(0, &seconds)?;
    Ok(seconds)
}

/// nanosleep(2): length, where the rest goes.
pub(super) fn nanosleep(call: &mut Call<'_>) -> Result<u64> {
    let length: Timespec = call.read(0)?;
    let length_ns = length.to_nanos().ok_or(Errno::EINVAL)?;
    sleep(call, clock::monotonic_ns().saturating_add(length_ns), call.arg(1))
}

/// clock_nanosleep(2): clock, flags, time, where the rest goes.
pub(super) fn clock_nanosleep(call: &mut Call<'_>) -> Result<u64> {
    let time: Timespec = call.read(2)?;
    let nanoseconds = time.to_nanos().ok_or(Errno::EINVAL)?;
    let clock = Clock::find(call, call.int(0))?;
    check_alarm(call, call.int(0))?;
    let is_absolute = call.int(1) & TIMER_ABSTIME != 0;
    let base = match clock {
        Clock::Real(reading) => {
            Clock::base(reading).ok_or(Error::new(Errno::EOPNOTSUPP, "a clock without timers"))?
        }
        Clock::Cpu(clock) => return sleep_on_cpu_time(call, clock, nanoseconds, is_absolute),
    };
    if !is_absolute {
        return sleep(call, clock::monotonic_ns().saturating_add(nanoseconds), call.arg(3));
    }
    sleep_interruptibly(Deadline { base, ns: nanoseconds })
        .map_err(|error| error.restarting(Some(Restart::WithoutHandler)))?;
    Ok(0)
}

/// Sleeps until a process, or another thread, has used so much CPU time.
fn sleep_on_cpu_time(call: &mut Call<'_>, clock: CpuClock, ns: u64, is_absolute: bool) -> Result<u64> {
    if clock.is_of_thread(call.thread) {
        return Err(Error::new(Errno::EINVAL, "a thread that sleeps uses no CPU time"));
    }
    let now = clock.now().ok_or(Errno::EINVAL)?;
    let target_ns = if is_absolute { ns } else { now.saturating_add(ns) };
    let rest_address = if is_absolute { 0 } else { call.arg(3) };
    wait_for_cpu_time(call, clock, target_ns, rest_address)
}

fn wait_for_cpu_time(call: &mut Call<'_>, clock: CpuClock, target_ns: u64, rest_address: u64) -> Result<u64> {
    /// Nobody knows when the time will have been used: it is looked at so often, in nanoseconds.
    const PAUSE_NS: u64 = 1_000_000;
    loop {
        let rest_ns = match clock.now() {
            Some(now) if now < target_ns => target_ns - now,
            _ => return Ok(0),
        };
        let pause_ns = (rest_ns / clock.width()).max(PAUSE_NS);
        let Err(error) =
            sleep_interruptibly(Deadline::monotonic(clock::monotonic_ns().saturating_add(pause_ns)))
        else {
            continue;
        };
        if rest_address != 0 {
            let rest = Timespec::from_nanos(rest_ns);
            machine::mm::user::copy_to(rest_address, zerocopy::IntoBytes::as_bytes(&rest))?;
        }
        return Err(call.resume_later(error, move |call| {
            wait_for_cpu_time(call, clock.clone(), target_ns, rest_address)
        }));
    }
}

/// Sleeps; a signal without handler lets it go on, one with a handler ends it and tells the rest.
fn sleep(call: &mut Call<'_>, deadline_ns: u64, rest_address: u64) -> Result<u64> {
    let Err(error) = sleep_interruptibly(Deadline::monotonic(deadline_ns)) else { return Ok(0) };
    if rest_address != 0 {
        let rest = deadline_ns.saturating_sub(clock::monotonic_ns());
        let rest = Timespec::from_nanos(rest);
        machine::mm::user::copy_to(rest_address, zerocopy::IntoBytes::as_bytes(&rest))?;
    }
    Err(call.resume_later(error, move |call| sleep(call, deadline_ns, rest_address)))
}

/// Sleeps until a point of a clock, or a signal.
fn sleep_interruptibly(deadline: Deadline) -> Result<()> {
    static QUEUE: WaitQueue = WaitQueue::named("nanosleep");
    match QUEUE.wait_interruptible_until(|| None::<()>, Some(deadline)) {
        Ok(()) => Ok(()),
        Err(error) if error.errno == Errno::ETIMEDOUT => Ok(()),
        Err(error) => Err(error),
    }
}

/// times(2).
pub(super) fn times(call: &mut Call<'_>) -> Result<u64> {
    let ticks = |ns: u64| (ns / (SECOND_NS / USER_HZ)) as i64;
    let (user_ns, system_ns) = call.process().times();
    let children = call.process().children_sums();
    let tms = Tms {
        utime: ticks(user_ns),
        stime: ticks(system_ns),
        cutime: ticks(children.user_ns),
        cstime: ticks(children.system_ns),
    };
    call.write_optional(0, &tms)?;
    Ok(ticks(clock::monotonic_ns()) as u64)
}

/// getrusage(2): whose, where it goes.
pub(super) fn getrusage(call: &mut Call<'_>) -> Result<u64> {
    let process = call.process();
    let space = process.address_space();
    let resident_kib = (space.usage().resident_peak / 1024).max(process.largest_resident_kib());
    let mut answer: Rusage = match call.int(0) {
        RUSAGE_SELF => usage(process.sums(), resident_kib),
        RUSAGE_CHILDREN => usage(process.children_sums(), process.largest_child_resident_kib()),
        RUSAGE_THREAD => usage(Sums::of(call.thread), resident_kib),
        _ => return Err(Errno::EINVAL.into()),
    };
    if call.int(0) != RUSAGE_CHILDREN {
        let (minor, major) = space.fault_counts();
        (answer.minflt, answer.majflt) = (minor as i64, major as i64);
    }
    call.write(1, &answer)?;
    Ok(0)
}

/// A setting relative to now, as programs read it: what is left, and the period.
fn rest(setting: Setting, now: u64) -> (u64, u64) {
    match setting.expiry_ns {
        0 => (0, setting.interval_ns),
        // A timer that is set never shows 0.
        expiry => (expiry.saturating_sub(now).max(1), setting.interval_ns),
    }
}

fn to_itimerval(setting: Setting, now: u64) -> Itimerval {
    let (left, interval) = rest(setting, now);
    // Rounded up, so that it is not 0 either.
    let value = if left == 0 { Timeval::default() } else { Timeval::from_nanos(left.saturating_add(999)) };
    Itimerval { interval: Timeval::from_nanos(interval), value }
}

/// getitimer(2): which, where it goes.
pub(super) fn getitimer(call: &mut Call<'_>) -> Result<u64> {
    let timer = call.process().timers().interval(call.int(0))?;
    let setting = timer.setting();
    call.write(1, &to_itimerval(setting, timer.now(setting.counting)))?;
    Ok(0)
}

/// setitimer(2): which, new, old.
pub(super) fn setitimer(call: &mut Call<'_>) -> Result<u64> {
    let timer = call.process().timers().interval(call.int(0))?;
    // NULL stops the timer, as on Linux.
    let new = call.read_optional::<Itimerval>(1)?.unwrap_or_default();
    let interval_ns = new.interval.to_nanos().ok_or(Errno::EINVAL)?;
    let value_ns = new.value.to_nanos().ok_or(Errno::EINVAL)?;
    let now = timer.now(Counting::FromNow);
    let expiry_ns = if value_ns == 0 { 0 } else { now.saturating_add(value_ns) };
    let old = timer.set(Setting { expiry_ns, interval_ns, counting: Counting::FromNow });
    call.write_optional(2, &to_itimerval(old, now))?;
    Ok(0)
}

/// alarm(2): seconds; answers the seconds that were left.
pub(super) fn alarm(call: &mut Call<'_>) -> Result<u64> {
    let timer = call.process().timers().interval(ITIMER_REAL)?;
    let now = timer.now(Counting::FromNow);
    let expiry_ns = match call.uint(0) {
        0 => 0,
        seconds => now.saturating_add(u64::from(seconds) * SECOND_NS),
    };
    let (left, _) = rest(timer.set(Setting { expiry_ns, interval_ns: 0, counting: Counting::FromNow }), now);
    // Rounded, but never to 0 while something is left.
    let seconds = (left + SECOND_NS / 2) / SECOND_NS;
    Ok(if left > 0 { seconds.max(1) } else { 0 })
}

/// timer_create(2): clock, event, where the number goes.
pub(super) fn timer_create(call: &mut Call<'_>) -> Result<u64> {
    let source = match Clock::find(call, call.int(0))? {
        Clock::Real(reading) => Source::Clock(
            Clock::base(reading).ok_or(Error::new(Errno::EOPNOTSUPP, "a clock without timers"))?,
        ),
        Clock::Cpu(clock) => Source::Cpu(clock),
    };
    check_alarm(call, call.int(0))?;
    let event = match call.read_optional::<SigEvent>(1)? {
        Some(event) => {
            check_event(call, &event)?;
            Event::Given(event)
        }
        None => Event::Default,
    };
    let id = call.process().timers().create(source, event)?;
    if let Err(error) = call.write(2, &id) {
        call.process().timers().delete(id)?;
        return Err(error);
    }
    Ok(0)
}

fn check_event(call: &Call<'_>, event: &SigEvent) -> Result<()> {
    let has_signal = Signal::new(event.signo as u32).is_some();
    match event.notify {
        SIGEV_NONE => Ok(()),
        SIGEV_SIGNAL if has_signal => Ok(()),
        SIGEV_THREAD_ID if has_signal => {
            let thread = tree::find_thread(event.tid).ok_or(Errno::EINVAL)?;
            let is_ours = thread.process().is_some_and(|process| process.pid() == call.process().pid());
            if is_ours { Ok(()) } else { Err(Errno::EINVAL.into()) }
        }
        _ => Err(Errno::EINVAL.into()),
    }
}

fn to_itimerspec(setting: Setting, now: u64) -> Itimerspec {
    let (left, interval) = rest(setting, now);
    Itimerspec { interval: Timespec::from_nanos(interval), value: Timespec::from_nanos(left) }
}

/// timer_settime(2): timer, flags, new, old.
pub(super) fn timer_settime(call: &mut Call<'_>) -> Result<u64> {
    let timer = call.process().timers().posix(call.int(0))?;
    let new: Itimerspec = call.read(2)?;
    let interval_ns = new.interval.to_nanos().ok_or(Errno::EINVAL)?;
    let value_ns = new.value.to_nanos().ok_or(Errno::EINVAL)?;
    let counting = if call.int(1) & TIMER_ABSTIME != 0 { Counting::OnClock } else { Counting::FromNow };
    let expiry_ns = match (value_ns, counting) {
        (0, _) => 0,
        (value, Counting::OnClock) => value,
        (value, Counting::FromNow) => timer.now(counting).saturating_add(value),
    };
    let old = timer.setting();
    let left = to_itimerspec(old, timer.now(old.counting));
    timer.set(Setting { expiry_ns, interval_ns, counting });
    call.write_optional(3, &left)?;
    Ok(0)
}

/// timer_gettime(2): timer, where it goes.
pub(super) fn timer_gettime(call: &mut Call<'_>) -> Result<u64> {
    let timer = call.process().timers().posix(call.int(0))?;
    let setting = timer.setting();
    call.write(1, &to_itimerspec(setting, timer.now(setting.counting)))?;
    Ok(0)
}

/// timer_getoverrun(2).
pub(super) fn timer_getoverrun(call: &mut Call<'_>) -> Result<u64> {
    Ok(call.process().timers().posix(call.int(0))?.overruns() as u64)
}

/// timer_delete(2).
pub(super) fn timer_delete(call: &mut Call<'_>) -> Result<u64> {
    call.process().timers().delete(call.int(0))?;
    Ok(0)
}
