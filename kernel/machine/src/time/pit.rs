//! The 8254 interval timer, only as a reference to measure other clocks by (its channel 2).

use crate::io::port;

const CHANNEL2: u16 = 0x42;
const MODE: u16 = 0x43;
/// System control port B: gate of channel 2 (bit 0), speaker (bit 1), output of channel 2 (bit 5).
const CONTROL: u16 = 0x61;
const GATE: u8 = 1;
const SPEAKER: u8 = 2;
const OUTPUT: u8 = 1 << 5;
/// Channel 2, low then high byte, mode 0 (output rises at zero).
const CHANNEL2_ONE_SHOT: u8 = 0b1011_0000;
const HZ: u64 = 1_193_182;

/// How far `clock` gets in `ns` nanoseconds (at most 50 ms); 0 if the PIT does not answer.
pub(super) fn measure(ns: u64, clock: impl Fn() -> u64) -> u64 {
    let count = (ns * HZ / 1_000_000_000).min(0xffff) as u16;
    let [low, high] = count.to_le_bytes();
    // SAFETY: this module's ports.
    let control = unsafe { port::read_u8(CONTROL) } & !SPEAKER & !GATE;
    for (register, value) in
        [(CONTROL, control), (MODE, CHANNEL2_ONE_SHOT), (CHANNEL2, low), (CHANNEL2, high)]
    {
        // SAFETY: this module's ports.
        unsafe { port::write_u8(register, value) };
    }
    // SAFETY: opens the gate: counting starts.
    unsafe { port::write_u8(CONTROL, control | GATE) };
    let start = clock();
    for _ in 0..10_000_000 {
        // SAFETY: this module's port.
        if unsafe { port::read_u8(CONTROL) } & OUTPUT != 0 {
            return clock() - start;
        }
    }
    0
}
