//! Time stamps, and what the file system asks of its caller.

use crate::mount::ErrorPolicy;

/// Nanosecond time stamps count from 1970, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Seconds, negative before 1970.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

/// The largest value of the 2 epoch bits: seconds reach 2^31 + 3 * 2^32, in the year 2446.
const EPOCH_MAX: i64 = 3;

impl Timestamp {
    /// The classic field: 32 bits of seconds, signed, limited to 1901..2038.
    pub(crate) fn to_seconds_32(self) -> u32 {
        self.seconds.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32 as u32
    }

    /// From the classic field alone.
    pub(crate) fn from_seconds_32(seconds: u32) -> Self {
        Self { seconds: i64::from(seconds as i32), nanoseconds: 0 }
    }

    /// The classic field and its extension: 2 bits of epoch below 30 bits of nanoseconds.
    pub(crate) fn to_extended(self) -> (u32, u32) {
        let max = i64::from(i32::MAX) + (EPOCH_MAX << 32);
        let seconds = self.seconds.clamp(i64::from(i32::MIN), max);
        let low = seconds as i32;
        let epoch = ((seconds - i64::from(low)) >> 32) as u32 & 3;
        (low as u32, epoch | (self.nanoseconds.min(999_999_999) << 2))
    }

    /// From the classic field and its extension.
    pub(crate) fn from_extended(low: u32, extra: u32) -> Self {
        let seconds = i64::from(low as i32) + (i64::from(extra & 3) << 32);
        Self { seconds, nanoseconds: (extra >> 2).min(999_999_999) }
    }
}

/// Who calls, and when.
pub trait Context: Send + Sync + 'static {
    /// The present time.
    fn now(&self) -> Timestamp;

    /// Whether the caller may take the last blocks, those reserved for root.
    fn may_use_reserved_blocks(&self) -> bool {
        true
    }

    /// Something broken was found on the disk, for the first time since the mount; what `policy` says has been done.
    fn note_fault(&self, _reason: &'static str, _policy: ErrorPolicy) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_time_survives_the_disk() {
        for seconds in [-(1i64 << 31), -1, 0, 1, (1 << 31) - 1, 1 << 31, (1 << 32) + 5, 15_000_000_000] {
            let time = Timestamp { seconds, nanoseconds: 123_456_789 };
            let (low, extra) = time.to_extended();
            assert_eq!(Timestamp::from_extended(low, extra), time);
        }
    }

    #[test]
    fn short_time_is_clamped() {
        let far = Timestamp { seconds: 1 << 40, nanoseconds: 0 };
        assert_eq!(Timestamp::from_seconds_32(far.to_seconds_32()).seconds, i64::from(i32::MAX));
    }
}
