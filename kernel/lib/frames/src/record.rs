//! What the allocator keeps about each frame, inside a record that belongs to the caller.

/// The neighbours of a free block in its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Links {
    /// The next block's first frame, or [`Links::NONE`].
    pub next: u32,
    /// The previous block's first frame, or [`Links::NONE`].
    pub previous: u32,
}

impl Links {
    /// No neighbour.
    pub const NONE: u32 = u32::MAX;

    /// Both in one word, for an atomic.
    pub const fn to_bits(self) -> u64 {
        self.next as u64 | (self.previous as u64) << 32
    }

    /// From one word.
    pub const fn from_bits(bits: u64) -> Links {
        Links { next: bits as u32, previous: (bits >> 32) as u32 }
    }
}

/// What a frame is: the first one of a free or allocated block of some order, or neither. A zeroed record is neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tag(u8);

const FREE: u8 = 0x40;
const ALLOCATED: u8 = 0x80;

impl Tag {
    /// Not the first frame of a block: inside one, or not managed at all.
    pub const NONE: Tag = Tag(0);

    pub(crate) const fn free(order: usize) -> Tag {
        Tag(FREE | order as u8)
    }

    pub(crate) const fn allocated(order: usize) -> Tag {
        Tag(ALLOCATED | order as u8)
    }

    /// The order of the free block that begins here.
    pub const fn free_order(self) -> Option<usize> {
        if self.0 & FREE != 0 { Some((self.0 & 0xf) as usize) } else { None }
    }

    /// The order of the allocated block that begins here.
    pub const fn allocated_order(self) -> Option<usize> {
        if self.0 & ALLOCATED != 0 { Some((self.0 & 0xf) as usize) } else { None }
    }

    /// As a byte, for an atomic.
    pub const fn to_bits(self) -> u8 {
        self.0
    }

    /// From a byte that [`Tag::to_bits`] made.
    pub const fn from_bits(bits: u8) -> Tag {
        Tag(bits)
    }
}

/// A frame's record. The allocator calls these only while the caller holds it exclusively, so relaxed atomics (or cells)
/// serve; the rest of the record is the caller's.
pub trait Record {
    /// The links stored last; anything before that.
    fn links(&self) -> Links;
    /// Stores the links.
    fn set_links(&self, links: Links);
    /// The tag stored last; [`Tag::NONE`] before that.
    fn tag(&self) -> Tag;
    /// Stores the tag.
    fn set_tag(&self, tag: Tag);
}
