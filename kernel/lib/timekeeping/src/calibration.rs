//! The frequency of a counter, measured with another one whose frequency is known.
//!
//! Reading the reference takes time, and an emulator or a firmware interrupt may come between, so a reading is a bracket:
//! the unknown counter before, the reference, the unknown counter after. Each pair of readings bounds the frequency from
//! both sides; all pairs together bound it best. No bound depends on luck: a reading that took long only says little.

/// A reading of the reference between two readings of the unknown counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The unknown counter before.
    pub before: u64,
    /// The reference.
    pub reference: u64,
    /// The unknown counter after.
    pub after: u64,
}

/// What came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calibration {
    /// The frequency in hertz.
    pub hz: u64,
    /// How far it may be off, in parts of 10^9.
    pub error_ppb: u64,
}

/// The frequency that agrees with all pairs of `samples` (in the order in which they were taken), the reference counting
/// with `reference_hz` and having the bits of `mask`. `None`: too few, or they contradict each other by more than a
/// part in a thousand, so one of the counters does not count evenly.
pub fn calibrate(samples: &[Sample], reference_hz: u64, mask: u64) -> Option<Calibration> {
    let mut lowest = 0u128;
    let mut highest = u128::MAX;
    for (index, first) in samples.iter().enumerate() {
        for second in &samples[index + 1..] {
            let Some((low, high)) = bounds(first, second, reference_hz, mask) else { continue };
            lowest = lowest.max(low);
            highest = highest.min(high);
        }
    }
    if lowest == 0 || highest == u128::MAX {
        return None;
    }
    // Where the bounds cross, by how much is the error.
    let (low, high) = (lowest.min(highest), lowest.max(highest));
    let hz = low.midpoint(high);
    let error_ppb = (high - low).div_ceil(2).saturating_mul(1_000_000_000).div_ceil(hz);
    if lowest > highest && error_ppb > 1_000_000 {
        return None;
    }
    Some(Calibration { hz: u64::try_from(hz).ok()?, error_ppb: u64::try_from(error_ppb).ok()? })
}

/// Between which frequencies the unknown counter's lies, by two readings.
fn bounds(first: &Sample, second: &Sample, reference_hz: u64, mask: u64) -> Option<(u128, u128)> {
    let reference = u128::from(second.reference.wrapping_sub(first.reference) & mask);
    let shortest = u128::from(second.before.checked_sub(first.after)?);
    let longest = u128::from(second.after.checked_sub(first.before)?);
    // The reference may have been about to count, or have just counted.
    let hz = u128::from(reference_hz);
    let low = shortest * hz / (reference + 1);
    let high = (longest * hz).div_ceil(reference.checked_sub(1).filter(|least| *least > 0)?);
    Some((low, high))
}

/// How many parts of 10^9 `measured_ns` is longer than `reference_ns`; 0 for no time at all.
pub fn drift_ppb(measured_ns: u64, reference_ns: u64) -> i64 {
    if reference_ns == 0 {
        return 0;
    }
    let difference = i128::from(measured_ns) - i128::from(reference_ns);
    (difference * 1_000_000_000 / i128::from(reference_ns)).clamp(i128::from(i64::MIN), i128::from(i64::MAX))
        as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Random;
    use std::vec::Vec;

    /// Readings as a machine would give them: `delays` in nanoseconds around each read.
    fn samples(hz: u64, reference_hz: u64, mask: u64, times: &[(u64, u64, u64)], start: u64) -> Vec<Sample> {
        let count = |hz: u64, ns: u64| (u128::from(hz) * u128::from(ns) / 1_000_000_000) as u64;
        let sample = |&(ns, before, after): &(u64, u64, u64)| Sample {
            before: start + count(hz, ns - before),
            reference: (start + count(reference_hz, ns)) & mask,
            after: start + count(hz, ns + after),
        };
        times.iter().map(sample).collect()
    }

    #[test]
    fn the_frequency_lies_within_the_stated_error() {
        let mut random = Random(31337);
        for _ in 0..2_000 {
            let hz = 500_000_000 + random.below(5_000_000_000);
            let reference_hz = [1_193_182, 14_318_180, 24_000_000, 100_000_000][random.below(4) as usize];
            let mut now = 1_000_000;
            let times: Vec<_> = (0..6)
                .map(|_| {
                    now += 3_000_000 + random.below(1_000_000);
                    // One in four is disturbed for up to a millisecond.
                    let disturbance = if random.below(4) == 0 { 1_000_000 } else { 2_000 };
                    (now, 100 + random.below(disturbance), 100 + random.below(disturbance))
                })
                .collect();
            let result =
                calibrate(&samples(hz, reference_hz, u64::MAX, &times, 12345), reference_hz, u64::MAX);
            let result = result.unwrap();
            let off_ppb = u128::from(result.hz.abs_diff(hz)) * 1_000_000_000 / u128::from(hz);
            assert!(off_ppb <= u128::from(result.error_ppb) + 1, "{hz}: {result:?}");
        }
    }

    #[test]
    fn quiet_readings_are_good_to_parts_in_a_million_and_one_disturbed_does_no_harm() {
        let mut times: Vec<_> = (0..6).map(|round| (1_000_000 + round * 4_000_000, 300, 300)).collect();
        for disturbed in 0..6 {
            let quiet = times[disturbed];
            times[disturbed] = (quiet.0, 900_000, 900_000);
            let result =
                calibrate(&samples(3_000_000_019, 100_000_000, u64::MAX, &times, 7), 100_000_000, u64::MAX);
            assert!(result.unwrap().error_ppb < 45_000, "{result:?}");
            times[disturbed] = quiet;
        }
    }

    #[test]
    fn a_reference_of_32_bits_may_wrap() {
        let times = [(1_000_000, 200, 200), (6_000_000, 200, 200), (11_000_000, 200, 200)];
        let mask = u64::from(u32::MAX);
        let result =
            calibrate(&samples(2_000_000_000, 100_000_000, mask, &times, mask - 500_000), 100_000_000, mask);
        assert!(result.unwrap().hz.abs_diff(2_000_000_000) < 200_000);
    }

    #[test]
    fn contradictions_and_too_little_give_nothing() {
        let times = [(1_000_000, 200, 200), (6_000_000, 200, 200), (11_000_000, 200, 200)];
        let mut broken = samples(2_000_000_000, 100_000_000, u64::MAX, &times, 0);
        broken[2].before += 5_000_000;
        broken[2].after += 5_000_000;
        assert_eq!(calibrate(&broken, 100_000_000, u64::MAX), None);
        assert_eq!(calibrate(&broken[..1], 100_000_000, u64::MAX), None);
        assert_eq!(calibrate(&[], 100_000_000, u64::MAX), None);
        // A reference that stands still, a counter that goes back.
        let still = [broken[0], Sample { reference: broken[0].reference, ..broken[1] }];
        assert_eq!(calibrate(&still, 100_000_000, u64::MAX), None);
        assert_eq!(calibrate(&[broken[1], broken[0]], 100_000_000, u64::MAX), None);
    }

    #[test]
    fn drift_has_a_sign_and_no_overflow() {
        assert_eq!(drift_ppb(1_000_100, 1_000_000), 100_000);
        assert_eq!(drift_ppb(999_900, 1_000_000), -100_000);
        assert_eq!(drift_ppb(5, 0), 0);
        assert!(drift_ppb(u64::MAX, 1) > 0);
    }
}
