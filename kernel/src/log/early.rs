//! Messages from before there are locks and memory: kept in a fixed buffer, printed on the first serial line at once.
//!
//! Only the boot CPU runs then, with interrupts disabled, on the way to [`super::init`]. Atomics, not a lock, make that
//! safe for the compiler; locks need per-CPU data, which is not there at first.
//!
//! Format: per message its length (two bytes), priority, time (eight bytes; all little-endian), text.

use super::{MAX_MESSAGE, console};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use machine::sync::IrqSpinLock;
use machine::time;
use message_ring::{Header, MessageRing};

/// Boot says little in that time.
const BYTES: usize = 4096;
const HEADER: usize = 11;

static BUFFER: [AtomicU8; BYTES] = [const { AtomicU8::new(0) }; BYTES];
static USED: AtomicUsize = AtomicUsize::new(0);
/// Messages that did not fit.
static LOST: AtomicUsize = AtomicUsize::new(0);

/// Keeps and prints a message.
pub(super) fn append(priority: u8, text: &[u8]) {
    // Zero before there is a clock.
    let time_ns = time::monotonic_ns();
    console::print_early(time_ns, priority, text);
    let text = &text[..text.len().min(MAX_MESSAGE)];
    let start = USED.load(Ordering::Relaxed);
    let Some(room) = BUFFER.get(start..start + HEADER + text.len()) else {
        LOST.fetch_add(1, Ordering::Relaxed);
        return;
    };
    let length = (text.len() as u16).to_le_bytes();
    let bytes = length.iter().chain([&priority]).copied().chain(time_ns.to_le_bytes());
    for (place, byte) in room.iter().zip(bytes.chain(text.iter().copied())) {
        place.store(byte, Ordering::Relaxed);
    }
    USED.store(start + room.len(), Ordering::Relaxed);
}

/// Moves everything into the ring. What needs memory is done before the ring is locked: under the log's lock nobody
/// allocates, since allocating may log.
pub(super) fn move_into(ring: &IrqSpinLock<MessageRing<Vec<u8>>>) {
    let used = USED.load(Ordering::Relaxed);
    let bytes: Vec<u8> = BUFFER[..used].iter().map(|byte| byte.load(Ordering::Relaxed)).collect();
    let lost = LOST.load(Ordering::Relaxed);
    let notice = alloc::format!("log: {lost} early messages were printed, but are not kept");
    let mut ring = ring.lock();
    let mut rest = bytes.as_slice();
    while let Some(([l0, l1, priority, time @ ..], behind)) = rest.split_first_chunk::<HEADER>() {
        let length = usize::from(u16::from_le_bytes([*l0, *l1]));
        let Some((text, next)) = behind.split_at_checked(length) else { break };
        let header = Header { time_ns: u64::from_le_bytes(*time), cpu: 0, priority: *priority };
        ring.push(header, text);
        rest = next;
    }
    if lost > 0 {
        ring.push(Header { time_ns: time::monotonic_ns(), cpu: 0, priority: 4 }, notice.as_bytes());
    }
}
