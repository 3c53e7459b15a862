//! The sleeping mutex.

use crate::sched::{
    self,
    wait::{Holder, WaitQueue},
};
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::panic::Location;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use machine::sync::{Kind, Place, PlaceCell, Taking, Watch, assert_may_sleep};
use spin::mutex::{SpinMutex, SpinMutexGuard};

/// A lock around nothing whose waiters sleep. It knows who holds it and where it was taken.
///
/// It is what a [`Mutex`] is made of, without its type; for those who cannot have a guard.
pub(crate) struct RawMutex {
    watch: Watch,
    /// The id of the thread that has it.
    holder: AtomicU64,
    is_held: AtomicBool,
    /// Where it was taken last.
    place: PlaceCell,
    waiters: WaitQueue,
}

impl RawMutex {
    /// A free lock; `class` names it in reports.
    pub(crate) const fn new(class: &'static str) -> Self {
        Self {
            watch: Watch::new(class),
            holder: AtomicU64::new(super::NOBODY),
            is_held: AtomicBool::new(false),
            place: PlaceCell::new(),
            waiters: WaitQueue::named(class),
        }
    }

    /// Takes it, in the name of the code at `place`; sleeps while somebody else has it. The caller may hold others of
    /// its class, taken with a smaller depth.
    ///
    /// # Panics
    /// If the caller holds it already.
    pub(crate) fn lock(&self, depth: u8, place: Place) {
        let taking = Taking { kind: Kind::Sleeping, depth, place };
        assert_may_sleep(self.watch.name());
        self.watch.will_lock(taking);
        if !self.take() {
            self.wait(place);
        }
        self.watch.locked(taking);
        self.taken(place);
    }

    /// Takes it if it is free; tells whether it was.
    pub(crate) fn try_lock(&self, place: Place) -> bool {
        let is_taken = self.take();
        if is_taken {
            self.watch.locked_at_once(Taking { kind: Kind::Sleeping, depth: 0, place });
            self.taken(place);
        }
        is_taken
    }

    /// Gives it back. Only the thread that took it does that.
    pub(crate) fn unlock(&self) {
        self.watch.unlocked(Kind::Sleeping);
        self.holder.store(super::NOBODY, Ordering::Relaxed);
        self.is_held.store(false, Ordering::Release);
        self.waiters.wake_one();
    }

    /// [`Thread::id`](sched::Thread::id) of the holder, 0 if there is none.
    pub(crate) fn holder(&self) -> u64 {
        self.holder.load(Ordering::Relaxed)
    }

    #[inline]
    fn take(&self) -> bool {
        self.is_held.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[inline]
    fn taken(&self, place: Place) {
        self.holder.store(sched::current_id(), Ordering::Relaxed);
        self.place.set(place);
    }

    #[cold]
    fn wait(&self, place: Place) {
        self.watch.contended();
        let holder = Holder { thread: self.holder(), since: self.place.get() };
        super::refuse_twice(self.watch.name(), holder, place);
        self.waiters.wait_for_holder(holder, || self.take().then_some(()));
    }
}

/// A lock around a `T` whose waiters sleep. It knows who holds it and where it was taken.
pub(crate) struct Mutex<T: ?Sized> {
    raw: RawMutex,
    /// Only ever tried, by who has the lock: it never refuses them.
    cell: SpinMutex<T>,
}

impl<T> Mutex<T> {
    /// A free lock; `class` names it in reports.
    pub(crate) const fn new(class: &'static str, value: T) -> Self {
        Self { raw: RawMutex::new(class), cell: SpinMutex::new(value) }
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
        self.raw.lock(depth, Location::caller());
        self.guard()
    }

    /// Takes it if it is free.
    #[track_caller]
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.raw.try_lock(Location::caller()).then(|| self.guard())
    }

    /// [`Thread::id`](sched::Thread::id) of the holder, 0 if there is none.
    pub(crate) fn holder(&self) -> u64 {
        self.raw.holder()
    }

    /// For who has just taken it.
    #[inline]
    fn guard(&self) -> MutexGuard<'_, T> {
        let cell = self.cell.try_lock().expect("who has the lock is the only one to try");
        MutexGuard { mutex: self, cell: Some(cell), this_thread: PhantomData }
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
    #[inline]
    fn deref(&self) -> &T {
        self.cell.as_ref().expect("held until dropped")
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.cell.as_mut().expect("held until dropped")
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.cell = None;
        self.mutex.raw.unlock();
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(value) => f.debug_tuple("Mutex").field(&*value).finish(),
            None => write!(f, "Mutex(held by thread {})", self.holder()),
        }
    }
}
