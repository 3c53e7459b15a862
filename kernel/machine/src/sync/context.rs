//! What the CPU is doing, and what it may do then.

use crate::cpu::{self, local};
use core::fmt;
use core::panic::Location;
use core::sync::atomic::Ordering;

/// What the CPU that runs this is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Situation {
    /// It starts: there is no scheduler yet, and only one flow of control.
    Boot,
    /// A task that may sleep.
    Task,
    /// A task with preemption disabled, so mostly with a spin lock held.
    Atomic,
    /// A task with interrupts disabled.
    InterruptsOff,
    /// An interrupt handler.
    Interrupt,
    /// The system ends with a report.
    Panic,
}

impl fmt::Display for Situation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Situation::Boot => "during start-up",
            Situation::Task => "in a task",
            Situation::Atomic => "with preemption disabled",
            Situation::InterruptsOff => "with interrupts disabled",
            Situation::Interrupt => "in an interrupt handler",
            Situation::Panic => "in a panic",
        })
    }
}

/// What the CPU that runs this is doing.
pub fn situation() -> Situation {
    let takes_interrupts = cpu::interrupts_enabled();
    // Or the task could go to another CPU and then read what this one does.
    let _here = cpu::disable_interrupts();
    let local = local::get();
    if crate::panic::stop_requested() {
        Situation::Panic
    } else if local.handlers.load(Ordering::Relaxed) != 0 {
        Situation::Interrupt
    } else if local.task.load(Ordering::Relaxed) == 0 {
        Situation::Boot
    } else if cpu::preemption_count() != 0 {
        Situation::Atomic
    } else if !takes_interrupts {
        Situation::InterruptsOff
    } else {
        Situation::Task
    }
}

/// Whether the caller may sleep: it is a task that has neither interrupts nor preemption disabled.
pub fn may_sleep() -> bool {
    situation() == Situation::Task
}

/// In debug builds: panics if the caller must not sleep now. `what` says what would make it sleep.
#[inline(always)]
#[track_caller]
pub fn assert_may_sleep(what: &str) {
    if cfg!(debug_assertions) {
        check(what);
    }
}

#[track_caller]
fn check(what: &str) {
    let situation = situation();
    if matches!(situation, Situation::Task | Situation::Boot | Situation::Panic) {
        return;
    }
    let place = Location::caller();
    match super::checks::innermost_spin_lock() {
        Some(held) => panic!(
            "sleeping while atomic: {what} at {place} {situation}, `{}` is held since {}",
            held.name, held.place
        ),
        None => panic!("sleeping while atomic: {what} at {place} {situation}"),
    }
}
