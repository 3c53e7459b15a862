//! Where the pages of a mapping come from, if it is not private memory that starts as zeros: the
//! [`PageSource`] of a file (its page cache), or memory shared by processes.

use super::commit::Promise;
use crate::{
    error::{Error, Result},
    sync::Mutex,
};
use abi::errno::Errno;
use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering};
use id_map::IdMap;
use machine::{addr::PAGE_SIZE, mm::Frame};

/// Something whose pages can be mapped into programs. Its methods are called without the lock of the
/// address space and may sleep, unless they say that they must not.
pub(crate) trait PageSource: Send + Sync {
    /// A reference to the frame with page `index`, which is read in if need be.
    fn page(&self, index: u64) -> Result<Frame>;

    /// The frame with page `index` if that is in memory. Must not sleep.
    fn cached(&self, _index: u64) -> Option<Frame> {
        None
    }

    /// Size in bytes: a fault on a page that lies wholly behind it is SIGBUS.
    fn size(&self) -> u64;

    /// A program has written to page `index`. Must not sleep.
    fn mark_dirty(&self, index: u64);

    /// A program is about to write to page `index`: makes sure of space for it and marks it.
    fn prepare_store(&self, index: u64) -> Result<()> {
        self.mark_dirty(index);
        Ok(())
    }

    /// Of what many sources show the same pages (a file that was mapped twice), the same number; 0 if its pages
    /// never go away and need not be written anywhere.
    fn identity(&self) -> usize {
        0
    }

    /// Writes what is dirty to where it belongs (msync with MS_SYNC).
    fn sync(&self) -> Result<()> {
        Ok(())
    }

    /// For /proc/PID/maps.
    fn device_and_inode(&self) -> (u64, u64);

    /// For /proc/PID/maps; empty: nothing.
    fn name(&self) -> Vec<u8>;
}

/// Memory that is not a file's and is shared: MAP_SHARED | MAP_ANONYMOUS, /dev/zero, System V.
pub(crate) struct SharedMemory {
    number: u64,
    pages: u64,
    frames: Mutex<IdMap<u64, Frame>>,
    _promise: Promise,
}

impl SharedMemory {
    /// Memory of `length` bytes, all zero. ENOMEM: vm.overcommit_memory refuses it.
    pub(crate) fn new(length: u64, reservation: Reservation) -> Result<Arc<Self>> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let pages = length.div_ceil(PAGE_SIZE as u64);
        let mut promise = Promise::default();
        if reservation == Reservation::Promised {
            promise.grow(pages, 0)?;
        }
        Ok(Arc::new(Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            pages,
            frames: Mutex::new("shared memory", IdMap::new()),
            _promise: promise,
        }))
    }
}

/// Whether shared memory counts as promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reservation {
    /// It does.
    Promised,
    /// It does not (MAP_NORESERVE).
    None,
}

impl PageSource for SharedMemory {
    fn page(&self, index: u64) -> Result<Frame> {
        if index >= self.pages {
            return Err(Error::new(Errno::ENXIO, "behind the end of shared memory"));
        }
        let mut frames = self.frames.lock();
        if let Some(frame) = frames.get(index) {
            return Ok(frame.clone());
        }
        let frame = super::reclaim::allocate_zeroed()?;
        frames.insert(index, frame.clone());
        Ok(frame)
    }

    fn size(&self) -> u64 {
        self.pages * PAGE_SIZE as u64
    }

    fn mark_dirty(&self, _index: u64) {}

    fn device_and_inode(&self) -> (u64, u64) {
        // Linux shows its internal file system for such memory: device 0:1.
        (1, self.number)
    }

    fn name(&self) -> Vec<u8> {
        b"/dev/zero (deleted)".to_vec()
    }
}
