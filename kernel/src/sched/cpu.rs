//! One CPU's share of the scheduler: what it runs, what waits for it, and the switch.
//!
//! Rules:
//! * Only a CPU itself changes what it runs, with interrupts disabled. Others put threads into its queue and send it
//!   an interrupt.
//! * A thread that some CPU still runs on (`on_cpu`) is queued nowhere but on that CPU, and is never stolen. So a thread
//!   that is woken while it is on its way out cannot start anywhere else before it has left.
//! * No lock is held across a switch, and no counted reference stays behind on the stack of a thread that has ended.
//! * Order of locks: run queue, then current thread or entity. Two run queues are never waited for at a time.

use super::queue::RunQueue;
use super::thread::{State, Thread};
use super::timer::TimerQueue;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use machine::cpu::PerCpu;
use machine::sync::{IrqSpinLock, Once};
use machine::{cpu, task, time};
use runqueue::{Arrival, Policy};

/// The scheduler's data of one CPU.
pub(super) struct Cpu {
    id: usize,
    queue: IrqSpinLock<RunQueue>,
    pub(super) timers: IrqSpinLock<TimerQueue>,
    current: IrqSpinLock<Option<Arc<Thread>>>,
    /// Its id, for those who want no more (lock holders).
    current_id: AtomicU64,
    idle: Once<Arc<Thread>>,
    /// Whom the last switch left; the thread that runs now has to finish that.
    left: IrqSpinLock<Option<Arc<Thread>>>,
    /// That one could go on, but may not run here any more, and is in no queue.
    left_is_stray: AtomicBool,
    /// The running thread should give way at the next opportunity.
    reschedule: AtomicBool,
    /// When it is to be asked whether the running thread's turn is over; `u64::MAX`: nobody waits.
    next_look_ns: AtomicU64,
    /// When the running thread was charged last.
    charged_ns: AtomicU64,
    /// What the timer is set to; `u64::MAX`: off.
    armed_ns: AtomicU64,
    idle_ns: AtomicU64,
    switches: AtomicU64,
}

/// Why a thread leaves the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// It sleeps; whoever wakes it puts it into a queue.
    Parked,
    /// Somebody else's turn.
    Preempted,
    /// It lets others go first.
    Yielded,
    /// It has ended.
    Exited,
}

static CPUS: Once<PerCpu<Cpu>> = Once::new();

/// A CPU's data.
pub(super) fn of(id: usize) -> &'static Cpu {
    CPUS.get().expect("sched::init has run").of(id)
}

/// This CPU's data; the caller has interrupts or preemption disabled.
fn this() -> &'static Cpu {
    of(cpu::current_id())
}

/// Makes the data of all CPUs, and the flow that runs now the first thread of this one.
pub(super) fn init(boot: Arc<Thread>) {
    CPUS.call_once(|| PerCpu::new(Cpu::new));
    let cpu = this();
    cpu.queue.lock().start(&boot);
    cpu.set_current(boot);
}

/// Gives a CPU the thread that runs when no other can.
pub(super) fn set_idle(id: usize, idle: Arc<Thread>) {
    idle.set_idle();
    idle.cpu.store(id, Ordering::Relaxed);
    of(id).idle.call_once(|| idle);
}

/// The thread that runs here; `None` before `init`.
pub(super) fn current() -> Option<Arc<Thread>> {
    let cpus = CPUS.get()?;
    let guard = cpu::disable_preemption();
    cpus.get(&guard).current.lock().clone()
}

/// The id of the thread that runs here; 0 before `init`.
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

/// What runs on this CPU since it came up is its idle thread.
pub(super) fn adopt_idle(id: usize, idle: Arc<Thread>) {
    set_idle(id, idle.clone());
    of(id).set_current(idle);
}

