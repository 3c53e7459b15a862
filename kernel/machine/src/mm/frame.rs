//! The counted handle to one frame of RAM, and page tables as frames.
//!
//! The count of a frame's record is, for a [`Frame`], the handles and page-table entries that refer to it; for a page table,
//! its used entries.
//!
//! # Soundness
//! A frame that the allocator hands out is RAM, mapped in the direct map, and nobody else's until
//! it comes back. A `Frame` is one of the counted references, so the frame lives as long as it.

use super::{
    OutOfMemory,
    allocator::{self, Owner, address_of, frame_at, record},
    copy,
    entry::Table,
    layout,
};
use crate::{
    addr::{PAGE_SIZE, PhysAddr},
    sync::Once,
};
use core::{
    num::NonZeroU32,
    ops::Range,
    sync::atomic::{AtomicI32, Ordering, fence},
};
use frames::Zone;

/// 2^order frames for a program, aligned to their size, with unspecified contents and one reference each: each is
/// let go as a [`Frame`] of its own.
pub(super) fn allocate_run(order: usize) -> Result<PhysAddr, OutOfMemory> {
    let first = allocator::allocate_run(Owner::Program, order)?;
    (first..first + (1 << order)).for_each(|frame| count(frame).store(1, Ordering::Relaxed));
    Ok(address_of(first))
}

/// See [`Frame::zeros`].
static ZEROS: Once<Frame> = Once::new();
/// How many references it gets at most.
const ZEROS_MAX: u32 = 1 << 28;

/// Whether a frame is that of [`Frame::zeros`]. Such a page is nobody's own: it is not counted where memory is.
pub(super) fn is_zeros(address: PhysAddr) -> bool {
    ZEROS.get().is_some_and(|zeros| zeros.address() == address)
}

/// How many references there are to the frame that a page-table entry holds.
pub(super) fn references(address: PhysAddr) -> i32 {
    count(frame_at(address)).load(Ordering::Acquire)
}

fn count(frame: u32) -> &'static AtomicI32 {
    &record(frame).count
}

/// An empty page table.
pub(super) fn allocate_table() -> Result<Table, OutOfMemory> {
    allocate_table_in(Zone::Any)
}

/// An empty page table in a part of memory.
pub(super) fn allocate_table_in(zone: Zone) -> Result<Table, OutOfMemory> {
    let frame = allocator::allocate(Owner::PageTable, 0, zone)?;
    let address = address_of(frame);
    count(frame).store(0, Ordering::Relaxed);
    // SAFETY: the frame is fresh and ours.
    unsafe { copy::clear_bytes(layout::direct(address), PAGE_SIZE) };
    Ok(Table(address))
}

/// Releases a page table that no CPU uses any more.
pub(super) fn free_table(table: Table) {
    allocator::free(Owner::PageTable, frame_at(table.0), 0);
}

/// Adds to the number of used entries of a page table.
pub(super) fn count_entries(table: Table, change: i32) {
    count(frame_at(table.0)).fetch_add(change, Ordering::Relaxed);
}

/// The number of used entries of a page table.
pub(super) fn entries(table: Table) -> i32 {
    count(frame_at(table.0)).load(Ordering::Relaxed)
}

/// A counted reference to one 4 KiB frame of RAM. A page-table entry, the page cache and a clone each hold one;
/// the frame goes back to the allocator with the last. Its bytes may be mapped into programs, so they are only
/// ever copied, never borrowed.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame(NonZeroU32);

impl Frame {
    /// A frame with unspecified contents: for callers that overwrite all of it.
    pub fn allocate() -> Result<Frame, OutOfMemory> {
        let frame = allocator::allocate(Owner::Program, 0, Zone::Any)?;
        count(frame).store(1, Ordering::Relaxed);
        Ok(Frame(NonZeroU32::new(frame).expect("frame 0 is never handed out")))
    }

    /// A frame of zeros.
    pub fn allocate_zeroed() -> Result<Frame, OutOfMemory> {
        let frame = Self::allocate()?;
        frame.clear(0..PAGE_SIZE);
        Ok(frame)
    }

