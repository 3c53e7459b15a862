//! Reading through the cache, and reading ahead.

use super::{PAGE, PageCache};
use crate::{
    error::{Error, Result},
    fs::io::Destination,
    mm,
};
use abi::errno::Errno;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use machine::{addr::PAGE_SIZE, mm::Frame};

/// Pages that are read at once at first. The window doubles with each read that goes on where the last one ended.
const WINDOW_START: u64 = 4;
/// Pages that are read at once at most.
const WINDOW_END: u64 = 128;

impl PageCache {
    /// Reads from `offset` on, which advances; ends at the end of the file.
    pub(crate) fn read(&self, offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        let mut done = 0;
        while to.remaining() > 0 {
            let left = self.size().saturating_sub(*offset);
            if left == 0 {
                break;
            }
            let (index, within) = (*offset / PAGE, (*offset % PAGE) as usize);
            let length = left.min((PAGE_SIZE - within) as u64) as usize;
            let outcome = self.page_to_read(index).and_then(|page| match page {
                Some(frame) => to.write_frame(&frame, within, length),
                None => to.write_zeros(length),
            });
            match outcome {
                Ok(moved) => {
                    done += moved;
                    *offset += moved as u64;
                }
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// A page to read from; `None`: a hole of a file that lives in memory.
    fn page_to_read(&self, index: u64) -> Result<Option<Frame>> {
        if let Some(frame) = self.cached(index) {
            self.next_read.store(index + 1, Ordering::Relaxed);
            return Ok(Some(frame));
        }
        if self.is_memory() {
            return Ok(None);
        }
        self.read_in(index).map(Some)
    }

    /// A page for a mapping: read in, or made if the file lives in memory. ENXIO behind the end.
    pub(crate) fn page(&self, index: u64) -> Result<Frame> {
        if index >= self.size().div_ceil(PAGE) {
            return Err(Error::new(Errno::ENXIO, "beyond the end of the file"));
        }
        match self.cached(index) {
            Some(frame) => Ok(frame),
            None if self.is_memory() => self.make(index),
            None => self.read_in(index),
        }
    }

    /// Adds a page of zeros to a file that lives in memory.
    pub(super) fn make(&self, index: u64) -> Result<Frame> {
        // Whoever waits for memory holds no lock that a dying process may want.
        let new = mm::allocate_zeroed()?;
        let _transfer = self.transfer.write();
        if let Some(frame) = self.cached(index) {
            return Ok(frame);
        }
        self.store.reserve(index * PAGE..(index + 1) * PAGE)?;
        Ok(self.insert(index, new))
    }

    /// Reads a page, and some of those behind it that are absent too.
    pub(super) fn read_in(&self, index: u64) -> Result<Frame> {
        // Whoever waits for memory holds no lock that a dying process may want.
        let first = mm::allocate()?;
        let _transfer = self.transfer.write();
        if let Some(frame) = self.cached(index) {
            return Ok(frame);
        }
        let is_sequential = self.next_read.swap(index + 1, Ordering::Relaxed) == index;
        let old = self.window.load(Ordering::Relaxed);
        let window = if is_sequential { (2 * old).clamp(WINDOW_START, WINDOW_END) } else { WINDOW_START };
        self.window.store(window, Ordering::Relaxed);
        let end = self.size().div_ceil(PAGE).min(index.saturating_add(window)).max(index + 1);
        let absent = {
            let pages = self.pages.lock();
            pages.map.iter_range(index..end).next().map_or(end, |(present, _)| present) - index
        };
        let mut frames = Vec::with_capacity(absent as usize);
        frames.push(first);
        while (frames.len() as u64) < absent {
            // Reading ahead is not worth running out of memory for.
            let Ok(frame) = Frame::allocate() else { break };
            frames.push(frame);
        }
        if let Err(error) = self.store.read(index, &frames) {
            if frames.len() == 1 {
                return Err(error);
            }
            // What lies ahead may be what cannot be read.
            frames.truncate(1);
            self.store.read(index, &frames)?;
        }
        let mut wanted = None;
        for (at, frame) in (index..).zip(frames) {
            let kept = self.insert(at, frame);
            wanted.get_or_insert(kept);
        }
        wanted.ok_or(Error::new(Errno::EIO, "nothing was read"))
    }

    /// Starts reading a range, for posix_fadvise(2) and readahead(2).
    pub(crate) fn prefetch(&self, offset: u64, length: u64) -> Result<()> {
        if self.is_memory() {
            return Ok(());
        }
        let end = offset.saturating_add(length).min(self.size()).div_ceil(PAGE);
        let mut index = offset / PAGE;
        while index < end {
            if self.cached(index).is_none() {
                self.next_read.store(index, Ordering::Relaxed);
                self.read_in(index)?;
            }
            index += 1;
        }
        Ok(())
    }
}
