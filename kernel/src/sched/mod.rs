//! Threads: states, run queues, waiting, sleeping.
//!
//! | file | what |
//! |---|---|
//! | `thread.rs` | a thread, its parking token, its accounts |
//! | `policy.rs`, `queue.rs` | threads in the run queue of a CPU (the order itself is `lib/runqueue`) |
//! | `cpu.rs` | one CPU's data: what it runs, what waits, the current thread |
//! | `switch.rs` | from one thread to the next; the idle thread |
//! | `wake.rs` | making threads runnable: where, and who is told |
//! | `balance.rs` | moving threads between CPUs |
//! | `tick.rs` | the timer of turns; there is no periodic tick |
//! | `usage.rs` | what CPUs spend their time on |
//! | `timer.rs` | things that happen at a point of time |
//! | `wait.rs` | wait queues |
//! | `reaper.rs` | frees threads that have ended |
//! | `watch.rs` | a list of all threads; reports of those that hang |
//! | `load.rs` | the load averages |
//!
//! The kernel is preemptible: a thread loses its CPU when an interrupt ends in kernel mode with no spin lock held
//! ([`interrupt_exit`]), before it goes back to user mode, and where it waits. A CPU without work halts, and its timer is set
//! only for what is really due.
//!
//! # Locks
//! There is no lock of the whole scheduler. In the order in which they may be nested:
//!
//! | lock | of | guards |
//! |---|---|---|
//! | wait queue | each queue | who waits; wakers call [`Thread::unpark`] under it |
//! | timers | each CPU | its timers; actions run with the lock released |
//! | run queue | each CPU | who waits for the CPU, and the running thread's account |
//! | entity, current thread, left thread | each thread, each CPU | one field |
//!
//! * All of these disable interrupts, so a handler that wakes somebody never meets one that its own CPU holds.
//! * A CPU never holds two run queues. A thread that moves is taken out under the first one's lock and put in under the
//!   second's; in between it is in no queue and its entity lies with it, which shows ([`policy`]). So there is no order among
//!   run queues to keep, and two CPUs that move threads to each other cannot wait for each other.
//! * Under a run queue nothing is called that could wake, sleep or allocate (`cpu::reserve` makes room ahead).
//! * No lock is held across a switch (checked in debug builds); a thread waits only while it holds no spin lock.

mod accounts;
mod balance;
mod cpu;
mod load;
mod policy;
mod queue;
mod reaper;
mod switch;
mod thread;
mod tick;
pub(crate) mod timer;
mod usage;
pub(crate) mod wait;
mod wake;
pub(crate) mod watch;

#[cfg(feature = "tests")]
mod tests;

pub(crate) use cpu::{Current, usage_of as cpu_usage};
pub(crate) use load::averages as load_averages;
pub(crate) use reaper::help as help_reaper;
pub(crate) use thread::{State, Thread};
pub(crate) use usage::CpuUsage;

use crate::error::Result;
use crate::fault_injection;
use crate::process::UserThread;
use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use machine::sync::IrqSpinLock;
use machine::user::fpu::FpuState;
use runqueue::{Arrival, Nice, Policy, RealTimeLimit};
use switch::Leaving;
use wake::Hint;

/// Starts the scheduler: what runs now becomes the thread "boot", and everything below works from here on.
pub(crate) fn init(_log: &crate::log::Ready) -> Result<Ready> {
    let boot = Arc::new(Thread::adopt("boot", 0));
    watch::enter(&boot);
    cpu::init(boot);
    let idle =
        Thread::new(&format!("idle/{}", machine::cpu::current_id()), Box::new(|| switch::idle()), None)?;
    cpu::set_idle(machine::cpu::current_id(), Arc::new(idle));
    spawn("reaper", reaper::run)?;
    spawn("watch", watch::run)?;
    load::start();
    Ok(Ready(()))
}

/// Threads can be made, and there is a current one: [`init`] has run.
pub(crate) struct Ready(());

/// The thread that runs this.
///
/// # Panics
/// Before [`init`]; see [`try_current`].
pub(crate) fn current() -> Current {
    cpu::current().expect("sched::init has run")
}

/// [`Thread::id`] of the thread that runs this; 0 before [`init`].
pub(crate) fn current_id() -> u64 {
    cpu::current_id()
}

/// The thread that runs this, if the scheduler runs.
pub(crate) fn try_current() -> Option<Current> {
    cpu::current()
}

