//! What boot loaders leave in memory, from bytes to values: Multiboot2's information structure and
//! PVH's start info. Everything is checked; nothing is allocated.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod memory_map;
pub mod multiboot2;
pub mod pvh;

/// A little-endian number at an offset, if it is inside.
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// See [`u32_at`].
fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Memory types that BIOS (e820), Multiboot2 and PVH have in common.
pub mod e820 {
    /// Free RAM.
    pub const RAM: u32 = 1;
    /// RAM with ACPI tables.
    pub const ACPI: u32 = 3;
    /// RAM that the firmware keeps.
    pub const NVS: u32 = 4;
}
