//! ISO 9660, the file system of CD-ROMs, to be read: with the Rock Ridge extensions (names, modes, owners, links, devices
//! as on Unix) or Joliet's names.
//!
//! A [`Volume`] stands on a [`Disk`], which reads bytes. It never panics, loops or allocates without bound because of what
//! a disk contains; a broken structure is [`Error::Corrupt`] with the reason.
//!
//! | file | what |
//! |---|---|
//! | `volume.rs` | volume descriptors, and which of the names are used: [`Volume`] |
//! | `directory.rs` | the records of directories, lookup, listing |
//! | `record.rs` | one record: [`Node`] |
//! | `rock_ridge.rs` | what stands behind the name in a record: System Use fields |
//! | `name.rs` | names of each kind |
//! | `time.rs` | dates |
//!
//! Source: ECMA-119 (4th edition), sections given where they are used; IEEE P1281 (System Use Sharing Protocol) and P1282
//! (Rock Ridge Interchange Protocol), drafts 1.12; the Joliet specification (1995).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod directory;
mod name;
mod record;
mod rock_ridge;
mod time;
mod volume;

pub use directory::Found;
pub use record::{Extent, Kind, Node};
pub use volume::{Extensions, Names, Volume};

use core::fmt;

/// Where the file system is.
pub trait Disk {
    /// Fills `buffer` with what is `offset` bytes from the start. `false`: that cannot be read.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> bool;
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The disk cannot be read there.
    Read,
    /// There is no ISO 9660 file system.
    NotIso,
    /// The file system is broken: how.
    Corrupt(&'static str),
    /// The file system has what this crate does not know: what.
    Unsupported(&'static str),
    /// There is nothing of that name.
    NotFound,
    /// What is to be listed is no directory.
    NotADirectory,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Read => f.write_str("the disk cannot be read"),
            Error::NotIso => f.write_str("no ISO 9660 file system"),
            Error::Corrupt(how) => write!(f, "the file system is broken: {how}"),
            Error::Unsupported(what) => write!(f, "not supported: {what}"),
            Error::NotFound => f.write_str("there is no such file"),
            Error::NotADirectory => f.write_str("not a directory"),
        }
    }
}

/// Numbers that stand in both byte orders (7.2.3, 7.3.3): the little-endian half. The caller has checked that they are there.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}
