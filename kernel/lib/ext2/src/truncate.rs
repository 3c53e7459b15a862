//! Cutting files off, and freeing what they held.
//!
//! An indirect block that stays is written without the pointers before what they pointed to is freed; one that
//! goes is freed before what it points to is visited, so a tree that contains itself is walked only once. What is
//! out of range or freed already is skipped; the first such fault is returned when the rest is done.

use alloc::vec;
use alloc::vec::Vec;

use crate::attributes::FileKind;
use crate::block_map::{HEIGHTS, MapCache, Mapping, read_slot};
use crate::error::Error;
use crate::geometry::{Ino, Run};
use crate::inode::DIRECT_POINTERS;
use crate::io::{BlockIo, Patience};
use crate::mount::FileSystem;
use crate::node::Locked;

/// Blocks on their way to being free.
struct Batch {
    run: Option<Run>,
    blocks: u64,
    result: Result<(), Error>,
}

impl FileSystem {
    /// Sets the size of a regular file. What is cut off is freed, what is added is a hole.
    pub fn truncate(&self, ino: Ino, size: u64) -> Result<(), Error> {
        self.change(|| {
            let node = self.node(ino)?;
            let mut locked = self.lock(&node);
            match locked.inode.kind() {
                FileKind::Regular => {}
                FileKind::Directory => return Err(Error::IsDirectory),
                _ => return Err(Error::InvalidArgument),
            }
            if size > self.geometry.max_file_size() {
                return Err(Error::FileTooLarge);
            }
            let now = self.context.now();
            let old_size = locked.inode.size();
            if size < old_size {
                locked.has_clear_tail = false;
            }
            self.clear_tail(&mut locked, size.min(old_size))?;
            self.set_size(&mut locked, size);
            let inode = locked.inode_mut();
            inode.set_modified(now);
            inode.set_changed(now);
            if size < old_size {
                self.free_blocks_from(&mut locked, self.geometry.blocks_for(size))?;
            }
            Ok(())
        })
    }

    /// Sets the size in the inode, and the feature bit that large files need.
    pub(crate) fn set_size(&self, locked: &mut Locked<'_>, size: u64) {
        locked.inode_mut().set_size(size);
        if size >= 1 << 31 && locked.inode.kind() == FileKind::Regular {
            self.superblock.lock().mark_large_file();
        }
    }

    /// Makes sure that the block which contains `end` is zero from there on, so that a longer file has zeros there.
    pub(crate) fn clear_tail(&self, locked: &mut Locked<'_>, end: u64) -> Result<(), Error> {
        let in_block = end as usize % self.geometry.block_size();
        if in_block != 0
            && !locked.has_clear_tail
            && let Mapping::Data(run) = self.map(locked, end >> self.geometry.block_bits, 1)?
        {
            self.write_zeros(run.start, in_block..self.geometry.block_size())?;
        }
        locked.has_clear_tail = true;
        Ok(())
    }

    /// Zeroes a part of a block.
    pub(crate) fn write_zeros(&self, block: u32, range: core::ops::Range<usize>) -> Result<(), Error> {
        static ZEROS: [u8; 4096] = [0; 4096];
        if range.is_empty() {
            return Ok(());
        }
        Ok(self.io.write_data(self.geometry.offset(block) + range.start as u64, &ZEROS[..range.len()])?)
    }

