//! Between the page cache and the blocks of an ext2 file.
//!
//! With blocks of a page (the usual size) pages go straight from the disk into their frames and back;
//! smaller blocks take the way over a buffer.

use super::{Volume, convert, disk};
use crate::{
    error::{Error, Result},
    fs::page_cache::{Backing, PageStore},
};
use abi::errno::Errno;
use alloc::{sync::Arc, vec::Vec};
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};
use ext2::{Ino, Mapping, Run};
use machine::{addr::PAGE_SIZE, mm::Frame};

/// The home of one file's pages.
pub(super) struct FilePages {
    volume: Arc<Volume>,
    ino: Ino,
    /// The size that the crate knows of; the page cache's is ahead only while a write is under way.
    size: AtomicU64,
}

const PAGE: u64 = PAGE_SIZE as u64;

impl FilePages {
    /// For a file of `size` bytes.
    pub(super) fn new(volume: Arc<Volume>, ino: Ino, size: u64) -> Self {
        Self { volume, ino, size: AtomicU64::new(size) }
    }

    /// Sets the size on the disk.
    pub(super) fn resize(&self, size: u64) -> Result<()> {
        self.volume.note_change();
        self.volume.core.truncate(self.ino, size).map_err(convert)?;
        self.size.store(size, Ordering::Release);
        Ok(())
    }

    /// Whether a page is one block.
    fn has_page_blocks(&self) -> bool {
        self.volume.block_size == PAGE
    }

    fn read_by_page(&self, first: u64, frames: &[Frame]) -> Result<()> {
        let mut done = 0;
        while done < frames.len() {
            let left = &frames[done..];
            let limit = u32::try_from(left.len()).unwrap_or(u32::MAX);
            match self.volume.core.map_blocks(self.ino, first + done as u64, limit).map_err(convert)? {
                Mapping::Data(run) => {
                    let count = (run.length as usize).clamp(1, left.len());
                    self.volume.disk.read_frames(u64::from(run.start) * PAGE, &left[..count])?;
                    done += count;
                }
                Mapping::Hole(blocks) => {
                    let count = usize::try_from(blocks).unwrap_or(usize::MAX).clamp(1, left.len());
                    left[..count].iter().for_each(|frame| frame.clear(0..PAGE_SIZE));
                    done += count;
                }
            }
        }
        self.clear_behind_end(first, frames);
        Ok(())
    }

    /// What lies on the disk behind the end of the file does not count.
    fn clear_behind_end(&self, first: u64, frames: &[Frame]) {
        let size = self.size.load(Ordering::Acquire);
        for (index, frame) in (first..).zip(frames) {
            let start = index * PAGE;
            if size < start + PAGE {
                frame.clear(size.saturating_sub(start) as usize..PAGE_SIZE);
            }
        }
    }

    fn write_by_page(&self, first: u64, frames: &[Frame]) -> Result<()> {
        let mut done = 0;
        while done < frames.len() {
            let left = &frames[done..];
            let limit = u32::try_from(left.len()).unwrap_or(u32::MAX);
            let mut count = 0;
            let mut fill = |run: Run| {
                count = (run.length as usize).clamp(1, left.len());
                let offset = u64::from(run.start) * PAGE;
                self.volume.disk.write_frames(offset, &left[..count]).map_err(disk::convert)
            };
            self.volume.core.fill_blocks(self.ino, first + done as u64, limit, &mut fill).map_err(convert)?;
            done += count;
        }
        Ok(())
    }
}

fn buffer_of(length: usize) -> Result<Vec<u8>> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(length).map_err(|_| Errno::ENOMEM)?;
    buffer.resize(length, 0);
    Ok(buffer)
}

impl PageStore for FilePages {
    fn backing(&self) -> Backing {
        Backing::Disk
    }

    fn sector_size(&self) -> u64 {
        self.volume.disk.sector_size()
    }

    fn memory_alignment(&self) -> u64 {
        self.volume.disk.memory_alignment()
    }

    fn read(&self, first: u64, frames: &[Frame]) -> Result<()> {
        if self.has_page_blocks() {
            return self.read_by_page(first, frames);
        }
        let mut buffer = buffer_of(frames.len() * PAGE_SIZE)?;
        let done = self.volume.core.read_at(self.ino, first * PAGE, &mut buffer).map_err(convert)?;
        buffer[done..].fill(0);
        for (frame, bytes) in frames.iter().zip(buffer.chunks_exact(PAGE_SIZE)) {
            frame.write(0, bytes);
        }
        Ok(())
    }

    fn write(&self, first: u64, frames: &[Frame], size: u64) -> Result<()> {
        let end = size.min((first + frames.len() as u64) * PAGE);
        let Some(length) = end.checked_sub(first * PAGE).filter(|&length| length > 0) else { return Ok(()) };
        self.volume.note_change();
        if self.size.load(Ordering::Acquire) < end {
            self.resize(end)?;
        }
        let frames = &frames[..length.div_ceil(PAGE) as usize];
        if self.has_page_blocks() {
            self.clear_behind_end(first, frames);
            return self.write_by_page(first, frames);
        }
        let mut buffer = buffer_of(length as usize)?;
        for (frame, bytes) in frames.iter().zip(buffer.chunks_mut(PAGE_SIZE)) {
            frame.read(0, bytes);
        }
        let done = self.volume.core.write_at(self.ino, first * PAGE, &buffer).map_err(convert)?;
        if done < buffer.len() {
            return Err(Error::new(Errno::ENOSPC, "the ext2 is full"));
        }
        Ok(())
    }

    fn reserve(&self, range: Range<u64>) -> Result<()> {
        self.volume.note_change();
        let before = self.size.load(Ordering::Acquire);
        if before < range.end {
            self.resize(range.end)?;
        }
        let block_size = self.volume.block_size;
        let (mut block, end) = (range.start / block_size, range.end.div_ceil(block_size));
        while block < end {
            let limit = u32::try_from(end - block).unwrap_or(u32::MAX);
            match self.volume.core.allocate_blocks(self.ino, block, limit) {
                Ok(run) => block += u64::from(run.length).max(1),
                Err(error) => {
                    if before < range.end {
                        // The file must not end in space that it could not get.
                        self.resize(before)?;
                    }
                    return Err(convert(error));
                }
            }
        }
        Ok(())
    }
}
