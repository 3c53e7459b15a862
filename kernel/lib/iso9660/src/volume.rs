//! Volume descriptors (8): from block 16 on, one each 2048 bytes, until the one that says that it is the last.

use crate::record::{self, Extent, Kind, Node};
use crate::rock_ridge::{self, Reader};
use crate::{Disk, Error, u16_at, u32_at};
use alloc::vec::Vec;

/// Bytes of a descriptor, and of the unit in which directories are divided.
pub(crate) const SECTOR: u64 = 2048;
/// Where the first one is.
const FIRST: u64 = 16;
/// How many are looked at.
const DESCRIPTORS: u64 = 100;

/// Which names are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Those of ISO 9660.
    Plain,
    /// Rock Ridge's.
    RockRidge,
    /// Joliet's.
    Joliet,
}

/// Which extensions may be used; Rock Ridge goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extensions {
    /// Rock Ridge.
    pub rock_ridge: bool,
    /// Joliet.
    pub joliet: bool,
}

/// A file system.
pub struct Volume<D> {
    pub(crate) disk: D,
    /// 512, 1024 or 2048.
    pub(crate) block_bytes: u32,
    pub(crate) names: Names,
    pub(crate) skip: usize,
    blocks: u32,
    root: Extent,
    label: Vec<u8>,
}

/// A descriptor of a volume with directories.
struct Descriptor {
    block_bytes: u32,
    blocks: u32,
    root: Extent,
    label: [u8; 32],
}

impl Descriptor {
    /// 8.4, 8.5.
    fn parse(sector: &[u8]) -> Result<Self, Error> {
        let block_bytes = u32::from(u16_at(sector, 128));
        if !matches!(block_bytes, 512 | 1024 | 2048) {
            return Err(Error::Corrupt("a block size that is not 512, 1024 or 2048"));
        }
        let mut record = [0; 34];
        record.copy_from_slice(&sector[156..190]);
        if usize::from(record[0]) < record.len() || record::volume_number(&record) > 1 {
            return Err(Error::Unsupported("a root directory that is elsewhere"));
        }
        let mut label = [0; 32];
        label.copy_from_slice(&sector[40..72]);
        Ok(Self { block_bytes, blocks: u32_at(sector, 80), root: record::extent(&record), label })
    }

    /// Whether the names are Joliet's: it has one of three escape sequences.
    fn is_joliet(sector: &[u8]) -> bool {
        matches!(&sector[88..91], [0x25, 0x2f, 0x40 | 0x43 | 0x45]) && sector[7] & 1 == 0
    }
}

impl<D: Disk> Volume<D> {
    /// The one on this disk.
    ///
    /// # Errors
    /// [`Error::NotIso`] and what reading says.
    pub fn new(disk: D, wanted: Extensions) -> Result<Self, Error> {
        let (mut primary, mut joliet) = (None, None);
        let mut sector = [0; SECTOR as usize];
        for number in FIRST..FIRST + DESCRIPTORS {
            if !disk.read(number * SECTOR, &mut sector) {
                return Err(if number == FIRST { Error::NotIso } else { Error::Read });
            }
            if &sector[1..6] != b"CD001" {
                break;
            }
            match sector[0] {
                1 if primary.is_none() => primary = Some(Descriptor::parse(&sector)?),
                2 if joliet.is_none() && Descriptor::is_joliet(&sector) => {
                    joliet = Descriptor::parse(&sector).ok();
                }
                0xff => break,
                _ => {}
            }
        }
        let primary = primary.ok_or(Error::NotIso)?;
        let skip = if wanted.rock_ridge { find_rock_ridge(&disk, &primary)? } else { None };
        let (names, descriptor) = match (skip, joliet.filter(|_| wanted.joliet)) {
            (Some(_), _) => (Names::RockRidge, primary),
            (None, Some(joliet)) => (Names::Joliet, joliet),
            (None, None) => (Names::Plain, primary),
        };
        let Descriptor { block_bytes, blocks, root, label } = descriptor;
        let label = label.trim_ascii().to_vec();
        Ok(Self { disk, block_bytes, names, skip: skip.unwrap_or(0), blocks, root, label })
    }

    /// Which names are used.
    pub fn names(&self) -> Names {
        self.names
    }

    /// Bytes of a block, and how many there are.
    pub fn size(&self) -> (u32, u32) {
        (self.block_bytes, self.blocks)
    }

    /// The label, in the encoding of the names.
    pub fn label(&self) -> &[u8] {
        &self.label
    }

    /// The disk.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// The root directory.
    ///
    /// # Errors
    /// [`Error::Corrupt`] and what reading says.
    pub fn root(&self) -> Result<Node, Error> {
        let root = self.directory_at(self.root.block)?;
        if root.kind == Kind::Directory { Ok(root) } else { Err(Error::Corrupt("the root is no directory")) }
    }

    /// Fills `buffer` with a file's contents from `offset` on; tells how many bytes there were: less only at the end.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn read(&self, node: &Node, offset: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        let (mut start, mut done) = (0_u64, 0);
        for extent in &node.extents {
            let end = start + u64::from(extent.length);
            let at = offset + done as u64;
            if at < end && done < buffer.len() {
                let within = at - start;
                let room = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len() - done);
                let place = u64::from(extent.block) * u64::from(self.block_bytes) + within;
                if !self.disk.read(place, &mut buffer[done..done + room]) {
                    return Err(Error::Read);
                }
                done += room;
            }
            start = end;
        }
        Ok(done)
    }

    pub(crate) fn fields(&self) -> Reader<'_>
    where
        D: Sized,
    {
        Reader::new(&self.disk, self.block_bytes.into(), self.skip)
    }
}

/// How many bytes are before the System Use fields, if there are such fields.
fn find_rock_ridge(disk: &impl Disk, primary: &Descriptor) -> Result<Option<usize>, Error> {
    let mut record = [0; 255];
    let place = u64::from(primary.root.block) * u64::from(primary.block_bytes);
    if !disk.read(place, &mut record) {
        return Err(Error::Read);
    }
    let length = usize::from(record[0]);
    Ok(rock_ridge::find_skip(&record[..length]))
}
