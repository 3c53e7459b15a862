//! The sleeping mutex.

use crate::sched::{
    self,
    wait::{Holder, WaitQueue},
};
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::panic::Location;
use core::sync::atomic::{AtomicU64, Ordering};
use machine::sync::{Kind, Place, PlaceCell, Taking, Watch, assert_may_sleep};
use spin::mutex::{SpinMutex, SpinMutexGuard};

/// A lock whose waiters sleep. It knows who holds it and where it was taken.
pub(crate) struct Mutex<T: ?Sized> {
    watch: Watch,
    holder: AtomicU64,
    /// Where it was taken last.
    place: PlaceCell,
    waiters: WaitQueue,
    /// Only ever tried, never spun on: it is the cell that the lock is made of.
    cell: SpinMutex<T>,
}

impl<T> Mutex<T> {
    /// A free lock; `class` names it in reports.
    pub(crate) const fn new(class: &'static str, value: T) -> Self {
        Self {
            watch: Watch::new(class),
            holder: AtomicU64::new(super::NOBODY),
            place: PlaceCell::new(),
            waiters: WaitQueue::named(class),
            cell: SpinMutex::new(value),
        }
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Takes it; sleeps while somebody else has it.
    ///
    /// # Panics
    /// If the caller holds it already.
    #[track_caller]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.lock_nested(0)
    }

    /// Takes it; the caller may hold others of its class, taken with a smaller depth.
    #[track_caller]
    pub(crate) fn lock_nested(&self, depth: u8) -> MutexGuard<'_, T> {
        let taking = Taking { kind: Kind::Sleeping, depth, place: Location::caller() };
        assert_may_sleep(self.watch.name());
        self.watch.will_lock(taking);
        let cell = self.cell.try_lock().unwrap_or_else(|| self.wait(taking.place));
        self.watch.locked(taking);
        self.taken(cell, taking.place)
    }

    /// Takes it if it is free.
    #[track_caller]
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let taking = Taking { kind: Kind::Sleeping, depth: 0, place: Location::caller() };
        let cell = self.cell.try_lock()?;
        self.watch.locked_at_once(taking);
        Some(self.taken(cell, taking.place))
    }

    /// [`Thread::id`](sched::Thread::id) of the holder, 0 if there is none.
    pub(crate) fn holder(&self) -> u64 {
        self.holder.load(Ordering::Relaxed)
    }

    fn taken<'a>(&'a self, cell: SpinMutexGuard<'a, T>, place: Place) -> MutexGuard<'a, T> {
        self.holder.store(sched::current_id(), Ordering::Relaxed);
        self.place.set(place);
        MutexGuard { mutex: self, cell: Some(cell), this_thread: PhantomData }
    }

    #[cold]
    fn wait(&self, place: Place) -> SpinMutexGuard<'_, T> {
        self.watch.contended();
        let holder = Holder { thread: self.holder(), since: self.place.get() };
        super::refuse_twice(self.watch.name(), holder, place);
        self.waiters.wait_for_holder(holder, || self.cell.try_lock())
    }
}

/// A held [`Mutex`]. Only the thread that took it can give it back.
#[must_use]
pub(crate) struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    cell: Option<SpinMutexGuard<'a, T>>,
    this_thread: PhantomData<*mut ()>,
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// The lock that it holds.
    pub(super) fn mutex(&self) -> &'a Mutex<T> {
        self.mutex
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.cell.as_ref().expect("held until dropped")
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.cell.as_mut().expect("held until dropped")
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.mutex.watch.unlocked(Kind::Sleeping);
        self.mutex.holder.store(super::NOBODY, Ordering::Relaxed);
        self.cell = None;
        self.mutex.waiters.wake_one();
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cell.try_lock() {
            Some(value) => f.debug_tuple("Mutex").field(&*value).finish(),
            None => write!(f, "Mutex(held by thread {})", self.holder()),
        }
    }
}