/// Leaves the running thread for the next one, if there is a better one. Interrupts must be disabled.
pub(super) fn switch(leaving: Leaving) {
    debug_assert!(cpu::preemption_count() == 0, "a switch with a spin lock held");
    let cpu = this();
    let previous = cpu.current.lock().clone().expect("a CPU always runs a thread");
    let next = cpu.choose(&previous, leaving);
    if Arc::ptr_eq(&previous, &next) {
        return;
    }
    cpu.prepare(&previous, &next);
    task::switch(&previous.task, &next.task);
    drop((previous, next));
    finish_switch();
}

/// Leaves the running thread for good. Interrupts must be disabled; nothing of value may be left on the stack.
pub(super) fn exit() -> ! {
    let next_task = {
        let cpu = this();
        let previous = cpu.current.lock().clone().expect("a CPU always runs a thread");
        let next = cpu.choose(&previous, Leaving::Exited);
        cpu.prepare(&previous, &next);
        next.task.clone()
    };
    task::exit_to(next_task)
}

/// What every thread does first after it was switched to.
pub(super) fn finish_switch() {
    let cpu = this();
    let Some(left) = cpu.left.lock().take() else { return };
    // Asked first: once it is off this CPU, another one may run it to its end, and bury it.
    let has_exited = left.state() == State::Exited;
    left.on_cpu.store(false, Ordering::SeqCst);
    if cpu.left_is_stray.load(Ordering::Relaxed) {
        make_runnable(&left, Arrival::New);
    } else if has_exited {
        super::reaper::bury(left);
    }
}

/// Puts a thread that has just been woken, or made, into a queue. Callable from interrupt handlers.
pub(super) fn make_runnable(thread: &Arc<Thread>, arrival: Arrival) {
    let is_leaving = thread.on_cpu.load(Ordering::SeqCst);
    let id = if is_leaving { thread.cpu() } else { choose_cpu(thread) };
    of(id).enqueue(thread, arrival);
}

/// The CPU's timer went off. Interrupts are disabled.
pub(super) fn timer_interrupt() {
    let cpu = this();
    cpu.armed_ns.store(u64::MAX, Ordering::Relaxed);
    super::timer::expire(&cpu.timers);
    let now = time::monotonic_ns();
    if now >= cpu.next_look_ns.load(Ordering::Relaxed) {
        cpu.look(&mut cpu.queue.lock(), now);
    }
    cpu.arm_timer();
}

/// Makes this CPU's timer fit what it waits for.
pub(super) fn rearm_timer() {
    let _guard = cpu::disable_interrupts();
    this().arm_timer();
}

/// Has all CPUs set their timers anew, whatever they are set to: the clock has changed.
pub(super) fn reset_timers() {
    for id in 0..cpu::count() {
        of(id).armed_ns.store(u64::MAX, Ordering::Relaxed);
        cpu::send_reschedule(id);
    }
    rearm_timer();
}

/// Whether the running thread should give way.
pub(super) fn should_reschedule() -> bool {
    CPUS.get().is_some_and(|cpus| {
        let guard = cpu::disable_preemption();
        cpus.get(&guard).reschedule.load(Ordering::Relaxed)
    })
}

/// Makes a CPU come back from user mode soon, so that its thread notices what was left for it.
pub(super) fn interrupt_user_mode(id: usize) {
    let _guard = cpu::disable_preemption();
    if id != cpu::current_id() {
        cpu::send_reschedule(id);
    }
}

/// Gives a thread another policy; if that says who runs next, soon.
pub(super) fn set_policy(thread: &Arc<Thread>, policy: Policy) {
    loop {
        let cpu = of(thread.cpu());
        let mut queue = cpu.queue.lock();
        if thread.cpu() != cpu.id {
            // It has moved meanwhile.
            continue;
        }
        queue.set_policy(thread, policy);
        cpu.look(&mut queue, time::monotonic_ns());
        drop(queue);
        return interrupt_user_mode(cpu.id);
    }
}

