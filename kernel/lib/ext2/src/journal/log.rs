//! The log itself: where its blocks lie, its superblock, and reading what a cut left in it.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use zerocopy::{FromBytes, IntoBytes};

use super::layout::{
    COMMIT, DESCRIPTOR, FEATURE_REVOKE, Header, JournalSuperblock, MAGIC, REVOKE, RevokeHeader, SUPERBLOCK_2,
    TAG_ESCAPED, TAG_LAST, TAG_SAME_UUID, Tag, UUID_BYTES,
};
use crate::error::MountError;
use crate::geometry::Run;
use crate::io::BlockIo;

/// Blocks by number.
pub(super) type Blocks = BTreeMap<u32, Box<[u8]>>;

/// A log of fewer blocks is none (`JBD2_MIN_JOURNAL_BLOCKS`).
const LENGTH_MIN: u32 = 1024;

/// The log of a journal.
pub(super) struct Log {
    block_bits: u32,
    /// Where the blocks of the log lie on the disk, with the number of the first of each run.
    runs: Vec<(u32, Run)>,
    pub(super) superblock: JournalSuperblock,
    /// How many blocks it has, the superblock included.
    pub(super) length: u32,
    /// The first that is not the superblock's.
    pub(super) first: u32,
}

/// What a cut left in a log.
pub(super) struct Recovered {
    /// What belongs in place.
    pub(super) blocks: Blocks,
    /// The number of the transaction that is not there.
    pub(super) next_sequence: u32,
}

/// A walk over the log.
struct Walk {
    position: u32,
    sequence: u32,
    /// How many blocks were passed: a log that leads in a circle ends.
    passed: u32,
}

impl Log {
    /// Reads and checks the superblock of a log that lies in `runs`.
    pub(super) fn open(device: &dyn BlockIo, block_bits: u32, runs: Vec<Run>) -> Result<Self, MountError> {
        use MountError::{Corrupt, Unsupported};
        let mut numbered = Vec::with_capacity(runs.len());
        let mut mapped = 0u32;
        for run in runs {
            numbered.push((mapped, run));
            mapped = mapped.checked_add(run.length).ok_or(Corrupt("journal is too long"))?;
        }
        let mut bytes = [0; size_of::<JournalSuperblock>()];
        let place = numbered.first().ok_or(Corrupt("journal is empty"))?.1.start;
        device.read(u64::from(place) << block_bits, &mut bytes)?;
        let superblock = JournalSuperblock::read_from_bytes(&bytes).expect("the buffer has its size");
        if superblock.header.magic.get() != MAGIC {
            return Err(Corrupt("journal without its magic number"));
        }
        if superblock.header.kind.get() != SUPERBLOCK_2 {
            return Err(Unsupported("journal of the first version"));
        }
        if superblock.incompatible.get() & !FEATURE_REVOKE != 0 || superblock.read_only_compatible.get() != 0
        {
            return Err(Unsupported("journal with checksums or other features"));
        }
        if superblock.block_size.get() != 1 << block_bits {
            return Err(Corrupt("journal has another block size"));
        }
        let (length, first) = (superblock.length.get(), superblock.first.get());
        if length < LENGTH_MIN || length > mapped {
            return Err(Corrupt("journal is shorter or longer than its file"));
        }
        if first == 0 || first >= length / 2 || superblock.start.get() >= length {
            return Err(Corrupt("journal begins outside itself"));
        }
        if superblock.error.get() != 0 {
            return Err(Corrupt("journal was given up after an error"));
        }
        Ok(Self { block_bits, runs: numbered, superblock, length, first })
    }

    /// Where a block of the log lies on the disk, in bytes.
    pub(super) fn offset(&self, position: u32) -> u64 {
        let index = self.runs.partition_point(|&(first, _)| first <= position) - 1;
        let (first, run) = self.runs[index];
        u64::from(run.start + (position - first)) << self.block_bits
    }

    pub(super) fn block_size(&self) -> usize {
        1 << self.block_bits
    }

    /// The position behind another.
    pub(super) fn next(&self, position: u32) -> u32 {
        if position + 1 >= self.length { self.first } else { position + 1 }
    }

    /// How many blocks a transaction can have at most.
    pub(super) fn room(&self) -> u32 {
        self.length - self.first
    }

    /// Notes where the first transaction begins that may not be in place; `None`: all are.
    pub(super) fn write_superblock(
        &mut self,
        device: &dyn BlockIo,
        sequence: u32,
        start: Option<u32>,
    ) -> Result<(), crate::IoError> {
        self.superblock.sequence.set(sequence);
        self.superblock.start.set(start.unwrap_or(0));
        device.write(self.offset(0), self.superblock.as_bytes())
    }

