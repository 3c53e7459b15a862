//! What the crate `ext2` stands on: the disk's block cache, and the kernel's sleeping locks.

use crate::{
    block::cache::BlockCache,
    error::{Error, Result},
    sched,
    sync::{Mutex, MutexGuard, ReadGuard, RwLock, WriteGuard},
};
use abi::errno::Errno;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use ext2::{BlockIo, IoError, Lock, Locks, Patience, SharedLock};
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

/// The kernel's sleeping mutexes.
pub(super) struct KernelLocks;

impl Locks for KernelLocks {
    type Mutex<T: Send + 'static> = KernelLock<T>;
    type Shared = KernelShared;
}

/// The kernel's sleeping lock for many or one.
pub(super) struct KernelShared(RwLock<()>);

impl SharedLock for KernelShared {
    type Share<'a> = ReadGuard<'a, ()>;
    type Alone<'a> = WriteGuard<'a, ()>;

    fn new(class: &'static str) -> Self {
        Self(RwLock::new(class, ()))
    }

    #[track_caller]
    fn share(&self) -> ReadGuard<'_, ()> {
        self.0.read()
    }

    #[track_caller]
    fn exclude(&self) -> WriteGuard<'_, ()> {
        self.0.write()
    }
}

/// One of them.
pub(super) struct KernelLock<T>(Mutex<T>);

impl<T: Send + 'static> Lock<T> for KernelLock<T> {
    type Guard<'a> = MutexGuard<'a, T>;

    fn new(class: &'static str, value: T) -> Self {
        Self(Mutex::new(class, value))
    }

    #[track_caller]
    fn lock_nested(&self, depth: u8) -> MutexGuard<'_, T> {
        self.0.lock_nested(depth)
    }
}
