//! Where the entry of a byte string lies: chains of places, found by a hash of the string.
//!
//! The number of chains follows the number of entries one by one (linear hashing, W. Litwin, "Linear hashing: a new tool
//! for file and table addressing", VLDB 1980): each insertion splits at most one chain and each removal joins at most two,
//! so none of them takes long, however many entries there are. The hash has a key ([`set_hash_key`]): who chooses the
//! strings cannot choose them so that they end up in one chain.

use crate::table::Table;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

/// The end of a chain.
const END: u32 = u32::MAX;

/// A string and the next one in its chain.
#[derive(Clone)]
struct Node {
    key: Arc<[u8]>,
    hash: u64,
    next: u32,
}

/// Of each string a place: all numbers below their count.
#[derive(Clone)]
pub(crate) struct HashIndex {
    /// The key of the hashes, chosen with the first entry.
    hash_key: u64,
    /// The first place of each chain.
    heads: Table<(), u32>,
    nodes: Table<(), Node>,
}

static HASH_KEY: AtomicU64 = AtomicU64::new(0x243f_6a88_85a3_08d3);

/// Sets the key of the hashes of maps that get their first entry from now on. It should be random and secret.
pub fn set_hash_key(key: u64) {
    HASH_KEY.store(key, Ordering::Relaxed);
}

/// A hash whose low bits depend on all of `key` and `bytes`.
fn hash_of(key: u64, bytes: &[u8]) -> u64 {
    /// Odd, and without pattern: the golden ratio and the square root of two.
    const FACTORS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0x6a09_e667_f3bc_c909];
    let mix = |one: u64, other: u64| {
        let product = u128::from(one) * u128::from(other);
        product as u64 ^ (product >> 64) as u64
    };
    let mut state = key ^ (bytes.len() as u64).wrapping_mul(FACTORS[1]);
    let mut rest = bytes;
    while let Some((word, behind)) = rest.split_first_chunk::<8>() {
        state = mix(state ^ u64::from_le_bytes(*word), FACTORS[0] ^ key);
        rest = behind;
    }
    // Bytes that were in the last word already do no harm.
    let last = match (bytes.last_chunk::<8>(), rest) {
        (_, []) => 0,
        (Some(word), _) => u64::from_le_bytes(*word),
        (None, short) => short.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)),
    };
    mix(state ^ last, FACTORS[1])
}

impl HashIndex {
    pub(crate) const fn new() -> Self {
        Self { hash_key: 0, heads: Table::new(), nodes: Table::new() }
    }

    /// The string at a place.
    pub(crate) fn key(&self, place: usize) -> &Arc<[u8]> {
        &self.nodes.get(place).key
    }

    pub(crate) fn place_of(&self, key: &[u8]) -> Option<usize> {
        if self.nodes.is_empty() {
            return None;
        }
        let hash = hash_of(self.hash_key, key);
        let mut place = *self.heads.get(self.chain_of(hash));
        while place != END {
            let node = self.nodes.get(place as usize);
            if node.hash == hash && *node.key == *key {
                return Some(place as usize);
            }
            place = node.next;
        }
        None
    }

    /// Gives a string that is not there yet the place that was the number of strings.
    ///
    /// # Panics
    /// If there are nearly 2³² strings.
    pub(crate) fn push(&mut self, key: Arc<[u8]>) {
        if self.nodes.is_empty() {
            self.hash_key = HASH_KEY.load(Ordering::Relaxed);
        }
        if self.nodes.len() >= self.heads.len() {
            self.split();
        }
        let place = u32::try_from(self.nodes.len()).ok().filter(|&place| place != END);
        let place = place.expect("fewer than 2^32 entries fit into memory");
        let hash = hash_of(self.hash_key, &key);
        let head = self.heads.get_mut(self.chain_of(hash));
        let next = core::mem::replace(head, place);
        self.nodes.push((), Node { key, hash, next });
    }

