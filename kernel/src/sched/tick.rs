//! The CPU's timer: when it is to be asked whether a turn is over, and what else has a time.
//!
//! There is no periodic tick. The timer is set to the earlier of the first timer in the CPU's queue and the next look at
//! the turn; while nobody waits there is none of the latter, so a CPU that is idle, and one with a single thread,
//! is left alone. The timer is never set *later*: when it goes off too early, which costs one interrupt, it is
//! set again; programming it at each switch would cost more.

use super::balance;
use super::cpu::{self as cpus, Cpu, this};
use super::queue::RunQueue;
use core::sync::atomic::Ordering;
use machine::{cpu, time};

/// The CPU's timer went off. Interrupts are disabled.
pub(super) fn interrupt() {
    let cpu = this();
    cpu.armed_ns.store(u64::MAX, Ordering::Relaxed);
    super::timer::expire(&cpu.timers);
    let now = time::monotonic_ns();
    if now >= cpu.next_look_ns.load(Ordering::Relaxed) {
        let mut queue = cpu.queue.lock();
        cpu.charge(&mut queue, now);
        cpu.look(&mut queue, now);
        drop(queue);
        balance::push(cpu, now);
    }
    cpu.arm_timer();
}

/// Another CPU has put something into this one's queue. Interrupts are disabled.
pub(super) fn reschedule_interrupt() {
    rearm();
}

/// Makes this CPU's timer fit what it waits for.
pub(super) fn rearm() {
    let _guard = cpu::disable_interrupts();
    this().arm_timer();
}

/// Has all CPUs set their timers anew, whatever they are set to: the clock has changed.
pub(super) fn reset() {
    for cpu in cpus::all() {
        cpu.armed_ns.store(u64::MAX, Ordering::Relaxed);
        cpu::send_reschedule(cpu.id);
    }
    rearm();
}

impl Cpu {
    /// Whether the running thread, which has been charged, should give way; and when to ask again.
    pub(super) fn look(&self, queue: &mut RunQueue, now: u64) {
        if queue.gives_way() {
            self.reschedule.store(true, Ordering::Relaxed);
        }
        self.plan_look(queue, now);
        self.publish(queue);
    }

    pub(super) fn plan_look(&self, queue: &RunQueue, now: u64) {
        let next_look = queue.next_look_ns().map_or(u64::MAX, |after_ns| now.saturating_add(after_ns));
        self.next_look_ns.store(next_look, Ordering::Relaxed);
    }

    /// Whether the timer has to be set to an earlier time, for the next look at the turn.
    pub(super) fn looks_before_timer(&self) -> bool {
        self.next_look_ns.load(Ordering::Relaxed) < self.armed_ns.load(Ordering::Relaxed)
    }

    /// Sets the timer to the next thing that has a time. Interrupts are disabled, and this is the CPU that runs.
    pub(super) fn arm_timer(&self) {
        let timer = self.timers.lock().first_deadline().unwrap_or(u64::MAX);
        let deadline = timer.min(self.next_look_ns.load(Ordering::Relaxed));
        if deadline < self.armed_ns.load(Ordering::Relaxed) {
            self.armed_ns.store(deadline, Ordering::Relaxed);
            time::set_timer(Some(deadline));
        }
    }
}
