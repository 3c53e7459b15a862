//! The part that knows no type: numbers, and where their values lie.

use alloc::collections::BTreeMap;

/// Of each number a place.
#[derive(Clone, Debug)]
pub(crate) struct Index(BTreeMap<u64, u32>);

impl Index {
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(crate) fn place(&self, number: u64) -> Option<usize> {
        self.0.get(&number).map(|&place| place as usize)
    }

    /// Gives a number a place, maybe another one than it had.
    pub(crate) fn insert(&mut self, number: u64, place: usize) {
        self.0.insert(number, u32::try_from(place).expect("fewer than 2^32 entries fit into memory"));
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<usize> {
        self.0.remove(&number).map(|place| place as usize)
    }

    /// The first number from `number` on, and its place.
    pub(crate) fn first_from(&self, number: u64) -> Option<(u64, usize)> {
        let (&number, &place) = self.0.range(number..).next()?;
        Some((number, place as usize))
    }
}
