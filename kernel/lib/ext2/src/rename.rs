//! Renaming: a name moves, replaces another, or changes places with it.
//!
//! Up to four inodes are locked: both directories, then what the names stand for. While the `rename` lock is held no
//! directory changes its parent, so the question which of two directories lies above the other has one answer; the
//! upper one is locked first. Renames within one directory do not need it.

use alloc::sync::Arc;

use crate::attributes::FileKind;
use crate::create::LINKS_MAX;
use crate::dir::{Found, as_corrupt, check_name, require_living_directory};
use crate::error::Error;
use crate::geometry::Ino;
use crate::mount::FileSystem;
use crate::node::{Locked, Node};
use crate::unlink::Unlinked;

/// What happens to a name that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenameMode {
    /// It is replaced.
    Replace,
    /// The rename fails (RENAME_NOREPLACE).
    KeepExisting,
    /// Both names change places (RENAME_EXCHANGE).
    Exchange,
}

/// A name and its directory.
#[derive(Clone, Copy)]
struct Name<'a> {
    dir: Ino,
    name: &'a [u8],
}

/// The locked directories of a rename.
struct Dirs<'a> {
    from: Locked<'a>,
    /// Only if it is another one.
    other: Option<Locked<'a>>,
}

impl<'a> Dirs<'a> {
    fn to(&mut self) -> &mut Locked<'a> {
        self.other.as_mut().unwrap_or(&mut self.from)
    }

    fn are_same(&self) -> bool {
        self.other.is_none()
    }
}

/// How two directories stand to each other.
enum Order {
    /// The first lies above the second. What is on the way, just below the first.
    Above(Ino),
    /// The second lies above the first, with what is just below it.
    Below(Ino),
    Unrelated,
}

impl FileSystem {
    /// Renames. Returns what lost a name by being replaced. A directory may not move into itself
    /// ([`Error::InvalidArgument`]); a directory replaces only an empty directory, and anything else only what is
    /// not a directory. If both names stand for the same inode nothing happens.
    pub fn rename(
        &self,
        old_dir: Ino,
        old_name: &[u8],
        new_dir: Ino,
        new_name: &[u8],
        mode: RenameMode,
    ) -> Result<Option<Unlinked>, Error> {
        check_name(old_name)?;
        check_name(new_name)?;
        let old = Name { dir: old_dir, name: old_name };
        let new = Name { dir: new_dir, name: new_name };
        self.change(|| {
            let (old_node, new_node) = (self.node(old_dir)?, self.node(new_dir)?);
            if old_dir == new_dir {
                let dirs = Dirs { from: self.lock(&old_node), other: None };
                return self.rename_locked(dirs, old, new, mode, Order::Unrelated);
            }
            let _tree_stands_still = self.rename.lock();
            let order = self.order(old_dir, new_dir)?;
            let old_first = match order {
                Order::Above(_) => true,
                Order::Below(_) => false,
                Order::Unrelated => old_dir < new_dir,
            };
            let dirs = if old_first {
                let upper = self.lock(&old_node);
                Dirs { from: upper, other: Some(self.lock_nested(&new_node, 1)) }
            } else {
                let upper = self.lock(&new_node);
                Dirs { from: self.lock_nested(&old_node, 1), other: Some(upper) }
            };
            self.rename_locked(dirs, old, new, mode, order)
        })
    }

    /// How two different directories stand to each other. The `rename` lock is held, no inode is locked.
    fn order(&self, first: Ino, second: Ino) -> Result<Order, Error> {
        if let Some(below) = self.way_up(second, first)? {
            return Ok(Order::Above(below));
        }
        Ok(self.way_up(first, second)?.map_or(Order::Unrelated, Order::Below))
    }

