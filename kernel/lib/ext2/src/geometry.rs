//! Where everything lies: the facts of a file system that do not change while it is mounted.
//!
//! A number read from the disk is only a claim. [`Geometry::data_block`] and [`Geometry::inode`] turn claims into a
//! [`Block`] that can hold data, and an [`Ino`] that exists; the rest of the crate handles only these.

use alloc::boxed::Box;
use alloc::vec::Vec;

use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::dir::NameHashing;
use crate::error::{Error, MountError};
use crate::features::{Compatible, Incompatible, ReadOnlyCompatible};
use crate::io::{BlockIo, IoError};
use crate::layout::{
    FIRST_INODE_REVISION_0, GroupDescriptor, INODE_SIZE_REVISION_0, InodeExtension, InodeRecord,
    SuperblockRecord,
};

/// The number of an inode that exists on this file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ino(pub(crate) u32);

impl Ino {
    /// The root directory.
    pub const ROOT: Self = Self(2);

    /// The number that user space sees.
    #[inline]
    pub fn get(self) -> u32 {
        self.0
    }
}

/// The number of a block that holds (or may hold) data: on the disk, and not part of the group metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block(pub(crate) u32);

impl Block {
    /// The block's number, counted from the start of the disk.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// Contiguous blocks on the disk; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first block.
    pub start: u32,
    /// How many blocks.
    pub length: u32,
}

impl Run {
    /// The block after the last.
    pub fn end(self) -> u32 {
        self.start + self.length
    }
}

/// Which groups begin with a copy of the superblock and the descriptor table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backups {
    Every,
    Sparse,
    Two([u32; 2]),
}

impl Backups {
    fn has(self, group: u32) -> bool {
        let is_power_of = |base: u32| {
            let mut power = base;
            while power < group {
                power = power.saturating_mul(base);
            }
            power == group
        };
        group == 0
            || match self {
                Self::Every => true,
                Self::Sparse => group == 1 || is_power_of(3) || is_power_of(5) || is_power_of(7),
                Self::Two(groups) => groups.contains(&group),
            }
    }
}

/// Where the metadata of one group lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupLayout {
    pub(crate) block_bitmap: u32,
    pub(crate) inode_bitmap: u32,
    pub(crate) inode_table: u32,
}

/// The unchanging facts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) block_bits: u32,
    pub(crate) blocks_count: u32,
    pub(crate) first_data_block: u32,
    pub(crate) blocks_per_group: u32,
    pub(crate) inodes_per_group: u32,
    pub(crate) inodes_count: u32,
    pub(crate) inode_size: u32,
    /// The first inode that is not reserved.
    pub(crate) first_inode: u32,
    pub(crate) revision: u32,
    /// The inode of the journal, if there is one.
    pub(crate) journal: Option<Ino>,
    /// Directory entries carry the kind.
    pub(crate) has_file_types: bool,
    /// How indexes of directories order names; none if there are no indexes.
    pub(crate) name_hashing: Option<NameHashing>,
    /// How many nodes may lie on the way through an index.
    pub(crate) tree_levels_max: usize,
    /// Blocks that only root may use.
    pub(crate) reserved_blocks: u32,
    pub(crate) groups: Vec<GroupLayout>,
    backups: Backups,
    reserved_descriptor_blocks: u32,
    /// The first group of groups that has its own descriptor block; `u32::MAX` without that feature.
    first_meta_group: u32,
}

