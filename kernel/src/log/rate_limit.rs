//! A limit for messages that a program can cause as often as it likes.

use crate::clock;
use core::fmt;
use machine::sync::IrqSpinLock;

/// Lets so many messages through in each stretch of time, and then says how many it has kept back.
pub(crate) struct RateLimit {
    /// Whose messages, for that line.
    what: &'static str,
    interval_ns: u64,
    burst: u32,
    state: IrqSpinLock<State>,
}

struct State {
    begun_ns: u64,
    passed: u32,
    kept_back: u32,
}

impl RateLimit {
    /// Linux's usual limit: ten messages in five seconds.
    pub(crate) const fn new(what: &'static str) -> Self {
        let state = State { begun_ns: 0, passed: 0, kept_back: 0 };
        Self {
            what,
            interval_ns: 5 * clock::SECOND_NS,
            burst: 10,
            state: IrqSpinLock::new("log rate limit", state),
        }
    }

    /// Whether a message may pass now.
    pub(crate) fn admits(&self) -> bool {
        let (passes, kept_back) =
            self.state.lock().count(clock::monotonic_ns(), self.interval_ns, self.burst);
        if kept_back > 0 {
            log::warn!("{}: {kept_back} messages were kept back", self.what);
        }
        passes
    }

    /// Logs a message of that level, if it may pass.
    pub(crate) fn log(&self, level: log::Level, message: fmt::Arguments<'_>) {
        if self.admits() {
            log::log!(level, "{message}");
        }
    }
}

impl State {
    /// Whether the message that comes now passes, and how many before it did not, if that is to be told now.
    fn count(&mut self, now: u64, interval_ns: u64, burst: u32) -> (bool, u32) {
        let mut told = 0;
        if now.saturating_sub(self.begun_ns) >= interval_ns {
            told = self.kept_back;
            *self = State { begun_ns: now, passed: 0, kept_back: 0 };
        }
        let passes = self.passed < burst;
        if passes {
            self.passed += 1
        } else {
            self.kept_back += 1
        }
        (passes, told)
    }
}

#[cfg(feature = "tests")]
mod tests {
    use super::*;
    use test_macro::kernel_test;

    #[kernel_test]
    fn a_flood_is_kept_back_and_counted() {
        let mut state = State { begun_ns: 0, passed: 0, kept_back: 0 };
        let passed = (0..100).filter(|at| state.count(1000 + at, 1000, 10).0).count();
        assert_eq!(passed, 10);
        assert_eq!(state.count(1999, 1000, 10), (false, 0));
        assert_eq!(state.count(2000, 1000, 10), (true, 91));
        assert_eq!(state.count(2001, 1000, 10), (true, 0));
    }
}
