//! The upper half of every address space.
//!
//! | from                  | what                                                            |
//! |-----------------------|-----------------------------------------------------------------|
//! | `0xffff_8000_0000_0000` | direct map: physical address + this, RAM and ACPI tables only |
//! | `0xffff_c000_0000_0000` | device memory ([`Mmio`](super::Mmio)), uncached, 512 GiB      |
//! | `0xffff_c080_0000_0000` | kernel stacks with guard pages, 512 GiB                       |
//! | `0xffff_c100_0000_0000` | large objects of the kernel heap with guard pages, 512 GiB        |
//! | `0xffff_ffff_8000_0000` | the kernel image, 2 GiB                                       |
//!
//! Each of these has its entries in the root table from the start and keeps them for ever, so
//! every user root carries a copy of them and never needs an update.

use crate::addr::PhysAddr;
use core::ops::Range;
use paging::PageKind;

/// Where physical address 0 is mapped.
pub(crate) const DIRECT_MAP: u64 = 0xffff_8000_0000_0000;
/// How much physical memory the direct map has room for.
pub(crate) const DIRECT_MAP_SIZE: u64 = 64 << 40;
/// Device memory.
pub(crate) const DEVICE_AREA: u64 = 0xffff_c000_0000_0000;
/// Kernel stacks.
pub(crate) const STACK_AREA: u64 = 0xffff_c080_0000_0000;
/// Large objects of the kernel heap.
pub(crate) const HEAP_AREA: u64 = 0xffff_c100_0000_0000;
/// Size of each area that changes while the system runs: what one root entry covers.
pub(crate) const AREA_SIZE: u64 = 512 << 30;
/// The kernel image.
pub(crate) const IMAGE: u64 = 0xffff_ffff_8000_0000;

/// The areas that change while the system runs, and what their pages are.
pub(crate) const AREAS: [(u64, PageKind); 3] =
    [(DEVICE_AREA, PageKind::Device), (STACK_AREA, PageKind::Stack), (HEAP_AREA, PageKind::Heap)];

/// What the pages of the area are that an address lies in; `None`: it is in none of them.
pub(crate) fn area_kind(address: u64) -> Option<PageKind> {
    let contains = |start: u64| (start..start + AREA_SIZE).contains(&address);
    AREAS.into_iter().find(|(start, _)| contains(*start)).map(|(_, kind)| kind)
}

/// The addresses of the direct map.
pub(crate) fn direct_map() -> Range<u64> {
    DIRECT_MAP..DIRECT_MAP + DIRECT_MAP_SIZE
}

/// Where the direct map shows a physical address.
pub(crate) fn direct(address: PhysAddr) -> *mut u8 {
    (DIRECT_MAP + address.as_u64()) as *mut u8
}
