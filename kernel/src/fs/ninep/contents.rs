//! The contents of a regular file, between the server and the page cache.

use super::{client::Fid, handle::Handle};
use crate::{
    error::{Error, Result},
    fs::page_cache::{Backing, PageStore},
    mm,
};
use abi::errno::Errno;
use alloc::{sync::Arc, vec};
use core::ops::Range;
use machine::{addr::PAGE_SIZE, mm::Frame};

/// The home of one file's pages.
pub(super) struct Contents {
    handle: Arc<Handle>,
}

impl Contents {
    /// Of a file.
    pub(super) fn new(handle: Arc<Handle>) -> Self {
        Self { handle }
    }
}

/// Zeroes what lies behind the first `filled` bytes.
fn clear_behind(frames: &[Frame], filled: usize) {
    for (frame, start) in frames.iter().zip((0..).step_by(PAGE_SIZE)) {
        let within = filled.saturating_sub(start).min(PAGE_SIZE);
        frame.clear(within..PAGE_SIZE);
    }
}

impl Contents {
    /// Reads on in a frame of which the first `filled` bytes have come; tells how many there are then.
    fn complete(&self, reader: &Fid, start: u64, frame: &Frame, mut filled: usize) -> Result<usize> {
        let rest = [mm::allocate()?];
        while filled < PAGE_SIZE {
            let count = self.handle.client().read(reader, start + filled as u64, &rest)?;
            let mut bytes = vec![0; count.min(PAGE_SIZE - filled)];
            if bytes.is_empty() {
                break;
            }
            rest[0].read(0, &mut bytes);
            frame.write(filled, &bytes);
            filled += bytes.len();
        }
        Ok(filled)
    }
}

impl PageStore for Contents {
    fn backing(&self) -> Backing {
        Backing::Disk
    }

    fn read(&self, first: u64, frames: &[Frame]) -> Result<()> {
        let reader = self.handle.reader()?;
        let client = self.handle.client();
        let start = first * PAGE_SIZE as u64;
        let mut done = 0;
        while done < frames.len() {
            let part = &frames[done..(done + client.data_frames()).min(frames.len())];
            let offset = start + (done * PAGE_SIZE) as u64;
            let count = client.read(&reader, offset, part)?;
            let whole = count / PAGE_SIZE;
            if whole == part.len() {
                done += whole;
                continue;
            }
            // Less than what was asked for is the end of the file, at this moment, or all that the server likes to send at
            // a time. What begins within a frame cannot be received there: the frame comes once more.
            done += whole;
            let is_end = offset + count as u64 >= self.handle.size();
            if whole > 0 && !is_end {
                continue;
            }
            let within = count % PAGE_SIZE;
            let at = start + (done * PAGE_SIZE) as u64;
            let filled = if is_end { within } else { self.complete(&reader, at, &frames[done], within)? };
            if filled < PAGE_SIZE {
                clear_behind(&frames[done..], filled);
                break;
            }
            done += 1;
        }
        Ok(())
    }

    fn write(&self, first: u64, frames: &[Frame], size: u64) -> Result<()> {
        let writer = self.handle.writer()?;
        let client = self.handle.client();
        let start = first * PAGE_SIZE as u64;
        let length = size.saturating_sub(start).min((frames.len() * PAGE_SIZE) as u64) as usize;
        let mut done = 0;
        while done < length {
            let rest = &frames[done / PAGE_SIZE..];
            let part = (length - done).min(client.data_frames() * PAGE_SIZE);
            let sent = client.write(&writer, start + done as u64, rest, part)?;
            self.handle.grow(start + (done + sent) as u64);
            // What begins within a frame cannot be sent from there: the frame goes once more.
            done += if sent == part { part } else { sent - sent % PAGE_SIZE };
            if sent < part.min(PAGE_SIZE) {
                return Err(Error::new(Errno::EIO, "the server writes less than a page"));
            }
        }
        Ok(())
    }

    fn reserve(&self, _range: Range<u64>) -> Result<()> {
        // The server has no word for it.
        Ok(())
    }

    fn sector_size(&self) -> u64 {
        1
    }
}
