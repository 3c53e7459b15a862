//! Notices lines that interrupt without end.
//!
//! Two things can go wrong. A line may be stuck, or be another device's than its handlers think: then the interrupts are
//! handled by nobody, and the line is of no use. Or a device asks for more than a CPU can serve, and nothing else runs
//! any more: then the line gets no more than [`MOST_IN_WINDOW`] interrupts in each [`WINDOW_NS`].
//!
//! A wired line that is shared may well have interrupts now and then that nobody wants (a status register that was read
//! too late), so only a long row of them counts.

/// The time over which interrupts are counted.
const WINDOW_NS: u64 = 100_000_000;
/// So many in a window are let through: far above what devices with any moderation ask for.
const MOST_IN_WINDOW: u32 = 20_000;
/// A row of unhandled interrupts ends a line when it is so long; and when a pause does not break it. (An emulator may keep
/// a CPU from running for some tenths of a second: that is no pause.)
const UNHANDLED_ROW: u32 = 10_000;
const PAUSE_NS: u64 = 1_000_000_000;
/// At most one message about a line in this time.
const MESSAGE_NS: u64 = 10_000_000_000;

/// What is known of a line.
pub(super) struct Storm {
    window_start: u64,
    in_window: u32,
    unhandled_row: u32,
    last_unhandled: u64,
    /// All unhandled ones.
    pub(super) unhandled: u64,
    next_message: u64,
}

/// What is to be done with the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Fine,
    /// Nobody wants its interrupts: it must be disabled.
    NobodyCared,
    /// It must keep quiet until then (in nanoseconds of the monotonic clock); whether that should be said.
    TooMany { until: u64, say_so: bool },
}

impl Storm {
    /// Of a line without interrupts.
    pub(super) const NEW: Storm = Storm {
        window_start: 0,
        in_window: 0,
        unhandled_row: 0,
        last_unhandled: 0,
        unhandled: 0,
        next_message: 0,
    };

    /// Counts an interrupt.
    pub(super) fn note(&mut self, was_handled: bool, now: u64) -> Verdict {
        if was_handled {
            self.unhandled_row = 0;
        } else {
            let is_row = now.saturating_sub(self.last_unhandled) < PAUSE_NS;
            self.unhandled_row = if is_row { self.unhandled_row + 1 } else { 1 };
            self.last_unhandled = now;
            self.unhandled += 1;
            if self.unhandled_row >= UNHANDLED_ROW {
                self.unhandled_row = 0;
                return Verdict::NobodyCared;
            }
        }
        if now.saturating_sub(self.window_start) >= WINDOW_NS {
            self.window_start = now;
            self.in_window = 0;
        }
        self.in_window += 1;
        if self.in_window <= MOST_IN_WINDOW {
            return Verdict::Fine;
        }
        let say_so = now >= self.next_message;
        if say_so {
            self.next_message = now + MESSAGE_NS;
        }
        Verdict::TooMany { until: self.window_start + WINDOW_NS, say_so }
    }
}
