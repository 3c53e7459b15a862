//! Creating, linking, removing and renaming names: the rules of Linux, common to all file systems.
//!
//! Each function takes directories as paths and names as bytes, checks what the manual pages demand, in the order in
//! which Linux checks (programs see which error comes first), and calls the file system with the directory
//! locks held. Two directories are locked ancestor first; `moving` of the file system keeps that order
//! from changing meanwhile.

use super::{
    acl,
    dentry::{Dentry, Path},
    inode::{AttributeChange, FileKind, Inode, NewInode, NewKind, Rename, RenameMode},
    inotify,
    lookup::{self, Last, Trailing, child_locked},
    open::contents_changed,
    permission::{Caller, Permission},
};
use crate::{
    error::{Error, Result},
    sync::MutexGuard,
};
use abi::{errno::Errno, inotify::InotifyMask, misc::RenameFlags};
use alloc::{sync::Arc, vec::Vec};

/// Owner, group and mode of a file that `caller` creates in `directory`.
pub(super) fn new_inode(caller: &Caller, directory: &Arc<dyn Inode>, kind: NewKind, mode: u32) -> NewInode {
    const SET_GROUP_ID: u32 = 0o2000;
    let parent = directory.metadata();
    let mut mode = match kind {
        NewKind::Link(_) => 0o777,
        _ => mode & 0o7777 & !caller.umask,
    };
    let mut group = caller.credentials.fsgid;
    if parent.mode & SET_GROUP_ID != 0 {
        group = parent.group;
        if kind.kind() == FileKind::Directory {
            mode |= SET_GROUP_ID;
        } else if mode & 0o2010 == 0o2010 && !caller.is_privileged() && !caller.is_in_group(group) {
            mode &= !SET_GROUP_ID;
        }
    }
    NewInode { kind, mode, user: caller.credentials.fsuid, group }
}

/// Creates a file under a new name. EEXIST.
pub(crate) fn create(
    caller: &Caller,
    directory: &Path,
    name: &[u8],
    kind: NewKind,
    mode: u32,
) -> Result<Path> {
    let inode = directory.inode();
    let _names = inode.state().directory.lock();
    let dentry = new_name(caller, directory, name)?;
    let mut new = new_inode(caller, inode, kind, mode);
    let inherited = acl::inherit(inode, &mut new, mode)?;
    let created = inode.create(name, &new)?;
    if let Err(error) = inherited.bestow(&created) {
        // Without its list the file would let in whom it should not.
        if created.is_directory() {
            inode.remove_directory(name, &created)?;
        } else {
            inode.unlink(name, &created)?;
        }
        return Err(error);
    }
    inotify::tell_created(inode, name, &created);
    dentry.instantiate(created);
    Ok(Path { mount: directory.mount.clone(), dentry })
}

/// The negative dentry of a name that is to be created. The directory lock is held.
fn new_name(caller: &Caller, directory: &Path, name: &[u8]) -> Result<Arc<Dentry>> {
    if directory.dentry.is_detached() {
        return Err(Error::new(Errno::ENOENT, "the directory has been removed"));
    }
    let dentry = child_locked(&directory.dentry, directory.inode(), name)?;
    if dentry.inode().is_some() {
        return Err(Errno::EEXIST.into());
    }
    caller.check_directory_change(directory)?;
    Ok(dentry)
}

/// Where a path that is to be created goes: directory and name. "." and ".." exist always.
fn creation_place(caller: &Caller, base: &Path, path: &[u8], kind: &NewKind) -> Result<(Path, Vec<u8>)> {
    let (directory, last) = lookup::lookup_parent(caller, base, path)?;
    let Last::Name(name, trailing) = last else { return Err(Errno::EEXIST.into()) };
    if trailing == Trailing::Slash && kind.kind() != FileKind::Directory {
        let exists = lookup::child(&directory, &name)?.inode().is_some();
        return Err(if exists { Errno::EEXIST.into() } else { Errno::ENOENT.into() });
    }
    Ok((directory, name))
}

