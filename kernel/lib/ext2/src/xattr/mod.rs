//! Extended attributes: small values with names.
//!
//! They lie in a block of their own, which inodes with the same attributes may share, and behind the inode where
//! inodes are larger than 128 bytes. Both places are read. What is set goes to the block, as every ext2 does; what
//! lies behind the inode stays until it is set anew or removed.
//!
//! A block is never changed while an inode points to it, but for the count of its users: a change takes a new block,
//! or one of the same contents, and the old one loses a user.

mod acl;
mod entries;
mod name;

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use zerocopy::IntoBytes;

use crate::error::Error;
use crate::geometry::{Block, Ino, Run};
use crate::io::BlockIo;
use crate::mount::FileSystem;
use crate::node::Locked;
use crate::space::Request;
use entries::Attribute;
use name::Name;
pub use name::XATTR_NAME_MAX;

/// How many inodes share a block at most (`EXT2_XATTR_REFCOUNT_MAX` of Linux).
const USERS_MAX: u32 = 1024;
/// How many blocks are remembered for sharing.
const KNOWN_MAX: usize = 1024;

/// What becomes of an attribute that is there already, or is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XattrMode {
    /// It is made or replaced.
    Any,
    /// [`Error::Exists`] if it is there (XATTR_CREATE).
    Create,
    /// [`Error::NoAttribute`] if it is not (XATTR_REPLACE).
    Replace,
}

/// Blocks that others may share, by the hash of their contents.
pub(crate) type KnownBlocks = BTreeMap<u32, u32>;

/// An inode's attributes by place.
struct Attributes {
    behind_inode: Vec<Attribute>,
    in_block: Vec<Attribute>,
}

impl FileSystem {
    /// The value of an attribute. [`Error::NoAttribute`].
    pub fn xattr(&self, ino: Ino, name: &[u8]) -> Result<Vec<u8>, Error> {
        let name = Name::parse(name)?;
        self.watch(|| {
            let node = self.node(ino)?;
            let attributes = self.attributes_of(&self.lock(&node))?;
            let mut all = attributes.behind_inode.into_iter().chain(attributes.in_block);
            let value = all.find(|attribute| attribute.name == name).ok_or(Error::NoAttribute)?.value;
            if name.is_acl() { acl::from_disk(&value) } else { Ok(value) }
        })
    }

    /// The names of all attributes, each with a zero byte behind it.
    pub fn xattr_names(&self, ino: Ino) -> Result<Vec<u8>, Error> {
        self.watch(|| {
            let node = self.node(ino)?;
            let attributes = self.attributes_of(&self.lock(&node))?;
            let mut names = Vec::new();
            for attribute in attributes.behind_inode.iter().chain(&attributes.in_block) {
                if let Some(name) = attribute.name.full() {
                    names.extend(name);
                    names.push(0);
                }
            }
            Ok(names)
        })
    }

    /// Sets an attribute. [`Error::NoSpace`] if all of the inode's attributes do not fit a block;
    /// [`Error::NotSupported`] on revision 0.
    pub fn set_xattr(&self, ino: Ino, name: &[u8], value: &[u8], mode: XattrMode) -> Result<(), Error> {
        let name = Name::parse(name)?;
        let value = if name.is_acl() { acl::to_disk(value)? } else { value.to_vec() };
        if !self.superblock.lock().can_have_attributes() {
            return Err(Error::NotSupported);
        }
        self.change(|| {
            let attribute = Attribute { name: name.clone(), value: value.clone() };
            self.change_xattr(ino, &name, Some(attribute), mode)
        })
    }

    /// Removes an attribute. [`Error::NoAttribute`].
    pub fn remove_xattr(&self, ino: Ino, name: &[u8]) -> Result<(), Error> {
        let name = Name::parse(name)?;
        self.change(|| self.change_xattr(ino, &name, None, XattrMode::Replace))
    }

    fn change_xattr(
        &self,
        ino: Ino,
        name: &Name,
        new: Option<Attribute>,
        mode: XattrMode,
    ) -> Result<(), Error> {
        let node = self.node(ino)?;
        let mut locked = self.lock(&node);
        if locked.is_deleted {
            return Err(Error::NotFound);
        }
        let mut attributes = self.attributes_of(&locked)?;
        let (behind, inside) = (attributes.behind_inode.len(), attributes.in_block.len());
        attributes.behind_inode.retain(|attribute| attribute.name != *name);
        attributes.in_block.retain(|attribute| attribute.name != *name);
        let was_behind = attributes.behind_inode.len() < behind;
        let was_inside = attributes.in_block.len() < inside;
        match (mode, was_behind || was_inside) {
            (XattrMode::Create, true) => return Err(Error::Exists),
            (XattrMode::Replace, false) => return Err(Error::NoAttribute),
            _ => {}
        }
        if was_inside || new.is_some() {
            attributes.in_block.extend(new);
            self.store_block(&mut locked, &attributes.in_block)?;
        }
        if was_behind {
            entries::write_inode(&attributes.behind_inode, locked.inode_mut().space_behind_mut())?;
        }
        let now = self.context.now();
        locked.inode_mut().set_changed(now);
        Ok(())
    }

