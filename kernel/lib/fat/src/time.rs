//! Dates and times of entries (section 6): local time, which is taken for UTC; from 1980 to 2107.

/// A point of time: nanoseconds count from 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Seconds.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

/// 1980-01-01 and the last second of 2107, in seconds since 1970.
const FIRST: i64 = 315_532_800;
const LAST: i64 = 4_354_819_199;
const DAY: i64 = 86_400;

/// A date (years since 1980 << 9, month << 5, day), a time (hour << 11, minute << 5, second / 2) and hundredths of a
/// second, up to 199.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) date: u16,
    pub(crate) time: u16,
    pub(crate) hundredths: u8,
}

/// Days since 1970 of the first of January of a year from 1980 to 2107.
fn year_start(year: i64) -> i64 {
    let past = year - 1980;
    // 2100 has no leap day.
    FIRST / DAY + past * 365 + (past + 3) / 4 - i64::from(year > 2100)
}

fn month_lengths(year: i64) -> [i64; 12] {
    let is_leap = year % 4 == 0 && year != 2100;
    [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
}

impl Timestamp {
    /// As an entry has it; what is outside of its years becomes the first or the last that it can have.
    pub(crate) fn to_stamp(self) -> Stamp {
        let seconds = self.seconds.clamp(FIRST, LAST);
        let nanoseconds = if seconds == self.seconds { self.nanoseconds } else { 0 };
        let (mut days, of_day) = (seconds / DAY, seconds % DAY);
        let mut year = 1980 + (days - FIRST / DAY) / 366;
        while year < 2107 && year_start(year + 1) <= days {
            year += 1;
        }
        days -= year_start(year);
        let mut month = 0;
        for length in month_lengths(year) {
            if days < length {
                break;
            }
            days -= length;
            month += 1;
        }
        Stamp {
            date: ((year - 1980) << 9 | (month + 1) << 5 | (days + 1)) as u16,
            time: ((of_day / 3600) << 11 | (of_day / 60 % 60) << 5 | (of_day % 60 / 2)) as u16,
            hundredths: (of_day % 2 * 100) as u8 + (nanoseconds / 10_000_000) as u8,
        }
    }

    /// As an entry keeps when a file was written.
    pub fn to_two_seconds(self) -> Self {
        Self::from_stamp(Stamp { hundredths: 0, ..self.to_stamp() })
    }

    /// As an entry keeps when a file was read.
    pub fn to_day(self) -> Self {
        Self::from_stamp(Stamp { time: 0, hundredths: 0, ..self.to_stamp() })
    }

    /// From an entry; nonsense is the nearest that makes sense.
    pub(crate) fn from_stamp(stamp: Stamp) -> Self {
        let (date, time) = (i64::from(stamp.date), i64::from(stamp.time));
        let year = 1980 + (date >> 9);
        let month = ((date >> 5 & 15).clamp(1, 12) - 1) as usize;
        let lengths = month_lengths(year);
        let day = (date & 31).clamp(1, lengths[month]) - 1;
        let days = year_start(year) + lengths[..month].iter().sum::<i64>() + day;
        let of_day = (time >> 11).min(23) * 3600 + (time >> 5 & 63).min(59) * 60 + (time & 31).min(29) * 2;
        let hundredths = u32::from(stamp.hundredths.min(199));
        Self {
            seconds: days * DAY + of_day + i64::from(hundredths / 100),
            nanoseconds: hundredths % 100 * 10_000_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back() {
        let date = |year: u16, month: u16, day: u16| (year - 1980) << 9 | month << 5 | day;
        for (seconds, wanted) in [
            (FIRST, date(1980, 1, 1)),
            (951_782_400, date(2000, 2, 29)),
            (951_868_799, date(2000, 2, 29)),
            (1_735_689_599, date(2024, 12, 31)),
            (4_107_542_400, date(2100, 3, 1)),
            (4_133_980_800, date(2101, 1, 1)),
            (LAST, date(2107, 12, 31)),
        ] {
            let time = Timestamp { seconds, nanoseconds: 120_000_000 };
            assert_eq!(time.to_stamp().date, wanted, "{seconds}");
            assert_eq!(Timestamp::from_stamp(time.to_stamp()), time);
        }
        for day in FIRST / DAY..=LAST / DAY {
            let time = Timestamp { seconds: day * DAY + 45_296, nanoseconds: 0 };
            assert_eq!(Timestamp::from_stamp(time.to_stamp()), time);
        }
    }

    #[test]
    fn what_does_not_fit_is_the_nearest() {
        let stamp = |seconds| Timestamp::from_stamp(Timestamp { seconds, nanoseconds: 5 }.to_stamp()).seconds;
        assert_eq!((stamp(0), stamp(-1), stamp(i64::MAX)), (FIRST, FIRST, LAST));
        let nonsense = Stamp { date: u16::MAX, time: u16::MAX, hundredths: 255 };
        assert_eq!(Timestamp::from_stamp(nonsense).seconds, LAST);
        assert_eq!(Timestamp::from_stamp(Stamp { date: 0, time: 0, hundredths: 0 }).seconds, FIRST);
    }
}
