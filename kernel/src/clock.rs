//! The clocks of the system: time since boot, and the time of day on top of it.
//!
//! The time of day is the monotonic clock plus an offset that `settimeofday` and its relatives change.

use abi::time::Timespec;
use core::sync::atomic::{AtomicU64, Ordering};
use machine::sync::Once;

/// Nanoseconds in a second.
pub(crate) const SECOND_NS: u64 = 1_000_000_000;

/// Monotonic 0 in nanoseconds since 1970-01-01 UTC, once somebody has set it; until then the CMOS clock counts.
static OFFSET: AtomicU64 = AtomicU64::new(0);
static INITIAL: Once<u64> = Once::new();

/// Nanoseconds since boot.
pub(crate) fn monotonic_ns() -> u64 {
    machine::time::monotonic_ns()
}

/// Nanoseconds since 1970-01-01 UTC.
pub(crate) fn realtime_ns() -> u64 {
    offset_ns().saturating_add(monotonic_ns())
}

/// The time of day as files' time stamps have it.
pub(crate) fn realtime() -> Timespec {
    Timespec::from_nanos(realtime_ns())
}

/// When the system was started, in nanoseconds since 1970-01-01 UTC.
pub(crate) fn boot_time_ns() -> u64 {
    offset_ns()
}

/// Sets the time of day.
pub(crate) fn set_realtime_ns(realtime_ns: u64) {
    let offset = realtime_ns.saturating_sub(monotonic_ns());
    OFFSET.store(offset.max(1), Ordering::Relaxed);
}

/// The point of the monotonic clock at which the time of day is `realtime_ns`, if nobody sets it until then.
pub(crate) fn monotonic_at(realtime_ns: u64) -> u64 {
    realtime_ns.saturating_sub(offset_ns())
}

fn offset_ns() -> u64 {
    match OFFSET.load(Ordering::Relaxed) {
        0 => *INITIAL.call_once(|| machine::time::unix_seconds_at_boot().saturating_mul(SECOND_NS)),
        offset => offset,
    }
}