    fn attributes_of(&self, locked: &Locked<'_>) -> Result<Attributes, Error> {
        let behind_inode = entries::read_inode(locked.inode.space_behind())?;
        let in_block = match locked.inode.xattr_block() {
            0 => Vec::new(),
            number => entries::read_block(&self.read_xattr_block(self.geometry.data_block(number)?)?)?,
        };
        Ok(Attributes { behind_inode, in_block })
    }

    fn read_xattr_block(&self, block: Block) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; self.geometry.block_size()];
        self.io.read(self.geometry.offset(block.0), &mut bytes)?;
        Ok(bytes)
    }

    /// Lets an inode point to a block with these attributes, or to none.
    fn store_block(&self, locked: &mut Locked<'_>, attributes: &[Attribute]) -> Result<(), Error> {
        if attributes.is_empty() {
            return self.release_xattr_block(locked);
        }
        let bytes = entries::make_block(attributes, self.geometry.block_size()).ok_or(Error::NoSpace)?;
        let hash = entries::header(&bytes)?.hash.get();
        let sectors = self.geometry.sectors_per_block();
        let grown = if locked.inode.xattr_block() == 0 { sectors } else { 0 };
        let sectors = locked.inode.sectors().checked_add(grown).ok_or(Error::NoSpace)?;
        self.superblock.lock().mark_attributes();
        let mut known = self.xattr.lock();
        let old = locked.inode.xattr_block();
        let block = match self.share(&known, hash, &bytes)? {
            Some(shared) => shared,
            None => self.new_xattr_block(locked, &bytes)?,
        };
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        if hash != 0 {
            known.insert(hash, block);
        }
        let inode = locked.inode_mut();
        inode.set_xattr_block(block);
        inode.set_sectors(sectors);
        if old == 0 { Ok(()) } else { self.drop_user(&mut known, old) }
    }

    /// Finds a block that holds the same, and counts one user more.
    fn share(&self, known: &KnownBlocks, hash: u32, bytes: &[u8]) -> Result<Option<u32>, Error> {
        let Some(&number) = known.get(&hash).filter(|_| hash != 0) else { return Ok(None) };
        let mut there = self.read_xattr_block(self.geometry.data_block(number)?)?;
        let mut header = entries::header(&there)?;
        let users = header.reference_count.get();
        header.reference_count.set(1);
        there[..header.as_bytes().len()].copy_from_slice(header.as_bytes());
        if there != bytes || users >= USERS_MAX {
            return Ok(None);
        }
        header.reference_count.set(users + 1);
        self.io.write(self.geometry.offset(number), header.as_bytes())?;
        Ok(Some(number))
    }

    fn new_xattr_block(&self, locked: &Locked<'_>, bytes: &[u8]) -> Result<u32, Error> {
        let owner = locked.ino();
        let goal = self.geometry.group_start(self.geometry.inode_group(owner).0);
        let claim = self.free_claim();
        let request = Request { owner, goal, wanted: 1, ahead: 0 };
        let run = self.space.lock().allocate_blocks(&self.io, &self.geometry, request, claim)?;
        match self.io.write(self.geometry.offset(run.start), bytes) {
            Ok(()) => Ok(run.start),
            Err(error) => {
                self.space.lock().cancel_blocks(&self.io, &self.geometry, run)?;
                Err(error.into())
            }
        }
    }

    /// Gives up an inode's attribute block; its last user frees it.
    pub(crate) fn release_xattr_block(&self, locked: &mut Locked<'_>) -> Result<(), Error> {
        let number = locked.inode.xattr_block();
        if number == 0 {
            return Ok(());
        }
        let sectors = locked.inode.sectors().saturating_sub(self.geometry.sectors_per_block());
        let inode = locked.inode_mut();
        inode.set_xattr_block(0);
        inode.set_sectors(sectors);
        self.drop_user(&mut self.xattr.lock(), number)
    }

    /// Counts one user less; a block without users is freed.
    fn drop_user(&self, known: &mut KnownBlocks, number: u32) -> Result<(), Error> {
        let block = self.geometry.data_block(number)?;
        let mut header = entries::header(&self.read_xattr_block(block)?)?;
        match header.reference_count.get() {
            1 => {
                known.retain(|_, &mut known| known != number);
                self.release_blocks(Run { start: number, length: 1 })
            }
            users => {
                header.reference_count.set(users - 1);
                Ok(self.io.write(self.geometry.offset(number), header.as_bytes())?)
            }
        }
    }
}
