//! One record of a directory (9.1), and what it tells of a file.

use crate::{Error, Names, name, rock_ridge, time, u16_at, u32_at};
use alloc::vec::Vec;

/// Bytes of a record before its name.
pub(crate) const HEADER: usize = 33;
/// A record of a name of one byte: the smallest.
const SMALLEST: usize = HEADER + 1;

/// Bits of the flags (9.1.6).
mod flag {
    pub(super) const HIDDEN: u8 = 0x01;
    pub(super) const DIRECTORY: u8 = 0x02;
    pub(super) const ASSOCIATED: u8 = 0x04;
    pub(super) const CONTINUED: u8 = 0x80;
}

/// The type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Regular,
    Directory,
    Link,
    Character,
    Block,
    Fifo,
    Socket,
}

/// A part of a file, in one piece on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Its first block.
    pub block: u32,
    /// Its bytes.
    pub length: u32,
}

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Tells it from all others: of a file, where its record is; of a directory, where it is itself.
    pub number: u64,
    /// Its type.
    pub kind: Kind,
    /// Permission bits, where Rock Ridge tells them.
    pub mode: Option<u32>,
    /// Names.
    pub links: u32,
    /// Owner and group, where Rock Ridge tells them.
    pub owner: Option<(u32, u32)>,
    /// Bytes of all its extents; of a link, of its text.
    pub size: u64,
    /// Where its contents are.
    pub extents: Vec<Extent>,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// The text of a symbolic link.
    pub target: Vec<u8>,
    /// Seconds since 1970 of the last change of its contents, of the last read, and of the last change of its attributes.
    pub modified: i64,
    /// See `modified`.
    pub accessed: i64,
    /// See `modified`.
    pub changed: i64,
}

/// What a record is, besides the file that it tells of.
pub(crate) struct Record {
    /// The name as it is shown.
    pub(crate) name: Vec<u8>,
    pub(crate) node: Node,
    /// Whether the next record goes on with the same file.
    pub(crate) is_continued: bool,
    /// Whether it is to be shown at all.
    pub(crate) is_shown: bool,
    /// Where the directory is that this stands for (`CL`).
    pub(crate) child: Option<u32>,
}

/// The record at the start of `bytes`, which end with the block, and its length; `None`: no more in this block. Its own
/// place on the disk is `place`.
pub(crate) fn parse(
    bytes: &[u8],
    place: u64,
    names: Names,
    fields: &mut rock_ridge::Reader<'_>,
) -> Result<Option<(Record, usize)>, Error> {
    let length = usize::from(*bytes.first().unwrap_or(&0));
    if length == 0 {
        return Ok(None);
    }
    let name_length = usize::from(*bytes.get(32).unwrap_or(&0));
    let Some(record) = bytes.get(..length).filter(|record| record.len() >= SMALLEST) else {
        return Err(Error::Corrupt("a record that is not within its block"));
    };
    let Some(identifier) = record.get(HEADER..HEADER + name_length).filter(|name| !name.is_empty()) else {
        return Err(Error::Corrupt("a name that is not within its record"));
    };
    let flags = record[25];
    let is_directory = flags & flag::DIRECTORY != 0;
    if record[26] != 0 || record[27] != 0 {
        return Err(Error::Unsupported("an interleaved file"));
    }
    let mut date = [0; 7];
    date.copy_from_slice(&record[18..25]);
    let date = time::short(&date);
    let extent = Extent {
        // The extended attribute record comes first.
        block: u32_at(record, 2).wrapping_add(u32::from(record[1])),
        length: u32_at(record, 10),
    };
    let mut parsed = Record {
        name: name::shown(identifier, names),
        node: Node {
            number: place >> 5,
            kind: if is_directory { Kind::Directory } else { Kind::Regular },
            mode: None,
            links: if is_directory { 2 } else { 1 },
            owner: None,
            size: extent.length.into(),
            extents: Vec::from([extent]),
            device: (0, 0),
            target: Vec::new(),
            modified: date,
            accessed: date,
            changed: date,
        },
        is_continued: flags & flag::CONTINUED != 0,
        // "." and ".." are a NUL and a one.
        is_shown: flags & flag::ASSOCIATED == 0 && !matches!(identifier, [0 | 1]),
        child: None,
    };
    if names == Names::RockRidge {
        // The name is padded to an even offset.
        let start = (HEADER + name_length).next_multiple_of(2) + fields.skip();
        fields.apply(record.get(start..).unwrap_or_default(), &mut parsed)?;
    } else if flags & flag::HIDDEN != 0 {
        parsed.is_shown = false;
    }
    if parsed.name.contains(&b'/') || parsed.name.is_empty() {
        parsed.is_shown = false;
    }
    Ok(Some((parsed, length)))
}

/// The first extent of a record whose length has been checked, for the root's in a volume descriptor.
pub(crate) fn extent(record: &[u8; 34]) -> Extent {
    Extent { block: u32_at(record, 2).wrapping_add(u32::from(record[1])), length: u32_at(record, 10) }
}

/// Sequence number of the volume that a record's file is on (9.1.9).
pub(crate) fn volume_number(record: &[u8; 34]) -> u16 {
    u16_at(record, 28)
}
