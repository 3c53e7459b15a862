//! New inodes, and their first names.
//!
//! The inode goes to the disk before the entry that names it; if the entry cannot be made, the inode is given back.

use alloc::sync::Arc;

use crate::attributes::{Attributes, DeviceNumber, FileKind};
use crate::dir::{check_name, require_living_directory};
use crate::error::Error;
use crate::geometry::Ino;
use crate::inode::Inode;
use crate::io::Patience;
use crate::mount::FileSystem;
use crate::node::{Locked, Node};
use crate::space::InodeUse;

/// The largest link count (`EXT2_LINK_MAX` of Linux): a directory has 2 and one for each subdirectory.
pub(crate) const LINKS_MAX: u16 = 32000;

/// What kind of inode to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewKind<'a> {
    /// An empty file.
    Regular,
    /// An empty directory.
    Directory,
    /// A symbolic link with this target.
    Symlink(&'a [u8]),
    /// A character device.
    CharDevice(DeviceNumber),
    /// A block device.
    BlockDevice(DeviceNumber),
    /// A named pipe.
    Fifo,
    /// A Unix-domain socket.
    Socket,
}

impl NewKind<'_> {
    fn kind(self) -> FileKind {
        match self {
            Self::Regular => FileKind::Regular,
            Self::Directory => FileKind::Directory,
            Self::Symlink(_) => FileKind::Symlink,
            Self::CharDevice(_) => FileKind::CharDevice,
            Self::BlockDevice(_) => FileKind::BlockDevice,
            Self::Fifo => FileKind::Fifo,
            Self::Socket => FileKind::Socket,
        }
    }
}

/// What a new inode is to be. What it inherits from its directory (set-group-id) is the caller's affair.
#[derive(Clone, Copy, Debug)]
pub struct NewInode<'a> {
    /// Its kind, and what goes with it.
    pub kind: NewKind<'a>,
    /// The low 12 bits of `st_mode`.
    pub permissions: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl FileSystem {
    /// Makes an inode under a new name: creat, mkdir, symlink and mknod in one.
    pub fn create(&self, dir: Ino, name: &[u8], new: &NewInode<'_>) -> Result<Attributes, Error> {
        check_name(name)?;
        self.change(|| {
            let node = self.node(dir)?;
            let mut dir = self.lock(&node);
            require_living_directory(&dir)?;
            if self.find_entry(&mut dir, name)?.is_some() {
                return Err(Error::Exists);
            }
            let kind = new.kind.kind();
            if kind == FileKind::Directory && dir.inode.links() >= LINKS_MAX {
                return Err(Error::TooManyLinks);
            }
            let links = if kind == FileKind::Directory { 2 } else { 1 };
            let child = self.new_node(dir.ino(), new, links)?;
            let mut locked = self.lock_nested(&child, 2);
            let result = self
                .write_node(&mut locked)
                .and_then(|()| self.insert_entry(&mut dir, name, child.ino, kind));
            if let Err(error) = result {
                return Err(self.abandon(&mut locked, error));
            }
            if kind == FileKind::Directory {
                let links = dir.inode.links() + 1;
                dir.inode_mut().set_links(links);
            }
            Ok(locked.attributes())
        })
    }

    /// Makes a file that has no name, to be placed near a directory (O_TMPFILE). It goes with
    /// [`FileSystem::drop_inode`], unless [`FileSystem::link`] gives it a name before.
    pub fn create_unnamed(&self, dir: Ino, new: &NewInode<'_>) -> Result<Attributes, Error> {
        if new.kind == NewKind::Directory {
            return Err(Error::InvalidArgument);
        }
        self.change(|| {
            let child = self.new_node(dir, new, 0)?;
            let mut locked = self.lock(&child);
            self.add_orphan(&mut locked);
            Ok(locked.attributes())
        })
    }

    /// Takes an inode and fills it; all, or nothing.
    fn new_node(&self, parent: Ino, new: &NewInode<'_>, links: u16) -> Result<Arc<Node>, Error> {
        let kind = new.kind.kind();
        let used_for = if kind == FileKind::Directory { InodeUse::Directory } else { InodeUse::Other };
        let ino = self.space.lock().allocate_inode(&self.io, &self.geometry, parent, used_for)?;
        let node = match self.add_node(ino, self.new_inode(ino, new, links)) {
            Ok(node) => node,
            Err(error) => {
                let _to_the_end = self.io.wait_for_memory(Patience::Always);
                self.space.lock().free_inode(&self.io, &self.geometry, ino, used_for)?;
                return Err(error);
            }
        };
        let filled = {
            let mut locked = self.lock_nested(&node, 2);
            let filled = match new.kind {
                NewKind::Directory => self.fill_directory(&mut locked, parent),
                NewKind::Symlink(target) => self.fill_symlink(&mut locked, target),
                _ => Ok(()),
            };
            filled.map_err(|error| self.abandon(&mut locked, error))
        };
        filled.map(|()| node)
    }

    fn new_inode(&self, ino: Ino, new: &NewInode<'_>, links: u16) -> Inode {
        let generation = self.load_inode(ino).map_or(1, |old| old.generation().wrapping_add(1));
        let mut inode = Inode::new(&self.geometry, new.kind.kind(), generation, self.context.now());
        inode.set_permissions(new.permissions);
        inode.set_uid(new.uid);
        inode.set_gid(new.gid);
        inode.set_links(links);
        if let NewKind::CharDevice(device) | NewKind::BlockDevice(device) = new.kind {
            inode.set_device(device);
        }
        inode
    }

    /// Gives back an inode that could not get its name, and returns why.
    fn abandon(&self, locked: &mut Locked<'_>, error: Error) -> Error {
        locked.inode_mut().set_links(0);
        match self.delete_node(locked) {
            Ok(()) => error,
            Err(second) => second,
        }
    }
}
