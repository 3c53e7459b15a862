//! Writing through the cache, and back to the disk.

use super::{PAGE, Page, PageCache};
use crate::{
    error::{Error, Result},
    fs::{inode::Growth, io::Source},
    mm, sched,
};
use abi::errno::Errno;
use alloc::vec::Vec;
use core::ops::{ControlFlow, Range};
use core::sync::atomic::Ordering;
use machine::{addr::PAGE_SIZE, mm::Frame};

/// Pages that are written with one call of the store.
const RUN_PAGES: usize = 256;

/// After so many bytes a write waits for the disk, if too much is dirty, and has caches give memory back: a call may write
/// more than memory holds.
const PACE_BYTES: usize = 1 << 18;

/// New pages that a write puts into the cache at a time.
const NEW_PAGES: usize = 32;

/// How often a page is written in vain before it counts as lost: memory is not held for ever by a disk that is gone.
const MOST_FAILURES: u8 = 4;

/// Where a write goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WritePlace {
    /// To the offset.
    Offset,
    /// To the end of the file, wherever it is then (O_APPEND).
    End,
}

impl PageCache {
    /// Writes at `offset`, which advances; extends the file. `limit` is the size that must not be passed
    /// (EFBIG): the file system's largest or RLIMIT_FSIZE.
    pub(crate) fn write(
        &self,
        offset: &mut u64,
        from: &mut Source<'_>,
        place: WritePlace,
        limit: u64,
    ) -> Result<usize> {
        let _writing = self.writing.lock();
        if !self.place_write(offset, from, place, limit)? {
            return Ok(0);
        }
        if *offset > self.size() {
            self.clear_behind_end();
        }
        let done =
            if self.is_memory() { self.write_memory(offset, from) } else { self.write_disk(offset, from) };
        super::flusher::throttle(self);
        done
    }

    /// Finds where a write goes, and takes no more than may be written there. Whether there is anything to write;
    /// EFBIG if there is, and not a byte of it may be. `writing` is held.
    pub(super) fn place_write(
        &self,
        offset: &mut u64,
        from: &mut Source<'_>,
        place: WritePlace,
        limit: u64,
    ) -> Result<bool> {
        if place == WritePlace::End {
            *offset = self.size();
        }
        if from.remaining() == 0 {
            return Ok(false);
        }
        let room = limit.saturating_sub(*offset);
        if room == 0 {
            return Err(Error::new(Errno::EFBIG, "beyond the largest file"));
        }
        from.limit(usize::try_from(room).unwrap_or(usize::MAX));
        Ok(true)
    }

    /// Writes to a file that lives in memory: straight into its pages.
    fn write_memory(&self, offset: &mut u64, from: &mut Source<'_>) -> Result<usize> {
        self.write_pages(offset, from, |at, within, length, from| {
            let frame = match self.cached(at / PAGE) {
                Some(frame) => frame,
                None => self.make(at / PAGE)?,
            };
            from.read_frame(&frame, within, length)
        })
    }

    /// Writes to a file with a disk: only what has come from the program makes the file grow and take space.
    fn write_disk(&self, offset: &mut u64, from: &mut Source<'_>) -> Result<usize> {
        let mut bounce = Vec::new();
        self.write_pages(offset, from, |at, within, length, from| {
            let index = at / PAGE;
            if within == 0 && from.remaining() >= PAGE_SIZE && self.cached(index).is_none() {
                return self.write_new(index, from);
            }
            bounce.resize(length.min(from.remaining()), 0);
            let moved = from.read(&mut bounce)?;
            self.store_in_page(index, within, &bounce[..moved])?;
            Ok(moved)
        })
    }

