//! Time: a monotonic clock, a one-shot timer for each CPU, the real-time clock.
//!
//! The clock is the time-stamp counter, whose frequency comes from CPUID or the hypervisor where they
//! tell, else is measured against the PIT. Nanoseconds are ticks times a 32.32 fixed-point factor in
//! 128 bits, so nothing overflows in the 584 years that fit into the result.
//!
//! Source: Intel SDM vol. 3, 18.17 (TSC), vol. 2 (CPUID leaves 15H, 16H); Intel 8254 data sheet.
//!
//! # Soundness
//! The PIT's, the system control port's and the CMOS's ports belong to this module; none reaches memory.

mod pit;
mod rtc;

use crate::cpu::{self, apic};
use core::arch::x86_64::{__cpuid, _rdtsc};
use core::sync::atomic::{AtomicU64, Ordering};

/// TSC at which the clock started.
static START: AtomicU64 = AtomicU64::new(0);
static TSC_HZ: AtomicU64 = AtomicU64::new(0);
/// Nanoseconds for each tick, times 2^32; 0 until the clock runs.
static NS_PER_TICK: AtomicU64 = AtomicU64::new(0);
/// Ticks for each nanosecond, times 2^32.
static TICKS_PER_NS: AtomicU64 = AtomicU64::new(0);
static UNIX_AT_BOOT: AtomicU64 = AtomicU64::new(0);

fn ticks() -> u64 {
    // SAFETY: every x86-64 CPU has it; reading has no effect.
    unsafe { _rdtsc() }
}

fn scale(value: u64, factor: u64) -> u64 {
    ((u128::from(value) * u128::from(factor)) >> 32) as u64
}

/// Starts the clock: from here on [`monotonic_ns`] counts. Interrupts are disabled.
pub(crate) fn init_clock() {
    START.store(ticks(), Ordering::Relaxed);
    let hz = told_frequency().unwrap_or_else(measured_frequency);
    TSC_HZ.store(hz, Ordering::Relaxed);
    TICKS_PER_NS.store(((u128::from(hz) << 32) / 1_000_000_000) as u64, Ordering::Relaxed);
    NS_PER_TICK.store(((1_000_000_000u128 << 32) / u128::from(hz)) as u64, Ordering::Release);
    let now = rtc::read();
    UNIX_AT_BOOT.store(now.saturating_sub(monotonic_ns() / 1_000_000_000), Ordering::Relaxed);
}

/// The frequency in hertz, if the CPU or the hypervisor tells it.
fn told_frequency() -> Option<u64> {
    let last = __cpuid(0).eax;
    let hypervisor = __cpuid(1).ecx & 1 << 31 != 0;
    if hypervisor {
        let leaves = __cpuid(0x4000_0000).eax;
        if (0x4000_0010..0x4000_1000).contains(&leaves) {
            let khz = __cpuid(0x4000_0010).eax;
            if khz != 0 {
                return Some(u64::from(khz) * 1000);
            }
        }
    }
    if last >= 0x15 {
        let leaf = __cpuid(0x15);
        if leaf.eax != 0 && leaf.ebx != 0 && leaf.ecx != 0 {
            return Some(u64::from(leaf.ecx) * u64::from(leaf.ebx) / u64::from(leaf.eax));
        }
    }
    None
}

/// Measures the TSC against the PIT: the best of three, since an emulator or a system management
/// interrupt can only make a measurement too long.
fn measured_frequency() -> u64 {
    const MEASURE_NS: u64 = 5_000_000;
    let best = (0..3).map(|_| pit::measure(MEASURE_NS, ticks)).min().unwrap_or(0);
    // A PIT that does not answer: assume 1 GHz rather than stand still.
    if best == 0 { 1_000_000_000 } else { (u128::from(best) * 1_000_000_000 / u128::from(MEASURE_NS)) as u64 }
}

/// Nanoseconds since the clock was started at boot; never goes back, the same on every CPU.
pub fn monotonic_ns() -> u64 {
    scale(ticks().wrapping_sub(START.load(Ordering::Relaxed)), NS_PER_TICK.load(Ordering::Relaxed))
}

/// Seconds since 1970-01-01 UTC by the CMOS clock at the time that [`monotonic_ns`] calls 0.
pub fn unix_seconds_at_boot() -> u64 {
    UNIX_AT_BOOT.load(Ordering::Relaxed)
}

/// The frequency of the time-stamp counter, in kHz.
pub fn tsc_khz() -> u64 {
    TSC_HZ.load(Ordering::Relaxed) / 1000
}

/// Sets up the timer of the CPU that runs this.
pub(crate) fn init_timer() {
    apic::init_timer();
}

/// Asks for [`timer_interrupt`](crate::upcalls::Upcalls::timer_interrupt) on this CPU at `deadline_ns` of the
/// monotonic clock (at once if it has passed). Replaces the earlier request; `None` cancels it.
/// The interrupt may come early when the deadline is far away; it is then asked for again by the caller.
pub fn set_timer(deadline_ns: Option<u64>) {
    let _here = cpu::disable_interrupts();
    match deadline_ns {
        None => apic::disarm_timer(),
        Some(deadline) => {
            let ahead = deadline.saturating_sub(monotonic_ns());
            let tsc =
                ticks().wrapping_add(scale(ahead, TICKS_PER_NS.load(Ordering::Relaxed))).wrapping_add(1);
            apic::arm_timer(ahead, tsc);
        }
    }
}

/// Spins for at least `ns` nanoseconds; returns at once while there is no clock.
pub fn busy_wait_ns(ns: u64) {
    if NS_PER_TICK.load(Ordering::Acquire) == 0 {
        return;
    }
    let start = monotonic_ns();
    while monotonic_ns().wrapping_sub(start) < ns {
        core::hint::spin_loop();
    }
}
