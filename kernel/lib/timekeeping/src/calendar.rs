//! Dates of the Gregorian calendar, and the CMOS clock's registers (MC146818).
//!
//! Source: the MC146818A's data sheet (registers 0 to 9, register B's data mode and hour format); ACPI 5.2.9 for
//! where the century is.

/// A point of time as calendars show it; UTC, no leap seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DateTime {
    /// 1970 or later.
    pub year: u64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

/// The length of a month.
pub const fn days_of_month(year: u64, month: u8) -> u8 {
    match month {
        2 if is_leap_year(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Whether February has 29 days.
pub const fn is_leap_year(year: u64) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}

impl DateTime {
    /// Whether there is such a day and such a time.
    pub const fn is_valid(&self) -> bool {
        self.year >= 1970
            && self.year <= 1_000_000
            && self.month >= 1
            && self.month <= 12
            && self.day >= 1
            && self.day <= days_of_month(self.year, self.month)
            && self.hour < 24
            && self.minute < 60
            && self.second < 60
    }

    /// Seconds since 1970-01-01. The date must be valid.
    pub const fn to_unix(&self) -> u64 {
        // Years that begin in March, so that the leap day is the last.
        let (year, month) = if self.month <= 2 {
            (self.year - 1, self.month as u64 + 9)
        } else {
            (self.year, self.month as u64 - 3)
        };
        let leap_days = year / 4 - year / 100 + year / 400;
        let days = 365 * year + leap_days + (153 * month + 2) / 5 + self.day as u64 - 1 - 719_468;
        days * 86_400 + self.hour as u64 * 3600 + self.minute as u64 * 60 + self.second as u64
    }

    /// Of seconds since 1970-01-01 (to the year 584,554 and somewhat beyond).
    pub const fn from_unix(seconds: u64) -> DateTime {
        // Days since 0000-03-01, in cycles of 400 years.
        let days = seconds / 86_400 + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let rest = seconds % 86_400;
        DateTime {
            year: era * 400 + year + (month >= 10) as u64,
            month: (if month < 10 { month + 3 } else { month - 9 }) as u8,
            day: (day - (153 * month + 2) / 5 + 1) as u8,
            hour: (rest / 3600) as u8,
            minute: (rest / 60 % 60) as u8,
            second: (rest % 60) as u8,
        }
    }

    /// 0 for Sunday to 6.
    pub const fn weekday(&self) -> u8 {
        ((self.to_unix() / 86_400 + 4) % 7) as u8
    }

    /// Days since the first of January.
    pub const fn day_of_year(&self) -> u16 {
        let first = DateTime { month: 1, day: 1, ..*self };
        ((self.to_unix() - first.to_unix()) / 86_400) as u16
    }
}

/// How the chip writes numbers (its register B).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// As they are, not as two decimal digits.
    pub is_binary: bool,
    /// Hours from 0 to 23, not 1 to 12 with a bit for the afternoon.
    pub has_24_hours: bool,
}

/// The registers that hold the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// Register 0.
    pub second: u8,
    /// Register 2.
    pub minute: u8,
    /// Register 4.
    pub hour: u8,
    /// Register 7.
    pub day: u8,
    /// Register 8.
    pub month: u8,
    /// Register 9: the last two digits.
    pub year: u8,
    /// The first two digits, where the chip has a register for them.
    pub century: Option<u8>,
}

const AFTERNOON: u8 = 1 << 7;

impl Format {
    fn decode(self, value: u8) -> u8 {
        if self.is_binary { value } else { (value >> 4) * 10 + (value & 0xf) }
    }

    fn encode(self, value: u8) -> u8 {
        if self.is_binary { value } else { (value / 10) << 4 | (value % 10) }
    }
}

impl Registers {
    /// The date; `None` if there is no such date (an empty battery). Without a century, years are 1970 to 2069.
    pub fn decode(&self, format: Format) -> Option<DateTime> {
        let hour = format.decode(self.hour & !AFTERNOON);
        let hour = match (format.has_24_hours, self.hour & AFTERNOON != 0) {
            (true, _) => format.decode(self.hour),
            (false, is_afternoon) => hour % 12 + if is_afternoon { 12 } else { 0 },
        };
        let year = u64::from(format.decode(self.year));
        let century = self.century.map(|century| u64::from(format.decode(century)));
        let year = match century {
            // Firmware that leaves the register alone has 0 there.
            Some(century) if (19..=99).contains(&century) => century * 100 + year,
            _ if year >= 70 => 1900 + year,
            _ => 2000 + year,
        };
        let date = DateTime {
            year,
            month: format.decode(self.month),
            day: format.decode(self.day),
            hour,
            minute: format.decode(self.minute),
            second: format.decode(self.second),
        };
        date.is_valid().then_some(date)
    }

