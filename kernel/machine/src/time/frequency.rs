//! How fast the TSC counts: told by the hypervisor or the CPU, else measured with the HPET, else with the PIT.

use super::{counter, hpet, pit};
use crate::sync::Once;
use core::arch::x86_64::__cpuid;
use timekeeping::calibration::{Calibration, Sample, calibrate};

/// Who told the TSC's frequency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// The hypervisor (CPUID leaf 40000010H).
    Hypervisor,
    /// The CPU (CPUID leaf 15H, with 16H where that is needed).
    Cpu,
    /// A measurement by the HPET.
    Hpet,
    /// A measurement by the PIT.
    Pit,
    /// Nobody: it was assumed.
    Nobody,
}

/// What was found out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frequency {
    pub(super) hz: u64,
    pub(super) reference: Reference,
    pub(super) error_ppb: u64,
}

/// Readings of the HPET for a measurement, and the time between two.
const ROUNDS: usize = 6;
const ROUND_NS: u64 = 3_000_000;
/// Measurements by the PIT, and how long each takes.
const PIT_ROUNDS: usize = 5;
const PIT_ROUND_NS: u64 = 5_000_000;
/// What is assumed if nobody tells.
const ASSUMED_HZ: u64 = 1_000_000_000;
/// No TSC counts slower or faster.
const POSSIBLE_HZ: core::ops::RangeInclusive<u64> = 10_000_000..=100_000_000_000;

static FOUND: Once<Frequency> = Once::new();

/// The frequency, once [`find`] has run.
pub(super) fn found() -> Frequency {
    FOUND.get().copied().unwrap_or(Frequency { hz: 0, reference: Reference::Nobody, error_ppb: 0 })
}

/// Finds the frequency out, once.
pub(super) fn find() -> Frequency {
    *FOUND.call_once(|| {
        told().or_else(measured).unwrap_or_else(|| {
            counter::distrust_tsc("nothing tells its frequency");
            Frequency { hz: ASSUMED_HZ, reference: Reference::Nobody, error_ppb: 0 }
        })
    })
}

fn told() -> Option<Frequency> {
    let by =
        |reference, hz: u64| POSSIBLE_HZ.contains(&hz).then_some(Frequency { hz, reference, error_ppb: 0 });
    told_by_hypervisor()
        .and_then(|hz| by(Reference::Hypervisor, hz))
        .or_else(|| told_by_cpu().and_then(|hz| by(Reference::Cpu, hz)))
}

fn told_by_hypervisor() -> Option<u64> {
    const HYPERVISOR: u32 = 1 << 31;
    const FREQUENCIES: u32 = 0x4000_0010;
    if __cpuid(1).ecx & HYPERVISOR == 0 {
        return None;
    }
    let last = __cpuid(0x4000_0000).eax;
    let khz = (FREQUENCIES..0x4000_1000).contains(&last).then(|| __cpuid(FREQUENCIES).eax)?;
    (khz != 0).then_some(u64::from(khz) * 1000)
}

/// Leaf 15H: the crystal's frequency times a ratio. Where the crystal's is left out, the base frequency of leaf 16H
/// divided by the ratio is meant to be it, which makes the TSC's the base frequency.
fn told_by_cpu() -> Option<u64> {
    let last = __cpuid(0).eax;
    if last < 0x15 {
        return None;
    }
    let ratio = __cpuid(0x15);
    if ratio.eax == 0 || ratio.ebx == 0 {
        return None;
    }
    if ratio.ecx != 0 {
        return Some(u64::from(ratio.ecx) * u64::from(ratio.ebx) / u64::from(ratio.eax));
    }
    let base_mhz = (last >= 0x16).then(|| __cpuid(0x16).eax & 0xffff)?;
    (base_mhz != 0).then_some(u64::from(base_mhz) * 1_000_000)
}

fn measured() -> Option<Frequency> {
    let by = |reference, Calibration { hz, error_ppb }: Calibration| {
        POSSIBLE_HZ.contains(&hz).then_some(Frequency { hz, reference, error_ppb })
    };
    by_hpet()
        .and_then(|result| by(Reference::Hpet, result))
        .or_else(|| by_pit().and_then(|result| by(Reference::Pit, result)))
}

/// A reading of the HPET between two of the TSC, as close together as a few tries get them.
pub(super) fn sample() -> Sample {
    const TRIES: usize = 5;
    let once = || Sample { before: counter::tsc(), reference: hpet::count(), after: counter::tsc() };
    let mut best = once();
    for _ in 1..TRIES {
        let next = once();
        if next.after.wrapping_sub(next.before) < best.after.wrapping_sub(best.before) {
            best = next;
        }
    }
    best
}

fn by_hpet() -> Option<Calibration> {
    let hz = hpet::frequency()?;
    let round = hz / (1_000_000_000 / ROUND_NS);
    let mut samples = [sample(); ROUNDS];
    for index in 1..ROUNDS {
        let begun = samples[index - 1].reference;
        while hpet::count().wrapping_sub(begun) & hpet::mask() < round {
            core::hint::spin_loop();
        }
        samples[index] = sample();
    }
    calibrate(&samples, hz, hpet::mask())
}

/// The round with the smallest error counts: an emulator or a firmware interrupt can only make it larger.
fn by_pit() -> Option<Calibration> {
    let rounds = (0..PIT_ROUNDS)
        .filter_map(|_| calibrate(&pit::measure(PIT_ROUND_NS, counter::tsc)?, pit::HZ, u64::MAX));
    rounds.min_by_key(|round| round.error_ppb)
}
