//! Dates: seven bytes in records (9.1.5), seventeen digits elsewhere (8.4.26.1).

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March here, so that the leap day is the last.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

/// Seconds since 1970 of a date; the last number is the distance to Greenwich in quarters of an hour. Nonsense is 1970.
fn seconds(fields: [i64; 6], quarters: i8) -> i64 {
    let [year, month, day, hour, minute, second] = fields;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return 0;
    }
    // What lies outside is a mistake, and left out as Linux does.
    let quarters = if (-52..=52).contains(&quarters) { i64::from(quarters) } else { 0 };
    days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - quarters * 900
}

/// Seconds since 1970 of a date in a record.
pub(crate) fn short(bytes: &[u8; 7]) -> i64 {
    let [year, month, day, hour, minute, second, quarters] = *bytes;
    let fields =
        [1900 + i64::from(year), month.into(), day.into(), hour.into(), minute.into(), second.into()];
    seconds(fields, quarters as i8)
}

/// Seconds since 1970 of a date in digits.
pub(crate) fn long(bytes: &[u8; 17]) -> i64 {
    let number = |range: core::ops::Range<usize>| {
        bytes[range].iter().fold(0, |sum, digit| sum * 10 + i64::from(digit.wrapping_sub(b'0') % 10))
    };
    let fields = [number(0..4), number(4..6), number(6..8), number(8..10), number(10..12), number(12..14)];
    seconds(fields, bytes[16] as i8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_seconds_since_1970() {
        assert_eq!(short(&[70, 1, 1, 0, 0, 0, 0]), 0);
        assert_eq!(short(&[100, 2, 29, 12, 0, 0, 4]), 951_825_600 - 3600);
        assert_eq!(short(&[124, 12, 31, 23, 59, 59, 0]), 1_735_689_599);
        assert_eq!(short(&[69, 12, 31, 23, 59, 59, 0]), -1);
        assert_eq!(long(b"2024123123595900\0"), 1_735_689_599);
    }

    #[test]
    fn nonsense_is_1970() {
        assert_eq!(short(&[124, 13, 1, 0, 0, 0, 0]), 0);
        assert_eq!(short(&[124, 1, 0, 0, 0, 0, 0]), 0);
        assert_eq!(short(&[124, 1, 1, 99, 0, 0, 0]), 0);
        assert_eq!(long(b"                \0"), 0);
    }
}
