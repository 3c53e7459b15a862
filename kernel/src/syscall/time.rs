//! Clocks, sleeping, timers, and what a process has used. Source: clock_gettime(2), clock_nanosleep(2), timer_create(2).

use super::{Call, process::usage};
use crate::clock::{self, SECOND_NS};
use crate::error::{Error, Restart, Result};
use crate::process::credentials::capability;
use crate::process::timers::{Event, Setting, Source};
use crate::process::{Process, Sums, tree};
use crate::sched::Thread;
use crate::sched::wait::WaitQueue;
use abi::errno::Errno;
use abi::resource::{RUSAGE_CHILDREN, RUSAGE_SELF, RUSAGE_THREAD, Rusage};
use abi::signal::{SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD_ID, SigEvent, Signal};
use abi::time::{
    CLOCK_BOOTTIME, CLOCK_BOOTTIME_ALARM, CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE, CLOCK_MONOTONIC_RAW,
    CLOCK_PROCESS_CPUTIME_ID, CLOCK_REALTIME, CLOCK_REALTIME_ALARM, CLOCK_REALTIME_COARSE, CLOCK_TAI,
    CLOCK_THREAD_CPUTIME_ID, ITIMER_REAL, Itimerspec, Itimerval, TIMER_ABSTIME, Timespec, Timeval, Timezone,
    Tms, USER_HZ,
};
use alloc::sync::Arc;

/// A clock that can be asked.
enum Clock {
    Realtime,
    Monotonic,
    /// CPU time of a process, or its user time only.
    Process(Arc<Process>, Part),
    Thread(Arc<Thread>, Part),
}

/// Which part of the CPU time counts.
#[derive(Clone, Copy)]
enum Part {
    All,
    User,
}

impl Clock {
    fn find(call: &Call<'_>, id: i32) -> Result<Clock> {
        match id {
            CLOCK_REALTIME | CLOCK_REALTIME_COARSE | CLOCK_REALTIME_ALARM | CLOCK_TAI => Ok(Clock::Realtime),
            CLOCK_MONOTONIC
            | CLOCK_MONOTONIC_RAW
            | CLOCK_MONOTONIC_COARSE
            | CLOCK_BOOTTIME
            | CLOCK_BOOTTIME_ALARM => Ok(Clock::Monotonic),
            CLOCK_PROCESS_CPUTIME_ID => Ok(Clock::Process(call.process().clone(), Part::All)),
            CLOCK_THREAD_CPUTIME_ID => Ok(Clock::Thread(call.thread.clone(), Part::All)),
            id if id < 0 => Clock::of_number(call, id),
            _ => Err(Errno::EINVAL.into()),
        }
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
        match (id & IS_THREAD != 0, number) {
            (true, 0) => Ok(Clock::Thread(call.thread.clone(), part)),
            (true, tid) => Ok(Clock::Thread(tree::find_thread(tid).ok_or(Errno::EINVAL)?, part)),
            (false, 0) => Ok(Clock::Process(call.process().clone(), part)),
            (false, pid) => Ok(Clock::Process(tree::find(pid).ok_or(Errno::EINVAL)?, part)),
        }
    }

    fn now(&self) -> u64 {
        let count = |(user_ns, system_ns): (u64, u64), part: Part| match part {
            Part::All => user_ns + system_ns,
            Part::User => user_ns,
        };
        match self {
            Clock::Realtime => clock::realtime_ns(),
            Clock::Monotonic => clock::monotonic_ns(),
            Clock::Process(process, part) => count(process.times_now(), *part),
            Clock::Thread(thread, part) => count(thread.times_at(clock::monotonic_ns()), *part),
        }
    }
}

/// clock_gettime(2): clock, where the time goes.
pub(super) fn clock_gettime(call: &mut Call<'_>) -> Result<u64> {
    let now = Clock::find(call, call.int(0))?.now();
    call.write(1, &Timespec::from_nanos(now))?;
    Ok(0)
}

/// clock_getres(2): clock, where the resolution goes.
pub(super) fn clock_getres(call: &mut Call<'_>) -> Result<u64> {
    Clock::find(call, call.int(0))?;
    call.write_optional(1, &Timespec::from_nanos(1))?;
    Ok(0)
}

/// clock_settime(2): clock, time.
pub(super) fn clock_settime(call: &mut Call<'_>) -> Result<u64> {
    if call.int(0) != CLOCK_REALTIME {
        return Err(Errno::EINVAL.into());
    }
    let time: Timespec = call.read(1)?;
    let nanoseconds = time.to_nanos().ok_or(Errno::EINVAL)?;
    set_time(call, nanoseconds)
}

fn set_time(call: &Call<'_>, realtime_ns: u64) -> Result<u64> {
    if !call.process().credentials().has(capability::SYS_TIME) {
        return Err(Errno::EPERM.into());
    }
    clock::set_realtime_ns(realtime_ns);
    Ok(0)
}

/// gettimeofday(2): time, time zone.
pub(super) fn gettimeofday(call: &mut Call<'_>) -> Result<u64> {
    call.write_optional(0, &Timeval::from_nanos(clock::realtime_ns()))?;
    call.write_optional(1, &Timezone::default())?;
    Ok(0)
}

