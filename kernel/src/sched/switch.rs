//! From one thread to the next.
//!
//! [`switch`] puts the running thread where it belongs (back into the queue, or nowhere), takes the next one, and changes
//! stacks; the next thread, wherever it was interrupted, first finishes the switch ([`finish`]): only then is the
//! previous one off its stack, and others may have it.
//!
//! No lock is held across the change of stacks, and no counted reference stays behind on the stack of a thread that
//! has ended: [`exit`] has given its own away before.

use super::balance::{self, Wanted};
use super::cpu::{Cpu, this};
use super::queue::RunQueue;
use super::thread::{State, Thread};
use super::usage::Mode;
use super::wake::{Hint, make_runnable};
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use machine::{cpu, task, time};
use runqueue::{Arrival, Requeue};

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

/// Leaves the running thread for the next one, if there is a better one. Interrupts must be disabled.
pub(super) fn switch(leaving: Leaving) {
    debug_assert!(cpu::preemption_count() == 0, "a switch with a spin lock held");
    let cpu = this();
    let previous = cpu.current.lock().clone().expect("a CPU always runs a thread");
    let now = time::monotonic_ns();
    let next = cpu.choose(&previous, leaving, now);
    if Arc::ptr_eq(&previous, &next) {
        return;
    }
    let counter = match leaving {
        Leaving::Preempted | Leaving::Yielded => &previous.accounts.involuntary_switches,
        Leaving::Parked | Leaving::Exited => &previous.accounts.voluntary_switches,
    };
    counter.fetch_add(1, Ordering::Relaxed);
    cpu.prepare(&previous, &next, now);
    // While this thread sleeps, nothing on its stack keeps another one that may end meanwhile.
    let next_task = next.task.clone();
    drop(next);
    task::switch(&previous.task, next_task);
    drop(previous);
    finish();
}

/// Leaves the running thread for good. Interrupts must be disabled; nothing of value may be left on the stack.
pub(super) fn exit() -> ! {
    let next_task = {
        let cpu = this();
        let previous = cpu.current.lock().clone().expect("a CPU always runs a thread");
        let now = time::monotonic_ns();
        let next = cpu.choose(&previous, Leaving::Exited, now);
        cpu.prepare(&previous, &next, now);
        next.task.clone()
    };
    task::exit_to(next_task)
}

/// What every thread does first after it was switched to.
pub(super) fn finish() {
    let cpu = this();
    let Some(left) = cpu.left.lock().take() else { return };
    // Asked first: once it is off this CPU, another one may run it to its end, and bury it.
    let has_exited = left.state() == State::Exited;
    left.on_cpu.store(false, Ordering::SeqCst);
    if cpu.left_is_stray.load(Ordering::Relaxed) || !has_exited && cpu.has_queued_stray(&left) {
        make_runnable(&left, Arrival::New, Hint::None);
    } else if has_exited {
        super::reaper::bury(left);
    }
    balance::after_switch(cpu);
}

/// The body of the idle thread: halts until there is something to do.
pub(super) fn idle() -> ! {
    loop {
        let guard = cpu::disable_interrupts();
        if this().may_halt() {
            cpu::wait_for_interrupt();
        }
        drop(guard);
        super::yield_now();
    }
}

impl Cpu {
    /// Settles the account of `previous`, queues it if it can go on, and takes the next thread.
    fn choose(&self, previous: &Arc<Thread>, leaving: Leaving, now: u64) -> Arc<Thread> {
        self.reschedule.store(false, Ordering::Relaxed);
        let mut queue = self.queue.lock();
        self.charge(&mut queue, now);
        self.put_back(&mut queue, previous, leaving, now);
        if balance::wants_pull(self, &queue) {
            // Not under the own lock: two queues' locks are never held at a time.
            let what = if queue.is_empty() { Wanted::Anything } else { Wanted::RealTime };
            self.publish(&queue);
            drop(queue);
            balance::pull(self, what);
            queue = self.queue.lock();
        }
        let next = queue.pop().unwrap_or_else(|| self.idle_thread());
        // Under the queue's lock: whoever puts a thread into it next compares that with the right one.
        if !Arc::ptr_eq(previous, &next) {
            self.set_current(next.clone());
        }
        self.plan_look(&queue, now);
        self.publish(&queue);
        drop(queue);
        self.arm_timer();
        next
    }

    /// The previous thread waits again, or is off the queue.
    fn put_back(&self, queue: &mut RunQueue, previous: &Arc<Thread>, leaving: Leaving, now: u64) {
        self.left_is_stray.store(false, Ordering::Relaxed);
        if previous.is_idle() {
            return;
        }
        let why = match leaving {
            Leaving::Preempted => Some(Requeue::Preempted),
            Leaving::Yielded => Some(Requeue::Yielded),
            Leaving::Parked | Leaving::Exited => None,
        };
        let is_allowed = previous.scheduling.may_run_on(self.id);
        match why {
            Some(why) if is_allowed => {
                previous.accounts.begin_delay(now);
                queue.requeue(previous, why);
            }
            _ => {
                queue.leave(previous);
                // It was woken before it had left, and queued here; then it goes elsewhere as well.
                let was_woken = !is_allowed && queue.take(previous);
                self.left_is_stray.store(why.is_some() || was_woken, Ordering::Relaxed);
            }
        }
    }

    /// Whether a thread that has just left was woken meanwhile, and so queued here, where it may not run; it is in no
    /// queue then.
    fn has_queued_stray(&self, left: &Arc<Thread>) -> bool {
        if left.is_idle() || left.scheduling.may_run_on(self.id) {
            return false;
        }
        let mut queue = self.queue.lock();
        let was_queued = queue.take(left);
        self.publish(&queue);
        was_queued
    }

    /// The bookkeeping of a switch.
    fn prepare(&self, previous: &Arc<Thread>, next: &Arc<Thread>, now: u64) {
        previous.accounts.switch_out(now);
        let delay_ns = next.accounts.switch_in(now);
        self.usage.change_mode(if next.is_idle() { Mode::Idle } else { Mode::System }, now);
        self.usage.switches.fetch_add(1, Ordering::Relaxed);
        if !next.is_idle() {
            self.usage.delay_ns.fetch_add(delay_ns, Ordering::Relaxed);
            self.usage.turns.fetch_add(1, Ordering::Relaxed);
        }
        next.cpu.store(self.id, Ordering::SeqCst);
        next.on_cpu.store(true, Ordering::SeqCst);
        *self.left.lock() = Some(previous.clone());
        match next.user() {
            Some(user) => user.activate_address_space(),
            // A thread of the kernel goes on with whatever is loaded, and does not use it.
            None => machine::mm::be_lazy(),
        }
    }

    /// Whether the idle thread has nothing to do. Interrupts are disabled, so nothing can come before it halts that does
    /// not wake it.
    fn may_halt(&self) -> bool {
        {
            let queue = self.queue.lock();
            if !queue.is_empty() || self.reschedule.load(Ordering::Relaxed) {
                return false;
            }
            self.publish(&queue);
        }
        // Whoever queues a thread elsewhere from here on sees that this CPU is idle, and tells it.
        !balance::pull(self, Wanted::Anything)
    }
}
