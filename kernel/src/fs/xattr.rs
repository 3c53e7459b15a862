//! Extended attributes of files: who may see and change which. Source: xattr(7).
//!
//! The first part of a name says what rules it has: `user.` those of the contents (and only regular files and
//! directories have them), `trusted.` is for privileged processes alone, `security.` everybody may read, and the two
//! access control lists (`acl.rs`) follow the owner.

use super::{
    acl::{self, AccessList},
    dentry::Path,
    inode::{FileKind, Inode},
    inotify,
    permission::{Caller, Permission},
};
use crate::{
    error::{Error, Result},
    process::credentials::capability,
};
use abi::{errno::Errno, inotify::InotifyMask};
use alloc::{sync::Arc, vec::Vec};

/// Longest name, its prefix included (`XATTR_NAME_MAX`).
pub(crate) const NAME_MAX: usize = 255;
/// Largest value (`XATTR_SIZE_MAX`), and longest list of names.
pub(crate) const VALUE_MAX: usize = 65536;

/// What becomes of an attribute that is there already, or is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It is made or replaced.
    Any,
    /// EEXIST if it is there.
    Absent,
    /// ENODATA if it is not.
    Present,
}

/// An inode's attributes, where its file system can keep some. Rights have been checked.
pub(crate) trait ExtendedAttributes {
    /// A value; ENODATA, EOPNOTSUPP for a name that cannot be stored.
    fn value(&self, name: &[u8]) -> Result<Vec<u8>>;

    /// All names, each with a NUL behind it.
    fn names(&self) -> Result<Vec<u8>>;

    /// Sets a value. ENOSPC, EOPNOTSUPP, and what `presence` asks for.
    fn set(&self, name: &[u8], value: &[u8], presence: Presence) -> Result<()>;

    /// Removes an attribute; ENODATA.
    fn remove(&self, name: &[u8]) -> Result<()>;

    /// The inode's own access control list, kept in memory: permission checks do not sleep.
    fn access_list(&self) -> Option<Arc<AccessList>>;
}

/// An inode's attributes; EOPNOTSUPP where there can be none.
pub(super) fn store(inode: &Arc<dyn Inode>) -> Result<&dyn ExtendedAttributes> {
    inode.extended().ok_or(Error::new(Errno::EOPNOTSUPP, "no extended attributes on this file system"))
}

fn is_access_control(name: &[u8]) -> bool {
    name == acl::ACCESS || name == acl::DEFAULT
}

/// Whether the caller may read or change an attribute.
fn check(caller: &Caller, path: &Path, name: &[u8], wanted: Permission) -> Result<()> {
    let inode = path.inode();
    let changes = wanted.contains(Permission::WRITE);
    if changes {
        path.mount.check_writable()?;
    }
    if name.starts_with(b"trusted.") {
        let hidden = if changes { Errno::EPERM } else { Errno::ENODATA };
        return if caller.credentials.has(capability::SYS_ADMIN) { Ok(()) } else { Err(hidden.into()) };
    }
    if name.starts_with(b"security.") {
        let is_allowed = !changes || caller.credentials.has(capability::SYS_ADMIN);
        return if is_allowed { Ok(()) } else { Err(Errno::EPERM.into()) };
    }
    if is_access_control(name) {
        let is_allowed = !changes || caller.owns(&inode.metadata());
        return if is_allowed { Ok(()) } else { Err(Errno::EPERM.into()) };
    }
    if name.starts_with(b"user.") {
        if !matches!(inode.kind(), FileKind::Regular | FileKind::Directory) {
            return Err(if changes { Errno::EPERM.into() } else { Errno::ENODATA.into() });
        }
        let metadata = inode.metadata();
        if changes && inode.is_directory() && metadata.mode & 0o1000 != 0 && !caller.owns(&metadata) {
            return Err(Errno::EPERM.into());
        }
    }
    caller.check(inode, wanted)
}

/// The value of an attribute.
///
/// # Errors
/// ENODATA, EOPNOTSUPP, EACCES.
pub(crate) fn get(caller: &Caller, path: &Path, name: &[u8]) -> Result<Vec<u8>> {
    check(caller, path, name, Permission::READ)?;
    store(path.inode())?.value(name)
}

/// The names of a file's attributes that the caller may know, each with a NUL behind it.
///
/// # Errors
/// What the file system says.
pub(crate) fn list(caller: &Caller, path: &Path) -> Result<Vec<u8>> {
    let Some(store) = path.inode().extended() else { return Ok(Vec::new()) };
    let mut names = store.names()?;
    if !caller.credentials.has(capability::SYS_ADMIN) {
        names = names
            .split_inclusive(|&byte| byte == 0)
            .filter(|name| !name.starts_with(b"trusted."))
            .flatten()
            .copied()
            .collect();
    }
    Ok(names)
}

/// Sets an attribute.
///
/// # Errors
/// EEXIST, ENODATA, EOPNOTSUPP, EPERM, EACCES, EROFS, ENOSPC; EINVAL for what is no access control list.
pub(crate) fn set(caller: &Caller, path: &Path, name: &[u8], value: &[u8], presence: Presence) -> Result<()> {
    check(caller, path, name, Permission::WRITE)?;
    let inode = path.inode();
    if is_access_control(name) {
        acl::set(caller, inode, name, value)?;
    } else {
        store(inode)?.set(name, value, presence)?;
    }
    inotify::tell(path, InotifyMask::IN_ATTRIB);
    Ok(())
}

/// Removes an attribute.
///
/// # Errors
/// ENODATA, EOPNOTSUPP, EPERM, EACCES, EROFS.
pub(crate) fn remove(caller: &Caller, path: &Path, name: &[u8]) -> Result<()> {
    check(caller, path, name, Permission::WRITE)?;
    let inode = path.inode();
    if is_access_control(name) {
        acl::remove(inode, name)?;
    } else {
        store(inode)?.remove(name)?;
    }
    inotify::tell(path, InotifyMask::IN_ATTRIB);
    Ok(())
}
