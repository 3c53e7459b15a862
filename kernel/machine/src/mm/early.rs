//! From the boot code's page tables to the kernel's own, before there is an allocator.
//!
//! The boot code tells what memory there is ([`EarlyMemory`]). A bump allocator takes the first tables
//! and the frame records from the front of usable regions; what it took is never given back. Then
//! the direct map is built (the largest pages that fit; RAM and ACPI memory only; the
//! kernel's text and constants read-only there too), the image by sections (text executable, constants
//! read-only, data not executable), and the tables of the areas; CR3 is switched, and the rest of
//! memory goes to the frame allocator.
//!
//! # Soundness
//! All memory touched here is either Usable and not yet given to anyone, or the image itself, whose
//! mapping stays what it was but for narrower permissions.

use super::{
    entry::{Entry, EntryFlags, Table},
    kernel_table, layout,
};
use crate::{
    addr::{PAGE_SIZE, PhysAddr, VirtAddr},
    boot::{MemoryKind, MemoryRegion},
};
use core::{arch::x86_64::__cpuid, cell::RefCell, ops::Range};
use paging::{Level, PageKind, PageTable, TableMemory};

/// More regions than this are ignored (their memory stays unused).
pub const MAX_REGIONS: usize = 256;
const PAGE: u64 = PAGE_SIZE as u64;
const MIB: u64 = 1 << 20;
/// The first 64 KiB are never handed out: firmware scribbles there.
const FIRMWARE_END: u64 = 64 << 10;
/// A page below 1 MiB that is kept for the code in which the other CPUs start.
pub(crate) const START_CODE: PhysAddr = PhysAddr::new(0x8000);

/// What the boot code knows about memory.
#[derive(Debug)]
pub(crate) struct EarlyMemory<'a> {
    /// The memory map: sorted, without overlaps; kernel image, modules and boot data are of kind `Kernel`.
    pub(crate) regions: &'a [MemoryRegion],
    /// Physical address + this is readable and writable now, for all RAM below 4 GiB at least.
    pub(crate) hhdm: u64,
    /// Where the boot loader put `__kernel_start`.
    pub(crate) kernel_base: PhysAddr,
}

unsafe extern "C" {
    static __kernel_start: u8;
    static __text_start: u8;
    static __text_end: u8;
    static __rodata_start: u8;
    static __rodata_end: u8;
    static __data_start: u8;
    static __data_end: u8;
}

/// The pages of a section of the image, in virtual addresses.
fn section(start: *const u8, end: *const u8) -> Range<u64> {
    assert!((start as u64).is_multiple_of(PAGE), "sections of the image start on pages");
    start as u64..(end as u64).next_multiple_of(PAGE)
}

/// Whether the direct map covers a region.
pub(super) fn is_mapped(region: &MemoryRegion) -> bool {
    region.kind != MemoryKind::Reserved
}

/// What of a region can be handed out: whole pages, above [`START_CODE`]'s neighbourhood.
pub(super) fn whole_pages(region: &MemoryRegion) -> Option<Range<u64>> {
    let start = region.start.as_u64().max(FIRMWARE_END).next_multiple_of(PAGE);
    let end =
        (region.start.as_u64().saturating_add(region.length) & !(PAGE - 1)).min(layout::DIRECT_MAP_SIZE);
    (start < end).then_some(start..end)
}

/// Takes memory from the front of usable regions, above 1 MiB and below what the boot code has mapped.
pub(super) struct Bump<'a> {
    regions: &'a [MemoryRegion],
    hhdm: u64,
    taken: [u64; MAX_REGIONS],
}

impl<'a> Bump<'a> {
    /// What of a usable region can be used.
    fn usable(region: &MemoryRegion) -> Option<Range<u64>> {
        whole_pages(region).filter(|_| region.kind == MemoryKind::Usable)
    }

    /// Zeroed whole pages, one behind the other.
    pub(super) fn take(&mut self, bytes: u64) -> PhysAddr {
        let bytes = bytes.next_multiple_of(PAGE);
        for (region, taken) in self.regions.iter().zip(&mut self.taken) {
            let Some(usable) = Self::usable(region) else { continue };
            let start = usable.start.max(MIB) + *taken;
            if start + bytes <= usable.end.min(4 << 30) {
                *taken += bytes;
                // SAFETY: usable memory that nobody has yet, mapped by the boot code at `hhdm`.
                unsafe { super::copy::clear_bytes((start + self.hhdm) as *mut u8, bytes as usize) };
                return PhysAddr::new(start);
            }
        }
        panic!("not enough memory to start: {bytes} bytes wanted below 4 GiB");
    }

    /// Calls `visit` with the usable memory that was not taken.
    pub(super) fn rest(&self, mut visit: impl FnMut(Range<u64>)) {
        for (region, taken) in self.regions.iter().zip(&self.taken) {
            let Some(usable) = Self::usable(region) else { continue };
            if *taken == 0 {
                visit(usable);
                continue;
            }
            let first = usable.start.max(MIB);
            if usable.start < first {
                visit(usable.start..first);
            }
            if first + *taken < usable.end {
                visit(first + *taken..usable.end);
            }
        }
    }

    /// What will be usable when the boot loader's data is no longer needed.
    pub(super) fn usable_later(&self) -> impl Iterator<Item = Range<u64>> {
        self.regions.iter().filter(|region| region.kind == MemoryKind::BootLoader).filter_map(whole_pages)
    }

