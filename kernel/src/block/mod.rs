//! Block devices: disks and their partitions.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | what a driver offers: [`BlockDevice`] |
//! | `disk.rs` | a disk or partition as the system uses it: [`Disk`] |
//! | `registry.rs` | all of them, by name and number; partitions are found here |
//! | `cache.rs` | blocks in memory, for file systems' own structures and for device files |
//! | `flusher.rs` | the thread that writes them back |
//! | `ram_disk.rs` | a disk in memory: what a boot module holds |
//! | `special.rs` | block device files: reading, writing, ioctls |
//!
//! A driver sees whole blocks on its disk only: [`Disk`] checks range and alignment before it is called.

pub(crate) mod cache;
mod disk;
mod flusher;
pub(crate) mod ram_disk;
pub(crate) mod registry;
pub(crate) mod special;
#[cfg(feature = "tests")]
mod tests;

pub(crate) use disk::{Claim, Disk};

use crate::error::{Error, Result};
use abi::errno::Errno;
use alloc::{string::String, vec};
use machine::addr::PAGE_SIZE;
use machine::mm::Frame;

/// Gives back up to `wanted` frames of blocks that can be read again; waits for no lock. Tells how many.
pub(crate) fn reclaim(wanted: usize) -> usize {
    flusher::caches().iter().fold(0, |freed, cache| freed + cache.reclaim(wanted - freed))
}

/// Whether a device can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// It cannot.
    ReadOnly,
    /// It can.
    ReadWrite,
}

/// What a driver offers. Offsets and lengths are multiples of the block size and lie on the device; calls may
/// come from several threads at once, and sleep.
pub(crate) trait BlockDevice: Send + Sync {
    /// Size in bytes, a multiple of the block size.
    fn size_bytes(&self) -> u64;

    /// The smallest unit of a transfer in bytes: a power of two from 512 to 4096.
    fn block_size(&self) -> u32;

    /// Whether it can be written.
    fn access(&self) -> Access;

    /// Fills `buffer` with what is at `offset`.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()>;

    /// Writes `data` at `offset`. It may stay in the device's own cache until [`flush`](Self::flush).
    fn write(&self, offset: u64, data: &[u8]) -> Result<()>;

    /// Fills whole frames, one behind the other on the disk.
    fn read_frames(&self, offset: u64, frames: &[Frame]) -> Result<()> {
        let mut buffer = vec![0; PAGE_SIZE];
        for (at, frame) in (offset..).step_by(PAGE_SIZE).zip(frames) {
            self.read(at, &mut buffer)?;
            frame.write(0, &buffer);
        }
        Ok(())
    }

    /// Writes whole frames, one behind the other on the disk.
    fn write_frames(&self, offset: u64, frames: &[Frame]) -> Result<()> {
        let mut buffer = vec![0; PAGE_SIZE];
        for (at, frame) in (offset..).step_by(PAGE_SIZE).zip(frames) {
            frame.read(0, &mut buffer);
            self.write(at, &buffer)?;
        }
        Ok(())
    }

    /// Returns when everything written before is safe from a power cut.
    fn flush(&self) -> Result<()>;

    /// Tells the device that a range holds nothing of value any more.
    fn discard(&self, _offset: u64, _length: u64) -> Result<()> {
        Err(Error::new(Errno::EOPNOTSUPP, "the device cannot discard"))
    }

    /// Its serial number, or whatever tells it from others.
    fn identify(&self) -> Option<String> {
        None
    }
}

/// Starts what works in the background. The scheduler runs.
pub(crate) fn init(_threads: &crate::sched::Ready) -> Result<Ready> {
    flusher::start()?;
    Ok(Ready(()))
}

/// Disks can be added: [`init`] has run.
pub(crate) struct Ready(());
