//! Faults on purpose: allocations that fail, wake-ups for no reason, wake-ups and timer interrupts that come late, and
//! preemption at any moment. Off unless asked for; what it costs then is one load of a byte.
//!
//! Each kind of fault is a [`Point`] with Linux's attributes (Documentation/fault-injection/fault-injection.rst): of every
//! `interval`th call, `probability` percent strike, `times` times at most (-1: no limit), after `space` bytes were
//! given out. They are set by kernel parameters, and in /proc/sys/kernel/fault_injection/POINT/ATTRIBUTE:
//!
//! * `failslab=INTERVAL,PROBABILITY,SPACE,TIMES`, `fail_page_alloc=...`, as on Linux;
//! * `fault_injection=POINT:PROBABILITY,...`: every call is asked, without a limit.
//!
//! Allocations fail only for threads that want it (`task-filter`, on unless switched off): `1` in /proc/PID/make-it-fail,
//! which children inherit. A number N in /proc/PID/fail-nth has the Nth allocation of that thread fail, whatever the
//! points say. Only allocations whose failure the caller can be told (ENOMEM) are asked; a page fault never is, as
//! Linux would try it again.

use crate::error::{Error, Result};
use crate::sched::{self, Thread, timer::Timer};
use abi::errno::Errno;
use alloc::{format, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use machine::mm::OutOfMemory;
use machine::sync::{IrqSpinLock, Once};
use machine::{cpu, time};

/// Whether anything was ever asked for.
static IS_ON: AtomicBool = AtomicBool::new(false);

/// One kind of fault.
pub(crate) struct Point {
    name: &'static str,
    probability: AtomicI64,
    interval: AtomicI64,
    times: AtomicI64,
    space: AtomicI64,
    task_filter: AtomicI64,
    calls: AtomicU64,
    struck: AtomicI64,
}

/// An attribute of a point.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Attribute {
    /// Percent of the calls that are asked.
    Probability,
    /// Every how many calls one is asked.
    Interval,
    /// How often it may still strike; -1: no limit.
    Times,
    /// Bytes that are given out before.
    Space,
    /// 1: only threads that want it.
    TaskFilter,
    /// How often it has struck.
    Struck,
}

impl Point {
    const fn new(name: &'static str) -> Point {
        Point {
            name,
            probability: AtomicI64::new(0),
            interval: AtomicI64::new(1),
            times: AtomicI64::new(1),
            space: AtomicI64::new(0),
            task_filter: AtomicI64::new(1),
            calls: AtomicU64::new(0),
            struck: AtomicI64::new(0),
        }
    }

    fn attribute(&self, attribute: Attribute) -> &AtomicI64 {
        match attribute {
            Attribute::Probability => &self.probability,
            Attribute::Interval => &self.interval,
            Attribute::Times => &self.times,
            Attribute::Space => &self.space,
            Attribute::TaskFilter => &self.task_filter,
            Attribute::Struck => &self.struck,
        }
    }

    /// The text of an attribute's file.
    pub(crate) fn show(&self, attribute: Attribute) -> Vec<u8> {
        format!("{}\n", self.attribute(attribute).load(Ordering::Relaxed)).into_bytes()
    }

    /// Sets an attribute from the text that was written to its file.
    ///
    /// # Errors
    /// EINVAL if it is no number, or none that makes sense.
    pub(crate) fn set(&self, attribute: Attribute, text: &[u8]) -> Result<()> {
        let value: Option<i64> =
            core::str::from_utf8(text.trim_ascii()).ok().and_then(|text| text.parse().ok());
        let allowed = match attribute {
            Attribute::Probability => 0..=100,
            Attribute::Interval => 1..=i64::from(u32::MAX),
            Attribute::Times => -1..=i64::from(u32::MAX),
            Attribute::Space => 0..=i64::MAX,
            Attribute::TaskFilter => 0..=1,
            Attribute::Struck => 0..=0,
        };
        let value = value.filter(|value| allowed.contains(value));
        let value = value.ok_or(Error::new(Errno::EINVAL, "not a number in range"))?;
        self.attribute(attribute).store(value, Ordering::Relaxed);
        switch_on();
        Ok(())
    }