impl Geometry {
    /// Checks a superblock against itself and a disk of `device_bytes`. The group table is still empty.
    pub(crate) fn new(record: &SuperblockRecord, device_bytes: u64) -> Result<Self, MountError> {
        use MountError::{Corrupt, Unsupported};
        let revision = record.revision.get();
        if revision > 1 {
            return Err(Unsupported("revision above 1"));
        }
        let dynamic = |value: u32| if revision == 0 { 0 } else { value };
        let compatible = Compatible::from_bits_retain(dynamic(record.compatible.get()));
        let incompatible = Incompatible::from_bits_retain(dynamic(record.incompatible.get()));
        let read_only = ReadOnlyCompatible::from_bits_retain(dynamic(record.read_only_compatible.get()));
        let mut unknown = incompatible.difference(Incompatible::KNOWN);
        if !compatible.contains(Compatible::JOURNAL) {
            unknown |= incompatible & Incompatible::RECOVER;
        }
        if !unknown.is_empty() {
            return Err(MountError::UnknownFeatures(unknown.bits()));
        }
        if record.log_block_size.get() > 2 {
            return Err(Unsupported("block size above 4096 bytes"));
        }
        let block_bits = 10 + record.log_block_size.get();
        let block_size = 1u32 << block_bits;
        let (inode_size, first_inode) = if revision == 0 {
            (u32::from(INODE_SIZE_REVISION_0), FIRST_INODE_REVISION_0)
        } else {
            (u32::from(record.inode_size.get()), record.first_inode.get())
        };
        if !inode_size.is_power_of_two() || inode_size < 128 || inode_size > block_size {
            return Err(Corrupt("inode size is not a power of two from 128 to the block size"));
        }
        let backups = if compatible.contains(Compatible::SPARSE_SUPER_2) {
            Backups::Two([record.backup_groups[0].get(), record.backup_groups[1].get()])
        } else if read_only.contains(ReadOnlyCompatible::SPARSE_SUPER) {
            Backups::Sparse
        } else {
            Backups::Every
        };
        let meta_groups = incompatible.contains(Incompatible::META_GROUPS);
        let geometry = Self {
            block_bits,
            blocks_count: record.blocks_count.get(),
            first_data_block: record.first_data_block.get(),
            blocks_per_group: record.blocks_per_group.get(),
            inodes_per_group: record.inodes_per_group.get(),
            inodes_count: record.inodes_count.get(),
            inode_size,
            first_inode,
            revision,
            journal: journal(record, compatible)?,
            has_file_types: incompatible.contains(Incompatible::FILE_TYPE),
            name_hashing: compatible.contains(Compatible::INDEXES).then(|| NameHashing::new(record)),
            tree_levels_max: if incompatible.contains(Incompatible::LARGE_DIRECTORIES) { 3 } else { 2 },
            reserved_blocks: record.reserved_blocks_count.get(),
            groups: Vec::new(),
            backups,
            reserved_descriptor_blocks: u32::from(record.reserved_descriptor_blocks.get()),
            first_meta_group: if meta_groups { record.first_meta_group.get() } else { u32::MAX },
        };
        geometry.check(device_bytes)?;
        Ok(geometry)
    }

    fn check(&self, device_bytes: u64) -> Result<(), MountError> {
        use MountError::Corrupt;
        let bitmap_bits = self.block_size() as u32 * 8;
        if self.first_data_block != u32::from(self.block_bits == 10) {
            return Err(Corrupt("first data block does not fit the block size"));
        }
        if self.blocks_count <= self.first_data_block {
            return Err(Corrupt("no blocks"));
        }
        if u64::from(self.blocks_count) << self.block_bits > device_bytes {
            return Err(Corrupt("file system is larger than its disk"));
        }
        if self.blocks_per_group == 0 || self.blocks_per_group > bitmap_bits {
            return Err(Corrupt("blocks per group do not fit a bitmap"));
        }
        let inodes_per_block = self.block_size() as u32 / self.inode_size;
        if self.inodes_per_group == 0
            || self.inodes_per_group > bitmap_bits
            || !self.inodes_per_group.is_multiple_of(inodes_per_block)
        {
            return Err(Corrupt("inodes per group do not fit a bitmap"));
        }
        if self.inode_table_blocks() + 3 > self.blocks_per_group {
            return Err(Corrupt("inode table does not fit a group"));
        }
        if u64::from(self.inodes_count) != u64::from(self.group_count()) * u64::from(self.inodes_per_group) {
            return Err(Corrupt("inode count does not fit the number of groups"));
        }
        if self.first_inode < FIRST_INODE_REVISION_0 || self.first_inode > self.inodes_count {
            return Err(Corrupt("first inode is out of range"));
        }
        if self.descriptor_blocks() + self.first_data_block >= self.blocks_per_group {
            return Err(Corrupt("descriptor table does not fit a group"));
        }
        Ok(())
    }

    /// Reads the descriptor table and checks that each group's metadata lies in it, without overlap.
    pub(crate) fn read_groups(&mut self, io: &dyn BlockIo) -> Result<Vec<GroupDescriptor>, MountError> {
        let mut descriptors = Vec::with_capacity(self.group_count() as usize);
        let mut block = alloc::vec![0u8; self.block_size()];
        for table_block in 0..self.descriptor_blocks() {
            io.read(self.descriptor_offset(table_block), &mut block)?;
            for bytes in block.chunks_exact(size_of::<GroupDescriptor>()) {
                if descriptors.len() == self.group_count() as usize {
                    break;
                }
                let descriptor = GroupDescriptor::read_from_bytes(bytes).expect("chunk has the size of one");
                self.push_group(&descriptor)?;
                descriptors.push(descriptor);
            }
        }
        Ok(descriptors)
    }

