//! Runs of 512 frames that are mapped as one page of 2 MiB.
//!
//! Each frame of a run has its own reference count, so a huge page can be split into small ones at any time without
//! a look at the counts: the entry that maps a run holds one reference to each of its frames, and so do the 512
//! entries that take its place.

use super::{
    OutOfMemory, copy,
    frame::{self, Frame},
    layout,
};
use crate::addr::{PAGE_SIZE, PhysAddr};

const PAGE: u64 = PAGE_SIZE as u64;

/// One reference to each of 512 frames in a row, the first at a multiple of 2 MiB.
#[derive(Debug)]
pub struct HugeFrame(PhysAddr);

impl HugeFrame {
    /// Its size in bytes.
    pub const SIZE: u64 = FRAMES as u64 * PAGE;

    /// A run of zeros.
    pub fn allocate_zeroed() -> Result<HugeFrame, OutOfMemory> {
        let start = frame::allocate_run(ORDER)?;
        // SAFETY: the frames are fresh and ours.
        unsafe { copy::clear_bytes(layout::direct(start), Self::SIZE as usize) };
        Ok(HugeFrame(start))
    }

    /// Turns the references into those that a page-table entry holds.
    pub(super) fn into_entry(self) -> PhysAddr {
        let start = self.0;
        core::mem::forget(self);
        start
    }

    /// Takes over the references that a page-table entry held.
    pub(super) fn from_entry(start: PhysAddr) -> HugeFrame {
        HugeFrame(start)
    }

    /// New references beside those that a page-table entry holds.
    pub(super) fn share(start: PhysAddr) -> HugeFrame {
        frames(start).for_each(|address| {
            Frame::share(address).into_entry();
        });
        HugeFrame(start)
    }

    /// Whether nobody else refers to any frame of the run that an entry holds.
    pub(super) fn is_exclusive(start: PhysAddr) -> bool {
        frames(start).all(|address| frame::references(address) == 1)
    }
}

/// The order of a run for the frame allocator.
const ORDER: usize = 9;
const FRAMES: usize = 1 << ORDER;

/// The frames of a run.
fn frames(start: PhysAddr) -> impl Iterator<Item = PhysAddr> {
    (0..FRAMES as u64).map(move |index| start + index * PAGE)
}

impl Drop for HugeFrame {
    fn drop(&mut self) {
        frames(self.0).for_each(|address| drop(Frame::from_entry(address)));
    }
}