    /// Writes whole pages that are not here, as many as follow each other; their contents go straight into their frames.
    /// Tells how many bytes were written. If that is less than was taken, nothing is left to take.
    fn write_new(&self, index: u64, from: &mut Source<'_>) -> Result<usize> {
        let most = (from.remaining() / PAGE_SIZE).min(NEW_PAGES) as u64;
        let next = self.pages.lock().map.iter_range(index..index + most).next().map(|(next, _)| next);
        let count = next.map_or(most, |next| next - index) as usize;
        let mut frames = Vec::with_capacity(count);
        let mut rest = None;
        while frames.len() < count && rest.is_none() {
            // One page is enough to go on with.
            let allocated = if frames.is_empty() { Some(mm::allocate()?) } else { Frame::allocate().ok() };
            let Some(frame) = allocated else { break };
            match from.read_frame(&frame, 0, PAGE_SIZE) {
                Ok(PAGE_SIZE) => frames.push(frame),
                Ok(moved) => rest = Some((frame, moved)),
                Err(error) if frames.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        let outcome = self.put_new(index, &frames).and_then(|done| match rest {
            // The program's memory ends within a page.
            Some((frame, length)) if done == frames.len() * PAGE_SIZE => {
                let mut bytes = alloc::vec![0; length];
                frame.read(0, &mut bytes);
                match self.store_in_page(index + frames.len() as u64, 0, &bytes) {
                    Ok(()) => Ok(done + length),
                    Err(error) if done == 0 => Err(error),
                    Err(_) => Ok(done),
                }
            }
            _ => Ok(done),
        });
        if outcome.is_err() || outcome.is_ok_and(|done| done < frames.len() * PAGE_SIZE) {
            from.limit(0);
        }
        outcome
    }

    /// Puts new contents of whole pages into the cache, as far as there is space. How many bytes that were.
    fn put_new(&self, index: u64, frames: &[Frame]) -> Result<usize> {
        let put = |first: u64, frames: &[Frame]| {
            let _transfer = self.transfer.write();
            self.store.reserve(first * PAGE..(first + frames.len() as u64) * PAGE)?;
            // Nobody sees them before the size says that they are there.
            self.insert_dirty(first, frames);
            Ok(())
        };
        if frames.len() > 1 && put(index, frames).is_ok() {
            return Ok(frames.len() * PAGE_SIZE);
        }
        for (done, frame) in frames.iter().enumerate() {
            match put(index + done as u64, core::slice::from_ref(frame)) {
                Ok(()) => {}
                Err(error) if done == 0 => return Err(error),
                Err(_) => return Ok(done * PAGE_SIZE),
            }
        }
        Ok(frames.len() * PAGE_SIZE)
    }

    /// Calls `write` for one part of a range after the other: with its offset in the file, in the page, and how much of it
    /// lies in that page. It tells how many bytes were written, which is where the file may end from then on.
    fn write_pages<'a>(
        &self,
        offset: &mut u64,
        from: &mut Source<'a>,
        mut write: impl FnMut(u64, usize, usize, &mut Source<'a>) -> Result<usize>,
    ) -> Result<usize> {
        let (mut done, mut next_look) = (0, PACE_BYTES);
        while from.remaining() > 0 {
            if done >= next_look {
                next_look = done + PACE_BYTES;
                super::flusher::throttle(self);
                mm::balance_with_locks();
                if sched::current().is_killed() {
                    break;
                }
            }
            let within = (*offset % PAGE) as usize;
            match write(*offset, within, PAGE_SIZE - within, from) {
                Ok(moved) => {
                    done += moved;
                    *offset += moved as u64;
                    self.size.fetch_max(*offset, Ordering::AcqRel);
                }
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// Puts bytes into a page of a file with a disk, reading the rest of it in if need be; it is dirty then.
    fn store_in_page(&self, index: u64, within: usize, bytes: &[u8]) -> Result<()> {
        let is_whole = bytes.len() == PAGE_SIZE || index >= self.size().div_ceil(PAGE);
        // Read before space is made: the space that a hole gets has no contents yet.
        let known = match self.cached(index) {
            None if !is_whole => Some(self.read_in(index)?),
            known => known,
        };
        let frame = {
            let _transfer = self.transfer.write();
            let start = index * PAGE;
            let end = self.size().max(start + (within + bytes.len()) as u64).min(start + PAGE);
            let has_space = end <= self.size() && self.is_dirty(index);
            if !has_space {
                self.store.reserve(start..end)?;
            }
            let frame = match known {
                Some(frame) => frame,
                // Nobody sees it before the size says that it is there.
                None => self.insert(index, mm::allocate_zeroed()?),
            };
            // Who reads past the cache sees that new space has no contents yet.
            self.mark_dirty(index);
            frame
        };
        frame.write(within, bytes);
        // It may have been written back meanwhile. While the frame is held: a page that is clean and that nobody holds may
        // be reclaimed at any time.
        self.mark_dirty(index);
        Ok(())
    }

    /// Writes all dirty pages to the disk. A failure of the disk is reported by the next [`take_error`](Self::take_error)
    /// too.
    pub(crate) fn write_back(&self) -> Result<()> {
        self.write_back_until(&|| false)
    }

    /// Writes dirty pages to the disk until there is none, or it is enough.
    pub(super) fn write_back_until(&self, is_enough: &dyn Fn() -> bool) -> Result<()> {
        if self.is_memory() {
            return Ok(());
        }
        if self.is_mapped() {
            mm::collect_stores(self.identity());
        }
        let (mut next, mut outcome) = (0, Ok(()));
        // What is added meanwhile is not waited for.
        let end = self.size().div_ceil(PAGE);
        while !is_enough() {
            // Without anything to write, this waits for what others write.
            let _writing_back = self.writing_back.lock();
            let Some((first, frames)) = self.take_dirty(next..end) else { break };
            next = first + frames.len() as u64;
            outcome = outcome.and(self.write_run(first, &frames));
            self.pages.lock().in_flight = 0;
        }
        outcome
    }

    /// Writes a run of pages. `writing_back` is held.
    fn write_run(&self, first: u64, frames: &[Frame]) -> Result<()> {
        if self.store.write(first, frames, self.size()).is_ok() {
            return Ok(());
        }
        // Some of it could not be written: all that can be is.
        let mut outcome = Ok(());
        for (index, frame) in (first..).zip(frames) {
            let written = self.store.write(index, core::slice::from_ref(frame), self.size());
            self.note_written(index, written);
            outcome = outcome.and(written);
        }
        outcome
    }

    /// A page was written by itself, or could not be: then it stays dirty, to be written later, unless the disk has refused
    /// it often enough. That there was no memory says nothing of the page.
    fn note_written(&self, index: u64, written: Result<()>) {
        let had_no_memory = written.is_err_and(|error| error.errno == Errno::ENOMEM);
        let mut stays_dirty = had_no_memory;
        if let Some(page) = self.pages.lock().map.get_mut(index).filter(|_| !had_no_memory) {
            page.failures = if written.is_ok() { 0 } else { page.failures.saturating_add(1) };
            stays_dirty = (1..MOST_FAILURES).contains(&page.failures);
        }
        if stays_dirty {
            self.mark_dirty(index);
        }
        if written.is_err() && !had_no_memory {
            self.has_failed.store(true, Ordering::Release);
        }
    }

    /// The first run of dirty pages that begins in a range. They count as clean from now on, and as in flight.
    /// `writing_back` is held.
    fn take_dirty(&self, range: Range<u64>) -> Option<(u64, Vec<Frame>)> {
        let mut frames = Vec::with_capacity(self.pages.lock().dirty.min(RUN_PAGES));
        let mut pages = self.pages.lock();
        if pages.dirty == 0 {
            return None;
        }
        let most = frames.capacity();
        let from = range.start.max(pages.first_dirty);
        let mut first = from;
        let mut take = |index, page: &mut Page| {
            let is_next =
                if frames.is_empty() { index < range.end } else { index == first + frames.len() as u64 };
            match page.is_dirty {
                false if frames.is_empty() && is_next => return ControlFlow::Continue(()),
                true if is_next && frames.len() < most => {}
                _ => return ControlFlow::Break(()),
            }
            if frames.is_empty() {
                first = index;
            }
            page.is_dirty = false;
            frames.push(page.frame.clone());
            ControlFlow::Continue(())
        };
        // It breaks behind the run or comes to the end.
        let _ = pages.map.visit_mut_from(from, &mut take);
        pages.dirty -= frames.len();
        pages.in_flight = frames.len();
        if from == pages.first_dirty && !frames.is_empty() {
            pages.first_dirty = first + frames.len() as u64;
        }
        drop(pages);
        super::reclaim::uncount_dirty(frames.len());
        (!frames.is_empty()).then_some((first, frames))
    }

    /// Whether a write-back has failed since somebody asked (fsync reports it once).
    pub(crate) fn take_error(&self) -> Result<()> {
        if self.has_failed.swap(false, Ordering::AcqRel) {
            return Err(Error::new(Errno::EIO, "a write-back failed"));
        }
        Ok(())
    }
}

impl PageCache {
    /// Gives a range of a file with a disk its space (fallocate), by `preallocate`, which has zeros written there where
    /// there was nothing, and lets the file grow. Space behind the end of a file that is not to grow is not had.
    pub(crate) fn preallocate(
        &self,
        offset: u64,
        length: u64,
        growth: Growth,
        preallocate: impl FnOnce(Range<u64>) -> Result<()>,
    ) -> Result<()> {
        let end = offset.checked_add(length).ok_or(Errno::EFBIG)?;
        let _writing = self.writing.lock();
        let _settled = self.settle();
        let size = self.size();
        if end > size && growth == Growth::None {
            return Err(Error::new(Errno::EOPNOTSUPP, "no space behind the end of a file"));
        }
        if end > size {
            self.clear_behind_end();
        }
        preallocate(offset..end)?;
        self.grow_to(end);
        Ok(())
    }

    /// Gives every page of a range of a file that lives in memory its space (fallocate). The size stays.
    pub(crate) fn make_range(&self, offset: u64, length: u64) -> Result<()> {
        let end = offset.checked_add(length).ok_or(Errno::EFBIG)?;
        let _writing = self.writing.lock();
        for index in offset / PAGE..end.div_ceil(PAGE) {
            if self.cached(index).is_none() {
                self.make(index)?;
            }
        }
        Ok(())
    }
}
