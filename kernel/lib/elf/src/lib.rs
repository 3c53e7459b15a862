//! ELF64 files for x86-64: what the kernel needs to execute one, and to name the functions in one.
//!
//! Reading goes in two steps, so that the caller decides how bytes come from the file:
//! 1. [`Header::parse`] on the first [`HEADER_LEN`] bytes says where the program-header table lies;
//! 2. [`Image::parse`] on the table's bytes checks it and makes the load plan.
//!
//! Every number of the file is untrusted: arithmetic is checked, and a plan that comes out lies within the address range
//! that the caller gave. Errors carry the errno that Linux answers. Source: System V ABI (gABI) chapters 4 and 5, x86-64
//! psABI, elf(5).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod error;
mod format;
mod image;
mod symbols;

pub use error::ElfError;
pub use format::{HEADER_LEN, Header, Kind, PROGRAM_HEADER_LEN, ProgramHeader, Protection};
pub use image::{FilePart, FileRange, Image, PAGE_SIZE, Segment, Tls};
pub use symbols::{Symbol, SymbolKind, Symbols};