/// settimeofday(2): time, time zone (which has no effect: the hardware clock keeps UTC).
pub(super) fn settimeofday(call: &mut Call<'_>) -> Result<u64> {
    match call.read_optional::<Timeval>(0)? {
        Some(time) => set_time(call, time.to_nanos().ok_or(Errno::EINVAL)?),
        None => Ok(0),
    }
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
    if matches!(clock, Clock::Thread(..)) {
        return Err(Errno::EINVAL.into());
    }
    if matches!(clock, Clock::Process(..)) {
        return Err(Error::new(Errno::EOPNOTSUPP, "sleeping on CPU time"));
    }
    let is_absolute = call.int(1) & TIMER_ABSTIME != 0;
    if !is_absolute {
        return sleep(call, clock::monotonic_ns().saturating_add(nanoseconds), call.arg(3));
    }
    let deadline = match clock {
        Clock::Realtime => clock::monotonic_at(nanoseconds),
        _ => nanoseconds,
    };
    sleep_interruptibly(deadline).map_err(|error| error.restarting(Some(Restart::WithoutHandler)))?;
    Ok(0)
}

/// Sleeps; a signal without handler lets it go on, one with a handler ends it and tells the rest.
fn sleep(call: &mut Call<'_>, deadline_ns: u64, rest_address: u64) -> Result<u64> {
    let Err(error) = sleep_interruptibly(deadline_ns) else { return Ok(0) };
    if rest_address != 0 {
        let rest = deadline_ns.saturating_sub(clock::monotonic_ns());
        let rest = Timespec::from_nanos(rest);
        machine::mm::user::copy_to(rest_address, zerocopy::IntoBytes::as_bytes(&rest))?;
    }
    Err(call.resume_later(error, move |call| sleep(call, deadline_ns, rest_address)))
}

/// Sleeps until a point of the monotonic clock, or a signal.
fn sleep_interruptibly(deadline_ns: u64) -> Result<()> {
    static QUEUE: WaitQueue = WaitQueue::named("nanosleep");
    match QUEUE.wait_interruptible(|| None::<()>, Some(deadline_ns)) {
        Ok(()) => Ok(()),
        Err(error) if error.errno == Errno::ETIMEDOUT => Ok(()),
        Err(error) => Err(error),
    }
}

/// times(2).
pub(super) fn times(call: &mut Call<'_>) -> Result<u64> {
    let ticks = |ns: u64| (ns / (SECOND_NS / USER_HZ)) as i64;
    let (user_ns, system_ns) = call.process().times_now();
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
    call.write(1, &to_itimerval(timer.setting(), timer.now()))?;
    Ok(0)
}

/// setitimer(2): which, new, old.
pub(super) fn setitimer(call: &mut Call<'_>) -> Result<u64> {
    let timer = call.process().timers().interval(call.int(0))?;
    // NULL stops the timer, as on Linux.
    let new = call.read_optional::<Itimerval>(1)?.unwrap_or_default();
    let interval_ns = new.interval.to_nanos().ok_or(Errno::EINVAL)?;
    let value_ns = new.value.to_nanos().ok_or(Errno::EINVAL)?;
    let now = timer.now();
    let expiry_ns = if value_ns == 0 { 0 } else { now.saturating_add(value_ns) };
    let old = timer.set(Setting { expiry_ns, interval_ns });
    call.write_optional(2, &to_itimerval(old, now))?;
    Ok(0)
}

/// alarm(2): seconds; answers the seconds that were left.
pub(super) fn alarm(call: &mut Call<'_>) -> Result<u64> {
    let timer = call.process().timers().interval(ITIMER_REAL)?;
    let now = timer.now();
    let expiry_ns = match call.uint(0) {
        0 => 0,
        seconds => now.saturating_add(u64::from(seconds) * SECOND_NS),
    };
    let (left, _) = rest(timer.set(Setting { expiry_ns, interval_ns: 0 }), now);
    // Rounded, but never to 0 while something is left.
    let seconds = (left + SECOND_NS / 2) / SECOND_NS;
    Ok(if left > 0 { seconds.max(1) } else { 0 })
}

/// timer_create(2): clock, event, where the number goes.
pub(super) fn timer_create(call: &mut Call<'_>) -> Result<u64> {
    let source = match Clock::find(call, call.int(0))? {
        Clock::Realtime => Source::Realtime,
        Clock::Monotonic => Source::Monotonic,
        Clock::Process(process, _) if process.pid() == call.process().pid() => Source::CpuTime,
        Clock::Process(..) | Clock::Thread(..) => {
            return Err(Error::new(Errno::EOPNOTSUPP, "timers on another's CPU time, or on one thread's"));
        }
    };
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
    let now = timer.now();
    let expiry_ns = match value_ns {
        0 => 0,
        value if call.int(1) & TIMER_ABSTIME != 0 => value,
        value => now.saturating_add(value),
    };
    let old = timer.set(Setting { expiry_ns, interval_ns });
    call.write_optional(3, &to_itimerspec(old, now))?;
    Ok(0)
}

/// timer_gettime(2): timer, where it goes.
pub(super) fn timer_gettime(call: &mut Call<'_>) -> Result<u64> {
    let timer = call.process().timers().posix(call.int(0))?;
    call.write(1, &to_itimerspec(timer.setting(), timer.now()))?;
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
