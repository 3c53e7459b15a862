//! A set of classes, one bit each.

use super::{CLASSES, Class};

const WORD: usize = u64::BITS as usize;
/// Words of 64 bits in a set.
pub(crate) const WORDS: usize = CLASSES / WORD;

/// A set of classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ClassSet([u64; WORDS]);

/// Word and bit of a class.
pub(crate) const fn position(class: Class) -> (usize, u64) {
    (class.index() / WORD, 1 << (class.index() % WORD))
}

impl ClassSet {
    /// None.
    pub const EMPTY: ClassSet = ClassSet([0; WORDS]);

    /// Adds a class; `true` if it was not there.
    pub fn insert(&mut self, class: Class) -> bool {
        let (word, bit) = position(class);
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }

    /// Whether a class is in it.
    pub fn contains(&self, class: Class) -> bool {
        let (word, bit) = position(class);
        self.0[word] & bit != 0
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; WORDS]
    }

    /// Those that are in both.
    pub fn intersection(&self, other: &ClassSet) -> ClassSet {
        ClassSet(core::array::from_fn(|word| self.0[word] & other.0[word]))
    }

    /// Those that are in this one only.
    pub fn difference(&self, other: &ClassSet) -> ClassSet {
        ClassSet(core::array::from_fn(|word| self.0[word] & !other.0[word]))
    }

    /// Adds those of another set.
    pub fn extend(&mut self, other: &ClassSet) {
        for (word, more) in self.0.iter_mut().zip(other.0) {
            *word |= more;
        }
    }

    /// The classes, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = Class> {
        self.0.into_iter().enumerate().flat_map(|(index, bits)| {
            let step = |rest: &u64| Some(rest & (rest - 1)).filter(|rest| *rest != 0);
            let rests = core::iter::successors(Some(bits).filter(|bits| *bits != 0), step);
            rests.map(move |rest| Class((index * WORD) as u8 + rest.trailing_zeros() as u8))
        })
    }
}
