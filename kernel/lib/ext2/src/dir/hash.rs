//! Hashes of names, by which indexed directories are ordered.
//!
//! A directory says which of three functions orders it; the superblock gives the seed, and says whether bytes above
//! 127 count as negative, as they did on the machine that made the file system. The major hash is even: an odd one
//! marks in the index that names of the same hash began in the leaf before. The minor hash is not on the disk; it
//! tells names of the same major hash apart where a position in a directory is needed.
//!
//! # Source
//! "Ext4 Disk Layout", "Directory Hash"; the expected values of the tests are those of `debugfs` (`dx_hash`).

use crate::layout::SuperblockRecord;

/// `s_flags`: bytes of names are signed, or unsigned.
pub(crate) const FLAG_SIGNED_HASH: u32 = 0x1;
pub(crate) const FLAG_UNSIGNED_HASH: u32 = 0x2;
/// The seed of file systems that have none.
const SEED: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
/// The largest hash would be taken for the end of the directory: it becomes the one before.
const MAJOR_END: u32 = 0xffff_fffe;

/// A hash function (`dx_root_info.hash_version`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Legacy,
    HalfMd4,
    Tea,
}

impl Algorithm {
    /// The function that a number on the disk stands for.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Legacy),
            1 => Some(Self::HalfMd4),
            2 => Some(Self::Tea),
            _ => None,
        }
    }
}

/// What a byte of a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Byte {
    Signed,
    Unsigned,
}

impl Byte {
    fn widen(self, byte: u8) -> u32 {
        match self {
            Self::Signed => i32::from(byte as i8) as u32,
            Self::Unsigned => u32::from(byte),
        }
    }
}

/// How a file system hashes names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NameHashing {
    /// For new indexes; none if the superblock names an unknown one, and then none are made.
    pub(crate) usual: Option<Algorithm>,
    byte: Byte,
    seed: [u32; 4],
}

/// The hash of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NameHash {
    /// Even.
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

impl NameHashing {
    /// What a superblock says.
    pub(crate) fn new(record: &SuperblockRecord) -> Self {
        let is_unsigned = record.flags.get() & FLAG_UNSIGNED_HASH != 0;
        let seed = record.hash_seed.map(|word| word.get());
        Self {
            usual: Algorithm::from_number(record.hash_version),
            byte: if is_unsigned { Byte::Unsigned } else { Byte::Signed },
            seed: if seed == [0; 4] { SEED } else { seed },
        }
    }

    pub(crate) fn hash(&self, algorithm: Algorithm, name: &[u8]) -> NameHash {
        let (major, minor) = match algorithm {
            // It has only 32 bits; any other function tells names apart that share them.
            Algorithm::Legacy => (self.legacy(name), self.half_md4(name).0),
            Algorithm::HalfMd4 => self.half_md4(name),
            Algorithm::Tea => self.tea(name),
        };
        let major = major & !1;
        NameHash { major: if major == MAJOR_END { MAJOR_END - 2 } else { major }, minor }
    }

    fn legacy(&self, name: &[u8]) -> u32 {
        let (mut last, mut before) = (0x12a3_fe2d_u32, 0x37ab_e8f9_u32);
        for &byte in name {
            let mixed = last ^ self.byte.widen(byte).wrapping_mul(7_152_373);
            let mut next = before.wrapping_add(mixed);
            if next & 0x8000_0000 != 0 {
                next = next.wrapping_sub(0x7fff_ffff);
            }
            (before, last) = (last, next);
        }
        last << 1
    }

    fn half_md4(&self, name: &[u8]) -> (u32, u32) {
        let mut state = self.seed;
        for start in (0..name.len()).step_by(32) {
            half_md4_round(&mut state, &self.words(&name[start..]));
        }
        (state[1], state[2])
    }

    fn tea(&self, name: &[u8]) -> (u32, u32) {
        let mut state = self.seed;
        for start in (0..name.len()).step_by(16) {
            tea_round(&mut state, &self.words(&name[start..]));
        }
        (state[0], state[1])
    }

    /// The first bytes of the rest of a name as big-endian words, padded with its length.
    fn words<const COUNT: usize>(&self, rest: &[u8]) -> [u32; COUNT] {
        let padding = (rest.len() as u32 & 0xff).wrapping_mul(0x0101_0101);
        let mut words = [padding; COUNT];
        for (word, bytes) in words.iter_mut().zip(rest.chunks(4)) {
            *word = bytes.iter().fold(padding, |word, &byte| self.byte.widen(byte).wrapping_add(word << 8));
        }
        words
    }
}

