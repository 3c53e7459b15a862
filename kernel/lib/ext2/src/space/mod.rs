//! Free space: which blocks and inodes are in use, and which to use next.
//!
//! [`Space`] is what the `space` lock protects: the counters of all groups, the bitmaps in memory, what was freed
//! and waits for a sync (`freed.rs`), and the windows of growing files. Blocks are chosen by a [`BlockFinder`]
//! (`finder.rs`), inodes by `placement.rs`. Block and inode numbers in this module are absolute; "bit" is a number
//! within a group.

mod bitmap;
mod bitmaps;
mod finder;
mod freed;
mod placement;
mod windows;

use alloc::boxed::Box;
use alloc::vec::Vec;

use zerocopy::IntoBytes;

use crate::error::{Error, MountError};
use crate::geometry::{Geometry, Ino, Run};
use crate::io::BlockIo;
use crate::layout::GroupDescriptor;
use bitmaps::{Bitmaps, Kind};
pub use finder::{BlockFinder, FreeSpace, NearGoal, Request};
use freed::Freed;
pub(crate) use freed::InodeUse;
use windows::Windows;
pub(crate) use windows::length_for;

/// When more pieces than this wait for a sync, it is time for one.
const FREED_ENTRIES_MAX: usize = 1 << 16;

/// Whose the blocks are that somebody takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// They were promised ([`Space::promise`]).
    Promised,
    /// Nobody's: so many stay free for root, and with them all that is promised.
    Free { reserved: u32 },
}

/// The state of all block groups.
pub(crate) struct Space {
    descriptors: Vec<GroupDescriptor>,
    /// One for each block of the descriptor table: whether it changed.
    dirty_table_blocks: Vec<bool>,
    /// One for each group: whether its free count was compared with its bitmap.
    is_counted: Vec<bool>,
    free_blocks: u32,
    free_inodes: u32,
    /// How many of the free blocks are kept for contents that are in memory still.
    promised: u32,
    bitmaps: Bitmaps,
    /// Freed since the last sync began.
    freed: Freed,
    /// Freed before the sync that is under way began.
    committing: Freed,
    windows: Windows,
    finder: Box<dyn BlockFinder>,
}

/// The free space, for `statfs` and the superblock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    pub(crate) blocks: u32,
    pub(crate) inodes: u32,
    /// Of the free blocks, those that are promised.
    pub(crate) promised: u32,
    /// Free as soon as the next sync is done.
    pub(crate) waiting_blocks: u32,
    pub(crate) waiting_inodes: u32,
}

impl Space {
    pub(crate) fn new(
        geometry: &Geometry,
        descriptors: Vec<GroupDescriptor>,
        finder: Box<dyn BlockFinder>,
    ) -> Result<Self, MountError> {
        let (free_blocks, free_inodes) = count_free(geometry, &descriptors)?;
        Ok(Self {
            dirty_table_blocks: alloc::vec![false; geometry.descriptor_blocks() as usize],
            is_counted: alloc::vec![false; descriptors.len()],
            descriptors,
            free_blocks,
            free_inodes,
            promised: 0,
            bitmaps: Bitmaps::default(),
            freed: Freed::default(),
            committing: Freed::default(),
            windows: Windows::default(),
            finder,
        })
    }

