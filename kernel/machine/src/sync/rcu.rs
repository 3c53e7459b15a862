//! Values that are read far more often than replaced: read, copy, update.
//!
//! Readers take no lock: they say on their own CPU that they read, and get the value of the moment, which stays for as
//! long as they look at it. A writer makes a new value, puts it in the place of the old one, and waits until nobody
//! who may have seen the old one still reads; that is short, since readers are not preempted and do not sleep.
//!
//! How that is known: there is a counter of epochs. A reader notes the epoch in which it began ([`READERS`]). A writer
//! puts the new value in place and begins the next epoch; whoever reads since an earlier one may have the old value.
//! (A reader that began in the new epoch has seen the writer's counter, and so its value.) Between noting and
//! reading, and between writing and looking, stands a full fence: one of the two sees the other.
//!
//! # Soundness
//! The pointer is null or came from `Arc::into_raw`, with one count that belongs to the cell. A reader's reference lives
//! as long as its guard, which keeps the CPU's note in place; the count of an old value is given up only after
//! [`wait_for_readers`]. Guards stay on their CPU (they hold a `PreemptionGuard`).

use super::waiting::Patience;
use crate::cpu::{self, MAX_CPUS, PreemptionGuard};
use alloc::sync::Arc;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering, fence};

/// The present epoch.
static EPOCH: AtomicU64 = AtomicU64::new(1);
/// For each CPU, while it reads: the epoch in which it began, and in the low bits how many reads are nested. An
/// interrupt handler leaves it as it was, so plain loads and stores do.
static READERS: [Reader; MAX_CPUS] = [const { Reader(AtomicU64::new(0)) }; MAX_CPUS];
const DEPTH_BITS: u32 = 16;

#[repr(align(64))]
struct Reader(AtomicU64);

impl Reader {
    fn enter(&self) {
        let state = self.0.load(Ordering::Relaxed);
        let state = if state == 0 { EPOCH.load(Ordering::Acquire) << DEPTH_BITS } else { state };
        self.0.store(state + 1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    fn leave(&self) {
        let state = self.0.load(Ordering::Relaxed) - 1;
        let is_last = state.trailing_zeros() >= DEPTH_BITS;
        self.0.store(if is_last { 0 } else { state }, Ordering::Release);
    }
}

/// A shared value, or none, that can be replaced while it is read.
pub struct Rcu<T> {
    value: AtomicPtr<T>,
    owner: PhantomData<Arc<T>>,
}

impl<T: Send + Sync> Default for Rcu<T> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<T: Send + Sync> Rcu<T> {
    /// No value yet.
    pub const fn empty() -> Self {
        Self { value: AtomicPtr::new(null_mut()), owner: PhantomData }
    }

    /// The value of the moment, if there is one. The caller is not preempted while it holds it, and must not sleep.
    pub fn read(&self) -> Option<RcuGuard<'_, T>> {
        let preemption = cpu::disable_preemption();
        let reader = &READERS[cpu::current_id()];
        reader.enter();
        let guard = ReaderGuard { reader, _preemption: preemption };
        // SAFETY: null, or a value that is not given up before the note in `reader` is gone.
        let value = unsafe { self.value.load(Ordering::Acquire).as_ref() }?;
        Some(RcuGuard { value, _reader: guard })
    }

    /// Puts another value in place of the one that was, which is returned once nobody reads it any more. Writers that
    /// make the new value from the old one keep each other out themselves.
    ///
    /// # Panics
    /// If the caller is in the middle of a read, which it would wait for.
    pub fn replace(&self, new: Option<Arc<T>>) -> Option<Arc<T>> {
        let new = new.map_or(null_mut(), |new| Arc::into_raw(new).cast_mut());
        let old = self.value.swap(new, Ordering::AcqRel);
        if old.is_null() {
            return None;
        }
        wait_for_readers();
        // SAFETY: from `into_raw`, with the count that was the cell's; the last readers have gone.
        Some(unsafe { Arc::from_raw(old) })
    }
}

impl<T> Drop for Rcu<T> {
    fn drop(&mut self) {
        let value = *self.value.get_mut();
        if !value.is_null() {
            // SAFETY: from `into_raw`, with the cell's count; readers borrow the cell, so there are none.
            drop(unsafe { Arc::from_raw(value) });
        }
    }
}

/// This CPU reads nothing any more.
pub(super) fn abandon() {
    READERS[cpu::current_id()].0.store(0, Ordering::Release);
}

/// Waits until everybody who reads now has finished.
fn wait_for_readers() {
    let epoch = EPOCH.fetch_add(1, Ordering::SeqCst) + 1;
    fence(Ordering::SeqCst);
    {
        let _here = cpu::disable_preemption();
        let mine = READERS[cpu::current_id()].0.load(Ordering::Relaxed);
        assert!(mine == 0, "a value is replaced by somebody who is in the middle of reading one");
    }
    for (cpu, reader) in READERS.iter().enumerate().take(cpu::count()) {
        let mut patience = Patience::new();
        loop {
            let state = reader.0.load(Ordering::Acquire);
            if state == 0 || state >> DEPTH_BITS >= epoch {
                break;
            }
            cpu::shootdown::poll();
            if let Some(waited_ns) = patience.is_over() {
                panic!("rcu: CPU {cpu} has been reading for {} ms", waited_ns / 1_000_000);
            }
            core::hint::spin_loop();
        }
    }
}

/// What a CPU's note stands for.
struct ReaderGuard {
    reader: &'static Reader,
    _preemption: PreemptionGuard,
}

impl Drop for ReaderGuard {
    fn drop(&mut self) {
        self.reader.leave();
    }
}

/// A value that is being read; see [`Rcu::read`].
#[must_use]
pub struct RcuGuard<'a, T> {
    value: &'a T,
    _reader: ReaderGuard,
}

impl<T> Deref for RcuGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.value
    }
}
