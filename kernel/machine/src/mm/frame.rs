//! Physical frames: the allocator, and the counted handle to one frame.
//!
//! Free memory is kept by the buddy allocator of the crate `frames`, under one lock that disables interrupts (interrupt
//! handlers allocate). Each frame of RAM has a reference count: for a [`Frame`], the handles and
//! page-table entries that refer to it; for a page table, its used entries. Frame 0 is never
//! handed out.
//!
//! The last frames are kept back for the kernel itself ([`Watermarks`]): what is allocated for a program fails
//! while the kernel's heap can still grow, so that an allocation of the kernel that has no error
//! path practically never fails.
//!
//! # Soundness
//! A block that the allocator hands out is RAM, mapped in the direct map, and nobody else's until
//! it comes back. A `Frame` is one of the counted references, so the frame lives as long as it.

use super::{OutOfMemory, copy, early::Bump, entry::Table, layout};
use crate::{
    addr::{PAGE_SIZE, PhysAddr},
    sync::{IrqSpinLock, Once},
};
use core::{
    num::NonZeroU32,
    ops::Range,
    sync::atomic::{AtomicI32, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence},
};
use frames::{Allocator, Links, Tag, Zone};

const PAGE: u64 = PAGE_SIZE as u64;

/// The first frame above 4 GiB.
const HIGH: u32 = 1 << 20;

/// What is known of each frame.
struct Record {
    links: AtomicU64,
    /// For a [`Frame`] its references, for a page table its used entries.
    count: AtomicI32,
    tag: AtomicU8,
}

impl frames::Record for Record {
    fn links(&self) -> Links {
        Links::from_bits(self.links.load(Ordering::Relaxed))
    }
    fn set_links(&self, links: Links) {
        self.links.store(links.to_bits(), Ordering::Relaxed);
    }
    fn tag(&self) -> Tag {
        Tag::from_bits(self.tag.load(Ordering::Relaxed))
    }
    fn set_tag(&self, tag: Tag) {
        self.tag.store(tag.to_bits(), Ordering::Relaxed);
    }
}

static ALLOCATOR: IrqSpinLock<Option<Allocator<'static, Record>>> = IrqSpinLock::new("frames", None);
static RECORDS: Once<&'static [Record]> = Once::new();
static PAGE_TABLES: AtomicUsize = AtomicUsize::new(0);
/// Frames that are free now.
static FREE: AtomicUsize = AtomicUsize::new(0);
static WATERMARKS: Once<Watermarks> = Once::new();

/// How many free frames are too few.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watermarks {
    /// Only the kernel's own small allocations go below.
    pub min: usize,
    /// Below, caches are to give frames back.
    pub low: usize,
    /// Until so many are free.
    pub high: usize,
}

impl Watermarks {
    /// For so much memory, in frames. As Linux does, `min` grows with the square root: what the kernel needs at
    /// once grows more slowly than memory.
    fn new(frames: usize) -> Self {
        const FRAME_KIB: usize = PAGE_SIZE / 1024;
        let min = ((frames * FRAME_KIB * 16).isqrt() / FRAME_KIB).clamp(32, 16384);
        Self { min, low: min + min / 4, high: min + min / 2 }
    }
}

/// The limits for this machine's memory.
pub(super) fn watermarks() -> Watermarks {
    WATERMARKS.get().copied().unwrap_or_default()
}

/// Frames that are free now.
pub(super) fn free_frames() -> usize {
    FREE.load(Ordering::Relaxed)
}

/// Takes over the memory that is left after the kernel's tables were built.
pub(super) fn init(mut bump: Bump<'_>) {
    let count = (bump.end() / PAGE).min(u64::from(u32::MAX)) as usize;
    let records = layout::direct(bump.take((count * size_of::<Record>()) as u64)).cast::<Record>();
    // SAFETY: zeroed memory of this size that nobody else has, for ever; zeros are valid records.
    let records: &'static [Record] = unsafe { core::slice::from_raw_parts(records, count) };
    RECORDS.call_once(|| records);

    let mut allocator = Allocator::new(records, HIGH);
    bump.rest(|range| {
        allocator.add_range((range.start / PAGE) as u32..(range.end / PAGE).min(u64::from(u32::MAX)) as u32);
    });
    WATERMARKS.call_once(|| Watermarks::new(allocator.free_frames()));
    FREE.store(allocator.free_frames(), Ordering::Relaxed);
    *ALLOCATOR.lock() = Some(allocator);
}

/// Frames that were handed to the allocator at boot, and that are free now.
pub(super) fn totals() -> (usize, usize) {
    let count = |allocator: &Allocator<'_, Record>| (allocator.managed_frames(), allocator.free_frames());
    ALLOCATOR.lock().as_ref().map_or((0, 0), count)
}

/// Frames that hold page tables of programs and of the areas.
pub(super) fn page_tables() -> usize {
    PAGE_TABLES.load(Ordering::Relaxed)
}

/// Who asks for memory, which says how much must stay free.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// A page or table of a program: the kernel can do without it.
    Program,
    /// The kernel itself: small allocations may have no way to fail, large ones leave them half of the reserve.
    Kernel,
}

/// Blocks of the kernel of this order and above are large.
const LARGE_ORDER: usize = 2;