    fn push_group(&mut self, descriptor: &GroupDescriptor) -> Result<(), MountError> {
        let number = self.groups.len() as u32;
        let group = GroupLayout {
            block_bitmap: descriptor.block_bitmap.get(),
            inode_bitmap: descriptor.inode_bitmap.get(),
            inode_table: descriptor.inode_table.get(),
        };
        let first = self.group_start(number) + self.group_head(number);
        let end = self.group_start(number) + self.group_length(number);
        let lies_inside = |start: u32, length: u32| {
            start >= first && start.checked_add(length).is_some_and(|block| block <= end)
        };
        if !lies_inside(group.block_bitmap, 1) || !lies_inside(group.inode_bitmap, 1) {
            return Err(MountError::Corrupt("a bitmap lies outside its group"));
        }
        if !lies_inside(group.inode_table, self.inode_table_blocks()) {
            return Err(MountError::Corrupt("an inode table lies outside its group"));
        }
        let table = group.inode_table..group.inode_table + self.inode_table_blocks();
        if group.block_bitmap == group.inode_bitmap
            || table.contains(&group.block_bitmap)
            || table.contains(&group.inode_bitmap)
        {
            return Err(MountError::Corrupt("bitmaps and inode table of a group overlap"));
        }
        self.groups.push(group);
        Ok(())
    }

    /// The size of a block in bytes.
    pub(crate) fn block_size(&self) -> usize {
        1 << self.block_bits
    }

    /// How many blocks `bytes` take.
    pub(crate) fn blocks_for(&self, bytes: u64) -> u64 {
        bytes.div_ceil(self.block_size() as u64)
    }

    /// How many units of 512 bytes a block is.
    pub(crate) fn sectors_per_block(&self) -> u32 {
        1 << (self.block_bits - 9)
    }

    /// Where a block lies on the disk, in bytes.
    pub(crate) fn offset(&self, block: u32) -> u64 {
        u64::from(block) << self.block_bits
    }

    pub(crate) fn group_count(&self) -> u32 {
        (self.blocks_count - self.first_data_block).div_ceil(self.blocks_per_group)
    }

    /// The first block of a group.
    pub(crate) fn group_start(&self, group: u32) -> u32 {
        self.first_data_block + group * self.blocks_per_group
    }

    /// The number of blocks of a group; the last may be short.
    pub(crate) fn group_length(&self, group: u32) -> u32 {
        self.blocks_per_group.min(self.blocks_count - self.group_start(group))
    }

    /// The group of a block, and the block's bit in it.
    pub(crate) fn block_group(&self, block: u32) -> (u32, u32) {
        let index = block - self.first_data_block;
        (index / self.blocks_per_group, index % self.blocks_per_group)
    }

    /// The group of an inode, and the inode's bit in it.
    pub(crate) fn inode_group(&self, ino: Ino) -> (u32, u32) {
        let index = ino.0 - 1;
        (index / self.inodes_per_group, index % self.inodes_per_group)
    }

    /// Where an inode lies on the disk, in bytes.
    pub(crate) fn inode_offset(&self, ino: Ino) -> u64 {
        let (group, index) = self.inode_group(ino);
        let table = self.groups[group as usize].inode_table;
        self.offset(table) + u64::from(index) * u64::from(self.inode_size)
    }

    /// The part of an inode that this crate reads and writes.
    pub(crate) fn inode_bytes(&self) -> usize {
        let whole = size_of::<InodeRecord>() + size_of::<InodeExtension>();
        whole.min(self.inode_size as usize)
    }

    pub(crate) fn inode_table_blocks(&self) -> u32 {
        self.inodes_per_group / (self.block_size() as u32 / self.inode_size)
    }

    /// The length of the descriptor table.
    pub(crate) fn descriptor_blocks(&self) -> u32 {
        self.group_count().div_ceil(self.descriptors_per_block())
    }

    pub(crate) fn descriptors_per_block(&self) -> u32 {
        (self.block_size() / size_of::<GroupDescriptor>()) as u32
    }

    /// Where a block of the descriptor table lies on the disk, in bytes.
    pub(crate) fn descriptor_offset(&self, table_block: u32) -> u64 {
        let block = if table_block < self.first_meta_group {
            self.first_data_block + 1 + table_block
        } else {
            let group = table_block * self.descriptors_per_block();
            self.group_start(group) + u32::from(self.backups.has(group))
        };
        self.offset(block)
    }

    /// How many blocks at the start of a group hold copies of superblock and descriptors, or are kept for them.
    fn group_head(&self, group: u32) -> u32 {
        let superblock = u32::from(self.backups.has(group));
        let meta_group = group / self.descriptors_per_block();
        let descriptors = if meta_group < self.first_meta_group {
            let table = self.descriptor_blocks().min(self.first_meta_group);
            superblock * (table + self.reserved_descriptor_blocks)
        } else {
            let position = group % self.descriptors_per_block();
            u32::from(position <= 1 || position == self.descriptors_per_block() - 1)
        };
        (superblock + descriptors).min(self.group_length(group))
    }

