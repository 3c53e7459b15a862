//! The page from which clocks are read, by the kernel and (mapped read-only) by programs through the vDSO.
//!
//! Monotonic time is a line over the counts of a hardware counter: a point of it, and a rate. Whoever changes it makes the
//! sequence number odd, writes, and makes it even again; whoever reads starts again if the number was odd or changed. The
//! counter is read between the two looks at the number, so a reading is never older than the line it is put on: time does
//! not go back, on any CPU, when the rate changes.
//!
//! This file is compiled into the vDSO as well. It has no dependency but [`super::rate`].

use super::rate::{FRACTION_BITS, Rate};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// The counter behind the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Source {
    /// One that programs cannot read: they ask the kernel.
    Kernel = 0,
    /// The time-stamp counter.
    Tsc = 1,
}

/// A line from counts to nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Nanoseconds at the count of the moment.
    pub base_ns: u64,
    /// And so many 2^-48 nanoseconds.
    pub fraction: u64,
    /// Its slope.
    pub rate: Rate,
}

/// What clocks are computed from. Times in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// The counter.
    pub source: Source,
    /// The bits that the counter has.
    pub mask: u64,
    /// The counter at the moment to which `monotonic` and `raw` belong.
    pub base_counts: u64,
    /// CLOCK_MONOTONIC, which the kernel steers.
    pub monotonic: Line,
    /// CLOCK_MONOTONIC_RAW, which nobody steers.
    pub raw: Line,
    /// Time of day minus monotonic time.
    pub realtime_offset_ns: u64,
    /// International atomic time minus time of day, in seconds.
    pub tai_offset_s: i32,
}

impl Clocks {
    /// No time passes.
    pub const STOPPED: Clocks = {
        let line = Line {
            base_ns: 0,
            fraction: 0,
            rate: Rate::from_hz(1_000 * super::rate::SECOND_NS).expect("in range"),
        };
        Clocks {
            source: Source::Kernel,
            mask: 0,
            base_counts: 0,
            monotonic: line,
            raw: line,
            realtime_offset_ns: 0,
            tai_offset_s: 0,
        }
    };

    /// Counts since the moment. A counter that is a little behind the moment (another CPU's) counts as there.
    const fn elapsed(&self, counts: u64) -> u64 {
        let elapsed = counts.wrapping_sub(self.base_counts) & self.mask;
        if elapsed > self.mask / 2 { 0 } else { elapsed }
    }

    /// The same clocks with `counts` as their moment.
    #[must_use]
    pub const fn at(self, counts: u64) -> Clocks {
        let elapsed = self.elapsed(counts);
        Clocks {
            base_counts: if elapsed == 0 { self.base_counts } else { counts },
            monotonic: self.monotonic.advanced(elapsed),
            raw: self.raw.advanced(elapsed),
            ..self
        }
    }

    /// Monotonic nanoseconds at a count.
    pub const fn monotonic_ns(&self, counts: u64) -> u64 {
        self.monotonic.advanced(self.elapsed(counts)).base_ns
    }

    /// The first count at which monotonic time is `ns` or more.
    pub const fn counts_at(&self, ns: u64) -> u64 {
        self.monotonic.counts_at(self.base_counts, ns)
    }
}

impl Line {
    const fn counts_at(self, base_counts: u64, ns: u64) -> u64 {
        let ahead = ns.saturating_sub(self.base_ns);
        base_counts.saturating_add(self.rate.counts_until(ahead, self.fraction))
    }

    const fn advanced(self, counts: u64) -> Line {
        let (ns, fraction) = self.rate.nanoseconds(counts, self.fraction);
        Line { base_ns: self.base_ns.saturating_add(ns), fraction, rate: self.rate }
    }
}

/// [`Clocks`] as they stand in memory. Smaller than a page.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct ClockPage {
    sequence: AtomicU32,
    source: AtomicU32,
    mask: AtomicU64,
    base_counts: AtomicU64,
    monotonic_ns: AtomicU64,
    monotonic_fraction: AtomicU64,
    monotonic_rate: AtomicU64,
    realtime_offset_ns: AtomicU64,
    tai_offset_s: AtomicU32,
    raw_ns: AtomicU64,
    raw_fraction: AtomicU64,
    raw_rate: AtomicU64,
}

/// What a program can ask of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// CLOCK_MONOTONIC, and CLOCK_BOOTTIME as long as the machine does not sleep.
    Monotonic,
    /// CLOCK_MONOTONIC_RAW.
    Raw,
    /// CLOCK_REALTIME.
    Realtime,
    /// CLOCK_TAI.
    Tai,
    /// CLOCK_MONOTONIC_COARSE.
    MonotonicCoarse,
    /// CLOCK_REALTIME_COARSE.
    RealtimeCoarse,
}

