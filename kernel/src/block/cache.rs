//! A disk's blocks in memory: for a file system's own structures and for device files.
//!
//! (The contents of regular files are in `fs::page_cache` and pass by here: [`BlockCache::read_frames`].)
//! Reading and writing is by bytes, at any offset. A cached block has 4 KiB; which of its sectors are valid and
//! which are dirty (newer than the disk) is kept for each sector, so that nothing is read only to be
//! overwritten and nothing is written that was not changed. Dirty sectors reach the disk by
//! [`flush`](BlockCache::flush), by the flusher thread after some seconds, and when the cache is full.
//!
//! Locks, in this order: `writing`, `blocks` (which blocks are there), a block's own. Reads from the disk
//! hold only the block's.

use super::{Batch, Durability, Operation, Priority, Segment, extent::Extent, extent::with_frames};
use crate::error::{Error, Result};
use crate::mm;
use crate::sync::Mutex;
use abi::errno::Errno;
use alloc::{sync::Arc, vec, vec::Vec};
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use id_map::IdMap;
use machine::addr::PAGE_SIZE;
use machine::mm::Frame;
use machine::sync::SpinLock;

const BLOCK: u64 = PAGE_SIZE as u64;

/// Blocks that a cache keeps at most, when they can be dropped: 8 MiB.
const MAX_BLOCKS: usize = 2048;

/// Blocks that are written by one batch of transfers.
const MAX_RUN: usize = 64;

/// Blocks that one request reads at most.
const MAX_READ: usize = 32;

/// Blocks that all caches have in memory, those included that are just being given back.
static BLOCKS: AtomicUsize = AtomicUsize::new(0);

/// How many blocks all caches have in memory, a frame each.
pub(super) fn count() -> usize {
    BLOCKS.load(Ordering::Relaxed)
}

/// The blocks of one disk. See the module.
pub(crate) struct BlockCache {
    disk: Arc<Extent>,
    /// Held while dirty sectors are on their way to the disk, and by whoever must not be overtaken by them.
    writing: Mutex<()>,
    blocks: Mutex<IdMap<u64, Arc<Block>>>,
    /// Which blocks have dirty sectors. Changed with the block's lock held.
    dirty: SpinLock<IdMap<u64, ()>>,
    /// A write failed; the next flush says so.
    has_failed: AtomicBool,
}

/// A cached block.
struct Block {
    contents: Mutex<Contents>,
    /// It was used since the last look for blocks to drop.
    is_recent: AtomicBool,
}

impl Block {
    /// An empty one.
    fn new() -> Result<Arc<Block>> {
        let contents = Contents { frame: mm::allocate_zeroed()?, valid: 0, dirty: 0, version: 0 };
        BLOCKS.fetch_add(1, Ordering::Relaxed);
        let contents = Mutex::new("cached-block", contents);
        Ok(Arc::new(Block { contents, is_recent: AtomicBool::new(true) }))
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        BLOCKS.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Contents {
    frame: Frame,
    /// Bit n: sector n holds what the disk holds, or something newer.
    valid: u8,
    /// Bit n: sector n is newer than the disk.
    dirty: u8,
    /// Counts changes, so that who reads from the disk without the lock notices them.
    version: u32,
}

impl BlockCache {
    pub(super) fn new(disk: Arc<Extent>) -> Arc<Self> {
        let cache = Arc::new(Self {
            disk,
            writing: Mutex::new("block-cache-writing", ()),
            blocks: Mutex::new("block-cache", IdMap::new()),
            dirty: SpinLock::new("block-cache-dirty", IdMap::new()),
            has_failed: AtomicBool::new(false),
        });
        super::flusher::register(&cache);
        cache
    }

    /// The disk behind it.
    pub(crate) fn disk(&self) -> &Arc<Extent> {
        &self.disk
    }

    /// Whether something in it is newer than the disk.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty_count() != 0
    }

    /// How many blocks have something that is newer than the disk.
    pub(super) fn dirty_count(&self) -> usize {
        self.dirty.lock().len()
    }

    /// Fills `buffer` with the bytes at `offset`.
    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.check(offset, buffer.len() as u64)?;
        let wanted = block_range(offset, buffer.len() as u64);
        for (index, within, part) in blocks_of(offset, buffer.len()) {
            if (index - wanted.start).is_multiple_of(MAX_READ as u64) {
                // Blocks that this could not read are read by themselves, and only what cannot be had is an error.
                let _ = self.read_ahead(index..wanted.end.min(index + MAX_READ as u64));
            }
            let block = self.block(index)?;
            let mut contents = block.contents.lock();
            self.validate(index, &mut contents, self.sectors(within..within + part.len()))?;
            contents.frame.read(within, &mut buffer[part]);
        }
        Ok(())
    }

