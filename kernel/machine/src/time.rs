//! Time: a monotonic clock, a one-shot timer for each CPU, the real-time clock.

/// Nanoseconds since the clock was started at boot; never goes back, the same on every CPU.
pub fn monotonic_ns() -> u64 { todo!() }

/// Seconds since 1970-01-01 UTC by the CMOS clock, read once at boot.
pub fn unix_seconds_at_boot() -> u64 { todo!() }

/// Asks for [`timer_interrupt`](crate::upcalls::Upcalls::timer_interrupt) on this CPU at `deadline_ns`
/// of the monotonic clock (at once if it has passed). Replaces the earlier request; `None` cancels it.
pub fn set_timer(deadline_ns: Option<u64>) { todo!() }

/// Spins for at least `ns` nanoseconds.
pub fn busy_wait_ns(ns: u64) { todo!() }
