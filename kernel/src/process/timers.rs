//! A process's timers: the three of setitimer, the CPU-time limit, and those of timer_create.
//!
//! Timers on real clocks wait in the scheduler's queues. Those on CPU time cannot, since nobody knows when that
//! time will have passed: they look again when the rest could have passed at the earliest.
//!
//! Source: setitimer(2), timer_create(2).

use super::Process;
use super::signal::{send_to_process, send_to_thread};
use crate::clock;
use crate::error::{Error, Result};
use crate::sched::timer::Timer;
use abi::errno::Errno;
use abi::signal::{SI_KERNEL, SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD_ID, SigEvent, SigInfo, Signal};
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicU64, Ordering};
use machine::sync::{IrqSpinLock, SpinLock};

/// The most timers of one process.
const MOST_TIMERS: usize = 1024;
/// The shortest period of a timer that repeats by itself: one that is due all the time would stop the machine.
const SHORTEST_PERIOD_NS: u64 = 10_000;

/// What a timer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The monotonic clock.
    Monotonic,
    /// The time of day.
    Realtime,
    /// User time of the process.
    UserTime,
    /// User and system time of the process.
    CpuTime,
}

impl Source {
    fn now(self, process: &Process) -> u64 {
        match self {
            Source::Monotonic => clock::monotonic_ns(),
            Source::Realtime => clock::realtime_ns(),
            Source::UserTime => process.times_now().0,
            Source::CpuTime => {
                let (user_ns, system_ns) = process.times_now();
                user_ns + system_ns
            }
        }
    }

    /// The point of the monotonic clock at which `expiry` can come at the earliest.
    fn earliest(self, process: &Process, expiry: u64) -> u64 {
        match self {
            Source::Monotonic => expiry,
            Source::Realtime => clock::monotonic_at(expiry),
            Source::UserTime | Source::CpuTime => {
                let rest = expiry.saturating_sub(self.now(process)) / process.thread_count().max(1) as u64;
                clock::monotonic_ns().saturating_add(rest.max(SHORTEST_PERIOD_NS))
            }
        }
    }
}

/// How a timer is set: the next expiry on its clock (0: off), and the period (0: once).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Point of the timer's clock.
    pub(crate) expiry_ns: u64,
    /// Length.
    pub(crate) interval_ns: u64,
}

/// One timer: a clock, a setting, and what happens.
pub(crate) struct ProcessTimer {
    process: Weak<Process>,
    source: Source,
    setting: IrqSpinLock<Setting>,
    timer: Timer,
    notify: Notify,
    /// Expirations that no signal told of, as the last signal was still pending.
    overruns: AtomicU64,
}

/// What an expiry does.
#[derive(Clone, Copy)]
enum Notify {
    /// setitimer and RLIMIT_CPU.
    Signal(Signal),
    /// timer_create: with the event's value, and the number of the timer.
    Event(SigEvent, i32),
}

impl ProcessTimer {
    fn new(process: Weak<Process>, source: Source, notify: Notify) -> Arc<ProcessTimer> {
        Arc::new_cyclic(|this: &Weak<ProcessTimer>| {
            let this = this.clone();
            let expire = move || {
                if let Some(timer) = this.upgrade() {
                    timer.look();
                }
            };
            ProcessTimer {
                process,
                source,
                setting: IrqSpinLock::new("timer setting", Setting::default()),
                timer: Timer::new(Arc::new(expire)),
                notify,
                overruns: AtomicU64::new(0),
            }
        })
    }

    /// What its clock shows.
    pub(crate) fn now(&self) -> u64 {
        self.process.upgrade().map_or(0, |process| self.source.now(&process))
    }

    /// How it is set.
    pub(crate) fn setting(&self) -> Setting {
        *self.setting.lock()
    }

    /// Sets it (an expiry of 0 stops it) and returns how it was set.
    pub(crate) fn set(&self, new: Setting) -> Setting {
        let old = core::mem::replace(&mut *self.setting.lock(), new);
        self.overruns.store(0, Ordering::Relaxed);
        match self.process.upgrade() {
            Some(process) if new.expiry_ns != 0 => {
                self.timer.set(self.source.earliest(&process, new.expiry_ns))
            }
            _ => self.timer.cancel(),
        }
        old
    }

    /// How many expirations the last signal stands for besides its own.
    pub(crate) fn overruns(&self) -> i32 {
        i32::try_from(self.overruns.load(Ordering::Relaxed)).unwrap_or(i32::MAX)
    }

    /// The timer of the scheduler went off: is it time on this clock? In interrupt context.
    fn look(&self) {
        let Some(process) = self.process.upgrade() else { return };
        let now = self.source.now(&process);
        let mut missed = 0;
        let (is_due, next) = {
            let mut setting = self.setting.lock();
            let expiry = setting.expiry_ns;
            if expiry == 0 {
                return;
            }
            let is_due = now >= expiry;
            if is_due && setting.interval_ns == 0 {
                setting.expiry_ns = 0;
            } else if is_due {
                let interval = setting.interval_ns.max(SHORTEST_PERIOD_NS);
                missed = (now - expiry) / interval;
                setting.expiry_ns = expiry.saturating_add(interval.saturating_mul(missed + 1));
            }
            (is_due, setting.expiry_ns)
        };
        if next != 0 {
            self.timer.set(self.source.earliest(&process, next));
        }
        if is_due {
            self.overruns.store(missed, Ordering::Relaxed);
            self.send(&process);
        }
    }

