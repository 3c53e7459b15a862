//! What can be wrong with an executable, and which errno `execve` answers.

use abi::Errno;
use core::fmt;

/// Why a file cannot be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElfError {
    /// Fewer bytes than the header has.
    TooShort,
    /// It does not begin with `\x7fELF`.
    BadMagic,
    /// It is not a 64-bit little-endian file of version 1.
    WrongClass,
    /// It is for another machine, with this number.
    WrongMachine(u16),
    /// It is neither an executable nor a shared object.
    WrongType(u16),
    /// A program or section header has an unknown size.
    BadEntrySize(u16),
    /// The program-header table is empty, larger than 64 KiB, or not where the header says.
    BadTable,
    /// The interpreter's path is too short, too long, or has no end.
    BadInterpreter,
    /// There is nothing to load.
    NoSegments,
    /// A segment has more bytes in the file than in memory.
    FileExceedsMemory,
    /// A segment's offset and address differ within a page, or its alignment is no power of two.
    Misaligned,
    /// A segment ends outside the address range.
    OutOfRange,
    /// Two segments claim the same bytes.
    Overlap,
    /// A section or symbol table is damaged.
    BadSymbols,
}

impl From<ElfError> for Errno {
    fn from(error: ElfError) -> Errno {
        match error {
            ElfError::NoSegments
            | ElfError::FileExceedsMemory
            | ElfError::Misaligned
            | ElfError::OutOfRange
            | ElfError::Overlap => Errno::EINVAL,
            _ => Errno::ENOEXEC,
        }
    }
}

impl fmt::Display for ElfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ElfError::TooShort => f.write_str("file is shorter than an ELF header"),
            ElfError::BadMagic => f.write_str("not an ELF file"),
            ElfError::WrongClass => f.write_str("not a 64-bit little-endian ELF file"),
            ElfError::WrongMachine(machine) => write!(f, "machine {machine}, expected 62 (x86-64)"),
            ElfError::WrongType(kind) => {
                write!(f, "type {kind}, expected 2 (executable) or 3 (shared object)")
            }
            ElfError::BadEntrySize(size) => write!(f, "table entries of {size} bytes"),
            ElfError::BadTable => f.write_str("program-header table is empty, too large or cut off"),
            ElfError::BadInterpreter => f.write_str("interpreter path has no end or a bad length"),
            ElfError::NoSegments => f.write_str("no segment to load"),
            ElfError::FileExceedsMemory => f.write_str("segment is larger in the file than in memory"),
            ElfError::Misaligned => f.write_str("segment offset and address do not fit one page alignment"),
            ElfError::OutOfRange => f.write_str("segment lies outside the user address range"),
            ElfError::Overlap => f.write_str("segments overlap"),
            ElfError::BadSymbols => f.write_str("symbol table is damaged"),
        }
    }
}

impl core::error::Error for ElfError {}
