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
    sched::{timer::Timer, wait::WaitQueue},
};
use abi::{errno::Errno, poll::PollEvents};
use alloc::sync::Arc;
use machine::sync::{IrqSpinLock, Once};

/// A setting: when it expires next and how often from then on; in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Setting {
    /// The point of the monotonic clock; `None`: it is off.
    pub(crate) deadline_ns: Option<u64>,
    /// 0: once.
    pub(crate) interval_ns: u64,
}

/// The clock that absolute times count in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// The time of day.
    Realtime,
    /// Time since boot.
    Monotonic,
}

impl Clock {
    /// The point of the monotonic clock at which this one shows `time_ns`.
    pub(crate) fn monotonic_at(self, time_ns: u64) -> u64 {
        match self {
            Self::Realtime => clock::monotonic_at(time_ns),
            Self::Monotonic => time_ns,
        }
    }
}

#[derive(Default)]
struct State {
    setting: Setting,
    expirations: u64,
}

/// The timer.
pub(crate) struct TimerFile {
    clock: Clock,
    state: IrqSpinLock<State>,
    timer: Once<Timer>,
    expired: WaitQueue,
}

impl TimerFile {
    /// A timer that is off.
    pub(crate) fn new(clock: Clock) -> Arc<Self> {
        let file = Arc::new(Self {
            clock,
            state: IrqSpinLock::new("timerfd", State::default()),
            timer: Once::new(),
            expired: WaitQueue::named("timerfd"),
        });
        let weak = Arc::downgrade(&file);
        file.timer
            .call_once(|| Timer::new(Arc::new(move || weak.upgrade().iter().for_each(|file| file.expire()))));
        file
    }

    /// Its clock.
    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    fn timer(&self) -> &Timer {
        self.timer.get().expect("set when it was made")
    }

    /// Its time has come. In interrupt context.
    fn expire(&self) {
        let next = self.state.lock().catch_up();
        if let Some(next) = next {
            self.timer().set(next);
        }
        self.expired.wake_all();
    }

    /// Sets it and returns the setting before, as time that is left.
    pub(crate) fn set(&self, new: Setting) -> Setting {
        let before = {
            let mut state = self.state.lock();
            let before = state.remaining();
            *state = State { setting: new, expirations: 0 };
            before
        };
        match new.deadline_ns {
            Some(deadline) => self.timer().set(deadline),
            None => self.timer().cancel(),
        }
        before
    }

    /// The setting, as time that is left.
    pub(crate) fn remaining(&self) -> Setting {
        self.state.lock().remaining()
    }

    fn take(&self) -> Option<u64> {
        let mut state = self.state.lock();
        // The interrupt may come a little later than somebody who looks at the clock.
        state.catch_up();
        let taken = core::mem::take(&mut state.expirations);
        (taken > 0).then_some(taken)
    }
}

impl State {
    /// Counts what has expired by now; returns when it expires next.
    fn catch_up(&mut self) -> Option<u64> {
        let deadline = self.setting.deadline_ns?;
        let now = clock::monotonic_ns();
        if now < deadline {
            return Some(deadline);
        }
        let Setting { interval_ns, .. } = self.setting;
        match (now - deadline).checked_div(interval_ns) {
            None => {
                self.expirations += 1;
                self.setting.deadline_ns = None;
            }
            Some(missed) => {
                self.expirations = self.expirations.saturating_add(missed + 1);
                self.setting.deadline_ns =
                    Some(deadline.saturating_add((missed + 1).saturating_mul(interval_ns)));
            }
        }
        self.setting.deadline_ns
    }

    fn remaining(&mut self) -> Setting {
        self.catch_up();
        let now = clock::monotonic_ns();
        let left = self.setting.deadline_ns.map(|deadline| deadline.saturating_sub(now).max(1));
        Setting { deadline_ns: left, ..self.setting }
    }
}

impl FileOperations for TimerFile {
    fn read(&self, file: &File, _offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        check_room(to)?;
        let taken = match self.take() {
            Some(taken) => taken,
            None if file.is_nonblocking() => return Err(Errno::EAGAIN.into()),
            None => self.expired.wait_interruptible(|| self.take(), None)?,
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
        if state.expirations > 0 { PollEvents::POLLIN } else { PollEvents::empty() }
    }
}
