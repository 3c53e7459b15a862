//! The structs of the file format, and the checks of the file header.

use crate::ElfError;
use core::ops::Range;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Length of the file header in bytes.
pub const HEADER_LEN: usize = size_of::<RawHeader>();
/// Length of a program header in bytes.
pub const PROGRAM_HEADER_LEN: usize = size_of::<ProgramHeader>();
/// Longest program-header table that Linux takes, in bytes.
const TABLE_LEN_MAX: u64 = 65_536;

const MACHINE_X86_64: u16 = 62;

/// The file header as it stands in the file (`Elf64_Ehdr`).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct RawHeader {
    pub(crate) ident: [u8; 16],
    pub(crate) kind: u16,
    pub(crate) machine: u16,
    pub(crate) version: u32,
    pub(crate) entry: u64,
    pub(crate) phoff: u64,
    pub(crate) shoff: u64,
    pub(crate) flags: u32,
    pub(crate) ehsize: u16,
    pub(crate) phentsize: u16,
    pub(crate) phnum: u16,
    pub(crate) shentsize: u16,
    pub(crate) shnum: u16,
    pub(crate) shstrndx: u16,
}

/// A program header (`Elf64_Phdr`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ProgramHeader {
    /// `PT_*`.
    pub kind: u32,
    /// `PF_*`: [`Protection`].
    pub flags: u32,
    /// Where it begins in the file.
    pub offset: u64,
    /// Where it begins in memory.
    pub vaddr: u64,
    /// Physical address.
    pub paddr: u64,
    /// Bytes in the file.
    pub filesz: u64,
    /// Bytes in memory; what the file lacks is zero.
    pub memsz: u64,
    /// Alignment.
    pub align: u64,
}

impl ProgramHeader {
    /// Loadable.
    pub const LOAD: u32 = 1;
    /// Path of the interpreter.
    pub const INTERP: u32 = 3;
    /// The table itself.
    pub const PHDR: u32 = 6;
    /// Initial thread-local data.
    pub const TLS: u32 = 7;
    /// Protection of the stack.
    pub const GNU_STACK: u32 = 0x6474_e551;
    /// Notes on properties.
    pub const GNU_PROPERTY: u32 = 0x6474_e553;
}

bitflags::bitflags! {
    /// What memory allows, in ELF's bits.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Protection: u32 {
        /// Executing.
        const EXECUTE = 1;
        /// Writing.
        const WRITE = 2;
        /// Reading.
        const READ = 4;
    }
}

/// Which kind of executable it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It must be loaded where it says (`ET_EXEC`).
    Fixed,
    /// It can be loaded anywhere (`ET_DYN`: position-independent programs, interpreters).
    Relocatable,
}

/// A checked file header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Fixed or relocatable.
    pub kind: Kind,
    /// Address of the first instruction.
    pub entry: u64,
    /// Where the program-header table begins in the file.
    pub table_offset: u64,
    /// Number of program headers, at least 1.
    pub table_count: u16,
}

impl Header {
    /// Checks the first bytes of a file; [`HEADER_LEN`] of them are enough.
    pub fn parse(bytes: &[u8]) -> Result<Header, ElfError> {
        if !bytes.starts_with(b"\x7fELF") {
            return Err(ElfError::BadMagic);
        }
        let raw = parse_raw(bytes)?;
        let kind = match raw.kind {
            2 => Kind::Fixed,
            3 => Kind::Relocatable,
            other => return Err(ElfError::WrongType(other)),
        };
        if raw.phentsize as usize != PROGRAM_HEADER_LEN {
            return Err(ElfError::BadEntrySize(raw.phentsize));
        }
        let header = Header { kind, entry: raw.entry, table_offset: raw.phoff, table_count: raw.phnum };
        let table_len = header.table_len() as u64;
        if raw.phnum == 0 || table_len > TABLE_LEN_MAX || raw.phoff.checked_add(table_len).is_none() {
            return Err(ElfError::BadTable);
        }
        Ok(header)
    }

    /// Length of the program-header table in bytes, at most 64 KiB.
    pub fn table_len(&self) -> usize {
        self.table_count as usize * PROGRAM_HEADER_LEN
    }

    /// Where the program-header table lies in the file.
    pub fn table_range(&self) -> Range<u64> {
        self.table_offset..self.table_offset + self.table_len() as u64
    }
}

/// The raw header after the checks that hold for any x86-64 ELF file.
pub(crate) fn parse_raw(bytes: &[u8]) -> Result<RawHeader, ElfError> {
    let (raw, _) = RawHeader::read_from_prefix(bytes).map_err(|_| ElfError::TooShort)?;
    if raw.ident[..4] != *b"\x7fELF" {
        return Err(ElfError::BadMagic);
    }
    // Class 64-bit, little endian, version 1.
    if raw.ident[4..7] != [2, 1, 1] {
        return Err(ElfError::WrongClass);
    }
    if raw.machine != MACHINE_X86_64 {
        return Err(ElfError::WrongMachine(raw.machine));
    }
    Ok(raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

    fn header() -> RawHeader {
        let mut raw = RawHeader::new_zeroed();
        raw.ident[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        (raw.kind, raw.machine, raw.phentsize, raw.phnum, raw.phoff) = (2, 62, 56, 3, 64);
        raw
    }

    #[test]
    fn good_headers_pass() {
        let parsed = Header::parse(header().as_bytes()).unwrap();
        assert_eq!((parsed.kind, parsed.table_range()), (Kind::Fixed, 64..64 + 3 * 56));
    }

    #[test]
    fn each_fault_has_its_error() {
        let broken = |change: fn(&mut RawHeader)| {
            let mut raw = header();
            change(&mut raw);
            Header::parse(raw.as_bytes()).unwrap_err()
        };
        assert_eq!(Header::parse(b"#!/bin/sh"), Err(ElfError::BadMagic));
        assert_eq!(Header::parse(b"\x7fELF"), Err(ElfError::TooShort));
        assert_eq!(Header::parse(&header().as_bytes()[..63]), Err(ElfError::TooShort));
        assert_eq!(broken(|raw| raw.ident[4] = 1), ElfError::WrongClass);
        assert_eq!(broken(|raw| raw.machine = 3), ElfError::WrongMachine(3));
        assert_eq!(broken(|raw| raw.kind = 1), ElfError::WrongType(1));
        assert_eq!(broken(|raw| raw.phentsize = 32), ElfError::BadEntrySize(32));
        assert_eq!(broken(|raw| raw.phnum = 0), ElfError::BadTable);
        assert_eq!(broken(|raw| raw.phnum = 2000), ElfError::BadTable);
        assert_eq!(broken(|raw| raw.phoff = u64::MAX - 10), ElfError::BadTable);
    }
}
