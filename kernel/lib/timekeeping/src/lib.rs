//! The arithmetic of keeping time, without the hardware that counts it.
//!
//! * [`rate`]: counts to nanoseconds, for centuries and without an overflow.
//! * [`page`]: what the kernel's clocks and the vDSO's read: a line from counts to nanoseconds, under a sequence counter.
//! * [`calibration`]: a counter's frequency from readings of a known one, with a bound on the error.
//! * [`discipline`]: how adjtimex steers the clock (NTP's loop, adjtime's slew, leap seconds).
//! * [`calendar`]: dates, and what the CMOS clock makes of them.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod adjustment;
pub mod calendar;
pub mod calibration;
pub mod discipline;
pub mod page;
pub mod rate;

/// A generator of test values: xorshift, so that a failure can be repeated.
#[cfg(test)]
pub(crate) struct Random(pub(crate) u64);

#[cfg(test)]
impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// From 0 to `below` - 1.
    pub(crate) fn below(&mut self, below: u64) -> u64 {
        self.next() % below
    }

    /// With a random number of significant bits, so that small values come as often as large ones.
    pub(crate) fn skewed(&mut self) -> u64 {
        let shift = self.below(64);
        self.next() >> shift
    }
}
