//! Exclusive ranges of I/O ports, for drivers of devices that have no memory-mapped registers.
//!
//! # Soundness
//! A range belongs to one holder, and the ports through which a CPU's or the memory system's state can
//! be changed, or memory written (interrupt controllers, timers, DMA, PCI configuration, SMM), belong to this
//! crate for ever. What is left are devices, which write memory only when they are bus masters.

use super::port;
use crate::sync::IrqSpinLock;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

/// Ports of this crate, and what is there.
const RESERVED: [(RangeInclusive<u16>, &str); 16] = [
    (0x00..=0x1f, "dma1"),
    (0x20..=0x21, "pic1"),
    (0x40..=0x43, "timer0"),
    (0x61..=0x61, "timer gate"),
    (0x70..=0x71, "rtc0"),
    (0x80..=0x8f, "dma page reg"),
    (0x92..=0x92, "fast reset"),
    (0xa0..=0xa1, "pic2"),
    (0xb2..=0xb3, "system management"),
    (0xc0..=0xdf, "dma2"),
    (0xf4..=0xf7, "debug exit"),
    (0x2e8..=0x2ef, "serial"),
    (0x2f8..=0x2ff, "serial"),
    (0x3e8..=0x3ef, "serial"),
    (0x3f8..=0x3ff, "serial"),
    (0xcf8..=0xcff, "PCI conf1"),
];

static CLAIMED: IrqSpinLock<Vec<(RangeInclusive<u16>, &'static str)>> =
    IrqSpinLock::new("io ports", Vec::new());

/// All ranges that somebody has, and who, at this moment.
pub fn owned_ports() -> Vec<(RangeInclusive<u16>, &'static str)> {
    let mut owned = RESERVED.to_vec();
    owned.extend_from_slice(&CLAIMED.lock());
    owned
}

/// A range of I/O ports, exclusively claimed until dropped. An access beyond its end panics.
pub struct IoPorts {
    first: u16,
    last: u16,
}

impl IoPorts {
    /// Claims `first .. first + count` for `owner`; `None` if there are no such ports, a part of them is taken or belongs
    /// to the machine itself.
    pub fn claim(first: u16, count: u16, owner: &'static str) -> Option<IoPorts> {
        let last = first.checked_add(count.checked_sub(1)?)?;
        let overlaps =
            |(range, _): &(RangeInclusive<u16>, &str)| first <= *range.end() && *range.start() <= last;
        let mut claimed = CLAIMED.lock();
        if RESERVED.iter().chain(claimed.iter()).any(overlaps) {
            return None;
        }
        claimed.push((first..=last, owner));
        Some(IoPorts { first, last })
    }

    /// Reads the port at an offset into the range.
    pub fn read_u8(&self, offset: u16) -> u8 {
        // SAFETY: the port is ours and harmless, see Soundness.
        unsafe { port::read_u8(self.port(offset, 1)) }
    }

    /// See [`read_u8`](Self::read_u8).
    pub fn read_u16(&self, offset: u16) -> u16 {
        // SAFETY: the ports are ours and harmless, see Soundness.
        unsafe { port::read_u16(self.port(offset, 2)) }
    }

    /// See [`read_u8`](Self::read_u8).
    pub fn read_u32(&self, offset: u16) -> u32 {
        // SAFETY: the ports are ours and harmless, see Soundness.
        unsafe { port::read_u32(self.port(offset, 4)) }
    }

    /// Writes the port at an offset into the range.
    pub fn write_u8(&self, offset: u16, value: u8) {
        // SAFETY: the port is ours and harmless, see Soundness.
        unsafe { port::write_u8(self.port(offset, 1), value) };
    }

    /// See [`write_u8`](Self::write_u8).
    pub fn write_u16(&self, offset: u16, value: u16) {
        // SAFETY: the ports are ours and harmless, see Soundness.
        unsafe { port::write_u16(self.port(offset, 2), value) };
    }

    /// See [`write_u8`](Self::write_u8).
    pub fn write_u32(&self, offset: u16, value: u32) {
        // SAFETY: the ports are ours and harmless, see Soundness.
        unsafe { port::write_u32(self.port(offset, 4), value) };
    }

    /// The number of a port, `width` ports from which on are in the range.
    fn port(&self, offset: u16, width: u16) -> u16 {
        let count = self.last - self.first;
        assert!(width - 1 <= count && offset <= count - (width - 1), "port offset {offset} out of range");
        self.first + offset
    }
}

impl Drop for IoPorts {
    fn drop(&mut self) {
        CLAIMED.lock().retain(|(range, _)| *range.start() != self.first);
    }
}
