//! Physical frames, page tables, user copies, DMA and device memory, the kernel heap.

use crate::addr::{PhysAddr, VirtAddr};
use core::ops::Range;

/// No frame, or no heap space, is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// A counted reference to one 4 KiB frame of RAM. A page-table entry, the page cache and a clone each hold one;
/// the frame goes back to the allocator with the last. Its bytes may be mapped into programs, so they are only
/// ever copied, never borrowed.
pub struct Frame(());
impl Frame {
    /// A frame with unspecified contents: for callers that overwrite all of it.
    pub fn allocate() -> Result<Frame, OutOfMemory> { todo!() }
    /// A frame of zeros.
    pub fn allocate_zeroed() -> Result<Frame, OutOfMemory> { todo!() }
    /// Where it lies.
    pub fn address(&self) -> PhysAddr { todo!() }
    /// How many references there are (1 = only this one).
    pub fn reference_count(&self) -> u32 { todo!() }
    /// Copies out `buffer.len()` bytes from `offset`; panics beyond the frame.
    pub fn read(&self, offset: usize, buffer: &mut [u8]) { todo!() }
    /// Copies in; panics beyond the frame.
    pub fn write(&self, offset: usize, bytes: &[u8]) { todo!() }
    /// Sets a range of bytes to zero.
    pub fn clear(&self, range: Range<usize>) { todo!() }
    /// Copies a whole frame.
    pub fn copy_from(&self, other: &Frame) { todo!() }
}
impl Clone for Frame {
    fn clone(&self) -> Self { todo!() }
}

/// Figures for /proc/meminfo, in frames.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct MemoryStatistics { pub total: usize, pub free: usize, pub page_tables: usize, pub kernel_heap: usize, pub kernel_stacks: usize }
/// How memory is used now.
pub fn statistics() -> MemoryStatistics { todo!() }

bitflags::bitflags! {
    /// What a program may do with a page. Readable always.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct PageFlags: u8 {
        /// Stores are allowed.
        const WRITE = 1;
        /// Instruction fetches are allowed.
        const EXECUTE = 2;
    }
}

/// A present user page.
#[derive(Clone)]
pub struct Mapping {
    /// What it maps (a reference of its own).
    pub frame: Frame,
    /// Permissions.
    pub flags: PageFlags,
    /// The CPU has read or written it since the bit was last cleared.
    pub accessed: bool,
    /// The CPU has written it since the bit was last cleared.
    pub dirty: bool,
}

/// The lower half of an address space: user pages by 4 KiB. The upper half is the kernel's, shared by all.
/// Every change flushes what CPUs have cached of it before a frame is released.
/// Addresses are page-aligned and below [`USER_END`](crate::addr::USER_END); page 0 cannot be mapped.
pub struct UserPageTable(());
impl UserPageTable {
    /// An empty one.
    pub fn new() -> Result<Self, OutOfMemory> { todo!() }
    /// Maps a frame, replacing (and releasing) what was there.
    pub fn map(&mut self, page: VirtAddr, frame: Frame, flags: PageFlags) -> Result<(), OutOfMemory> { todo!() }
    /// What is mapped at a page.
    pub fn query(&self, page: VirtAddr) -> Option<Mapping> { todo!() }
    /// Unmaps a range and releases its frames and the tables that become empty; `visit` sees each page before.
    pub fn unmap(&mut self, range: Range<VirtAddr>, visit: &mut dyn FnMut(VirtAddr, &Mapping)) { todo!() }
    /// Changes the permissions of what is present in a range.
    pub fn protect(&mut self, range: Range<VirtAddr>, flags: PageFlags) { todo!() }
    /// Calls `visit` for each present page of a range.
    pub fn visit(&self, range: Range<VirtAddr>, visit: &mut dyn FnMut(VirtAddr, &Mapping)) { todo!() }
    /// For fork: maps every present page of the range into `child` too, both without write permission
    /// if `copy_on_write`, else with the same permissions (shared mappings).
    pub fn share_with(&mut self, child: &mut UserPageTable, range: Range<VirtAddr>, copy_on_write: bool) -> Result<(), OutOfMemory> { todo!() }
    /// Clears the dirty bits of a range, calling `visit` for each page that had one (for msync).
    pub fn clear_dirty(&mut self, range: Range<VirtAddr>, visit: &mut dyn FnMut(VirtAddr, &Mapping)) { todo!() }
    /// Number of present pages (VmRSS).
    pub fn resident_pages(&self) -> usize { todo!() }
    /// Makes this the address space of this CPU; it stays alive while any CPU has it loaded, even when dropped here.
    pub fn activate(&self) { todo!() }
}
/// Leaves this CPU with the kernel's address space only.
pub fn activate_kernel() { todo!() }

