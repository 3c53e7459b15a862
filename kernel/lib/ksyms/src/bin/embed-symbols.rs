//! `embed-symbols KERNEL`: puts what backtraces need into a linked kernel: the names of its functions, and its call
//! frames as a compact table, which is compared with the compiler's at every address first.
//! `embed-symbols --frames KERNEL`: prints the functions that take the most stack instead.
//!
//! The kernel's last segment holds two words: "KSYMTAB1" and a length of 0. The tables are written to the end of
//! the file together with a copy of these words, and the segment is pointed there and enlarged; nothing else
//! in the file moves. The debugger's sections stay as they are.

use ksyms::Bundle;
use object::elf::{FileHeader64, PT_LOAD, ProgramHeader64};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSymbol, SymbolKind};
use std::process::ExitCode;
use unwind::Base;
use unwind::encode::Function;

const MAGIC: &[u8; 8] = b"KSYMTAB1";
const PAGE: usize = 4096;
/// How many functions `--frames` prints.
const LARGEST: usize = 30;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (path, outcome) = match arguments.as_slice() {
        [path] => (path, rewrite(path)),
        [option, path] if option == "--frames" => (path, print_largest_frames(path)),
        _ => {
            eprintln!("usage: embed-symbols [--frames] KERNEL");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("embed-symbols: {path}: {why}");
            ExitCode::FAILURE
        }
    }
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| error.to_string())
}

fn rewrite(path: &str) -> Result<(), String> {
    let file = read(path)?;
    let names = ksyms::build(names(&file)?);
    let functions = unwind::cfi::functions(&file)?;
    let frames = frames(functions.clone())?;
    let code: u64 = functions.iter().map(|function| function.end - function.start).sum();
    println!(
        "backtraces: {} functions, {} KiB of code; {} KiB of names, {} KiB of frames ({:.1} % of the code, {:.1} bytes each)",
        functions.len(),
        code >> 10,
        names.len() >> 10,
        frames.len() >> 10,
        frames.len() as f64 * 100.0 / code as f64,
        frames.len() as f64 / functions.len() as f64,
    );
    let tables = Bundle { names: &names, frames: &frames }.bytes().map_err(|error| error.to_string())?;
    std::fs::write(path, embed(file, &tables)?).map_err(|error| error.to_string())
}

/// The table of call frames, compared with what it was made from.
fn frames(functions: Vec<Function>) -> Result<Vec<u8>, String> {
    if functions.is_empty() {
        return Err("it has no call frames: build it with -Cforce-unwind-tables=yes".into());
    }
    let bytes = unwind::encode::build(functions.clone())?;
    let table = unwind::Table::parse(&bytes).map_err(|_| "a table that cannot be read")?;
    unwind::cfi::verify(&table, &functions)?;
    Ok(bytes)
}

/// By the most that a function has on the stack at any instruction, its return address included.
fn print_largest_frames(path: &str) -> Result<(), String> {
    let file = read(path)?;
    let by_address: std::collections::BTreeMap<u64, String> = names(&file)?.into_iter().collect();
    let size = |function: &Function| {
        let from_stack_pointer = function.rows.iter().filter(|(_, row)| row.base == Base::Stack);
        from_stack_pointer.map(|(_, row)| u64::from(row.offset) * 8).max().unwrap_or(0)
    };
    let mut functions = unwind::cfi::functions(&file)?;
    functions.sort_by_key(|function| std::cmp::Reverse(size(function)));
    for function in functions.iter().take(LARGEST) {
        println!("{:6} {}", size(function), by_address.get(&function.start).map_or("?", String::as_str));
    }
    Ok(())
}

/// The file with the tables in it.
fn embed(mut file: Vec<u8>, tables: &[u8]) -> Result<Vec<u8>, String> {
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
        return Err("it has its tables already".into());
    }
    // Address and file offset of a segment must agree modulo the page size.
    let misalignment = segment.p_vaddr(endian) as usize % PAGE;
    let program_header = header.e_phoff(endian) as usize + index * size_of::<ProgramHeader64<Endianness>>();
    let offset = file.len().next_multiple_of(PAGE) + misalignment;
    file.resize(offset, 0);
    file.extend(MAGIC);
    file.extend((tables.len() as u64).to_le_bytes());
    file.extend(tables);
    let size = (file.len() - offset) as u64;
    // Fields of an ELF64 program header: p_offset at 8, p_filesz at 32, p_memsz at 40.
    for (field, value) in [(8, offset as u64), (32, size), (40, size)] {
        file[program_header + field..program_header + field + 8].copy_from_slice(&value.to_le_bytes());
    }
    Ok(file)
}

/// Addresses and demangled names of all functions.
fn names(file: &[u8]) -> Result<Vec<(u64, String)>, String> {
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
