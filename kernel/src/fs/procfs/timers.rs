//! /proc/timer_list: the clocks, and what waits on them on each CPU.

use crate::error::Result;
use crate::sched::timer;
use alloc::{string::String, vec::Vec};
use core::fmt::Write;
use machine::{
    cpu,
    time::{self, Reading, TimerMode},
};

/// timer_list.
pub(super) fn timer_list((): &()) -> Result<Vec<u8>> {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ =
        write_clocks(&mut text).and_then(|()| (0..cpu::count()).try_for_each(|id| write_cpu(&mut text, id)));
    Ok(text.into_bytes())
}

fn write_clocks(text: &mut String) -> core::fmt::Result {
    let clock = time::description();
    writeln!(text, "Timer List Version: v0.9")?;
    writeln!(text, "HRTIMER_MAX_CLOCK_BASES: {}", timer::ALL_BASES.len())?;
    writeln!(text, "now at {} nsecs", time::monotonic_ns())?;
    writeln!(text, "raw: {} nsecs", time::read(Reading::Raw))?;
    writeln!(text, "realtime offset: {} nsecs", time::realtime_offset_ns())?;
    writeln!(text, "tai offset: {} secs", time::tai_offset_s())?;
    writeln!(text, "clock source: {} (tsc {} Hz)\n", time::current_counter().name(), clock.tsc_hz)
}

fn write_cpu(text: &mut String, id: usize) -> core::fmt::Result {
    writeln!(text, "cpu: {id}")?;
    for (number, (base, queue)) in timer::ALL_BASES.iter().zip(timer::waiting_on(id)).enumerate() {
        writeln!(text, " clock {number}: {base:?}, {} timers", queue.count)?;
        if let Some(first_ns) = queue.first_ns {
            writeln!(text, "  first: not after {first_ns} nsecs of the clock")?;
        }
    }
    let mode = match time::timer_mode(id) {
        Some(TimerMode::Deadline) => "lapic-deadline",
        Some(TimerMode::Counting) => "lapic",
        None => "none",
    };
    writeln!(text, " event device: {mode}, one shot, resolution 1 nsecs\n")
}
