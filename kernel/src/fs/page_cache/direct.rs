//! Past the cache: O_DIRECT, and dropping pages that a program says it will not want (posix_fadvise(2)).
//!
//! What is read so comes from the disk, after what was newer in memory has been written there. What is written goes
//! through pages, as space is found for them, but is on the disk when the call returns, and stays in no memory.

use super::{Backing, PAGE, PageCache, reclaim};
use crate::{
    error::{Error, Result},
    fs::io::Destination,
    mm,
};
use abi::errno::Errno;
use alloc::vec::Vec;
use core::ops::Range;
use machine::{addr::PAGE_SIZE, mm::Frame};

/// Pages that are read at a time.
const STEP_PAGES: usize = 64;

impl PageCache {
    /// Whether reads and writes can go past the cache: a file that lives in memory has nothing behind it.
    pub(crate) fn has_direct_way(&self) -> bool {
        self.store.backing() == Backing::Disk
    }

    /// What memory and what offsets are multiples of in direct transfers; `None`: there are none.
    pub(crate) fn direct_alignment(&self) -> Option<(u64, u64)> {
        self.has_direct_way().then(|| (self.store.memory_alignment(), self.store.sector_size()))
    }

    /// EINVAL if a direct transfer of this offset and length is not of whole sectors of the disk, or its memory, which
    /// `is_aligned` tells of (for addresses and lengths), is not as the disk wants it.
    pub(crate) fn check_direct(
        &self,
        offset: u64,
        length: usize,
        is_aligned: &dyn Fn(u64, u64) -> bool,
    ) -> Result<()> {
        let sector = self.store.sector_size();
        let is_whole = (offset | length as u64).is_multiple_of(sector);
        if length == 0 || is_whole && is_aligned(self.store.memory_alignment(), sector) {
            return Ok(());
        }
        Err(Error::new(Errno::EINVAL, "a direct transfer is of whole sectors"))
    }

    /// Reads from the disk at `offset`, which advances; ends at the end of the file.
    pub(crate) fn read_direct(&self, offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        // What is on its way to the disk is waited for below.
        if self.may_be_dirty() {
            self.write_back()?;
        }
        let mut done = 0;
        while to.remaining() > 0 && *offset < self.size() {
            match self.read_step(offset, to) {
                Ok(0) => break,
                Ok(moved) => done += moved,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// Reads some of it.
    fn read_step(&self, offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        let (first, within) = (*offset / PAGE, (*offset % PAGE) as usize);
        let left = usize::try_from(self.size().saturating_sub(*offset)).unwrap_or(usize::MAX);
        let end = within + left.min(to.remaining()).min(STEP_PAGES * PAGE_SIZE - within);
        let frames = (0..end.div_ceil(PAGE_SIZE)).map(|_| mm::allocate());
        let frames: Vec<Frame> = frames.collect::<core::result::Result<_, _>>()?;
        let is_newer = {
            let _transfer = self.transfer.read();
            // New space has no contents on the disk yet.
            let is_newer = self.is_newer(first..first + frames.len() as u64);
            if !is_newer {
                self.store.read(first, &frames)?;
            }
            is_newer
        };
        if is_newer {
            // Somebody writes to the file just now.
            return self.read(offset, to);
        }
        let mut at = within;
        for frame in &frames {
            let start = at % PAGE_SIZE;
            let wanted = (end - at).min(PAGE_SIZE - start);
            let moved = to.write_frame(frame, start, wanted)?;
            at += moved;
            if moved < wanted {
                break;
            }
        }
        *offset += (at - within) as u64;
        Ok(at - within)
    }

    /// Drops the pages that a range of bytes touches, if they are clean and nobody uses them.
    pub(crate) fn drop_clean(&self, range: Range<u64>) {
        let mut dropped = Vec::new();
        {
            let _transfer = self.transfer.write();
            let mut pages = self.pages.lock();
            let is_free = |page: &super::Page| !page.is_dirty && page.frame.reference_count() == 1;
            let last = range.end.div_ceil(PAGE);
            let inside = pages.map.iter_range((range.start / PAGE).min(last)..last);
            let indices: Vec<u64> =
                inside.filter(|(_, page)| is_free(page)).map(|(index, _)| index).collect();
            dropped.extend(indices.into_iter().filter_map(|index| pages.map.remove(index)));
        }
        reclaim::uncount(self.store.backing(), dropped.len(), 0);
    }
}
