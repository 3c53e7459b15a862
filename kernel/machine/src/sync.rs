//! Spin locks whose type says what they disable while held.
//!
//! [`SpinLock<T>`] keeps the task on its CPU; [`IrqSpinLock<T>`] keeps interrupts away too, for data
//! that handlers touch. Each has a class name and remembers the CPU that holds it: taking one twice on
//! a CPU is reported at once instead of hanging, and one that stays taken for too long is reported by
//! the CPU that waits, with the holder.
//!
//! # Soundness
//! The value is reached only through a guard, of which there is one at a time: `holder` changes from
//! [`FREE`] by an atomic compare-and-exchange (Acquire) and back by the guard's drop (Release).

use crate::cpu;
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU32, Ordering};

pub use spin::{LazyLock as Lazy, Once};

const FREE: u32 = u32::MAX;
/// Rounds of waiting after which the holder is taken for stuck.
const TOO_LONG: u64 = 1 << 32;

/// What a spin lock keeps from happening on this CPU while it is held.
pub trait Context {
    /// Undoes it when dropped.
    type Guard;
    /// Begins it.
    fn enter() -> Self::Guard;
}

/// Preemption only: for data that interrupt handlers never touch.
pub struct Preemption;
/// Interrupts (and with them preemption): for data shared with interrupt handlers.
pub struct Interrupts;

impl Context for Preemption {
    type Guard = cpu::PreemptionGuard;
    fn enter() -> Self::Guard {
        cpu::disable_preemption()
    }
}

impl Context for Interrupts {
    type Guard = (cpu::PreemptionGuard, cpu::InterruptGuard);
    fn enter() -> Self::Guard {
        // Interrupts off first, on last: the tuple's fields are dropped in order.
        let interrupts = cpu::disable_interrupts();
        (cpu::disable_preemption(), interrupts)
    }
}

/// A lock that spins. `class` names it in lock reports.
pub struct SpinLock<T: ?Sized, C: Context = Preemption> {
    class: &'static str,
    holder: AtomicU32,
    context: PhantomData<fn() -> C>,
    value: UnsafeCell<T>,
}

/// A spin lock that interrupt handlers may take too.
pub type IrqSpinLock<T> = SpinLock<T, Interrupts>;

// SAFETY: the lock hands the value to one CPU at a time.
unsafe impl<T: ?Sized + Send, C: Context> Sync for SpinLock<T, C> {}
// SAFETY: moving the lock moves the value.
unsafe impl<T: ?Sized + Send, C: Context> Send for SpinLock<T, C> {}

impl<T, C: Context> SpinLock<T, C> {
    /// A free lock of the class `class`.
    pub const fn new(class: &'static str, value: T) -> Self {
        Self { class, holder: AtomicU32::new(FREE), context: PhantomData, value: UnsafeCell::new(value) }
    }

    /// The value of a lock that nobody else can reach.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized, C: Context> SpinLock<T, C> {
    /// Takes it, spinning.
    pub fn lock(&self) -> SpinGuard<'_, T, C> {
        let context = C::enter();
        let me = cpu::current_id() as u32;
        if self.holder.compare_exchange(FREE, me, Ordering::Acquire, Ordering::Relaxed).is_err() {
            self.wait(me);
        }
        SpinGuard { lock: self, _context: context }
    }

    /// Takes it if it is free.
    pub fn try_lock(&self) -> Option<SpinGuard<'_, T, C>> {
        let context = C::enter();
        let me = cpu::current_id() as u32;
        self.holder.compare_exchange(FREE, me, Ordering::Acquire, Ordering::Relaxed).ok()?;
        Some(SpinGuard { lock: self, _context: context })
    }

    /// The value; exclusive access needs no lock.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// Whether somebody holds it just now.
    pub fn is_locked(&self) -> bool {
        self.holder.load(Ordering::Relaxed) != FREE
    }

    #[cold]
    fn wait(&self, me: u32) {
        let mut rounds = 0u64;
        loop {
            let holder = self.holder.load(Ordering::Relaxed);
            if holder == FREE {
                if self.holder.compare_exchange_weak(FREE, me, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                    return;
                }
                continue;
            }
            assert!(holder != me, "spin lock '{}' taken twice on CPU {me}", self.class);
            assert!(
                !crate::panic::is_mine(),
                "spin lock '{}' is held by CPU {holder}, which a panic has stopped",
                self.class
            );
            cpu::shootdown::poll();
            rounds += 1;
            assert!(rounds < TOO_LONG, "spin lock '{}' held too long by CPU {holder}", self.class);
            core::hint::spin_loop();
        }
    }
}

/// A held lock; gives it back when dropped.
#[must_use]
pub struct SpinGuard<'a, T: ?Sized, C: Context> {
    lock: &'a SpinLock<T, C>,
    _context: C::Guard,
}

impl<T: ?Sized, C: Context> Deref for SpinGuard<'_, T, C> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the guard shows that this CPU holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized, C: Context> DerefMut for SpinGuard<'_, T, C> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized, C: Context> Drop for SpinGuard<'_, T, C> {
    fn drop(&mut self) {
        // Runs before the fields are dropped, so the lock is free before preemption or interrupts return.
        self.lock.holder.store(FREE, Ordering::Release);
    }
}