    /// Climbs from a directory to the root. If `above` is on the way, returns the one just below it.
    fn way_up(&self, from: Ino, above: Ino) -> Result<Option<Ino>, Error> {
        let mut current = from;
        // A broken disk may have a cycle: compare with an earlier stop, at distances that double.
        let (mut stop, mut steps, mut limit) = (from, 0u32, 1u32);
        while current != Ino::ROOT {
            let node = self.node(current)?;
            let mut locked = self.lock(&node);
            require_living_directory(&locked)?;
            let parent = self.parent(&mut locked)?;
            if parent == above {
                return Ok(Some(current));
            }
            if parent == stop {
                return Err(Error::Corrupt("directories form a cycle"));
            }
            steps += 1;
            if steps == limit {
                (stop, steps, limit) = (parent, 0, limit.saturating_mul(2));
            }
            current = parent;
        }
        Ok(None)
    }

    fn rename_locked(
        &self,
        mut dirs: Dirs<'_>,
        old: Name<'_>,
        new: Name<'_>,
        mode: RenameMode,
        order: Order,
    ) -> Result<Option<Unlinked>, Error> {
        require_living_directory(&dirs.from)?;
        require_living_directory(dirs.to())?;
        let source = self.find_entry(&mut dirs.from, old.name)?.ok_or(Error::NotFound)?;
        let target = self.find_entry(dirs.to(), new.name)?;
        let target_ino = target.as_ref().map(|found| found.ino);
        match order {
            Order::Above(below) if source.ino == below => return Err(Error::InvalidArgument),
            Order::Below(below) if target_ino == Some(below) => {
                return Err(match mode {
                    RenameMode::Replace => Error::NotEmpty,
                    RenameMode::KeepExisting => Error::Exists,
                    RenameMode::Exchange => Error::InvalidArgument,
                });
            }
            _ => {}
        }
        for ino in [Some(source.ino), target_ino].into_iter().flatten() {
            if ino == old.dir || ino == new.dir {
                return Err(Error::Corrupt("directory is its own child"));
            }
        }
        let Some(target) = target else {
            if mode == RenameMode::Exchange {
                return Err(Error::NotFound);
            }
            let node = self.node(source.ino).map_err(as_corrupt)?;
            let mut locked = self.lock_nested(&node, 2);
            self.move_name(&mut dirs, &mut locked, old, new)?;
            return Ok(None);
        };
        if mode == RenameMode::KeepExisting {
            return Err(Error::Exists);
        }
        if source.ino == target.ino {
            return Ok(None);
        }
        let source_node = self.node(source.ino).map_err(as_corrupt)?;
        let target_node = self.node(target.ino).map_err(as_corrupt)?;
        let (mut moved, mut other) = self.lock_both(&source_node, &target_node);
        if mode == RenameMode::Exchange {
            self.exchange(&mut dirs, source, &mut moved, &mut other, new)?;
            return Ok(None);
        }
        self.replace(&mut dirs, target, &mut moved, &mut other, old).map(Some)
    }

