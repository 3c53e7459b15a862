//! PVH's start info (Xen's public header `arch-x86/hvm/start_info.h`).

use crate::{u32_at, u64_at};

/// The magic number at its beginning.
pub const MAGIC: u32 = 0x336e_c578;
/// Bytes of the structure, version 1.
pub const START_INFO_BYTES: usize = 56;
/// Bytes of an entry of the module list.
pub const MODULE_BYTES: usize = 32;
/// Bytes of an entry of the memory map.
pub const MEMORY_BYTES: usize = 24;

/// Physical addresses of everything; 0: absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the header's")]
pub struct StartInfo {
    pub modules: u32,
    pub module_list: u64,
    pub command_line: u64,
    pub rsdp: u64,
    pub memory_map: u64,
    pub memory_map_entries: u32,
}

impl StartInfo {
    /// From the bytes; `None` if they are too few or the magic number is another.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        (u32_at(bytes, 0)? == MAGIC).then_some(())?;
        let version = u32_at(bytes, 4)?;
        Some(Self {
            modules: u32_at(bytes, 12)?,
            module_list: u64_at(bytes, 16)?,
            command_line: u64_at(bytes, 24)?,
            rsdp: u64_at(bytes, 32)?,
            memory_map: if version >= 1 { u64_at(bytes, 40)? } else { 0 },
            memory_map_entries: if version >= 1 { u32_at(bytes, 48)? } else { 0 },
        })
    }
}

/// A boot module: start, length, address of its command line.
pub fn module(entry: &[u8]) -> Option<(u64, u64, u64)> {
    Some((u64_at(entry, 0)?, u64_at(entry, 8)?, u64_at(entry, 16)?))
}

/// A stretch of memory: start, length, type (see [`crate::e820`]).
pub fn memory(entry: &[u8]) -> Option<(u64, u64, u32)> {
    Some((u64_at(entry, 0)?, u64_at(entry, 8)?, u32_at(entry, 16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_info_is_read_by_version() {
        let mut bytes = [0u8; START_INFO_BYTES];
        assert_eq!(StartInfo::parse(&bytes), None);
        bytes[..4].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[24..32].copy_from_slice(&0x1234u64.to_le_bytes());
        bytes[40..48].copy_from_slice(&0x5678u64.to_le_bytes());
        assert_eq!(StartInfo::parse(&bytes).unwrap().memory_map, 0);
        bytes[4] = 1;
        let info = StartInfo::parse(&bytes).unwrap();
        assert_eq!((info.command_line, info.memory_map), (0x1234, 0x5678));
        assert_eq!(StartInfo::parse(&bytes[..50]), None);
    }
}