/// A thread may run on other CPUs than before.
pub(super) fn leave_forbidden_cpu(thread: &Arc<Thread>) {
    let cpu = of(thread.cpu());
    if !thread.scheduling.may_run_on(cpu.id) {
        // If it runs, it goes when it is preempted; if it is queued, when its turn comes.
        cpu.reschedule.store(true, Ordering::Relaxed);
        interrupt_user_mode(cpu.id);
    }
}

/// How many threads run or could, on all CPUs.
pub(super) fn running_threads() -> usize {
    (0..cpu::count())
        .map(|id| {
            let cpu = of(id);
            let busy = cpu.current.lock().as_ref().is_some_and(|thread| !thread.is_idle());
            cpu.queue.lock().len() + usize::from(busy)
        })
        .sum()
}

/// Nanoseconds that a CPU has been idle, and how many switches it has made.
pub(super) fn statistics(id: usize) -> (u64, u64) {
    let cpu = of(id);
    (cpu.idle_ns.load(Ordering::Relaxed), cpu.switches.load(Ordering::Relaxed))
}

/// The body of the idle thread: halts until there is something to do.
pub(super) fn idle() -> ! {
    loop {
        let guard = cpu::disable_interrupts();
        let cpu = this();
        if cpu.queue.lock().is_empty() && !cpu.reschedule.load(Ordering::Relaxed) {
            let begun = time::monotonic_ns();
            cpu::wait_for_interrupt();
            cpu.idle_ns.fetch_add(time::monotonic_ns().saturating_sub(begun), Ordering::Relaxed);
        }
        drop(guard);
        super::yield_now();
    }
}

/// Where a woken thread should run: where it was, unless another CPU is idle.
fn choose_cpu(thread: &Thread) -> usize {
    let last = thread.cpu();
    let count = cpu::count();
    let allowed = |id: &usize| thread.scheduling.may_run_on(*id);
    if count == 1 {
        return 0;
    }
    core::iter::once(last)
        .chain(0..count)
        .filter(allowed)
        .find(|&id| of(id).is_idle())
        .or_else(|| core::iter::once(last).chain(0..count).find(allowed))
        .unwrap_or(last)
}

impl Cpu {
    fn new(id: usize) -> Cpu {
        Cpu {
            id,
            queue: IrqSpinLock::new("run queue", RunQueue::new()),
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
            idle_ns: AtomicU64::new(0),
            switches: AtomicU64::new(0),
        }
    }

    fn set_current(&self, thread: Arc<Thread>) {
        self.current_id.store(thread.id(), Ordering::Relaxed);
        let old = self.current.lock().replace(thread);
        drop(old);
    }

    /// Settles the account of `previous`, queues it if it can go on, and takes the next thread.
    fn choose(&self, previous: &Arc<Thread>, leaving: Leaving) -> Arc<Thread> {
        let now = time::monotonic_ns();
        self.reschedule.store(false, Ordering::Relaxed);
        let mut queue = self.queue.lock();
        self.charge(&mut queue, previous, now);
        let goes_on = matches!(leaving, Leaving::Preempted | Leaving::Yielded) && !previous.is_idle();
        let is_stray = goes_on && !previous.scheduling.may_run_on(self.id);
        self.left_is_stray.store(is_stray, Ordering::Relaxed);
        match leaving {
            _ if previous.is_idle() => {}
            Leaving::Preempted if !is_stray => queue.push(previous, Arrival::Preempted),
            Leaving::Yielded if !is_stray => queue.push(previous, Arrival::Yield),
            _ => queue.leave(previous),
        }
        let next = queue.pop().or_else(|| self.steal(&mut queue));
        let next = next.unwrap_or_else(|| self.idle_thread());
        // Under the queue's lock: whoever puts a thread into it next compares that with the right one.
        self.set_current(next.clone());
        self.plan_next_look(&queue, &next, now);
        drop(queue);
        self.arm_timer();
        next
    }

