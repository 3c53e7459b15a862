//! Physical frames, page tables, user copies, DMA and device memory, the kernel heap.
//!
//! | file | question |
//! |---|---|
//! | `layout` | what lies where in the upper half |
//! | `early` | how the kernel's own tables come to be |
//! | `entry`, `kernel_table`, `user_table`, `user_memory`, `user_page` | how tables are changed (the walks are the crate `paging`'s) |
//! | `active`, `tlb`, `gather` | who has which table loaded, and what CPUs must forget |
//! | `allocator` | where free frames come from, and who has the others |
//! | `frame`, `huge`, `stack`, `dma`, `lent` | what is made of frames |
//! | `heap`, `slab`, `large` | the kernel heap |
//! | `memcpy` | how the compiler's own copies are done |
//! | `report` | what an address is, in words |
//! | `protection` | what must fault |
//! | `user`, `fault` | how the kernel touches a program's memory |
//! | `device` | how the kernel touches a device's memory |
//!
//! Out of memory is an error value everywhere ([`OutOfMemory`]); nothing here panics because a
//! program wanted too much.

mod active;
mod allocator;
mod copy;
mod device;
mod dma;
mod early;
mod entry;
pub(crate) mod fault;
mod frame;
mod gather;
mod heap;
mod huge;
mod kernel_table;
mod large;
pub(crate) mod layout;
mod lent;
mod memcpy;
#[cfg(feature = "tests")]
mod played;
mod protection;
mod report;
mod slab;
pub(crate) mod stack;
mod start;
mod tlb;
pub mod user;
mod user_memory;
mod user_page;
mod user_table;

pub use active::{PageTableRoot, activate_kernel};
pub use allocator::{Owner, Watermarks};
pub use device::{Mmio, MmioValue, device_barrier, read_physical};
pub use dma::DmaBuffer;
pub use early::MAX_REGIONS;
pub(crate) use early::{EarlyMemory, START_CODE};
pub use frame::Frame;
#[cfg(debug_assertions)]
pub use heap::check::{HeapFault, provoke};
pub use huge::HugeFrame;
pub use kernel_table::{KernelMapping, is_lower_half_empty, visit_kernel_mappings};
pub use lent::{Lending, LentFrame};
#[cfg(feature = "tests")]
pub use played::{read_as_device, write_as_device};
pub use protection::{Forbidden, Protections, attempt, protections};
pub(crate) use report::Place;
pub use report::{WalkStep, describe, visit_kernel_walk};
pub use slab::{SlabStatistics, slab_statistics};
pub(crate) use start::{StartTables, load_kernel_tables};
pub(crate) use tlb::{FlushRequest, answer_flush};
pub use tlb::{be_lazy, shootdowns};
pub use user_page::{MapError, Mapping, PageFlags, PageState, Sharing, huge_pages};
pub use user_table::UserPageTable;

use crate::{
    addr::PAGE_SIZE,
    boot::{MemoryKind, MemoryRegion},
    sync::Once,
};
use core::sync::atomic::{AtomicBool, Ordering};
use entry::Table;
use x86_64::registers::{
    control::{Cr0, Cr0Flags, Cr4, Cr4Flags},
    model_specific::{Efer, EferFlags},
};

/// No frame, or no heap space, is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// Figures for /proc/meminfo, in frames. The total is without what a hypervisor has until it gives it back; what can be had
/// by asking counts as used.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct MemoryStatistics {
    pub total: usize,
    pub free: usize,
    pub page_tables: usize,
    pub kernel_heap: usize,
    pub kernel_virtual: usize,
    pub kernel_stacks: usize,
    pub program: usize,
    pub device: usize,
    pub lent: usize,
}

/// Frames that are free now; the cheapest of all questions.
pub fn free_frames() -> usize {
    allocator::free_frames()
}

/// How many free frames are too few.
pub fn watermarks() -> Watermarks {
    allocator::watermarks()
}

/// Gives back what the machine keeps at hand: frames of CPUs, stacks, free objects of the heap. Tells how many frames
/// are free more than before.
pub fn shrink() -> usize {
    let before = allocator::free_frames();
    stack::trim();
    heap::trim();
    allocator::drain();
    allocator::free_frames().saturating_sub(before)
}

/// A part of memory as /proc/buddyinfo and /proc/zoneinfo show it.
#[derive(Clone, Copy, Debug)]
pub struct ZoneStatistics {
    /// Linux's name.
    pub name: &'static str,
    /// The first frame.
    pub start: u64,
    /// Frames that were handed to the allocator at boot.
    pub managed: usize,
    /// Free blocks by order, from 1 to 1024 frames.
    pub free_blocks: [usize; frames::ORDERS],
}

