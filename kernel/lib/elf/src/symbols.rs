//! The symbols of a whole ELF file in memory: for backtraces and for building symbol tables.

use crate::ElfError;
use crate::format::parse_raw;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

const SECTION_SYMTAB: u32 = 2;

/// A section header (`Elf64_Shdr`).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct SectionHeader {
    name: u32,
    kind: u32,
    flags: u64,
    addr: u64,
    offset: u64,
    size: u64,
    link: u32,
    info: u32,
    addralign: u64,
    entsize: u64,
}

/// A symbol (`Elf64_Sym`).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct RawSymbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    value: u64,
    size: u64,
}

/// What a symbol names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolKind {
    /// Code.
    Function,
    /// Data.
    Object,
    /// Anything else.
    Other,
}

/// A defined symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// Its name, as in the file (mangled).
    pub name: &'a [u8],
    /// Its address.
    pub address: u64,
    /// Its size in bytes; 0 if unknown.
    pub size: u64,
    /// What it names.
    pub kind: SymbolKind,
}

/// The symbol table of a file.
#[derive(Clone, Copy, Debug)]
pub struct Symbols<'a> {
    table: &'a [u8],
    names: &'a [u8],
}

impl<'a> Symbols<'a> {
    /// Finds the symbol table; a file without one has no symbols.
    pub fn parse(file: &'a [u8]) -> Result<Symbols<'a>, ElfError> {
        let header = parse_raw(file)?;
        if header.shoff == 0 || header.shnum == 0 {
            return Ok(Symbols { table: &[], names: &[] });
        }
        if header.shentsize as usize != size_of::<SectionHeader>() {
            return Err(ElfError::BadEntrySize(header.shentsize));
        }
        let sections_len = header.shnum as u64 * size_of::<SectionHeader>() as u64;
        let sections = slice(file, header.shoff, sections_len)?;
        let section = |index: usize| {
            let bytes = sections.chunks_exact(size_of::<SectionHeader>()).nth(index);
            bytes.and_then(|bytes| SectionHeader::read_from_bytes(bytes).ok()).ok_or(ElfError::BadSymbols)
        };
        for index in 0..header.shnum as usize {
            let table = section(index)?;
            if table.kind == SECTION_SYMTAB {
                let names = section(table.link as usize)?;
                return Ok(Symbols {
                    table: slice(file, table.offset, table.size)?,
                    names: slice(file, names.offset, names.size)?,
                });
            }
        }
        Ok(Symbols { table: &[], names: &[] })
    }

    /// The defined symbols in the file's order; damaged names read as empty.
    pub fn iter(&self) -> impl Iterator<Item = Symbol<'a>> {
        let names = self.names;
        self.table.chunks_exact(size_of::<RawSymbol>()).filter_map(move |bytes| {
            let raw = RawSymbol::read_from_bytes(bytes).ok()?;
            if raw.section == 0 {
                return None;
            }
            let rest = names.get(raw.name as usize..).unwrap_or(&[]);
            let name = rest.split(|&byte| byte == 0).next().unwrap_or(&[]);
            let kind = match raw.info & 0xf {
                1 => SymbolKind::Object,
                2 => SymbolKind::Function,
                _ => SymbolKind::Other,
            };
            Some(Symbol { name, address: raw.value, size: raw.size, kind })
        })
    }
}

/// A part of the file, if it is there.
fn slice(file: &[u8], offset: u64, len: u64) -> Result<&[u8], ElfError> {
    let start = usize::try_from(offset).map_err(|_| ElfError::BadSymbols)?;
    let len = usize::try_from(len).map_err(|_| ElfError::BadSymbols)?;
    let end = start.checked_add(len).ok_or(ElfError::BadSymbols)?;
    file.get(start..end).ok_or(ElfError::BadSymbols)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::{Header, Image, Kind};
    use std::vec::Vec;

    fn own_file() -> Vec<u8> {
        std::fs::read(std::env::current_exe().unwrap()).unwrap()
    }

    #[test]
    fn the_test_program_itself_can_be_read() {
        let file = own_file();
        let header = Header::parse(&file).unwrap();
        let table = &file[header.table_offset as usize..][..header.table_len()];
        let image = Image::parse(&header, table, 0x1000..0x7fff_ffff_f000).unwrap();
        assert_eq!(image.kind, Kind::Relocatable);
        assert!(image.segments.len() >= 2 && image.interpreter.is_some() && image.tls.is_some());
        assert_eq!(image.table_address, Some(64));
        let main = Symbols::parse(&file).unwrap().iter().find(|symbol| symbol.name == b"main").unwrap();
        assert_eq!(main.kind, SymbolKind::Function);
        assert!(image.segments.iter().any(|segment| segment.bytes.contains(&main.address)));
    }

    #[test]
    fn damaged_files_give_errors_and_no_panic() {
        let mut file = own_file();
        let header = parse_raw(&file).unwrap();
        file.truncate(header.shoff as usize + 10);
        assert!(matches!(Symbols::parse(&file), Err(ElfError::BadSymbols)));
        file[0x28..0x30].fill(0xff);
        assert!(matches!(Symbols::parse(&file), Err(ElfError::BadSymbols)));
    }
}