pub mod user {
    //! Copies between the kernel and the program whose address space is active. Addresses are claims: they are
    //! checked, faults are resolved through [`Upcalls::user_page_fault`](crate::upcalls::Upcalls::user_page_fault).

    /// A part of the range is not there, or not accessible that way.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Fault;
    /// Copies in; all or an error (the buffer may then hold a part).
    pub fn copy_from(destination: &mut [u8], source: u64) -> Result<(), Fault> { todo!() }
    /// Copies out; all or an error (a part may have been written).
    pub fn copy_to(destination: u64, source: &[u8]) -> Result<(), Fault> { todo!() }
    /// Like [`copy_to`], and tells how many bytes got there.
    pub fn copy_to_partial(destination: u64, source: &[u8]) -> usize { todo!() }
    /// Like [`copy_from`], and tells how many bytes were copied.
    pub fn copy_from_partial(destination: &mut [u8], source: u64) -> usize { todo!() }
    /// Writes zeros.
    pub fn clear(destination: u64, length: usize) -> Result<(), Fault> { todo!() }
    /// Copies a string up to its NUL byte (not included); returns its length, or `Ok(buffer.len())` if no NUL came.
    pub fn copy_string_from(buffer: &mut [u8], source: u64) -> Result<usize, Fault> { todo!() }
    /// Atomic load of an aligned 32-bit word (futex).
    pub fn load_u32(address: u64) -> Result<u32, Fault> { todo!() }
    /// Atomic compare and exchange of an aligned 32-bit word: the value that was there.
    pub fn compare_exchange_u32(address: u64, expected: u32, new: u32) -> Result<u32, Fault> { todo!() }
}

/// Registers of a device in physical memory, mapped uncached. Reads and writes are volatile and checked against the length.
pub struct Mmio(());
impl Mmio {
    /// Maps a device's registers. Refuses ranges that overlap RAM.
    pub fn map(start: PhysAddr, length: usize) -> Option<Mmio> { todo!() }
    /// Length in bytes.
    pub fn len(&self) -> usize { todo!() }
    /// Reads a register; the offset must be aligned and inside (else a panic).
    pub fn read<T: MmioValue>(&self, offset: usize) -> T { todo!() }
    /// Writes a register.
    pub fn write<T: MmioValue>(&self, offset: usize, value: T) { todo!() }
    /// A part of it, with its own life.
    pub fn slice(&self, offset: usize, length: usize) -> Option<Mmio> { todo!() }
}
/// u8, u16, u32, u64.
pub trait MmioValue: Copy {}
impl MmioValue for u8 {}
impl MmioValue for u16 {}
impl MmioValue for u32 {}
impl MmioValue for u64 {}

/// Physically contiguous memory that a device reads and writes: only ever copied, volatile, never borrowed. Zeroed at first.
pub struct DmaBuffer(());
impl DmaBuffer {
    /// At least `length` bytes (rounded up to pages).
    pub fn allocate(length: usize) -> Result<DmaBuffer, OutOfMemory> { todo!() }
    /// Where the device finds it.
    pub fn address(&self) -> PhysAddr { todo!() }
    /// Length in bytes.
    pub fn len(&self) -> usize { todo!() }
    /// Copies out.
    pub fn read(&self, offset: usize, buffer: &mut [u8]) { todo!() }
    /// Copies in.
    pub fn write(&self, offset: usize, bytes: &[u8]) { todo!() }
    /// Volatile load of an aligned value.
    pub fn load<T: MmioValue>(&self, offset: usize) -> T { todo!() }
    /// Volatile store of an aligned value.
    pub fn store<T: MmioValue>(&self, offset: usize, value: T) { todo!() }
}
/// A full memory barrier towards devices.
pub fn device_barrier() { todo!() }
/// Reads firmware tables and the like: copies from RAM or reserved memory that is not usable RAM. `false`: out of bounds.
pub fn read_physical(start: PhysAddr, buffer: &mut [u8]) -> bool { todo!() }
