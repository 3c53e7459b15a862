//! Making threads runnable: on which CPU, and who is told.
//!
//! A fair thread goes to an idle CPU if there is one, the one it ran on last first (its caches are warm there); else it
//! stays where it was, unless the waker's CPU has less to do. A wake-up that says that the waker is about to sleep
//! ([`Hint::WakerSleeps`]) hands the CPU over: a thread that ran on the waker's CPU stays there though others are idle.
//! A new thread goes where there is the least to do. A real-time thread stays where it can run at once, else goes to the
//! CPU whose thread is the least urgent.

use super::balance;
use super::cpu::{self as cpus, Cpu, of, this, urgency};
use super::thread::Thread;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use machine::{cpu, time};
use runqueue::Arrival;

/// How long is waited between two looks whether a thread has left a CPU.
const PATIENCE_NS: u64 = 20_000;

/// What a waker knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    /// Nothing.
    None,
    /// It will wait itself very soon.
    WakerSleeps,
}

/// Puts a thread that has just been woken, or made, into a queue. Callable from interrupt handlers.
pub(super) fn make_runnable(thread: &Arc<Thread>, arrival: Arrival, hint: Hint) {
    loop {
        let is_leaving = thread.on_cpu.load(Ordering::SeqCst);
        let id = if is_leaving { thread.cpu() } else { choose_cpu(thread, arrival, hint) };
        // What it may run on can change meanwhile, and it can have left the CPU that it was leaving.
        if of(id).enqueue(thread, arrival, hint) {
            return;
        }
    }
}

/// Where a thread should run, see the module.
fn choose_cpu(thread: &Thread, arrival: Arrival, hint: Hint) -> usize {
    let count = cpu::count();
    if count == 1 {
        return 0;
    }
    let existing = if count == 64 { u64::MAX } else { (1 << count) - 1 };
    let allowed = thread.scheduling.affinity() & existing;
    let last = thread.cpu();
    let may_stay = allowed >> last & 1 != 0;
    let _guard = cpu::disable_preemption();
    let here = this();
    let policy = thread.policy();
    if !policy.is_fair() {
        if may_stay && of(last).running_urgency() < urgency(policy) {
            return last;
        }
        return least(allowed, |cpu| u64::from(cpu.running_urgency())).unwrap_or(last);
    }
    let may_come = allowed & here.bit() != 0;
    if hint == Hint::WakerSleeps && last == here.id && may_come && here.waiting() == 0 {
        return here.id;
    }
    let idle = allowed & cpus::idle_mask();
    if idle != 0 {
        // The next one after the last: without the warm cache any is as good.
        let from_last = idle.rotate_right(last as u32).trailing_zeros() as usize;
        return (last + from_last) % 64;
    }
    if arrival == Arrival::New {
        return least(allowed, Cpu::load).unwrap_or(last);
    }
    let comes = may_come && (!may_stay || here.load() + policy.weight() < of(last).load());
    match (comes, may_stay) {
        (true, _) => here.id,
        (false, true) => last,
        (false, false) => least(allowed, Cpu::load).unwrap_or(last),
    }
}

/// Of the CPUs of a mask the one with the least figure.
fn least(mask: u64, figure: impl Fn(&Cpu) -> u64) -> Option<usize> {
    cpus::all().filter(|cpu| mask & cpu.bit() != 0).min_by_key(|cpu| figure(cpu)).map(|cpu| cpu.id)
}

/// Changes how a thread is scheduled, and who runs if that says so.
pub(super) fn change_entity(thread: &Arc<Thread>, change: impl Fn(&mut runqueue::Entity)) {
    loop {
        let cpu = of(thread.cpu());
        let mut queue = cpu.queue.lock();
        let now = time::monotonic_ns();
        cpu.charge(&mut queue, now);
        // If it is not there any more, it moves just now.
        if thread.cpu() == cpu.id && queue.change(thread, &change) {
            cpu.look(&mut queue, now);
            drop(queue);
            return cpus::interrupt_user_mode(cpu.id);
        }
    }
}

/// A thread's affinity has been changed: it leaves a CPU that it may not run on, before this returns.
pub(super) fn leave_forbidden_cpu(thread: &Arc<Thread>) {
    // Who was about to queue it on such a CPU, and still saw the old mask under that queue's lock, has done it now; nobody
    // else will.
    cpus::all().filter(|cpu| !thread.scheduling.may_run_on(cpu.id)).for_each(|cpu| drop(cpu.queue.lock()));
    let cpu = of(thread.cpu.load(Ordering::SeqCst));
    if thread.scheduling.may_run_on(cpu.id) {
        return;
    }
    let was_queued = {
        let mut queue = cpu.queue.lock();
        let was_queued = queue.take(thread);
        cpu.publish(&queue);
        was_queued
    };
    if was_queued {
        return make_runnable(thread, Arrival::New, Hint::None);
    }
    cpu.reschedule.store(true, Ordering::Relaxed);
    cpus::interrupt_user_mode(cpu.id);
    // The caller itself goes when this system call ends; one that sleeps, when it wakes.
    let is_caller = cpus::current_id() == thread.id();
    let stays = || {
        let last = thread.cpu.load(Ordering::SeqCst);
        !thread.scheduling.may_run_on(last) && thread.state() == super::State::Running
    };
    while !is_caller && stays() {
        // It may have moved to another forbidden CPU before it could be asked, or the wish was spent on somebody else.
        let here = of(thread.cpu.load(Ordering::SeqCst));
        here.reschedule.store(true, Ordering::Relaxed);
        cpus::interrupt_user_mode(here.id);
        super::sleep_until(time::monotonic_ns() + PATIENCE_NS);
    }
}

impl Cpu {
    /// Queues a thread and sees to it that this CPU notices; `false`, and nothing done, if it may not run here. One that
    /// this CPU is just leaving is queued in any case: [`super::switch::finish`] sends it away.
    pub(super) fn enqueue(&self, thread: &Arc<Thread>, arrival: Arrival, hint: Hint) -> bool {
        let (is_first, is_urgent);
        {
            let mut queue = self.queue.lock();
            let was_due = self.reschedule.load(Ordering::Relaxed);
            is_first = queue.running().is_none() && queue.is_empty();
            if !thread.scheduling.may_run_on(self.id) && !thread.on_cpu.load(Ordering::SeqCst) {
                return false;
            }
            thread.cpu.store(self.id, Ordering::SeqCst);
            let now = time::monotonic_ns();
            thread.accounts.begin_delay(now);
            self.charge(&mut queue, now);
            queue.push(thread, arrival);
            self.look(&mut queue, now);
            is_urgent = !was_due && self.reschedule.load(Ordering::Relaxed);
        }
        let _guard = cpu::disable_preemption();
        if self.id == cpu::current_id() {
            super::tick::rearm();
        } else if is_first || is_urgent || self.looks_before_timer() {
            cpu::send_reschedule(self.id);
        }
        if !is_first && hint == Hint::None && !thread.on_cpu.load(Ordering::Relaxed) {
            balance::nudge_idle(thread, self);
        }
        true
    }

    /// Queues a thread that this CPU, which runs this, has taken from another one; `false` if it may not run here any
    /// more.
    pub(super) fn receive(&self, thread: &Arc<Thread>) -> bool {
        let mut queue = self.queue.lock();
        let is_allowed = thread.scheduling.may_run_on(self.id);
        if is_allowed {
            thread.cpu.store(self.id, Ordering::SeqCst);
            queue.push(thread, Arrival::New);
            self.publish(&queue);
        }
        is_allowed
    }
}
