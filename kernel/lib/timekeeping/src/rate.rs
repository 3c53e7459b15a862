//! How fast a counter counts.
//!
//! Nanoseconds for each count are a fixed-point number with [`FRACTION_BITS`] bits behind the point. A product of a 64-bit
//! count and a 64-bit rate always fits 128 bits, whatever the two are; what is left of a nanosecond is carried on by who
//! adds up, so that no rounding accumulates.

/// Bits behind the point of a rate, and of the fractions of a nanosecond that are carried on.
pub const FRACTION_BITS: u32 = 48;

/// Nanoseconds in a second.
pub const SECOND_NS: u64 = 1_000_000_000;

/// The slowest counter that a rate can describe, in hertz: 65,536 ns for each count.
pub const SLOWEST_HZ: u64 = 15_259;

/// Nanoseconds for each count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(u64);

impl Rate {
    /// Of a counter with this frequency; `None` if it is below [`SLOWEST_HZ`] or above 1 THz.
    pub const fn from_hz(hz: u64) -> Option<Rate> {
        if hz < SLOWEST_HZ || hz > 1_000 * SECOND_NS {
            return None;
        }
        let hz = hz as u128;
        // To the nearest.
        Some(Rate(((((SECOND_NS as u128) << FRACTION_BITS) + hz / 2) / hz) as u64))
    }

    /// From the fixed-point number; 0, which describes no counter, counts as the fastest.
    pub const fn from_bits(bits: u64) -> Rate {
        Rate(if bits == 0 { 1 } else { bits })
    }

    /// The fixed-point number.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The same counter, taken to run `correction` faster: in 2^-32 nanoseconds for each second, as adjtimex has it.
    ///
    /// Corrections beyond a tenth of a second in a second are cut to that.
    pub const fn corrected(self, correction: i64) -> Rate {
        const MOST: i64 = (SECOND_NS as i64 / 10) << 32;
        let correction = if correction > MOST {
            MOST
        } else if correction < -MOST {
            -MOST
        } else {
            correction
        };
        let change = (self.0 as i128 * correction as i128) / ((SECOND_NS as i128) << 32);
        Rate((self.0 as i128 + change) as u64)
    }

    /// What `counts` and a fraction of a nanosecond (below 2^48) come to: nanoseconds, and the fraction that is left.
    /// Beyond 2^64 ns (584 years) the largest that there is.
    pub const fn nanoseconds(self, counts: u64, fraction: u64) -> (u64, u64) {
        let sum = counts as u128 * self.0 as u128 + fraction as u128;
        let nanoseconds = sum >> FRACTION_BITS;
        if nanoseconds > u64::MAX as u128 {
            return (u64::MAX, 0);
        }
        (nanoseconds as u64, (sum as u64) & ((1 << FRACTION_BITS) - 1))
    }

    /// The smallest number of counts after which `nanoseconds` have passed, if `fraction` has already.
    pub const fn counts_until(self, nanoseconds: u64, fraction: u64) -> u64 {
        let wanted = ((nanoseconds as u128) << FRACTION_BITS).saturating_sub(fraction as u128);
        let counts = wanted.div_ceil(self.0 as u128);
        if counts > u64::MAX as u128 { u64::MAX } else { counts as u64 }
    }