/// The coarse clocks show the last multiple of this, in nanoseconds of monotonic time: what a tick 250 times a second
/// would have noted.
pub const COARSE_NS: u64 = 4_000_000;

impl Default for ClockPage {
    fn default() -> ClockPage {
        ClockPage::new()
    }
}

impl ClockPage {
    /// [`Clocks::STOPPED`].
    pub const fn new() -> ClockPage {
        const STOPPED: Clocks = Clocks::STOPPED;
        ClockPage {
            sequence: AtomicU32::new(0),
            source: AtomicU32::new(STOPPED.source as u32),
            mask: AtomicU64::new(0),
            base_counts: AtomicU64::new(0),
            monotonic_ns: AtomicU64::new(0),
            monotonic_fraction: AtomicU64::new(0),
            monotonic_rate: AtomicU64::new(STOPPED.monotonic.rate.bits()),
            realtime_offset_ns: AtomicU64::new(0),
            tai_offset_s: AtomicU32::new(0),
            raw_ns: AtomicU64::new(0),
            raw_fraction: AtomicU64::new(0),
            raw_rate: AtomicU64::new(STOPPED.raw.rate.bits()),
        }
    }

    /// Begins a change: readers wait from here to [`end`](Self::end). One writer at a time.
    pub fn begin(&self) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(sequence.wrapping_add(1), Ordering::Relaxed);
        // All must see the odd number before the writer reads the counter for the new line: else somebody puts a later
        // count on the old one, unnoticed.
        fence(Ordering::SeqCst);
    }

    /// Writes, between [`begin`](Self::begin) and [`end`](Self::end).
    pub fn write(&self, clocks: &Clocks) {
        self.source.store(clocks.source as u32, Ordering::Relaxed);
        self.mask.store(clocks.mask, Ordering::Relaxed);
        self.base_counts.store(clocks.base_counts, Ordering::Relaxed);
        self.monotonic_ns.store(clocks.monotonic.base_ns, Ordering::Relaxed);
        self.monotonic_fraction.store(clocks.monotonic.fraction, Ordering::Relaxed);
        self.monotonic_rate.store(clocks.monotonic.rate.bits(), Ordering::Relaxed);
        self.realtime_offset_ns.store(clocks.realtime_offset_ns, Ordering::Relaxed);
        self.tai_offset_s.store(clocks.tai_offset_s as u32, Ordering::Relaxed);
        self.raw_ns.store(clocks.raw.base_ns, Ordering::Relaxed);
        self.raw_fraction.store(clocks.raw.fraction, Ordering::Relaxed);
        self.raw_rate.store(clocks.raw.rate.bits(), Ordering::Relaxed);
    }

    /// Ends a change.
    pub fn end(&self) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(sequence.wrapping_add(1), Ordering::Release);
    }

    /// Whether somebody is changing it.
    #[inline]
    pub fn is_changing(&self) -> bool {
        self.sequence.load(Ordering::Relaxed) & 1 != 0
    }

    /// Time of day minus monotonic time, in nanoseconds.
    #[inline]
    pub fn realtime_offset_ns(&self) -> u64 {
        self.realtime_offset_ns.load(Ordering::Relaxed)
    }

    /// International atomic time minus time of day, in seconds.
    #[inline]
    pub fn tai_offset_s(&self) -> i32 {
        self.tai_offset_s.load(Ordering::Relaxed) as i32
    }

    /// The first count at which monotonic time is `ns` or more; `None` if programs' counter is not `Source::Tsc`.
    pub fn tsc_at(&self, ns: u64) -> Option<u64> {
        loop {
            let sequence = self.sequence.load(Ordering::Acquire);
            let is_tsc = self.source.load(Ordering::Relaxed) == Source::Tsc as u32;
            let line = Line {
                base_ns: self.monotonic_ns.load(Ordering::Relaxed),
                fraction: self.monotonic_fraction.load(Ordering::Relaxed),
                rate: Rate::from_bits(self.monotonic_rate.load(Ordering::Relaxed)),
            };
            let base_counts = self.base_counts.load(Ordering::Relaxed);
            fence(Ordering::Acquire);
            if sequence & 1 == 0 && self.sequence.load(Ordering::Relaxed) == sequence {
                return is_tsc.then(|| line.counts_at(base_counts, ns));
            }
            core::hint::spin_loop();
        }
    }

    /// Nanoseconds of a clock; `counter` reads the hardware, `None` if it cannot (the answer is `None` then).
    /// `wait` is called while somebody changes the page; it may end the wait with an answer of its own.
    #[inline(always)]
    pub fn read(
        &self,
        reading: Reading,
        mut counter: impl FnMut(Source) -> Option<u64>,
        mut wait: impl FnMut() -> Option<u64>,
    ) -> Option<u64> {
        loop {
            let sequence = self.sequence.load(Ordering::Acquire);
            if sequence & 1 != 0 {
                if let Some(answer) = wait() {
                    return Some(answer);
                }
                continue;
            }
            let source = if self.source.load(Ordering::Relaxed) == Source::Tsc as u32 {
                Source::Tsc
            } else {
                Source::Kernel
            };
            let counts = counter(source)?;
            let mask = match source {
                Source::Tsc => u64::MAX,
                Source::Kernel => self.mask.load(Ordering::Relaxed),
            };
            let answer = self.compute(reading, counts, mask);
            fence(Ordering::Acquire);
            if self.sequence.load(Ordering::Relaxed) == sequence {
                return Some(answer);
            }
        }
    }

    /// Whatever stands there, consistent or not. Wraps where a torn reading makes no sense.
    #[inline(always)]
    fn compute(&self, reading: Reading, counts: u64, mask: u64) -> u64 {
        let (base, fraction, rate) = match reading {
            Reading::Raw => (&self.raw_ns, &self.raw_fraction, &self.raw_rate),
            _ => (&self.monotonic_ns, &self.monotonic_fraction, &self.monotonic_rate),
        };
        let elapsed = counts.wrapping_sub(self.base_counts.load(Ordering::Relaxed)) & mask;
        let elapsed = if elapsed > mask / 2 { 0 } else { elapsed };
        let sum = u128::from(elapsed) * u128::from(rate.load(Ordering::Relaxed))
            + u128::from(fraction.load(Ordering::Relaxed));
        let mut ns = base.load(Ordering::Relaxed).wrapping_add((sum >> FRACTION_BITS) as u64);
        if matches!(reading, Reading::MonotonicCoarse | Reading::RealtimeCoarse) {
            ns -= ns % COARSE_NS;
        }
        match reading {
            Reading::Realtime | Reading::RealtimeCoarse => {
                ns.wrapping_add(self.realtime_offset_ns.load(Ordering::Relaxed))
            }
            Reading::Tai => {
                let tai_s = self.tai_offset_s.load(Ordering::Relaxed) as i32;
                ns.wrapping_add(self.realtime_offset_ns.load(Ordering::Relaxed))
                    .wrapping_add_signed(i64::from(tai_s) * 1_000_000_000)
            }
            _ => ns,
        }
    }
}

