//! The CMOS real-time clock (MC146818), read once at boot.

use crate::io::port;

const INDEX: u16 = 0x70;
const DATA: u16 = 0x71;
/// NMI stays enabled (bit 7 clear).
const STATUS_A: u8 = 0x0a;
const STATUS_B: u8 = 0x0b;
const UPDATING: u8 = 1 << 7;
const BINARY: u8 = 1 << 2;
const TWENTY_FOUR_HOURS: u8 = 1 << 1;
const PM: u8 = 1 << 7;

fn register(index: u8) -> u8 {
    // SAFETY: the CMOS's ports; reading changes nothing.
    unsafe { port::write_u8(INDEX, index) };
    // SAFETY: as above.
    unsafe { port::read_u8(DATA) }
}

/// Second, minute, hour, day, month, year, as the chip has them.
fn raw() -> [u8; 6] {
    for _ in 0..1_000_000 {
        if register(STATUS_A) & UPDATING == 0 {
            break;
        }
    }
    [0x00, 0x02, 0x04, 0x07, 0x08, 0x09].map(register)
}

/// Seconds since 1970-01-01 UTC (the clock is taken to run in UTC).
pub(super) fn read() -> u64 {
    let mut now = raw();
    // Twice the same, so that no update came between.
    for _ in 0..16 {
        let again = raw();
        if again == now {
            break;
        }
        now = again;
    }
    let status = register(STATUS_B);
    let pm = now[2] & PM != 0;
    now[2] &= !PM;
    if status & BINARY == 0 {
        now = now.map(|bcd| (bcd >> 4) * 10 + (bcd & 0xf));
    }
    let [second, minute, mut hour, day, month, year] = now.map(u64::from);
    if status & TWENTY_FOUR_HOURS == 0 {
        hour = hour % 12 + if pm { 12 } else { 0 };
    }
    days_since_1970(2000 + year, month.clamp(1, 12), day.clamp(1, 31)) * 86_400
        + hour * 3600
        + minute * 60
        + second
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    // Years that begin in March, so that the leap day is the last.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let leap_days = year / 4 - year / 100 + year / 400;
    365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}
