//! Device memory: registers mapped uncached, and firmware tables wherever they lie.
//!
//! # Soundness
//! A mapping covers no RAM (in tests: only RAM that a buffer keeps, of which there are no references), so nothing in it can be a Rust object, and each access is checked to be
//! aligned and inside. Addresses go back to the area only after every CPU has flushed them.

use super::{entry::EntryFlags, kernel_table, layout};
use crate::{
    addr::{PAGE_SIZE, PhysAddr},
    boot::MemoryKind,
    sync::IrqSpinLock,
};
use alloc::{sync::Arc, vec::Vec};
use core::ops::Range;

/// Where in the device area the next mapping goes, and what came back.
struct Area {
    next: u64,
    free: Vec<Range<u64>>,
}

static AREA: IrqSpinLock<Area> =
    IrqSpinLock::new("device area", Area { next: layout::DEVICE_AREA, free: Vec::new() });

impl Area {
    fn take(&mut self, bytes: u64) -> Option<u64> {
        if let Some(position) = self.free.iter().position(|range| range.end - range.start == bytes) {
            return Some(self.free.swap_remove(position).start);
        }
        let start = self.next;
        // One page stays unmapped between neighbours.
        let next = start.checked_add(bytes)?.checked_add(PAGE_SIZE as u64)?;
        if next > layout::DEVICE_AREA + layout::AREA_SIZE {
            return None;
        }
        self.next = next;
        Some(start)
    }

    /// Addresses that no list can take are lost, which the area can bear.
    fn give_back(&mut self, range: Range<u64>) {
        if self.free.try_reserve(1).is_ok() {
            self.free.push(range);
        }
    }
}

/// A mapped stretch of physical memory, whole pages.
struct Mapped {
    pages: Range<u64>,
    /// RAM that plays registers.
    #[cfg(feature = "tests")]
    played: Option<super::DmaBuffer>,
}

impl Mapped {
    fn new(start: PhysAddr, length: usize, flags: EntryFlags) -> Option<Mapped> {
        let first = start.as_u64() & !(PAGE_SIZE as u64 - 1);
        let end = start.as_u64().checked_add(length as u64)?.checked_next_multiple_of(PAGE_SIZE as u64)?;
        if length == 0 || end > 1 << 52 {
            return None;
        }
        let base = AREA.lock().take(end - first)?;
        let mut mapped = Mapped {
            pages: base..base,
            #[cfg(feature = "tests")]
            played: None,
        };
        for offset in (0..end - first).step_by(PAGE_SIZE) {
            let flags = flags | EntryFlags::PRESENT | EntryFlags::NO_EXECUTE | EntryFlags::GLOBAL;
            kernel_table::map(base + offset, PhysAddr::new(first + offset), flags).ok()?;
            mapped.pages.end += PAGE_SIZE as u64;
        }
        Some(mapped)
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        for page in self.pages.clone().step_by(PAGE_SIZE) {
            kernel_table::unmap(page);
        }
        super::tlb::flush_kernel(self.pages.clone());
        AREA.lock().give_back(self.pages.clone());
    }
}

/// Whether a stretch of physical memory overlaps memory that the system uses as RAM.
fn overlaps_ram(start: PhysAddr, length: usize) -> bool {
    let end = start.as_u64().saturating_add(length as u64);
    let is_ram = |kind| matches!(kind, MemoryKind::Usable | MemoryKind::Kernel | MemoryKind::BootLoader);
    super::memory_map().iter().any(|region| {
        is_ram(region.kind)
            && region.start.as_u64() < end
            && start.as_u64() < region.start.as_u64() + region.length
    })
}

/// Whether a stretch lies inside one region that the direct map covers.
fn is_direct(start: PhysAddr, length: usize) -> bool {
    let end = start.as_u64().saturating_add(length as u64);
    super::memory_map().iter().any(|region| {
        super::early::is_mapped(region)
            && region.start <= start
            && end <= region.start.as_u64() + region.length
    })
}

/// Registers of a device in physical memory, mapped uncached. Reads and writes are volatile and checked against the length.
pub struct Mmio {
    mapped: Arc<Mapped>,
    base: u64,
    length: usize,
}

impl Mmio {
    /// Maps a device's registers. Refuses ranges that overlap RAM.
    pub fn map(start: PhysAddr, length: usize) -> Option<Mmio> {
        Self::map_with(start, length, EntryFlags::NO_CACHE | EntryFlags::WRITE_THROUGH)
    }

    /// Maps memory of a device in which the order of writes is of no consequence (pixels): the CPU may collect them
    /// ("write combining"). Refuses ranges that overlap RAM.
    pub fn map_combining(start: PhysAddr, length: usize) -> Option<Mmio> {
        // Without a table of memory types this is the entry for write-through, which is right too, but slower.
        Self::map_with(start, length, EntryFlags::WRITE_THROUGH)
    }