    fn send(&self, process: &Arc<Process>) {
        let result = match self.notify {
            Notify::Signal(signal) => send_to_process(process, signal, SigInfo::new(signal, SI_KERNEL)),
            Notify::Event(event, id) => {
                let Some(signal) = Signal::new(event.signo as u32) else { return };
                let info = SigInfo::timer(signal, id, self.overruns(), event.value);
                match event.notify {
                    SIGEV_NONE => Ok(()),
                    SIGEV_THREAD_ID => {
                        let thread = process
                            .threads()
                            .into_iter()
                            .find(|thread| thread.user().is_some_and(|user| user.tid() == event.tid));
                        thread.map_or(Ok(()), |thread| send_to_thread(&thread, signal, info))
                    }
                    _ => send_to_process(process, signal, info),
                }
            }
        };
        if result.is_err() {
            // The queue is full: the next signal that gets through tells of this one as an overrun.
            self.overruns.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How a timer of timer_create tells of its expiry.
pub(crate) enum Event {
    /// As the program wants it.
    Given(SigEvent),
    /// The program did not say.
    Default,
}

/// The timers of a process.
pub(crate) struct Timers {
    process: Weak<Process>,
    /// ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF, made when they are first used.
    intervals: [SpinLock<Option<Arc<ProcessTimer>>>; 3],
    cpu_limit: SpinLock<Option<Arc<ProcessTimer>>>,
    posix: SpinLock<BTreeMap<i32, Arc<ProcessTimer>>>,
}

impl Timers {
    pub(super) fn new(process: Weak<Process>) -> Timers {
        Timers {
            process,
            intervals: [const { SpinLock::new("interval timer", None) }; 3],
            cpu_limit: SpinLock::new("cpu limit", None),
            posix: SpinLock::new("posix timers", BTreeMap::new()),
        }
    }

    /// A timer of setitimer (`ITIMER_*`).
    ///
    /// # Errors
    /// EINVAL if there is no such timer.
    pub(crate) fn interval(&self, which: i32) -> Result<Arc<ProcessTimer>> {
        let (source, signal) = match which {
            abi::time::ITIMER_REAL => (Source::Monotonic, Signal::SIGALRM),
            abi::time::ITIMER_VIRTUAL => (Source::UserTime, Signal::SIGVTALRM),
            abi::time::ITIMER_PROF => (Source::CpuTime, Signal::SIGPROF),
            _ => return Err(Errno::EINVAL.into()),
        };
        let make = || ProcessTimer::new(self.process.clone(), source, Notify::Signal(signal));
        Ok(self.intervals[which as usize].lock().get_or_insert_with(make).clone())
    }

    /// SIGXCPU when this many seconds of CPU time are used up, and each second after that.
    pub(super) fn set_cpu_limit(&self, seconds: u64) {
        let make =
            || ProcessTimer::new(self.process.clone(), Source::CpuTime, Notify::Signal(Signal::SIGXCPU));
        let timer = self.cpu_limit.lock().get_or_insert_with(make).clone();
        let expiry_ns = if seconds == abi::resource::RLIM_INFINITY {
            0
        } else {
            seconds.saturating_mul(clock::SECOND_NS).max(1)
        };
        timer.set(Setting { expiry_ns, interval_ns: clock::SECOND_NS });
    }

    /// Makes a timer (timer_create); a given event has been checked.
    ///
    /// # Errors
    /// EAGAIN at the limit.
    pub(crate) fn create(&self, source: Source, event: Event) -> Result<i32> {
        let mut posix = self.posix.lock();
        let id =
            (0..).zip(posix.keys()).find(|(id, used)| id != *used).map_or(posix.len() as i32, |(id, _)| id);
        if posix.len() >= MOST_TIMERS {
            return Err(Error::new(Errno::EAGAIN, "too many timers"));
        }
        let event = match event {
            Event::Given(event) => event,
            // SIGALRM, with the number of the timer.
            Event::Default => SigEvent {
                value: id as u64,
                signo: i32::from(Signal::SIGALRM.number()),
                notify: SIGEV_SIGNAL,
                ..SigEvent::default()
            },
        };
        posix.insert(id, ProcessTimer::new(self.process.clone(), source, Notify::Event(event, id)));
        Ok(id)
    }

    /// A timer of timer_create.
    ///
    /// # Errors
    /// EINVAL if there is no such timer.
    pub(crate) fn posix(&self, id: i32) -> Result<Arc<ProcessTimer>> {
        Ok(self.posix.lock().get(&id).ok_or(Errno::EINVAL)?.clone())
    }

    /// Deletes a timer of timer_create.
    ///
    /// # Errors
    /// EINVAL if there is no such timer.
    pub(crate) fn delete(&self, id: i32) -> Result<()> {
        let timer = self.posix.lock().remove(&id);
        timer.ok_or(Errno::EINVAL)?.set(Setting::default());
        Ok(())
    }

    /// Deletes all timers of timer_create (execve).
    pub(super) fn delete_posix(&self) {
        let timers = core::mem::take(&mut *self.posix.lock());
        for timer in timers.into_values() {
            timer.set(Setting::default());
        }
    }

    /// Stops all (the end of the process).
    pub(super) fn cancel_all(&self) {
        self.delete_posix();
        for timer in self.intervals.iter().chain([&self.cpu_limit]) {
            let timer = timer.lock().take();
            if let Some(timer) = timer {
                timer.set(Setting::default());
            }
        }
    }
}