impl Purpose {
    /// How many frames must be free before.
    fn needs(self, order: usize) -> usize {
        match self {
            Purpose::Program => watermarks().min + (1 << order),
            Purpose::Kernel if order >= LARGE_ORDER => watermarks().min / 2 + (1 << order),
            Purpose::Kernel => 1 << order,
        }
    }
}

fn allocate_for(purpose: Purpose, order: usize, zone: Zone) -> Result<u32, OutOfMemory> {
    let mut allocator = ALLOCATOR.lock();
    let allocator = allocator.as_mut().ok_or(OutOfMemory)?;
    if order > frames::MAX_ORDER || allocator.free_frames() < purpose.needs(order) {
        return Err(OutOfMemory);
    }
    let frame = allocator.allocate(order, zone).ok_or(OutOfMemory)?;
    FREE.store(allocator.free_frames(), Ordering::Relaxed);
    Ok(frame)
}

/// A block of 2^order frames for the kernel, aligned to its size, with unspecified contents.
pub(super) fn allocate_block(order: usize, zone: Zone) -> Result<PhysAddr, OutOfMemory> {
    allocate_for(Purpose::Kernel, order, zone).map(|frame| PhysAddr::new(u64::from(frame) * PAGE))
}

/// 2^order frames for a program, aligned to their size, with unspecified contents and one reference each: each is
/// let go as a [`Frame`] of its own.
pub(super) fn allocate_run(order: usize) -> Result<PhysAddr, OutOfMemory> {
    let first = allocate_for(Purpose::Program, order, Zone::Any)?;
    let mut allocator = ALLOCATOR.lock();
    let split = allocator.as_mut().expect("it has just allocated").split(first, order);
    split.expect("the block was allocated with this order");
    (first..first + (1 << order)).for_each(|frame| count(frame).store(1, Ordering::Relaxed));
    Ok(PhysAddr::new(u64::from(first) * PAGE))
}

/// How many references there are to the frame that a page-table entry holds.
pub(super) fn references(address: PhysAddr) -> i32 {
    count((address.as_u64() / PAGE) as u32).load(Ordering::Acquire)
}

/// Gives a block back. It must have come from [`allocate_block`] with this order.
pub(super) fn free_block(start: PhysAddr, order: usize) {
    let mut allocator = ALLOCATOR.lock();
    let allocator = allocator.as_mut().expect("blocks come from the allocator");
    let freed = allocator.free((start.as_u64() / PAGE) as u32, order);
    if let Err(error) = freed {
        panic!("memory: freeing {start:?}, order {order}: {error}");
    }
    FREE.store(allocator.free_frames(), Ordering::Relaxed);
}

fn count(frame: u32) -> &'static AtomicI32 {
    let records = RECORDS.get().expect("frames come from the allocator");
    &records[frame as usize].count
}

/// An empty page table.
pub(super) fn allocate_table() -> Result<Table, OutOfMemory> {
    allocate_table_in(Zone::Any)
}

/// An empty page table in a part of memory.
pub(super) fn allocate_table_in(zone: Zone) -> Result<Table, OutOfMemory> {
    let frame = allocate_for(Purpose::Program, 0, zone)?;
    let address = PhysAddr::new(u64::from(frame) * PAGE);
    count(frame).store(0, Ordering::Relaxed);
    // SAFETY: the frame is fresh and ours.
    unsafe { copy::clear_bytes(layout::direct(address), PAGE_SIZE) };
    PAGE_TABLES.fetch_add(1, Ordering::Relaxed);
    Ok(Table(address))
}

/// Releases a page table that no CPU uses any more.
pub(super) fn free_table(table: Table) {
    PAGE_TABLES.fetch_sub(1, Ordering::Relaxed);
    free_block(table.0, 0);
}

/// Adds to the number of used entries of a page table.
pub(super) fn count_entries(table: Table, change: i32) {
    count((table.0.as_u64() / PAGE) as u32).fetch_add(change, Ordering::Relaxed);
}

/// The number of used entries of a page table.
pub(super) fn entries(table: Table) -> i32 {
    count((table.0.as_u64() / PAGE) as u32).load(Ordering::Relaxed)
}

/// A counted reference to one 4 KiB frame of RAM. A page-table entry, the page cache and a clone each hold one;
/// the frame goes back to the allocator with the last. Its bytes may be mapped into programs, so they are only
/// ever copied, never borrowed.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame(NonZeroU32);

impl Frame {
    /// A frame with unspecified contents: for callers that overwrite all of it.
    pub fn allocate() -> Result<Frame, OutOfMemory> {
        let frame = allocate_for(Purpose::Program, 0, Zone::Any)?;
        count(frame).store(1, Ordering::Relaxed);
        Ok(Frame(NonZeroU32::new(frame).expect("frame 0 is never handed out")))
    }

    /// A frame of zeros.
    pub fn allocate_zeroed() -> Result<Frame, OutOfMemory> {
        let frame = Self::allocate()?;
        frame.clear(0..PAGE_SIZE);
        Ok(frame)
    }

    /// Where it lies.
    pub fn address(&self) -> PhysAddr {
        PhysAddr::new(u64::from(self.0.get()) * PAGE)
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
        let frame = (address.as_u64() / PAGE) as u32;
        Frame(NonZeroU32::new(frame).expect("entries hold references to frames"))
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
            free_block(self.address(), 0);
        }
    }
}
