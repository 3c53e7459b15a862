//! The pixels of a screen in memory: what programs read, write and map as /dev/fb0.
//!
//! Four bytes a pixel, 0xXXRRGGBB as a little-endian number, rows without gaps. A page that a program may store to is
//! marked; before the marked ones are shown, the permission to store is taken back, so that the next store marks
//! the page again.

use crate::error::{Error, Result};
use crate::fs::io::{Destination, Source};
use crate::mm::{self, PageSource};
use crate::sched::wait::WaitQueue;
use abi::errno::Errno;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use machine::addr::PAGE_SIZE;
use machine::mm::Frame;
use zerocopy::IntoBytes;

/// Bytes of a pixel.
pub(super) const PIXEL: usize = 4;
const PIXELS_PER_PAGE: usize = PAGE_SIZE / PIXEL;

/// Woken when there is something new to be shown.
pub(super) static DRAWN: WaitQueue = WaitQueue::named("fb0");
static HAS_NEWS: AtomicBool = AtomicBool::new(false);

/// Whether there is something new since the last call.
pub(super) fn take_news() -> Option<()> {
    HAS_NEWS.swap(false, Ordering::AcqRel).then_some(())
}

fn announce() {
    if !HAS_NEWS.swap(true, Ordering::AcqRel) {
        DRAWN.wake_one();
    }
}

/// Pixels in memory.
pub(super) struct Picture {
    width: usize,
    height: usize,
    frames: Vec<Frame>,
    /// A bit for each page that was changed.
    changed: Vec<AtomicU64>,
}

impl Picture {
    /// A black one. May sleep.
    pub(super) fn new(width: usize, height: usize) -> Result<Self> {
        let no_memory = || Error::new(Errno::ENOMEM, "no memory for the pixels");
        let pixels = width.checked_mul(height).ok_or_else(no_memory)?;
        let pages = pixels.div_ceil(PIXELS_PER_PAGE);
        let (mut frames, mut changed) = (Vec::new(), Vec::new());
        frames.try_reserve_exact(pages).map_err(|_| no_memory())?;
        changed.try_reserve_exact(pages.div_ceil(64)).map_err(|_| no_memory())?;
        changed.resize_with(pages.div_ceil(64), AtomicU64::default);
        for _ in 0..pages {
            frames.push(mm::allocate_zeroed()?);
        }
        Ok(Self { width, height, frames, changed })
    }

    /// Width and height in pixels.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Bytes from row to row.
    pub(super) fn pitch(&self) -> usize {
        self.width * PIXEL
    }

    /// Bytes of all rows.
    pub(super) fn length(&self) -> usize {
        self.pitch() * self.height
    }

    /// Puts pixels that are on the screen already; those outside are left out.
    pub(super) fn put(&self, x: usize, y: usize, pixels: &[u32]) {
        if x >= self.width || y >= self.height {
            return;
        }
        let mut rest = &pixels[..pixels.len().min(self.width - x)];
        let mut at = y * self.width + x;
        while !rest.is_empty() {
            let (page, index) = (at / PIXELS_PER_PAGE, at % PIXELS_PER_PAGE);
            let (now, later) = rest.split_at(rest.len().min(PIXELS_PER_PAGE - index));
            self.frames[page].write(index * PIXEL, now.as_bytes());
            (at, rest) = (at + now.len(), later);
        }
    }

    /// Everything is to be shown again.
    pub(super) fn mark_all(&self) {
        self.changed.iter().for_each(|word| word.store(u64::MAX, Ordering::Release));
        announce();
    }

    fn mark(&self, page: usize) {
        if let Some(word) = self.changed.get(page / 64) {
            word.fetch_or(1 << (page % 64), Ordering::AcqRel);
        }
    }

    /// Calls `show` with column, row and pixels of all that was changed since the last call.
    pub(super) fn take_changes(&self, mut show: impl FnMut(usize, usize, &[u32])) {
        let mut pixels = [0_u32; PIXELS_PER_PAGE];
        for (index, word) in self.changed.iter().enumerate() {
            let mut bits = word.swap(0, Ordering::AcqRel);
            while bits != 0 {
                let page = index * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let Some(frame) = self.frames.get(page) else { break };
                frame.read(0, pixels.as_mut_bytes());
                self.show_page(page, &pixels, &mut show);
            }
        }
    }

    /// Cuts a page into the rows that it is part of.
    fn show_page(&self, page: usize, pixels: &[u32], show: &mut impl FnMut(usize, usize, &[u32])) {
        let mut at = page * PIXELS_PER_PAGE;
        let mut rest = pixels;
        while !rest.is_empty() && at < self.width * self.height {
            let (x, y) = (at % self.width, at / self.width);
            let (now, later) = rest.split_at(rest.len().min(self.width - x));
            show(x, y, now);
            (at, rest) = (at + now.len(), later);
        }
    }

    /// read(2) at an offset.
    pub(super) fn read(&self, offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        self.each_part(offset, to.remaining(), |frame, at, length| to.write_frame(frame, at, length))
    }

    /// write(2) at an offset: EFBIG behind the end, ENOSPC for what would be.
    pub(super) fn write(&self, offset: &mut u64, from: &mut Source<'_>) -> Result<usize> {
        let wanted = from.remaining();
        if *offset > self.length() as u64 || (*offset == self.length() as u64 && wanted > 0) {
            let errno = if *offset > self.length() as u64 { Errno::EFBIG } else { Errno::ENOSPC };
            return Err(Error::new(errno, "behind the last pixel"));
        }
        let start = *offset as usize;
        let outcome = self.each_part(offset, wanted, |frame, at, length| from.read_frame(frame, at, length));
        // Also what was copied before a bad address.
        if wanted > 0 {
            let end = (start + wanted).min(self.length());
            (start / PAGE_SIZE..end.div_ceil(PAGE_SIZE)).for_each(|page| self.mark(page));
            announce();
        }
        outcome
    }

    /// Moves bytes frame by frame.
    fn each_part(
        &self,
        offset: &mut u64,
        wanted: usize,
        mut transfer: impl FnMut(&Frame, usize, usize) -> Result<usize>,
    ) -> Result<usize> {
        let end = self.length() as u64;
        let mut done = 0;
        while done < wanted && *offset < end {
            let at = *offset as usize % PAGE_SIZE;
            let left = usize::try_from(end - *offset).unwrap_or(usize::MAX);
            let length = (PAGE_SIZE - at).min(wanted - done).min(left);
            match transfer(&self.frames[*offset as usize / PAGE_SIZE], at, length) {
                Ok(0) => break,
                Ok(moved) => {
                    done += moved;
                    *offset += moved as u64;
                }
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }
}

impl PageSource for Picture {
    fn page(&self, index: u64) -> Result<Frame> {
        self.cached(index).ok_or(Error::new(Errno::ENXIO, "behind the last pixel"))
    }

    fn cached(&self, index: u64) -> Option<Frame> {
        self.frames.get(usize::try_from(index).ok()?).cloned()
    }

    fn size(&self) -> u64 {
        (self.frames.len() * PAGE_SIZE) as u64
    }

    fn mark_dirty(&self, index: u64) {
        self.mark(usize::try_from(index).unwrap_or(usize::MAX));
    }

    fn prepare_store(&self, index: u64) -> Result<()> {
        self.mark_dirty(index);
        announce();
        Ok(())
    }

    fn identity(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }

    fn device_and_inode(&self) -> (u64, u64) {
        (super::framebuffer::NUMBER.to_raw(), 0)
    }

    fn name(&self) -> Vec<u8> {
        b"/dev/fb0".to_vec()
    }
}
