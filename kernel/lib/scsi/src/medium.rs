//! The medium: how much there is of it (SBC-3, 5.15 and 5.16), and what modes tell of writing (SPC-4, 7.5; SBC-3, 6.5.5).

use crate::number;

/// How many blocks there are, and of which size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// At least one.
    pub blocks: u64,
    /// Bytes of a block, not 0.
    pub block_size: u32,
    /// Blocks that were given back need not be written before they are read.
    pub is_thin: bool,
    /// Blocks that were given back read as zeros.
    pub reads_zeros: bool,
}

impl Capacity {
    /// Bytes that are asked for of the long answer.
    pub const LENGTH: usize = 32;
    /// Bytes of the short answer.
    pub const SHORT_LENGTH: usize = 8;

    /// Reads the answer to READ CAPACITY (16); `None` if there is no medium of any size.
    pub fn read_16(answer: &[u8]) -> Option<Capacity> {
        let blocks = number(answer, 0, 8)?.checked_add(1)?;
        let block_size = number(answer, 8, 4)? as u32;
        let flags = answer.get(14).copied().unwrap_or(0);
        let (is_thin, reads_zeros) = (flags & 0x80 != 0, flags & 0x40 != 0);
        (block_size != 0).then_some(Capacity { blocks, block_size, is_thin, reads_zeros })
    }

    /// Reads the answer to READ CAPACITY (10); `None` as well if there are too many blocks for it.
    pub fn read_10(answer: &[u8]) -> Option<Capacity> {
        let last = number(answer, 0, 4)?;
        let block_size = number(answer, 4, 4)? as u32;
        let is_told = block_size != 0 && last != u64::from(u32::MAX);
        is_told.then_some(Capacity { blocks: last + 1, block_size, is_thin: false, reads_zeros: false })
    }
}

/// What modes tell of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cache {
    /// The medium cannot be written.
    pub is_protected: bool,
    /// What is written may be in a cache only.
    pub has_cache: bool,
    /// Writes that are not done before the medium has them are known (DPOFUA).
    pub has_safe_writes: bool,
}

impl Cache {
    /// The page of the cache.
    pub const PAGE: u8 = 0x08;
    /// Bytes that are asked for.
    pub const LENGTH: usize = 64;

    /// Reads the answer to MODE SENSE (10). What the device does not tell is taken for the worse: there is a cache.
    pub fn read(answer: &[u8]) -> Cache {
        let flags = answer.get(3).copied().unwrap_or(0);
        let descriptors = number(answer, 6, 2).and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        let page = descriptors.checked_add(8).and_then(|at| answer.get(at..)).unwrap_or_default();
        let is_page = page.first().is_some_and(|code| code & 0x3f == Self::PAGE);
        let has_cache = page.get(2).filter(|_| is_page).is_none_or(|flags| flags & 0x04 != 0);
        Cache { is_protected: flags & 0x80 != 0, has_cache, has_safe_writes: flags & 0x10 != 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacities_are_the_last_block_and_the_size() {
        let mut answer = [0; 32];
        (answer[6], answer[7], answer[10], answer[14]) = (1, 0xff, 2, 0xc0);
        let capacity = Capacity { blocks: 512, block_size: 512, is_thin: true, reads_zeros: true };
        assert_eq!(Capacity::read_16(&answer), Some(capacity));
        assert_eq!(Capacity::read_16(&answer[..12]).map(|capacity| capacity.is_thin), Some(false));
        assert_eq!(Capacity::read_16(&answer[..11]), None);
        assert_eq!(Capacity::read_16(&[0; 32]), None, "blocks of no size");
        assert_eq!(Capacity::read_16(&[0xff; 32]), None, "2^64 blocks");
        let short = Capacity { blocks: 0x103, block_size: 2048, is_thin: false, reads_zeros: false };
        assert_eq!(Capacity::read_10(&[0, 0, 1, 2, 0, 0, 8, 0]), Some(short));
        assert_eq!(Capacity::read_10(&[0xff, 0xff, 0xff, 0xff, 0, 0, 8, 0]), None, "the long command tells");
        assert_eq!(Capacity::read_10(&[0, 0, 1, 2, 0, 0, 8]), None);
    }

    #[test]
    fn a_cache_is_there_unless_the_device_says_otherwise() {
        let mut answer = [0; 28];
        (answer[3], answer[8], answer[9]) = (0x90, 8, 18);
        let told = |answer: &[u8]| {
            let cache = Cache::read(answer);
            (cache.is_protected, cache.has_cache, cache.has_safe_writes)
        };
        assert_eq!(told(&answer), (true, false, true));
        answer[10] = 4;
        assert_eq!(told(&answer), (true, true, true));
        assert_eq!(told(&answer[..8]), (true, true, true));
        assert_eq!(told(&[]), (false, true, false));
        // Another page, and one behind descriptors that are longer than the answer.
        answer[8] = 9;
        assert!(Cache::read(&answer).has_cache);
        answer[6] = 0xff;
        assert!(Cache::read(&answer).has_cache);
        // A page behind descriptors.
        let mut behind = [0; 40];
        (behind[7], behind[16]) = (8, 0x88);
        assert!(!Cache::read(&behind).has_cache);
    }
}