    /// The end of memory that is or will be usable.
    pub(super) fn end(&self) -> u64 {
        let usable = self.regions.iter().filter_map(Self::usable);
        usable.chain(self.usable_later()).map(|range| range.end).max().unwrap_or(0)
    }
}

/// Tables that come from the bump allocator and are reached through the boot code's mapping.
struct BootTables<'a, 'b> {
    bump: RefCell<&'b mut Bump<'a>>,
    hhdm: u64,
}

impl TableMemory for BootTables<'_, '_> {
    fn read(&self, table: PhysAddr, index: usize) -> Entry {
        Table(table).read_at(self.hhdm, index)
    }
    fn compare_exchange(
        &self,
        table: PhysAddr,
        index: usize,
        current: Entry,
        new: Entry,
    ) -> Result<(), Entry> {
        Table(table).exchange_at(self.hhdm, index, current, new)
    }
    fn allocate(&self) -> Option<PhysAddr> {
        Some(self.bump.borrow_mut().take(PAGE))
    }
    fn free(&self, table: PhysAddr) {
        unreachable!("only one CPU builds the first tables, so none is superfluous: {table:?}");
    }
}

/// The tables while they are built.
struct Builder<'a, 'b> {
    table: PageTable<BootTables<'a, 'b>>,
    largest: Level,
}

impl Builder<'_, '_> {
    /// Maps a range with the largest pages that fit.
    fn map(&self, pages: Range<u64>, address: u64, flags: EntryFlags, kind: PageKind) {
        let (start, length) = (VirtAddr::new(pages.start), pages.end - pages.start);
        let flags = flags | EntryFlags::GLOBAL;
        let mapped = self.table.map_range(start, PhysAddr::new(address), length, flags, kind, self.largest);
        if let Err(error) = mapped {
            panic!("memory: mapping {pages:x?}: {error}");
        }
    }

    fn map_direct(&self, range: Range<u64>, flags: EntryFlags) {
        if range.start < range.end {
            let pages = layout::DIRECT_MAP + range.start..layout::DIRECT_MAP + range.end;
            self.map(pages, range.start, flags | EntryFlags::NO_EXECUTE, PageKind::Direct);
        }
    }

    /// All RAM and ACPI memory, in stretches that are as long as possible; `constant` read-only.
    fn map_memory(&self, regions: &[MemoryRegion], constant: Range<u64>) {
        let mut stretch = 0..0;
        for region in regions.iter().filter(|region| is_mapped(region)) {
            let start = region.start.as_u64() & !(PAGE - 1);
            let end = region.start.as_u64().saturating_add(region.length).min(layout::DIRECT_MAP_SIZE);
            let end = end.next_multiple_of(PAGE);
            if start > stretch.end {
                self.map_stretch(stretch, &constant);
                stretch = start..end;
            } else {
                stretch.end = stretch.end.max(end);
            }
        }
        self.map_stretch(stretch, &constant);
    }

    fn map_stretch(&self, stretch: Range<u64>, constant: &Range<u64>) {
        let clip = |address: u64| address.clamp(stretch.start, stretch.end);
        self.map_direct(stretch.start..clip(constant.start), EntryFlags::WRITABLE);
        self.map_direct(clip(constant.start)..clip(constant.end), EntryFlags::empty());
        self.map_direct(clip(constant.end)..stretch.end, EntryFlags::WRITABLE);
    }
}

/// The largest page that the CPU knows.
fn largest_page() -> Level {
    const PAGES_1GIB: u32 = 1 << 26;
    let largest_leaf = __cpuid(0x8000_0000).eax;
    let has_gigabyte = largest_leaf >= 0x8000_0001 && __cpuid(0x8000_0001).edx & PAGES_1GIB != 0;
    if has_gigabyte { Level::Page1GiB } else { Level::Page2MiB }
}

/// Builds the kernel's page tables and switches to them. The bump allocator then knows what is left.
pub(super) fn build_tables<'a>(early: &EarlyMemory<'a>) -> Bump<'a> {
    let regions = &early.regions[..early.regions.len().min(MAX_REGIONS)];
    let mut bump = Bump { regions, hhdm: early.hhdm, taken: [0; MAX_REGIONS] };
    let tables = BootTables { bump: RefCell::new(&mut bump), hhdm: early.hhdm };
    let table = PageTable::new(tables).expect("the bump allocator panics itself");
    let root = Table(table.root().start_address());
    let builder = Builder { table, largest: largest_page() };

    let physical = |address: u64| address - &raw const __kernel_start as u64 + early.kernel_base.as_u64();
    let text = section(&raw const __text_start, &raw const __text_end);
    let constants = section(&raw const __rodata_start, &raw const __rodata_end);
    let data = section(&raw const __data_start, &raw const __data_end);
    let sections = [
        (text.clone(), EntryFlags::empty()),
        (constants.clone(), EntryFlags::NO_EXECUTE),
        (data, EntryFlags::NO_EXECUTE | EntryFlags::WRITABLE),
    ];
    for (pages, flags) in sections {
        let address = physical(pages.start);
        builder.map(pages, address, flags, PageKind::Image);
    }
    let constant = text.start.min(constants.start)..text.end.max(constants.end);
    builder.map_memory(regions, physical(constant.start)..physical(constant.end));
    for (area, _) in layout::AREAS {
        builder.table.fill_root_entry(VirtAddr::new(area)).expect("the bump allocator panics itself");
    }

    super::enable_protection();
    kernel_table::set_root(root);
    // SAFETY: the new tables map the image where it was, with all that runs, its stack and its data.
    unsafe { super::load_root(root) };
    bump.hhdm = layout::DIRECT_MAP;
    bump
}
