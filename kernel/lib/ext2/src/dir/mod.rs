//! Directories: names, and the inodes that they stand for.
//!
//! A directory is a file of blocks of entries (`block.rs`). If the file system has indexes (dir_index), one of more than
//! a block gets an index: a tree of hashes (`hash.rs`, `tree.rs`) that leads to the block where a name is or goes
//! (`descent.rs`, `split.rs`). It hides in entries without inode and in the room behind `..`, so that a walk through all
//! blocks sees every name; that is what is done where an index is broken, or missing because the directory was made
//! without: an insertion takes the mark off a broken one, whose blocks become ordinary room. Large directories without
//! index are searched through one in memory (`index.rs`). How positions in a directory stay good says `read.rs`.

mod block;
mod descent;
mod hash;
mod index;
mod read;
mod split;
mod tree;

use alloc::vec;
use alloc::vec::Vec;

use crate::attributes::{Attributes, FileKind};
use crate::block_map::Mapping;
use crate::error::Error;
use crate::geometry::Ino;
use crate::io::BlockIo;
use crate::mount::FileSystem;
use crate::node::Locked;
use block::{DirBlock, EntryFormat, Kinds, Rooms, entry_length};
pub(crate) use hash::{FLAG_SIGNED_HASH, FLAG_UNSIGNED_HASH, NameHashing};
pub(crate) use index::DirIndex;
pub(crate) use read::{Listings, ListingsOf};
use split::NewName;
use tree::TreeNode;

/// The longest name in bytes.
pub const NAME_MAX: usize = 255;
/// Directories of more blocks than this get an index.
const INDEX_BLOCKS_MIN: u64 = 2;
/// Directories do not grow beyond this.
const DIRECTORY_BYTES_MAX: u64 = 1 << 31;

/// What [`FileSystem::read_dir`] shows.
#[derive(Clone, Copy, Debug)]
pub struct DirEntry<'a> {
    /// The inode.
    pub ino: Ino,
    /// The kind of the inode, if the directory tells.
    pub kind: Option<FileKind>,
    /// The name, 1 to 255 bytes, `.` and `..` among them.
    pub name: &'a [u8],
    /// The cursor behind this entry. Positions of names in a directory have no meaning but their order.
    pub next: u64,
}

/// An entry that was found.
pub(crate) struct Found {
    pub(crate) block: DirBlock,
    pub(crate) offset: usize,
    pub(crate) ino: Ino,
}

impl FileSystem {
    /// The inode that a name stands for. `.` and `..` work like other names.
    pub fn lookup(&self, dir: Ino, name: &[u8]) -> Result<Attributes, Error> {
        self.watch(|| {
            let ino = self.entry_inode(dir, name)?;
            match self.child_attributes(dir, name, ino) {
                // It was removed or moved while no lock was held, or the directory is broken.
                Err(error @ (Error::NotFound | Error::Corrupt(_))) => {
                    if self.entry_inode(dir, name)? == ino {
                        Err(as_corrupt(error))
                    } else {
                        Err(Error::NotFound)
                    }
                }
                result => result,
            }
        })
    }

    fn entry_inode(&self, dir: Ino, name: &[u8]) -> Result<Ino, Error> {
        let node = self.node(dir)?;
        let mut locked = self.lock(&node);
        require_directory(&locked)?;
        Ok(self.find_entry(&mut locked, name)?.ok_or(Error::NotFound)?.ino)
    }

    /// The attributes of an entry's inode. A directory must agree about its parent: only so is the tree a tree.
    fn child_attributes(&self, dir: Ino, name: &[u8], ino: Ino) -> Result<Attributes, Error> {
        let node = self.node(ino)?;
        let mut locked = self.lock(&node);
        let is_proper_name = name != b"." && name != b"..";
        if is_proper_name && locked.inode.kind() == FileKind::Directory && self.parent(&mut locked)? != dir {
            return Err(Error::Corrupt("directory is listed in a directory that is not its parent"));
        }
        Ok(locked.attributes())
    }

    /// Checks the inode number of an entry.
    #[inline]
    fn entry_ino(&self, number: u32) -> Result<Ino, Error> {
        self.geometry.inode(number)
    }

    fn entry_format(&self) -> EntryFormat {
        EntryFormat {
            kinds: if self.geometry.has_file_types { Kinds::Known } else { Kinds::Unknown },
            rooms: if self.io.is_running() { Rooms::All } else { Rooms::InSector },
        }
    }

    fn dir_blocks(&self, locked: &Locked<'_>) -> u64 {
        locked.inode.size() >> self.geometry.block_bits
    }

