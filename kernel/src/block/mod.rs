//! Block devices: disks and their partitions.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | what a device offers: [`BlockDevice`] |
//! | `transfer.rs` | what is asked of it: [`Transfer`], several at once: [`Batch`] |
//! | `hardware.rs` | what a driver does for a disk: [`Hardware`](hardware::Hardware) |
//! | `queue.rs` | between transfers and a driver: merging, order, errors: [`RequestQueue`] |
//! | `recovery.rs` | the thread that resets devices which do not answer |
//! | `statistics.rs` | what a disk has done |
//! | `disk.rs`, `extent.rs` | a disk or partition as the system uses it: [`Disk`]; the range of a device that it is |
//! | `registry.rs` | all of them, by name and number; partitions are found here |
//! | `content.rs` | what the file system on a disk is called |
//! | `cache.rs` | blocks in memory, for file systems' own structures and for device files |
//! | `flusher.rs` | the thread that writes them back |
//! | `loop_device.rs` | files as disks |
//! | `ram_disk.rs` | a disk in memory: what a boot module holds |
//! | `special.rs`, `direct.rs` | block device files: reading, writing, ioctls; O_DIRECT |
//!
//! From above: [`Disk`] checks range and alignment, makes a batch of transfers and hands it to its device. A driver of
//! hardware implements [`Hardware`](hardware::Hardware) and puts a [`RequestQueue`] before it, which is the device; a
//! device that needs no queue implements [`BlockDevice`] itself. The logic of the queue is `lib/request-queue`.

pub(crate) mod cache;
mod content;
mod direct;
mod disk;
mod extent;
mod flusher;
pub(crate) mod hardware;
mod loop_device;
mod queue;
#[cfg(feature = "tests")]
mod queue_tests;
pub(crate) mod ram_disk;
mod recovery;
pub(crate) mod registry;
pub(crate) mod special;
mod statistics;
#[cfg(feature = "tests")]
mod tests;
mod transfer;

pub(crate) use disk::{Claim, Disk};
pub(crate) use queue::RequestQueue;
pub(crate) use request_queue::Limits;
pub(crate) use statistics::Statistics;
pub(crate) use transfer::{Batch, Durability, Operation, Priority, Segment, Transfer};

use crate::error::Result;
use alloc::{string::String, sync::Arc, vec::Vec};

/// Gives back up to `wanted` frames of blocks that can be read again; waits for no lock. Tells how many.
pub(crate) fn reclaim(wanted: usize) -> usize {
    flusher::caches().iter().fold(0, |freed, cache| freed + cache.reclaim(wanted - freed))
}

/// Blocks in memory, in frames.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CacheUsage {
    /// All ("Buffers").
    pub(crate) cached: usize,
    /// Those that are newer than the disk.
    pub(crate) dirty: usize,
}

/// What the caches of blocks take now.
pub(crate) fn cache_usage() -> CacheUsage {
    CacheUsage {
        cached: cache::count(),
        dirty: flusher::caches().iter().map(|cache| cache.dirty_count()).sum(),
    }
}

/// Whether a device can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// It cannot.
    ReadOnly,
    /// It can.
    ReadWrite,
}

/// What a device can do besides reading and writing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Features {
    /// What is written may be lost in a power cut until it is flushed.
    pub(crate) has_cache: bool,
    /// It knows writes that are safe when they are done.
    pub(crate) has_safe_writes: bool,
    /// The most bytes that can be discarded at once, 0: none can.
    pub(crate) max_discard: u64,
    /// The most bytes that can be zeroed at once, 0: none can.
    pub(crate) max_zeroes: u64,
    /// It has an arm that moves.
    pub(crate) is_rotational: bool,
}

/// What a device says of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    /// What tells it from others of its kind.
    pub(crate) serial: Option<String>,
    pub(crate) model: Option<String>,
    /// Its firmware's version.
    pub(crate) firmware: Option<String>,
}

/// Limits of a device that has none: what is handed in at a time.
const GENEROUS: Limits =
    Limits { max_length: 1 << 20, max_segments: 256, depth: 1, needs_whole_pages: false };

/// What memory of a direct transfer is a multiple of, unless the device is known to do with less.
pub(crate) const MEMORY_ALIGNMENT: u32 = 512;

/// A device with blocks. Offsets and lengths of transfers are multiples of the block size and lie on the device.
pub(crate) trait BlockDevice: Send + Sync {
    /// Size in bytes, a multiple of the block size.
    fn size_bytes(&self) -> u64;

    /// The smallest unit of a transfer in bytes: a power of two from 512 to 4096.
    fn block_size(&self) -> u32;

    /// Whether it can be written.
    fn access(&self) -> Access;

    /// What it can do.
    fn features(&self) -> Features {
        Features::default()
    }

    /// What addresses of a program's memory are multiples of in direct transfers, a power of two. Here they are copied and
    /// may be anything, but Linux refuses others, for the sake of devices, and programs go by it.
    fn memory_alignment(&self) -> u32 {
        MEMORY_ALIGNMENT
    }

    /// What a transfer may have.
    fn limits(&self) -> Limits {
        GENEROUS
    }

    /// Takes in transfers, each of which it finishes at some time, exactly once. Calls may come from several threads at
    /// once, and sleep.
    fn submit(&self, transfers: Vec<Arc<Transfer>>);

    /// A file system that had claimed it is unmounted. May sleep.
    fn note_unclaimed(&self) {}

    /// What it says of itself.
    fn identify(&self) -> Identity {
        Identity::default()
    }

    /// What it has done, if that is counted.
    fn statistics(&self) -> Option<&Statistics> {
        None
    }
}

/// Starts what works in the background. The scheduler runs.
pub(crate) fn init(_threads: &crate::sched::Ready) -> Result<Ready> {
    extent::init()?;
    recovery::start()?;
    flusher::start()?;
    loop_device::init()?;
    Ok(Ready(()))
}

/// Disks can be added: [`init`] has run.
pub(crate) struct Ready(());
