//! The block and inode bitmaps in memory: read when first needed, written by `sync`, bounded in number.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec;

use super::bitmap;
use crate::error::Error;
use crate::geometry::Geometry;
use crate::io::BlockIo;

/// How many bitmaps are kept: with blocks of 4 KiB, 1 MiB of memory for the bitmaps of 16 GiB.
const CAPACITY: usize = 256;

/// Which bitmap of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Blocks,
    Inodes,
}

struct Bitmap {
    bits: Box<[u8]>,
    is_dirty: bool,
    last_use: u64,
}

/// The bitmaps that are in memory.
#[derive(Default)]
pub(super) struct Bitmaps {
    loaded: BTreeMap<(Kind, u32), Bitmap>,
    uses: u64,
}

impl Bitmaps {
    /// The bits of a bitmap, to look at.
    pub(super) fn get(
        &mut self,
        io: &dyn BlockIo,
        geometry: &Geometry,
        kind: Kind,
        group: u32,
    ) -> Result<&[u8], Error> {
        Ok(&self.load(io, geometry, kind, group)?.bits)
    }

    /// The bits of a bitmap, to change.
    pub(super) fn get_mut(
        &mut self,
        io: &dyn BlockIo,
        geometry: &Geometry,
        kind: Kind,
        group: u32,
    ) -> Result<&mut [u8], Error> {
        let bitmap = self.load(io, geometry, kind, group)?;
        bitmap.is_dirty = true;
        Ok(&mut bitmap.bits)
    }

    fn load(
        &mut self,
        io: &dyn BlockIo,
        geometry: &Geometry,
        kind: Kind,
        group: u32,
    ) -> Result<&mut Bitmap, Error> {
        self.uses += 1;
        let uses = self.uses;
        if !self.loaded.contains_key(&(kind, group)) {
            self.make_room(io, geometry)?;
            let bits = read(io, geometry, kind, group)?;
            self.loaded.insert((kind, group), Bitmap { bits, is_dirty: false, last_use: 0 });
        }
        let bitmap = self.loaded.get_mut(&(kind, group)).expect("present or just inserted");
        bitmap.last_use = uses;
        Ok(bitmap)
    }

    fn make_room(&mut self, io: &dyn BlockIo, geometry: &Geometry) -> Result<(), Error> {
        if self.loaded.len() < CAPACITY {
            return Ok(());
        }
        let (&key, oldest) =
            self.loaded.iter().min_by_key(|(_, bitmap)| bitmap.last_use).expect("the cache is full");
        if oldest.is_dirty {
            io.write(offset(geometry, key), &oldest.bits)?;
        }
        self.loaded.remove(&key);
        Ok(())
    }

    /// Writes what changed.
    pub(super) fn write(&mut self, io: &dyn BlockIo, geometry: &Geometry) -> Result<(), Error> {
        for (&key, bitmap) in self.loaded.iter_mut().filter(|(_, bitmap)| bitmap.is_dirty) {
            io.write(offset(geometry, key), &bitmap.bits)?;
            bitmap.is_dirty = false;
        }
        Ok(())
    }
}

fn offset(geometry: &Geometry, (kind, group): (Kind, u32)) -> u64 {
    let layout = &geometry.groups[group as usize];
    geometry.offset(match kind {
        Kind::Blocks => layout.block_bitmap,
        Kind::Inodes => layout.inode_bitmap,
    })
}

/// Reads a bitmap and checks that it keeps what must be kept.
fn read(io: &dyn BlockIo, geometry: &Geometry, kind: Kind, group: u32) -> Result<Box<[u8]>, Error> {
    let mut bits = vec![0u8; geometry.block_size()].into_boxed_slice();
    io.read(offset(geometry, (kind, group)), &mut bits)?;
    match kind {
        Kind::Blocks => {
            let is_kept = |range: core::ops::Range<u32>| bitmap::count_zeros(&bits, range) == 0;
            if !geometry.metadata_bits(group).into_iter().all(is_kept) {
                return Err(Error::Corrupt("block bitmap has group metadata as free"));
            }
        }
        Kind::Inodes if group == 0 => {
            if bitmap::count_zeros(&bits, 0..geometry.first_inode - 1) != 0 {
                return Err(Error::Corrupt("inode bitmap has reserved inodes as free"));
            }
        }
        Kind::Inodes => {}
    }
    Ok(bits)
}