    /// The registers for a date; `None` if the chip cannot hold it (after 9999, or a century that it has no register for).
    pub fn encode(date: &DateTime, format: Format, has_century: bool) -> Option<Registers> {
        let century = u8::try_from(date.year / 100).ok().filter(|century| *century < 100)?;
        if !has_century && !(1970..2070).contains(&date.year) {
            return None;
        }
        let hour = match (format.has_24_hours, date.hour) {
            (true, hour) => format.encode(hour),
            (false, hour) => {
                let afternoon = if hour >= 12 { AFTERNOON } else { 0 };
                format.encode(if hour % 12 == 0 { 12 } else { hour % 12 }) | afternoon
            }
        };
        Some(Registers {
            second: format.encode(date.second),
            minute: format.encode(date.minute),
            hour,
            day: format.encode(date.day),
            month: format.encode(date.month),
            year: format.encode((date.year % 100) as u8),
            century: has_century.then_some(format.encode(century)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Random;

    #[test]
    fn known_dates_are_right() {
        let date = |year, month, day| DateTime { year, month, day, hour: 0, minute: 0, second: 0 };
        for (then, seconds, weekday) in [
            (date(1970, 1, 1), 0, 4),
            (date(2000, 2, 29), 951_782_400, 2),
            (date(2000, 3, 1), 951_868_800, 3),
            (date(2038, 1, 19), 2_147_472_000, 2),
            (date(2100, 3, 1), 4_107_542_400, 1),
            (date(2400, 2, 29), 13_574_563_200, 2),
        ] {
            assert_eq!((then.to_unix(), then.weekday()), (seconds, weekday), "{then:?}");
            assert_eq!(DateTime::from_unix(seconds), then);
        }
        assert_eq!(date(2024, 12, 31).day_of_year(), 365);
        let newest = DateTime::from_unix(u64::MAX / 1_000_000_000);
        assert_eq!((newest.year, newest.month, newest.day), (2554, 7, 21));
    }

    #[test]
    fn each_day_of_eight_hundred_years_follows_the_one_before() {
        let mut yesterday = DateTime::from_unix(0);
        for day in 1..292_194u64 {
            let today = DateTime::from_unix(day * 86_400);
            assert!(today.is_valid() && today.to_unix() == day * 86_400);
            if yesterday.day < days_of_month(yesterday.year, yesterday.month) {
                assert_eq!((today.day, today.month), (yesterday.day + 1, yesterday.month));
            } else if yesterday.month < 12 {
                assert_eq!((today.day, today.month, today.year), (1, yesterday.month + 1, yesterday.year));
            } else {
                assert_eq!((today.day, today.month, today.year), (1, 1, yesterday.year + 1));
            }
            yesterday = today;
        }
    }

    #[test]
    fn registers_survive_all_four_formats() {
        let mut random = Random(8);
        for _ in 0..50_000 {
            let date = DateTime::from_unix(random.below(99 * 31_556_952));
            for (is_binary, has_24_hours) in [(false, false), (false, true), (true, false), (true, true)] {
                let format = Format { is_binary, has_24_hours };
                for has_century in [false, true] {
                    let registers = Registers::encode(&date, format, has_century).unwrap();
                    assert_eq!(registers.decode(format), Some(date), "{format:?} {registers:x?}");
                }
            }
        }
    }

    #[test]
    fn noon_midnight_and_the_century_are_understood() {
        let format = Format { is_binary: false, has_24_hours: false };
        let mut registers = Registers { hour: 0x12, day: 0x29, month: 2, year: 0x24, ..Registers::default() };
        assert_eq!(registers.decode(format).unwrap().hour, 0);
        registers.hour = 0x92;
        assert_eq!(registers.decode(format).unwrap().hour, 12);
        registers.century = Some(0x20);
        assert_eq!(registers.decode(format).unwrap().year, 2024);
        registers.century = Some(0);
        assert_eq!(registers.decode(format).unwrap().year, 2024);
        (registers.century, registers.day) = (Some(0x21), 0x28);
        assert_eq!(registers.decode(format).unwrap().year, 2124);
    }

    #[test]
    fn what_is_no_date_is_refused() {
        let format = Format { is_binary: true, has_24_hours: true };
        let good = Registers { day: 28, month: 2, year: 23, ..Registers::default() };
        assert!(good.decode(format).is_some());
        for bad in [
            Registers { day: 29, ..good },
            Registers { month: 13, ..good },
            Registers { month: 0, ..good },
            Registers { hour: 24, ..good },
            Registers { minute: 60, ..good },
            Registers { second: 0xff, ..good },
            Registers::default(),
        ] {
            assert_eq!(bad.decode(format), None, "{bad:?}");
        }
        // Whatever a broken chip shows, nothing overflows.
        let mut random = Random(1);
        for _ in 0..100_000 {
            let [second, minute, hour, day, month, year, century, bits] = random.next().to_le_bytes();
            let registers = Registers { second, minute, hour, day, month, year, century: Some(century) };
            let format = Format { is_binary: bits & 1 != 0, has_24_hours: bits & 2 != 0 };
            assert!(registers.decode(format).is_none_or(|date| date.is_valid()));
        }
        assert_eq!(Registers::encode(&DateTime::from_unix(86_400 * 366 * 120), format, false), None);
        assert_eq!(Registers::encode(&DateTime::from_unix(u64::MAX / 8), format, true), None);
    }
}