    /// Takes the descriptors that the journal held, before anything was done.
    pub(crate) fn set_descriptors(
        &mut self,
        geometry: &Geometry,
        descriptors: Vec<GroupDescriptor>,
    ) -> Result<(), MountError> {
        (self.free_blocks, self.free_inodes) = count_free(geometry, &descriptors)?;
        self.descriptors = descriptors;
        Ok(())
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            blocks: self.free_blocks,
            inodes: self.free_inodes,
            promised: self.promised,
            waiting_blocks: self.freed.blocks() + self.committing.blocks(),
            waiting_inodes: self.freed.inodes() + self.committing.inodes(),
        }
    }

    /// Whether a sync would make more space.
    pub(crate) fn has_freed(&self) -> bool {
        !self.freed.is_empty() || !self.committing.is_empty()
    }

    /// Whether so much waits for a sync that its list itself becomes a burden.
    pub(crate) fn has_freed_too_much(&self) -> bool {
        self.freed.entries() > FREED_ENTRIES_MAX
    }

    /// Keeps blocks free for somebody who takes them later, leaving `reserved` blocks to others.
    pub(crate) fn promise(&mut self, blocks: u32, reserved: u32) -> Result<(), Error> {
        let available = self.free_blocks.saturating_sub(self.promised).saturating_sub(reserved);
        if blocks > available {
            return Err(Error::NoSpace);
        }
        self.promised += blocks;
        Ok(())
    }

    /// So many promised blocks have been taken, or are not wanted any more.
    pub(crate) fn end_promise(&mut self, blocks: u32) {
        self.promised = self.promised.saturating_sub(blocks);
    }

    /// Takes 1 to `wanted` contiguous blocks.
    pub(crate) fn allocate_blocks(
        &mut self,
        io: &dyn BlockIo,
        geometry: &Geometry,
        request: Request,
        claim: Claim,
    ) -> Result<Run, Error> {
        let available = match claim {
            Claim::Promised => self.free_blocks,
            Claim::Free { reserved } => {
                self.free_blocks.saturating_sub(self.promised).saturating_sub(reserved)
            }
        };
        if available == 0 {
            return Err(Error::NoSpace);
        }
        let request = Request { wanted: request.wanted.min(available), ..request };
        let mut view = View {
            io,
            geometry,
            bitmaps: &mut self.bitmaps,
            descriptors: &mut self.descriptors,
            is_counted: &mut self.is_counted,
            free_blocks: &mut self.free_blocks,
            windows: &self.windows,
        };
        let run = self.finder.find(&mut view, request)?.ok_or(Error::NoSpace)?;
        let (group, bit) = geometry.block_group(run.start);
        let bits = self.bitmaps.get_mut(io, geometry, Kind::Blocks, group)?;
        let range = bit..bit + run.length;
        if bitmap::count_zeros(bits, range.clone()) != run.length {
            return Err(Error::Corrupt("block finder chose blocks in use"));
        }
        bitmap::set(bits, range);
        self.change_group(geometry, group, |descriptor| {
            let free = u32::from(descriptor.free_blocks_count.get()).saturating_sub(run.length);
            descriptor.free_blocks_count.set(free as u16);
        });
        self.free_blocks = self.free_blocks.saturating_sub(run.length);
        let limit = geometry.group_start(group) + geometry.group_length(group);
        let window = Run { start: run.end(), length: request.ahead.min(limit - run.end()) };
        self.windows.place(request.owner, window);
        Ok(run)
    }

    /// Gives back blocks that were just allocated and that nothing points to.
    pub(crate) fn cancel_blocks(
        &mut self,
        io: &dyn BlockIo,
        geometry: &Geometry,
        run: Run,
    ) -> Result<(), Error> {
        self.release_run(io, geometry, run)
    }

    /// Frees blocks; they can be used again after the next sync. Of a run that is free in part already,
    /// the rest is freed.
    pub(crate) fn free_blocks(
        &mut self,
        io: &dyn BlockIo,
        geometry: &Geometry,
        run: Run,
    ) -> Result<(), Error> {
        if self.is_in_use(io, geometry, run)? {
            self.freed.add_run(run);
            return Ok(());
        }
        for start in run.start..run.end() {
            let block = Run { start, length: 1 };
            if self.is_in_use(io, geometry, block)? {
                self.freed.add_run(block);
            }
        }
        Err(Error::Corrupt("a block was freed twice"))
    }

    fn is_in_use(&mut self, io: &dyn BlockIo, geometry: &Geometry, run: Run) -> Result<bool, Error> {
        if self.freed.overlaps(run) || self.committing.overlaps(run) {
            return Ok(false);
        }
        for (group, bits) in split(geometry, run) {
            let bitmap = self.bitmaps.get(io, geometry, Kind::Blocks, group)?;
            if bitmap::count_zeros(bitmap, bits) != 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The file will not grow any more.
    pub(crate) fn release_window(&mut self, owner: Ino) {
        self.windows.release(owner);
    }

    /// Frees an inode; its number can be used again after the next sync.
    pub(crate) fn free_inode(
        &mut self,
        io: &dyn BlockIo,
        geometry: &Geometry,
        ino: Ino,
        used_for: InodeUse,
    ) -> Result<(), Error> {
        self.windows.release(ino);
        let (group, bit) = geometry.inode_group(ino);
        let is_used = bitmap::is_set(self.bitmaps.get(io, geometry, Kind::Inodes, group)?, bit);
        if is_used && !self.committing.has_inode(ino.0) && self.freed.add_inode(ino.0, used_for) {
            Ok(())
        } else {
            Err(Error::Corrupt("an inode was freed twice"))
        }
    }

    /// A sync begins: what is freed from now on waits for the next one. Returns whether anything waits for this one.
    pub(crate) fn begin_commit(&mut self) -> bool {
        let freed = core::mem::take(&mut self.freed);
        self.committing.absorb(freed);
        !self.committing.is_empty()
    }

    /// All that pointed to the freed blocks and inodes has reached the disk: they can be used again.
    pub(crate) fn finish_commit(&mut self, io: &dyn BlockIo, geometry: &Geometry) -> Result<(), Error> {
        let (runs, inodes) = core::mem::take(&mut self.committing).into_parts();
        let mut result = Ok(());
        for run in runs {
            result = result.and(self.release_run(io, geometry, run));
        }
        for (number, used_for) in inodes {
            result = result.and(self.release_inode(io, geometry, Ino(number), used_for));
        }
        result
    }

    fn release_run(&mut self, io: &dyn BlockIo, geometry: &Geometry, run: Run) -> Result<(), Error> {
        for (group, bits) in split(geometry, run) {
            let count = bits.end - bits.start;
            bitmap::clear(self.bitmaps.get_mut(io, geometry, Kind::Blocks, group)?, bits);
            self.change_group(geometry, group, |descriptor| {
                let free = u32::from(descriptor.free_blocks_count.get()) + count;
                descriptor.free_blocks_count.set(free.min(u32::from(u16::MAX)) as u16);
            });
            self.free_blocks += count;
        }
        Ok(())
    }

    fn release_inode(
        &mut self,
        io: &dyn BlockIo,
        geometry: &Geometry,
        ino: Ino,
        used_for: InodeUse,
    ) -> Result<(), Error> {
        let (group, bit) = geometry.inode_group(ino);
        bitmap::clear(self.bitmaps.get_mut(io, geometry, Kind::Inodes, group)?, bit..bit + 1);
        self.change_group(geometry, group, |descriptor| {
            let free = descriptor.free_inodes_count.get().saturating_add(1);
            descriptor.free_inodes_count.set(free);
            if used_for == InodeUse::Directory {
                let dirs = descriptor.used_dirs_count.get().saturating_sub(1);
                descriptor.used_dirs_count.set(dirs);
            }
        });
        self.free_inodes += 1;
        Ok(())
    }

    /// Writes bitmaps and descriptors.
    pub(crate) fn write(&mut self, io: &dyn BlockIo, geometry: &Geometry) -> Result<(), Error> {
        self.bitmaps.write(io, geometry)?;
        let per_block = geometry.descriptors_per_block() as usize;
        for (table_block, descriptors) in self.descriptors.chunks(per_block).enumerate() {
            if self.dirty_table_blocks[table_block] {
                io.write(geometry.descriptor_offset(table_block as u32), descriptors.as_bytes())?;
                self.dirty_table_blocks[table_block] = false;
            }
        }
        Ok(())
    }

    fn change_group(&mut self, geometry: &Geometry, group: u32, change: impl FnOnce(&mut GroupDescriptor)) {
        change(&mut self.descriptors[group as usize]);
        self.dirty_table_blocks[(group / geometry.descriptors_per_block()) as usize] = true;
    }
}

/// Adds up the free blocks and inodes of all groups.
fn count_free(geometry: &Geometry, descriptors: &[GroupDescriptor]) -> Result<(u32, u32), MountError> {
    let (mut free_blocks, mut free_inodes) = (0u32, 0u32);
    for (group, descriptor) in descriptors.iter().enumerate() {
        let (blocks, inodes) = (descriptor.free_blocks_count.get(), descriptor.free_inodes_count.get());
        if u32::from(blocks) > geometry.group_length(group as u32) {
            return Err(MountError::Corrupt("a group has more free blocks than blocks"));
        }
        if u32::from(inodes) > geometry.inodes_per_group {
            return Err(MountError::Corrupt("a group has more free inodes than inodes"));
        }
        free_blocks += u32::from(blocks);
        free_inodes += u32::from(inodes);
    }
    Ok((free_blocks, free_inodes))
}

/// Splits a run at group borders, into groups and bits.
fn split(geometry: &Geometry, run: Run) -> impl Iterator<Item = (u32, core::ops::Range<u32>)> {
    let mut start = run.start;
    core::iter::from_fn(move || {
        if start >= run.end() {
            return None;
        }
        let (group, bit) = geometry.block_group(start);
        let length = (run.end() - start).min(geometry.group_length(group) - bit);
        start += length;
        Some((group, bit..bit + length))
    })
}

/// What a [`BlockFinder`] sees.
struct View<'a> {
    io: &'a dyn BlockIo,
    geometry: &'a Geometry,
    bitmaps: &'a mut Bitmaps,
    descriptors: &'a mut [GroupDescriptor],
    is_counted: &'a mut [bool],
    free_blocks: &'a mut u32,
    windows: &'a Windows,
}

