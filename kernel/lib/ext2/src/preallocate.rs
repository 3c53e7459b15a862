//! Space before there are contents: promised, for those that are in memory still, or taken and filled with zeros.
//!
//! No block becomes a file's before something was written to it, so a file never shows what lay on the disk before, also
//! after a power cut. Who keeps contents in memory for a while has space *promised*: a number of blocks that stay free, for
//! the contents and for the indirect blocks on the way to them, until the blocks are written and taken in one
//! ([`FileSystem::fill_blocks`]). A promise is forgotten with the mount, so the disk never knows of it.

use core::ops::Range;

use crate::block_map::Mapping;
use crate::error::Error;
use crate::geometry::Ino;
use crate::io::BlockIo;
use crate::mount::FileSystem;
use crate::space::Claim;

impl FileSystem {
    /// Promises space for those blocks of a file that are holes, and tells how many blocks of the disk that may take: to be
    /// given back by [`FileSystem::end_promise`] when they are written, or need not be. `neighbour` is a block of the same
    /// file before these for which there is a promise; so what both need for pointers is not counted twice.
    pub fn promise_blocks(&self, ino: Ino, blocks: Range<u64>, neighbour: Option<u64>) -> Result<u32, Error> {
        self.change(|| {
            let node = self.node(ino)?;
            let mut locked = self.lock(&node);
            let (mut cost, mut neighbour, mut next) = (0u32, neighbour, blocks.start);
            while next < blocks.end {
                let limit = u32::try_from(blocks.end - next).unwrap_or(u32::MAX);
                match self.map(&mut locked, next, limit)? {
                    Mapping::Data(run) => next += u64::from(run.length),
                    Mapping::Hole(_) => {
                        let needed = 1 + self.missing_on_way(&mut locked, next, neighbour)?;
                        cost = cost.checked_add(needed).ok_or(Error::NoSpace)?;
                        neighbour = Some(next);
                        next += 1;
                    }
                }
            }
            if cost > 0 {
                let reserved = match self.free_claim() {
                    Claim::Free { reserved } => reserved,
                    Claim::Promised => 0,
                };
                self.space.lock().promise(cost, reserved)?;
            }
            Ok(cost)
        })
    }

    /// Ends a promise of so many blocks.
    pub fn end_promise(&self, blocks: u32) {
        self.space.lock().end_promise(blocks);
    }

    /// Gives a range of a regular file, below its size, blocks that are zero where it has none. If that fails, what was
    /// taken so far stays.
    pub fn preallocate(&self, ino: Ino, blocks: Range<u64>) -> Result<(), Error> {
        let mut next = blocks.start;
        while next < blocks.end {
            let limit = u32::try_from(blocks.end - next).unwrap_or(u32::MAX);
            next += self.change(|| self.preallocate_some(ino, next, limit))?;
        }
        Ok(())
    }

    /// Does so for as many blocks as lie side by side, and tells how many those are.
    fn preallocate_some(&self, ino: Ino, file_block: u64, limit: u32) -> Result<u64, Error> {
        let node = self.node(ino)?;
        let mut locked = self.lock(&node);
        let limit = self.blocks_inside(&locked, file_block, limit)?;
        if let Mapping::Data(run) = self.map(&mut locked, file_block, limit)? {
            return Ok(run.length.into());
        }
        let run = self.allocate(&mut locked, file_block, limit, self.free_claim(), &mut |run| {
            let length = u64::from(run.length) << self.geometry.block_bits;
            self.io.zero_data(self.geometry.offset(run.start), length)?;
            // With a journal, the flush of the commit comes before the file has them.
            if self.io.is_running() { Ok(()) } else { Ok(self.io.flush()?) }
        })?;
        Ok(run.length.into())
    }
}
