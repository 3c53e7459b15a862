//! Threads: states, run queues, waiting, sleeping.
//!
//! | file | what |
//! |---|---|
//! | `thread.rs` | a thread, its parking token, its accounts |
//! | `policy.rs`, `queue.rs` | threads in the run queue of a CPU (the queue itself is `lib/runqueue`) |
//! | `cpu.rs` | what a CPU runs, the switch, the timer of turns |
//! | `timer.rs` | things that happen at a point of time |
//! | `wait.rs` | wait queues |
//! | `reaper.rs` | frees threads that have ended |
//! | `watch.rs` | a list of all threads; reports of those that hang |
//! | `load.rs` | the load averages |
//!
//! The kernel is preemptible: a thread loses its CPU when an interrupt ends in kernel mode with no spin lock held
//! ([`interrupt_exit`]), before it goes back to user mode, and where it waits. A CPU without work halts, and its timer is set
//! only for what is really due.

mod cpu;
mod load;
mod policy;
mod queue;
mod reaper;
mod thread;
pub(crate) mod timer;
pub(crate) mod wait;
pub(crate) mod watch;

#[cfg(feature = "tests")]
mod tests;

pub(crate) use load::averages as load_averages;
pub(crate) use thread::{State, Thread};

use crate::error::Result;
use crate::process::UserThread;
use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use cpu::Leaving;
use machine::user::fpu::FpuState;
use runqueue::{Arrival, Nice, Policy};

/// Starts the scheduler: what runs now becomes the thread "boot", and everything below works from here on.
pub(crate) fn init() -> Result<()> {
    cpu::init(Arc::new(Thread::adopt("boot")));
    let idle = Thread::new(&format!("idle/{}", machine::cpu::current_id()), Box::new(|| cpu::idle()), None)?;
    cpu::set_idle(machine::cpu::current_id(), Arc::new(idle));
    spawn("reaper", reaper::run)?;
    spawn("watch", watch::run)?;
    load::start();
    Ok(())
}

/// The thread that runs this.
///
/// # Panics
/// Before [`init`]; see [`try_current`].
pub(crate) fn current() -> Arc<Thread> {
    cpu::current().expect("sched::init has run")
}

/// [`Thread::id`] of the thread that runs this; 0 before [`init`].
pub(crate) fn current_id() -> u64 {
    cpu::current_id()
}

/// The thread that runs this, if the scheduler runs.
pub(crate) fn try_current() -> Option<Arc<Thread>> {
    cpu::current()
}

/// For panic reports: the thread that runs this, if that can be found out without waiting.
pub(crate) fn current_for_report() -> Option<Arc<Thread>> {
    cpu::try_current()
}

/// A CPU other than the first has come up: it runs threads from here on.
pub(crate) fn run_secondary() -> ! {
    let id = machine::cpu::current_id();
    let idle = Arc::new(Thread::adopt(&format!("idle/{id}")));
    cpu::adopt_idle(id, idle);
    machine::cpu::enable_interrupts();
    cpu::idle()
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
    let thread = Arc::new(Thread::new(name, Box::new(body), Some((user, fpu)))?);
    watch::enter(&thread);
    Ok(thread)
}

/// Lets a new thread run; once.
pub(crate) fn start(thread: &Arc<Thread>) {
    cpu::make_runnable(thread, Arrival::New);
}

/// Lets others go first.
pub(crate) fn yield_now() {
    let _guard = machine::cpu::disable_interrupts();
    cpu::switch(Leaving::Yielded);
}

/// Gives way if the turn is over or somebody more urgent has come. Cheap otherwise.
pub(crate) fn reschedule_if_due() {
    if cpu::should_reschedule() {
        let thread = current();
        thread.accounts.involuntary_switches.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
        drop(thread);
        let _guard = machine::cpu::disable_interrupts();
        cpu::switch(Leaving::Preempted);
    }
}

/// Whether the running thread should give way.
pub(crate) fn should_reschedule() -> bool {
    cpu::should_reschedule()
}

/// Sleeps until somebody unparks this thread; returns also for no reason.
pub(crate) fn park() {
    debug_assert!(machine::cpu::preemption_count() == 0, "parking with a spin lock held");
    let _guard = machine::cpu::disable_interrupts();
    let thread = current();
    if thread.begin_park() {
        thread.accounts.voluntary_switches.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
        cpu::switch(Leaving::Parked);
        thread.end_park();
    }
}

/// Sleeps until the monotonic clock shows `deadline_ns` or more.
pub(crate) fn sleep_until(deadline_ns: u64) {
    let thread = current();
    thread.set_interruptible(false);
    let timeout = timer::Timeout::new(deadline_ns, thread);
    while machine::time::monotonic_ns() < deadline_ns {
        park();
    }
    drop(timeout);
}

/// Gives a thread another policy.
pub(crate) fn set_policy(thread: &Arc<Thread>, policy: Policy) {
    cpu::set_policy(thread, policy);
}

/// Gives a thread another nice value; it takes effect while its policy has one.
pub(crate) fn set_nice(thread: &Arc<Thread>, nice: Nice) {
    thread.scheduling.set_nice(nice);
    match thread.policy() {
        Policy::Fair(_) => cpu::set_policy(thread, Policy::Fair(nice)),
        Policy::Batch(_) => cpu::set_policy(thread, Policy::Batch(nice)),
        Policy::Idle | Policy::Fifo(_) | Policy::RoundRobin(_) => {}
    }
}

/// Says where a thread may run: bit n stands for CPU n. The caller has checked that there is one of them.
pub(crate) fn set_affinity(thread: &Arc<Thread>, affinity: u64) {
    thread.scheduling.set_affinity(affinity);
    cpu::leave_forbidden_cpu(thread);
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

/// How many threads run or could run.
pub(crate) fn running_threads() -> usize {
    cpu::running_threads()
}

/// How many threads have ended and are still referred to.
#[cfg(feature = "tests")]
pub(crate) fn unburied_threads() -> usize {
    reaper::backlog()
}

/// Of a CPU: nanoseconds that it was idle, and the number of switches.
pub(crate) fn cpu_statistics(id: usize) -> (u64, u64) {
    cpu::statistics(id)
}

/// Upcall: this CPU's timer went off.
pub(crate) fn timer_interrupt() {
    cpu::timer_interrupt();
}

/// Upcall: an interrupt that arrived in kernel mode is over; the place where kernel code is preempted.
pub(crate) fn interrupt_exit() {
    reschedule_if_due();
}

/// Upcall: another CPU has put something into this one's queue.
pub(crate) fn reschedule_interrupt() {
    cpu::rearm_timer();
}

/// Where every new thread starts, with interrupts disabled. Everything the body owned is gone before the end.
fn thread_main() {
    cpu::finish_switch();
    machine::cpu::enable_interrupts();
    let body = current().take_body().expect("a thread starts once");
    body();
    exit();
}

/// Ends the current thread. Only for [`thread_main`] and the boot flow: what is on the stack is never dropped.
pub(crate) fn exit() -> ! {
    current().set_exited();
    core::mem::forget(machine::cpu::disable_interrupts());
    cpu::exit()
}
