//! User pages: what a program may do with one, what its entry says, and why one cannot be had.

use super::{
    entry::{Entry, EntryFlags},
    frame::Frame,
};
use crate::addr::PAGE_SIZE;
use core::sync::atomic::{AtomicUsize, Ordering};
use paging::{Leaf, Level};

const PAGE: u64 = PAGE_SIZE as u64;

bitflags::bitflags! {
    /// What a program may do with a page. The CPU lets everything that is allowed something be read.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct PageFlags: u8 {
        /// Loads are allowed.
        const READ = 1;
        /// Stores are allowed.
        const WRITE = 2;
        /// Instruction fetches are allowed.
        const EXECUTE = 4;
    }
}

/// A user page that is there.
#[derive(Clone)]
pub struct Mapping {
    /// The frame behind the address (a reference of its own), which may be one of a huge page.
    pub frame: Frame,
    /// Permissions and bits.
    pub state: PageState,
}

/// What an entry says of its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageState {
    /// Permissions.
    pub flags: PageFlags,
    /// The CPU has read or written it since the bit was last cleared.
    pub accessed: bool,
    /// The CPU has written it since the bit was last cleared.
    pub dirty: bool,
    /// Pages of 4 KiB that the entry maps: 1 or 512.
    pub pages: usize,
}

/// How fork shares pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Both sides lose the permission to write; who writes first takes a copy.
    CopyOnWrite,
    /// Both sides see each other's stores.
    Shared,
}

/// Why a page was not mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// No memory for a table.
    OutOfMemory,
    /// Something is mapped there.
    Occupied,
}

impl From<paging::MapError> for MapError {
    fn from(error: paging::MapError) -> Self {
        match error {
            paging::MapError::OutOfMemory => MapError::OutOfMemory,
            paging::MapError::Occupied => MapError::Occupied,
            paging::MapError::Forbidden => panic!("user addresses are checked before"),
        }
    }
}

/// The flags of an entry, but for whether it is present.
pub(super) fn entry_flags(flags: PageFlags) -> EntryFlags {
    let mut bits = EntryFlags::USER;
    bits.set(EntryFlags::WRITABLE, flags.contains(PageFlags::WRITE));
    bits.set(EntryFlags::NO_EXECUTE, !flags.contains(PageFlags::EXECUTE));
    bits
}

/// The same page with these permissions. Without any it is hidden.
pub(super) fn with_permissions(entry: Entry, flags: PageFlags) -> Entry {
    let hardware = entry.flags() & (EntryFlags::ACCESSED | EntryFlags::DIRTY);
    let entry = entry.with_flags(entry_flags(flags) | hardware);
    if flags.is_empty() { entry.hidden() } else { entry.shown() }
}

pub(super) fn page_state(leaf: &Leaf) -> PageState {
    let bits = leaf.entry.flags();
    let is_present = leaf.entry.is_present();
    let mut flags = PageFlags::empty();
    flags.set(PageFlags::READ, is_present);
    flags.set(PageFlags::WRITE, bits.contains(EntryFlags::WRITABLE));
    flags.set(PageFlags::EXECUTE, is_present && !bits.contains(EntryFlags::NO_EXECUTE));
    PageState {
        flags,
        accessed: bits.contains(EntryFlags::ACCESSED),
        dirty: bits.contains(EntryFlags::DIRTY),
        pages: pages(leaf),
    }
}

pub(super) fn pages(leaf: &Leaf) -> usize {
    (leaf.level.size() / PAGE) as usize
}

pub(super) fn is_huge(leaf: &Leaf) -> bool {
    leaf.level != Level::Page4KiB
}

/// Huge pages in all address spaces.
pub(super) static HUGE_PAGES: AtomicUsize = AtomicUsize::new(0);

/// How many huge pages are mapped in all address spaces.
pub fn huge_pages() -> usize {
    HUGE_PAGES.load(Ordering::Relaxed)
}