/// How programs learn which CPU they run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum CpuNumber {
    /// By asking the kernel.
    Kernel = 0,
    /// RDTSCP: in TSC_AUX the node above twelve bits for the CPU.
    Rdtscp = 1,
    /// RDPID: the same, without the counter.
    Rdpid = 2,
}

/// All that the vDSO reads. It starts a page of its own.
#[derive(Debug)]
#[repr(C)]
pub struct SharedPage {
    /// The clocks.
    pub clock: ClockPage,
    cpu_number: AtomicU32,
    /// Minutes west, and the kind of daylight saving time in the upper half: what settimeofday was told.
    time_zone: AtomicU64,
}

impl Default for SharedPage {
    fn default() -> SharedPage {
        SharedPage::new()
    }
}

impl SharedPage {
    /// Time stands still, nothing is known.
    pub const fn new() -> SharedPage {
        SharedPage { clock: ClockPage::new(), cpu_number: AtomicU32::new(0), time_zone: AtomicU64::new(0) }
    }

    /// How to learn the CPU's number.
    #[inline]
    pub fn cpu_number(&self) -> CpuNumber {
        match self.cpu_number.load(Ordering::Relaxed) {
            number if number == CpuNumber::Rdtscp as u32 => CpuNumber::Rdtscp,
            number if number == CpuNumber::Rdpid as u32 => CpuNumber::Rdpid,
            _ => CpuNumber::Kernel,
        }
    }

    /// Sets what [`cpu_number`](Self::cpu_number) tells.
    pub fn set_cpu_number(&self, how: CpuNumber) {
        self.cpu_number.store(how as u32, Ordering::Relaxed);
    }

    /// Minutes west of Greenwich, and the kind of daylight saving time.
    #[inline]
    pub fn time_zone(&self) -> (i32, i32) {
        let both = self.time_zone.load(Ordering::Relaxed);
        (both as i32, (both >> 32) as i32)
    }

    /// Sets the time zone.
    pub fn set_time_zone(&self, minutes_west: i32, daylight_saving: i32) {
        let both = u64::from(daylight_saving as u32) << 32 | u64::from(minutes_west as u32);
        self.time_zone.store(both, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
