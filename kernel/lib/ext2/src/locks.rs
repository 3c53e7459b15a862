//! The locks that the user of the file system supplies.
//!
//! They are held across disk I/O, so in a kernel they are sleeping mutexes. Which lock comes first is written in
//! the crate's header; `class` and `depth` tell a run-time lock checker about it.

use core::ops::DerefMut;

/// A family of mutual-exclusion locks.
pub trait Locks: Send + Sync + 'static {
    /// The lock around a `T`.
    type Mutex<T: Send + 'static>: Lock<T>;
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
