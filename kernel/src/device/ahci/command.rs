//! What a command says: the 20 bytes of a "register, host to device" frame (Serial ATA 3.1, section 10.3.4).

use crate::block::Operation;

/// Length of the frame in bytes.
pub(super) const LENGTH: usize = 20;

/// The unit in which trimming counts, and how many of it a range may have.
pub(super) const MAX_TRIM_BLOCKS: u64 = 0xffff;
/// Ranges of one command: as many as fit into one block.
pub(super) const TRIM_RANGES: usize = 64;

/// Command codes (ACS-3, section 7).
mod code {
    pub(super) const TRIM: u8 = 0x06;
    pub(super) const READ: u8 = 0x25;
    pub(super) const WRITE: u8 = 0x35;
    pub(super) const READ_QUEUED: u8 = 0x60;
    pub(super) const WRITE_QUEUED: u8 = 0x61;
    pub(super) const FLUSH: u8 = 0xea;
    pub(super) const IDENTIFY: u8 = 0xec;
}

const FRAME_TYPE: u8 = 0x27;
/// The frame holds a command.
const IS_COMMAND: u8 = 0x80;
/// Addresses are block numbers.
const BLOCKS: u8 = 0x40;
const FEATURE_TRIM: u16 = 1;

/// Whether a command is of those that a disk may have many of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queuing {
    /// It is the only one.
    Single,
    /// It is queued, in slot `.0`.
    Queued(u8),
}

/// The frame that has the disk tell what it is.
pub(super) fn identify() -> [u8; LENGTH] {
    frame(code::IDENTIFY, 0, 0, 0, 0)
}

/// The frame of a request for blocks; trimming gets its ranges as data.
pub(super) fn request(operation: Operation, block: u64, count: u16, queuing: Queuing) -> [u8; LENGTH] {
    match (operation, queuing) {
        (Operation::Read, Queuing::Single) => frame(code::READ, 0, block, count, BLOCKS),
        (Operation::Write(_), Queuing::Single) => frame(code::WRITE, 0, block, count, BLOCKS),
        // Queued commands have their length in place of features, and their slot in place of the length.
        (Operation::Read, Queuing::Queued(slot)) => {
            frame(code::READ_QUEUED, count, block, u16::from(slot) << 3, BLOCKS)
        }
        (Operation::Write(_), Queuing::Queued(slot)) => {
            frame(code::WRITE_QUEUED, count, block, u16::from(slot) << 3, BLOCKS)
        }
        (Operation::Flush, _) => frame(code::FLUSH, 0, 0, 0, BLOCKS),
        (Operation::Discard | Operation::WriteZeroes, _) => frame(code::TRIM, FEATURE_TRIM, 0, 1, BLOCKS),
    }
}

fn frame(code: u8, features: u16, block: u64, count: u16, device: u8) -> [u8; LENGTH] {
    let (features, count) = (features.to_le_bytes(), count.to_le_bytes());
    let [b0, b1, b2, b3, b4, b5, ..] = block.to_le_bytes();
    let mut frame = [0; LENGTH];
    frame[..8].copy_from_slice(&[FRAME_TYPE, IS_COMMAND, code, features[0], b0, b1, b2, device]);
    frame[8..14].copy_from_slice(&[b3, b4, b5, features[1], count[0], count[1]]);
    frame
}

/// The data of a trim command: ranges of blocks, each 48 bits of start and 16 of length.
pub(super) fn trim_ranges(block: u64, count: u64) -> [u64; TRIM_RANGES] {
    let mut ranges = [0; TRIM_RANGES];
    let mut done = 0;
    for range in &mut ranges {
        let part = (count - done).min(MAX_TRIM_BLOCKS);
        if part > 0 {
            *range = (block + done) & 0xffff_ffff_ffff | part << 48;
        }
        done += part;
    }
    ranges
}