    /// Whether a call is struck that gives out `bytes`.
    fn strikes(&self, bytes: usize) -> bool {
        let probability = self.probability.load(Ordering::Relaxed);
        if probability == 0 {
            return false;
        }
        if self.space.load(Ordering::Relaxed) > 0 {
            self.space.fetch_sub(i64::try_from(bytes).unwrap_or(i64::MAX), Ordering::Relaxed);
            return false;
        }
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        let interval = self.interval.load(Ordering::Relaxed).max(1) as u64;
        if !calls.is_multiple_of(interval) || (random() % 100) as i64 >= probability {
            return false;
        }
        let spend = |times: i64| match times {
            0 => None,
            ..0 => Some(times),
            _ => Some(times - 1),
        };
        let may = self.times.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok();
        if may {
            self.struck.fetch_add(1, Ordering::Relaxed);
        }
        may
    }

    /// The same for an allocation of the current thread.
    fn fails(&self, bytes: usize) -> bool {
        let Some(thread) = sched::try_current() else { return false };
        let faults = &thread.faults;
        if thread.user().is_none() || faults.shields.load(Ordering::Relaxed) != 0 {
            return false;
        }
        match faults.nth.load(Ordering::Relaxed) {
            0 => {}
            nth => {
                faults.nth.store(nth - 1, Ordering::Relaxed);
                return nth == 1;
            }
        }
        let is_meant =
            faults.is_wanted.load(Ordering::Relaxed) || self.task_filter.load(Ordering::Relaxed) == 0;
        is_meant && self.strikes(bytes)
    }
}

/// Objects of the heap.
pub(crate) static FAILSLAB: Point = Point::new("failslab");
/// Frames.
pub(crate) static FAIL_PAGE_ALLOC: Point = Point::new("fail_page_alloc");
/// A thread that sleeps is woken although nothing has happened.
pub(crate) static SPURIOUS_WAKEUP: Point = Point::new("spurious_wakeup");
/// A wake-up or a timer interrupt takes effect later.
pub(crate) static DELAY: Point = Point::new("delay");
/// The running thread gives way at some moment that nobody chose.
pub(crate) static PREEMPT: Point = Point::new("preempt");

const POINTS: [&Point; 5] = [&FAILSLAB, &FAIL_PAGE_ALLOC, &SPURIOUS_WAKEUP, &DELAY, &PREEMPT];

/// A thread's own settings.
#[derive(Debug, Default)]
pub(crate) struct TaskFaults {
    is_wanted: AtomicBool,
    nth: AtomicU32,
    shields: AtomicU32,
}

impl TaskFaults {
    /// Those of a new thread: it wants faults if the thread that makes it does.
    pub(crate) fn inherited() -> TaskFaults {
        let parent = if IS_ON.load(Ordering::Relaxed) { sched::try_current() } else { None };
        let is_wanted = parent.is_some_and(|parent| parent.faults.is_wanted.load(Ordering::Relaxed));
        TaskFaults { is_wanted: AtomicBool::new(is_wanted), ..TaskFaults::default() }
    }

    /// make-it-fail.
    pub(crate) fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Relaxed)
    }

    /// Sets make-it-fail.
    pub(crate) fn set_wanted(&self, is_wanted: bool) {
        self.is_wanted.store(is_wanted, Ordering::Relaxed);
        switch_on();
    }

    /// fail-nth: how many allocations it is until one fails; 0: none will.
    pub(crate) fn nth(&self) -> u32 {
        self.nth.load(Ordering::Relaxed)
    }

    /// Sets fail-nth.
    pub(crate) fn set_nth(&self, nth: u32) {
        self.nth.store(nth, Ordering::Relaxed);
        switch_on();
    }
}

/// While it lives, no allocation of its thread fails on purpose.
pub(crate) struct Shield(Option<Arc<Thread>>);

/// For page faults: nobody could be told.
pub(crate) fn shield() -> Shield {
    let thread = if IS_ON.load(Ordering::Relaxed) { sched::try_current() } else { None };
    let thread = thread.map(|thread| Arc::clone(&thread));
    if let Some(thread) = &thread {
        thread.faults.shields.fetch_add(1, Ordering::Relaxed);
    }
    Shield(thread)
}

