//! One CPU's share of the scheduler: what it runs and what waits for it.
//!
//! Rules:
//! * Only a CPU itself changes what it runs, with interrupts disabled. Others put threads into its queue and send it
//!   an interrupt.
//! * A thread that some CPU still runs on (`on_cpu`) is queued nowhere but on that CPU, and is never taken away. So a
//!   thread that is woken while it is on its way out cannot start anywhere else before it has left.
//! * What others want to know without the queue's lock (is it idle, how much waits) is mirrored in atomics, which are
//!   hints: whoever acts on one asks again under the lock.

use super::queue::RunQueue;
use super::thread::Thread;
use super::timer::TimerQueue;
use super::usage::{CpuUsage, Mode, Usage};
use alloc::sync::Arc;
use core::marker::PhantomData;
use core::ops::Deref;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use machine::cpu::PerCpu;
use machine::sync::{IrqSpinLock, Once};
use machine::{cpu, time};
use runqueue::{Entity, Policy, RealTimeLimit, RealTimePriority};

/// The scheduler's data of one CPU.
pub(super) struct Cpu {
    pub(super) id: usize,
    pub(super) queue: IrqSpinLock<RunQueue>,
    pub(super) timers: IrqSpinLock<TimerQueue>,
    /// What runs. Only the CPU itself takes this lock, and panics.
    pub(super) current: IrqSpinLock<Option<Arc<Thread>>>,
    /// Its id, for those who want no more (lock holders).
    pub(super) current_id: AtomicU64,
    idle: Once<Arc<Thread>>,
    /// Whom the last switch left; the thread that runs now has to finish that.
    pub(super) left: IrqSpinLock<Option<Arc<Thread>>>,
    /// That one could go on, but may not run here any more, and is in no queue.
    pub(super) left_is_stray: AtomicBool,
    /// The running thread should give way at the next opportunity.
    pub(super) reschedule: AtomicBool,
    /// When it is to be asked whether the running thread's turn is over; `u64::MAX`: nobody waits.
    pub(super) next_look_ns: AtomicU64,
    /// When the running thread was charged last.
    pub(super) charged_ns: AtomicU64,
    /// What the timer is set to; `u64::MAX`: off.
    pub(super) armed_ns: AtomicU64,
    /// When threads may be given to other CPUs next: to level the load, and to take turns where it cannot be level (0:
    /// nobody waits).
    pub(super) next_balance_ns: AtomicU64,
    pub(super) next_rotation_ns: AtomicU64,
    pub(super) usage: Usage,
    /// Mirror of the queue: how many threads wait, and the load with the running one.
    waiting: AtomicUsize,
    load: AtomicU64,
    /// How urgent it is what runs, see [`urgency`].
    running: AtomicU32,
}

static CPUS: Once<PerCpu<Cpu>> = Once::new();

/// CPUs that have nothing to do, as bits.
static IDLE: AtomicU64 = AtomicU64::new(0);
/// CPUs on which real-time threads wait, as bits.
static REAL_TIME_WAITS: AtomicU64 = AtomicU64::new(0);

/// The thread that runs this. Derefs to the thread, which may be cloned to be kept or given away; the handle itself stays
/// with the thread (it is not `Send`), so "the current thread" cannot become somebody else's.
pub(crate) struct Current {
    thread: Arc<Thread>,
    stays: PhantomData<*mut ()>,
}

impl Deref for Current {
    type Target = Arc<Thread>;
    fn deref(&self) -> &Arc<Thread> {
        &self.thread
    }
}

/// How urgent a thread of a policy is: above 0, which is idle, and above that of threads that it preempts on sight.
pub(super) fn urgency(policy: Policy) -> u32 {
    const FAIR: u32 = 1;
    policy.real_time_priority().map_or(FAIR, |priority| FAIR + priority.value())
}

/// The urgency of an idle CPU.
const NOTHING: u32 = 0;

/// A CPU's data.
pub(super) fn of(id: usize) -> &'static Cpu {
    CPUS.get().expect("sched::init has run").of(id)
}

/// This CPU's data; the caller has interrupts or preemption disabled.
#[inline]
pub(super) fn this() -> &'static Cpu {
    of(cpu::current_id())
}

/// The data of all CPUs that run.
pub(super) fn all() -> impl Iterator<Item = &'static Cpu> {
    (0..cpu::count()).map(of)
}

/// CPUs that have nothing to do, as bits.
pub(super) fn idle_mask() -> u64 {
    IDLE.load(Ordering::SeqCst)
}

/// CPUs on which real-time threads wait, as bits.
pub(super) fn real_time_waits_mask() -> u64 {
    REAL_TIME_WAITS.load(Ordering::SeqCst)
}

