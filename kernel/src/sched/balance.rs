//! Keeping all CPUs busy, and equally so.
//!
//! * A CPU that has nothing to do takes a waiting thread from the CPU on which most wait ([`pull`]), before it halts.
//! * Whoever queues a thread on a busy CPU tells an idle one ([`nudge_idle`]), so that it comes and takes it.
//! * A CPU on which threads wait looks, at the end of turns, whether another one has less to do, and gives a thread away
//!   if that makes the greater of the two loads less ([`push`]). Where loads cannot be equal (three threads on two CPUs),
//!   one thread is moved now and then all the same, so that it is not always the same ones who share.
//! * A real-time thread that waits goes where it can run ([`after_switch`]).
//!
//! CPUs that are idle or run a single thread do nothing of this on their own: they have no tick. Loads are weights, so
//! nice values count. One queue's lock is held at a time: a thread on its way is in no queue, and its entity is
//! with the thread.

use super::cpu::{self as cpus, Cpu, of, urgency};
use super::queue::RunQueue;
use super::thread::Thread;
use super::wake::{Hint, make_runnable};
use alloc::sync::Arc;
use core::cmp::Reverse;
use core::sync::atomic::Ordering;
use machine::cpu;
use runqueue::Arrival;

/// How often a busy CPU compares loads.
const BALANCE_NS: u64 = 4_000_000;
/// How often a thread is moved where loads cannot be equal.
const ROTATION_NS: u64 = 48_000_000;

/// Whether it makes sense to look for a thread elsewhere, before the next one is taken from the own queue.
pub(super) fn wants_pull(cpu: &Cpu, queue: &RunQueue) -> bool {
    cpu::count() > 1
        && (queue.is_empty()
            || cpus::real_time_waits_mask() & !cpu.bit() != 0 && queue.waiting_priority().is_none())
}

/// What a CPU looks for on others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A thread, since it has none.
    Anything,
    /// A real-time thread, since it has none of that kind.
    RealTime,
}

/// Brings a thread that waits elsewhere into the queue of this CPU, `here`, whose lock is not held; `false`: there is
/// none. Interrupts are disabled.
pub(super) fn pull(here: &Cpu, what: Wanted) -> bool {
    while let Some(thread) = take_from_others(here, what) {
        if here.receive(&thread) {
            return true;
        }
        // Where it may run has just been changed.
        make_runnable(&thread, Arrival::New, Hint::None);
    }
    false
}

/// Takes a thread that waits elsewhere; it is in no queue then.
fn take_from_others(here: &Cpu, what: Wanted) -> Option<Arc<Thread>> {
    let suits =
        |thread: &Arc<Thread>| !thread.on_cpu.load(Ordering::SeqCst) && thread.scheduling.may_run_on(here.id);
    let mut asked = here.bit();
    // Real-time threads first, wherever they are; then from where most wait.
    while let Some(victim) = busiest(asked) {
        asked |= victim.bit();
        let mut queue = victim.queue.lock();
        let thread = queue.take_real_time(|thread, _| suits(thread)).or_else(|| match what {
            Wanted::Anything => queue.take_fair(|thread, _| suits(thread)),
            Wanted::RealTime => None,
        });
        if thread.is_some() {
            victim.publish(&queue);
            return thread;
        }
    }
    None
}

/// The CPU from which a thread should be taken, but for those of a mask.
fn busiest(but: u64) -> Option<&'static Cpu> {
    let real_time = cpus::real_time_waits_mask();
    let candidates = cpus::all().filter(|cpu| but & cpu.bit() == 0 && cpu.waiting() != 0);
    candidates.max_by_key(|cpu| (real_time & cpu.bit() != 0, cpu.waiting(), Reverse(cpu.id)))
}

/// A thread waits on a busy CPU: if another one is idle that may run it, it comes and takes it.
pub(super) fn nudge_idle(thread: &Thread, busy: &Cpu) {
    let idle = cpus::idle_mask() & thread.scheduling.affinity() & !busy.bit();
    if idle != 0 {
        cpu::send_reschedule(idle.trailing_zeros() as usize);
    }
}

/// Gives a thread to a CPU with less to do, if there is one. `cpu` is the one that runs this; interrupts are disabled.
pub(super) fn push(cpu: &Cpu, now: u64) {
    if cpu::count() == 1 || cpu.waiting() == 0 || now < cpu.next_balance_ns.load(Ordering::Relaxed) {
        return;
    }
    cpu.next_balance_ns.store(now.saturating_add(BALANCE_NS), Ordering::Relaxed);
    // Only where somebody has waited all the time since: a thread that runs for a moment is no reason.
    let rotates = match cpu.next_rotation_ns.load(Ordering::Relaxed) {
        0 => {
            cpu.next_rotation_ns.store(now.saturating_add(ROTATION_NS), Ordering::Relaxed);
            false
        }
        next_rotation => now >= next_rotation,
    };
    let mut asked = cpu.bit();
    let next = |asked: u64| {
        let others = cpus::all().filter(|other| asked & other.bit() == 0 && other.load() < cpu.load());
        // Of those with the same load the next one, so that turns are taken by all.
        others.min_by_key(|other| (other.load(), (other.id + cpu::MAX_CPUS - cpu.id) % cpu::MAX_CPUS))
    };
    while let Some(target) = next(asked) {
        asked |= target.bit();
        if let Some(thread) = take_for(cpu, target, rotates) {
            // Both rest then, or the thread would come back at once.
            for one in [cpu, target] {
                one.next_rotation_ns.store(now.saturating_add(ROTATION_NS), Ordering::Relaxed);
            }
            if !target.enqueue(&thread, Arrival::New, Hint::WakerSleeps) {
                make_runnable(&thread, Arrival::New, Hint::None);
            }
            return;
        }
    }
}

/// Takes a fair thread of `cpu` whose move to `target` levels the loads, or, to take turns, does not make them worse.
fn take_for(cpu: &Cpu, target: &Cpu, rotates: bool) -> Option<Arc<Thread>> {
    let mut queue = cpu.queue.lock();
    let (from, to) = (queue.load(), target.load());
    let levels = |weight: u64| {
        let after = to + weight;
        after < from || rotates && after <= from + weight / 8
    };
    let taken = queue.take_fair(|thread, entity| {
        levels(entity.policy().weight())
            && !thread.on_cpu.load(Ordering::SeqCst)
            && thread.scheduling.may_run_on(target.id)
    });
    cpu.publish(&queue);
    taken
}

/// A switch is over: if a real-time thread waits here that could run elsewhere, it goes there.
pub(super) fn after_switch(cpu: &Cpu) {
    if cpus::real_time_waits_mask() & cpu.bit() == 0 || cpu::count() == 1 {
        return;
    }
    let Some(priority) = cpu.waiting_priority() else { return };
    let needed = urgency(runqueue::Policy::Fifo(priority));
    let others = cpus::all().filter(|other| other.id != cpu.id && other.running_urgency() < needed);
    let Some(target) = others.min_by_key(|other| other.running_urgency()) else { return };
    let taken = {
        let mut queue = cpu.queue.lock();
        let target = of(target.id);
        let taken = queue.take_real_time(|thread, entity| {
            urgency(entity.policy()) > target.running_urgency()
                && !thread.on_cpu.load(Ordering::SeqCst)
                && thread.scheduling.may_run_on(target.id)
        });
        cpu.publish(&queue);
        taken
    };
    if let Some(thread) = taken {
        make_runnable(&thread, Arrival::New, Hint::None);
    }
}
