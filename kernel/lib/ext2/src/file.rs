//! The contents of regular files.
//!
//! Reads and writes go from and to the caller's memory in runs of contiguous blocks. A hole reads as zeros; writing
//! into one allocates. The bytes between the end of a file and the end of its last block are kept zero.

use crate::attributes::FileKind;
use crate::block_map::Mapping;
use crate::error::Error;
use crate::geometry::{Ino, Run};
use crate::io::{BlockIo, IoError};
use crate::mount::FileSystem;
use crate::node::Locked;
use crate::space::Claim;

/// What [`FileSystem::seek`] looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// The next byte that is not in a hole (SEEK_DATA).
    Data,
    /// The next byte in a hole; the end of the file is one (SEEK_HOLE).
    Hole,
}

impl FileSystem {
    /// Reads from a regular file; less than asked for only at its end. The access time is the caller's to change.
    pub fn read_at(&self, ino: Ino, offset: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        self.watch(|| {
            let node = self.node(ino)?;
            let mut locked = self.lock(&node);
            require_regular(&locked)?;
            let rest = locked.inode.size().saturating_sub(offset);
            let length = usize::try_from(rest).unwrap_or(usize::MAX).min(buffer.len());
            let mut done = 0;
            while done < length {
                done += self.read_piece(&mut locked, offset + done as u64, &mut buffer[done..length])?;
            }
            Ok(length)
        })
    }

    /// Reads what is contiguous, and returns how much that is.
    fn read_piece(&self, locked: &mut Locked<'_>, offset: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        let (file_block, in_block) = self.split(offset);
        let wanted = self.blocks_between(in_block, buffer.len());
        match self.map(locked, file_block, wanted)? {
            Mapping::Data(run) => {
                let length = self.run_bytes(run, in_block).min(buffer.len());
                let start = self.geometry.offset(run.start) + in_block as u64;
                self.io.read_data(start, &mut buffer[..length])?;
                Ok(length)
            }
            Mapping::Hole(blocks) => {
                let bytes = (blocks << self.geometry.block_bits) - in_block as u64;
                let length = usize::try_from(bytes).unwrap_or(usize::MAX).min(buffer.len());
                buffer[..length].fill(0);
                Ok(length)
            }
        }
    }

    /// Writes to a regular file, which grows as needed. Less than asked for is written only if space or the
    /// largest size runs out in between.
    pub fn write_at(&self, ino: Ino, offset: u64, data: &[u8]) -> Result<usize, Error> {
        self.write_for(ino, offset, data, self.free_claim())
    }

    /// Like [`FileSystem::write_at`], for a range for which space was promised ([`FileSystem::promise_blocks`]).
    pub fn write_promised(&self, ino: Ino, offset: u64, data: &[u8]) -> Result<usize, Error> {
        self.write_for(ino, offset, data, Claim::Promised)
    }

    fn write_for(&self, ino: Ino, offset: u64, data: &[u8], claim: Claim) -> Result<usize, Error> {
        self.change(|| {
            let node = self.node(ino)?;
            let mut locked = self.lock(&node);
            require_regular(&locked)?;
            if data.is_empty() {
                return Ok(0);
            }
            let room = self.geometry.max_file_size().checked_sub(offset).filter(|&room| room > 0);
            let room = usize::try_from(room.ok_or(Error::FileTooLarge)?).unwrap_or(usize::MAX);
            self.write_locked(&mut locked, offset, &data[..data.len().min(room)], claim)
        })
    }