/// Makes the data of all CPUs, and the flow that runs now the first thread of this one.
pub(super) fn init(boot: Arc<Thread>) {
    CPUS.call_once(|| PerCpu::new(Cpu::new));
    let cpu = this();
    let now = time::monotonic_ns();
    let mut queue = cpu.queue.lock();
    queue.adopt(&boot);
    cpu.charged_ns.store(now, Ordering::Relaxed);
    cpu.set_current(boot);
    cpu.publish(&queue);
    drop(queue);
    cpu.usage.begin(Mode::System, 0);
}

/// Gives a CPU the thread that runs when no other can.
pub(super) fn set_idle(id: usize, idle: Arc<Thread>) {
    idle.set_idle();
    super::watch::enter(&idle);
    idle.cpu.store(id, Ordering::Relaxed);
    of(id).idle.call_once(|| idle);
}

/// What runs on this CPU since it came up is its idle thread.
pub(super) fn adopt_idle(id: usize, idle: Arc<Thread>) {
    set_idle(id, idle.clone());
    let cpu = of(id);
    if !cpu.queue.lock().reserve(ROOM.load(Ordering::Acquire)) {
        log::warn!("sched: no memory for the queue of CPU {id}: it grows when it has to");
    }
    cpu.set_current(idle);
    cpu.usage.begin(Mode::Idle, time::monotonic_ns());
}

/// The thread that runs here; `None` before `init`.
pub(super) fn current() -> Option<Current> {
    let cpus = CPUS.get()?;
    let guard = cpu::disable_preemption();
    let thread = cpus.get(&guard).current.lock().clone()?;
    Some(Current { thread, stays: PhantomData })
}

/// The id of the thread that runs here; 0 before `init`.
#[inline]
pub(super) fn current_id() -> u64 {
    let Some(cpus) = CPUS.get() else { return 0 };
    let guard = cpu::disable_preemption();
    cpus.get(&guard).current_id.load(Ordering::Relaxed)
}

/// [`current`] without waiting for any lock, for panics.
pub(super) fn try_current() -> Option<Arc<Thread>> {
    let cpus = CPUS.get()?;
    let guard = cpu::disable_preemption();
    cpus.get(&guard).current.try_lock()?.clone()
}

/// Whether the running thread should give way.
#[inline]
pub(super) fn should_reschedule() -> bool {
    CPUS.get().is_some_and(|cpus| {
        let guard = cpu::disable_preemption();
        cpus.get(&guard).reschedule.load(Ordering::Relaxed)
    })
}

/// The running thread is to give way soon. Interrupts are disabled.
pub(super) fn demand_reschedule() {
    this().reschedule.store(true, Ordering::Relaxed);
}

/// Makes a CPU come back from user mode soon, so that its thread notices what was left for it.
pub(super) fn interrupt_user_mode(id: usize) {
    let _guard = cpu::disable_preemption();
    if id != cpu::current_id() {
        cpu::send_reschedule(id);
    }
}

/// For how many threads there is room in each queue: threads are queued by interrupt handlers, which must not allocate.
static ROOM: AtomicUsize = AtomicUsize::new(0);
/// Held while that changes.
static RESIZING: IrqSpinLock<()> = IrqSpinLock::new("room in run queues", ());

/// The room for so many threads: some more than are needed now.
fn room_for(threads: usize) -> usize {
    const STEP: usize = 64;
    threads.saturating_add(threads / 2).saturating_add(STEP)
}

/// For how many threads every queue has room.
#[cfg(feature = "tests")]
pub(super) fn room() -> usize {
    ROOM.load(Ordering::SeqCst)
}

/// Makes room for so many threads, the new one counted, in the queue of every CPU; `false` if there is no memory.
pub(super) fn reserve(threads: usize) -> bool {
    if CPUS.get().is_none() || threads <= ROOM.load(Ordering::SeqCst) {
        return true;
    }
    let _resizing = RESIZING.lock();
    let wanted = room_for(threads);
    let has_room = all().all(|cpu| cpu.queue.lock().reserve(wanted));
    if has_room {
        ROOM.fetch_max(wanted, Ordering::SeqCst);
    }
    has_room
}

/// Gives back what queues have room for when there were many threads; `threads` tells how many there are.
pub(super) fn shrink(threads: impl Fn() -> usize) {
    let _resizing = RESIZING.lock();
    let (room, wanted) = (ROOM.load(Ordering::SeqCst), room_for(threads()));
    if CPUS.get().is_none() || room / 2 < wanted {
        return;
    }
    // Whoever makes a thread counts it first and looks at the room then: one of the two sees what the other did.
    ROOM.store(wanted, Ordering::SeqCst);
    if threads() > wanted {
        ROOM.store(room, Ordering::SeqCst);
        return;
    }
    all().for_each(|cpu| cpu.queue.lock().shrink(wanted));
}

