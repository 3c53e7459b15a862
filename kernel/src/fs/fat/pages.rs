//! Between the page cache and the clusters of a file. FAT has no holes: what a file grows by is written as zeros, unless a
//! page is about to be.

use super::Volume;
use crate::{
    error::{Error, Result},
    fs::page_cache::{Backing, PageStore},
};
use abi::errno::Errno;
use alloc::{sync::Arc, vec, vec::Vec};
use core::ops::Range;
use fat::{Item, Place};
use machine::{addr::PAGE_SIZE, mm::Frame, sync::SpinLock};

const PAGE: u64 = PAGE_SIZE as u64;
/// Zeros that are written at once.
const ZEROS: usize = 64 * 1024;

/// A file's item, with the place where it was read or written last: what the inode and the home of its pages share.
pub(super) struct Shared {
    item: SpinLock<(Item, Place)>,
}

impl Shared {
    /// For an item.
    pub(super) fn new(item: Item) -> Self {
        Self { item: SpinLock::new("fat-item", (item, Place::default())) }
    }

    /// The item. What changes it holds the volume's lock.
    pub(super) fn item(&self) -> Item {
        self.item.lock().0
    }

    /// It has changed.
    pub(super) fn set(&self, item: Item) {
        self.item.lock().0 = item;
    }

    fn set_with_place(&self, item: Item, place: Place) {
        *self.item.lock() = (item, place);
    }

    fn with_place(&self) -> (Item, Place) {
        *self.item.lock()
    }
}

/// The home of one file's pages.
pub(super) struct FilePages {
    volume: Arc<Volume>,
    shared: Arc<Shared>,
}

impl FilePages {
    /// For a file.
    pub(super) fn new(volume: Arc<Volume>, shared: Arc<Shared>) -> Self {
        Self { volume, shared }
    }

    /// Calls `transfer` for the parts of a range of the file that lie in one piece: where on the disk, and which part.
    fn each_piece(
        &self,
        range: Range<u64>,
        transfer: &mut dyn FnMut(u64, Range<usize>) -> Result<()>,
    ) -> Result<()> {
        let mut at = range.start;
        while at < range.end {
            let left = u32::try_from(range.end - at).unwrap_or(u32::MAX);
            let offset = u32::try_from(at).map_err(|_| Errno::EFBIG)?;
            let (place, length) = {
                let mut core = self.volume.core();
                let (item, mut from) = self.shared.with_place();
                let found = core.locate(&item, &mut from, offset, left);
                let found = found.map_err(|error| self.volume.convert(error))?;
                self.shared.set_with_place(item, from);
                found
            };
            let done = (at - range.start) as usize;
            transfer(place, done..done + length as usize)?;
            at += u64::from(length);
        }
        Ok(())
    }

    /// Makes the file longer; what lies between its end and `written` is zeros then.
    fn grow(&self, size: u64, written: u64) -> Result<()> {
        let new = u32::try_from(size).map_err(|_| Error::new(Errno::EFBIG, "4 GiB less a byte at most"))?;
        let old = {
            let mut core = self.volume.changing()?;
            let (mut item, mut from) = self.shared.with_place();
            let old = item.size;
            core.reserve(&mut item, &mut from, new).map_err(|error| self.volume.convert(error))?;
            self.shared.set_with_place(item, from);
            // The length follows when what is in between is zeros, so that nobody sees what was there before.
            core.update(&item).map_err(|error| self.volume.convert(error))?;
            u64::from(old)
        };
        let zeros = vec![0; ZEROS.min(usize::try_from(written.saturating_sub(old)).unwrap_or(ZEROS))];
        let mut at = old;
        while at < written {
            let end = written.min(at + ZEROS as u64);
            self.each_piece(at..end, &mut |place, part| self.volume.disk.write(place, &zeros[..part.len()]))?;
            at = end;
        }
        let mut core = self.volume.changing()?;
        let (mut item, from) = self.shared.with_place();
        item.size = new;
        self.shared.set_with_place(item, from);
        core.update(&item).map_err(|error| self.volume.convert(error))
    }

    /// Sets the length on the disk.
    pub(super) fn resize(&self, size: u64) -> Result<()> {
        if size >= u64::from(self.shared.item().size) {
            return self.grow(size, size);
        }
        let mut core = self.volume.changing()?;
        let mut item = self.shared.item();
        item.size = size as u32;
        // The entry first: a file that is longer than its clusters would be broken.
        core.update(&item).map_err(|error| self.volume.convert(error))?;
        let shrunk = core.shrink(&mut item, size as u32);
        self.shared.set_with_place(item, Place::default());
        shrunk.and_then(|()| core.update(&item)).map_err(|error| self.volume.convert(error))
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

    fn read(&self, first: u64, frames: &[Frame]) -> Result<()> {
        let mut buffer = buffer_of(frames.len() * PAGE_SIZE)?;
        let start = first * PAGE;
        let end = u64::from(self.shared.item().size).min(start + buffer.len() as u64);
        self.each_piece(start..end.max(start), &mut |place, part| {
            self.volume.disk.read(place, &mut buffer[part])
        })?;
        for (frame, bytes) in frames.iter().zip(buffer.chunks_exact(PAGE_SIZE)) {
            frame.write(0, bytes);
        }
        Ok(())
    }

    fn write(&self, first: u64, frames: &[Frame], size: u64) -> Result<()> {
        let start = first * PAGE;
        let end = size.min(start + frames.len() as u64 * PAGE);
        let Some(length) = end.checked_sub(start).filter(|&length| length > 0) else { return Ok(()) };
        if u64::from(self.shared.item().size) < end {
            self.grow(end, start)?;
        }
        let mut buffer = buffer_of(length as usize)?;
        for (frame, bytes) in frames.iter().zip(buffer.chunks_mut(PAGE_SIZE)) {
            frame.read(0, bytes);
        }
        self.each_piece(start..end, &mut |place, part| self.volume.disk.write(place, &buffer[part]))
    }

    fn reserve(&self, range: Range<u64>) -> Result<()> {
        if u64::from(self.shared.item().size) >= range.end {
            return Ok(());
        }
        self.grow(range.end, range.start)
    }
}