    /// A reference to the frame of zeros that all share who have only read theirs so far. Nobody writes it: whoever maps it
    /// gives no permission to. Its bytes are zeros for ever.
    pub fn zeros() -> Result<Frame, OutOfMemory> {
        let zeros = match ZEROS.get() {
            Some(zeros) => zeros,
            None => {
                let fresh = Self::allocate_zeroed()?;
                ZEROS.call_once(|| fresh)
            }
        };
        // References are counted.
        if zeros.reference_count() < ZEROS_MAX { Ok(zeros.clone()) } else { Self::allocate_zeroed() }
    }

    /// Whether it is the one of [`zeros`](Self::zeros).
    pub fn is_zeros(&self) -> bool {
        is_zeros(self.address())
    }

    /// Where it lies.
    pub fn address(&self) -> PhysAddr {
        address_of(self.0.get())
    }

    /// How many references there are (1 = only this one).
    pub fn reference_count(&self) -> u32 {
        count(self.0.get()).load(Ordering::Acquire) as u32
    }

    /// The address of a part, checked.
    pub(super) fn part(&self, offset: usize, length: usize) -> *mut u8 {
        let inside = offset.checked_add(length).is_some_and(|end| end <= PAGE_SIZE);
        assert!(inside, "{length} bytes at {offset} are outside a frame");
        (layout::DIRECT_MAP + self.address().as_u64() + offset as u64) as *mut u8
    }

    /// Copies out `buffer.len()` bytes from `offset`; panics beyond the frame.
    pub fn read(&self, offset: usize, buffer: &mut [u8]) {
        let source = self.part(offset, buffer.len());
        // SAFETY: the source is inside the frame, the destination an exclusive slice elsewhere.
        unsafe { copy::copy_bytes(buffer.as_mut_ptr(), source, buffer.len()) };
    }

    /// Copies in; panics beyond the frame.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        let destination = self.part(offset, bytes.len());
        // SAFETY: the destination is inside the frame, whose bytes nobody borrows.
        unsafe { copy::copy_bytes(destination, bytes.as_ptr(), bytes.len()) };
    }

    /// Sets a range of bytes to zero.
    pub fn clear(&self, range: Range<usize>) {
        let length = range.end.checked_sub(range.start).expect("a range starts before its end");
        let destination = self.part(range.start, length);
        // SAFETY: the destination is inside the frame, whose bytes nobody borrows.
        unsafe { copy::clear_bytes(destination, length) };
    }

    /// Copies a whole frame.
    pub fn copy_from(&self, other: &Frame) {
        if self.0 != other.0 {
            let (destination, source) = (self.part(0, PAGE_SIZE), other.part(0, PAGE_SIZE));
            // SAFETY: two different frames, whose bytes nobody borrows.
            unsafe { copy::copy_bytes(destination, source, PAGE_SIZE) };
        }
    }

    /// Turns the reference into one that a page-table entry holds.
    pub(super) fn into_entry(self) -> PhysAddr {
        let address = self.address();
        core::mem::forget(self);
        address
    }

    /// Takes over the reference that a page-table entry held.
    pub(super) fn from_entry(address: PhysAddr) -> Frame {
        Frame(NonZeroU32::new(frame_at(address)).expect("entries hold references to frames"))
    }

    /// A new reference beside the one that a page-table entry holds.
    pub(super) fn share(address: PhysAddr) -> Frame {
        let held = core::mem::ManuallyDrop::new(Self::from_entry(address));
        Frame::clone(&held)
    }
}

impl Clone for Frame {
    fn clone(&self) -> Self {
        let before = count(self.0.get()).fetch_add(1, Ordering::Relaxed);
        assert!((1..i32::MAX / 2).contains(&before), "a frame has {before} references");
        Frame(self.0)
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if count(self.0.get()).fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            allocator::free(Owner::Program, self.0.get(), 0);
        }
    }
}