impl FreeSpace for View<'_> {
    fn group_count(&self) -> u32 {
        self.geometry.group_count()
    }

    fn group_start(&self, group: u32) -> u32 {
        self.geometry.group_start(group)
    }

    fn group_length(&self, group: u32) -> u32 {
        self.geometry.group_length(group)
    }

    fn free_in_group(&self, group: u32) -> u32 {
        u32::from(self.descriptors[group as usize].free_blocks_count.get())
    }

    fn locate(&self, block: u32) -> (u32, u32) {
        let block = block.clamp(self.geometry.first_data_block, self.geometry.blocks_count - 1);
        self.geometry.block_group(block)
    }

    /// The first time, the bitmap itself corrects the free count of the descriptor: after a crash they may differ.
    fn bitmap(&mut self, group: u32) -> Result<&[u8], Error> {
        let bits = self.bitmaps.get(self.io, self.geometry, Kind::Blocks, group)?;
        if !core::mem::replace(&mut self.is_counted[group as usize], true) {
            let counted = bitmap::count_zeros(bits, 0..self.geometry.group_length(group));
            let field = &mut self.descriptors[group as usize].free_blocks_count;
            *self.free_blocks = self.free_blocks.saturating_sub(u32::from(field.get())) + counted;
            field.set(counted as u16);
        }
        Ok(bits)
    }

    fn blocked_until(&self, block: u32, owner: Ino) -> Option<u32> {
        self.windows.blocked_until(block, owner)
    }

    fn clip(&self, run: Run, owner: Ino) -> Run {
        self.windows.clip(run, owner)
    }
}