/// The parts of memory: below 4 GiB, and above if there is something.
pub fn zones() -> impl Iterator<Item = ZoneStatistics> {
    let [low, high] = allocator::free_blocks();
    let [low_managed, high_managed] = allocator::managed_by_zone();
    let zones = [
        ZoneStatistics { name: "DMA32", start: 0, managed: low_managed, free_blocks: low },
        ZoneStatistics { name: "Normal", start: 1 << 20, managed: high_managed, free_blocks: high },
    ];
    zones.into_iter().filter(|zone| zone.managed > 0)
}

/// Frames that large objects of the kernel heap could have (VmallocTotal).
pub const VIRTUAL_AREA_FRAMES: usize = large::AREA_FRAMES;

/// Bytes of a frame's record.
pub const RECORD_BYTES: usize = size_of::<allocator::Record>();

/// How memory is used now.
pub fn statistics() -> MemoryStatistics {
    let (managed, free) = allocator::totals();
    let lent = allocator::owned(Owner::Lent);
    MemoryStatistics {
        total: managed.saturating_sub(lent),
        free,
        page_tables: allocator::owned(Owner::PageTable),
        kernel_heap: allocator::owned(Owner::Slab) + allocator::owned(Owner::Heap),
        kernel_virtual: allocator::owned(Owner::Virtual),
        kernel_stacks: allocator::owned(Owner::Stack),
        program: allocator::owned(Owner::Program),
        device: allocator::owned(Owner::Device),
        lent: lent + allocator::owned(Owner::LentOnDemand),
    }
}

static MEMORY_MAP: Once<alloc::vec::Vec<MemoryRegion>> = Once::new();
/// What the boot loader left was given to the allocator.
static BOOT_MEMORY_IS_FREE: AtomicBool = AtomicBool::new(false);

/// Whether the allocator may hand out memory of this kind now.
fn is_free_for_use(kind: MemoryKind) -> bool {
    match kind {
        MemoryKind::Usable => true,
        MemoryKind::BootLoader => BOOT_MEMORY_IS_FREE.load(Ordering::Relaxed),
        MemoryKind::AcpiReclaimable | MemoryKind::AcpiNvs | MemoryKind::Kernel | MemoryKind::Reserved => {
            false
        }
    }
}

/// Gives the allocator the memory that held what the boot loader left ([`MemoryKind::BootLoader`]). Once, when nobody looks
/// there any more.
pub(crate) fn give_back_boot_memory() {
    assert!(
        !BOOT_MEMORY_IS_FREE.swap(true, Ordering::Relaxed),
        "the boot loader's memory is given back once"
    );
    let regions = memory_map().iter().filter(|region| region.kind == MemoryKind::BootLoader);
    regions.filter_map(early::whole_pages).for_each(allocator::hand_over);
}

/// How many frames of a kind the memory map has, and how many of them the allocator has or has handed out.
pub fn frames_of_kind(kind: MemoryKind) -> (usize, usize) {
    let regions = memory_map().iter().filter(|region| region.kind == kind);
    regions.filter_map(early::whole_pages).fold((0, 0), |(all, managed), pages| {
        let count = ((pages.end - pages.start) / PAGE_SIZE as u64) as usize;
        (all + count, managed + allocator::managed_in(pages))
    })
}

/// The memory map, as the boot code gave it. Empty before [`init`].
pub(crate) fn memory_map() -> &'static [MemoryRegion] {
    MEMORY_MAP.get().map_or(&[], |map| map)
}

/// Builds the kernel's own page tables, switches to them, and starts the allocators.
///
/// Called once, on the boot CPU, with its own GDT and stack in the kernel's image: afterwards
/// nothing of the boot code's mappings is left, in particular nothing below the direct map.
/// When it returns, the heap and everything else in this module can be used.
pub(crate) fn init(early: &EarlyMemory<'_>) {
    let bump = early::build_tables(early);
    allocator::init(bump);
    MEMORY_MAP.call_once(|| early.regions.to_vec());
}

/// Turns on, on this CPU, what the tables rely on: NX, write protection in ring 0, global pages.
pub(crate) fn enable_protection() {
    // SAFETY: no table that is in use has the NX bit set by accident: the boot code's have it clear.
    unsafe { Efer::update(|flags| flags.insert(EferFlags::NO_EXECUTE_ENABLE)) };
    // SAFETY: the kernel never writes through read-only mappings.
    unsafe { Cr0::update(|flags| flags.insert(Cr0Flags::WRITE_PROTECT)) };
    // SAFETY: global entries stand for the same pages in every address space.
    unsafe { Cr4::update(|flags| flags.insert(Cr4Flags::PAGE_GLOBAL)) };
}

/// Loads CR3, which flushes all entries that are not global.
///
/// # Safety
/// The table's upper half must be the kernel's, and it must stay alive while it is loaded.
unsafe fn load_root(table: Table) {
    // SAFETY: the caller vouches for the table.
    unsafe {
        core::arch::asm!("mov cr3, {}", in(reg) table.0.as_u64(), options(nostack, preserves_flags));
    }
}
