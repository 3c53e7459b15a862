//! Further names, and names taken away.
//!
//! Taking the last name from an inode does not delete it, since it may be open: it becomes an orphan, and
//! [`FileSystem::drop_inode`] deletes it.

use crate::attributes::{Attributes, FileKind};
use crate::create::LINKS_MAX;
use crate::dir::{as_corrupt, check_name, require_directory, require_living_directory};
use crate::error::Error;
use crate::geometry::Ino;
use crate::mount::FileSystem;
use crate::node::Locked;

/// An inode that lost a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an inode that lost its last name needs drop_inode"]
pub struct Unlinked {
    /// The inode.
    pub ino: Ino,
    /// Whether that was its last name: [`FileSystem::drop_inode`] is due once it is not open.
    pub is_last: bool,
}

impl FileSystem {
    /// Gives an inode that is not a directory one more name. An inode without names comes back to life.
    pub fn link(&self, ino: Ino, dir: Ino, name: &[u8]) -> Result<Attributes, Error> {
        check_name(name)?;
        if ino == dir {
            return Err(Error::NotPermitted);
        }
        self.change(|| {
            let (dir_node, node) = (self.node(dir)?, self.node(ino)?);
            let mut dir = self.lock(&dir_node);
            require_living_directory(&dir)?;
            let is_taken = self.find_entry(&mut dir, name)?.is_some();
            let mut target = self.lock_nested(&node, 2);
            if target.is_deleted {
                return Err(Error::NotFound);
            }
            let (kind, links) = (target.inode.kind(), target.inode.links());
            if kind == FileKind::Directory {
                return Err(Error::NotPermitted);
            }
            if is_taken {
                return Err(Error::Exists);
            }
            if links >= LINKS_MAX {
                return Err(Error::TooManyLinks);
            }
            // The count first: a name too few after a crash is harmless, an inode deleted too early is not.
            target.inode_mut().set_links(links + 1);
            if let Err(error) = self.insert_entry(&mut dir, name, ino, kind) {
                target.inode_mut().set_links(links);
                return Err(error);
            }
            if links == 0 {
                self.remove_orphan(&node);
            }
            target.inode_mut().set_changed(self.context.now());
            Ok(target.attributes())
        })
    }

    /// Takes a name away from what is not a directory.
    pub fn unlink(&self, dir: Ino, name: &[u8]) -> Result<Unlinked, Error> {
        check_name(name).map_err(|error| if name.is_empty() { Error::NotFound } else { error })?;
        self.change(|| {
            let dir_node = self.node(dir)?;
            let mut dir = self.lock(&dir_node);
            require_directory(&dir)?;
            let found = self.find_entry(&mut dir, name)?.ok_or(Error::NotFound)?;
            if found.ino == dir.ino() {
                return Err(Error::Corrupt("directory is its own child"));
            }
            let node = self.node(found.ino).map_err(as_corrupt)?;
            let mut target = self.lock_nested(&node, 2);
            if target.inode.kind() == FileKind::Directory {
                return Err(Error::IsDirectory);
            }
            self.remove_entry(&mut dir, found, name)?;
            Ok(self.drop_name(&mut target))
        })
    }

    /// Removes an empty directory.
    pub fn rmdir(&self, dir: Ino, name: &[u8]) -> Result<Unlinked, Error> {
        match name {
            b".." => return Err(Error::NotEmpty),
            b"" => return Err(Error::NotFound),
            name => check_name(name)?,
        }
        self.change(|| {
            let dir_node = self.node(dir)?;
            let mut dir = self.lock(&dir_node);
            require_directory(&dir)?;
            let found = self.find_entry(&mut dir, name)?.ok_or(Error::NotFound)?;
            if found.ino == dir.ino() {
                return Err(Error::Corrupt("directory is its own child"));
            }
            let node = self.node(found.ino).map_err(as_corrupt)?;
            let mut target = self.lock_nested(&node, 2);
            self.require_empty_child(&mut target, dir.ino())?;
            self.remove_entry(&mut dir, found, name)?;
            Ok(self.drop_directory(&mut target, &mut dir))
        })
    }

    /// Checks that a directory can be removed from its parent.
    pub(crate) fn require_empty_child(&self, target: &mut Locked<'_>, parent: Ino) -> Result<(), Error> {
        require_directory(target)?;
        if target.ino() == Ino::ROOT || self.parent(target)? != parent {
            return Err(Error::Corrupt("directory is listed in a directory that is not its parent"));
        }
        if self.is_empty_directory(target)? { Ok(()) } else { Err(Error::NotEmpty) }
    }

    /// Counts one name less.
    pub(crate) fn drop_name(&self, target: &mut Locked<'_>) -> Unlinked {
        let links = target.inode.links().saturating_sub(1);
        let was_named = target.inode.links() > 0;
        let now = self.context.now();
        let inode = target.inode_mut();
        inode.set_links(links);
        inode.set_changed(now);
        if links == 0 && was_named {
            self.add_orphan(target);
        }
        Unlinked { ino: target.ino(), is_last: links == 0 }
    }

    /// Counts no names more for an empty directory, and one subdirectory less for its parent.
    pub(crate) fn drop_directory(&self, target: &mut Locked<'_>, parent: &mut Locked<'_>) -> Unlinked {
        target.inode_mut().set_links(1);
        let parent_links = parent.inode.links().saturating_sub(1).max(2);
        parent.inode_mut().set_links(parent_links);
        self.drop_name(target)
    }
}