/// mkdir, mknod and symlink: creates what `path` names.
pub(crate) fn create_at(caller: &Caller, base: &Path, path: &[u8], kind: NewKind, mode: u32) -> Result<Path> {
    let (directory, name) = creation_place(caller, base, path, &kind)?;
    create(caller, &directory, &name, kind, mode)
}

/// link(2): gives `target` the name `path`.
pub(crate) fn link_at(caller: &Caller, target: &Path, base: &Path, path: &[u8]) -> Result<()> {
    let (directory, name) = creation_place(caller, base, path, &NewKind::Regular)?;
    let parent = directory.inode();
    let _names = parent.state().directory.lock();
    let dentry = new_name(caller, &directory, &name)?;
    if !Arc::ptr_eq(&target.mount, &directory.mount) {
        return Err(Errno::EXDEV.into());
    }
    let inode = target.inode();
    if inode.is_directory() {
        return Err(Error::new(Errno::EPERM, "directories have one name"));
    }
    parent.link(&name, inode)?;
    dentry.instantiate(inode.clone());
    inotify::tell_linked(parent, &name, inode);
    Ok(())
}

/// What [`remove_at`] removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    /// Anything but a directory (unlink).
    File,
    /// An empty directory (rmdir).
    Directory,
}

/// unlink(2) and rmdir(2).
pub(crate) fn remove_at(caller: &Caller, base: &Path, path: &[u8], what: Removal) -> Result<()> {
    let (directory, last) = lookup::lookup_parent(caller, base, path)?;
    let (name, trailing) = match (last, what) {
        (Last::Name(name, trailing), _) => (name, trailing),
        (_, Removal::File) => return Err(Errno::EISDIR.into()),
        (Last::Parent, Removal::Directory) => return Err(Errno::ENOTEMPTY.into()),
        (Last::Current, Removal::Directory) if path.iter().all(|&byte| byte == b'/') => {
            return Err(Errno::EBUSY.into());
        }
        (Last::Current, Removal::Directory) => return Err(Errno::EINVAL.into()),
    };
    let parent = directory.inode();
    let dentry;
    {
        let _names = parent.state().directory.lock();
        dentry = child_locked(&directory.dentry, parent, &name)?;
        let victim = dentry.inode().ok_or(Errno::ENOENT)?;
        if what == Removal::File && trailing == Trailing::Slash && !victim.is_directory() {
            return Err(Errno::ENOTDIR.into());
        }
        check_removal(caller, &directory, victim, what)?;
        if dentry.is_mount_point() {
            return Err(Error::new(Errno::EBUSY, "a mount point"));
        }
        match what {
            Removal::File => parent.unlink(&name, victim)?,
            Removal::Directory => {
                let _inside = victim.state().directory.lock_nested(2);
                parent.remove_directory(&name, victim)?;
                dentry.detach();
            }
        }
        dentry.detach();
        inotify::tell_removed(parent, &name, &dentry);
    }
    // The last reference to a removed file frees its space: without the directory lock.
    drop(dentry);
    Ok(())
}

/// Whether the caller may take the name of `victim` out of a directory, and whether it is of the right type.
fn check_removal(caller: &Caller, directory: &Path, victim: &Arc<dyn Inode>, what: Removal) -> Result<()> {
    caller.check_directory_change(directory)?;
    caller.check_sticky(directory.inode(), victim)?;
    match (what, victim.is_directory()) {
        (Removal::File, true) => Err(Errno::EISDIR.into()),
        (Removal::Directory, false) => Err(Errno::ENOTDIR.into()),
        _ => Ok(()),
    }
}

/// A path whose last component is renamed.
struct Side {
    directory: Path,
    name: Vec<u8>,
    trailing: Trailing,
}

