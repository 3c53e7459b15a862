//! Calling a function on other CPUs, and waiting until it has run there.
//!
//! Each CPU has one slot for the call that it makes, and a word with a bit for each CPU that wants something of it.
//! The functions run in interrupt context. Whoever calls has interrupts enabled and holds no spin lock, so that it
//! answers others while it waits: two CPUs that call each other both come back.
//!
//! # Soundness
//! A slot's function is read only by CPUs whose bit is still set in `pending`, and the caller, on whose stack it
//! lies, returns only when no bit is left.

use super::{
    CacheLine, MAX_CPUS, StaticPerCpu, apic, count, current_id, disable_preemption, interrupts_enabled,
    preemption_count,
};
use crate::sync::IrqSpinLock;
use crate::time;
use crate::trap::CALL_VECTOR;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// What is called, with the number of the CPU on which it runs.
type Function<'a> = &'a (dyn Fn(usize) + Sync + 'a);

struct Slot {
    function: IrqSpinLock<Option<Function<'static>>>,
    /// The CPUs that have not called it yet.
    pending: AtomicU64,
}

static SLOTS: StaticPerCpu<Slot> = StaticPerCpu::new(
    [const { CacheLine::new(Slot { function: IrqSpinLock::new("cpu call", None), pending: AtomicU64::new(0) }) };
        MAX_CPUS],
);
/// Who wants something of a CPU.
static CALLERS: StaticPerCpu<AtomicU64> =
    StaticPerCpu::new([const { CacheLine::new(AtomicU64::new(0)) }; MAX_CPUS]);

/// Calls `function` on every CPU of the mask that runs, this one included if it is in there; returns when all have.
/// It runs with interrupts disabled and must not sleep.
///
/// # Panics
/// With interrupts disabled, or while a spin lock is held.
pub fn call_on(cpus: u64, function: Function<'_>) {
    call_others(cpus, function, || {
        let me = current_id();
        if cpus & 1 << me != 0 {
            let _quiet = super::disable_interrupts();
            function(me);
        }
    });
}

/// Calls `function` on the CPUs of the mask but this one; runs `meanwhile` here, on the CPU that asked.
fn call_others(cpus: u64, function: Function<'_>, meanwhile: impl FnOnce()) {
    assert_may_call();
    let _here = disable_preemption();
    let me = current_id();
    let others = cpus & running() & !(1 << me);
    if others != 0 {
        // SAFETY: only the lifetime changes, and nobody reads it after `pending` is empty; see Soundness.
        let lasting = unsafe { core::mem::transmute::<Function<'_>, Function<'static>>(function) };
        *SLOTS.of(me).function.lock() = Some(lasting);
        SLOTS.of(me).pending.store(others, Ordering::Release);
        for cpu in (0..count()).filter(|cpu| others & 1 << cpu != 0) {
            CALLERS.of(cpu).fetch_or(1 << me, Ordering::AcqRel);
            apic::send(cpu, CALL_VECTOR);
        }
    }
    meanwhile();
    while SLOTS.of(me).pending.load(Ordering::Acquire) != 0 {
        core::hint::spin_loop();
    }
}

fn assert_may_call() {
    assert!(
        interrupts_enabled() && preemption_count() == 0,
        "a call to other CPUs from where they cannot call back"
    );
}

/// Runs `body` with interrupts disabled here and on all other CPUs, which wait in the meantime: for what nothing else
/// may run beside, as the moving of a device's registers. It must be short, take no lock that others take with
/// interrupts enabled, and ask nothing of other CPUs.
///
/// A CPU that has interrupts disabled may be waiting for a lock whose holder has come already, and never come itself:
/// so they are all let go after a while, and asked again.
///
/// # Panics
/// With interrupts disabled, or while a spin lock is held.
pub fn stop_machine<R>(body: impl FnOnce() -> R) -> R {
    /// One at a time. Whoever waits for it has interrupts enabled, and is stopped by the other.
    static IS_TAKEN: AtomicBool = AtomicBool::new(false);
    assert_may_call();
    while IS_TAKEN.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
        core::hint::spin_loop();
    }
    let mut body = Some(body);
    let result = loop {
        if let Some(result) = try_stop_machine(&mut body) {
            break result;
        }
    };
    IS_TAKEN.store(false, Ordering::Release);
    result
}

/// Runs and takes `body` if all others come in time.
fn try_stop_machine<R>(body: &mut Option<impl FnOnce() -> R>) -> Option<R> {
    /// How long is waited for the others; an emulator may keep a CPU from running for a while.
    const PATIENCE_NS: u64 = 1_000_000_000;
    let stopped = AtomicUsize::new(0);
    let may_go = AtomicBool::new(false);
    let stop = |_| {
        stopped.fetch_add(1, Ordering::AcqRel);
        while !may_go.load(Ordering::Acquire) {
            super::shootdown::poll();
            core::hint::spin_loop();
        }
    };
    let mut result = None;
    call_others(u64::MAX, &stop, || {
        let _quiet = super::disable_interrupts();
        let others = count() - 1;
        let deadline = time::monotonic_ns() + PATIENCE_NS;
        while stopped.load(Ordering::Acquire) < others && time::monotonic_ns() < deadline {
            super::shootdown::poll();
            core::hint::spin_loop();
        }
        if stopped.load(Ordering::Acquire) == others {
            result = body.take().map(|body| body());
        }
        may_go.store(true, Ordering::Release);
    });
    result
}

/// The CPUs that run, as a mask.
pub fn running() -> u64 {
    const { assert!(MAX_CPUS == 64) };
    u64::MAX >> (MAX_CPUS - count())
}

/// Calls what others want to be called here. Interrupts are disabled.
pub(crate) fn answer() {
    let me = current_id();
    let mut callers = CALLERS.of(me).swap(0, Ordering::AcqRel);
    while callers != 0 {
        let caller = callers.trailing_zeros() as usize;
        callers &= callers - 1;
        let slot = SLOTS.of(caller);
        if slot.pending.load(Ordering::Acquire) & 1 << me == 0 {
            continue;
        }
        let function = *slot.function.lock();
        if let Some(function) = function {
            function(me);
        }
        slot.pending.fetch_and(!(1 << me), Ordering::Release);
    }
}
