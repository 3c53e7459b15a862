//! Between the page cache and the blocks of an ext2 file.
//!
//! A page over a hole is promised its space when it becomes dirty; it gets blocks when it is written to them, so that no
//! file ever shows what lay there before, and so that what is written together lies together. With blocks of a page (the usual size) pages go straight from the disk into their frames and back;
//! smaller blocks take the way over a buffer.

use super::{Volume, convert, disk};
use crate::{
    error::{Error, Result},
    fs::page_cache::{Backing, PageStore},
    sync::Mutex,
};
use abi::errno::Errno;
use alloc::{sync::Arc, vec::Vec};
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};
use ext2::{Attributes, Ino, Mapping, Run};
use id_map::IdMap;
use machine::{addr::PAGE_SIZE, mm::Frame, sync::SpinLock};

/// The home of one file's pages.
pub(super) struct FilePages {
    volume: Arc<Volume>,
    ino: Ino,
    /// The size that the crate knows of; the page cache's is never ahead of it.
    size: AtomicU64,
    /// Held while the size changes, and by whoever goes by it in changing frames.
    resizing: Mutex<()>,
    /// `st_blocks` of what has blocks.
    sectors: AtomicU64,
    /// The pages that have no blocks yet, and what the file system keeps free for each.
    promises: SpinLock<IdMap<u64, u32>>,
}

const PAGE: u64 = PAGE_SIZE as u64;
/// The unit of `st_blocks`.
const SECTOR: u64 = 512;

impl FilePages {
    /// For the file with these attributes.
    pub(super) fn new(volume: Arc<Volume>, attributes: &Attributes) -> Self {
        Self {
            volume,
            ino: attributes.ino,
            size: AtomicU64::new(attributes.size),
            resizing: Mutex::new("ext2-resizing", ()),
            sectors: AtomicU64::new(attributes.sectors),
            promises: SpinLock::new("ext2-promises", IdMap::new()),
        }
    }

    /// The space that it takes, in units of 512 bytes, with what was promised for pages.
    pub(super) fn sectors(&self) -> u64 {
        let pages = self.promises.lock().len() as u64;
        self.sectors.load(Ordering::Acquire) + pages * (PAGE / SECTOR)
    }

    /// Takes note of attributes that are new.
    pub(super) fn note(&self, attributes: &Attributes) {
        self.sectors.store(attributes.sectors, Ordering::Release);
    }

    /// Sets the size on the disk.
    pub(super) fn resize(&self, size: u64) -> Result<()> {
        let _resizing = self.resizing.lock();
        self.set_size(size)
    }

    /// Makes the file longer if it is shorter. Tells how long it was.
    fn grow(&self, size: u64) -> Result<u64> {
        let _resizing = self.resizing.lock();
        let before = self.size.load(Ordering::Acquire);
        if before < size {
            self.set_size(size)?;
        }
        Ok(before)
    }

    /// `resizing` is held.
    fn set_size(&self, size: u64) -> Result<()> {
        self.volume.note_change();
        self.volume.core.truncate(self.ino, size).map_err(convert)?;
        self.size.store(size, Ordering::Release);
        self.end_promises(size.div_ceil(PAGE)..u64::MAX);
        Ok(())
    }

    /// Gives a range of the file blocks with zeros where it has none, but for pages that are in memory. The file grows to the
    /// range's end if that is behind its own.
    pub(super) fn preallocate(&self, range: Range<u64>) -> Result<()> {
        self.volume.note_change();
        let before = self.grow(range.end)?;
        let block_size = self.volume.block_size;
        let blocks = range.start / block_size..range.end.div_ceil(block_size);
        let outcome = self.preallocate_unpromised(blocks);
        if outcome.is_err() && before < range.end {
            self.resize(before)?;
        }
        outcome
    }

    fn preallocate_unpromised(&self, blocks: Range<u64>) -> Result<()> {
        let per_page = (PAGE / self.volume.block_size).max(1);
        let mut next = blocks.start;
        while next < blocks.end {
            let page = next / per_page;
            let promised = self.promises.lock().iter_from(page).next().map(|(page, _)| page);
            if promised == Some(page) {
                next = (page + 1) * per_page;
                continue;
            }
            let end = promised.map_or(blocks.end, |page| blocks.end.min(page * per_page));
            self.volume.core.preallocate(self.ino, next..end).map_err(convert)?;
            next = end;
        }
        Ok(())
    }