    /// Whether the running thread's turn is over, and when to ask again.
    fn look(&self, queue: &mut RunQueue, now: u64) {
        let Some(current) = self.current.lock().clone() else { return };
        self.charge(queue, &current, now);
        let gives_way = if current.is_idle() { !queue.is_empty() } else { queue.should_preempt(&current) };
        if gives_way {
            self.reschedule.store(true, Ordering::Relaxed);
        }
        self.plan_next_look(queue, &current, now);
    }

    fn plan_next_look(&self, queue: &RunQueue, running: &Thread, now: u64) {
        let after_ns = if running.is_idle() { None } else { queue.next_look_ns(running) };
        let next_look = after_ns.map_or(u64::MAX, |after_ns| now.saturating_add(after_ns));
        self.next_look_ns.store(next_look, Ordering::Relaxed);
    }

    /// The bookkeeping of a switch.
    fn prepare(&self, previous: &Arc<Thread>, next: &Arc<Thread>) {
        let now = time::monotonic_ns();
        previous.accounts.switch_out(now);
        next.accounts.switch_in(now);
        self.charged_ns.store(now, Ordering::Relaxed);
        self.switches.fetch_add(1, Ordering::Relaxed);
        next.cpu.store(self.id, Ordering::SeqCst);
        next.on_cpu.store(true, Ordering::SeqCst);
        *self.left.lock() = Some(previous.clone());
        match next.user() {
            Some(user) => user.activate_address_space(),
            // A thread of the kernel goes on with whatever is loaded, and does not use it.
            None => machine::mm::be_lazy(),
        }
    }

    /// Tells the queue how long the running thread has run.
    fn charge(&self, queue: &mut RunQueue, running: &Thread, now: u64) {
        let begun = self.charged_ns.swap(now, Ordering::Relaxed);
        if !running.is_idle() {
            queue.account(running, now.saturating_sub(begun));
        }
    }

    fn enqueue(&self, thread: &Arc<Thread>, arrival: Arrival) {
        let was_empty;
        {
            let mut queue = self.queue.lock();
            let came_from = thread.cpu.swap(self.id, Ordering::SeqCst);
            let arrival = if came_from == self.id { arrival } else { Arrival::New };
            was_empty = queue.is_empty();
            queue.push(thread, arrival);
            self.look(&mut queue, time::monotonic_ns());
        }
        let _guard = cpu::disable_preemption();
        if self.id == cpu::current_id() {
            rearm_timer();
        } else if was_empty || self.reschedule.load(Ordering::Relaxed) {
            cpu::send_reschedule(self.id);
        }
    }

    /// Takes a thread that waits for another CPU.
    fn steal(&self, queue: &mut RunQueue) -> Option<Arc<Thread>> {
        let thread = (1..cpu::count()).find_map(|step| {
            let victim = of((self.id + step) % cpu::count());
            let suits = |thread: &Thread| {
                !thread.on_cpu.load(Ordering::SeqCst) && thread.scheduling.may_run_on(self.id)
            };
            // Only tried: two CPUs that look at each other must not wait for each other.
            victim.queue.try_lock()?.steal(suits)
        })?;
        thread.cpu.store(self.id, Ordering::SeqCst);
        queue.push(&thread, Arrival::New);
        queue.pop()
    }

    fn idle_thread(&self) -> Arc<Thread> {
        self.idle.get().expect("threads sleep only after the CPU has an idle thread").clone()
    }

    fn is_idle(&self) -> bool {
        self.current.lock().as_ref().is_some_and(|thread| thread.is_idle()) && self.queue.lock().is_empty()
    }

    /// Sets the timer to the next thing that has a time. Interrupts are disabled, and this is the CPU that runs.
    fn arm_timer(&self) {
        let timer = self.timers.lock().first_deadline().unwrap_or(u64::MAX);
        let deadline = timer.min(self.next_look_ns.load(Ordering::Relaxed));
        if self.armed_ns.swap(deadline, Ordering::Relaxed) != deadline {
            time::set_timer(Some(deadline).filter(|&deadline| deadline != u64::MAX));
        }
    }
}
