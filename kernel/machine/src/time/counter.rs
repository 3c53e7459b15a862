//! The counters that clocks can use.
//!
//! # Soundness
//! Reading the TSC has no effect on memory.

use super::{hpet, keeper};
use crate::sync::Once;
use core::arch::{asm, x86_64::__cpuid};

/// A counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The time-stamp counter.
    Tsc,
    /// The high-precision event timer's main counter.
    Hpet,
}

impl Kind {
    /// Its name, as `clocksource=` and /sys have it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Tsc => "tsc",
            Kind::Hpet => "hpet",
        }
    }

    /// The counter with a name.
    pub fn named(name: &str) -> Option<Kind> {
        [Kind::Tsc, Kind::Hpet].into_iter().find(|kind| kind.name() == name)
    }

    /// The bits that it has.
    pub(super) fn mask(self) -> u64 {
        match self {
            Kind::Tsc => u64::MAX,
            Kind::Hpet => hpet::mask(),
        }
    }

    /// Its count.
    #[inline]
    pub(super) fn count(self) -> u64 {
        match self {
            Kind::Tsc => tsc(),
            Kind::Hpet => hpet::count(),
        }
    }
}

/// The time-stamp counter, read after everything that comes before in the program.
#[inline]
pub(super) fn tsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: every x86-64 CPU has both instructions.
    unsafe { asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nostack, preserves_flags)) };
    u64::from(high) << 32 | u64::from(low)
}

/// Whether the CPU promises that the TSC counts at one rate, whatever the CPU does.
pub(super) fn is_tsc_invariant() -> bool {
    const INVARIANT: u32 = 1 << 8;
    __cpuid(0x8000_0000).eax >= 0x8000_0007 && __cpuid(0x8000_0007).edx & INVARIANT != 0
}

static TROUBLE: Once<&'static str> = Once::new();

/// The TSC has shown that it cannot be used. The first reason stays.
pub(super) fn distrust_tsc(why: &'static str) {
    TROUBLE.call_once(|| why);
}

/// Why the TSC is not used.
pub(super) fn trouble() -> Option<&'static str> {
    TROUBLE.get().copied()
}

/// Whether the clocks can use a counter. Without an HPET there is only the TSC.
pub(super) fn is_usable(kind: Kind) -> bool {
    match kind {
        Kind::Tsc => trouble().is_none() || hpet::frequency().is_none() && keeper::kind() == Kind::Tsc,
        Kind::Hpet => hpet::frequency().is_some(),
    }
}
