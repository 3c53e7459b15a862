//! Between adjtimex's structure and the clock's discipline. Source: adjtimex(2).

use crate::clock::SECOND_NS;
use abi::time::Timex;
use timekeeping::discipline::{Answer, Request, status};

/// What a program asks for.
pub(super) fn to_request(timex: &Timex) -> Request {
    Request {
        modes: timex.modes,
        offset: timex.offset,
        frequency: timex.freq,
        max_error: timex.maxerror,
        estimated_error: timex.esterror,
        status: timex.status,
        constant: timex.constant,
        tick: timex.tick,
    }
}

/// Puts the answer into the structure, with the time of day.
pub(super) fn fill(timex: &mut Timex, answer: &Answer, realtime_ns: u64) {
    let Answer { values, tolerance, tai, .. } = *answer;
    let unit_ns = if values.status & status::NANO != 0 { 1 } else { 1000 };
    *timex = Timex {
        modes: timex.modes,
        offset: values.offset,
        freq: values.frequency,
        maxerror: values.max_error,
        esterror: values.estimated_error,
        status: values.status,
        constant: values.constant,
        precision: 1,
        tolerance,
        time_s: (realtime_ns / SECOND_NS) as i64,
        time_fraction: (realtime_ns % SECOND_NS / unit_ns) as i64,
        tick: values.tick,
        tai,
        ..Timex::default()
    };
}