/// rename(2), renameat2(2).
pub(crate) fn rename_at(
    caller: &Caller,
    (old_base, old_path): (&Path, &[u8]),
    (new_base, new_path): (&Path, &[u8]),
    flags: RenameFlags,
) -> Result<()> {
    let is_exclusive = flags.contains(RenameFlags::RENAME_NOREPLACE);
    let exchanges = flags.contains(RenameFlags::RENAME_EXCHANGE);
    let unknown = flags - (RenameFlags::RENAME_NOREPLACE | RenameFlags::RENAME_EXCHANGE);
    if !unknown.is_empty() || (is_exclusive && exchanges) {
        return Err(Errno::EINVAL.into());
    }
    let (old_directory, old_last) = lookup::lookup_parent(caller, old_base, old_path)?;
    let (new_directory, new_last) = lookup::lookup_parent(caller, new_base, new_path)?;
    if !Arc::ptr_eq(&old_directory.mount, &new_directory.mount) {
        return Err(Errno::EXDEV.into());
    }
    let Last::Name(name, trailing) = old_last else { return Err(Errno::EBUSY.into()) };
    let old = Side { directory: old_directory, name, trailing };
    let Last::Name(name, trailing) = new_last else {
        return Err(if is_exclusive { Errno::EEXIST.into() } else { Errno::EBUSY.into() });
    };
    let new = Side { directory: new_directory, name, trailing };
    let released = {
        let is_same = Arc::ptr_eq(&old.directory.dentry, &new.directory.dentry);
        let super_block = old.directory.mount.super_block().clone();
        let _moving = (!is_same).then(|| super_block.moving.lock());
        let _names = lock_both(&old.directory, &new.directory);
        rename_locked(caller, &old, &new, flags)?
    };
    drop(released);
    Ok(())
}

/// The directory locks of two directories, ancestor first.
fn lock_both<'a>(one: &'a Path, other: &'a Path) -> (MutexGuard<'a, ()>, Option<MutexGuard<'a, ()>>) {
    if Arc::ptr_eq(&one.dentry, &other.dentry) || one.inode().is_same(other.inode()) {
        return (one.inode().state().directory.lock(), None);
    }
    let one_first = one.dentry.is_ancestor_of(&other.dentry)
        || (!other.dentry.is_ancestor_of(&one.dentry)
            && Arc::as_ptr(&one.dentry) < Arc::as_ptr(&other.dentry));
    let (first, second) = if one_first { (one, other) } else { (other, one) };
    let outer = first.inode().state().directory.lock();
    (outer, Some(second.inode().state().directory.lock_nested(1)))
}

/// Does it with all locks held; returns what is to be dropped without them.
fn rename_locked(caller: &Caller, old: &Side, new: &Side, flags: RenameFlags) -> Result<Option<Arc<Dentry>>> {
    let exchanges = flags.contains(RenameFlags::RENAME_EXCHANGE);
    let moved_dentry = child_locked(&old.directory.dentry, old.directory.inode(), &old.name)?;
    let moved = moved_dentry.inode().ok_or(Errno::ENOENT)?;
    let target_dentry = child_locked(&new.directory.dentry, new.directory.inode(), &new.name)?;
    let target = target_dentry.inode();
    if target.is_some() && flags.contains(RenameFlags::RENAME_NOREPLACE) {
        return Err(Errno::EEXIST.into());
    }
    check_shapes(old, new, (&moved_dentry, moved), (&target_dentry, target), exchanges)?;
    if target.is_some_and(|target| target.is_same(moved)) {
        return Ok(None);
    }
    check_rights(caller, old, new, moved, target, exchanges)?;
    if moved_dentry.is_mount_point() || target_dentry.is_mount_point() {
        return Err(Errno::EBUSY.into());
    }
    let _inside = target
        .filter(|target| target.is_directory() && !exchanges)
        .map(|target| target.state().directory.lock_nested(2));
    old.directory.inode().rename(&Rename {
        old_name: &old.name,
        moved,
        new_directory: new.directory.inode(),
        new_name: &new.name,
        replaced: target,
        mode: if exchanges { RenameMode::Exchange } else { RenameMode::Replace },
    })?;
    let (from, to) = ((old.directory.inode(), &*old.name), (new.directory.inode(), &*new.name));
    if exchanges {
        moved_dentry.exchange(&target_dentry);
        inotify::tell_moved(from, to, moved, None);
        if let Some(target) = target {
            inotify::tell_moved(to, from, target, None);
        }
        return Ok(None);
    }
    inotify::tell_moved(from, to, moved, target);
    target_dentry.detach();
    let name = new.directory.inode().counting_part(&new.name);
    moved_dentry.relocate(&new.directory.dentry, name);
    Ok(Some(target_dentry.clone()))
}

