//! Compares the TSC with the HPET from time to time.
//!
//! The first look after boot spans seconds, where the measurement at boot spanned milliseconds, so it tells the TSC's
//! frequency much better; that is put to use once. From then on a TSC that leaves the HPET behind, or falls behind, is
//! replaced by it. Both bounds take the time into account that reading takes, so a busy host makes no false alarm.

use super::frequency::{self, Reference};
use super::{counter, distrust_tsc, hpet, keeper};
use crate::sync::IrqSpinLock;
use timekeeping::calibration::{Sample, calibrate};

/// A TSC that is off by more parts of 10^9 is not used any more.
const TOLERATED_PPB: u64 = 500_000;
/// A shorter span says nothing new, in nanoseconds.
const SHORTEST_NS: u64 = 1_000_000_000;
/// A measurement that is better than so many parts of 10^9 replaces that of the boot.
const GOOD_PPB: u64 = 20_000;

/// What a look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing to say.
    Fine,
    /// The TSC's frequency is now known better: hertz, and parts of 10^9.
    Refined {
        /// The frequency.
        hz: u64,
        /// How far it may be off.
        error_ppb: u64,
    },
    /// The TSC is not used any more: it counted at this frequency, in hertz.
    Unstable {
        /// The frequency.
        hz: u64,
    },
}

struct Watch {
    last: Option<Sample>,
    /// What the TSC's frequency is taken to be, in hertz.
    hz: u64,
    is_refined: bool,
}

static WATCH: IrqSpinLock<Watch> =
    IrqSpinLock::new("clock watchdog", Watch { last: None, hz: 0, is_refined: false });

/// Looks. To be called every few seconds, at least twice in the time that a 32-bit HPET takes to get around (20 s).
pub fn watch() -> Verdict {
    keeper::refresh();
    let Some(hpet_hz) = hpet::frequency() else { return Verdict::Fine };
    if counter::trouble().is_some() {
        return Verdict::Fine;
    }
    let mut watch = WATCH.lock();
    let now = frequency::sample();
    if watch.hz == 0 {
        let found = frequency::found();
        watch.hz = found.hz;
        watch.is_refined = found.reference != Reference::Hpet && found.reference != Reference::Pit;
    }
    let Some(last) = watch.last else {
        watch.last = Some(now);
        return Verdict::Fine;
    };
    let span_ns = u128::from(now.reference.wrapping_sub(last.reference) & hpet::mask()) * 1_000_000_000
        / u128::from(hpet_hz);
    if span_ns < u128::from(SHORTEST_NS) {
        return Verdict::Fine;
    }
    watch.last = Some(now);
    let Some(result) = calibrate(&[last, now], hpet_hz, hpet::mask()) else { return Verdict::Fine };
    let off_ppb = (u128::from(result.hz.abs_diff(watch.hz)) * 1_000_000_000 / u128::from(watch.hz)) as u64;
    if off_ppb > TOLERATED_PPB.saturating_add(result.error_ppb) {
        drop(watch);
        distrust_tsc("it does not keep up with the HPET");
        return Verdict::Unstable { hz: result.hz };
    }
    if watch.is_refined || result.error_ppb > GOOD_PPB || result.error_ppb > frequency::found().error_ppb {
        return Verdict::Fine;
    }
    (watch.is_refined, watch.hz) = (true, result.hz);
    drop(watch);
    keeper::refine_tsc(result.hz);
    Verdict::Refined { hz: result.hz, error_ppb: result.error_ppb }
}
