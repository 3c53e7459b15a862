//! timerfd: a timer whose expirations are read. Source: timerfd_create(2).

use super::{check_room, put_number};
use crate::{
    clock,
    error::Result,
    fs::{
        file::{File, FileOperations, Seeking},
        io::Destination,
        poll::PollTable,
    },
    sched::{
        timer::{Base, Deadline, Timer},
        wait::WaitQueue,
    },
};
use abi::{errno::Errno, poll::PollEvents};
use alloc::{
    sync::{Arc, Weak},
    vec::Vec,
};
use machine::sync::IrqSpinLock;

/// The shortest time between two interrupts of a timer, in nanoseconds.
const SHORTEST_PAUSE_NS: u64 = 10_000;

/// A setting: when it expires next and how often from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// When; `None`: it is off.
    pub(crate) deadline: Option<Deadline>,
    /// Nanoseconds; 0: once.
    pub(crate) interval_ns: u64,
    /// What a step of the time of day does.
    pub(crate) on_step: OnStep,
}

/// What happens to a timer when the time of day is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnStep {
    /// It goes by the new time.
    GoOn,
    /// The next read fails with ECANCELED (TFD_TIMER_CANCEL_ON_SET).
    Cancel,
}

impl Setting {
    const OFF: Setting = Setting { deadline: None, interval_ns: 0, on_step: OnStep::GoOn };
}

/// What is left of a setting, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left {
    /// To the next expiry; 0: it is off.
    pub(crate) value_ns: u64,
    /// The period; 0: once.
    pub(crate) interval_ns: u64,
}

struct State {
    setting: Setting,
    expirations: u64,
    /// How often the time of day had been set when this was set, or when somebody was told last.
    settings_seen: u64,
}

/// The timer.
pub(crate) struct TimerFile {
    base: Base,
    state: IrqSpinLock<State>,
    timer: Timer,
    /// Itself.
    this: Weak<TimerFile>,
    expired: WaitQueue,
}

/// Timers whose readers wait for the time of day to be set.
static CANCELLABLE: IrqSpinLock<Vec<Weak<TimerFile>>> = IrqSpinLock::new("cancellable timers", Vec::new());

/// The time of day was set: wakes the readers who want to know.
pub(crate) fn clock_was_set() {
    let mut woken = Vec::new();
    CANCELLABLE.lock().retain(|timer| match timer.upgrade() {
        Some(timer) => {
            woken.push(timer);
            true
        }
        None => false,
    });
    woken.iter().for_each(|timer| timer.expired.wake_all());
}

impl TimerFile {
    /// A timer that is off.
    pub(crate) fn new(base: Base) -> Arc<Self> {
        Arc::new_cyclic(|this: &Weak<Self>| Self {
            base,
            state: IrqSpinLock::new(
                "timerfd",
                State { setting: Setting::OFF, expirations: 0, settings_seen: 0 },
            ),
            timer: Timer::new({
                let this = this.clone();
                Arc::new(move || this.upgrade().iter().for_each(|file| file.expire()))
            }),
            this: this.clone(),
            expired: WaitQueue::named("timerfd"),
        })
    }

    /// Its clock.
    pub(crate) fn base(&self) -> Base {
        self.base
    }

    /// Its time has come. In interrupt context.
    fn expire(&self) {
        let next = self.state.lock().catch_up();
        if let Some(next) = next {
            // A period shorter than the way to here must not keep the CPU for itself.
            self.timer.set(Deadline { ns: next.ns.max(next.base.now() + SHORTEST_PAUSE_NS), ..next });
        }
        self.expired.wake_all();
    }

    /// Sets it and returns what was left of the setting before.
    ///
    /// # Errors
    /// ECANCELED: the time of day has been set, and nobody was told yet. The timer is set all the same.
    pub(crate) fn set(&self, new: Setting) -> Result<Left> {
        if new.on_step == OnStep::Cancel {
            let mut cancellable = CANCELLABLE.lock();
            if !cancellable.iter().any(|timer| timer.ptr_eq(&self.this)) {
                cancellable.push(self.this.clone());
            }
        }
        let (before, is_canceled) = {
            let mut state = self.state.lock();
            let before = state.remaining();
            let is_canceled = new.on_step == OnStep::Cancel && state.is_canceled();
            *state = State { setting: new, expirations: 0, settings_seen: clock::settings() };
            (before, is_canceled)
        };
        match new.deadline {
            Some(deadline) => self.timer.set(deadline),
            None => self.timer.cancel(),
        }
        if is_canceled { Err(Errno::ECANCELED.into()) } else { Ok(before) }
    }

    /// What is left of the setting.
    pub(crate) fn remaining(&self) -> Left {
        self.state.lock().remaining()
    }

    fn take(&self) -> Option<Result<u64>> {
        let mut state = self.state.lock();
        if state.is_canceled() {
            state.settings_seen = clock::settings();
            state.expirations = 0;
            return Some(Err(Errno::ECANCELED.into()));
        }
        // The interrupt may come a little later than somebody who looks at the clock.
        state.catch_up();
        let taken = core::mem::take(&mut state.expirations);
        (taken > 0).then_some(Ok(taken))
    }
}

impl State {
    /// Whether the reader is to be told that the time of day was set.
    fn is_canceled(&self) -> bool {
        self.setting.on_step == OnStep::Cancel && self.settings_seen != clock::settings()
    }

    /// Counts what has expired by now; returns when it expires next.
    fn catch_up(&mut self) -> Option<Deadline> {
        let deadline = self.setting.deadline?;
        let now = deadline.base.now();
        if now < deadline.ns {
            return Some(deadline);
        }
        let Setting { interval_ns, .. } = self.setting;
        match (now - deadline.ns).checked_div(interval_ns) {
            None => {
                self.expirations += 1;
                self.setting.deadline = None;
            }
            Some(missed) => {
                let passed = missed.saturating_add(1);
                self.expirations = self.expirations.saturating_add(passed);
                let ns = deadline.ns.saturating_add(passed.saturating_mul(interval_ns));
                self.setting.deadline = Some(Deadline { ns, ..deadline });
            }
        }
        self.setting.deadline
    }

    fn remaining(&mut self) -> Left {
        self.catch_up();
        let left = self.setting.deadline.map(|deadline| deadline.remaining_ns().max(1));
        Left { value_ns: left.unwrap_or(0), interval_ns: self.setting.interval_ns }
    }
}

impl FileOperations for TimerFile {
    fn read(&self, file: &File, _offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        check_room(to)?;
        let taken = match self.take() {
            Some(taken) => taken?,
            None if file.is_nonblocking() => return Err(Errno::EAGAIN.into()),
            None => self.expired.wait_interruptible(|| self.take(), None)??,
        };
        put_number(to, taken)
    }

    fn seeking(&self) -> Seeking {
        Seeking::Stream
    }

    fn poll(&self, _file: &File, table: &mut PollTable<'_>) -> PollEvents {
        table.watch(&self.expired);
        let mut state = self.state.lock();
        state.catch_up();
        if state.expirations > 0 || state.is_canceled() { PollEvents::POLLIN } else { PollEvents::empty() }
    }
}