    /// Stores `data` at `offset`, in memory for the time being.
    pub(crate) fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.check(offset, data.len() as u64)?;
        for (index, within, part) in blocks_of(offset, data.len()) {
            let range = within..within + part.len();
            let touched = self.sectors(range.clone());
            let block = self.block(index)?;
            let mut contents = block.contents.lock();
            self.validate(index, &mut contents, touched & !self.whole_sectors(range))?;
            contents.frame.write(within, &data[part]);
            contents.valid |= touched;
            contents.version = contents.version.wrapping_add(1);
            self.set_dirty(index, &mut contents, |dirty| dirty | touched);
        }
        Ok(())
    }

    /// Fills whole frames from the disk past the cache; what is newer in the cache is written first.
    pub(crate) fn read_frames(&self, offset: u64, frames: &[Frame]) -> Result<()> {
        if self.is_dirty() {
            self.write_back(block_range(offset, frames.len() as u64 * BLOCK), Priority::Urgent)?;
        }
        self.disk.read_frames(offset, frames)
    }

    /// Writes whole frames to the disk past the cache, which forgets what it has of the range.
    pub(crate) fn write_frames(&self, offset: u64, frames: &[Frame]) -> Result<()> {
        self.forget(offset, frames.len() as u64 * BLOCK);
        self.disk.write_frames(offset, frames)
    }

    /// Fills `buffer` from the disk past the cache; what is newer in the cache is written first.
    pub(super) fn read_past(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        if self.is_dirty() {
            self.write_back(block_range(offset, buffer.len() as u64), Priority::Urgent)?;
        }
        self.disk.read(offset, buffer)
    }

    /// Writes whole sectors to the disk past the cache.
    pub(super) fn write_past(&self, offset: u64, data: &[u8], durability: Durability) -> Result<()> {
        self.change_on_disk(offset, data.len() as u64, || self.disk.write(offset, data, durability))
    }

    /// Fills whole sectors with zeros past the cache, by the device if it can do that.
    pub(crate) fn write_zeroes(&self, offset: u64, length: u64) -> Result<()> {
        self.change_on_disk(offset, length, || self.disk.write_zeroes(offset, length))
    }

    /// Changes whole sectors of the disk past the cache, which forgets what it has of them: before, so that it
    /// writes none of it later, and after, as somebody may have read meanwhile.
    pub(super) fn change_on_disk(
        &self,
        offset: u64,
        length: u64,
        change: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        self.forget(offset, length);
        let outcome = change();
        self.forget(offset, length);
        outcome
    }

    /// The bytes of a range mean nothing any more: sectors that lie in it are dropped without being written.
    pub(crate) fn forget(&self, offset: u64, length: u64) {
        let Some(end) = offset.checked_add(length) else { return };
        let _writing = self.writing.lock();
        for (index, block) in self.cached(block_range(offset, length)) {
            let start = index * BLOCK;
            let range = offset.max(start) - start..end.min(start + BLOCK) - start;
            let gone = self.whole_sectors(range.start as usize..range.end as usize);
            let mut contents = block.contents.lock();
            contents.valid &= !gone;
            contents.version = contents.version.wrapping_add(1);
            self.set_dirty(index, &mut contents, |dirty| dirty & !gone);
        }
    }

    /// Writes everything that is newer to the disk and has the disk make it safe.
    pub(crate) fn flush(&self) -> Result<()> {
        let outcome = self.write_back(0..u64::MAX, Priority::Urgent);
        let has_failed = self.has_failed.swap(false, Ordering::AcqRel);
        outcome?;
        if has_failed {
            return Err(Error::new(Errno::EIO, "an earlier write failed"));
        }
        self.disk.flush()
    }

    /// Writes what is newer to the disk, which may keep it in a cache of its own. Sectors are clean from then on; if a
    /// write fails, that is reported and what it was to write is lost, as a disk that refuses a sector will refuse it
    /// again. All other sectors are written.
    pub(crate) fn write_back(&self, range: Range<u64>, priority: Priority) -> Result<()> {
        let _writing = self.writing.lock();
        let mut outcome = Ok(());
        let blocks = self.dirty_blocks(range);
        for blocks in blocks.chunks(MAX_RUN) {
            let mut batch = self.disk.batch(priority);
            let mut taken = Vec::new();
            for (index, block) in blocks {
                let mut contents = block.contents.lock();
                if contents.dirty != 0 {
                    outcome = outcome.and(self.gather(*index, &contents, &mut batch, &mut taken));
                    self.set_dirty(*index, &mut contents, |_| 0);
                }
            }
            if batch.wait().is_err() {
                outcome = outcome.and(self.write_sectors(&taken));
            }
        }
        if outcome.is_err() {
            self.has_failed.store(true, Ordering::Release);
        }
        outcome
    }

    /// Writes the dirty sectors of blocks one by one, as something among them cannot be written.
    fn write_sectors(&self, taken: &[Taken]) -> Result<()> {
        let mut outcome = Ok(());
        for block in taken {
            for sector in (0..8).filter(|sector| block.dirty & 1 << sector != 0) {
                let mut batch = self.disk.batch(Priority::Urgent);
                let only = Taken { dirty: 1 << sector, ..block.clone() };
                outcome = outcome.and(self.add(&only, &mut batch)).and(batch.wait());
            }
        }
        outcome
    }

    /// Adds a block's dirty sectors to a batch of writes, as they are at this moment; writes them at once if there is no
    /// memory to keep them.
    fn gather(
        &self,
        index: u64,
        contents: &Contents,
        batch: &mut Batch<'_>,
        taken: &mut Vec<Taken>,
    ) -> Result<()> {
        let take = |frame: &Frame| {
            frame.copy_from(&contents.frame);
            Taken { index, frame: frame.clone(), dirty: contents.dirty }
        };
        match Frame::allocate() {
            Ok(frame) => {
                let block = take(&frame);
                self.add(&block, batch)?;
                taken.push(block);
                Ok(())
            }
            Err(_) => with_frames(PAGE_SIZE, |frames| self.write_sectors(&[take(&frames[0])])),
        }
    }

    /// Adds the dirty sectors of a block to a batch, a transfer for each stretch of them.
    fn add(&self, block: &Taken, batch: &mut Batch<'_>) -> Result<()> {
        let (size, sectors) = (self.sector_size(), PAGE_SIZE / self.sector_size());
        let mut sector = 0;
        while sector < sectors {
            let end = (sector..sectors).find(|&at| block.dirty & 1 << at == 0).unwrap_or(sectors);
            if end > sector {
                let (offset, length) = ((sector * size) as u32, ((end - sector) * size) as u32);
                let segments = vec![Segment { frame: block.frame.clone(), offset, length }];
                let operation = Operation::Write(Durability::Cached);
                self.disk.add(batch, operation, block.index * BLOCK + u64::from(offset), segments)?;
            }
            sector = end + 1;
        }
        Ok(())
    }

    /// Drops up to `wanted` clean blocks that nobody uses, waiting for no lock; tells how many.
    pub(super) fn reclaim(&self, wanted: usize) -> usize {
        let Some(mut blocks) = self.blocks.try_lock() else { return 0 };
        let mut freed = 0;
        for _ in 0..2 {
            blocks.retain(|_, block| {
                let goes = freed < wanted
                    && Arc::strong_count(block) == 1
                    && !block.is_recent.swap(false, Ordering::Relaxed)
                    && block.contents.try_lock().is_some_and(|contents| contents.dirty == 0);
                freed += usize::from(goes);
                !goes
            });
        }
        freed
    }

    /// Drops clean blocks, first those not used lately, until `keep` are left or none can go.
    pub(crate) fn shrink(&self, keep: usize) {
        for _ in 0..2 {
            let mut blocks = self.blocks.lock();
            let mut excess = blocks.len().saturating_sub(keep);
            blocks.retain(|_, block| {
                // A block that somebody else refers to is in use.
                let is_free = excess > 0 && Arc::strong_count(block) == 1;
                let goes = is_free
                    && !block.is_recent.swap(false, Ordering::Relaxed)
                    // Nobody holds its lock, then. (Those of blocks come before that of the cache.)
                    && block.contents.try_lock().is_some_and(|contents| contents.dirty == 0);
                excess -= usize::from(goes);
                !goes
            });
        }
    }

    fn block(&self, index: u64) -> Result<Arc<Block>> {
        if let Some(block) = self.blocks.lock().get(index) {
            block.is_recent.store(true, Ordering::Relaxed);
            return Ok(block.clone());
        }
        // Without the lock, under which blocks are given back.
        let new = Block::new()?;
        let mut blocks = self.blocks.lock();
        let is_full = blocks.len() >= MAX_BLOCKS;
        // Somebody else may have been faster.
        let block = blocks.get_or_insert_with(index, || new).clone();
        drop(blocks);
        if is_full {
            // An error of other blocks is told by the next flush.
            let _ = self.write_back(0..u64::MAX, Priority::Normal);
            self.shrink(MAX_BLOCKS * 3 / 4);
        }
        Ok(block)
    }

    /// The blocks of a range that are there, in order.
    fn cached(&self, range: Range<u64>) -> Vec<(u64, Arc<Block>)> {
        let blocks = self.blocks.lock();
        blocks.iter_range(range).map(|(index, block)| (index, block.clone())).collect()
    }

    /// The blocks of a range that have dirty sectors, in order.
    fn dirty_blocks(&self, range: Range<u64>) -> Vec<(u64, Arc<Block>)> {
        let dirty: Vec<u64> = self.dirty.lock().iter_range(range).map(|(index, ())| index).collect();
        let blocks = self.blocks.lock();
        // Only clean blocks are dropped.
        dirty.into_iter().filter_map(|index| Some((index, blocks.get(index)?.clone()))).collect()
    }

    /// Reads the blocks of a range of which nothing is here, by as few requests as possible. The blocks are not
    /// locked meanwhile; one that is changed keeps its change.
    fn read_ahead(&self, range: Range<u64>) -> Result<()> {
        // The last block may be cut by the end of the disk; it is read by itself.
        let end = range.end.min(self.disk.size_bytes() / BLOCK);
        let mut run: Vec<(Arc<Block>, u32)> = Vec::new();
        for index in range.start..end.max(range.start) {
            let block = self.block(index)?;
            let contents = block.contents.lock();
            let (is_empty, version) = (contents.valid == 0, contents.version);
            drop(contents);
            if is_empty {
                run.push((block, version));
            } else {
                self.fill(index, &mut run)?;
            }
        }
        self.fill(end, &mut run)
    }

    /// Reads the blocks of a run, the last of which is before block `end`.
    fn fill(&self, end: u64, run: &mut Vec<(Arc<Block>, u32)>) -> Result<()> {
        // A single block is read as well when it is used.
        if run.len() < 2 {
            run.clear();
            return Ok(());
        }
        let frames = run.iter().map(|_| mm::allocate()).collect::<core::result::Result<Vec<_>, _>>()?;
        self.disk.read_frames((end - run.len() as u64) * BLOCK, &frames)?;
        for ((block, version), frame) in run.drain(..).zip(frames) {
            let mut contents = block.contents.lock();
            if contents.version == version && contents.valid == 0 {
                contents.frame = frame;
                contents.valid = self.sectors(0..PAGE_SIZE);
            }
        }
        Ok(())
    }

    /// Reads sectors that are not valid yet.
    fn validate(&self, index: u64, contents: &mut Contents, wanted: u8) -> Result<()> {
        if wanted & !contents.valid == 0 {
            return Ok(());
        }
        // One read of the whole block (as far as the disk goes) costs no more than one of a sector.
        let start = index * BLOCK;
        let length = (self.disk.size_bytes() - start).min(BLOCK) as usize;
        let mut buffer = vec![0; length];
        let size = self.sector_size();
        let mut missing = self.sectors(0..length) & !contents.valid;
        if self.disk.read(start, &mut buffer).is_err() {
            // A neighbour that cannot be read is no reason.
            missing = wanted & !contents.valid;
            for sector in (0..length / size).filter(|sector| missing & 1 << sector != 0) {
                self.disk.read(start + (sector * size) as u64, &mut buffer[sector * size..][..size])?;
            }
        }
        for sector in (0..length / size).filter(|sector| missing & 1 << sector != 0) {
            contents.frame.write(sector * size, &buffer[sector * size..][..size]);
        }
        contents.valid |= missing;
        Ok(())
    }

    fn set_dirty(&self, index: u64, contents: &mut Contents, change: impl FnOnce(u8) -> u8) {
        let new = change(contents.dirty);
        match (contents.dirty, new) {
            (0, 1..) => self.dirty.lock().insert(index, ()),
            (1.., 0) => self.dirty.lock().remove(index),
            _ => None,
        };
        contents.dirty = new;
    }

    fn check(&self, offset: u64, length: u64) -> Result<()> {
        match offset.checked_add(length) {
            Some(end) if end <= self.disk.size_bytes() => Ok(()),
            _ => Err(Error::new(Errno::EIO, "beyond the end of the disk")),
        }
    }

    fn sector_size(&self) -> usize {
        self.disk.block_size() as usize
    }

    /// The sectors that a range of bytes in a block touches.
    fn sectors(&self, range: Range<usize>) -> u8 {
        let size = self.sector_size();
        mask(range.start / size..range.end.div_ceil(size))
    }

    /// The sectors that a range of bytes in a block covers.
    fn whole_sectors(&self, range: Range<usize>) -> u8 {
        let size = self.sector_size();
        mask(range.start.div_ceil(size)..range.end / size)
    }
}

/// A block's dirty sectors on their way to the disk.
#[derive(Clone)]
struct Taken {
    index: u64,
    /// What the block was when it was taken.
    frame: Frame,
    dirty: u8,
}

/// Bits `range` of a byte.
fn mask(range: Range<usize>) -> u8 {
    range.fold(0, |mask, bit| mask | 1 << bit)
}

/// The blocks that a range of bytes touches.
fn block_range(offset: u64, length: u64) -> Range<u64> {
    offset / BLOCK..offset.saturating_add(length).div_ceil(BLOCK)
}

/// Splits a range at block borders: block index, offset in the block, range in the buffer.
fn blocks_of(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, Range<usize>)> {
    let mut done = 0;
    core::iter::from_fn(move || {
        let at = offset + done as u64;
        let within = (at % BLOCK) as usize;
        let count = (PAGE_SIZE - within).min(length - done);
        done += count;
        (count > 0).then(|| (at / BLOCK, within, done - count..done))
    })
}
