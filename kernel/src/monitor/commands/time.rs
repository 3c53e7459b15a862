//! Timers and sleep.

use crate::monitor::arguments::{Arguments, Failure, Outcome};
use crate::monitor::command::Context;
use crate::sched::timer::Timer;
use alloc::{sync::Arc, vec::Vec};
use core::fmt::Write;
use core::sync::atomic::{AtomicBool, Ordering};
use machine::sync::SpinLock;
use machine::time;

/// Timers that may wait at a time.
const MOST_TIMERS: usize = 1000;

/// A timer, and whether it has fired.
struct Alarm {
    timer: Timer,
    has_fired: Arc<AtomicBool>,
}

static ALARMS: SpinLock<Vec<Alarm>> = SpinLock::new("monitor timers", Vec::new());

/// The time in so many milliseconds, on the monotonic clock.
fn in_ms(ms: u64) -> u64 {
    time::monotonic_ns().saturating_add(ms.saturating_mul(1_000_000))
}

/// Logs a message later, from a timer.
pub(in crate::monitor) fn timer(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let ms = arguments.number::<u64>("number of milliseconds")?;
    arguments.end()?;
    let has_fired = Arc::new(AtomicBool::new(false));
    let fired = has_fired.clone();
    let timer = Timer::new(Arc::new(move || {
        log::info!("monitor: the timer of {ms} ms has fired");
        fired.store(true, Ordering::Release);
    }));
    timer.set(in_ms(ms));
    let alarm = Alarm { timer, has_fired };
    // What is freed is dropped without the lock.
    let (old, refused) = {
        let mut alarms = ALARMS.lock();
        let is_over = |alarm: &mut Alarm| alarm.has_fired.load(Ordering::Acquire);
        let old: Vec<Alarm> = alarms.extract_if(.., is_over).collect();
        let refused = if alarms.len() < MOST_TIMERS {
            alarms.push(alarm);
            None
        } else {
            Some(alarm)
        };
        (old, refused)
    };
    drop(old);
    if let Some(alarm) = refused {
        alarm.timer.cancel();
        return Err(Failure::Refused("1000 timers wait already"));
    }
    writeln!(context.out, "a timer is set for {ms} ms from now")?;
    Ok(())
}

/// Sleeps; Ctrl-C ends it.
pub(in crate::monitor) fn sleep(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let ms = arguments.number::<u64>("number of milliseconds")?;
    arguments.end()?;
    writeln!(context.out, "sleeping for {ms} ms")?;
    if context.console.wait_until(in_ms(ms)) {
        return Err(Failure::Stopped);
    }
    writeln!(context.out, "slept for {ms} ms")?;
    Ok(())
}
