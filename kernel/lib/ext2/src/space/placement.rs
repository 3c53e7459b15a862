//! Which inode a new file gets.
//!
//! A file goes to its directory's group, so that its data lies close to its neighbours'. A directory at the top of
//! the tree goes to the emptiest group, so that separate trees spread over the disk; any other directory stays in
//! its parent's group while there is room (the idea of Orlov's allocator).

use super::bitmaps::Kind;
use super::{InodeUse, Space, bitmap};
use crate::error::Error;
use crate::geometry::{Geometry, Ino};
use crate::io::BlockIo;

impl Space {
    /// Takes a free inode for a new entry of the directory `parent`.
    pub(crate) fn allocate_inode(
        &mut self,
        io: &dyn BlockIo,
        geometry: &Geometry,
        parent: Ino,
        used_for: InodeUse,
    ) -> Result<Ino, Error> {
        if self.free_inodes == 0 {
            return Err(Error::NoSpace);
        }
        let (parent_group, _) = geometry.inode_group(parent);
        let first = match used_for {
            InodeUse::Directory if parent == Ino::ROOT => self.emptiest_group(geometry),
            _ => self.group_with_room(geometry, parent_group),
        };
        for step in 0..geometry.group_count() {
            let group = (first + step) % geometry.group_count();
            if let Some(ino) = self.take_inode(io, geometry, group, used_for)? {
                return Ok(ino);
            }
        }
        Err(Error::NoSpace)
    }

    /// The group with the fewest directories among those with at least average free inodes and blocks.
    fn emptiest_group(&self, geometry: &Geometry) -> u32 {
        let groups = geometry.group_count();
        let (inodes, blocks) = (self.free_inodes / groups, self.free_blocks / groups);
        (0..groups)
            .filter(|&group| {
                let descriptor = &self.descriptors[group as usize];
                let free_inodes = u32::from(descriptor.free_inodes_count.get());
                free_inodes >= inodes.max(1) && u32::from(descriptor.free_blocks_count.get()) >= blocks
            })
            .min_by_key(|&group| self.descriptors[group as usize].used_dirs_count.get())
            .unwrap_or(0)
    }

    /// The first group from `from` on that has both an inode and a block.
    fn group_with_room(&self, geometry: &Geometry, from: u32) -> u32 {
        let groups = geometry.group_count();
        (0..groups)
            .map(|step| (from + step) % groups)
            .find(|&group| {
                let descriptor = &self.descriptors[group as usize];
                descriptor.free_inodes_count.get() > 0 && descriptor.free_blocks_count.get() > 0
            })
            .unwrap_or(from)
    }

    fn take_inode(
        &mut self,
        io: &dyn BlockIo,
        geometry: &Geometry,
        group: u32,
        used_for: InodeUse,
    ) -> Result<Option<Ino>, Error> {
        if self.descriptors[group as usize].free_inodes_count.get() == 0 {
            return Ok(None);
        }
        let bits = self.bitmaps.get(io, geometry, Kind::Inodes, group)?;
        let Some(bit) = bitmap::find_zero(bits, 0..geometry.inodes_per_group) else { return Ok(None) };
        let bits = self.bitmaps.get_mut(io, geometry, Kind::Inodes, group)?;
        bitmap::set(bits, bit..bit + 1);
        self.change_group(geometry, group, |descriptor| {
            descriptor.free_inodes_count.set(descriptor.free_inodes_count.get() - 1);
            if used_for == InodeUse::Directory {
                let dirs = descriptor.used_dirs_count.get().saturating_add(1);
                descriptor.used_dirs_count.set(dirs);
            }
        });
        self.free_inodes = self.free_inodes.saturating_sub(1);
        Ok(Some(Ino(group * geometry.inodes_per_group + bit + 1)))
    }
}
