//! What an address is, in words: for the report of a fault in the kernel. Takes no lock.

use super::{
    entry::{Entry, EntryFlags},
    kernel_table, layout, stack,
};
use crate::addr::{PhysAddr, USER_END, VirtAddr};
use core::fmt;
use paging::PageKind;

/// Below this, an address is taken for a null pointer with an offset.
const NULL_END: u64 = 0x1_0000;

/// An address; displayed, it says what is there.
pub(crate) struct Place(pub(crate) u64);

/// What an address is, in words. Takes no lock.
pub fn describe(address: u64) -> impl fmt::Display {
    Place(address)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place(number) = *self;
        let Ok(address) = VirtAddr::try_new(number) else { return f.write_str("no address at all") };
        match number {
            0..NULL_END => return f.write_str("a null pointer"),
            NULL_END..USER_END => return f.write_str("a program's memory"),
            _ => {}
        }
        if let Some(owner) = stack::guarded_owner(address) {
            return write!(f, "a guard page: the stack of thread {owner} overflowed");
        }
        let entry = kernel_table::entry_at(address);
        if entry.is_present() {
            return write!(f, "{}, {:?}", entry.kind().name(), entry.flags());
        }
        f.write_str(match layout::area_kind(number) {
            Some(PageKind::Stack) => "the stack area, where no stack is",
            Some(PageKind::Device) => "the device area, where nothing is mapped",
            Some(_) => "a gap between the areas of the kernel",
            None if layout::direct_map().contains(&number) => "the direct map, where there is no RAM",
            None if number >= layout::IMAGE => "beside the kernel's image",
            None => "no area of the kernel",
        })
    }
}

/// An entry on the way to an address; displayed, it is decoded.
#[derive(Clone, Copy, Debug)]
pub struct WalkStep {
    /// 4 (the root) to 1.
    level: u8,
    table: PhysAddr,
    index: usize,
    entry: Entry,
}

impl WalkStep {
    pub(super) fn new(level: u8, table: PhysAddr, index: usize, entry: Entry) -> Self {
        Self { level, table, index, entry }
    }
}

impl fmt::Display for WalkStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { level, table, index, entry } = self;
        write!(f, "level {level}: table {:#012x}[{index:3}] = {:#018x} ", table.as_u64(), entry.to_bits())?;
        if entry.is_empty() {
            return f.write_str("empty");
        }
        if entry.is_marker() {
            return write!(f, "marker: {}", entry.kind().name());
        }
        if entry.is_hidden() {
            return write!(f, "hidden page at {:#x}", entry.address().as_u64());
        }
        let is_table = *level > 1 && !entry.flags().contains(EntryFlags::HUGE);
        let what = if is_table { "table" } else { entry.kind().name() };
        write!(f, "{what} at {:#x}, {:?}", entry.address().as_u64(), entry.flags())
    }
}

/// Visits the entries of the kernel's own tables on the way to an address. Takes no lock.
pub fn visit_kernel_walk(address: VirtAddr, visit: &mut dyn FnMut(WalkStep)) {
    kernel_table::visit_path(address, visit);
}
