//! A disk or a partition as the system uses it: a range of a device, with its blocks in memory.
//!
//! Those hold on to the range, not to this, so that a disk that is gone goes from memory when nobody uses it any more.

use super::{BlockDevice, cache::BlockCache, extent::Extent, extent::PartitionIdentity};
use crate::device::registry::Node;
use crate::error::{Error, Result};
use abi::errno::Errno;
use abi::stat::DeviceNumber;
use alloc::{string::String, sync::Arc};
use core::ops::Deref;
use core::sync::atomic::{AtomicBool, Ordering};
use machine::sync::Once;

/// A disk or a partition. See the module.
pub(crate) struct Disk {
    extent: Arc<Extent>,
    cache: Once<Arc<BlockCache>>,
    is_claimed: AtomicBool,
}

impl Deref for Disk {
    type Target = Extent;

    fn deref(&self) -> &Extent {
        &self.extent
    }
}

impl Disk {
    /// A whole disk.
    pub(super) fn whole(
        name: String,
        number: DeviceNumber,
        device: Arc<dyn BlockDevice>,
        parent: Option<Arc<Node>>,
    ) -> Arc<Self> {
        let range = (0, device.size_bytes());
        Self::new(Extent::new(name, number, device, range, (parent, None)))
    }

    /// A part of `disk`, which must lie on it.
    pub(super) fn partition(
        disk: &Disk,
        name: String,
        number: DeviceNumber,
        (start, length): (u64, u64),
        identity: PartitionIdentity,
    ) -> Arc<Self> {
        let range = (disk.start() + start, length);
        let place = (disk.parent().cloned(), Some(identity));
        Self::new(Extent::new(name, number, disk.device.clone(), range, place))
    }

    fn new(extent: Arc<Extent>) -> Arc<Self> {
        Arc::new(Self { extent, cache: Once::new(), is_claimed: AtomicBool::new(false) })
    }

    /// Its blocks in memory: one cache for all who use it, so that they agree.
    pub(crate) fn cache(&self) -> &Arc<BlockCache> {
        self.cache.call_once(|| BlockCache::new(self.extent.clone()))
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
}

/// Exclusive use of a disk by a file system, given back when dropped.
pub(crate) struct Claim(Arc<Disk>);

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.is_claimed.store(false, Ordering::Release);
        self.0.device.note_unclaimed();
    }
}
