//! The clocks of the system, and how programs set and steer them.
//!
//! The machine counts monotonic time and keeps what the time of day is ahead of it (`machine::time`); here are the rules:
//! the CMOS clock gives the time of day at boot and gets it back at a clean end if somebody has set it; adjtimex's loop
//! ([`timekeeping::discipline`]) turns the rate; a step makes all timers on the time of day look again.
//!
//! Locking: the loop's lock is held while the machine's clock is changed, and is taken in interrupt context.

mod counter;
#[cfg(feature = "tests")]
mod tests;

pub(crate) use counter::init;

use crate::error::{Error, Result};
use crate::sched::timer::{Deadline, Timer};
use abi::errno::Errno;
use abi::time::Timespec;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use machine::sync::{IrqSpinLock, Once};
use machine::time::{self, Reading};
use timekeeping::calendar::DateTime;
use timekeeping::discipline::{Answer, Discipline, Request};

/// Nanoseconds in a second.
pub(crate) const SECOND_NS: u64 = timekeeping::rate::SECOND_NS;
/// The time of day cannot be set later than this, so that it does not run out while the system runs: 2^63 ns, less
/// thirty years, as on Linux.
const LATEST_NS: u64 = i64::MAX as u64 - 30 * 365 * 86_400 * SECOND_NS;

static DISCIPLINE: IrqSpinLock<Discipline> = IrqSpinLock::new("clock discipline", Discipline::new());
/// Goes off when the next second of the time of day begins, while the loop has something to do.
static SECONDS: Once<Timer> = Once::new();
/// How often the time of day has been set.
static SETTINGS: AtomicU64 = AtomicU64::new(0);
/// The time of day is no longer the CMOS clock's.
static WAS_SET: AtomicBool = AtomicBool::new(false);

/// Nanoseconds since boot.
#[inline]
pub(crate) fn monotonic_ns() -> u64 {
    time::monotonic_ns()
}

/// Nanoseconds since 1970-01-01 UTC.
#[inline]
pub(crate) fn realtime_ns() -> u64 {
    time::read(Reading::Realtime)
}

/// The time of day as files' time stamps have it.
pub(crate) fn realtime() -> Timespec {
    Timespec::from_nanos(realtime_ns())
}

/// When the system was started, in nanoseconds since 1970-01-01 UTC.
pub(crate) fn boot_time_ns() -> u64 {
    realtime_ns().saturating_sub(monotonic_ns())
}

/// Counts how often the time of day was set: who remembers the number sees whether it was since.
pub(crate) fn settings() -> u64 {
    SETTINGS.load(Ordering::SeqCst)
}

/// Whether a time of day can be set: not before boot, and not so late that it would run out.
fn check_settable(realtime_ns: u64, monotonic_ns: u64) -> Result<()> {
    if realtime_ns < monotonic_ns || realtime_ns > LATEST_NS {
        return Err(Error::new(Errno::EINVAL, "no time of day that the clock can show"));
    }
    Ok(())
}

/// Sets the time of day.
///
/// # Errors
/// EINVAL: before boot, or too far ahead.
pub(crate) fn set_realtime_ns(realtime_ns: u64) -> Result<()> {
    check_settable(realtime_ns, monotonic_ns())?;
    let mut discipline = DISCIPLINE.lock();
    time::set_realtime_offset(|_, monotonic_ns| realtime_ns.saturating_sub(monotonic_ns));
    discipline.clock_was_set(realtime_ns / SECOND_NS);
    time::steer(discipline.correction());
    drop(discipline);
    after_step();
    Ok(())
}

/// Moves the time of day by some nanoseconds.
///
/// # Errors
/// EINVAL: as [`set_realtime_ns`].
pub(crate) fn step(by_ns: i128) -> Result<()> {
    let invalid = Error::new(Errno::EINVAL, "a step out of all bounds");
    let target = i128::from(realtime_ns()).checked_add(by_ns).and_then(|target| u64::try_from(target).ok());
    check_settable(target.ok_or(invalid)?, monotonic_ns())?;
    let by_ns = i64::try_from(by_ns).map_err(|_| invalid)?;
    let mut discipline = DISCIPLINE.lock();
    time::set_realtime_offset(|offset_ns, _| offset_ns.saturating_add_signed(by_ns));
    discipline.clock_was_set(realtime_ns() / SECOND_NS);
    time::steer(discipline.correction());
    drop(discipline);
    after_step();
    Ok(())
}

/// The time of day has jumped: timers on it may be due, and whoever waits for that is told.
fn after_step() {
    WAS_SET.store(true, Ordering::Relaxed);
    SETTINGS.fetch_add(1, Ordering::SeqCst);
    crate::sched::timer::clock_was_set();
    crate::fs::event::timer::clock_was_set();
    plan_second();
}

/// Does what adjtimex asks for, steps aside; the request has been checked.
pub(crate) fn adjust(request: &Request) -> Answer {
    let mut discipline = DISCIPLINE.lock();
    let answer = discipline.adjust(request, realtime_ns() / SECOND_NS);
    if !Discipline::only_asks(request) {
        time::steer(discipline.correction());
        time::set_tai_offset(discipline.tai_offset_s());
    }
    drop(discipline);
    if !Discipline::only_asks(request) {
        // Timers were set by the rate before.
        crate::sched::timer::clock_was_set();
        plan_second();
    }
    answer
}

/// Sets the timer to the next second of the time of day, if the loop needs it.
fn plan_second() {
    let timer = SECONDS.call_once(|| Timer::new(Arc::new(begin_second)));
    if DISCIPLINE.lock().needs_seconds() {
        timer.set(Deadline::realtime((realtime_ns() / SECOND_NS + 1) * SECOND_NS));
    } else {
        timer.cancel();
    }
}

/// A second of the time of day begins, and the loop has something to do. In interrupt context.
fn begin_second() {
    let mut discipline = DISCIPLINE.lock();
    let second = discipline.second(realtime_ns() / SECOND_NS);
    time::steer(second.correction);
    time::set_tai_offset(discipline.tai_offset_s());
    drop(discipline);
    if second.step_s != 0 {
        time::set_realtime_offset(|offset_ns, _| {
            offset_ns.saturating_add_signed(second.step_s * SECOND_NS as i64)
        });
        ::log::info!("clock: leap second: {:+} s", second.step_s);
        after_step();
    } else {
        crate::sched::timer::clock_was_set();
        plan_second();
    }
}

/// Takes the time of day from the CMOS clock, at boot.
fn take_from_rtc() {
    match time::read_rtc() {
        Ok(date) => {
            let seconds = date.to_unix();
            time::set_realtime_offset(|_, monotonic_ns| {
                seconds.saturating_mul(SECOND_NS).saturating_sub(monotonic_ns)
            });
            let DateTime { year, month, day, hour, minute, second } = date;
            ::log::info!(
                "clock: {year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC by the CMOS clock"
            );
        }
        Err(error) => ::log::warn!("clock: no time of day: CMOS clock {error:?}; it is 1970"),
    }
}

/// At a clean end: gives the CMOS clock the time of day, if somebody has set that.
pub(crate) fn save() {
    if !WAS_SET.load(Ordering::Relaxed) {
        return;
    }
    let date = DateTime::from_unix(realtime_ns() / SECOND_NS);
    if let Err(error) = time::write_rtc(&date) {
        ::log::warn!("clock: the CMOS clock keeps its time: {error:?}");
    }
}
