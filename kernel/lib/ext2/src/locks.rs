//! The locks that the user of the file system supplies.
//!
//! They are held across disk I/O, so in a kernel they are sleeping mutexes. Which lock comes first is written in
//! the crate's header; `class` and `depth` tell a run-time lock checker about it.

use core::ops::DerefMut;

/// A family of mutual-exclusion locks.
pub trait Locks: Send + Sync + 'static {
    /// The lock around a `T`.
    type Mutex<T: Send + 'static>: Lock<T>;
    /// The lock that many may hold, or one alone.
    type Shared: SharedLock;
}

/// A lock that many may hold at a time, or one who excludes all others. Nobody takes it twice.
pub trait SharedLock: Send + Sync + 'static {
    /// Held with others while it lives.
    type Share<'a>
    where
        Self: 'a;
    /// Held alone while it lives.
    type Alone<'a>
    where
        Self: 'a;

    /// A free lock.
    fn new(class: &'static str) -> Self;

    /// Waits until nobody holds it alone.
    #[track_caller]
    fn share(&self) -> Self::Share<'_>;

    /// Waits until nobody holds it.
    #[track_caller]
    fn exclude(&self) -> Self::Alone<'_>;
}

/// One lock around a `T`.
pub trait Lock<T: 'static>: Send + Sync + 'static {
    /// Gives access while it lives; dropping it releases the lock.
    type Guard<'a>: DerefMut<Target = T>
    where
        Self: 'a;

    /// A free lock; locks of one `class` have the same place in the lock order.
    fn new(class: &'static str, value: T) -> Self;

    /// Waits for the lock.
    #[track_caller]
    fn lock(&self) -> Self::Guard<'_> {
        self.lock_nested(0)
    }

    /// Waits for the lock while the caller may hold locks of the same class at lower depths.
    #[track_caller]
    fn lock_nested(&self, depth: u8) -> Self::Guard<'_>;
}
