//! The locks of a file system, made of those that its user supplies.
//!
//! They are held across disk I/O, so in a kernel they are sleeping mutexes. Which lock comes first is written in
//! the crate's header; `class` and `depth` tell a run-time lock checker about it.

use alloc::boxed::Box;
use core::ops::{Deref, DerefMut};
use core::panic::Location;

/// Where a lock is taken, for reports.
pub type Place = &'static Location<'static>;

/// Makes locks. Locks of one `class` have the same place in the lock order.
pub trait Locks: Send + Sync + 'static {
    /// A free lock for one.
    fn exclusive(&self, class: &'static str) -> Box<dyn ExclusiveLock>;

    /// A free lock for many or one.
    fn shared(&self, class: &'static str) -> Box<dyn SharedLock>;
}

/// A lock that one may hold at a time.
pub trait ExclusiveLock: Send + Sync {
    /// Waits for the lock while the caller may hold locks of the same class at lower depths.
    fn lock(&self, depth: u8, place: Place);

    /// Gives it back. The caller holds it.
    fn unlock(&self);
}

/// A lock that many may hold at a time, or one who excludes all others. Nobody takes it twice.
pub trait SharedLock: Send + Sync {
    /// Waits until nobody holds it alone.
    fn share(&self, place: Place);

    /// Ends [`share`](Self::share).
    fn end_sharing(&self);

    /// Waits until nobody holds it.
    fn exclude(&self, place: Place);

    /// Ends [`exclude`](Self::exclude).
    fn end_excluding(&self);
}

/// A lock around a `T`.
pub(crate) struct Mutex<T> {
    lock: Box<dyn ExclusiveLock>,
    /// Only ever tried, by who has the lock.
    value: spin::Mutex<T>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(locks: &dyn Locks, class: &'static str, value: T) -> Self {
        Self { lock: locks.exclusive(class), value: spin::Mutex::new(value) }
    }

    #[track_caller]
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        self.lock_nested(0)
    }

    /// Takes it while others of its class are held, at lower depths.
    #[track_caller]
    pub(crate) fn lock_nested(&self, depth: u8) -> Guard<'_, T> {
        self.lock.lock(depth, Location::caller());
        let value = self.value.try_lock().expect("who has the lock is the only one to try");
        Guard { value: Some(value), lock: &*self.lock }
    }
}

/// A held [`Mutex`].
#[must_use]
pub(crate) struct Guard<'a, T> {
    /// `None` while it is given back.
    value: Option<spin::MutexGuard<'a, T>>,
    lock: &'a dyn ExclusiveLock,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("there until it is given back")
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("there until it is given back")
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        self.value = None;
        self.lock.unlock();
    }
}

/// A lock for many or one, around nothing.
pub(crate) struct Shared(Box<dyn SharedLock>);

impl Shared {
    pub(crate) fn new(locks: &dyn Locks, class: &'static str) -> Self {
        Self(locks.shared(class))
    }

    /// Held with others while the result lives.
    #[track_caller]
    pub(crate) fn share(&self) -> Share<'_> {
        self.0.share(Location::caller());
        Share(&*self.0)
    }

    /// Held alone while the result lives.
    #[track_caller]
    pub(crate) fn exclude(&self) -> Alone<'_> {
        self.0.exclude(Location::caller());
        Alone(&*self.0)
    }
}

#[must_use]
pub(crate) struct Share<'a>(&'a dyn SharedLock);

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.0.end_sharing();
    }
}

#[must_use]
pub(crate) struct Alone<'a>(&'a dyn SharedLock);

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.end_excluding();
    }
}
