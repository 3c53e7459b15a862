//! A disk or a partition: a named range of a block device.

use super::{Access, BlockDevice, cache::BlockCache};
use crate::error::{Error, Result};
use abi::errno::Errno;
use abi::stat::DeviceNumber;
use alloc::{string::String, sync::Arc};
use core::sync::atomic::{AtomicBool, Ordering};
use machine::addr::PAGE_SIZE;
use machine::mm::Frame;
use machine::sync::Once;

/// A disk or a partition as the system uses it. Offsets are counted from its own start; every transfer is
/// checked to be of whole blocks and to lie on it.
pub(crate) struct Disk {
    name: String,
    number: DeviceNumber,
    device: Arc<dyn BlockDevice>,
    start: u64,
    length: u64,
    /// The partition's number, id and label.
    partition: Option<PartitionIdentity>,
    cache: Once<Arc<BlockCache>>,
    is_claimed: AtomicBool,
}

/// What names a partition.
#[derive(Clone, Debug)]
pub(crate) struct PartitionIdentity {
    /// Its number on the disk, from 1.
    pub(crate) number: u32,
    /// What follows `PARTUUID=`.
    pub(crate) id: String,
    /// What follows `PARTLABEL=`.
    pub(crate) label: String,
}

impl Disk {
    /// A whole disk.
    pub(super) fn whole(name: String, number: DeviceNumber, device: Arc<dyn BlockDevice>) -> Arc<Self> {
        let length = device.size_bytes();
        Self::new(name, number, device, (0, length), None)
    }

    /// A part of `disk`, which must lie on it.
    pub(super) fn partition(
        disk: &Disk,
        name: String,
        number: DeviceNumber,
        (start, length): (u64, u64),
        identity: PartitionIdentity,
    ) -> Arc<Self> {
        Self::new(name, number, disk.device.clone(), (disk.start + start, length), Some(identity))
    }

    fn new(
        name: String,
        number: DeviceNumber,
        device: Arc<dyn BlockDevice>,
        (start, length): (u64, u64),
        partition: Option<PartitionIdentity>,
    ) -> Arc<Self> {
        let is_claimed = AtomicBool::new(false);
        Arc::new(Self { name, number, device, start, length, partition, cache: Once::new(), is_claimed })
    }

    /// Its name, as in /dev.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its device number.
    pub(crate) fn number(&self) -> DeviceNumber {
        self.number
    }

    /// Size in bytes.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.length
    }

    /// Where it begins on its device, in bytes; 0 for whole disks.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// The smallest unit of a transfer in bytes.
    pub(crate) fn block_size(&self) -> u32 {
        self.device.block_size()
    }

    /// Whether it can be written.
    pub(crate) fn access(&self) -> Access {
        self.device.access()
    }

    /// What names it as a partition; `None` for whole disks.
    pub(crate) fn partition_identity(&self) -> Option<&PartitionIdentity> {
        self.partition.as_ref()
    }

    /// Serial number of the device.
    pub(crate) fn identify(&self) -> Option<String> {
        self.device.identify()
    }

    /// Its blocks in memory: one cache for all who use it, so that they agree.
    pub(crate) fn cache(self: &Arc<Self>) -> &Arc<BlockCache> {
        self.cache.call_once(|| BlockCache::new(self.clone()))
    }

    /// Takes it for a file system, which keeps a second mount and `O_EXCL` away; EBUSY if it is taken.
    pub(crate) fn claim(self: &Arc<Self>) -> Result<Claim> {
        if self.is_claimed.swap(true, Ordering::AcqRel) {
            return Err(Error::new(Errno::EBUSY, "the disk is in use"));
        }
        Ok(Claim(self.clone()))
    }

    /// Whether somebody has claimed it.
    pub(crate) fn is_claimed(&self) -> bool {
        self.is_claimed.load(Ordering::Acquire)
    }

    /// Fills `buffer` with what is at `offset`.
    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.device.read(self.locate(offset, buffer.len() as u64)?, buffer)
    }

    /// Writes `data` at `offset`.
    pub(crate) fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.check_writable()?;
        self.device.write(self.locate(offset, data.len() as u64)?, data)
    }

    /// Fills whole frames.
    pub(crate) fn read_frames(&self, offset: u64, frames: &[Frame]) -> Result<()> {
        self.device.read_frames(self.locate(offset, (frames.len() * PAGE_SIZE) as u64)?, frames)
    }

    /// Writes whole frames.
    pub(crate) fn write_frames(&self, offset: u64, frames: &[Frame]) -> Result<()> {
        self.check_writable()?;
        self.device.write_frames(self.locate(offset, (frames.len() * PAGE_SIZE) as u64)?, frames)
    }

    /// Returns when everything written before is safe from a power cut.
    pub(crate) fn flush(&self) -> Result<()> {
        match self.access() {
            Access::ReadOnly => Ok(()),
            Access::ReadWrite => self.device.flush(),
        }
    }

    /// A range holds nothing of value any more.
    pub(crate) fn discard(&self, offset: u64, length: u64) -> Result<()> {
        self.check_writable()?;
        self.device.discard(self.locate(offset, length)?, length)
    }

    fn check_writable(&self) -> Result<()> {
        match self.access() {
            Access::ReadOnly => Err(Error::new(Errno::EROFS, "the disk is read-only")),
            Access::ReadWrite => Ok(()),
        }
    }

    /// Where a range is on the device; EINVAL if it is not of whole blocks, EIO if it is not on this disk.
    fn locate(&self, offset: u64, length: u64) -> Result<u64> {
        if !(offset | length).is_multiple_of(self.block_size().into()) {
            return Err(Error::new(Errno::EINVAL, "not a range of whole blocks"));
        }
        match offset.checked_add(length) {
            Some(end) if end <= self.length => Ok(self.start + offset),
            _ => Err(Error::new(Errno::EIO, "beyond the end of the disk")),
        }
    }
}

/// Exclusive use of a disk by a file system, given back when dropped.
pub(crate) struct Claim(Arc<Disk>);

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.is_claimed.store(false, Ordering::Release);
    }
}
