//! One entry of a page table (SDM vol. 3, tables 4-15 to 4-20).

use crate::Level;
use core::fmt;
use x86_64::PhysAddr;

bitflags::bitflags! {
    /// The architectural bits of an entry.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct EntryFlags: u64 {
        /// The CPU uses the entry.
        const PRESENT = 1 << 0;
        /// Stores are allowed.
        const WRITE = 1 << 1;
        /// User mode is allowed.
        const USER = 1 << 2;
        /// Write-through caching.
        const WRITE_THROUGH = 1 << 3;
        /// No caching.
        const NO_CACHE = 1 << 4;
        /// The CPU has used the entry.
        const ACCESSED = 1 << 5;
        /// The CPU has written the page.
        const DIRTY = 1 << 6;
        /// Above the last level: the entry maps a page.
        const HUGE = 1 << 7;
        /// Survives a change of the address space.
        const GLOBAL = 1 << 8;
        /// Instruction fetches are forbidden.
        const NO_EXECUTE = 1 << 63;
    }
}

/// What a page is, in the entry's bits 9 to 11, which the CPU ignores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PageKind {
    /// Nothing special is known.
    #[default]
    Plain = 0,
    /// A frame of RAM that the mapping holds a reference to: unmapping gives it back.
    Frame = 1,
    /// Registers or memory of a device: never given back.
    Device = 2,
    /// The kernel's own text and data.
    Image = 3,
    /// The map of all physical memory.
    Direct = 4,
    /// A kernel stack.
    Stack = 5,
    /// The kernel's heap.
    Heap = 6,
    /// A guard page: never present.
    Guard = 7,
}

impl PageKind {
    const ALL: [PageKind; 8] = [
        PageKind::Plain,
        PageKind::Frame,
        PageKind::Device,
        PageKind::Image,
        PageKind::Direct,
        PageKind::Stack,
        PageKind::Heap,
        PageKind::Guard,
    ];

    /// A word for reports.
    pub const fn name(self) -> &'static str {
        match self {
            PageKind::Plain => "plain",
            PageKind::Frame => "frame",
            PageKind::Device => "device",
            PageKind::Image => "kernel image",
            PageKind::Direct => "direct map",
            PageKind::Stack => "kernel stack",
            PageKind::Heap => "kernel heap",
            PageKind::Guard => "guard page",
        }
    }
}

const KIND_SHIFT: u32 = 9;
const KIND_MASK: u64 = 7 << KIND_SHIFT;
/// Bits 12 to 51.
const ADDRESS_MASK: u64 = 0x000f_ffff_ffff_f000;

/// An entry: empty, a marker, a pointer to a table, or a mapping.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Entry(u64);

impl Entry {
    /// Nothing at all.
    pub const EMPTY: Entry = Entry(0);

    /// From the bits in memory.
    pub const fn from_bits(bits: u64) -> Entry {
        Entry(bits)
    }

    /// The bits for memory.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// An entry that is not present but says what is there. A marker of kind `Plain` is an empty entry.
    pub const fn marker(kind: PageKind) -> Entry {
        Entry((kind as u64) << KIND_SHIFT)
    }

    /// A mapping at this level.
    pub(crate) fn leaf(address: PhysAddr, level: Level, flags: EntryFlags, kind: PageKind) -> Entry {
        let huge = if level == Level::Page4KiB { EntryFlags::empty() } else { EntryFlags::HUGE };
        let flags = flags.difference(EntryFlags::HUGE) | EntryFlags::PRESENT | huge;
        Entry(address.as_u64() & ADDRESS_MASK | flags.bits() | (kind as u64) << KIND_SHIFT)
    }

    /// A pointer to the next table.
    pub(crate) fn table(address: PhysAddr, flags: EntryFlags) -> Entry {
        Entry(address.as_u64() & ADDRESS_MASK | flags.bits() | EntryFlags::PRESENT.bits())
    }

    /// Whether all bits are zero.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the CPU uses it.
    pub const fn is_present(self) -> bool {
        self.0 & EntryFlags::PRESENT.bits() != 0
    }

    /// Whether it is a marker.
    pub const fn is_marker(self) -> bool {
        !self.is_present() && !self.is_empty()
    }

    /// Whether it points to a table, if it stands in one of level `level` (1 to 4).
    pub(crate) const fn is_table(self, level: u8) -> bool {
        level > 1 && self.is_present() && self.0 & EntryFlags::HUGE.bits() == 0
    }

    /// The architectural flags.
    pub const fn flags(self) -> EntryFlags {
        EntryFlags::from_bits_truncate(self.0)
    }

    /// What the page is.
    pub const fn kind(self) -> PageKind {
        PageKind::ALL[((self.0 & KIND_MASK) >> KIND_SHIFT) as usize]
    }

    /// The physical address of the table or page. In huge pages bit 12 is the PAT bit, which nothing here sets.
    pub const fn address(self) -> PhysAddr {
        PhysAddr::new_truncate(self.0 & ADDRESS_MASK)
    }

    /// The same mapping with other flags; `PRESENT` and `HUGE` stay as they are.
    #[must_use]
    pub const fn with_flags(self, flags: EntryFlags) -> Entry {
        let keep = EntryFlags::PRESENT.union(EntryFlags::HUGE);
        let others = EntryFlags::all().difference(keep).bits();
        Entry(self.0 & !others | flags.bits() & others)
    }

    /// The same mapping of another kind.
    #[must_use]
    pub const fn with_kind(self, kind: PageKind) -> Entry {
        Entry(self.0 & !KIND_MASK | (kind as u64) << KIND_SHIFT)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_present() {
            write!(f, "{:#x} {:?} {:?}", self.address().as_u64(), self.flags(), self.kind())
        } else if self.is_empty() {
            f.write_str("empty")
        } else {
            write!(f, "not present, {}", self.kind().name())
        }
    }
}
