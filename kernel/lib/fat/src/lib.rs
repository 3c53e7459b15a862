//! FAT12, FAT16 and FAT32 with long names.
//!
//! A [`FileSystem`] stands on a [`Disk`], which reads bytes, and finds files by paths. A [`Volume`] stands on a
//! [`Medium`], which writes them too, and is what a kernel mounts. Neither ever panics, loops or allocates without bound because of
//! what a disk contains; a broken structure is [`Error::Corrupt`] with the reason. Names are compared without regard to
//! case, as other systems do.
//!
//! | file | what |
//! |---|---|
//! | `parameters.rs` | the boot sector: [`Parameters`] |
//! | `table.rs` | chains of clusters: the file allocation table |
//! | `name.rs` | short names, and long ones out of their pieces |
//! | `directory.rs` | entries of directories: [`Entry`] |
//! | `file_system.rs` | paths and contents: [`FileSystem`], [`Reader`] |
//! | `volume/` | files and directories by their entries, to be changed: [`Volume`] |
//! | `time.rs` | times of entries |
//!
//! Source: Microsoft FAT Specification (August 30, 2005), sections given where they are used.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod directory;
mod file_system;
mod name;
mod parameters;
mod table;
mod time;
mod volume;

pub use directory::Entry;
pub use file_system::{FileSystem, Reader};
pub use parameters::{BOOT_SECTOR, Kind, Parameters};
pub use time::Timestamp;
pub use volume::{Found, Item, Place, Volume};

use core::fmt;

/// Where the file system is.
pub trait Disk {
    /// Fills `buffer` with what is `offset` bytes from the start. `false`: that cannot be read.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> bool;
}

/// Where a file system is that can be changed.
pub trait Medium: Disk {
    /// Puts bytes `offset` bytes from the start. `false`: that cannot be written.
    fn write(&self, offset: u64, bytes: &[u8]) -> bool;
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The disk cannot be read there.
    Read,
    /// There is no FAT file system, for this reason.
    NotFat(&'static str),
    /// The file system is broken: how.
    Corrupt(&'static str),
    /// There is nothing of that name.
    NotFound,
    /// What is not the last part of a path, or is to be listed, is no directory.
    NotADirectory,
    /// What is to be read is a directory.
    IsADirectory,
    /// The disk cannot be written there.
    Write,
    /// All clusters, or all entries of the root directory, are in use.
    Full,
    /// A name that no file can have.
    BadName,
    /// A name of more than 255 UTF-16 units.
    LongName,
    /// Longer than a file can be.
    TooLarge,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Read => f.write_str("the disk cannot be read"),
            Error::NotFat(why) => write!(f, "no FAT file system: {why}"),
            Error::Corrupt(how) => write!(f, "the file system is broken: {how}"),
            Error::NotFound => f.write_str("there is no such file"),
            Error::NotADirectory => f.write_str("not a directory"),
            Error::IsADirectory => f.write_str("a directory"),
            Error::Write => f.write_str("the disk cannot be written"),
            Error::Full => f.write_str("the file system is full"),
            Error::BadName => f.write_str("no file can have that name"),
            Error::LongName => f.write_str("the name is too long"),
            Error::TooLarge => f.write_str("no file can be that long"),
        }
    }
}

/// Numbers in little-endian bytes; the caller has checked that they are there.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}