    /// The pages of a range have blocks, or need none.
    fn end_promises(&self, range: Range<u64>) {
        let mut ended = 0;
        let mut promises = self.promises.lock();
        while let Some((page, &cost)) = promises.iter_range(range.clone()).next() {
            promises.remove(page);
            ended += cost;
        }
        drop(promises);
        if ended > 0 {
            self.volume.core.end_promise(ended);
        }
    }

    /// Has space kept free for the blocks of a range within a page that are holes.
    fn promise(&self, page: u64, range: Range<u64>) -> core::result::Result<(), ext2::Error> {
        let block_size = self.volume.block_size;
        let known = {
            let promises = self.promises.lock();
            let before = promises.iter_to(page).next_back().map(|(page, _)| page);
            (promises.contains_key(page), before)
        };
        if known.0 && self.has_page_blocks() {
            return Ok(());
        }
        let _not_while_written = (!self.has_page_blocks()).then(|| self.resizing.lock());
        let neighbour = known.1.map(|page| (page + 1) * (PAGE / block_size) - 1);
        let blocks = range.start / block_size..range.end.div_ceil(block_size);
        let cost = self.volume.core.promise_blocks(self.ino, blocks, neighbour)?;
        if cost > 0
            && let Some(old) = self.promises.lock().insert(page, cost)
        {
            self.volume.core.end_promise(old);
        }
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

    /// What lies on the disk, or what a program stored, behind the end of the file does not count.
    fn clear_behind_end(&self, first: u64, frames: &[Frame]) {
        let size = self.size.load(Ordering::Acquire);
        if size >= (first + frames.len() as u64) * PAGE {
            return;
        }
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
        self.grow(end)?;
        let frames = &frames[..length.div_ceil(PAGE) as usize];
        let pages = first..first + frames.len() as u64;
        if self.has_page_blocks() {
            {
                // Who makes the file longer stores to these frames afterwards.
                let _resizing = self.resizing.lock();
                self.clear_behind_end(first, frames);
            }
            self.write_by_page(first, frames)?;
            self.end_promises(pages);
        } else {
            // A page may be promised more blocks than are written here, but not meanwhile.
            let _resizing = self.resizing.lock();
            self.write_by_buffer(first, frames, length as usize)?;
            self.end_promises(pages);
        }
        self.note(&self.volume.core.read_inode(self.ino).map_err(convert)?);
        Ok(())
    }

    fn reserve(&self, range: Range<u64>) -> Result<()> {
        self.volume.note_change();
        let before = self.grow(range.end)?;
        let outcome = (range.start / PAGE..range.end.div_ceil(PAGE)).try_for_each(|page| {
            let part = range.start.max(page * PAGE)..range.end.min((page + 1) * PAGE);
            match self.promise(page, part.clone()) {
                // What is left is not enough for the worst case, but may be for this one.
                Err(ext2::Error::NoSpace) => self.preallocate(part),
                outcome => outcome.map_err(convert),
            }
        });
        if outcome.is_err() && before < range.end {
            // The file must not end in space that it could not get.
            self.resize(before)?;
        }
        outcome
    }
}

impl FilePages {
    fn write_by_buffer(&self, first: u64, frames: &[Frame], length: usize) -> Result<()> {
        let mut buffer = buffer_of(length)?;
        for (frame, bytes) in frames.iter().zip(buffer.chunks_mut(PAGE_SIZE)) {
            frame.read(0, bytes);
        }
        let done = self.volume.core.write_promised(self.ino, first * PAGE, &buffer).map_err(convert)?;
        if done < buffer.len() {
            return Err(Error::new(Errno::ENOSPC, "the ext2 is full"));
        }
        Ok(())
    }
}

impl Drop for FilePages {
    fn drop(&mut self) {
        self.end_promises(0..u64::MAX);
    }
}