    fn map_with(start: PhysAddr, length: usize, caching: EntryFlags) -> Option<Mmio> {
        if overlaps_ram(start, length) {
            return None;
        }
        let mapped = Mapped::new(start, length, EntryFlags::WRITABLE | caching)?;
        let base = mapped.pages.start + start.as_u64() % PAGE_SIZE as u64;
        Some(Mmio { mapped: Arc::new(mapped), base, length })
    }

    /// Registers that a buffer plays, which is kept as long as they are.
    #[cfg(feature = "tests")]
    pub fn played(memory: super::DmaBuffer) -> Option<Mmio> {
        let length = memory.len();
        let mut mapped = Mapped::new(memory.address(), length, EntryFlags::WRITABLE)?;
        let base = mapped.pages.start;
        mapped.played = Some(memory);
        Some(Mmio { mapped: Arc::new(mapped), base, length })
    }

    /// Length in bytes.
    #[expect(clippy::len_without_is_empty, reason = "registers are never empty")]
    pub fn len(&self) -> usize {
        self.length
    }

    /// The address of a register, checked.
    fn register<T: MmioValue>(&self, offset: usize) -> *mut T {
        let inside = offset.checked_add(size_of::<T>()).is_some_and(|end| end <= self.length);
        let address = self.base.wrapping_add(offset as u64);
        assert!(inside, "register {offset:#x} is outside a device's {:#x} bytes", self.length);
        assert!(address.is_multiple_of(size_of::<T>() as u64), "register {offset:#x} is not aligned");
        address as *mut T
    }

    /// Reads a register; the offset must be aligned and inside (else a panic).
    pub fn read<T: MmioValue>(&self, offset: usize) -> T {
        // SAFETY: an aligned address inside a live mapping; any bits are a value of an integer type.
        unsafe { self.register::<T>(offset).read_volatile() }
    }

    /// Writes a register.
    pub fn write<T: MmioValue>(&self, offset: usize, value: T) {
        // SAFETY: an aligned address inside a live, writable mapping of no RAM.
        unsafe { self.register::<T>(offset).write_volatile(value) }
    }

    /// Writes values one after another; the first offset must be aligned, and all of them inside (else a panic).
    pub fn write_all<T: MmioValue>(&self, offset: usize, values: &[T]) {
        let Some(last) = values.len().checked_sub(1) else { return };
        let end = last.checked_mul(size_of::<T>()).and_then(|length| offset.checked_add(length));
        self.register::<T>(end.expect("slices are shorter than memory"));
        let first = self.register::<T>(offset);
        for (index, &value) in values.iter().enumerate() {
            let register = first.wrapping_add(index);
            // SAFETY: aligned as the first, and not behind the last, which is inside a live, writable mapping of no RAM.
            unsafe { register.write_volatile(value) }
        }
    }

    /// A part of it, with its own life.
    pub fn slice(&self, offset: usize, length: usize) -> Option<Mmio> {
        (offset.checked_add(length)? <= self.length).then(|| Mmio {
            mapped: self.mapped.clone(),
            base: self.base + offset as u64,
            length,
        })
    }
}

mod sealed {
    pub trait Integer {}
    impl Integer for u8 {}
    impl Integer for u16 {}
    impl Integer for u32 {}
    impl Integer for u64 {}
}

/// u8, u16, u32, u64.
pub trait MmioValue: Copy + sealed::Integer {}
impl MmioValue for u8 {}
impl MmioValue for u16 {}
impl MmioValue for u32 {}
impl MmioValue for u64 {}

/// A full memory barrier towards devices.
pub fn device_barrier() {
    // SAFETY: the instruction orders memory accesses and does nothing else.
    unsafe { core::arch::asm!("mfence", options(nostack, preserves_flags)) };
}

/// Reads firmware tables and the like: copies from RAM or reserved memory that is not usable RAM. `false`: out of bounds.
pub fn read_physical(start: PhysAddr, buffer: &mut [u8]) -> bool {
    let overlaps_usable = super::memory_map().iter().any(|region| {
        super::is_free_for_use(region.kind)
            && region.start.as_u64() < start.as_u64().saturating_add(buffer.len() as u64)
            && start.as_u64() < region.start.as_u64() + region.length
    });
    if overlaps_usable {
        return false;
    }
    let mapped;
    let source = if is_direct(start, buffer.len()) {
        layout::direct(start).cast_const()
    } else {
        let Some(stretch) = Mapped::new(start, buffer.len(), EntryFlags::empty()) else {
            return buffer.is_empty();
        };
        mapped = stretch;
        (mapped.pages.start + start.as_u64() % PAGE_SIZE as u64) as *const u8
    };
    // SAFETY: the source is mapped, directly or as long as `mapped` lives; the destination is an
    // exclusive slice elsewhere.
    unsafe { super::copy::copy_bytes(buffer.as_mut_ptr(), source, buffer.len()) };
    true
}
