//! What a thread has used, in nanoseconds and counts.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

/// The account of one thread.
///
/// Only the CPU that runs it writes its times, with interrupts disabled; `sequence` tells readers on other CPUs that it has
/// done so meanwhile. A stretch ends at the time at which the switch, or the way into the kernel, began, which a reader may
/// have overtaken: what it was told then stays the least that anybody is told ([`at`](Self::at)).
#[derive(Debug)]
pub(crate) struct Accounts {
    /// Odd while user and system time, or the stretch, are being changed.
    sequence: AtomicU64,
    user_ns: AtomicU64,
    system_ns: AtomicU64,
    /// When the present stretch began (monotonic clock); [`AWAY`](Self::AWAY): there is none.
    stamp: AtomicU64,
    in_user: AtomicBool,
    /// The most that was ever told of user and of system time.
    told_user_ns: AtomicU64,
    told_system_ns: AtomicU64,
    /// When it began to wait for a CPU; 0: it does not.
    queued_ns: AtomicU64,
    delay_ns: AtomicU64,
    turns: AtomicU64,
    /// Switches because it waited.
    pub(crate) voluntary_switches: AtomicU64,
    /// Switches because its turn was over.
    pub(crate) involuntary_switches: AtomicU64,
}

impl Accounts {
    /// Later than any time: nothing has passed since.
    const AWAY: u64 = u64::MAX;

    /// Of a thread that has used nothing yet.
    pub(super) fn new() -> Accounts {
        let zero = || AtomicU64::new(0);
        Accounts {
            sequence: zero(),
            user_ns: zero(),
            system_ns: zero(),
            stamp: AtomicU64::new(Self::AWAY),
            in_user: AtomicBool::new(false),
            told_user_ns: zero(),
            told_system_ns: zero(),
            queued_ns: zero(),
            delay_ns: zero(),
            turns: zero(),
            voluntary_switches: zero(),
            involuntary_switches: zero(),
        }
    }

    /// Changes what readers want to see together.
    #[inline]
    fn change(&self, change: impl FnOnce()) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(sequence.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        change();
        self.sequence.store(sequence.wrapping_add(2), Ordering::Release);
    }

    /// User and system time in nanoseconds up to `now`, with the stretch that the thread is in the middle of. Neither is
    /// ever less than what was told before.
    pub(super) fn at(&self, now: u64) -> (u64, u64) {
        let (user_ns, system_ns) = self.entered_at(now);
        let least = |told: &AtomicU64, found: u64| told.fetch_max(found, Ordering::Relaxed).max(found);
        (least(&self.told_user_ns, user_ns), least(&self.told_system_ns, system_ns))
    }

    fn entered_at(&self, now: u64) -> (u64, u64) {
        loop {
            let before = self.sequence.load(Ordering::Acquire);
            let rest = now.saturating_sub(self.stamp.load(Ordering::Relaxed));
            let in_user = self.in_user.load(Ordering::Relaxed);
            let (user_rest, system_rest) = if in_user { (rest, 0) } else { (0, rest) };
            let user_ns = self.user_ns.load(Ordering::Relaxed) + user_rest;
            let system_ns = self.system_ns.load(Ordering::Relaxed) + system_rest;
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.sequence.load(Ordering::Relaxed) == before {
                return (user_ns, system_ns);
            }
            core::hint::spin_loop();
        }
    }

    /// Nanoseconds that it waited for a CPU while it could run.
    pub(crate) fn delay_ns(&self) -> u64 {
        self.delay_ns.load(Ordering::Relaxed)
    }

    /// How often it got a CPU.
    pub(crate) fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// User mode begins: what has passed since the last stamp was the kernel's. Interrupts are disabled.
    #[inline]
    pub(super) fn enter_user(&self, now: u64) {
        self.change(|| {
            self.settle(now, now);
            self.in_user.store(true, Ordering::Relaxed);
        });
    }

    /// User mode ends; `false` if it had not begun. Interrupts are disabled.
    #[inline]
    pub(super) fn leave_user(&self, now: u64) -> bool {
        let was_in_user = self.in_user.load(Ordering::Relaxed);
        if was_in_user {
            self.change(|| {
                self.settle(now, now);
                self.in_user.store(false, Ordering::Relaxed);
            });
        }
        was_in_user
    }

    /// Enters the stretch that ends now; the next one begins at `next`.
    #[inline]
    fn settle(&self, now: u64, next: u64) {
        let in_user = self.in_user.load(Ordering::Relaxed);
        let account = if in_user { &self.user_ns } else { &self.system_ns };
        let passed = now.saturating_sub(self.stamp.load(Ordering::Relaxed));
        self.stamp.store(next, Ordering::Relaxed);
        account.store(account.load(Ordering::Relaxed) + passed, Ordering::Relaxed);
    }

    /// It has been running since then, before there were accounts.
    pub(super) fn begin(&self, since_ns: u64) {
        self.change(|| self.stamp.store(since_ns, Ordering::Relaxed));
    }

    /// The thread could run, and waits for a CPU from now on.
    pub(super) fn begin_delay(&self, now: u64) {
        self.queued_ns.store(now.max(1), Ordering::Relaxed);
    }

    /// The thread gets a CPU; returns how long it has waited for it.
    pub(super) fn switch_in(&self, now: u64) -> u64 {
        self.begin(now);
        let queued_ns = self.queued_ns.swap(0, Ordering::Relaxed);
        let delay_ns = if queued_ns == 0 { 0 } else { now.saturating_sub(queued_ns) };
        self.delay_ns.fetch_add(delay_ns, Ordering::Relaxed);
        self.turns.fetch_add(1, Ordering::Relaxed);
        delay_ns
    }

    /// The thread leaves its CPU.
    pub(super) fn switch_out(&self, now: u64) {
        self.change(|| self.settle(now, Self::AWAY));
    }
}
