//! Which counter the clocks use: what the command line and the watchdog have to say about it.

use super::{SECOND_NS, monotonic_ns, take_from_rtc};
use crate::cmdline::{Parameters, TscTrust};
use crate::sched::timer::{Deadline, Timer};
use alloc::sync::Arc;
use machine::sync::Once;
use machine::time::{self, CounterKind, Reference, TimerMode, Verdict};

/// How often the watchdog looks, in nanoseconds.
const WATCH_NS: u64 = 10 * SECOND_NS;
/// Its first look.
const FIRST_WATCH_NS: u64 = 2 * SECOND_NS;

static WATCHDOG: Once<Timer> = Once::new();

/// Says what the clocks count by, takes the time of day from the CMOS clock, and starts the watchdog. All CPUs run.
pub(crate) fn init(parameters: &Parameters) {
    if parameters.tsc_trust == TscTrust::Unstable {
        time::distrust_tsc("tsc=unstable");
    }
    report();
    if let Some(kind) = parameters.clock_source
        && !time::use_counter(kind)
    {
        ::log::warn!("clock: clocksource={} cannot be used", kind.name());
    }
    ::log::info!("clock: counts by {}", time::current_counter().name());
    match time::timer_mode(machine::cpu::current_id()) {
        Some(TimerMode::Deadline) => ::log::info!("clock: timers go off at counts of the TSC"),
        _ => ::log::info!("clock: timers go off when local APICs have counted down"),
    }
    take_from_rtc();
    if parameters.tsc_trust != TscTrust::Reliable || time::current_counter() != CounterKind::Tsc {
        watch();
    } else {
        ::log::info!("clock: no watchdog: tsc=reliable");
    }
}

fn report() {
    let clock = time::description();
    let reference = match clock.reference {
        Reference::Hypervisor => "told by the hypervisor",
        Reference::Cpu => "told by the CPU",
        Reference::Hpet => "measured by the HPET",
        Reference::Pit => "measured by the PIT",
        Reference::Nobody => "assumed",
    };
    let (mhz, khz) = (clock.tsc_hz / 1_000_000, clock.tsc_hz / 1000 % 1000);
    let invariant = if clock.is_invariant { "invariant" } else { "not invariant" };
    let ppm = clock.error_ppb.div_ceil(1000);
    ::log::info!("clock: tsc {mhz}.{khz:03} MHz, {reference}, off by at most {ppm} ppm; {invariant}");
    if let Some(hz) = clock.hpet_hz {
        ::log::info!("clock: hpet {}.{:03} MHz", hz / 1_000_000, hz / 1000 % 1000);
    }
    if let Some(trouble) = clock.trouble {
        ::log::warn!("clock: tsc is not used: {trouble}");
        if clock.hpet_hz.is_none() {
            ::log::error!("clock: there is no HPET to count by instead: time may go wrong");
        }
    }
}

/// One look, and the next. In interrupt context, but for the first.
fn watch() {
    let is_first = WATCHDOG.get().is_none();
    let timer = WATCHDOG.call_once(|| Timer::new(Arc::new(watch)));
    match time::watch() {
        Verdict::Fine => {}
        Verdict::Refined { hz, error_ppb } => {
            let (mhz, khz) = (hz / 1_000_000, hz / 1000 % 1000);
            ::log::info!(
                "clock: tsc {mhz}.{khz:03} MHz by a longer look, off by at most {} ppm",
                error_ppb.div_ceil(1000)
            );
        }
        Verdict::Unstable { hz } => {
            ::log::error!("clock: tsc counts with {} kHz now: the HPET takes over", hz / 1000);
        }
    }
    let pause_ns = if is_first { FIRST_WATCH_NS } else { WATCH_NS };
    timer.set(Deadline::monotonic(monotonic_ns() + pause_ns));
}