/// For panic reports: the thread that runs this, if that can be found out without waiting.
pub(crate) fn current_for_report() -> Option<Arc<Thread>> {
    cpu::try_current()
}

/// A CPU other than the first has come up: it runs threads from here on.
pub(crate) fn run_secondary() -> ! {
    let id = machine::cpu::current_id();
    let idle = Arc::new(Thread::adopt(&format!("idle/{id}"), machine::time::monotonic_ns()));
    cpu::adopt_idle(id, idle);
    machine::cpu::enable_interrupts();
    switch::idle()
}

/// Starts a thread of the kernel. It ends when `body` returns.
///
/// # Errors
/// ENOMEM.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<Arc<Thread>> {
    let thread = Arc::new(Thread::new(name, Box::new(body), None)?);
    watch::enter(&thread);
    start(&thread);
    Ok(thread)
}

/// Makes a thread for a program, with these extended registers; [`start`] starts it.
///
/// # Errors
/// ENOMEM.
pub(crate) fn new_user_thread(
    name: &str,
    body: impl FnOnce() + Send + 'static,
    user: UserThread,
    fpu: FpuState,
) -> Result<Arc<Thread>> {
    crate::fault_injection::slab(size_of::<Thread>())?;
    let thread = Arc::new(Thread::new(name, Box::new(body), Some((user, fpu)))?);
    watch::enter(&thread);
    Ok(thread)
}

/// Lets a new thread run; once.
pub(crate) fn start(thread: &Arc<Thread>) {
    wake::make_runnable(thread, Arrival::New, Hint::None);
}

/// Lets others go first.
pub(crate) fn yield_now() {
    let _guard = machine::cpu::disable_interrupts();
    switch::switch(Leaving::Yielded);
}

/// Gives way if the turn is over or somebody more urgent has come. Cheap otherwise.
pub(crate) fn reschedule_if_due() {
    if cpu::should_reschedule() {
        let leaving = if fault_injection::yields() { Leaving::Yielded } else { Leaving::Preempted };
        let _guard = machine::cpu::disable_interrupts();
        switch::switch(leaving);
    }
}

/// The thread that this CPU runs gives way at the end of the interrupt that is being handled.
pub(crate) fn demand_reschedule() {
    cpu::demand_reschedule();
}

/// Whether the running thread should give way.
pub(crate) fn should_reschedule() -> bool {
    cpu::should_reschedule()
}

/// Gives back memory that is kept for more threads than there are.
pub(crate) fn shrink() {
    thread::shrink_queues();
}

/// Sleeps until somebody unparks this thread; returns also for no reason.
pub(crate) fn park() {
    machine::sync::assert_may_sleep("parking");
    let _guard = machine::cpu::disable_interrupts();
    let thread = current();
    if thread.begin_park() {
        let for_no_reason =
            fault_injection::spurious_wakeup_ns().map(|wake_ns| timer::Timeout::new(wake_ns, thread.clone()));
        switch::switch(Leaving::Parked);
        thread.end_park();
        drop(for_no_reason);
    }
}

/// Sleeps until the monotonic clock shows `deadline_ns` or more.
pub(crate) fn sleep_until(deadline_ns: u64) {
    let thread = current();
    thread.set_interruptible(false);
    let timeout = timer::Timeout::new(deadline_ns, thread.clone());
    while machine::time::monotonic_ns() < deadline_ns {
        park();
    }
    drop(timeout);
}

/// Gives a thread another policy.
pub(crate) fn set_policy(thread: &Arc<Thread>, policy: Policy) {
    wake::change_entity(thread, |entity| {
        entity.set_policy(policy);
        thread.scheduling.note_policy(policy);
    });
}

/// Gives a thread another nice value; it takes effect while its policy has one.
pub(crate) fn set_nice(thread: &Arc<Thread>, nice: Nice) {
    thread.scheduling.set_nice(nice);
    wake::change_entity(thread, |entity| {
        let policy = match entity.policy() {
            Policy::Fair(_) => Policy::Fair(nice),
            Policy::Batch(_) => Policy::Batch(nice),
            Policy::Idle | Policy::Fifo(_) | Policy::RoundRobin(_) => return,
        };
        entity.set_policy(policy);
        thread.scheduling.note_policy(policy);
    });
}

