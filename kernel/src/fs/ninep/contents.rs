//! The contents of a regular file, between the server and the page cache.

use super::handle::Handle;
use crate::{
    error::{Error, Result},
    fs::page_cache::{Backing, PageStore},
};
use abi::errno::Errno;
use alloc::sync::Arc;
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

impl PageStore for Contents {
    fn backing(&self) -> Backing {
        Backing::Disk
    }

    fn read(&self, first: u64, frames: &[Frame]) -> Result<()> {
        let reader = self.handle.reader()?;
        let client = self.handle.client();
        let mut offset = first * PAGE_SIZE as u64;
        for part in frames.chunks(client.data_frames()) {
            // Less than a frame is the end of the file, at this moment.
            let count = client.read(&reader, offset, part)?;
            clear_behind(part, count);
            offset += (part.len() * PAGE_SIZE) as u64;
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
