//! A process's timers: the three of setitimer, the CPU-time limit, and those of timer_create.
//!
//! Timers on real clocks wait in the scheduler's queues. Those on CPU time cannot, since nobody knows when that
//! time will have passed: they look again when the rest could have passed at the earliest, and less and less often
//! while nobody runs.
//!
//! Source: setitimer(2), timer_create(2), timer_getoverrun(2).

use super::Process;
use super::cpu_clock::{CpuClock, Part};
use super::signal::{send_to_process, send_to_thread};
use crate::clock;
use crate::error::{Error, Result};
use crate::sched::timer::{Base, Deadline, Timer};
use abi::errno::Errno;
use abi::signal::{SI_KERNEL, SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD_ID, SigEvent, SigInfo, Signal};
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use id_map::IdMap;
use machine::sync::{IrqSpinLock, SpinLock};

/// The most timers of one process.
const MOST_TIMERS: usize = 1024;
/// The shortest time between two looks at a timer on a real clock: one that is due all the time would stop the machine.
const SHORTEST_PAUSE_NS: u64 = 10_000;
/// Between two looks at one on CPU time: Linux looks at each tick.
const SHORTEST_CPU_PAUSE_NS: u64 = 1_000_000;
/// While nobody runs, the pause doubles so often.
const MOST_DOUBLINGS: u32 = 4;

/// What a timer counts.
#[derive(Clone)]
pub(crate) enum Source {
    /// A real clock.
    Clock(Base),
    /// CPU time.
    Cpu(CpuClock),
}

impl Source {
    fn now(&self, counting: Counting) -> u64 {
        match self {
            Source::Clock(base) => base.counting(counting).now(),
            Source::Cpu(clock) => clock.now().unwrap_or(0),
        }
    }
}

impl Base {
    fn counting(self, counting: Counting) -> Base {
        if counting == Counting::FromNow { Base::Monotonic } else { self }
    }
}

/// How a timer is set: the next expiry on its clock (0: off), and the period (0: once).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Point of the timer's clock.
    pub(crate) expiry_ns: u64,
    /// Length.
    pub(crate) interval_ns: u64,
    /// What the expiry counts in.
    pub(crate) counting: Counting,
}

/// What an expiry counts in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Counting {
    /// In the timer's clock.
    #[default]
    OnClock,
    /// From when it was set, whatever the clock is set to meanwhile: on the monotonic clock, if it is a real one.
    FromNow,
}

impl Setting {
    /// Moves the expiry beyond `now`; how many expirations came besides the first, or `None` if none is due.
    fn catch_up(&mut self, now: u64) -> Option<u64> {
        if self.expiry_ns == 0 || now < self.expiry_ns {
            return None;
        }
        let late_ns = now - self.expiry_ns;
        let Some(missed) = late_ns.checked_div(self.interval_ns) else {
            self.expiry_ns = 0;
            return Some(0);
        };
        self.expiry_ns =
            self.expiry_ns.saturating_add(self.interval_ns.saturating_mul(missed.saturating_add(1)));
        Some(missed)
    }
}

