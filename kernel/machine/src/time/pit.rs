//! The 8254 interval timer, only as a reference to measure other clocks by (its channel 2).
//!
//! Source: Intel 8254 data sheet (mode 0).
//!
//! # Soundness
//! The ports of channel 2 and the system control port belong to this module; none reaches memory.

use crate::io::port;
use timekeeping::calibration::Sample;

const CHANNEL2: u16 = 0x42;
const MODE: u16 = 0x43;
/// System control port B: gate of channel 2 (bit 0), speaker (bit 1), output of channel 2 (bit 5).
const CONTROL: u16 = 0x61;
const GATE: u8 = 1;
const SPEAKER: u8 = 2;
const OUTPUT: u8 = 1 << 5;
/// Channel 2, low then high byte, mode 0 (output rises at zero).
const CHANNEL2_ONE_SHOT: u8 = 0b1011_0000;
/// Its frequency in hertz.
pub(super) const HZ: u64 = 1_193_182;
/// Reads after which it is taken for absent: some seconds.
const PATIENCE: usize = 5_000_000;

/// Where `clock` is when the PIT begins to count `ns` nanoseconds (at most 50 ms) and when it is through; `None` if it
/// does not answer.
pub(super) fn measure(ns: u64, clock: impl Fn() -> u64) -> Option<[Sample; 2]> {
    let count = (ns * HZ / 1_000_000_000).min(0xffff) as u16;
    let [low, high] = count.to_le_bytes();
    // SAFETY: this module's port.
    let control = unsafe { port::read_u8(CONTROL) } & !SPEAKER & !GATE;
    for (register, value) in
        [(CONTROL, control), (MODE, CHANNEL2_ONE_SHOT), (CHANNEL2, low), (CHANNEL2, high)]
    {
        // SAFETY: this module's ports.
        unsafe { port::write_u8(register, value) };
    }
    let before = clock();
    // SAFETY: opens the gate: counting starts.
    unsafe { port::write_u8(CONTROL, control | GATE) };
    let start = Sample { before, reference: 0, after: clock() };
    let mut not_yet = start.after;
    for _ in 0..PATIENCE {
        let before = clock();
        // SAFETY: this module's port.
        if unsafe { port::read_u8(CONTROL) } & OUTPUT != 0 {
            // The output rises with the count after the last.
            let end = Sample { before: not_yet, reference: u64::from(count) + 1, after: clock() };
            return Some([start, end]);
        }
        not_yet = before;
    }
    None
}
