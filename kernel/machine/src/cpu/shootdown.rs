//! Making other CPUs forget what they cached of page tables (TLB shootdown).
//!
//! One request is in flight at a time. Its CPUs are bits of [`PENDING`]; each flushes, clears its bit, and the
//! sender goes on when all are clear. Whoever waits with interrupts disabled, for a spin lock or for
//! its turn here, answers requests meanwhile ([`poll`]), so two CPUs never wait for each other.

use super::{apic, count, current_id, disable_interrupts};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

static BUSY: AtomicBool = AtomicBool::new(false);
static PENDING: AtomicU64 = AtomicU64::new(0);
static START: AtomicU64 = AtomicU64::new(0);
static END: AtomicU64 = AtomicU64::new(0);
static KERNEL: AtomicBool = AtomicBool::new(false);

/// Makes the CPUs of the mask `cpus` flush a range of addresses (of the kernel, or of the user half); returns when
/// they have. Preemption must be disabled.
pub(crate) fn request(cpus: u64, range: &core::ops::Range<u64>, kernel: bool) {
    let me = 1 << current_id();
    let everyone = if count() == 64 { u64::MAX } else { (1 << count()) - 1 };
    let targets = cpus & everyone & !me;
    if targets == 0 {
        return;
    }
    while BUSY.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
        poll();
        core::hint::spin_loop();
    }
    START.store(range.start, Ordering::Relaxed);
    END.store(range.end, Ordering::Relaxed);
    KERNEL.store(kernel, Ordering::Relaxed);
    PENDING.store(targets, Ordering::Release);
    for cpu in (0..count()).filter(|cpu| targets & 1 << cpu != 0) {
        apic::send(cpu, crate::trap::SHOOTDOWN_VECTOR);
    }
    while PENDING.load(Ordering::Acquire) != 0 {
        core::hint::spin_loop();
    }
    BUSY.store(false, Ordering::Release);
}

/// Answers a request to this CPU, if there is one.
pub(crate) fn poll() {
    if PENDING.load(Ordering::Relaxed) == 0 {
        return;
    }
    // With interrupts off, so that the handler does not answer the next request in the middle of this one.
    let _here = disable_interrupts();
    let me = 1 << current_id();
    if PENDING.load(Ordering::Acquire) & me != 0 {
        let range = START.load(Ordering::Relaxed)..END.load(Ordering::Relaxed);
        crate::mm::flush_here(&range, KERNEL.load(Ordering::Relaxed));
        PENDING.fetch_and(!me, Ordering::Release);
    }
}
