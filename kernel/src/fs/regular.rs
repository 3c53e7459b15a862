//! Open regular files: everything goes through the page cache.

use super::{
    dentry::Path,
    file::{Extent, File, FileOperations, OpenFlags, SeekLimits},
    inode::{AttributeChange, SyncScope},
    io::{Destination, Source},
    mount::{KeptPath, MountFlags},
    names,
    open::contents_changed,
    page_cache::{PageCache, WritePlace},
    permission::Caller,
    signals::send_to_current,
    time,
};
use crate::{
    error::{Error, Result},
    mm::PageSource,
    process,
};
use abi::{errno::Errno, signal::Signal};
use alloc::{sync::Arc, vec::Vec};
use core::any::Any;
use machine::mm::Frame;

/// An open regular file.
pub(super) struct RegularFile {
    pages: Arc<PageCache>,
    keep: Keep,
}

/// What is held while a file is open or mapped.
pub(super) type Keep = Option<Arc<dyn Any + Send + Sync>>;

impl RegularFile {
    /// Reads and writes these pages.
    pub(super) fn new(pages: Arc<PageCache>) -> Self {
        Self { pages, keep: None }
    }

    /// The same, holding `keep` as long as it is open or mapped.
    pub(super) fn holding(pages: Arc<PageCache>, keep: Arc<dyn Any + Send + Sync>) -> Self {
        Self { pages, keep: Some(keep) }
    }

    /// Whether what is read and written goes past the cache.
    fn is_direct(&self, file: &File) -> bool {
        file.flags().contains(OpenFlags::O_DIRECT) && self.pages.has_direct_way()
    }
}

/// The largest size that the current process may give a file: RLIMIT_FSIZE. Passing it sends SIGXFSZ.
pub(super) fn size_limit(offset: u64) -> Result<u64> {
    let limit = process::try_current().map_or(u64::MAX, |process| process.file_size_limit());
    if offset >= limit {
        send_to_current(Signal::SIGXFSZ);
        return Err(Error::new(Errno::EFBIG, "RLIMIT_FSIZE"));
    }
    Ok(limit.min(i64::MAX as u64))
}

/// Whether the current process may make a file this long.
pub(crate) fn check_size(size: u64) -> Result<()> {
    size_limit(size.saturating_sub(1)).map(|_| ())
}

impl FileOperations for RegularFile {
    fn read(&self, file: &File, offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        let done = if self.is_direct(file) {
            // Behind the end nothing is looked at.
            if *offset < self.pages.size() {
                let is_aligned = |address, length| to.is_aligned(address, length);
                self.pages.check_direct(*offset, to.remaining(), &is_aligned)?;
            }
            self.pages.read_direct(offset, to)?
        } else {
            self.pages.read(offset, to)?
        };
        if done > 0 {
            touch_accessed(file);
        }
        Ok(done)
    }

    fn write(&self, file: &File, offset: &mut u64, from: &mut Source<'_>) -> Result<usize> {
        let place = if file.is_appending() { WritePlace::End } else { WritePlace::Offset };
        let start = if place == WritePlace::End { self.pages.size() } else { *offset };
        if let Some(seals) = file.inode().seals() {
            seals.check_write(start.saturating_add(from.remaining() as u64), self.pages.size())?;
        }
        let is_direct = self.is_direct(file);
        if is_direct {
            let is_aligned = |address, length| from.is_aligned(address, length);
            self.pages.check_direct(start, from.remaining(), &is_aligned)?;
        }
        let limit = if from.remaining() == 0 { u64::MAX } else { size_limit(start)? };
        let done = self.pages.write(offset, from, place, limit)?;
        if is_direct {
            self.pages.write_back()?;
            self.pages.drop_clean(offset.saturating_sub(done as u64)..*offset);
        }
        if done > 0 {
            let mut change = contents_changed();
            if file.inode().metadata().mode & 0o6000 != 0 {
                change.mode = names::mode_without_set_id(&Caller::current(), file.inode());
            }
            file.inode().set_attributes(&change)?;
        }
        Ok(done)
    }

    fn seek_limits(&self, _file: &File) -> SeekLimits {
        SeekLimits { end: self.pages.size(), maximum: i64::MAX as u64 }
    }

    fn seek_extent(&self, file: &File, offset: u64, wanted: Extent) -> Result<u64> {
        file.inode().seek_extent(offset, wanted)
    }

    fn map(&self, file: &File) -> Result<Arc<dyn PageSource>> {
        touch_accessed(file);
        Ok(Arc::new(MappedFile::new(self.pages.clone(), file.path().clone(), self.keep.clone())))
    }

    fn sync(&self, file: &File, scope: SyncScope) -> Result<()> {
        file.inode().sync(scope)?;
        self.pages.take_error()
    }
}

/// Sets the time of the last read, as the mount wants it: with relatime (the default) only if the file has
/// changed since, or once a day.
pub(super) fn touch_accessed(file: &File) {
    const DAY_SECONDS: i64 = 24 * 60 * 60;
    let path = file.path();
    let flags = path.mount.flags();
    let is_unwanted = flags.contains(MountFlags::NO_ATIME)
        || (flags.contains(MountFlags::NO_DIR_ATIME) && path.inode().is_directory())
        || file.flags().contains(OpenFlags::O_NOATIME)
        || path.mount.check_writable().is_err()
        || path.mount.super_block().file_system.has_own_access_times();
    if is_unwanted {
        return;
    }
    let metadata = path.inode().metadata();
    let now = time::now();
    let is_due = metadata.accessed <= metadata.modified
        || metadata.accessed <= metadata.changed
        || metadata.accessed.sec + DAY_SECONDS <= now.sec;
    if is_due && metadata.accessed != now {
        let change = AttributeChange { accessed: Some(now), ..AttributeChange::default() };
        // A read does not fail because the time could not be kept.
        let _ = path.inode().set_attributes(&change);
    }
}

/// A file as it is mapped into memory; keeps its mount in use.
struct MappedFile {
    pages: Arc<PageCache>,
    path: KeptPath,
    #[expect(dead_code, reason = "held for what its drop does")]
    keep: Keep,
}

impl MappedFile {
    fn new(pages: Arc<PageCache>, path: Path, keep: Keep) -> Self {
        pages.count_mapping();
        Self { pages, path: KeptPath::new(path), keep }
    }
}

impl Drop for MappedFile {
    fn drop(&mut self) {
        self.pages.uncount_mapping();
    }
}

impl PageSource for MappedFile {
    fn prepare_store(&self, index: u64) -> Result<()> {
        self.pages.prepare_store(index)
    }

    fn identity(&self) -> usize {
        self.pages.identity()
    }

    fn page(&self, index: u64) -> Result<Frame> {
        self.pages.page(index)
    }

    fn cached(&self, index: u64) -> Option<Frame> {
        self.pages.cached(index)
    }

    fn size(&self) -> u64 {
        self.pages.size()
    }

    fn mark_dirty(&self, index: u64) {
        self.pages.mark_dirty(index);
    }

    fn sync(&self) -> Result<()> {
        self.path.inode().sync(SyncScope::All)
    }

    fn device_and_inode(&self) -> (u64, u64) {
        let metadata = self.path.inode().metadata();
        (metadata.device.to_raw(), metadata.number)
    }

    fn name(&self) -> Vec<u8> {
        match super::mount::root() {
            Some(root) => self.path.display(&root),
            None => Vec::new(),
        }
    }
}
