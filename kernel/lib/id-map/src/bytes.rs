//! The map from byte strings.

use crate::index::Index;
use crate::table::Table;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

/// A map from byte strings, in their order.
#[derive(Clone)]
pub struct BytesMap<V> {
    /// Of each key the place in `entries`.
    index: Index<Arc<[u8]>>,
    entries: Table<Arc<[u8]>, V>,
}

impl<V> BytesMap<V> {
    /// An empty map, which has allocated nothing.
    pub const fn new() -> Self {
        Self { index: Index::new(), entries: Table::new() }
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
        self.index.set(key.clone(), self.entries.len());
        self.entries.push(key, value);
        None
    }

    /// Takes out the value of `key`.
    pub fn remove(&mut self, key: &[u8]) -> Option<V> {
        let place = self.index.remove_key(key)?;
        let (value, moved) = self.entries.take(place);
        if let Some(moved) = moved {
            self.index.set(moved, place);
        }
        Some(value)
    }

    /// Keeps the entries for which `keeps` says so.
    pub fn retain(&mut self, mut keeps: impl FnMut(&[u8], &mut V) -> bool) {
        let keys: Vec<Arc<[u8]>> = self.index.copied_keys();
        for key in keys {
            if self.get_mut(&key).is_some_and(|value| !keeps(&key, value)) {
                self.remove(&key);
            }
        }
    }

    /// All entries, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &V)> {
        self.index.keys().map(|(key, place)| (key, self.entries.get(place)))
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
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
