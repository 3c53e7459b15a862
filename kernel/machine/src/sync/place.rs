//! A cell for a place in the source.
//!
//! # Soundness
//! The cell holds null or a reference to a `Location` of the program, which lives for ever.

use super::Place;
use core::panic::Location;
use core::ptr::{from_ref, null_mut};
use core::sync::atomic::{AtomicPtr, Ordering};

/// Where something happened last, for reports. Reading and writing it costs a load and a store.
pub struct PlaceCell(AtomicPtr<Location<'static>>);

impl Default for PlaceCell {
    fn default() -> Self {
        Self::new()
    }
}

impl PlaceCell {
    /// Nowhere.
    pub const fn new() -> Self {
        Self(AtomicPtr::new(null_mut()))
    }

    /// Notes a place.
    #[inline(always)]
    pub fn set(&self, place: Place) {
        self.0.store(from_ref(place).cast_mut(), Ordering::Relaxed);
    }

    /// The place noted last.
    pub fn get(&self) -> Option<Place> {
        // SAFETY: null, or what `set` was given.
        unsafe { self.0.load(Ordering::Relaxed).as_ref() }
    }
}