    /// The frequency in hertz, to the nearest.
    pub const fn hz(self) -> u64 {
        let scaled = (SECOND_NS as u128) << FRACTION_BITS;
        ((scaled + self.0 as u128 / 2) / self.0 as u128) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Random;

    /// Frequencies from an HPET's to a fast CPU's, primes and round ones, and both ends.
    const FREQUENCIES: [u64; 12] = [
        SLOWEST_HZ,
        1_193_182,
        3_579_545,
        10_000_000,
        14_318_180,
        100_000_000,
        999_999_937,
        1_000_000_000,
        2_893_202_111,
        3_000_000_019,
        5_999_999_999,
        1_000_000_000_000,
    ];
    const YEAR_S: u64 = 31_556_952;

    #[test]
    fn three_hundred_years_pass_without_an_overflow_at_any_frequency() {
        for hz in FREQUENCIES {
            let rate = Rate::from_hz(hz).unwrap();
            for years in [0, 1, 10, 68, 100, 300] {
                let counts = u128::from(hz) * u128::from(years * YEAR_S);
                // A counter of 64 bits is read more often than it wraps: by pieces of a day, as the clock does.
                let day = hz.saturating_mul(86_400);
                let (mut ns, mut fraction) = (0u64, 0);
                let mut left = counts;
                while left > 0 {
                    let piece = left.min(u128::from(day)) as u64;
                    let (more, rest) = rate.nanoseconds(piece, fraction);
                    (ns, fraction) = (ns + more, rest);
                    left -= u128::from(piece);
                }
                let exact = counts * u128::from(SECOND_NS) / u128::from(hz);
                let error = exact.abs_diff(u128::from(ns));
                // The rate is rounded to 2^-49 ns for each count, and nothing else is.
                assert!(
                    error <= (counts >> (FRACTION_BITS + 1)) + 1,
                    "{hz} Hz, {years} years: off by {error} ns"
                );
            }
        }
    }

    #[test]
    fn pieces_add_up_to_the_whole() {
        let mut random = Random(0x1234_5678_9abc_def1);
        for _ in 0..20_000 {
            let rate = Rate::from_hz(SLOWEST_HZ + random.below(6_000_000_000)).unwrap();
            let fraction = random.next() >> 16;
            let (first, second) = (random.below(1 << 47), random.below(1 << 47));
            let whole = rate.nanoseconds(first + second, fraction);
            let (ns, rest) = rate.nanoseconds(first, fraction);
            let (more, rest) = rate.nanoseconds(second, rest);
            let sum = ns.saturating_add(more);
            assert!(whole == (sum, rest) || whole.0 == u64::MAX);
            // Against plain arithmetic of 128 bits.
            let exact = u128::from(first + second) * u128::from(rate.bits()) + u128::from(fraction);
            assert_eq!(u128::from(whole.0), (exact >> 48).min(u128::from(u64::MAX)));
        }
    }

    #[test]
    fn a_deadline_is_never_early_and_not_a_count_late() {
        let mut random = Random(0xfeed_beef_0bad_cafe);
        for _ in 0..50_000 {
            let rate = Rate::from_hz(SLOWEST_HZ + random.below(6_000_000_000)).unwrap();
            let fraction = random.next() >> 16;
            let wanted = random.skewed();
            let counts = rate.counts_until(wanted, fraction);
            if counts == u64::MAX {
                continue;
            }
            assert!(rate.nanoseconds(counts, fraction).0 >= wanted);
            assert!(counts == 0 || rate.nanoseconds(counts - 1, fraction).0 < wanted);
        }
    }

    #[test]
    fn corrections_are_exact_to_a_part_in_ten_to_the_twelfth() {
        for hz in &FREQUENCIES[3..11] {
            let rate = Rate::from_hz(*hz).unwrap();
            for ppm in [-500i64, -100, -1, 0, 1, 37, 500] {
                let corrected = rate.corrected((ppm * 1000) << 32);
                let (ns, _) = corrected.nanoseconds(hz * 1000, 0);
                let expected = 1000 * SECOND_NS as i64 + ppm * 1_000_000;
                assert!((ns as i64 - expected).abs() <= 8, "{hz} Hz {ppm} ppm: {ns}");
            }
        }
        let rate = Rate::from_hz(SECOND_NS).unwrap();
        assert_eq!(rate.corrected(i64::MAX).hz(), 909_090_909);
        assert!(rate.corrected(i64::MIN).bits() > 0);
    }

    #[test]
    fn extremes_saturate() {
        assert_eq!(Rate::from_hz(SLOWEST_HZ - 1), None);
        assert_eq!(Rate::from_hz(u64::MAX), None);
        let slowest = Rate::from_hz(SLOWEST_HZ).unwrap();
        assert_eq!(slowest.nanoseconds(u64::MAX, (1 << 48) - 1), (u64::MAX, 0));
        assert_eq!(Rate::from_hz(1_000 * SECOND_NS).unwrap().counts_until(u64::MAX, 0), u64::MAX);
        for hz in FREQUENCIES {
            let back = Rate::from_hz(hz).unwrap().hz();
            assert!(back.abs_diff(hz) <= hz / 400_000_000 + 1, "{hz} became {back}");
        }
    }
}