    /// Reads a block of a directory.
    fn dir_block(&self, locked: &mut Locked<'_>, index: u64) -> Result<DirBlock, Error> {
        let Mapping::Data(run) = self.map(locked, index, 1)? else {
            return Err(Error::Corrupt("directory has a hole"));
        };
        let mut bytes = vec![0; self.geometry.block_size()];
        self.io.read(self.geometry.offset(run.start), &mut bytes)?;
        DirBlock::new(index, run.start, bytes, self.entry_format())
    }

    fn write_dir_block(&self, block: &DirBlock) -> Result<(), Error> {
        Ok(self.io.write(self.geometry.offset(block.block), block.bytes())?)
    }

    fn write_tree_node(&self, node: &TreeNode) -> Result<(), Error> {
        Ok(self.io.write(self.geometry.offset(node.block), node.bytes())?)
    }

    /// Looks for a name.
    pub(crate) fn find_entry(&self, dir: &mut Locked<'_>, name: &[u8]) -> Result<Option<Found>, Error> {
        if let Some(hashing) = self.tree_hashing(dir) {
            let found = self.find_by_tree(dir, hashing, name);
            if let Some(found) = self.by_tree(dir, found)? {
                return Ok(found);
            }
        }
        self.make_index(dir)?;
        let candidates = match &dir.index {
            Some(index) => index.blocks_of(name),
            None => (0..self.dir_blocks(dir)).collect(),
        };
        for index in candidates {
            let found = self.find_in(self.dir_block(dir, index)?, name)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn make_index(&self, dir: &mut Locked<'_>) -> Result<(), Error> {
        let blocks = self.dir_blocks(dir);
        if dir.index.is_some() || blocks <= INDEX_BLOCKS_MIN {
            return Ok(());
        }
        let mut index = DirIndex::default();
        for number in 0..blocks {
            index.add_block(&self.dir_block(dir, number)?);
        }
        dir.index = Some(index);
        Ok(())
    }

    /// Adds a name that is not there yet. On failure nothing has changed.
    pub(crate) fn insert_entry(
        &self,
        dir: &mut Locked<'_>,
        name: &[u8],
        ino: Ino,
        kind: FileKind,
    ) -> Result<(), Error> {
        let new = NewName { name, ino, kind };
        if let Some(hashing) = self.tree_hashing(dir) {
            let inserted = self.insert_by_tree(dir, hashing, new);
            if self.by_tree(dir, inserted)?.is_some() {
                return Ok(());
            }
        }
        if dir.has_broken_tree && self.is_read_only() {
            // It was found out on the way here.
            return Err(Error::ReadOnly);
        }
        if dir.inode.has_index() {
            dir.inode_mut().clear_index();
        }
        if self.insert_where_room_is(dir, new)? {
            return Ok(());
        }
        if self.dir_blocks(dir) == 1
            && let Some(hashing) = self.geometry.name_hashing
            && let Some(algorithm) = hashing.usual
            && self.insert_with_new_tree(dir, hashing, algorithm, new)?
        {
            return Ok(());
        }
        self.insert_in_new_block(dir, new)
    }

    /// Adds a name to the first block that can take it; false if none can.
    fn insert_where_room_is(&self, dir: &mut Locked<'_>, new: NewName<'_>) -> Result<bool, Error> {
        self.make_index(dir)?;
        let candidates: Vec<u64> = match &dir.index {
            Some(index) => index.block_with_room(entry_length(new.name.len())).into_iter().collect(),
            None => (0..self.dir_blocks(dir)).collect(),
        };
        for index in candidates {
            let mut block = self.dir_block(dir, index)?;
            if block.insert(new.name, new.ino, new.kind) {
                self.write_dir_block(&block)?;
                if let Some(index) = &mut dir.index {
                    index.note_insertion(&block, new.name);
                }
                self.touch(dir);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds a name, and a block that holds it.
    fn insert_in_new_block(&self, dir: &mut Locked<'_>, new: NewName<'_>) -> Result<(), Error> {
        let index = self.dir_blocks(dir);
        let place = self.grow_directory(dir, index)?;
        let mut block = DirBlock::empty(index, place, self.geometry.block_size(), self.entry_format());
        let has_room = block.insert(new.name, new.ino, new.kind);
        debug_assert!(has_room, "an empty block takes any name");
        let result = self.write_dir_block(&block);
        if result.is_err() {
            self.free_blocks_from(dir, index)?;
            return result;
        }
        dir.inode_mut().set_size((index + 1) << self.geometry.block_bits);
        if let Some(index) = &mut dir.index {
            index.add_block(&block);
        }
        self.touch(dir);
        Ok(())
    }

    /// Gives a directory a block behind its last, not yet written and not yet within its size; returns where it lies.
    fn grow_directory(&self, dir: &mut Locked<'_>, index: u64) -> Result<u32, Error> {
        if index << self.geometry.block_bits >= DIRECTORY_BYTES_MAX {
            return Err(Error::NoSpace);
        }
        Ok(self.allocate(dir, index, 1, self.free_claim(), &mut |_| Ok(()))?.start)
    }

    /// Removes a name that was found.
    pub(crate) fn remove_entry(
        &self,
        dir: &mut Locked<'_>,
        mut found: Found,
        name: &[u8],
    ) -> Result<(), Error> {
        found.block.remove(found.offset);
        self.write_dir_block(&found.block)?;
        if let Some(index) = &mut dir.index {
            index.note_removal(&found.block, name);
        }
        self.touch(dir);
        Ok(())
    }

    /// Lets a name that was found stand for another inode.
    pub(crate) fn replace_entry(
        &self,
        dir: &mut Locked<'_>,
        found: &mut Found,
        ino: Ino,
        kind: FileKind,
    ) -> Result<(), Error> {
        found.block.replace(found.offset, ino, kind);
        self.write_dir_block(&found.block)?;
        self.touch(dir);
        Ok(())
    }

    /// The first block of a new directory.
    pub(crate) fn fill_directory(&self, dir: &mut Locked<'_>, parent: Ino) -> Result<(), Error> {
        let place = self.grow_directory(dir, 0)?;
        let mut block = DirBlock::empty(0, place, self.geometry.block_size(), self.entry_format());
        block.put_dots(dir.ino(), parent);
        dir.inode_mut().set_size(self.geometry.block_size() as u64);
        self.write_dir_block(&block)
    }

    /// The inode that `..` stands for.
    pub(crate) fn parent(&self, dir: &mut Locked<'_>) -> Result<Ino, Error> {
        Ok(self.parent_entry(dir)?.ino)
    }

    /// Lets `..` stand for another inode.
    pub(crate) fn set_parent(&self, dir: &mut Locked<'_>, parent: Ino) -> Result<(), Error> {
        let mut found = self.parent_entry(dir)?;
        found.block.replace(found.offset, parent, FileKind::Directory);
        dir.listings = None;
        self.write_dir_block(&found.block)
    }

    fn parent_entry(&self, dir: &mut Locked<'_>) -> Result<Found, Error> {
        let block = self.dir_block(dir, 0)?;
        let entry = block.find(b"..").ok_or(Error::Corrupt("directory without .."))?;
        let (offset, ino) = (entry.offset, self.entry_ino(entry.inode)?);
        Ok(Found { block, offset, ino })
    }

    /// Whether a directory has no names but `.` and `..`.
    pub(crate) fn is_empty_directory(&self, dir: &mut Locked<'_>) -> Result<bool, Error> {
        for index in 0..self.dir_blocks(dir) {
            let block = self.dir_block(dir, index)?;
            if block.used().any(|entry| entry.name != b"." && entry.name != b"..") {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The contents of a directory changed now.
    fn touch(&self, dir: &mut Locked<'_>) {
        dir.listings = None;
        let now = self.context.now();
        let inode = dir.inode_mut();
        inode.set_modified(now);
        inode.set_changed(now);
    }
}

/// Names that can be created: not empty, not too long, no slash, no zero, not `.` or `..`.
pub(crate) fn check_name(name: &[u8]) -> Result<(), Error> {
    if name.is_empty() || name.contains(&b'/') || name.contains(&0) {
        return Err(Error::InvalidArgument);
    }
    if name.len() > NAME_MAX {
        return Err(Error::NameTooLong);
    }
    if name == b"." || name == b".." { Err(Error::InvalidArgument) } else { Ok(()) }
}

/// An entry of a locked directory names this inode, so that it is not there is a fault of the disk.
pub(crate) fn as_corrupt(error: Error) -> Error {
    match error {
        Error::NotFound => Error::Corrupt("directory entry names a deleted inode"),
        error => error,
    }
}

pub(crate) fn require_directory(locked: &Locked<'_>) -> Result<(), Error> {
    match locked.inode.kind() {
        FileKind::Directory => Ok(()),
        _ => Err(Error::NotDirectory),
    }
}

/// A directory that names can be added to: not one that was removed.
pub(crate) fn require_living_directory(locked: &Locked<'_>) -> Result<(), Error> {
    require_directory(locked)?;
    if locked.inode.links() == 0 { Err(Error::NotFound) } else { Ok(()) }
}