    /// Locks what the two names stand for.
    fn lock_both<'a>(&self, source: &'a Arc<Node>, target: &'a Arc<Node>) -> (Locked<'a>, Locked<'a>) {
        if source.ino < target.ino {
            let source = self.lock_nested(source, 2);
            (source, self.lock_nested(target, 3))
        } else {
            let target = self.lock_nested(target, 2);
            (self.lock_nested(source, 3), target)
        }
    }

    /// To a name that is not there. The new name comes before the old one goes: a crash leaves both.
    fn move_name(
        &self,
        dirs: &mut Dirs<'_>,
        moved: &mut Locked<'_>,
        old: Name<'_>,
        new: Name<'_>,
    ) -> Result<(), Error> {
        let is_directory = moved.inode.kind() == FileKind::Directory;
        let changes_parent = is_directory && !dirs.are_same();
        self.require_child(moved, old.dir)?;
        if changes_parent && dirs.to().inode.links() >= LINKS_MAX {
            return Err(Error::TooManyLinks);
        }
        self.insert_entry(dirs.to(), new.name, moved.ino(), moved.inode.kind())?;
        self.remove_name(&mut dirs.from, old.name)?;
        if changes_parent {
            self.set_parent(moved, new.dir)?;
            change_links(dirs.to(), 1);
            change_links(&mut dirs.from, -1);
        }
        moved.inode_mut().set_changed(self.context.now());
        Ok(())
    }

    /// To a name that is there, which stands for the moved inode in one step.
    fn replace(
        &self,
        dirs: &mut Dirs<'_>,
        mut target: Found,
        moved: &mut Locked<'_>,
        other: &mut Locked<'_>,
        old: Name<'_>,
    ) -> Result<Unlinked, Error> {
        let is_directory = moved.inode.kind() == FileKind::Directory;
        match (is_directory, other.inode.kind() == FileKind::Directory) {
            (true, false) => return Err(Error::NotDirectory),
            (false, true) => return Err(Error::IsDirectory),
            _ => {}
        }
        let new_dir = dirs.to().ino();
        self.require_child(moved, old.dir)?;
        if is_directory {
            self.require_empty_child(other, new_dir)?;
        }
        self.replace_entry(dirs.to(), &mut target, moved.ino(), moved.inode.kind())?;
        self.remove_name(&mut dirs.from, old.name)?;
        if is_directory && !dirs.are_same() {
            self.set_parent(moved, new_dir)?;
            change_links(dirs.to(), 1);
            change_links(&mut dirs.from, -1);
        }
        moved.inode_mut().set_changed(self.context.now());
        Ok(if is_directory { self.drop_directory(other, dirs.to()) } else { self.drop_name(other) })
    }

    fn exchange(
        &self,
        dirs: &mut Dirs<'_>,
        mut source: Found,
        moved: &mut Locked<'_>,
        other: &mut Locked<'_>,
        new: Name<'_>,
    ) -> Result<(), Error> {
        let is_directory = |locked: &Locked<'_>| locked.inode.kind() == FileKind::Directory;
        let (old_dir, new_dir) = (dirs.from.ino(), dirs.to().ino());
        self.require_child(moved, old_dir)?;
        self.require_child(other, new_dir)?;
        let gain = i32::from(is_directory(moved)) - i32::from(is_directory(other));
        if !dirs.are_same() {
            let (up, down) =
                if gain > 0 { (dirs.to().inode.links(), gain) } else { (dirs.from.inode.links(), -gain) };
            if down > 0 && up >= LINKS_MAX {
                return Err(Error::TooManyLinks);
            }
        }
        self.replace_entry(&mut dirs.from, &mut source, other.ino(), other.inode.kind())?;
        // Both names may lie in one block, which has just changed.
        let mut target = self.find_entry(dirs.to(), new.name)?.ok_or(Error::Corrupt("a name vanished"))?;
        self.replace_entry(dirs.to(), &mut target, moved.ino(), moved.inode.kind())?;
        if !dirs.are_same() {
            if is_directory(moved) {
                self.set_parent(moved, new_dir)?;
            }
            if is_directory(other) {
                self.set_parent(other, old_dir)?;
            }
            change_links(dirs.to(), gain);
            change_links(&mut dirs.from, -gain);
        }
        let now = self.context.now();
        moved.inode_mut().set_changed(now);
        other.inode_mut().set_changed(now);
        Ok(())
    }

    /// Checks that what moves, if it is a directory, agrees about its parent.
    fn require_child(&self, locked: &mut Locked<'_>, parent: Ino) -> Result<(), Error> {
        if locked.inode.kind() != FileKind::Directory || self.parent(locked)? == parent {
            Ok(())
        } else {
            Err(Error::Corrupt("directory is listed in a directory that is not its parent"))
        }
    }

    /// Removes a name; where it stands may have changed since it was found.
    fn remove_name(&self, dir: &mut Locked<'_>, name: &[u8]) -> Result<(), Error> {
        let found = self.find_entry(dir, name)?.ok_or(Error::Corrupt("a name vanished"))?;
        self.remove_entry(dir, found, name)
    }
}

/// Counts subdirectories that came or went.
fn change_links(dir: &mut Locked<'_>, change: i32) {
    let links = (i32::from(dir.inode.links()) + change).clamp(2, i32::from(u16::MAX)) as u16;
    if change != 0 {
        dir.inode_mut().set_links(links);
    }
}
