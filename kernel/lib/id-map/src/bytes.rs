//! The map from byte strings.

use crate::hash::HashIndex;
use crate::table::Table;
use alloc::sync::Arc;
use core::fmt;

/// A map from byte strings, in no order.
#[derive(Clone)]
pub struct BytesMap<V> {
    /// Of each key the place in `entries`.
    index: HashIndex,
    entries: Table<(), V>,
}

impl<V> BytesMap<V> {
    /// An empty map, which has allocated nothing.
    pub const fn new() -> Self {
        Self { index: HashIndex::new(), entries: Table::new() }
    }

    /// How many entries there are.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether `key` has a value.
    pub fn contains_key(&self, key: &[u8]) -> bool {
        self.index.place_of(key).is_some()
    }

    /// The value of `key`.
    pub fn get(&self, key: &[u8]) -> Option<&V> {
        Some(self.entries.get(self.index.place_of(key)?))
    }

    /// The value of `key`, to change it.
    pub fn get_mut(&mut self, key: &[u8]) -> Option<&mut V> {
        Some(self.entries.get_mut(self.index.place_of(key)?))
    }

    /// Gives `key` a value, and returns the one that it had.
    ///
    /// # Panics
    /// If there are 2³² entries.
    pub fn insert(&mut self, key: Arc<[u8]>, value: V) -> Option<V> {
        if let Some(old) = self.get_mut(&key) {
            return Some(core::mem::replace(old, value));
        }
        self.index.push(key);
        self.entries.push((), value);
        None
    }

    /// Takes out the value of `key`.
    pub fn remove(&mut self, key: &[u8]) -> Option<V> {
        let place = self.index.place_of(key)?;
        Some(self.take(place))
    }

    /// Takes out the entry at a place. The last one takes its place.
    fn take(&mut self, place: usize) -> V {
        self.index.take(place);
        self.entries.take(place).0
    }

    /// Keeps the entries for which `keeps` says so.
    pub fn retain(&mut self, mut keeps: impl FnMut(&[u8], &mut V) -> bool) {
        // From the end: what takes the place of another has been looked at.
        for place in (0..self.len()).rev() {
            if !keeps(self.index.key(place), self.entries.get_mut(place)) {
                self.take(place);
            }
        }
    }

    /// All entries.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &V)> {
        (0..self.len()).map(|place| (&**self.index.key(place), self.entries.get(place)))
    }

    /// All values.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        (0..self.len()).map(|place| self.entries.get(place))
    }
}

impl<V> Default for BytesMap<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: fmt::Debug> fmt::Debug for BytesMap<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
