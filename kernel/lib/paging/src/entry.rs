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
        const WRITABLE = 1 << 1;
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
    /// A frame of RAM that the entry holds a reference to: unmapping gives it back. Such an entry may be not present
    /// and hold its frame all the same ([`Entry::is_hidden`]).
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
/// In a marker, the note stands in the bits of the address.
const NOTE_SHIFT: u32 = 12;
/// Bits 12 to 51.
const ADDRESS_MASK: u64 = 0x000f_ffff_ffff_f000;

/// An entry: empty, a marker, a pointer to a table, a mapping, or a hidden mapping.
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

    /// An entry that is not present but says what is there. Of kind `Plain` or `Frame` it is an empty entry: there is
    /// nothing to say, or no frame to hold.
    pub const fn marker(kind: PageKind) -> Entry {
        match kind {
            PageKind::Plain | PageKind::Frame => Entry::EMPTY,
            _ => Entry((kind as u64) << KIND_SHIFT),
        }
    }

    /// A marker with a note (its lowest 40 bits are kept).
    pub const fn marker_with_note(kind: PageKind, note: u64) -> Entry {
        let marker = Self::marker(kind);
        if marker.is_empty() { marker } else { Entry(marker.0 | note << NOTE_SHIFT & ADDRESS_MASK) }
    }

    /// The note of a marker.
    pub const fn note(self) -> u64 {
        (self.0 & ADDRESS_MASK) >> NOTE_SHIFT
    }

    /// A mapping of a page of this level's size; see [`PageTable::insert`](crate::PageTable::insert).
    pub fn page(address: PhysAddr, level: Level, flags: EntryFlags, kind: PageKind) -> Entry {
        let huge = if level == Level::Page4KiB { EntryFlags::empty() } else { EntryFlags::HUGE };
        let flags = flags.difference(EntryFlags::HUGE) | EntryFlags::PRESENT | huge;
        Entry(address.as_u64() & ADDRESS_MASK | flags.bits() | (kind as u64) << KIND_SHIFT)
    }

    /// A pointer to the next table.
    pub(crate) fn table(address: PhysAddr, flags: EntryFlags) -> Entry {
        Entry(address.as_u64() & ADDRESS_MASK | flags.bits() | EntryFlags::PRESENT.bits())
    }

    /// The part with number `index` of a huge page or marker, in pages of the next smaller size.
    pub(crate) fn part(self, smaller: Level, index: usize) -> Entry {
        if self.is_marker() {
            return self;
        }
        let huge = if smaller == Level::Page4KiB { 0 } else { EntryFlags::HUGE.bits() };
        Entry((self.0 & !EntryFlags::HUGE.bits() | huge) + index as u64 * smaller.size())
    }

    /// Whether all bits are zero.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the CPU uses it.
    pub const fn is_present(self) -> bool {
        self.0 & EntryFlags::PRESENT.bits() != 0
    }

    /// Whether it maps nothing, but says what is there.
    pub const fn is_marker(self) -> bool {
        !self.is_present() && !self.is_empty() && !self.is_hidden()
    }

    /// Whether it holds a frame that no access can reach: what PROT_NONE makes of a page.
    pub const fn is_hidden(self) -> bool {
        !self.is_present() && !self.is_empty() && matches!(self.kind(), PageKind::Frame)
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

    /// The same page, not present: no access can reach it. Only for pages of kind [`PageKind::Frame`], as others
    /// would become markers.
    #[must_use]
    pub const fn hidden(self) -> Entry {
        debug_assert!(matches!(self.kind(), PageKind::Frame));
        Entry(self.0 & !EntryFlags::PRESENT.bits())
    }

    /// A hidden page, present again.
    #[must_use]
    pub const fn shown(self) -> Entry {
        debug_assert!(matches!(self.kind(), PageKind::Frame));
        Entry(self.0 | EntryFlags::PRESENT.bits())
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
