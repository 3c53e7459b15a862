//! Maps from numbers, in their order ([`IdMap`]), and from byte strings ([`BytesMap`]) to values.
//!
//! Like `BTreeMap`, but the tree is the same code for all types of values: it holds places in a dense table, in which the
//! values lie. A kernel with dozens of such maps compiles one tree instead of dozens. Looking up, inserting and
//! removing take logarithmic time, and move a bounded number of values. Byte strings are found by their hash instead, in
//! constant time on average.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod bytes;
mod hash;
mod index;
mod table;

pub use bytes::BytesMap;
pub use hash::set_hash_key;

use core::fmt;
use core::marker::PhantomData;
use core::ops::ControlFlow;
use index::{Index, Places};
use table::Table;

/// What can be a key: a number, or what has one, in the same order.
pub trait Id: Copy {
    /// Its number.
    fn to_number(self) -> u64;
    /// What has the number `number`, which [`to_number`](Self::to_number) gave.
    fn from_number(number: u64) -> Self;
}

impl Id for u64 {
    fn to_number(self) -> u64 {
        self
    }

    fn from_number(number: u64) -> Self {
        number
    }
}

impl Id for u32 {
    fn to_number(self) -> u64 {
        u64::from(self)
    }

    fn from_number(number: u64) -> Self {
        number as u32
    }
}

impl Id for usize {
    fn to_number(self) -> u64 {
        self as u64
    }

    fn from_number(number: u64) -> Self {
        number as usize
    }
}

/// The sign bit turned over, so that the order stays.
impl Id for i32 {
    fn to_number(self) -> u64 {
        u64::from(self as u32 ^ 1 << 31)
    }

    fn from_number(number: u64) -> Self {
        (number as u32 ^ 1 << 31) as i32
    }
}

/// The first one decides, as in the order of pairs.
impl Id for (u32, u32) {
    fn to_number(self) -> u64 {
        u64::from(self.0) << 32 | u64::from(self.1)
    }

    fn from_number(number: u64) -> Self {
        ((number >> 32) as u32, number as u32)
    }
}

/// A map from numbers.
#[derive(Clone)]
pub struct IdMap<K, V> {
    /// Of each number the place in `entries`.
    index: Index,
    entries: Table<u64, V>,
    key: PhantomData<fn(K) -> K>,
}

impl<K: Id, V> IdMap<K, V> {
    /// An empty map, which has allocated nothing.
    pub const fn new() -> Self {
        Self { index: Index::new(), entries: Table::new(), key: PhantomData }
    }

    /// How many entries there are.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many values there is room for.
    pub fn capacity(&self) -> usize {
        self.entries.capacity()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether `key` has a value.
    pub fn contains_key(&self, key: K) -> bool {
        self.index.place(&key.to_number()).is_some()
    }

    /// The value of `key`.
    pub fn get(&self, key: K) -> Option<&V> {
        Some(self.entries.get(self.index.place(&key.to_number())?))
    }

    /// The value of `key`, to change it.
    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        Some(self.entries.get_mut(self.index.place(&key.to_number())?))
    }

    /// Gives `key` a value, and returns the one that it had.
    ///
    /// # Panics
    /// If there are 2³² entries.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let number = key.to_number();
        match self.index.insert_absent(number, self.entries.len()) {
            Some(place) => Some(core::mem::replace(self.entries.get_mut(place), value)),
            None => {
                self.entries.push(number, value);
                None
            }
        }
    }

    /// The value of `key`, which is `make()` if it has none yet.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let number = key.to_number();
        let place = match self.index.place(&number) {
            Some(place) => place,
            None => {
                let value = make();
                let place = self.entries.len();
                self.index.insert_absent(number, place);
                self.entries.push(number, value);
                place
            }
        };
        self.entries.get_mut(place)
    }

    /// Takes out the value of `key`.
    pub fn remove(&mut self, key: K) -> Option<V> {
        let place = self.index.remove(&key.to_number())?;
        let (value, moved) = self.entries.take(place);
        if let Some(moved) = moved {
            self.index.relocate(moved, place);
        }
        Some(value)
    }

    /// Takes out the entry with the lowest number.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        let key = K::from_number(self.index.first_from(&0)?.0);
        self.remove(key).map(|value| (key, value))
    }

    /// All entries, ascending.
    pub fn iter(&self) -> Iter<'_, K, V> {
        self.between(0, u64::MAX)
    }

    /// The entries of `key` and what comes after it, ascending.
    pub fn iter_from(&self, key: K) -> Iter<'_, K, V> {
        self.between(key.to_number(), u64::MAX)
    }

    /// The entries up to `key` and its own, ascending.
    pub fn iter_to(&self, key: K) -> Iter<'_, K, V> {
        self.between(0, key.to_number())
    }

    /// The entries whose keys are at least `first` and less than `end`, ascending.
    pub fn iter_range(&self, range: core::ops::Range<K>) -> Iter<'_, K, V> {
        match range.end.to_number().checked_sub(1) {
            Some(last) if range.start.to_number() <= last => self.between(range.start.to_number(), last),
            _ => Iter { entries: &self.entries, places: Places::default(), key: PhantomData },
        }
    }

    fn between(&self, first: u64, last: u64) -> Iter<'_, K, V> {
        Iter { entries: &self.entries, places: self.index.between(first, last), key: PhantomData }
    }

    /// Visits the entries of `key` and what comes after it, ascending, until `visit` breaks.
    pub fn visit_mut_from<B>(
        &mut self,
        key: K,
        mut visit: impl FnMut(K, &mut V) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        for (number, place) in self.index.between(key.to_number(), u64::MAX) {
            visit(K::from_number(number), self.entries.get_mut(place))?;
        }
        ControlFlow::Continue(())
    }

    /// Visits all values, ascending by their keys, to change them.
    pub fn for_each_mut(&mut self, mut visit: impl FnMut(K, &mut V)) {
        for (number, place) in self.index.between(0, u64::MAX) {
            visit(K::from_number(number), self.entries.get_mut(place));
        }
    }

    /// Keeps the entries for which `keeps` says so; it sees them in ascending order.
    pub fn retain(&mut self, mut keeps: impl FnMut(K, &mut V) -> bool) {
        let mut from = Some(0);
        while let Some((number, place)) = from.and_then(|from| self.index.first_from(&from)) {
            let key = K::from_number(number);
            if !keeps(key, self.entries.get_mut(place)) {
                self.remove(key);
            }
            from = number.checked_add(1);
        }
    }

    /// The keys, ascending.
    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.iter().map(|(key, _)| key)
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// The values, in no order.
    pub fn into_values(self) -> impl Iterator<Item = V> {
        self.entries.into_values()
    }
}

impl<K: Id, V> Default for IdMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Id + fmt::Debug, V: fmt::Debug> fmt::Debug for IdMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

/// Visits a map's entries, ascending.
pub struct Iter<'a, K, V> {
    entries: &'a Table<u64, V>,
    places: Places<'a>,
    key: PhantomData<fn() -> K>,
}

impl<'a, K: Id, V> Iterator for Iter<'a, K, V> {
    type Item = (K, &'a V);

    fn next(&mut self) -> Option<(K, &'a V)> {
        let (number, place) = self.places.next()?;
        Some((K::from_number(number), self.entries.get(place)))
    }
}

impl<K: Id, V> DoubleEndedIterator for Iter<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let (number, place) = self.places.next_back()?;
        Some((K::from_number(number), self.entries.get(place)))
    }
}

impl<'a, K: Id, V> IntoIterator for &'a IdMap<K, V> {
    type Item = (K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Iter<'a, K, V> {
        self.iter()
    }
}
