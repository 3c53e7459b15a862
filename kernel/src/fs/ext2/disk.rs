//! What the crate `ext2` stands on: the disk's block cache, and the kernel's sleeping locks.

use crate::{
    block::cache::BlockCache,
    error::{Error, Result},
    sched,
    sync::{RawMutex, RawRwLock},
};
use abi::errno::Errno;
use alloc::{boxed::Box, sync::Arc};
use core::sync::atomic::Ordering;
use ext2::{BlockIo, ExclusiveLock, IoError, Locks, Patience, Place, SharedLock};
use machine::mm::Frame;
use machine::time;

/// How long to wait for memory before another try.
const RETRY_NS: u64 = 1_000_000;

/// The disk.
#[derive(Clone)]
pub(super) struct DiskIo {
    cache: Arc<BlockCache>,
}

impl DiskIo {
    /// A disk behind its cache.
    pub(super) fn new(cache: Arc<BlockCache>) -> Self {
        Self { cache }
    }

    /// The disk's unit of transfers, in bytes.
    pub(super) fn sector_size(&self) -> u64 {
        self.cache.disk().block_size().into()
    }

    /// What a program's memory is a multiple of in direct transfers.
    pub(super) fn memory_alignment(&self) -> u64 {
        self.cache.disk().memory_alignment().into()
    }

    /// Fills frames with contents of files, from whole pages of the disk.
    pub(super) fn read_frames(&self, offset: u64, frames: &[Frame]) -> Result<()> {
        self.cache.read_frames(offset, frames)
    }

    /// Writes frames with contents of files.
    pub(super) fn write_frames(&self, offset: u64, frames: &[Frame]) -> Result<()> {
        self.cache.write_frames(offset, frames)
    }
}

/// A failure of the block layer in the crate's terms.
pub(super) fn convert(error: Error) -> IoError {
    match error.errno {
        Errno::ENOMEM => IoError::OutOfMemory,
        Errno::EINVAL => IoError::OutOfRange,
        _ => IoError::Device,
    }
}

/// Has the block layer do something; a thread in the middle of a change, again and again as long as memory is short.
/// Meanwhile others free memory, or are killed for it.
fn attempt(mut operation: impl FnMut() -> Result<()>) -> core::result::Result<(), IoError> {
    loop {
        match operation().map_err(convert) {
            Err(IoError::OutOfMemory) if patience() == Patience::Always => {
                sched::sleep_until(time::monotonic_ns() + RETRY_NS);
            }
            result => return result,
        }
    }
}

fn patience() -> Patience {
    match sched::current().disk_patience.load(Ordering::Relaxed) {
        0 => Patience::Never,
        1 => Patience::OnceChanged,
        _ => Patience::Always,
    }
}

impl BlockIo for DiskIo {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> core::result::Result<(), IoError> {
        attempt(|| self.cache.read(offset, buffer))
    }

    fn write(&self, offset: u64, data: &[u8]) -> core::result::Result<(), IoError> {
        attempt(|| self.cache.write(offset, data))
    }

    fn flush(&self) -> core::result::Result<(), IoError> {
        attempt(|| self.cache.flush())
    }

    fn size_bytes(&self) -> u64 {
        self.cache.disk().size_bytes()
    }

    fn zero_data(&self, offset: u64, length: u64) -> core::result::Result<(), IoError> {
        attempt(|| self.cache.write_zeroes(offset, length))
    }

    fn forget(&self, offset: u64, length: u64) {
        self.cache.forget(offset, length);
    }

    fn patience(&self) -> Patience {
        patience()
    }

    fn set_patience(&self, patience: Patience) {
        let number = match patience {
            Patience::Never => 0,
            Patience::OnceChanged => 1,
            Patience::Always => 2,
        };
        sched::current().disk_patience.store(number, Ordering::Relaxed);
    }
}

/// The kernel's sleeping locks.
pub(super) struct KernelLocks;

impl Locks for KernelLocks {
    fn exclusive(&self, class: &'static str) -> Box<dyn ExclusiveLock> {
        Box::new(RawMutex::new(class))
    }

    fn shared(&self, class: &'static str) -> Box<dyn SharedLock> {
        Box::new(RawRwLock::new(class))
    }
}

impl ExclusiveLock for RawMutex {
    fn lock(&self, depth: u8, place: Place) {
        RawMutex::lock(self, depth, place);
    }

    fn unlock(&self) {
        RawMutex::unlock(self);
    }
}

impl SharedLock for RawRwLock {
    fn share(&self, place: Place) {
        self.read(place);
    }

    fn end_sharing(&self) {
        self.end_reading();
    }

    fn exclude(&self, place: Place) {
        self.write(place);
    }

    fn end_excluding(&self) {
        self.end_writing();
    }
}