/// Types, slashes and loops.
fn check_shapes(
    old: &Side,
    new: &Side,
    (moved_dentry, moved): (&Arc<Dentry>, &Arc<dyn Inode>),
    (target_dentry, target): (&Arc<Dentry>, Option<&Arc<dyn Inode>>),
    exchanges: bool,
) -> Result<()> {
    if exchanges && target.is_none() {
        return Err(Errno::ENOENT.into());
    }
    if new.directory.dentry.is_detached() {
        return Err(Errno::ENOENT.into());
    }
    let new_is_file =
        if exchanges { target.is_some_and(|t| !t.is_directory()) } else { !moved.is_directory() };
    if (!moved.is_directory() && old.trailing == Trailing::Slash)
        || (new_is_file && new.trailing == Trailing::Slash)
    {
        return Err(Errno::ENOTDIR.into());
    }
    if moved_dentry.is_ancestor_of(&new.directory.dentry) {
        return Err(Error::new(Errno::EINVAL, "a directory cannot move into itself"));
    }
    if target.is_some() && target_dentry.is_ancestor_of(&old.directory.dentry) {
        return Err(if exchanges { Errno::EINVAL.into() } else { Errno::ENOTEMPTY.into() });
    }
    Ok(())
}

/// Permissions, and types of what replaces what.
fn check_rights(
    caller: &Caller,
    old: &Side,
    new: &Side,
    moved: &Arc<dyn Inode>,
    target: Option<&Arc<dyn Inode>>,
    exchanges: bool,
) -> Result<()> {
    caller.check_directory_change(&old.directory)?;
    caller.check_sticky(old.directory.inode(), moved)?;
    caller.check_directory_change(&new.directory)?;
    if let Some(target) = target {
        caller.check_sticky(new.directory.inode(), target)?;
        match (moved.is_directory(), target.is_directory()) {
            (true, false) if !exchanges => return Err(Errno::ENOTDIR.into()),
            (false, true) if !exchanges => return Err(Errno::EISDIR.into()),
            _ => {}
        }
    }
    let changes_parent = !old.directory.inode().is_same(new.directory.inode());
    if changes_parent && moved.is_directory() {
        // Its ".." changes.
        caller.check(moved, Permission::WRITE)?;
    }
    if let Some(target) = target.filter(|target| changes_parent && exchanges && target.is_directory()) {
        caller.check(target, Permission::WRITE)?;
    }
    Ok(())
}

/// Cuts or extends a regular file; set-ID bits go when somebody unprivileged does it.
pub(crate) fn truncate(caller: &Caller, path: &Path, size: u64) -> Result<()> {
    let inode = path.inode();
    inode.truncate(size)?;
    let mut change = contents_changed();
    change.mode = mode_without_set_id(caller, inode);
    inode.set_attributes(&change)?;
    inotify::tell(path, InotifyMask::IN_MODIFY);
    Ok(())
}

/// The mode that a file has after its contents or owner changed, if that takes set-ID bits away.
pub(super) fn mode_without_set_id(caller: &Caller, inode: &Arc<dyn Inode>) -> Option<u32> {
    let metadata = inode.metadata();
    if caller.is_privileged() || metadata.kind != FileKind::Regular {
        return None;
    }
    let group_bit = if metadata.mode & 0o010 != 0 { 0o2000 } else { 0 };
    let mode = metadata.mode & !(0o4000 | group_bit);
    (mode != metadata.mode).then_some(mode)
}

/// Changes attributes; the time of change is set unless given.
pub(crate) fn set_attributes(path: &Path, mut change: AttributeChange) -> Result<()> {
    path.mount.check_writable()?;
    change.changed.get_or_insert_with(super::time::now);
    path.inode().set_attributes(&change)?;
    if let Some(mode) = change.mode {
        acl::follow_mode(path.inode(), mode)?;
    }
    inotify::tell_attributes(path, &change);
    Ok(())
}
