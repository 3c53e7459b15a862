//! What a disk says of itself: the 256 words that answer IDENTIFY DEVICE (ACS-3, section 7.12.7).

use crate::block::Identity;
use alloc::string::String;

/// Length of the answer in bytes.
pub(super) const LENGTH: usize = 512;

/// A disk.
#[derive(Clone, Debug)]
pub(super) struct Description {
    /// Number of blocks.
    pub(super) blocks: u64,
    /// Bytes in a block.
    pub(super) block_size: u32,
    /// Commands that it takes at a time; 1 without queuing.
    pub(super) depth: usize,
    /// It keeps in memory what is written, until it is flushed.
    pub(super) has_cache: bool,
    /// It can be told what is not used any more.
    pub(super) can_trim: bool,
    pub(super) is_rotational: bool,
    pub(super) identity: Identity,
}

/// Numbers of words.
mod word {
    pub(super) const SERIAL: core::ops::Range<usize> = 10..20;
    pub(super) const FIRMWARE: core::ops::Range<usize> = 23..27;
    pub(super) const MODEL: core::ops::Range<usize> = 27..47;
    pub(super) const QUEUE_DEPTH: usize = 75;
    pub(super) const SERIAL_ATA: usize = 76;
    pub(super) const COMMANDS: usize = 83;
    pub(super) const ENABLED: usize = 85;
    pub(super) const BLOCKS: usize = 100;
    pub(super) const BLOCK_SIZE: usize = 106;
    pub(super) const BLOCK_WORDS: usize = 117;
    pub(super) const TRIM: usize = 169;
    pub(super) const ROTATION: usize = 217;
}

const QUEUING: u16 = 1 << 8;
const ADDRESSES_OF_48_BITS: u16 = 1 << 10;
const CACHE: u16 = 1 << 5;
/// In the word of the block size: the word means something; blocks are longer than 256 words.
const BLOCK_SIZE_VALID: u16 = 0x4000;
const BLOCK_SIZE_VALID_MASK: u16 = 0xc000;
const LONG_BLOCKS: u16 = 1 << 12;
/// In the word of rotation: it does not.
const SOLID: u16 = 1;

impl Description {
    /// Reads the answer; `None` if the disk cannot be used: it has no blocks, no 48-bit addresses, or blocks of an odd
    /// size.
    pub(super) fn read(bytes: &[u8; LENGTH]) -> Option<Self> {
        let word = |at: usize| u16::from_le_bytes([bytes[2 * at], bytes[2 * at + 1]]);
        let blocks = (0..4).rev().fold(0, |sum, at| sum << 16 | u64::from(word(word::BLOCKS + at)));
        let is_valid = word(word::BLOCK_SIZE) & BLOCK_SIZE_VALID_MASK == BLOCK_SIZE_VALID;
        let block_size = match is_valid && word(word::BLOCK_SIZE) & LONG_BLOCKS != 0 {
            true => (u32::from(word(word::BLOCK_WORDS + 1)) << 16 | u32::from(word(word::BLOCK_WORDS)))
                .checked_mul(2)?,
            false => 512,
        };
        let is_usable = word(word::COMMANDS) & ADDRESSES_OF_48_BITS != 0
            && blocks.checked_mul(block_size.into()).is_some_and(|bytes| bytes > 0)
            && block_size.is_power_of_two()
            && (512..=4096).contains(&block_size);
        let has_queuing = word(word::SERIAL_ATA) & QUEUING != 0 && word(word::SERIAL_ATA) != u16::MAX;
        is_usable.then(|| Self {
            blocks,
            block_size,
            depth: if has_queuing { usize::from(word(word::QUEUE_DEPTH) & 0x1f) + 1 } else { 1 },
            has_cache: word(word::ENABLED) & CACHE != 0,
            can_trim: word(word::TRIM) & 1 != 0,
            is_rotational: word(word::ROTATION) != SOLID,
            identity: Identity {
                serial: text(bytes, word::SERIAL),
                model: text(bytes, word::MODEL),
                firmware: text(bytes, word::FIRMWARE),
            },
        })
    }
}

/// Two letters a word, the first one in the upper half; filled up with spaces.
fn text(bytes: &[u8; LENGTH], words: core::ops::Range<usize>) -> Option<String> {
    let pairs = bytes[2 * words.start..2 * words.end].chunks(2);
    let text: String = pairs.flat_map(|pair| [pair[1], pair[0]]).map(char::from).collect();
    let text = text.trim_matches([' ', '\0']);
    let is_plain = text.chars().all(|letter| (' '..='~').contains(&letter));
    (is_plain && !text.is_empty()).then(|| text.into())
}
