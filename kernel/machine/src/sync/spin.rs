//! Spin locks whose type says what they disable while held.
//!
//! [`SpinLock<T>`] keeps the task on its CPU; [`IrqSpinLock<T>`] keeps interrupts away too, for data
//! that handlers touch. Each has a class name and remembers the CPU that holds it and where it was taken: taking one
//! twice on a CPU is reported at once instead of hanging, and one that stays taken for too long is reported by
//! the CPU that waits, with the holder. In debug builds every taking is checked (see the module above).
//!
//! # Soundness
//! The value is reached only through a guard, of which there is one at a time: `holder` changes from
//! [`FREE`] by an atomic compare-and-exchange (Acquire) and back by the guard's drop (Release).

use super::waiting::{Note, Patience};
use super::{Kind, Place, PlaceCell, Taking, Watch};
use crate::cpu;
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::panic::Location;
use core::sync::atomic::{AtomicU32, Ordering};

const FREE: u32 = u32::MAX;

/// What a spin lock keeps from happening on this CPU while it is held.
pub trait Context {
    /// What it is for the checks of debug builds.
    const KIND: Kind;
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
    const KIND: Kind = Kind::Spin;
    type Guard = cpu::PreemptionGuard;
    #[inline]
    fn enter() -> Self::Guard {
        cpu::disable_preemption()
    }
}

impl Context for Interrupts {
    const KIND: Kind = Kind::IrqSpin;
    type Guard = (cpu::PreemptionGuard, cpu::InterruptGuard);
    #[inline]
    fn enter() -> Self::Guard {
        // Interrupts off first, on last: the tuple's fields are dropped in order.
        let interrupts = cpu::disable_interrupts();
        (cpu::disable_preemption(), interrupts)
    }
}

/// A lock that spins. `class` names it in lock reports.
pub struct SpinLock<T: ?Sized, C: Context = Preemption> {
    state: State,
    context: PhantomData<fn() -> C>,
    value: UnsafeCell<T>,
}

/// All of a lock but its value: what depends on no type, and is compiled once.
struct State {
    watch: Watch,
    holder: AtomicU32,
    /// Where it was taken last.
    place: PlaceCell,
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
        let state = State { watch: Watch::new(class), holder: AtomicU32::new(FREE), place: PlaceCell::new() };
        Self { state, context: PhantomData, value: UnsafeCell::new(value) }
    }

    /// The value of a lock that nobody else can reach.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized, C: Context> SpinLock<T, C> {
    /// Takes it, spinning.
    ///
    /// # Panics
    /// If this CPU holds it already, or another one holds it for too long.
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> SpinGuard<'_, T, C> {
        let place = Location::caller();
        let context = C::enter();
        self.state.lock(Taking { kind: C::KIND, depth: 0, place });
        SpinGuard { lock: self, _context: context }
    }

    /// Takes it if it is free.
    #[inline]
    #[track_caller]
    pub fn try_lock(&self) -> Option<SpinGuard<'_, T, C>> {
        let place = Location::caller();
        let context = C::enter();
        let is_taken = self.state.try_lock(Taking { kind: C::KIND, depth: 0, place });
        is_taken.then(|| SpinGuard { lock: self, _context: context })
    }

    /// The name of its class.
    pub fn class(&self) -> &'static str {
        self.state.watch.name()
    }

    /// The value; exclusive access needs no lock.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// Whether somebody holds it just now.
    pub fn is_locked(&self) -> bool {
        self.state.holder.load(Ordering::Relaxed) != FREE
    }
}

impl State {
    #[inline]
    fn lock(&self, taking: Taking) {
        self.watch.will_lock(taking);
        let me = cpu::current_id() as u32;
        if self.holder.compare_exchange(FREE, me, Ordering::Acquire, Ordering::Relaxed).is_err() {
            self.wait(me, taking.place);
        }
        self.place.set(taking.place);
        self.watch.locked(taking);
    }

    #[inline]
    fn try_lock(&self, taking: Taking) -> bool {
        let me = cpu::current_id() as u32;
        let is_taken = self.holder.compare_exchange(FREE, me, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if is_taken {
            self.place.set(taking.place);
            self.watch.locked_at_once(taking);
        }
        is_taken
    }

    #[inline]
    fn unlock(&self, kind: Kind) {
        self.watch.unlocked(kind);
        self.holder.store(FREE, Ordering::Release);
    }

    #[cold]
    fn wait(&self, me: u32, place: Place) {
        self.watch.contended();
        let class = self.watch.name();
        let holder = self.holder.load(Ordering::Relaxed);
        let _note = Note::new(class, place, holder, self.place.get());
        let mut patience = Patience::new();
        loop {
            let holder = self.holder.load(Ordering::Relaxed);
            if holder == FREE {
                if self.holder.compare_exchange_weak(FREE, me, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                    return;
                }
                continue;
            }
            assert!(
                holder != me,
                "spin lock `{class}` taken twice on CPU {me}: at {place}, held since {}",
                Since(self.place.get())
            );
            assert!(
                !crate::panic::is_mine(),
                "spin lock `{class}` is held by CPU {holder}, which a panic has stopped: since {}",
                Since(self.place.get())
            );
            cpu::shootdown::poll();
            if let Some(waited_ns) = patience.is_over() {
                panic!(
                    "spin lock `{class}` wanted at {place} is held too long ({} ms): by CPU {holder} since {}",
                    waited_ns / 1_000_000,
                    Since(self.place.get())
                );
            }
            core::hint::spin_loop();
        }
    }
}

/// A place, if it is known.
struct Since(Option<Place>);

impl core::fmt::Display for Since {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Some(place) => place.fmt(f),
            None => f.write_str("?"),
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
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard shows that this CPU holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized, C: Context> DerefMut for SpinGuard<'_, T, C> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized, C: Context> Drop for SpinGuard<'_, T, C> {
    #[inline]
    fn drop(&mut self) {
        // Runs before the fields are dropped, so the lock is free before preemption or interrupts return.
        self.lock.state.unlock(C::KIND);
    }
}