/// Says how long a thread's turns are to be; `None`: as usual.
pub(crate) fn set_slice(thread: &Arc<Thread>, slice_ns: Option<u64>) {
    thread.scheduling.set_slice_ns(slice_ns);
    wake::change_entity(thread, |entity| entity.set_slice_ns(slice_ns));
}

/// Says whether children of a thread start with the default policy.
pub(crate) fn set_resets_on_fork(thread: &Thread, resets: bool) {
    thread.scheduling.set_resets_on_fork(resets);
}

static REAL_TIME_LIMIT: IrqSpinLock<RealTimeLimit> = IrqSpinLock::new("rt limit", RealTimeLimit::DEFAULT);

/// How much of each CPU real-time threads may take while others wait.
pub(crate) fn real_time_limit() -> RealTimeLimit {
    *REAL_TIME_LIMIT.lock()
}

/// Changes [`real_time_limit`].
pub(crate) fn set_real_time_limit(limit: RealTimeLimit) {
    *REAL_TIME_LIMIT.lock() = limit;
    cpu::set_real_time_limit(limit);
}

/// The current thread goes to user mode now. Interrupts are disabled, and stay so until it is there.
pub(crate) fn enter_user(thread: &Thread) {
    let now = machine::time::monotonic_ns();
    thread.accounts.enter_user(now);
    let mode = if thread.nice() > Nice::DEFAULT { usage::Mode::Nice } else { usage::Mode::User };
    cpu::this().usage.change_mode(mode, now);
}

/// The current thread has come back from user mode, if [`enter_user`] was called. Interrupts are disabled.
pub(crate) fn leave_user(thread: &Thread) {
    let now = machine::time::monotonic_ns();
    if thread.accounts.leave_user(now) {
        cpu::this().usage.change_mode(usage::Mode::System, now);
    }
}

/// Says where a thread may run: bit n stands for CPU n. The caller has checked that there is one of them.
pub(crate) fn set_affinity(thread: &Arc<Thread>, affinity: u64) {
    thread.scheduling.set_affinity(affinity);
    wake::leave_forbidden_cpu(thread);
}

/// Runs the current thread, `thread`, on every CPU for a moment: all of them have switched threads then.
pub(crate) fn visit_all_cpus(thread: &Arc<Thread>) {
    core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
    if machine::cpu::count() == 1 {
        return;
    }
    let affinity = thread.affinity();
    for cpu in 0..machine::cpu::count() {
        thread.scheduling.set_affinity(1 << cpu);
        yield_now();
    }
    thread.scheduling.set_affinity(affinity);
}

/// Where a thread is in the kernel, and who called it there: the caller itself, or one that does not run.
pub(crate) fn backtrace(thread: &Thread) -> Option<machine::backtrace::Trace> {
    if thread.id() == current_id() {
        return Some(machine::backtrace::Trace::here());
    }
    thread.task.backtrace()
}

/// How many threads run or could run.
pub(crate) fn running_threads() -> usize {
    cpu::running_threads()
}

/// How many threads have ended and are still referred to.
#[cfg(feature = "tests")]
pub(crate) fn unburied_threads() -> usize {
    reaper::backlog()
}

/// Upcall: this CPU's timer went off.
pub(crate) fn timer_interrupt() {
    if fault_injection::delays_timer() {
        return;
    }
    tick::interrupt();
}

/// Upcall: an interrupt that arrived in kernel mode is over; the place where kernel code is preempted.
pub(crate) fn interrupt_exit() {
    reschedule_if_due();
}

/// Upcall: another CPU has put something into this one's queue.
pub(crate) fn reschedule_interrupt() {
    tick::reschedule_interrupt();
}

/// Where every new thread starts, with interrupts disabled. Everything the body owned is gone before the end.
/// By its name one knows it in backtraces.
#[inline(never)]
fn thread_main() {
    switch::finish();
    machine::cpu::enable_interrupts();
    let body = current().take_body().expect("a thread starts once");
    body();
    machine::sync::assert_none_held("a thread ends");
    exit();
}

/// Ends the current thread. Only for [`thread_main`] and the boot flow: what is on the stack is never dropped.
pub(crate) fn exit() -> ! {
    // First: one that were preempted as an ended one would be buried now and once more when it leaves, and two entries of
    // the reaper's keep a thread for ever.
    core::mem::forget(machine::cpu::disable_interrupts());
    current().set_exited();
    switch::exit()
}
