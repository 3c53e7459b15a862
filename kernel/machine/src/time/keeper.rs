//! Keeps the clocks: the one place that changes the line from counts to nanoseconds.
//!
//! There are two pages, the kernel's own and the one that programs see; both change together. Readers take no lock (see
//! [`timekeeping::page`]); writers take one that disables interrupts. A handler of non-maskable interrupts that comes
//! between gets the time at which the change began.

use super::counter::{self, Kind};
use super::frequency::Frequency;
use super::{here, hpet, vdso};
use crate::sync::IrqSpinLock;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use timekeeping::page::{ClockPage, Clocks, Reading, Source};
use timekeeping::rate::Rate;

static PAGE: ClockPage = ClockPage::new();
static RUNS: AtomicBool = AtomicBool::new(false);
/// The kind of counter in use: its place in [`KINDS`].
static KIND: AtomicU8 = AtomicU8::new(0);
const KINDS: [Kind; 2] = [Kind::Tsc, Kind::Hpet];
/// The CPU that is changing the page, plus 1; and what it showed before.
static WRITER: AtomicU32 = AtomicU32::new(0);
static SHOWN_NS: AtomicU64 = AtomicU64::new(0);

struct State {
    clocks: Clocks,
    /// In 2^-32 nanoseconds for each second.
    correction: i64,
    /// The TSC's rate; better known later than at boot.
    tsc: Option<Rate>,
}

static STATE: IrqSpinLock<State> =
    IrqSpinLock::new("clock", State { clocks: Clocks::STOPPED, correction: 0, tsc: None });

/// Starts the clocks at 0.
pub(super) fn start(tsc: Frequency) {
    let tsc = Rate::from_hz(tsc.hz).expect("a frequency that was found is possible");
    STATE.lock().tsc = Some(tsc);
    let kind =
        if counter::trouble().is_some() && hpet::frequency().is_some() { Kind::Hpet } else { Kind::Tsc };
    switch_to(kind);
    RUNS.store(true, Ordering::Release);
}

/// Whether time passes.
pub(super) fn is_running() -> bool {
    RUNS.load(Ordering::Acquire)
}

/// The counter in use.
pub(super) fn kind() -> Kind {
    KINDS[usize::from(KIND.load(Ordering::Relaxed))]
}

fn count(source: Source) -> Option<u64> {
    Some(match source {
        Source::Tsc => counter::tsc(),
        Source::Kernel => hpet::count(),
    })
}

/// Called while the page changes; answers if it is this CPU that changes it, under whoever asks.
#[cold]
fn wait_for_writer() -> Option<u64> {
    core::hint::spin_loop();
    (WRITER.load(Ordering::Relaxed) == here() + 1).then(|| SHOWN_NS.load(Ordering::Relaxed))
}

/// Nanoseconds of a clock.
#[inline]
pub fn read(reading: Reading) -> u64 {
    PAGE.read(reading, count, wait_for_writer).unwrap_or(0)
}

/// Nanoseconds since the clock was started at boot, at the rate that programs steer; never goes back, the same on every CPU.
#[inline]
pub fn monotonic_ns() -> u64 {
    read(Reading::Monotonic)
}

/// Nanoseconds since the clock was started at boot, at the counter's own rate.
pub fn raw_ns() -> u64 {
    read(Reading::Raw)
}

/// Moves the clocks to the present and has `change` change them.
fn change(change: impl FnOnce(&mut State)) {
    let mut state = STATE.lock();
    SHOWN_NS.store(monotonic_ns(), Ordering::Relaxed);
    WRITER.store(here() + 1, Ordering::Relaxed);
    let shared = vdso::page();
    PAGE.begin();
    if let Some(shared) = shared {
        shared.clock.begin();
    }
    state.clocks = state.clocks.at(kind().count());
    change(&mut state);
    PAGE.write(&state.clocks);
    if let Some(shared) = shared {
        shared.clock.write(&state.clocks);
        shared.clock.end();
    }
    PAGE.end();
    WRITER.store(0, Ordering::Relaxed);
}

/// Has the clocks count by another counter from now on.
pub(super) fn switch_to(kind: Kind) {
    change(|state| {
        let hpet = hpet::frequency().and_then(Rate::from_hz);
        let Some(rate) = (if kind == Kind::Tsc { state.tsc } else { hpet }) else { return };
        state.clocks.source = if kind == Kind::Tsc { Source::Tsc } else { Source::Kernel };
        state.clocks.mask = kind.mask();
        state.clocks.base_counts = kind.count();
        state.clocks.raw.rate = rate;
        state.clocks.monotonic.rate = rate.corrected(state.correction);
        KIND.store(KINDS.iter().position(|other| *other == kind).unwrap_or(0) as u8, Ordering::Relaxed);
    });
}

/// The TSC's frequency is better known now.
pub(super) fn refine_tsc(hz: u64) {
    let Some(rate) = Rate::from_hz(hz) else { return };
    change(|state| {
        state.tsc = Some(rate);
        if state.clocks.source == Source::Tsc {
            state.clocks.raw.rate = rate;
            state.clocks.monotonic.rate = rate.corrected(state.correction);
        }
    });
}

/// Moves the line's beginning to the present, so that no counter gets around between two looks.
pub(super) fn refresh() {
    change(|_| {});
}

/// Lets the monotonic clock run `correction` fast, in 2^-32 nanoseconds for each second.
pub fn steer(correction: i64) {
    change(|state| {
        state.correction = correction;
        state.clocks.monotonic.rate = state.clocks.raw.rate.corrected(correction);
    });
}

/// Sets the time of day: `update` makes from the offset to the monotonic clock, in nanoseconds, the new one, and is told
/// the monotonic time.
pub fn set_realtime_offset(update: impl FnOnce(u64, u64) -> u64) {
    change(|state| {
        let now = state.clocks.monotonic.base_ns;
        state.clocks.realtime_offset_ns = update(state.clocks.realtime_offset_ns, now);
    });
}

/// Sets international atomic time minus time of day, in seconds.
pub fn set_tai_offset(seconds: i32) {
    change(|state| state.clocks.tai_offset_s = seconds);
}

/// Has the vDSO's gettimeofday tell this time zone: minutes west of Greenwich, kind of daylight saving time.
pub fn set_time_zone(minutes_west: i32, daylight_saving: i32) {
    if let Some(page) = vdso::page() {
        page.set_time_zone(minutes_west, daylight_saving);
    }
}

/// The time zone that was set.
pub fn time_zone() -> (i32, i32) {
    vdso::page().map_or((0, 0), |page| page.time_zone())
}

/// Time of day minus monotonic time, in nanoseconds.
pub fn realtime_offset_ns() -> u64 {
    PAGE.realtime_offset_ns()
}

/// International atomic time minus time of day, in seconds.
pub fn tai_offset_s() -> i32 {
    PAGE.tai_offset_s()
}

/// The count of the TSC at which monotonic time is `deadline_ns`; `None` if the TSC is not its counter.
pub(super) fn tsc_at(deadline_ns: u64) -> Option<u64> {
    PAGE.tsc_at(deadline_ns)
}

/// What programs' page must show from the start.
pub(super) fn publish(page: &ClockPage) {
    let state = STATE.lock();
    page.begin();
    page.write(&state.clocks);
    page.end();
}
