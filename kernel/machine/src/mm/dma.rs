//! Memory that devices read and write.
//!
//! # Soundness
//! A device may change it at any time, so it is never borrowed: only copied, by string instructions, or
//! loaded and stored volatile, after a check of range and alignment.

use super::{
    MmioValue, OutOfMemory,
    allocator::{self, Owner},
    copy, layout,
};
use crate::addr::{PAGE_SIZE, PhysAddr};
use frames::Zone;

/// Physically contiguous memory below 4 GiB that a device reads and writes: only ever copied, volatile, never borrowed.
/// Zeroed at first. At most 4 MiB.
///
/// Whoever gives its address to a device keeps the buffer until the device no longer uses it.
#[derive(Debug)]
pub struct DmaBuffer {
    start: PhysAddr,
    length: usize,
    order: usize,
}

impl DmaBuffer {
    /// At least `length` bytes (rounded up to pages).
    pub fn allocate(length: usize) -> Result<DmaBuffer, OutOfMemory> {
        let pages = length.div_ceil(PAGE_SIZE).max(1);
        let order = frames::order_for(pages).ok_or(OutOfMemory)?;
        let start = allocator::allocate(Owner::Device, order, Zone::Low).map(allocator::address_of)?;
        let length = pages * PAGE_SIZE;
        // SAFETY: the block is fresh and ours, and this large.
        unsafe { copy::clear_bytes(layout::direct(start), length) };
        Ok(DmaBuffer { start, length, order })
    }

    /// Where the device finds it.
    pub fn address(&self) -> PhysAddr {
        self.start
    }

    /// Length in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a buffer has at least a page")]
    pub fn len(&self) -> usize {
        self.length
    }

    /// The address of a part, checked.
    fn part(&self, offset: usize, length: usize) -> *mut u8 {
        let inside = offset.checked_add(length).is_some_and(|end| end <= self.length);
        assert!(inside, "{length} bytes at {offset} are outside a buffer of {} bytes", self.length);
        (layout::DIRECT_MAP + self.start.as_u64() + offset as u64) as *mut u8
    }

    fn value<T: MmioValue>(&self, offset: usize) -> *mut T {
        let address = self.part(offset, size_of::<T>()).cast::<T>();
        assert!(address.is_aligned(), "a value at {offset:#x} of a buffer is not aligned");
        address
    }

    /// Copies out.
    pub fn read(&self, offset: usize, buffer: &mut [u8]) {
        let source = self.part(offset, buffer.len());
        // SAFETY: the source is inside the buffer, the destination an exclusive slice elsewhere.
        unsafe { copy::copy_bytes(buffer.as_mut_ptr(), source, buffer.len()) };
    }

    /// Copies in.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        let destination = self.part(offset, bytes.len());
        // SAFETY: the destination is inside the buffer, which nobody borrows.
        unsafe { copy::copy_bytes(destination, bytes.as_ptr(), bytes.len()) };
    }

    /// Volatile load of an aligned value.
    pub fn load<T: MmioValue>(&self, offset: usize) -> T {
        // SAFETY: aligned and inside; any bits are a value of an integer type.
        unsafe { self.value::<T>(offset).read_volatile() }
    }

    /// Volatile store of an aligned value.
    pub fn store<T: MmioValue>(&self, offset: usize, value: T) {
        // SAFETY: aligned and inside a buffer that nobody borrows.
        unsafe { self.value::<T>(offset).write_volatile(value) }
    }
}

impl Drop for DmaBuffer {
    fn drop(&mut self) {
        allocator::free(Owner::Device, allocator::frame_at(self.start), self.order);
    }
}
