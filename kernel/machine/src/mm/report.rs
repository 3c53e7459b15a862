//! What an address is, in words: for the report of a fault in the kernel. Takes no lock.

use super::{kernel_table, layout, stack};
use crate::addr::{USER_END, VirtAddr};
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
