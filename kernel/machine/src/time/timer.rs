//! The one-shot timer of each CPU: the local APIC's, by a TSC deadline where there is such a thing and the TSC is
//! the clock, else by counting.
//!
//! A counting timer's frequency is measured only roughly, so a deadline far away is approached in steps; each comes a
//! little early, never late, and whoever is called too soon asks again.

use super::{counter, keeper, monotonic_ns};
use crate::cpu::{self, apic};
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// How a CPU's timer is told when to go off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// By a count of the TSC.
    Deadline = 1,
    /// By a count of its own.
    Counting = 2,
}

/// Counts for each 2^20 nanoseconds.
static COUNTS_PER_MI_NS: AtomicU64 = AtomicU64::new(0);
/// The mode that each CPU's timer is in; 0 before it is set up.
static MODES: [AtomicU8; cpu::MAX_CPUS] = [const { AtomicU8::new(0) }; cpu::MAX_CPUS];

/// Measurements of the timer's frequency, and how long each takes.
const ROUNDS: usize = 3;
const ROUND_NS: u64 = 1_000_000;
/// Steps closer than this are made at once, farther ones are shortened by their [`MARGIN`]th part.
const NEAR_NS: u64 = 100_000;
const MARGIN: u64 = 32;

/// Measures the timer's frequency and sets up the timer of the boot CPU.
pub(super) fn init() {
    apic::set_timer_mode(Mode::Counting);
    // What comes between can only make a round slow, so the fastest is the right one.
    let rate = (0..ROUNDS).map(|_| measure()).max().unwrap_or(1);
    COUNTS_PER_MI_NS.store(rate.max(1), Ordering::Relaxed);
    init_cpu();
}

/// Sets up the timer of the CPU that runs this.
pub(super) fn init_cpu() {
    switch_to(wanted_mode());
}

fn measure() -> u64 {
    let (start, counter_start) = (monotonic_ns(), apic::start_timer_count(u32::MAX));
    super::busy_wait_ns(ROUND_NS);
    let counted = counter_start - apic::timer_count();
    let elapsed = monotonic_ns() - start;
    apic::start_timer_count(0);
    (u64::from(counted) << 20) / elapsed.max(1)
}

/// The mode of a CPU's timer; `None` before it is set up.
pub fn mode(cpu: usize) -> Option<Mode> {
    match MODES.get(cpu)?.load(Ordering::Relaxed) {
        mode if mode == Mode::Deadline as u8 => Some(Mode::Deadline),
        mode if mode == Mode::Counting as u8 => Some(Mode::Counting),
        _ => None,
    }
}

fn mode_here() -> Mode {
    mode(cpu::current_id()).unwrap_or(Mode::Counting)
}

fn wanted_mode() -> Mode {
    const TSC_DEADLINE: u32 = 1 << 24;
    let has_deadline = core::arch::x86_64::__cpuid(1).ecx & TSC_DEADLINE != 0;
    if has_deadline && keeper::kind() == counter::Kind::Tsc { Mode::Deadline } else { Mode::Counting }
}

fn switch_to(mode: Mode) {
    apic::set_timer_mode(mode);
    MODES[cpu::current_id()].store(mode as u8, Ordering::Relaxed);
}

/// Asks for [`timer_interrupt`](crate::upcalls::Upcalls::timer_interrupt) on this CPU at `deadline_ns` of the
/// monotonic clock (at once if it has passed). Replaces the earlier request; `None` cancels it.
/// The interrupt may come early when the deadline is far away; it is then asked for again by the caller.
pub fn set_timer(deadline_ns: Option<u64>) {
    let _here = cpu::disable_interrupts();
    let Some(deadline_ns) = deadline_ns else { return disarm() };
    if mode_here() == Mode::Deadline {
        match keeper::tsc_at(deadline_ns) {
            Some(tsc) => return apic::set_timer_deadline(tsc.max(1)),
            // The clock no longer counts by the TSC.
            None => switch_to(Mode::Counting),
        }
    }
    let ahead_ns = deadline_ns.saturating_sub(monotonic_ns());
    let step_ns = if ahead_ns < NEAR_NS { ahead_ns } else { ahead_ns - ahead_ns / MARGIN };
    let counts = ((u128::from(step_ns) * u128::from(COUNTS_PER_MI_NS.load(Ordering::Relaxed))) >> 20) + 1;
    apic::start_timer_count(u32::try_from(counts).unwrap_or(u32::MAX));
}

fn disarm() {
    match mode_here() {
        Mode::Deadline => apic::set_timer_deadline(0),
        Mode::Counting => drop(apic::start_timer_count(0)),
    }
}