/// MD4 with half as many steps ("Ext4 Disk Layout": half MD4).
fn half_md4_round(state: &mut [u32; 4], words: &[u32; 8]) {
    let choose = |x: u32, y: u32, z: u32| z ^ (x & (y ^ z));
    let majority = |x: u32, y: u32, z: u32| (x & y).wrapping_add((x ^ y) & z);
    let parity = |x: u32, y: u32, z: u32| x ^ y ^ z;
    let [mut a, mut b, mut c, mut d] = *state;
    // Each step mixes one word into one of the four, which then change places.
    let mut step = |mixed: fn(u32, u32, u32) -> u32, word: u32, shift: u32| {
        let new = a.wrapping_add(mixed(b, c, d)).wrapping_add(word).rotate_left(shift);
        (a, b, c, d) = (d, new, b, c);
    };
    for (index, word) in words.iter().enumerate() {
        step(choose, *word, [3, 7, 11, 19][index % 4]);
    }
    for (index, word) in [1, 3, 5, 7, 0, 2, 4, 6].into_iter().enumerate() {
        step(majority, words[word].wrapping_add(0x5a82_7999), [3, 5, 9, 13][index % 4]);
    }
    for (index, word) in [3, 7, 2, 6, 1, 5, 0, 4].into_iter().enumerate() {
        step(parity, words[word].wrapping_add(0x6ed9_eba1), [3, 9, 11, 15][index % 4]);
    }
    for (word, more) in state.iter_mut().zip([a, b, c, d]) {
        *word = word.wrapping_add(more);
    }
}

/// The tiny encryption algorithm, 16 rounds, with part of the name as key.
fn tea_round(state: &mut [u32; 4], key: &[u32; 4]) {
    let (mut left, mut right) = (state[0], state[1]);
    let mut sum = 0_u32;
    let half = |word: u32, sum: u32, key: &[u32]| {
        (word << 4).wrapping_add(key[0]) ^ word.wrapping_add(sum) ^ (word >> 5).wrapping_add(key[1])
    };
    for _ in 0..16 {
        sum = sum.wrapping_add(0x9e37_79b9);
        left = left.wrapping_add(half(right, sum, &key[..2]));
        right = right.wrapping_add(half(left, sum, &key[2..]));
    }
    state[0] = state[0].wrapping_add(left);
    state[1] = state[1].wrapping_add(right);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `dx_hash -h ALGORITHM [-s SEED] NAME`: major and minor hash. The minor hash of the legacy function is our own.
    #[test]
    fn hashes_are_those_of_debugfs() {
        use Algorithm::{HalfMd4, Legacy, Tea};
        use Byte::{Signed, Unsigned};
        let long: &str = "aname-of-more-than-thirty-two-bytes-which-takes-two-rounds";
        for (algorithm, byte, name, major, minor) in [
            (HalfMd4, Signed, "foo", 0x74c6_57ac, Some(0x85a8_d812)),
            (Legacy, Signed, "foo", 0x9f57_ef58, None),
            (Tea, Signed, "foo", 0x901b_3376, Some(0x4878_f6ae)),
            (HalfMd4, Signed, "Größe", 0xef26_1476, Some(0x58ca_9857)),
            (HalfMd4, Unsigned, "Größe", 0x1fd2_182a, Some(0x1faf_f2b3)),
            (Legacy, Signed, "Größe", 0x97e8_484a, None),
            (Legacy, Unsigned, "Größe", 0x1f06_7e52, None),
            (Tea, Signed, "Größe", 0x4e3e_cf36, Some(0x64f8_49cf)),
            (Tea, Unsigned, "Größe", 0x928c_2988, Some(0x7c3e_de2c)),
            (HalfMd4, Signed, long, 0x78c7_2daa, Some(0xfeb7_7477)),
            (Tea, Signed, long, 0x8e58_d516, Some(0x0728_a557)),
        ] {
            let hashing = NameHashing { usual: None, byte, seed: SEED };
            let hash = hashing.hash(algorithm, name.as_bytes());
            assert_eq!(hash.major, major, "{algorithm:?} {byte:?} {name}");
            assert!(minor.is_none_or(|minor| hash.minor == minor), "{algorithm:?} {byte:?} {name}");
        }
        let seed = [0x3322_1100, 0x7766_5544, 0xbbaa_9988, 0xffee_ddcc];
        let hash = NameHashing { usual: None, byte: Signed, seed }.hash(HalfMd4, b"foo");
        assert_eq!(hash, NameHash { major: 0xfa79_25e6, minor: 0x753f_0557 });
    }
}