impl Drop for Shield {
    fn drop(&mut self) {
        if let Some(thread) = &self.0 {
            thread.faults.shields.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// To be asked before `bytes` of the heap are allocated whose failure the program can be told.
///
/// # Errors
/// The allocation is to fail.
#[inline]
pub(crate) fn slab(bytes: usize) -> core::result::Result<(), OutOfMemory> {
    if IS_ON.load(Ordering::Relaxed) && FAILSLAB.fails(bytes) { Err(OutOfMemory) } else { Ok(()) }
}

/// To be asked before frames are allocated whose failure the program can be told.
///
/// # Errors
/// The allocation is to fail.
#[inline]
pub(crate) fn pages() -> core::result::Result<(), OutOfMemory> {
    let bytes = machine::addr::PAGE_SIZE;
    if IS_ON.load(Ordering::Relaxed) && FAIL_PAGE_ALLOC.fails(bytes) { Err(OutOfMemory) } else { Ok(()) }
}

/// When a thread that begins to sleep is to be woken for no reason.
#[inline]
pub(crate) fn spurious_wakeup_ns() -> Option<u64> {
    let strikes = IS_ON.load(Ordering::Relaxed) && SPURIOUS_WAKEUP.strikes(0);
    strikes.then(|| soon(500_000))
}

/// Whether the running thread, which is to give way, lets all others go first.
#[inline]
pub(crate) fn yields() -> bool {
    IS_ON.load(Ordering::Relaxed) && PREEMPT.probability.load(Ordering::Relaxed) != 0
}

/// Whether this interrupt of the timer is put off; it comes again.
#[inline]
pub(crate) fn delays_timer() -> bool {
    if !IS_ON.load(Ordering::Relaxed) || !DELAY.strikes(0) {
        return false;
    }
    time::set_timer(Some(soon(200_000)));
    true
}

/// Threads that were woken and are put into a queue at a point of time. Never more than there is room for.
static LATE: IrqSpinLock<Vec<(u64, Arc<Thread>)>> = IrqSpinLock::new("late wake-ups", Vec::new());
/// Room in it.
const LATE_LIMIT: usize = 64;

/// Whether the wake-up of a thread takes effect later; it does so by itself.
#[inline]
pub(crate) fn delays_wakeup(thread: &Arc<Thread>) -> bool {
    if !IS_ON.load(Ordering::Relaxed) || TICKERS.get().is_none() || !DELAY.strikes(0) {
        return false;
    }
    let mut late = LATE.lock();
    let has_room = late.len() < late.capacity();
    if has_room {
        late.push((soon(500_000), thread.clone()));
    }
    has_room
}

/// A moment of the monotonic clock within `limit_ns` from now.
fn soon(limit_ns: u64) -> u64 {
    time::monotonic_ns() + random() % limit_ns
}

/// 64 pseudo-random bits: SplitMix64 over a counter.
fn random() -> u64 {
    static COUNTER: AtomicU64 = AtomicU64::new(1);
    let mut bits = COUNTER.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed) ^ time::monotonic_ns();
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

/// A timer on each CPU, for late wake-ups and preemption.
static TICKERS: Once<Vec<Timer>> = Once::new();
/// Longest time between two of its interrupts.
const TICK_NS: u64 = 400_000;

/// What a ticker does, in interrupt context.
fn tick(cpu: usize) {
    let now = time::monotonic_ns();
    loop {
        let due = {
            let mut late = LATE.lock();
            let index = late.iter().position(|(when_ns, _)| *when_ns <= now);
            index.map(|index| late.swap_remove(index))
        };
        let Some((_, thread)) = due else { break };
        thread.enter_queue_late();
    }
    if PREEMPT.strikes(0) {
        sched::demand_reschedule();
    }
    if let Some(timer) = TICKERS.get().and_then(|tickers| tickers.get(cpu)) {
        timer.set(soon(TICK_NS));
    }
}

/// From now on the points are asked; the tickers start with the first time.
fn switch_on() {
    static HAS_TICKERS: AtomicBool = AtomicBool::new(false);
    IS_ON.store(true, Ordering::Relaxed);
    let needs_tickers = [&DELAY, &PREEMPT].iter().any(|point| point.probability.load(Ordering::Relaxed) != 0);
    if !needs_tickers || HAS_TICKERS.swap(true, Ordering::Relaxed) {
        return;
    }
    if let Err(error) = sched::spawn("fault injection", start_tickers) {
        log::warn!("fault injection: no delays and no preemption: {error}");
    }
}

/// Goes from CPU to CPU and sets a timer on each.
fn start_tickers() {
    LATE.lock().reserve(LATE_LIMIT);
    let timers = (0..cpu::count()).map(|cpu| Timer::new(Arc::new(move || tick(cpu)))).collect();
    let tickers = TICKERS.call_once(|| timers);
    let thread = sched::current();
    for (cpu, timer) in tickers.iter().enumerate() {
        sched::set_affinity(&thread, 1 << cpu);
        while cpu::current_id() != cpu {
            sched::yield_now();
        }
        timer.set(soon(TICK_NS));
    }
}

/// What the kernel parameters say of each point: interval, probability, space, times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan([Option<[i64; 4]>; POINTS.len()]);

impl Plan {
    /// Reads the value of `failslab=` or `fail_page_alloc=`, as Linux has it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn set(&mut self, point: &Point, value: &str) -> core::result::Result<(), &'static str> {
        let mut numbers = [0; 4];
        let mut words = value.split(',');
        for number in &mut numbers {
            *number = words.next().and_then(|word| word.parse().ok()).ok_or("four numbers are needed")?;
        }
        let [interval, probability, space, times] = numbers;
        if words.next().is_some()
            || interval < 1
            || !(0..=100).contains(&probability)
            || space < 0
            || times < -1
        {
            return Err("not four numbers in range");
        }
        let index = POINTS.iter().position(|other| core::ptr::eq(*other, point)).ok_or("no such point")?;
        self.0[index] = Some(numbers);
        Ok(())
    }

    /// Reads the value of `fault_injection=`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn set_many(&mut self, value: &str) -> core::result::Result<(), &'static str> {
        for word in value.split(',') {
            let (name, probability) = word.split_once(':').ok_or("the probability is missing")?;
            let index = POINTS.iter().position(|point| point.name == name).ok_or("no such point")?;
            let probability = probability.parse().ok().filter(|percent| (0..=100).contains(percent));
            self.0[index] = Some([1, probability.ok_or("not a percentage")?, 0, -1]);
        }
        Ok(())
    }
}

/// Begins with what the kernel parameters say. Threads must be there.
pub(crate) fn init(plan: &Plan) {
    for (point, numbers) in POINTS.iter().zip(plan.0) {
        let Some([interval, probability, space, times]) = numbers else { continue };
        point.interval.store(interval, Ordering::Relaxed);
        point.probability.store(probability, Ordering::Relaxed);
        point.space.store(space, Ordering::Relaxed);
        point.times.store(times, Ordering::Relaxed);
        log::info!("fault injection: {}: {probability} % of every {interval}. call", point.name);
        switch_on();
    }
}

#[cfg(feature = "tests")]
mod tests {
    use super::*;
    use test_macro::kernel_test;

