//! Time: the clocks, a one-shot timer for each CPU, the real-time clock.
//!
//! In ten lines: a counter counts ([`counter`]: the TSC, or the HPET where the TSC is of no use); [`frequency`] finds out
//! at boot how fast; [`keeper`] draws the line from counts to nanoseconds on a page that the kernel's clocks and the vDSO's
//! ([`vdso`]) are read from, and changes it when somebody steers the clock. [`synchrony`] compares the CPUs' TSCs as they
//! start, [`watchdog`] the TSC with the HPET from then on; if they disagree, the HPET takes over. [`timer`] sets the local
//! APIC's timer. [`rtc`] reads and writes the CMOS clock.
//!
//! Source: Intel SDM vol. 3, 18.17 (TSC), vol. 2 (CPUID leaves 15H, 16H, 80000007H); IA-PC HPET Specification 1.0a.

mod counter;
mod frequency;
mod hpet;
mod keeper;
mod pit;
mod rtc;
mod synchrony;
mod timer;
mod vdso;
mod watchdog;

pub use counter::Kind as CounterKind;
pub use frequency::Reference;
pub use keeper::{
    monotonic_ns, raw_ns, read, realtime_offset_ns, set_realtime_offset, set_tai_offset, set_time_zone,
    steer, tai_offset_s, time_zone,
};
pub use rtc::{RtcError, read as read_rtc, write as write_rtc};
pub(crate) use synchrony::compare as compare_counters;
pub use timekeeping::page::{COARSE_NS, Reading};
pub use timer::{Mode as TimerMode, mode as timer_mode, set_timer};
pub use vdso::{image_frame as vdso_frame, image_length as vdso_length, page_frame as vvar_frame};
pub use watchdog::{Verdict, watch};

use crate::cpu;

/// Starts the clock: from here on [`monotonic_ns`] counts. Interrupts are disabled, ACPI's tables are read.
pub(crate) fn init_clock() {
    hpet::init();
    keeper::start(frequency::find());
    vdso::init_cpu();
}

/// Sets up the timer of the boot CPU.
pub(crate) fn init_timer() {
    timer::init();
}

/// Sets up the timer of another CPU, and what programs read there.
pub(crate) fn init_cpu() {
    timer::init_cpu();
    vdso::init_cpu();
}

/// How the clock came to be, for the log.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// The TSC's frequency in hertz.
    pub tsc_hz: u64,
    /// Who told it.
    pub reference: Reference,
    /// By how much it may be off, in parts of 10^9.
    pub error_ppb: u64,
    /// The CPU says that its TSC always counts at one rate.
    pub is_invariant: bool,
    /// Why the TSC is not used, if it is not.
    pub trouble: Option<&'static str>,
    /// The HPET's frequency, if there is one.
    pub hpet_hz: Option<u64>,
}

/// See [`Description`].
pub fn description() -> Description {
    let found = frequency::found();
    Description {
        tsc_hz: found.hz,
        reference: found.reference,
        error_ppb: found.error_ppb,
        is_invariant: counter::is_tsc_invariant(),
        trouble: counter::trouble(),
        hpet_hz: hpet::frequency(),
    }
}

/// The counter that the clocks use.
pub fn current_counter() -> CounterKind {
    keeper::kind()
}

/// The counters that the clocks can use, the best first.
pub fn available_counters() -> impl Iterator<Item = CounterKind> {
    [CounterKind::Tsc, CounterKind::Hpet].into_iter().filter(|kind| counter::is_usable(*kind))
}

/// Makes the clocks use another counter; they go on from where they are. `false`: it cannot be used.
pub fn use_counter(kind: CounterKind) -> bool {
    counter::is_usable(kind) && {
        keeper::switch_to(kind);
        true
    }
}

/// The TSC must not be used any more (`tsc=unstable`, or what a check found). With nothing else to count by it stays.
pub fn distrust_tsc(why: &'static str) {
    counter::distrust_tsc(why);
    if keeper::kind() == CounterKind::Tsc && counter::is_usable(CounterKind::Hpet) {
        keeper::switch_to(CounterKind::Hpet);
    }
}

/// The frequency of the time-stamp counter, in kHz.
pub fn tsc_khz() -> u64 {
    frequency::found().hz / 1000
}

/// Spins for at least `ns` nanoseconds; returns at once while there is no clock.
pub fn busy_wait_ns(ns: u64) {
    if !keeper::is_running() {
        return;
    }
    let start = monotonic_ns();
    while monotonic_ns().wrapping_sub(start) < ns {
        core::hint::spin_loop();
    }
}

/// The number of the CPU that runs this, without keeping it there.
fn here() -> u32 {
    cpu::current_id() as u32
}