    /// Frees all blocks of a file from its block `keep` on, with the indirect blocks that become empty.
    pub(crate) fn free_blocks_from(&self, locked: &mut Locked<'_>, keep: u64) -> Result<(), Error> {
        // Half a tree of blocks cannot be told from a broken one.
        let _to_the_end = self.io.wait_for_memory(Patience::Always);
        self.write_map(&mut locked.map)?;
        locked.map = MapCache::default();
        let mut batch = Batch { run: None, blocks: 0, result: Ok(()) };
        for index in keep.min(DIRECT_POINTERS as u64) as usize..DIRECT_POINTERS {
            let pointer = locked.inode.pointer(index);
            if pointer != 0 {
                locked.inode_mut().set_pointer(index, 0);
                self.free_tree(&mut batch, pointer, 0);
            }
        }
        let mut first = DIRECT_POINTERS as u64;
        for height in 1..=HEIGHTS {
            let root = DIRECT_POINTERS + height - 1;
            let span = 1u64 << (self.geometry.slot_bits() * height as u32);
            let keep = keep.saturating_sub(first).min(span);
            let pointer = locked.inode.pointer(root);
            if pointer != 0 && keep == 0 {
                locked.inode_mut().set_pointer(root, 0);
                self.free_tree(&mut batch, pointer, height);
            } else if pointer != 0 && keep < span {
                let result = self.trim_tree(&mut batch, pointer, height, keep);
                batch.note(result);
            }
            first += span;
        }
        self.free_run(&mut batch);
        let sectors = u64::from(locked.inode.sectors());
        let freed = batch.blocks * u64::from(self.geometry.sectors_per_block());
        locked.inode_mut().set_sectors(sectors.saturating_sub(freed) as u32);
        batch.result
    }

    /// Frees what an indirect block points to from the data block `keep` on, which is not the first.
    fn trim_tree(&self, batch: &mut Batch, pointer: u32, height: usize, keep: u64) -> Result<(), Error> {
        let block = self.geometry.data_block(pointer)?;
        let mut bytes = vec![0; self.geometry.block_size()];
        self.io.read(self.geometry.offset(block.0), &mut bytes)?;
        let span = 1u64 << (self.geometry.slot_bits() * (height as u32 - 1));
        let first_freed = keep.div_ceil(span) as usize;
        let freed: Vec<u32> =
            (first_freed..self.geometry.slots_per_block()).map(|index| read_slot(&bytes, index)).collect();
        if freed.iter().any(|&pointer| pointer != 0) {
            bytes[first_freed * 4..].fill(0);
            self.io.write(self.geometry.offset(block.0), &bytes)?;
        }
        for pointer in freed.into_iter().filter(|&pointer| pointer != 0) {
            self.free_tree(batch, pointer, height - 1);
        }
        let in_child = keep % span;
        let child = if in_child == 0 { 0 } else { read_slot(&bytes, first_freed - 1) };
        if child == 0 { Ok(()) } else { self.trim_tree(batch, child, height - 1, in_child) }
    }

    /// Frees a block and all that it points to; at height 0 it is data.
    fn free_tree(&self, batch: &mut Batch, pointer: u32, height: usize) {
        let block = match self.geometry.data_block(pointer) {
            Ok(block) => block,
            Err(error) => return batch.note(Err(error)),
        };
        batch.blocks += 1;
        if height == 0 {
            return self.add_block(batch, block.0);
        }
        let mut bytes = vec![0; self.geometry.block_size()];
        let read = self.io.read(self.geometry.offset(block.0), &mut bytes).map_err(Error::from);
        let freed = self.release_blocks(Run { start: block.0, length: 1 });
        batch.note(read.and(freed));
        if read.is_err() || freed.is_err() {
            return;
        }
        for index in 0..self.geometry.slots_per_block() {
            let pointer = read_slot(&bytes, index);
            if pointer != 0 {
                self.free_tree(batch, pointer, height - 1);
            }
        }
    }

    fn add_block(&self, batch: &mut Batch, block: u32) {
        match &mut batch.run {
            Some(run) if run.end() == block => run.length += 1,
            _ => {
                self.free_run(batch);
                batch.run = Some(Run { start: block, length: 1 });
            }
        }
    }

    fn free_run(&self, batch: &mut Batch) {
        if let Some(run) = batch.run.take() {
            let result = self.release_blocks(run);
            batch.note(result);
        }
    }

    /// Frees blocks that nothing points to any more.
    pub(crate) fn release_blocks(&self, run: Run) -> Result<(), Error> {
        self.space.lock().free_blocks(&self.io, &self.geometry, run)?;
        let length = u64::from(run.length) << self.geometry.block_bits;
        self.io.forget(self.geometry.offset(run.start), length);
        Ok(())
    }
}

impl Batch {
    fn note(&mut self, result: Result<(), Error>) {
        self.result = self.result.and(result);
    }
}
