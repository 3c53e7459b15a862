//! `embed-symbols KERNEL`: puts the names of a linked kernel's functions into the kernel itself.
//!
//! The kernel's last segment holds two words: "KSYMTAB1" and a length of 0. The table is written to the end of
//! the file together with a copy of these words, and the segment is pointed there and enlarged; nothing else
//! in the file moves. The debugger's sections stay as they are.

use object::elf::{FileHeader64, PT_LOAD, ProgramHeader64};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSymbol, SymbolKind};
use std::process::ExitCode;

const MAGIC: &[u8; 8] = b"KSYMTAB1";
const PAGE: usize = 4096;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path] = arguments.as_slice() else {
        eprintln!("usage: embed-symbols KERNEL");
        return ExitCode::from(2);
    };
    let result = std::fs::read(path)
        .map_err(|error| error.to_string())
        .and_then(|file| embed(file))
        .and_then(|file| std::fs::write(path, file).map_err(|error| error.to_string()));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("embed-symbols: {path}: {why}");
            ExitCode::FAILURE
        }
    }
}

fn embed(mut file: Vec<u8>) -> Result<Vec<u8>, String> {
    let table = ksyms::build(functions(&file)?);
    let header = FileHeader64::<Endianness>::parse(file.as_slice()).map_err(|error| error.to_string())?;
    let endian = header.endian().map_err(|error| error.to_string())?;
    let segments = header.program_headers(endian, file.as_slice()).map_err(|error| error.to_string())?;
    let (index, segment) = segments
        .iter()
        .enumerate()
        .filter(|(_, s)| s.p_type(endian) == PT_LOAD)
        .max_by_key(|(_, s)| s.p_vaddr(endian))
        .ok_or("no segments")?;
    let start = segment.p_offset(endian) as usize;
    if file.get(start..start + MAGIC.len()) != Some(MAGIC.as_slice()) {
        return Err("its last segment does not begin with KSYMTAB1".into());
    }
    if file.get(start + 8..start + 16) != Some(&[0; 8]) {
        return Err("it has a symbol table already".into());
    }
    // Address and file offset of a segment must agree modulo the page size.
    let misalignment = segment.p_vaddr(endian) as usize % PAGE;
    let program_header = header.e_phoff(endian) as usize + index * size_of::<ProgramHeader64<Endianness>>();
    let offset = file.len().next_multiple_of(PAGE) + misalignment;
    file.resize(offset, 0);
    file.extend(MAGIC);
    file.extend((table.len() as u64).to_le_bytes());
    file.extend(&table);
    let size = (file.len() - offset) as u64;
    // Fields of an ELF64 program header: p_offset at 8, p_filesz at 32, p_memsz at 40.
    for (field, value) in [(8, offset as u64), (32, size), (40, size)] {
        file[program_header + field..program_header + field + 8].copy_from_slice(&value.to_le_bytes());
    }
    Ok(file)
}

/// Addresses and demangled names of all functions.
fn functions(file: &[u8]) -> Result<Vec<(u64, String)>, String> {
    let elf = object::File::parse(file).map_err(|error| error.to_string())?;
    let symbols = elf
        .symbols()
        .filter(|s| s.is_definition() && matches!(s.kind(), SymbolKind::Text | SymbolKind::Label));
    Ok(symbols
        .filter_map(|symbol| {
            Some((symbol.address(), format!("{:#}", rustc_demangle::demangle(symbol.name().ok()?))))
        })
        .filter(|(address, name)| *address >= 0xffff_ffff_8000_0000 && !name.is_empty())
        .collect())
}
