//! What interrupts a CPU beside devices, and how often it did: the lines at the end of /proc/interrupts.

use super::local::{self, CpuLocal};
use super::smp;
use core::sync::atomic::{AtomicU64, Ordering};

/// Something that interrupts a CPU and is no device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuEvent {
    /// A non-maskable interrupt.
    Nmi,
    /// The local APIC's timer.
    Timer,
    /// The local APIC withdrew an interrupt after it had announced it.
    Spurious,
    /// Another CPU wants this one to reconsider what it runs.
    Reschedule,
    /// Another CPU wants this one to call a function.
    Call,
    /// Another CPU changed page tables that this one uses.
    Shootdown,
    /// The local APIC found a message that makes no sense.
    ApicError,
    /// A vector that belongs to nobody.
    Stray,
}

impl CpuEvent {
    /// All, in the order of /proc/interrupts.
    pub const ALL: [CpuEvent; 8] = [
        Self::Nmi,
        Self::Timer,
        Self::Spurious,
        Self::Reschedule,
        Self::Call,
        Self::Shootdown,
        Self::ApicError,
        Self::Stray,
    ];

    /// How often it happened on a CPU; 0 for one that does not run.
    pub fn count(self, cpu: usize) -> u64 {
        smp::local_of(cpu).map_or(0, |local| local.events.0[self as usize].load(Ordering::Relaxed))
    }
}

/// One counter for each event, of one CPU.
pub(super) struct Counters([AtomicU64; CpuEvent::ALL.len()]);

impl Counters {
    pub(super) const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; CpuEvent::ALL.len()])
    }
}

/// Counts an event on the CPU that runs this.
pub(crate) fn note(event: CpuEvent) {
    let local: &CpuLocal = local::get();
    // Only this CPU counts here, but an NMI may come in between.
    local.events.0[event as usize].fetch_add(1, Ordering::Relaxed);
}