    /// Reads the transactions that a cut left, as far as they are whole.
    pub(super) fn recover(&self, device: &dyn BlockIo) -> Result<Recovered, MountError> {
        let sequence = self.superblock.sequence.get();
        let start = self.superblock.start.get();
        let mut blocks = Blocks::new();
        if start == 0 {
            return Ok(Recovered { blocks, next_sequence: sequence });
        }
        if start < self.first {
            return Err(MountError::Corrupt("journal begins outside itself"));
        }
        // The end first: copies of a transaction that is not whole do not count, nor do its revocations.
        let end = self.walk(device, start, sequence, None, &mut |_, _| Ok(()))?;
        let mut revoked: BTreeMap<u32, u32> = BTreeMap::new();
        self.walk(device, start, sequence, Some(end), &mut |sequence, found| {
            if let Found::Revoked(block) = found {
                revoked.insert(block, sequence);
            }
            Ok(())
        })?;
        let is_newer = |one: u32, other: u32| one.wrapping_sub(other) as i32 > 0;
        self.walk(device, start, sequence, Some(end), &mut |sequence, found| {
            let Found::Copy { position, block, is_escaped } = found else { return Ok(()) };
            if revoked.get(&block).is_some_and(|&revoked| !is_newer(sequence, revoked)) {
                return Ok(());
            }
            let mut bytes = vec![0; self.block_size()].into_boxed_slice();
            device.read(self.offset(position), &mut bytes)?;
            if is_escaped {
                bytes[..4].copy_from_slice(&MAGIC.to_be_bytes());
            }
            blocks.insert(block, bytes);
            Ok(())
        })?;
        Ok(Recovered { blocks, next_sequence: end.wrapping_add(1) })
    }

    /// Walks over whole transactions up to the number `end`, or to the first that is not whole; returns its number.
    fn walk(
        &self,
        device: &dyn BlockIo,
        start: u32,
        sequence: u32,
        end: Option<u32>,
        visit: &mut dyn FnMut(u32, Found) -> Result<(), MountError>,
    ) -> Result<u32, MountError> {
        let mut walk = Walk { position: start, sequence, passed: 0 };
        let mut bytes = vec![0; self.block_size()];
        while walk.passed < self.room() && end != Some(walk.sequence) {
            device.read(self.offset(walk.position), &mut bytes)?;
            let (header, _) = Header::read_from_prefix(&bytes).expect("a block is longer than a header");
            if header.magic.get() != MAGIC || header.sequence.get() != walk.sequence {
                break;
            }
            walk.step(self);
            match header.kind.get() {
                DESCRIPTOR => {
                    for tag in tags(&bytes) {
                        let position = walk.position;
                        walk.step(self);
                        let is_escaped = tag.flags.get() & TAG_ESCAPED != 0;
                        visit(walk.sequence, Found::Copy { position, block: tag.block.get(), is_escaped })?;
                    }
                }
                REVOKE => {
                    for block in revoked(&bytes) {
                        visit(walk.sequence, Found::Revoked(block))?;
                    }
                }
                COMMIT => walk.sequence = walk.sequence.wrapping_add(1),
                _ => break,
            }
        }
        Ok(walk.sequence)
    }
}

/// What is met on a walk.
enum Found {
    /// A copy of a block, at a position of the log.
    Copy { position: u32, block: u32, is_escaped: bool },
    /// A block of which no older copy counts.
    Revoked(u32),
}

impl Walk {
    fn step(&mut self, log: &Log) {
        self.position = log.next(self.position);
        self.passed += 1;
    }
}

/// The tags of a descriptor block.
fn tags(bytes: &[u8]) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut offset = size_of::<Header>();
    while let Some(Ok((tag, _))) = bytes.get(offset..).map(Tag::read_from_prefix) {
        let flags = tag.flags.get();
        tags.push(tag);
        if flags & TAG_LAST != 0 {
            break;
        }
        offset += size_of::<Tag>() + if flags & TAG_SAME_UUID == 0 { UUID_BYTES } else { 0 };
    }
    tags
}

/// The block numbers of a revocation block.
fn revoked(bytes: &[u8]) -> Vec<u32> {
    let (head, _) = RevokeHeader::read_from_prefix(bytes).expect("a block is longer than its header");
    let end = (head.bytes.get() as usize).min(bytes.len());
    let numbers = bytes.get(size_of::<RevokeHeader>()..end).unwrap_or(&[]);
    numbers
        .chunks_exact(4)
        .map(|number| u32::from_be_bytes(number.try_into().expect("chunks of 4 bytes")))
        .collect()
}
