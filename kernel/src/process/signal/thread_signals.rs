//! The signal state of one thread: mask, pending signals, alternate stack.

use super::pending::{Pending, QueueFull};
use crate::sched::Thread;
use abi::signal::{SS_DISABLE, SigInfo, SigSet, Signal, StackT};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};
use machine::sync::IrqSpinLock;

/// See the module. Its lock comes after the thread group's.
pub(crate) struct ThreadSignals {
    inner: IrqSpinLock<Inner>,
    /// There may be something to deliver. Set by senders, recomputed by the thread itself.
    interrupted: AtomicBool,
    /// Whether `saved` of `inner` may be set. Only the thread itself sets it and takes it back.
    may_have_temporary_mask: AtomicBool,
}

struct Inner {
    blocked: SigSet,
    /// The mask to go back to, while a call such as sigsuspend has replaced it.
    saved: Option<SigSet>,
    pending: Pending,
    stack: StackT,
    /// What a call waits for although it is blocked (sigtimedwait).
    awaited: SigSet,
}

/// "No alternate stack".
pub(crate) const NO_STACK: StackT = StackT { sp: 0, flags: SS_DISABLE, _pad: 0, size: 0 };

impl ThreadSignals {
    /// Nothing pending; `blocked` and `stack` are inherited.
    pub(in crate::process) fn new(blocked: SigSet, stack: StackT) -> ThreadSignals {
        let inner =
            Inner { blocked, saved: None, pending: Pending::default(), stack, awaited: SigSet::EMPTY };
        ThreadSignals {
            inner: IrqSpinLock::new("thread signals", inner),
            interrupted: AtomicBool::new(false),
            may_have_temporary_mask: AtomicBool::new(false),
        }
    }

    /// The blocked signals.
    pub(crate) fn blocked(&self) -> SigSet {
        self.inner.lock().blocked
    }

    /// Signals pending for this thread alone.
    pub(crate) fn pending(&self) -> SigSet {
        self.inner.lock().pending.set()
    }

    /// The alternate stack.
    pub(crate) fn stack(&self) -> StackT {
        self.inner.lock().stack
    }

    /// Replaces the alternate stack.
    pub(crate) fn set_stack(&self, stack: StackT) {
        self.inner.lock().stack = stack;
    }

    /// Whether there may be something to deliver.
    pub(in crate::process) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }

    pub(in crate::process) fn set_interrupted(&self, interrupted: bool) {
        self.interrupted.store(interrupted, Ordering::Release);
    }

    /// Replaces the mask; the caller recomputes what is pending ([`super::recompute`]).
    pub(super) fn set_blocked(&self, blocked: SigSet) -> SigSet {
        let blocked = blocked.difference(SigSet::UNBLOCKABLE);
        core::mem::replace(&mut self.inner.lock().blocked, blocked)
    }

    /// Replaces the mask for one system call.
    pub(super) fn set_temporary_mask(&self, blocked: SigSet) {
        let mut inner = self.inner.lock();
        let old = core::mem::replace(&mut inner.blocked, blocked.difference(SigSet::UNBLOCKABLE));
        inner.saved.get_or_insert(old);
        self.may_have_temporary_mask.store(true, Ordering::Relaxed);
    }

    /// Takes the mask that a handler's return is to restore: the one before a temporary one.
    pub(super) fn mask_to_restore(&self) -> SigSet {
        let mut inner = self.inner.lock();
        inner.saved.take().unwrap_or(inner.blocked)
    }

    /// Ends a temporary mask, if there is one. Called by the thread itself, after every system call.
    #[inline]
    pub(in crate::process) fn end_temporary_mask(&self, thread: &Arc<Thread>) {
        if self.may_have_temporary_mask.load(Ordering::Relaxed) {
            self.may_have_temporary_mask.store(false, Ordering::Relaxed);
            self.restore_mask(thread);
        }
    }

    #[cold]
    fn restore_mask(&self, thread: &Arc<Thread>) {
        let ended = {
            let mut inner = self.inner.lock();
            inner.saved.take().map(|saved| inner.blocked = saved)
        };
        if ended.is_some() {
            super::recompute(thread);
        }
    }

    /// Declares which signals a call waits for, so that they reach this thread although they are blocked.
    pub(super) fn set_awaited(&self, awaited: SigSet) {
        self.inner.lock().awaited = awaited;
    }

    /// Whether a signal would do something here now.
    pub(super) fn wants(&self, signal: Signal) -> bool {
        let inner = self.inner.lock();
        !inner.blocked.contains(signal) || inner.awaited.contains(signal)
    }

    /// The signals that would do something here now.
    pub(super) fn wanted(&self) -> SigSet {
        let inner = self.inner.lock();
        SigSet::FULL.difference(inner.blocked).union(inner.awaited)
    }

    pub(super) fn is_blocked(&self, signal: Signal) -> bool {
        self.inner.lock().blocked.contains(signal)
    }

    pub(super) fn add(&self, signal: Signal, info: SigInfo, limit: usize) -> Result<(), QueueFull> {
        self.inner.lock().pending.add(signal, info, limit)
    }

    pub(super) fn take(&self, wanted: SigSet) -> Option<(Signal, SigInfo)> {
        self.inner.lock().pending.take(wanted)
    }

    pub(super) fn discard(&self, signals: SigSet) {
        self.inner.lock().pending.discard(signals);
    }
}
