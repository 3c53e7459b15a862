//! Two locks of a kind at a time. All who take two such locks do it here, in the order of their addresses, so no two of
//! them can wait for each other.

use super::{Context, SpinGuard, SpinLock};
use core::ptr::from_ref;

/// Takes two locks, the one with the lower address first; the guards come in the order of the arguments. The class of
/// the locks nests by address (see [`Nesting`](super::Nesting)).
///
/// # Panics
/// If both are the same lock.
#[track_caller]
pub fn lock_both<'a, T, C: Context>(
    first: &'a SpinLock<T, C>,
    second: &'a SpinLock<T, C>,
) -> (SpinGuard<'a, T, C>, SpinGuard<'a, T, C>) {
    assert!(!core::ptr::eq(first, second), "two locks that are one: `{}`", first.class());
    if from_ref(first) < from_ref(second) {
        let first = first.lock();
        (first, second.lock())
    } else {
        let second = second.lock();
        (first.lock(), second)
    }
}
