//! Where the tables of a queue lie in its memory.

use crate::{Features, LayoutError};

/// Bytes of a descriptor.
pub(crate) const DESCRIPTOR_LEN: usize = 16;
/// Bytes of an element of the used ring.
const USED_ELEMENT_LEN: usize = 8;

/// Offsets of the tables. Descriptors are aligned to 16 bytes, the used ring to 4 (section 2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Number of descriptors.
    pub size: u16,
    pub(crate) available: usize,
    pub(crate) used: usize,
    pub(crate) indirect: usize,
    pub(crate) indirect_len: u16,
    /// Bytes of memory that the queue needs.
    pub len: usize,
}

/// Where the device finds the tables, for its registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Descriptor area.
    pub descriptors: u64,
    /// Driver area: the available ring.
    pub driver: u64,
    /// Device area: the used ring.
    pub device: u64,
}

impl Layout {
    /// The layout of a queue with so many descriptors.
    pub fn new(size: u16, features: Features) -> Result<Layout, LayoutError> {
        if !size.is_power_of_two() || size > 32_768 {
            return Err(LayoutError::BadSize(size));
        }
        let count = size as usize;
        let available = count * DESCRIPTOR_LEN;
        // Flags, index, ring, used event.
        let used = (available + 6 + 2 * count).next_multiple_of(4);
        // Flags, index, ring, available event.
        let indirect = (used + 6 + USED_ELEMENT_LEN * count).next_multiple_of(DESCRIPTOR_LEN);
        let indirect_len = features.indirect;
        let len = indirect + count * indirect_len as usize * DESCRIPTOR_LEN;
        Ok(Layout { size, available, used, indirect, indirect_len, len })
    }

    pub(crate) fn descriptor(&self, index: u16) -> usize {
        index as usize * DESCRIPTOR_LEN
    }

    pub(crate) fn available_flags(&self) -> usize {
        self.available
    }

    pub(crate) fn available_index(&self) -> usize {
        self.available + 2
    }

    pub(crate) fn available_element(&self, index: u16) -> usize {
        self.available + 4 + 2 * (index % self.size) as usize
    }

    /// Where the driver says at which used index it wants an interrupt.
    pub(crate) fn used_event(&self) -> usize {
        self.available + 4 + 2 * self.size as usize
    }

    pub(crate) fn used_flags(&self) -> usize {
        self.used
    }

    pub(crate) fn used_index(&self) -> usize {
        self.used + 2
    }

    pub(crate) fn used_element(&self, index: u16) -> usize {
        self.used + 4 + USED_ELEMENT_LEN * (index % self.size) as usize
    }

    /// Where the device says at which available index it wants to be told.
    pub(crate) fn available_event(&self) -> usize {
        self.used + 4 + USED_ELEMENT_LEN * self.size as usize
    }

    /// The indirect table that belongs to a descriptor.
    pub(crate) fn indirect_table(&self, index: u16) -> usize {
        self.indirect + index as usize * self.indirect_len as usize * DESCRIPTOR_LEN
    }
}