    /// How many blocks can never hold data, as `statfs` of Linux counts them.
    pub(crate) fn overhead_blocks(&self) -> u32 {
        let group = |group: u32| {
            let kept = if self.backups.has(group) && self.first_meta_group == u32::MAX {
                self.reserved_descriptor_blocks
            } else {
                0
            };
            self.group_head(group).saturating_sub(kept) + 2 + self.inode_table_blocks()
        };
        self.first_data_block + (0..self.group_count()).map(group).sum::<u32>()
    }

    /// The metadata of a group, as bits of its block bitmap.
    pub(crate) fn metadata_bits(&self, group: u32) -> [core::ops::Range<u32>; 4] {
        let start = self.group_start(group);
        let layout = &self.groups[group as usize];
        let run = |block: u32, length: u32| block - start..block - start + length;
        [
            0..self.group_head(group),
            run(layout.block_bitmap, 1),
            run(layout.inode_bitmap, 1),
            run(layout.inode_table, self.inode_table_blocks()),
        ]
    }

    /// Checks a block number from the disk: it may hold file or directory data, or pointers.
    pub(crate) fn data_block(&self, number: u32) -> Result<Block, Error> {
        if number < self.first_data_block || number >= self.blocks_count {
            return Err(Error::Corrupt("block pointer outside the file system"));
        }
        let (group, bit) = self.block_group(number);
        if self.metadata_bits(group).iter().any(|range| range.contains(&bit)) {
            return Err(Error::Corrupt("block pointer into the group metadata"));
        }
        Ok(Block(number))
    }

    /// Checks that a run of block numbers from the disk may hold data, every one of them.
    pub(crate) fn data_run(&self, run: Run) -> Result<Run, Error> {
        let mut start = self.data_block(run.start)?.0;
        let end = run.start.checked_add(run.length).filter(|&end| end <= self.blocks_count);
        let end = end.ok_or(Error::Corrupt("block pointer outside the file system"))?;
        while start < end {
            let (group, bit) = self.block_group(start);
            let length = (end - start).min(self.group_length(group) - bit);
            let overlaps = |range: &core::ops::Range<u32>| range.start < bit + length && bit < range.end;
            if self.metadata_bits(group).iter().any(overlaps) {
                return Err(Error::Corrupt("block pointer into the group metadata"));
            }
            start += length;
        }
        Ok(run)
    }

    /// Checks an inode number from the disk: it is the root or not reserved.
    #[inline]
    pub(crate) fn inode(&self, number: u32) -> Result<Ino, Error> {
        let is_usable = number == Ino::ROOT.0 || (number >= self.first_inode && number <= self.inodes_count);
        if is_usable { Ok(Ino(number)) } else { Err(Error::Corrupt("inode number out of range")) }
    }

    /// The largest size of a file in bytes: what the block map reaches, and what the block count can count.
    pub(crate) fn max_file_size(&self) -> u64 {
        if self.revision == 0 {
            return (1 << 31) - 1;
        }
        let slots = self.block_size() as u64 / 4;
        let mapped = 12 + slots + slots * slots + slots * slots * slots;
        // The block count is 32 bits of 512 bytes, indirect blocks included: 1/slots and a little more.
        let countable = u64::from(u32::MAX) / u64::from(self.sectors_per_block());
        let indirect = countable / (slots + 1) + countable / (slots * slots) + 3;
        mapped.min(countable - indirect) << self.block_bits
    }
}

/// The inode that holds the journal: one of the reserved, or none.
fn journal(record: &SuperblockRecord, compatible: Compatible) -> Result<Option<Ino>, MountError> {
    match record.journal_inode.get() {
        _ if !compatible.contains(Compatible::JOURNAL) => Ok(None),
        0 => Err(MountError::Unsupported("journal on another disk")),
        number if (3..FIRST_INODE_REVISION_0).contains(&number) => Ok(Some(Ino(number))),
        _ => Err(MountError::Corrupt("inode of the journal is none of the reserved")),
    }
}

/// Reads the superblock and checks its magic number. Its kilobyte is never on the stack: a debug build would copy it
/// there from frame to frame.
pub(crate) fn read_superblock(io: &dyn BlockIo) -> Result<Box<SuperblockRecord>, MountError> {
    let end = crate::layout::SUPERBLOCK_OFFSET + size_of::<SuperblockRecord>() as u64;
    if io.size_bytes() < end {
        return Err(MountError::NotExt2);
    }
    let mut record = SuperblockRecord::new_box_zeroed().map_err(|_| IoError::OutOfMemory)?;
    io.read(crate::layout::SUPERBLOCK_OFFSET, record.as_mut_bytes())?;
    if record.magic.get() != crate::layout::SUPERBLOCK_MAGIC {
        return Err(MountError::NotExt2);
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparse_backups_lie_in_powers() {
        let with: Vec<u32> = (0..130).filter(|&group| Backups::Sparse.has(group)).collect();
        assert_eq!(with, [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125]);
    }
}
