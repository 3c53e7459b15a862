//! Entries of directories (section 6).

use crate::name::{self, Long};
use crate::{Kind, u16_at, u32_at};
use alloc::string::String;

/// Bits of the attributes.
mod attribute {
    pub(super) const VOLUME: u8 = 0x08;
    pub(super) const DIRECTORY: u8 = 0x10;
    pub(super) const LONG_NAME: u8 = 0x0f;
    pub(super) const LONG_NAME_MASK: u8 = 0x3f;
}

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name: the long one, if there is one.
    pub name: String,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Bytes of a file.
    pub size: u32,
    /// When it was written: the date (years since 1980 << 9, month << 5, day) and the time (hour << 11, minute << 5,
    /// second / 2), in local time.
    pub written: (u16, u16),
    /// The first cluster; 0: there is none (an empty file, or the root directory).
    pub(crate) cluster: u32,
}

impl Entry {
    /// The root directory.
    pub(crate) fn root(cluster: u32) -> Self {
        Self { name: String::new(), is_directory: true, size: 0, written: (0, 0), cluster }
    }
}

/// What 32 bytes of a directory are.
pub(crate) enum Record {
    /// Nothing, and nothing follows.
    End,
    /// Nothing that counts, or a piece of a name.
    Skipped,
    /// An entry.
    Entry(Entry),
}

/// Reads the next 32 bytes of a directory.
pub(crate) fn read(bytes: &[u8; 32], long: &mut Long, kind: Kind) -> Record {
    let attributes = bytes[11];
    match bytes[0] {
        0 => return Record::End,
        0xe5 => {
            long.forget();
            return Record::Skipped;
        }
        _ => {}
    }
    if attributes & attribute::LONG_NAME_MASK == attribute::LONG_NAME {
        long.add(bytes);
        return Record::Skipped;
    }
    if attributes & attribute::VOLUME != 0 || bytes[0] == b'.' {
        // The label; "." and "..", which paths are walked without.
        long.forget();
        return Record::Skipped;
    }
    let name = long.take(bytes).unwrap_or_else(|| name::short(bytes));
    let high = if kind == Kind::Fat32 { u32::from(u16_at(bytes, 20)) << 16 } else { 0 };
    Record::Entry(Entry {
        name,
        is_directory: attributes & attribute::DIRECTORY != 0,
        size: u32_at(bytes, 28),
        written: (u16_at(bytes, 24), u16_at(bytes, 22)),
        cluster: (high | u32::from(u16_at(bytes, 26))) & 0x0fff_ffff,
    })
}
