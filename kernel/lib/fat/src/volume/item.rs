//! An entry (section 6): 32 bytes with a short name and what there is to know of a file.

use crate::time::{Stamp, Timestamp};
use crate::{Error, Kind, Medium, Volume, u16_at, u32_at};

/// Bits of the attributes.
pub(super) mod attribute {
    pub(in crate::volume) const READ_ONLY: u8 = 0x01;
    pub(in crate::volume) const VOLUME: u8 = 0x08;
    pub(in crate::volume) const DIRECTORY: u8 = 0x10;
    pub(in crate::volume) const ARCHIVE: u8 = 0x20;
    pub(in crate::volume) const LONG_NAME: u8 = 0x0f;
    pub(in crate::volume) const LONG_NAME_MASK: u8 = 0x3f;
}

/// A file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Where its entry is, in bytes from the start; `None`: it is the root directory.
    pub entry: Option<u64>,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Whether it is marked as not to be changed.
    pub is_read_only: bool,
    /// Bytes of a file.
    pub size: u32,
    /// The first cluster; 0: there is none (an empty file; the root directory of FAT12 and FAT16).
    pub cluster: u32,
    /// When it was made.
    pub created: Timestamp,
    /// When it was written, to two seconds.
    pub modified: Timestamp,
    /// When it was read, to a day.
    pub accessed: Timestamp,
}

impl Item {
    /// From the bytes of an entry.
    pub(super) fn parse(bytes: &[u8; 32], place: u64, kind: Kind) -> Self {
        let high = if kind == Kind::Fat32 { u32::from(u16_at(bytes, 20)) << 16 } else { 0 };
        let is_directory = bytes[11] & attribute::DIRECTORY != 0;
        let time = |date: usize, time: Option<usize>, hundredths: u8| {
            let time = time.map_or(0, |at| u16_at(bytes, at));
            Timestamp::from_stamp(Stamp { date: u16_at(bytes, date), time, hundredths })
        };
        Self {
            entry: Some(place),
            is_directory,
            is_read_only: bytes[11] & attribute::READ_ONLY != 0,
            size: if is_directory { 0 } else { u32_at(bytes, 28) },
            cluster: (high | u32::from(u16_at(bytes, 26))) & 0x0fff_ffff,
            created: time(16, Some(14), bytes[13]),
            modified: time(24, Some(22), 0),
            accessed: time(18, None, 0),
        }
    }

    /// Into the bytes of an entry, whose name stays.
    pub(super) fn store(&self, bytes: &mut [u8; 32], kind: Kind) {
        bytes[11] &= !(attribute::READ_ONLY | attribute::DIRECTORY);
        bytes[11] |= if self.is_read_only { attribute::READ_ONLY } else { 0 };
        bytes[11] |= if self.is_directory { attribute::DIRECTORY } else { attribute::ARCHIVE };
        let (created, modified) = (self.created.to_stamp(), self.modified.to_stamp());
        bytes[13] = created.hundredths;
        bytes[14..16].copy_from_slice(&created.time.to_le_bytes());
        bytes[16..18].copy_from_slice(&created.date.to_le_bytes());
        bytes[18..20].copy_from_slice(&self.accessed.to_stamp().date.to_le_bytes());
        if kind == Kind::Fat32 {
            bytes[20..22].copy_from_slice(&((self.cluster >> 16) as u16).to_le_bytes());
        }
        bytes[22..24].copy_from_slice(&modified.time.to_le_bytes());
        bytes[24..26].copy_from_slice(&modified.date.to_le_bytes());
        bytes[26..28].copy_from_slice(&(self.cluster as u16).to_le_bytes());
        bytes[28..32].copy_from_slice(&self.size.to_le_bytes());
    }
}

impl<M: Medium> Volume<M> {
    /// The root directory.
    pub fn root(&self) -> Item {
        let first = Timestamp::from_stamp(Stamp { date: 0, time: 0, hundredths: 0 });
        Item {
            entry: None,
            is_directory: true,
            is_read_only: false,
            size: 0,
            cluster: self.parameters.root_cluster,
            created: first,
            modified: first,
            accessed: first,
        }
    }

    /// Writes what has changed of an item into its entry.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Write`].
    pub fn update(&mut self, item: &Item) -> Result<(), Error> {
        let Some(place) = item.entry else { return Ok(()) };
        let mut bytes = [0; 32];
        if !self.disk.read(place, &mut bytes) {
            return Err(Error::Read);
        }
        item.store(&mut bytes, self.parameters.kind);
        self.write(place, &bytes)
    }
}
