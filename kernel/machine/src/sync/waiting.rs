//! Waiting for a spin lock: who waits for which, and the end of patience.
//!
//! Time is counted by the clock, but a single step counts for [`STEP_NS`] at most: a virtual machine that was
//! stopped for a minute has not waited for a minute.

use super::Place;
use crate::{cpu, time};
use ::spin::mutex::SpinMutex;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU64, Ordering};

/// A spin lock that somebody has waited for this long is taken for lost, and the waiter panics with a report.
/// Generous, since virtual CPUs may have to wait for real ones.
pub const SPIN_LIMIT_NS: u64 = 20_000_000_000;
/// What one look at the clock may add.
const STEP_NS: u64 = 5_000_000;
/// How often it is looked at.
const ROUNDS: u32 = 64;

static LIMIT_NS: AtomicU64 = AtomicU64::new(SPIN_LIMIT_NS);

/// Sets the limit (tests do, to see what comes then); returns the old one.
pub fn set_spin_limit_ns(limit_ns: u64) -> u64 {
    LIMIT_NS.swap(limit_ns, Ordering::Relaxed)
}

/// How long the caller has been waiting.
pub(super) struct Patience {
    rounds: u32,
    last_ns: u64,
    waited_ns: u64,
}

impl Patience {
    pub(super) fn new() -> Patience {
        Patience { rounds: 0, last_ns: time::monotonic_ns(), waited_ns: 0 }
    }

    /// One more round; how many nanoseconds were waited, once they are too many.
    pub(super) fn is_over(&mut self) -> Option<u64> {
        self.rounds = self.rounds.wrapping_add(1);
        if !self.rounds.is_multiple_of(ROUNDS) {
            return None;
        }
        let now = time::monotonic_ns();
        self.waited_ns += now.saturating_sub(self.last_ns).min(STEP_NS);
        self.last_ns = now;
        Some(self.waited_ns).filter(|waited_ns| *waited_ns > LIMIT_NS.load(Ordering::Relaxed))
    }
}

/// What a CPU waits for.
#[derive(Clone, Copy)]
struct Wanted {
    name: &'static str,
    place: Place,
    holder: u32,
    held_since: Option<Place>,
}

/// Never waited for: a CPU writes its own, reports look if they can.
static WANTED: [SpinMutex<Option<Wanted>>; cpu::MAX_CPUS] = [const { SpinMutex::new(None) }; cpu::MAX_CPUS];

/// While it lives, reports tell that the CPU which runs this waits for a lock. Preemption is disabled.
pub(super) struct Note {
    cpu: usize,
    /// What it waited for when an interrupt came, whose handler waits now.
    before: Option<Wanted>,
}

impl Note {
    pub(super) fn new(name: &'static str, place: Place, holder: u32, held_since: Option<Place>) -> Note {
        let cpu = cpu::current_id();
        let wanted = Wanted { name, place, holder, held_since };
        let before = WANTED[cpu].try_lock().and_then(|mut slot| slot.replace(wanted));
        Note { cpu, before }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        if let Some(mut slot) = WANTED[self.cpu].try_lock() {
            *slot = self.before;
        }
    }
}

/// This CPU waits for nothing any more.
pub(super) fn abandon() {
    if let Some(mut slot) = WANTED[cpu::current_id()].try_lock() {
        *slot = None;
    }
}

/// Writes what a CPU waits for.
pub(super) fn write(out: &mut dyn Write, cpu: usize) -> fmt::Result {
    let Some(Some(wanted)) = WANTED[cpu].try_lock().map(|slot| *slot) else { return Ok(()) };
    write!(out, "CPU {cpu} waits at {} for `{}`, held by CPU {}", wanted.place, wanted.name, wanted.holder)?;
    match wanted.held_since {
        Some(place) => writeln!(out, " since {place}"),
        None => writeln!(out),
    }
}
