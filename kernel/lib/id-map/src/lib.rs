//! A map from numbers to values, in the order of the numbers.
//!
//! Like `BTreeMap`, but the tree is the same code for all types of values: it holds places in a dense table, in which the
//! values lie. A kernel with dozens of such maps compiles one tree instead of dozens. Looking up, inserting and
//! removing take logarithmic time; visiting all takes logarithmic time for each.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod index;

use alloc::vec::Vec;
use core::marker::PhantomData;
use index::Index;

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

/// The map.
#[derive(Clone, Debug)]
pub struct IdMap<K, V> {
    /// Of each number the place in `entries`.
    index: Index,
    /// In no order, without gaps.
    entries: Vec<(u64, V)>,
    key: PhantomData<fn(K) -> K>,
}

impl<K: Id, V> IdMap<K, V> {
    /// An empty map, which has allocated nothing.
    pub const fn new() -> Self {
        Self { index: Index::new(), entries: Vec::new(), key: PhantomData }
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
        self.index.place(key.to_number()).is_some()
    }

    /// The value of `key`.
    pub fn get(&self, key: K) -> Option<&V> {
        let place = self.index.place(key.to_number())?;
        Some(&self.entries[place].1)
    }

    /// The value of `key`, to change it.
    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let place = self.index.place(key.to_number())?;
        Some(&mut self.entries[place].1)
    }

    /// Gives `key` a value, and the one that it had.
    ///
    /// # Panics
    /// If there are 2³² entries.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let number = key.to_number();
        if let Some(place) = self.index.place(number) {
            return Some(core::mem::replace(&mut self.entries[place].1, value));
        }
        self.index.insert(number, self.entries.len());
        self.entries.push((number, value));
        None
    }

    /// The value of `key`, which is `make()` if it has none yet.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let place = match self.index.place(key.to_number()) {
            Some(place) => place,
            None => {
                self.insert(key, make());
                self.entries.len() - 1
            }
        };
        &mut self.entries[place].1
    }

    /// Takes out the value of `key`.
    pub fn remove(&mut self, key: K) -> Option<V> {
        let place = self.index.remove(key.to_number())?;
        let (_, value) = self.entries.swap_remove(place);
        if let Some((moved, _)) = self.entries.get(place) {
            self.index.insert(*moved, place);
        }
        if self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(self.entries.len() * 2);
        }
        Some(value)
    }

    /// Takes out the entry with the lowest number.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        let key = K::from_number(self.index.first_from(0)?.0);
        self.remove(key).map(|value| (key, value))
    }

    /// All entries, ascending.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter { map: self, from: Some(0) }
    }

    /// The entries of `key` and what comes after it, ascending.
    pub fn iter_from(&self, key: K) -> Iter<'_, K, V> {
        Iter { map: self, from: Some(key.to_number()) }
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
        self.entries.into_iter().map(|(_, value)| value)
    }
}

impl<K: Id, V> Default for IdMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

/// Visits a map's entries, ascending.
#[derive(Debug)]
pub struct Iter<'a, K, V> {
    map: &'a IdMap<K, V>,
    /// The lowest number that was not visited; `None` after the highest of all numbers.
    from: Option<u64>,
}

impl<'a, K: Id, V> Iterator for Iter<'a, K, V> {
    type Item = (K, &'a V);

    fn next(&mut self) -> Option<(K, &'a V)> {
        let (number, place) = self.map.index.first_from(self.from?)?;
        self.from = number.checked_add(1);
        Some((K::from_number(number), &self.map.entries[place].1))
    }
}
