//! The part that knows no type of values: numbers, and where their values lie.
//!
//! None of its functions is generic, so they are compiled here, once.

use alloc::collections::{BTreeMap, btree_map};

/// Of each number a place.
#[derive(Clone)]
pub(crate) struct Index(BTreeMap<u64, u32>);

/// A place as it is kept.
fn kept(place: usize) -> u32 {
    u32::try_from(place).expect("fewer than 2^32 entries fit into memory")
}

impl Index {
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(crate) fn place(&self, number: &u64) -> Option<usize> {
        self.0.get(number).map(|&place| place as usize)
    }

    /// Gives a number a place, unless it has one: that is returned.
    pub(crate) fn insert_absent(&mut self, number: u64, place: usize) -> Option<usize> {
        match self.0.entry(number) {
            btree_map::Entry::Occupied(entry) => Some(*entry.get() as usize),
            btree_map::Entry::Vacant(entry) => {
                entry.insert(kept(place));
                None
            }
        }
    }

    /// Gives a number, which has one, another place.
    pub(crate) fn relocate(&mut self, number: u64, place: usize) {
        self.0.insert(number, kept(place));
    }

    pub(crate) fn remove(&mut self, number: &u64) -> Option<usize> {
        self.0.remove(number).map(|place| place as usize)
    }

    /// The first number from `number` on, and its place.
    pub(crate) fn first_from(&self, number: &u64) -> Option<(u64, usize)> {
        let (&number, &place) = self.0.range(number..).next()?;
        Some((number, place as usize))
    }

    /// The numbers from `first` to `last`, both included, and their places.
    pub(crate) fn between(&self, first: u64, last: u64) -> Places<'_> {
        Places(if first <= last { self.0.range(first..=last) } else { btree_map::Range::default() })
    }
}

/// Numbers and places, ascending.
#[derive(Default)]
pub(crate) struct Places<'a>(btree_map::Range<'a, u64, u32>);

impl Iterator for Places<'_> {
    type Item = (u64, usize);

    fn next(&mut self) -> Option<(u64, usize)> {
        self.0.next().map(|(&number, &place)| (number, place as usize))
    }
}

impl DoubleEndedIterator for Places<'_> {
    fn next_back(&mut self) -> Option<(u64, usize)> {
        self.0.next_back().map(|(&number, &place)| (number, place as usize))
    }
}
