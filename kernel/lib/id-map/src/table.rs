//! The part that knows the values: a table without gaps, in pieces, so that growing copies a bounded number of them.

use alloc::vec::Vec;

/// How many entries a piece has.
const PIECE: usize = 64;

/// Keys and values in no order. A place is a number below the length.
#[derive(Clone)]
pub(crate) struct Table<K, V> {
    /// All but the last are full; none is empty.
    pieces: Vec<Vec<(K, V)>>,
}

impl<K: Clone, V> Table<K, V> {
    pub(crate) const fn new() -> Self {
        Self { pieces: Vec::new() }
    }

    #[inline]
    pub(crate) const fn len(&self) -> usize {
        match self.pieces.as_slice().last() {
            Some(last) => (self.pieces.len() - 1) * PIECE + last.len(),
            None => 0,
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// How many entries there is room for.
    pub(crate) fn capacity(&self) -> usize {
        self.pieces.iter().map(Vec::capacity).sum()
    }

    #[inline]
    pub(crate) fn get(&self, place: usize) -> &V {
        &self.pieces[place / PIECE][place % PIECE].1
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, place: usize) -> &mut V {
        &mut self.pieces[place / PIECE][place % PIECE].1
    }

    /// Adds an entry at the place that was the length.
    pub(crate) fn push(&mut self, key: K, value: V) {
        match self.pieces.last_mut().filter(|piece| piece.len() < PIECE) {
            Some(piece) => piece.push((key, value)),
            None => self.pieces.push([(key, value)].into()),
        }
    }

    /// Takes out an entry. The last one takes its place, and its key is returned with the value, unless that was it.
    pub(crate) fn take(&mut self, place: usize) -> (V, Option<K>) {
        let last = self.pieces.last_mut().expect("there is a place, so there is a piece");
        let at_end = last.pop().expect("no piece is empty");
        if last.is_empty() {
            self.pieces.pop();
        }
        if place == self.len() {
            return (at_end.1, None);
        }
        let key = at_end.0.clone();
        let (_, value) = core::mem::replace(&mut self.pieces[place / PIECE][place % PIECE], at_end);
        (value, Some(key))
    }

    /// The values, in no order.
    pub(crate) fn into_values(self) -> impl Iterator<Item = V> {
        self.pieces.into_iter().flatten().map(|(_, value)| value)
    }
}
