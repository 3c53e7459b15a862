//! Directories: records one after the other, none across the border of 2048 bytes (6.8.1).

use crate::record::{self, Kind, Node, Record};
use crate::volume::SECTOR;
use crate::{Disk, Error, Volume, name};
use alloc::vec;
use alloc::vec::Vec;

/// Parts that a file may have: of 4 GiB each, these are more than a disk holds.
const EXTENTS: usize = 4096;

/// A name in a directory.
#[derive(Clone, Debug)]
pub struct Found {
    /// The name.
    pub name: Vec<u8>,
    /// What it stands for.
    pub node: Node,
    /// Where the next name is: a cursor for [`Volume::list`].
    pub next: u64,
}

/// A walk along the records of a directory, a sector at a time.
struct Walk<'a> {
    directory: &'a Node,
    sector: Vec<u8>,
    /// Where the sector is in the directory.
    start: Option<u64>,
    /// Where the next record is in the directory.
    at: u64,
}

impl<D: Disk> Volume<D> {
    /// The directory that begins at a block, by its "." record.
    pub(crate) fn directory_at(&self, block: u32) -> Result<Node, Error> {
        let mut bytes = [0; SECTOR as usize];
        let place = u64::from(block) * u64::from(self.block_bytes);
        if !self.disk.read(place, &mut bytes) {
            return Err(Error::Read);
        }
        let parsed = record::parse(&bytes, place, self.names, &mut self.fields())?;
        let Some((record, _)) = parsed else { return Err(Error::Corrupt("a directory without records")) };
        Ok(record.node)
    }

    /// What a name in a directory stands for, and the name as the directory has it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotADirectory`] and what reading says.
    pub fn lookup(&self, directory: &Node, wanted: &[u8]) -> Result<Found, Error> {
        let mut found = None;
        self.walk(directory, 0, &mut |record, next| {
            if !name::is_same(&record.name, wanted, self.names) {
                return true;
            }
            found = Some((record, next));
            false
        })?;
        let (record, next) = found.ok_or(Error::NotFound)?;
        Ok(Found { name: record.name.clone(), node: self.finish(record)?, next })
    }

    /// Visits the names of a directory from a cursor on (0: the first), until `visit` says `false`. The attributes of
    /// what is deeper than eight directories are those of [`lookup`](Self::lookup) only.
    ///
    /// # Errors
    /// [`Error::NotADirectory`] and what reading says.
    pub fn list(
        &self,
        directory: &Node,
        cursor: u64,
        visit: &mut dyn FnMut(Found) -> bool,
    ) -> Result<(), Error> {
        self.walk(directory, cursor, &mut |record, next| {
            visit(Found { name: record.name, node: record.node, next })
        })
    }

    /// A directory that was moved up is where its record says (`CL`); any other has its number by its place.
    fn finish(&self, record: Record) -> Result<Node, Error> {
        let block = match (record.child, record.node.kind) {
            (Some(block), _) => block,
            (None, Kind::Directory) => record.node.extents.first().map_or(0, |extent| extent.block),
            _ => return Ok(record.node),
        };
        let node = self.directory_at(block)?;
        if node.kind == Kind::Directory {
            Ok(node)
        } else {
            Err(Error::Corrupt("no directory where one should be"))
        }
    }

    fn walk(
        &self,
        directory: &Node,
        cursor: u64,
        visit: &mut dyn FnMut(Record, u64) -> bool,
    ) -> Result<(), Error> {
        if directory.kind != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        let mut walk = Walk { directory, sector: Vec::new(), start: None, at: cursor };
        while let Some(mut record) = self.next(&mut walk)? {
            while record.is_continued {
                let Some(more) = self.next(&mut walk)?.filter(|more| more.name == record.name) else {
                    return Err(Error::Corrupt("a file that does not go on"));
                };
                if record.node.extents.len() == EXTENTS {
                    return Err(Error::Corrupt("a file of too many parts"));
                }
                record.node.size += more.node.size;
                record.node.extents.extend(more.node.extents);
                record.is_continued = more.is_continued;
            }
            // Numbers are those of `lookup`.
            if let (Kind::Directory, None, Some(extent)) =
                (record.node.kind, record.child, record.node.extents.first())
            {
                record.node.number = (u64::from(extent.block) * u64::from(self.block_bytes)) >> 5;
            } else if let Some(block) = record.child {
                record.node.kind = Kind::Directory;
                record.node.number = (u64::from(block) * u64::from(self.block_bytes)) >> 5;
            }
            if record.is_shown && !visit(record, walk.at) {
                break;
            }
        }
        Ok(())
    }

    fn next(&self, walk: &mut Walk<'_>) -> Result<Option<Record>, Error> {
        while walk.at < walk.directory.size {
            let (start, within) = (walk.at - walk.at % SECTOR, (walk.at % SECTOR) as usize);
            if walk.start != Some(start) {
                walk.sector = vec![0; SECTOR as usize];
                let length = self.read(walk.directory, start, &mut walk.sector)?;
                walk.sector.truncate(length);
                walk.start = Some(start);
            }
            let extent = walk.directory.extents.first().map_or(0, |extent| u64::from(extent.block));
            let place = extent * u64::from(self.block_bytes) + walk.at;
            let rest = walk.sector.get(within..).unwrap_or_default();
            match record::parse(rest, place, self.names, &mut self.fields())? {
                Some((record, length)) => {
                    walk.at += length as u64;
                    return Ok(Some(record));
                }
                None => walk.at = start + SECTOR,
            }
        }
        Ok(None)
    }
}
