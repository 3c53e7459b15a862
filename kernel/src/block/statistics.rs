//! What a disk has done, as /proc/diskstats and /sys/block/*/stat count it.

use super::hardware::Command;
use super::transfer::Operation;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

/// Counts of one direction.
#[derive(Debug, Default)]
struct Direction {
    requests: AtomicU64,
    merges: AtomicU64,
    bytes: AtomicU64,
    nanoseconds: AtomicU64,
}

/// Counts of a disk.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    reads: Direction,
    writes: Direction,
    discards: Direction,
    flushes: Direction,
}

impl Statistics {
    /// A request of the device has ended after so many nanoseconds.
    pub(super) fn note(&self, command: &Command<'_>, nanoseconds: u64) {
        let direction = match command.operation {
            Operation::Read => &self.reads,
            Operation::Write(_) | Operation::WriteZeroes => &self.writes,
            Operation::Discard => &self.discards,
            Operation::Flush => &self.flushes,
        };
        direction.requests.fetch_add(1, Ordering::Relaxed);
        direction.bytes.fetch_add(command.length, Ordering::Relaxed);
        direction.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Somebody's transfer became a part of a request that was there already.
    pub(super) fn note_merge(&self, is_read: bool) {
        let direction = if is_read { &self.reads } else { &self.writes };
        direction.merges.fetch_add(1, Ordering::Relaxed);
    }

    #[cfg(feature = "tests")]
    /// Requests that the device has done: reads, writes, flushes.
    pub(crate) fn requests(&self) -> [u64; 3] {
        [&self.reads, &self.writes, &self.flushes].map(|direction| direction.requests.load(Ordering::Relaxed))
    }
}

/// The 17 numbers of Documentation/block/stat.rst: of reads and writes the requests, merges, sectors of 512 bytes and
/// milliseconds; three that tell of the present and are not kept; the same four of discards; flushes and their time.
impl fmt::Display for Statistics {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let write = |out: &mut fmt::Formatter<'_>, direction: &Direction| {
            let (sectors, time) = (value(&direction.bytes) / 512, value(&direction.nanoseconds) / 1_000_000);
            write!(out, "{} {} {sectors} {time} ", value(&direction.requests), value(&direction.merges))
        };
        write(out, &self.reads)?;
        write(out, &self.writes)?;
        let busy = [&self.reads, &self.writes].map(|direction| value(&direction.nanoseconds) / 1_000_000);
        write!(out, "0 {} {} ", busy[0].max(busy[1]), busy[0] + busy[1])?;
        write(out, &self.discards)?;
        write!(out, "{} {}", value(&self.flushes.requests), value(&self.flushes.nanoseconds) / 1_000_000)
    }
}
