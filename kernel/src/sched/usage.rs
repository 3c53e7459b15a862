//! What each CPU spends its time on, and how often it switches: /proc/stat, /proc/schedstat.
//!
//! Only the CPU itself writes, with interrupts disabled; readers on other CPUs try again when they met a change. The
//! stretch that a CPU is in the middle of counts: a CPU that has been idle for a minute shows a minute, although
//! nothing has happened on it since.

use core::array::from_fn;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// What a CPU does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// A program's own code.
    User,
    /// The same, of a program with a positive nice value.
    Nice,
    /// The kernel, for whomever.
    System,
    /// Nothing.
    Idle,
}

const MODES: usize = 4;

/// What a CPU has done since it was started: nanoseconds, and counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CpuUsage {
    /// In programs.
    pub(crate) user_ns: u64,
    /// In programs with a positive nice value.
    pub(crate) nice_ns: u64,
    /// In the kernel.
    pub(crate) system_ns: u64,
    /// Halted, or about to.
    pub(crate) idle_ns: u64,
    /// Switches from one thread to another.
    pub(crate) switches: u64,
    /// Nanoseconds that threads waited here for their turn, and how many turns there were.
    pub(crate) delay_ns: u64,
    /// See `delay_ns`.
    pub(crate) turns: u64,
}

/// See the module.
pub(super) struct Usage {
    /// Odd while the times are being changed.
    version: AtomicU32,
    times: [AtomicU64; MODES],
    mode: AtomicU32,
    since_ns: AtomicU64,
    pub(super) switches: AtomicU64,
    pub(super) delay_ns: AtomicU64,
    pub(super) turns: AtomicU64,
}

impl Usage {
    pub(super) const fn new() -> Usage {
        Usage {
            version: AtomicU32::new(0),
            times: [const { AtomicU64::new(0) }; MODES],
            mode: AtomicU32::new(Mode::System as u32),
            since_ns: AtomicU64::new(0),
            switches: AtomicU64::new(0),
            delay_ns: AtomicU64::new(0),
            turns: AtomicU64::new(0),
        }
    }

    /// The CPU has been started and does this.
    pub(super) fn begin(&self, mode: Mode, now: u64) {
        self.since_ns.store(now, Ordering::Relaxed);
        self.change_mode(mode, now);
    }

    /// From `now` on the CPU, which runs this with interrupts disabled, does something else.
    #[inline]
    pub(super) fn change_mode(&self, mode: Mode, now: u64) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        let before = self.mode.load(Ordering::Relaxed) as usize % MODES;
        let passed = now.saturating_sub(self.since_ns.load(Ordering::Relaxed));
        let total = self.times[before].load(Ordering::Relaxed);
        self.times[before].store(total + passed, Ordering::Relaxed);
        self.mode.store(mode as u32, Ordering::Relaxed);
        self.since_ns.store(now, Ordering::Relaxed);
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }

    /// What it was up to `now`.
    pub(super) fn read(&self, now: u64) -> CpuUsage {
        let times = loop {
            let version = self.version.load(Ordering::Acquire);
            let mut times: [u64; MODES] = from_fn(|mode| self.times[mode].load(Ordering::Relaxed));
            let mode = self.mode.load(Ordering::Relaxed) as usize % MODES;
            let since = self.since_ns.load(Ordering::Relaxed);
            fence(Ordering::Acquire);
            if version.is_multiple_of(2) && version == self.version.load(Ordering::Relaxed) {
                times[mode] += now.saturating_sub(since);
                break times;
            }
            spin_loop();
        };
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CpuUsage {
            user_ns: times[Mode::User as usize],
            nice_ns: times[Mode::Nice as usize],
            system_ns: times[Mode::System as usize],
            idle_ns: times[Mode::Idle as usize],
            switches: count(&self.switches),
            delay_ns: count(&self.delay_ns),
            turns: count(&self.turns),
        }
    }
}