/// One timer: a clock, a setting, and what happens.
pub(crate) struct ProcessTimer {
    process: Weak<Process>,
    source: Source,
    setting: IrqSpinLock<Setting>,
    timer: Timer,
    notify: Notify,
    /// Expirations that the last signal stood for besides its own.
    overruns: AtomicI32,
    /// For CPU time: what the clock showed at the last look, and how many looks ago that was already so.
    seen_ns: AtomicU64,
    idle_looks: AtomicU32,
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
                overruns: AtomicI32::new(0),
                seen_ns: AtomicU64::new(0),
                idle_looks: AtomicU32::new(0),
            }
        })
    }

    /// What its clock shows, or what runs in its place.
    pub(crate) fn now(&self, counting: Counting) -> u64 {
        self.source.now(counting)
    }

    /// How it is set.
    pub(crate) fn setting(&self) -> Setting {
        let mut setting = *self.setting.lock();
        if matches!(self.notify, Notify::Event(event, _) if event.notify == SIGEV_NONE) {
            // Nobody is told, so nobody looks: it moves on when it is asked.
            setting.catch_up(self.now(setting.counting));
        }
        setting
    }

    /// Sets it (an expiry of 0 stops it) and returns how it was set.
    pub(crate) fn set(&self, new: Setting) -> Setting {
        let old = core::mem::replace(&mut *self.setting.lock(), new);
        self.overruns.store(0, Ordering::Relaxed);
        self.idle_looks.store(0, Ordering::Relaxed);
        self.plan(new);
        old
    }

    /// Has [`look`](Self::look) called when `expiry_ns` can have come, at the earliest.
    fn plan(&self, Setting { expiry_ns, counting, .. }: Setting) {
        let is_silent = matches!(self.notify, Notify::Event(event, _) if event.notify == SIGEV_NONE);
        if expiry_ns == 0 || is_silent {
            return self.timer.cancel();
        }
        match &self.source {
            Source::Clock(base) => self.timer.set(Deadline { base: base.counting(counting), ns: expiry_ns }),
            Source::Cpu(clock) => {
                let Some(now) = clock.now() else { return };
                let is_idle = self.seen_ns.swap(now, Ordering::Relaxed) == now;
                let looks = if is_idle { self.idle_looks.fetch_add(1, Ordering::Relaxed) } else { 0 };
                if !is_idle {
                    self.idle_looks.store(0, Ordering::Relaxed);
                }
                let shortest = SHORTEST_CPU_PAUSE_NS << looks.min(MOST_DOUBLINGS);
                let rest = expiry_ns.saturating_sub(now) / clock.width();
                self.timer.set(clock::monotonic_ns().saturating_add(rest.max(shortest)));
            }
        }
    }

    /// How many expirations the last signal stands for besides its own.
    pub(crate) fn overruns(&self) -> i32 {
        self.overruns.load(Ordering::Relaxed)
    }

    /// The timer of the scheduler went off: is it time on this clock? In interrupt context.
    fn look(&self) {
        let Some(process) = self.process.upgrade() else { return };
        let counting = self.setting.lock().counting;
        let now = self.now(counting);
        let (missed, next) = {
            let mut setting = self.setting.lock();
            if setting.counting != counting {
                // It was set anew just now, and with it the timer that calls this.
                return;
            }
            (setting.catch_up(now), *setting)
        };
        match &self.source {
            // A period shorter than the way to here must not keep the CPU for itself.
            Source::Clock(base) if next.expiry_ns != 0 && missed.is_some() => {
                let ns = next.expiry_ns.max(now.saturating_add(SHORTEST_PAUSE_NS));
                self.timer.set(Deadline { base: base.counting(counting), ns });
            }
            _ => self.plan(next),
        }
        if let Some(missed) = missed {
            self.send(&process, i32::try_from(missed).unwrap_or(i32::MAX));
        }
    }

    fn send(&self, process: &Arc<Process>, missed: i32) {
        let result = match self.notify {
            Notify::Signal(signal) => send_to_process(process, signal, SigInfo::new(signal, SI_KERNEL)),
            Notify::Event(event, id) => {
                let Some(signal) = Signal::new(event.signo as u32) else { return };
                let info = SigInfo::timer(signal, id, missed, event.value);
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
        // A standard signal and a timer's always find room.
        result.unwrap_or(());
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
    posix: SpinLock<IdMap<i32, Arc<ProcessTimer>>>,
}

impl Timers {
    pub(super) fn new(process: Weak<Process>) -> Timers {
        Timers {
            process,
            intervals: [const { SpinLock::new("interval timer", None) }; 3],
            cpu_limit: SpinLock::new("cpu limit", None),
            posix: SpinLock::new("posix timers", IdMap::new()),
        }
    }

    /// A timer of setitimer (`ITIMER_*`).
    ///
    /// # Errors
    /// EINVAL if there is no such timer.
    pub(crate) fn interval(&self, which: i32) -> Result<Arc<ProcessTimer>> {
        let (source, signal) = match which {
            abi::time::ITIMER_REAL => (Source::Clock(Base::Monotonic), Signal::SIGALRM),
            abi::time::ITIMER_VIRTUAL => (self.cpu_time(Part::User), Signal::SIGVTALRM),
            abi::time::ITIMER_PROF => (self.cpu_time(Part::All), Signal::SIGPROF),
            _ => return Err(Errno::EINVAL.into()),
        };
        let make = || ProcessTimer::new(self.process.clone(), source, Notify::Signal(signal));
        Ok(self.intervals[which as usize].lock().get_or_insert_with(make).clone())
    }

    fn cpu_time(&self, part: Part) -> Source {
        Source::Cpu(CpuClock::of_new_process(&self.process, part))
    }

    /// SIGXCPU when this many seconds of CPU time are used up, and each second after that.
    pub(super) fn set_cpu_limit(&self, seconds: u64) {
        let make = || {
            let source = self.cpu_time(Part::All);
            ProcessTimer::new(self.process.clone(), source, Notify::Signal(Signal::SIGXCPU))
        };
        let timer = self.cpu_limit.lock().get_or_insert_with(make).clone();
        let expiry_ns = if seconds == abi::resource::RLIM_INFINITY {
            0
        } else {
            seconds.saturating_mul(clock::SECOND_NS).max(1)
        };
        timer.set(Setting { expiry_ns, interval_ns: clock::SECOND_NS, ..Setting::default() });
    }

    /// Makes a timer (timer_create); a given event has been checked.
    ///
    /// # Errors
    /// EAGAIN at the limit.
    pub(crate) fn create(&self, source: Source, event: Event) -> Result<i32> {
        let mut posix = self.posix.lock();
        let id =
            (0..).zip(posix.keys()).find(|(id, used)| id != used).map_or(posix.len() as i32, |(id, _)| id);
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
        Ok(self.posix.lock().get(id).ok_or(Errno::EINVAL)?.clone())
    }

    /// A timer's signal was taken that stood for so many more expirations.
    pub(super) fn note_delivery(&self, id: i32, overruns: i32) {
        if let Ok(timer) = self.posix(id) {
            timer.overruns.store(overruns, Ordering::Relaxed);
        }
    }

    /// Deletes a timer of timer_create.
    ///
    /// # Errors
    /// EINVAL if there is no such timer.
    pub(crate) fn delete(&self, id: i32) -> Result<()> {
        let timer = self.posix.lock().remove(id);
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