/// What a child of the running thread `parent` starts with.
pub(super) fn child_of(parent: &Thread) -> Entity {
    let _guard = cpu::disable_interrupts();
    let cpu = this();
    let mut queue = cpu.queue.lock();
    cpu.charge(&mut queue, time::monotonic_ns());
    queue.child().unwrap_or_else(|| Entity::new(parent.policy()))
}

/// How many threads run or could, on all CPUs.
pub(super) fn running_threads() -> usize {
    let runs = |cpu: &Cpu| usize::from(cpu.running_urgency() != NOTHING);
    all().map(|cpu| cpu.waiting() + runs(cpu)).sum()
}

/// What a CPU has done.
pub(crate) fn usage_of(id: usize) -> CpuUsage {
    let cpu = of(id);
    cpu.usage.read(time::monotonic_ns())
}

/// Says how much real-time threads may take of every CPU.
pub(super) fn set_real_time_limit(limit: RealTimeLimit) {
    for id in 0..cpu::MAX_CPUS {
        of(id).queue.lock().set_real_time_limit(limit);
    }
}

impl Cpu {
    fn new(id: usize) -> Cpu {
        Cpu {
            id,
            queue: IrqSpinLock::new("run queue", RunQueue::new(id)),
            timers: IrqSpinLock::new("timers", TimerQueue::new()),
            current: IrqSpinLock::new("current thread", None),
            current_id: AtomicU64::new(0),
            idle: Once::new(),
            left: IrqSpinLock::new("left thread", None),
            left_is_stray: AtomicBool::new(false),
            reschedule: AtomicBool::new(false),
            next_look_ns: AtomicU64::new(u64::MAX),
            charged_ns: AtomicU64::new(0),
            armed_ns: AtomicU64::new(u64::MAX),
            next_balance_ns: AtomicU64::new(0),
            next_rotation_ns: AtomicU64::new(0),
            usage: Usage::new(),
            waiting: AtomicUsize::new(0),
            load: AtomicU64::new(0),
            running: AtomicU32::new(NOTHING),
        }
    }

    pub(super) fn bit(&self) -> u64 {
        1 << self.id
    }

    pub(super) fn set_current(&self, thread: Arc<Thread>) {
        self.current_id.store(thread.id(), Ordering::Relaxed);
        let old = self.current.lock().replace(thread);
        drop(old);
    }

    pub(super) fn idle_thread(&self) -> Arc<Thread> {
        self.idle.get().expect("threads sleep only after the CPU has an idle thread").clone()
    }

    /// Tells the queue how long the running thread has run.
    pub(super) fn charge(&self, queue: &mut RunQueue, now: u64) {
        let begun = self.charged_ns.swap(now, Ordering::Relaxed);
        queue.account(now.saturating_sub(begun));
    }

    /// Tells the others what has become of the queue. The last thing before its lock is given back.
    pub(super) fn publish(&self, queue: &RunQueue) {
        let running = queue.running().map_or(NOTHING, |entity| urgency(entity.policy()));
        if queue.is_empty() {
            self.next_rotation_ns.store(0, Ordering::Relaxed);
        }
        self.waiting.store(queue.len(), Ordering::SeqCst);
        self.load.store(queue.load(), Ordering::Relaxed);
        self.running.store(running, Ordering::Relaxed);
        set_bit(&IDLE, self.bit(), running == NOTHING && queue.is_empty());
        set_bit(&REAL_TIME_WAITS, self.bit(), queue.waiting_priority().is_some());
    }

    /// How many threads wait, by the last word.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// The weight of all that waits and runs, by the last word.
    pub(super) fn load(&self) -> u64 {
        self.load.load(Ordering::Relaxed)
    }

    /// How urgent it is what runs, by the last word.
    pub(super) fn running_urgency(&self) -> u32 {
        self.running.load(Ordering::Relaxed)
    }

    /// The highest real-time priority that waits. Takes the queue's lock.
    pub(super) fn waiting_priority(&self) -> Option<RealTimePriority> {
        self.queue.lock().waiting_priority()
    }
}

/// Sets or clears a bit of a mask that is seldom changed.
fn set_bit(mask: &AtomicU64, bit: u64, on: bool) {
    if (mask.load(Ordering::Relaxed) & bit != 0) == on {
        return;
    }
    if on {
        mask.fetch_or(bit, Ordering::SeqCst);
    } else {
        mask.fetch_and(!bit, Ordering::SeqCst);
    }
}