    fn write_locked(
        &self,
        locked: &mut Locked<'_>,
        offset: u64,
        data: &[u8],
        claim: Claim,
    ) -> Result<usize, Error> {
        let old_size = locked.inode.size();
        if offset > old_size {
            self.clear_tail(locked, old_size)?;
        }
        let mut done = 0;
        let mut result = Ok(());
        while done < data.len() {
            match self.write_piece(locked, offset + done as u64, &data[done..], claim) {
                Ok(length) => done += length,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        let end = offset + done as u64;
        if done > 0 {
            let now = self.context.now();
            let inode = locked.inode_mut();
            inode.set_modified(now);
            inode.set_changed(now);
            if end > old_size {
                self.set_size(locked, end);
            }
        }
        match result {
            Err(error) if done == 0 => Err(error),
            _ => Ok(done),
        }
    }

    /// Writes what is contiguous, and returns how much that is.
    fn write_piece(
        &self,
        locked: &mut Locked<'_>,
        offset: u64,
        data: &[u8],
        claim: Claim,
    ) -> Result<usize, Error> {
        let (file_block, in_block) = self.split(offset);
        let wanted = self.blocks_between(in_block, data.len());
        let write = |run: Run| {
            let length = self.run_bytes(run, in_block).min(data.len());
            let start = self.geometry.offset(run.start) + in_block as u64;
            self.io.write_data(start, &data[..length]).map(|()| length)
        };
        if let Mapping::Data(run) = self.map(locked, file_block, wanted)? {
            return Ok(write(run)?);
        }
        let mut length = 0;
        self.allocate(locked, file_block, wanted, claim, &mut |run| {
            length = write(run)?;
            let end_in_block = (in_block + length) % self.geometry.block_size();
            self.write_zeros(run.start, 0..in_block)?;
            if end_in_block != 0 {
                self.write_zeros(run.end() - 1, end_in_block..self.geometry.block_size())?;
            }
            Ok(())
        })?;
        Ok(length)
    }

    /// Writes to blocks of a file below its size: finds where they lie, or for a hole, for which space was promised
    /// ([`FileSystem::promise_blocks`]), takes new ones, as many as are free side by side up to `limit`, and has `fill` write
    /// there what belongs there, with zeros behind the end of the file. The file has new blocks only after that.
    pub fn fill_blocks(
        &self,
        ino: Ino,
        file_block: u64,
        limit: u32,
        fill: &mut dyn FnMut(Run) -> Result<(), IoError>,
    ) -> Result<Run, Error> {
        self.change(|| {
            let node = self.node(ino)?;
            let mut locked = self.lock(&node);
            let limit = self.blocks_inside(&locked, file_block, limit)?;
            match self.map(&mut locked, file_block, limit)? {
                Mapping::Data(run) => {
                    drop(locked);
                    fill(run)?;
                    Ok(run)
                }
                Mapping::Hole(_) => {
                    let mut fill = |run| Ok(fill(run)?);
                    self.allocate(&mut locked, file_block, limit, Claim::Promised, &mut fill)
                }
            }
        })
    }

    /// `limit`, or what there is below the size of a regular file if that is less.
    pub(crate) fn blocks_inside(
        &self,
        locked: &Locked<'_>,
        file_block: u64,
        limit: u32,
    ) -> Result<u32, Error> {
        require_regular(locked)?;
        let rest = self.geometry.blocks_for(locked.inode.size()).saturating_sub(file_block);
        let limit = limit.min(u32::try_from(rest).unwrap_or(u32::MAX));
        if limit == 0 { Err(Error::InvalidArgument) } else { Ok(limit) }
    }

    /// Where, from `offset` on, the file next has data or a hole. `None` if `offset` is at or behind the end, or
    /// no data follows (ENXIO).
    pub fn seek(&self, ino: Ino, offset: u64, target: Seek) -> Result<Option<u64>, Error> {
        self.watch(|| {
            let node = self.node(ino)?;
            let mut locked = self.lock(&node);
            require_regular(&locked)?;
            let size = locked.inode.size();
            let mut position = offset;
            while position < size {
                let (file_block, _) = self.split(position);
                let (found, blocks) = match self.map(&mut locked, file_block, u32::MAX)? {
                    Mapping::Data(run) => (Seek::Data, u64::from(run.length)),
                    Mapping::Hole(blocks) => (Seek::Hole, blocks),
                };
                if found == target {
                    return Ok(Some(position));
                }
                position = (file_block + blocks) << self.geometry.block_bits;
            }
            Ok((target == Seek::Hole && offset < size).then_some(size))
        })
    }

    /// The block of a file that holds an offset, and the place in it.
    fn split(&self, offset: u64) -> (u64, usize) {
        let in_block = offset & (self.geometry.block_size() as u64 - 1);
        (offset >> self.geometry.block_bits, in_block as usize)
    }

    /// How many blocks `length` bytes touch that begin at `in_block`.
    fn blocks_between(&self, in_block: usize, length: usize) -> u32 {
        let blocks = self.geometry.blocks_for(in_block as u64 + length as u64);
        u32::try_from(blocks).unwrap_or(u32::MAX)
    }

    /// How many bytes a run has from `in_block` on.
    fn run_bytes(&self, run: Run, in_block: usize) -> usize {
        ((run.length as usize) << self.geometry.block_bits) - in_block
    }
}

fn require_regular(locked: &Locked<'_>) -> Result<(), Error> {
    match locked.inode.kind() {
        FileKind::Regular => Ok(()),
        FileKind::Directory => Err(Error::IsDirectory),
        _ => Err(Error::InvalidArgument),
    }
}