    #[kernel_test]
    fn parameters_are_read_as_on_linux() {
        let mut plan = Plan::default();
        assert_eq!(plan.set(&FAILSLAB, "2,50,4096,-1"), Ok(()));
        assert_eq!(plan.set_many("preempt:7,delay:100"), Ok(()));
        assert_eq!(plan.0, [Some([2, 50, 4096, -1]), None, None, Some([1, 100, 0, -1]), Some([1, 7, 0, -1])]);
        for nonsense in
            ["", "1", "1,2,3", "1,2,3,4,5", "0,1,0,1", "1,101,0,1", "1,1,-1,1", "1,1,0,-2", "a,b,c,d"]
        {
            assert!(plan.set(&FAILSLAB, nonsense).is_err(), "{nonsense}");
        }
        for nonsense in ["", "preempt", "preempt:", "preempt:101", "nothing:1", "preempt:1,"] {
            assert!(plan.set_many(nonsense).is_err(), "{nonsense}");
        }
    }

    #[kernel_test]
    fn a_point_strikes_as_often_as_its_attributes_say() {
        let point = Point::new("test");
        let count = |calls: usize| (0..calls).filter(|_| point.strikes(10)).count();
        assert_eq!(count(50), 0, "off");
        point.probability.store(100, Ordering::Relaxed);
        assert_eq!(count(50), 1, "once, as it is said at first");
        point.times.store(-1, Ordering::Relaxed);
        point.interval.store(5, Ordering::Relaxed);
        assert_eq!(count(50), 10, "every fifth");
        point.space.store(200, Ordering::Relaxed);
        assert_eq!(count(20), 0, "as long as there is space");
        point.probability.store(50, Ordering::Relaxed);
        point.interval.store(1, Ordering::Relaxed);
        assert!((300..700).contains(&count(1000)), "about half");
        assert_eq!(
            point.set(Attribute::Probability, b"101\n").err().map(|error| error.errno),
            Some(Errno::EINVAL)
        );
    }
}