    /// Takes out the string at a place. The last one takes its place.
    pub(crate) fn take(&mut self, place: usize) {
        let next = self.nodes.get(place).next;
        self.redirect(place, next);
        let last = self.nodes.len() - 1;
        if last != place {
            self.redirect(last, place as u32);
        }
        self.nodes.take(place);
        while self.nodes.len() < self.heads.len() / 2 {
            self.join();
        }
        if self.nodes.is_empty() {
            self.heads = Table::new();
        }
    }

    /// The chain of a hash. There is one at least.
    fn chain_of(&self, hash: u64) -> usize {
        let count = self.heads.len();
        let mask = count.next_power_of_two() - 1;
        let chain = hash as usize & mask;
        // Those that are still to come are part of those that they will be split from.
        if chain < count { chain } else { chain & mask >> 1 }
    }

    /// Has whatever leads to the node at `place` lead to `to`.
    fn redirect(&mut self, place: usize, to: u32) {
        let chain = self.chain_of(self.nodes.get(place).hash);
        self.redirect_in(chain, place as u32, to);
    }

    /// Has whatever leads to `from` in a chain lead to `to`.
    fn redirect_in(&mut self, chain: usize, from: u32, to: u32) {
        let head = self.heads.get_mut(chain);
        if *head == from {
            *head = to;
            return;
        }
        let mut before = *head as usize;
        while self.nodes.get(before).next != from {
            before = self.nodes.get(before).next as usize;
        }
        self.nodes.get_mut(before).next = to;
    }

    /// The chain that the last one was split from.
    fn origin(chain: usize) -> usize {
        chain - (1 << chain.ilog2())
    }

    /// Adds a chain.
    fn split(&mut self) {
        let new = self.heads.len();
        self.heads.push((), END);
        if new == 0 {
            return;
        }
        let mut place = core::mem::replace(self.heads.get_mut(Self::origin(new)), END);
        while place != END {
            let chain = self.chain_of(self.nodes.get(place as usize).hash);
            let next = core::mem::replace(self.heads.get_mut(chain), place);
            place = core::mem::replace(&mut self.nodes.get_mut(place as usize).next, next);
        }
    }

    /// Takes away a chain: the last two become one. There are two at least.
    fn join(&mut self) {
        let last = self.heads.len() - 1;
        let (head, _) = self.heads.take(last);
        self.redirect_in(Self::origin(last), END, head);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::format;
    use std::vec::Vec;

    fn chain_lengths(index: &HashIndex) -> Vec<usize> {
        let length = |chain| {
            let (mut place, mut length) = (*index.heads.get(chain), 0);
            while place != END {
                let node = index.nodes.get(place as usize);
                assert_eq!(index.chain_of(node.hash), chain);
                (place, length) = (node.next, length + 1);
            }
            length
        };
        (0..index.heads.len()).map(length).collect()
    }

    #[test]
    fn chains_are_as_many_as_entries_and_stay_short() {
        let mut index = HashIndex::new();
        for number in 0..5000 {
            index.push(format!("file-{number:06}").into_bytes().into());
        }
        let lengths = chain_lengths(&index);
        assert_eq!((lengths.len(), lengths.iter().sum::<usize>()), (5000, 5000));
        assert!(lengths.iter().all(|&length| length <= 16), "{:?}", lengths.iter().max());
        for left in (0..5000).rev() {
            index.take(left / 2);
            assert_eq!(chain_lengths(&index).iter().sum::<usize>(), left);
            assert!(index.heads.len() <= 2 * left + 2);
        }
        assert!(index.heads.is_empty());
    }

    #[test]
    fn every_byte_and_the_key_change_the_hash() {
        for length in 0..40 {
            let bytes = std::vec![b'x'; length];
            let mut hashes = BTreeSet::from([hash_of(1, &bytes), hash_of(2, &bytes)]);
            for at in 0..length {
                let mut other = bytes.clone();
                other[at] = b'y';
                hashes.insert(hash_of(1, &other));
            }
            hashes.insert(hash_of(1, &std::vec![b'x'; length + 1]));
            assert_eq!(hashes.len(), length + 3);
        }
    }
}
