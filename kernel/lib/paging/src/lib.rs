//! x86-64 page tables with four levels, as pure logic: the memory that tables lie in is behind [`TableMemory`].
//!
//! * One path for all page sizes: a size is a level, and the size is part of a page's type ([`Page`], [`PhysFrame`]), so
//!   that a 2 MiB frame cannot be mapped at a 4 KiB page.
//! * Tables above a leaf carry the same flags always: present and writable, and user in the lower half only. The leaf
//!   alone decides.
//! * What would break a rule of the system is refused: a user page in the upper half, a page there that is writable and
//!   executable, anything at page 0 ([`MapError::Forbidden`]).
//! * Three software bits of an entry tell what the page is ([`PageKind`]). An entry that is not present can carry a kind
//!   too: a marker, such as a guard page, for the fault report.
//! * Entries change by compare-and-exchange only, so accessed and dirty bits that the CPU sets meanwhile are not lost,
//!   and several CPUs may map at the same time. Unmapping takes `&mut`, since it frees tables.
//! * Nothing here flushes a TLB: the caller does, before it reuses a frame; and [`TableMemory::free`] must keep a table
//!   until every CPU has flushed.
//!
//! Sizes do not mix, a physical address cannot be followed, and no address becomes a number unasked:
//!
//! ```
//! # use paging::*;
//! fn map<M: TableMemory>(table: &PageTable<M>, page: Page<Size2MiB>, frame: PhysFrame<Size2MiB>) {
//!     let _ = table.map(page, frame, EntryFlags::WRITABLE | EntryFlags::NO_EXECUTE, PageKind::Frame);
//! }
//! ```
//! ```compile_fail,E0308
//! # use paging::*;
//! fn map<M: TableMemory>(table: &PageTable<M>, page: Page<Size4KiB>, frame: PhysFrame<Size2MiB>) {
//!     let _ = table.map(page, frame, EntryFlags::WRITABLE | EntryFlags::NO_EXECUTE, PageKind::Frame);
//! }
//! ```
//! ```compile_fail,E0308
//! # use paging::*;
//! fn map<M: TableMemory>(table: &PageTable<M>, page: Page<Size1GiB>, frame: PhysFrame<Size2MiB>) {
//!     let _ = table.map(page, frame, EntryFlags::WRITABLE | EntryFlags::NO_EXECUTE, PageKind::Frame);
//! }
//! ```
//! ```compile_fail,E0614
//! fn follow(address: paging::PhysAddr) -> u8 {
//!     *address
//! }
//! ```
//! ```compile_fail,E0605
//! fn pointer(address: paging::PhysAddr) -> *const u8 {
//!     address as *const u8
//! }
//! ```
//! ```compile_fail,E0599
//! fn pointer(address: paging::PhysAddr) -> *const u8 {
//!     address.as_ptr()
//! }
//! ```
//! ```compile_fail,E0308
//! fn number(address: paging::VirtAddr) -> u64 {
//!     address
//! }
//! ```
//! ```compile_fail,E0308
//! fn confuse(address: paging::VirtAddr) -> paging::PhysAddr {
//!     address
//! }
//! ```
//!
//! Source: Intel SDM volume 3, chapter 4 (4.5 "4-level paging").
#![no_std]
#![forbid(unsafe_code)]

mod entry;
mod level;
mod memory;
mod range;
mod table;
#[cfg(test)]
mod tests;

pub use entry::{Entry, EntryFlags, PageKind};
pub use level::{LeafSize, Level};
pub use memory::{MapError, TableMemory, UnmapError};
pub use range::Leaf;
pub use table::{Cursor, PageTable, Translation};
pub use x86_64::structures::paging::{Page, PhysFrame, Size1GiB, Size2MiB, Size4KiB};
pub use x86_64::{PhysAddr, VirtAddr};
