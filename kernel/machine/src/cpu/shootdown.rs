//! Telling other CPUs to forget what they cached of page tables (TLB shootdown).
//!
//! Every CPU has slots for what it asks of others, and a word in which others note that they have asked: so any number
//! of requests are under way at a time. Whoever asks waits until all have answered. A CPU that waits with interrupts
//! disabled, for a spin lock or for answers, answers meanwhile ([`poll`]), so two CPUs never wait for each other.
//!
//! A CPU needs two slots: with interrupts enabled it may be interrupted while it waits, by a handler that asks for
//! something itself; that one has interrupts disabled, and is the last.
//!
//! # Soundness
//! The request lies on the stack of the CPU that asks, which stays there until `pending` is empty; others read it only
//! while their own bit is set.

use super::{MAX_CPUS, apic, count, current_id, disable_interrupts, interrupts_enabled};
use crate::mm::{FlushRequest, answer_flush};
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// What one CPU asks of others.
#[repr(align(64))]
struct Slot {
    request: AtomicPtr<FlushRequest<'static>>,
    /// The CPUs that have not answered.
    pending: AtomicU64,
}

/// Who asks something of one CPU, a bit for each, by slot.
#[repr(align(64))]
struct Inbox([AtomicU64; 2]);

static SLOTS: [[Slot; 2]; MAX_CPUS] = [const {
    [const { Slot { request: AtomicPtr::new(core::ptr::null_mut()), pending: AtomicU64::new(0) } }; 2]
}; MAX_CPUS];
static INBOXES: [Inbox; MAX_CPUS] = [const { Inbox([const { AtomicU64::new(0) }; 2]) }; MAX_CPUS];

/// Has the CPUs of the mask `cpus` (this one left out) do what is asked; returns when they have. Preemption must be
/// disabled.
pub(crate) fn request(cpus: u64, request: &FlushRequest<'_>) {
    let me = current_id();
    let targets = cpus & super::running() & !(1 << me);
    if targets == 0 {
        return;
    }
    let level = usize::from(!interrupts_enabled());
    let slot = &SLOTS[me][level];
    slot.request.store(core::ptr::from_ref(request).cast_mut().cast(), Ordering::Relaxed);
    slot.pending.store(targets, Ordering::Release);
    for cpu in (0..count()).filter(|cpu| targets & 1 << cpu != 0) {
        // One that has mail already is on its way to look.
        if INBOXES[cpu].0[level].fetch_or(1 << me, Ordering::AcqRel) == 0 {
            apic::send(cpu, crate::trap::SHOOTDOWN_VECTOR);
        }
    }
    while slot.pending.load(Ordering::Acquire) != 0 {
        poll();
        core::hint::spin_loop();
    }
}

/// Answers the requests to this CPU, if there are any.
pub(crate) fn poll() {
    let inbox = &INBOXES[current_id()];
    if inbox.0.iter().all(|word| word.load(Ordering::Relaxed) == 0) {
        return;
    }
    // With interrupts off, so that no handler answers in the middle of this; and this is still the same CPU.
    let _here = disable_interrupts();
    let me = current_id();
    for (level, word) in INBOXES[me].0.iter().enumerate() {
        let mut senders = word.swap(0, Ordering::AcqRel);
        while senders != 0 {
            let slot = &SLOTS[senders.trailing_zeros() as usize][level];
            senders &= senders - 1;
            if slot.pending.load(Ordering::Acquire) & 1 << me != 0 {
                // SAFETY: this CPU's bit is set, so the sender waits, and keeps the request; see Soundness.
                answer_flush(unsafe { &*slot.request.load(Ordering::Relaxed) });
                slot.pending.fetch_and(!(1 << me), Ordering::Release);
            }
        }
    }
}
