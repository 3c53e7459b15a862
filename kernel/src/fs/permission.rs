//! Who may do what: permission bits, access control lists, root's privileges, the sticky bit, and the caller of a file operation.

use super::{
    context::FsContext,
    dentry::Path,
    inode::{FileKind, Inode, Metadata, Ownership},
    mount::MountFlags,
};
use crate::{
    error::{Error, Result},
    process::credentials::Credentials,
};
use abi::errno::Errno;
use alloc::sync::Arc;

bitflags::bitflags! {
    /// What is to be done with a file (the bits of access(2)).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Permission: u32 {
        /// Execute a file, search a directory.
        const EXECUTE = 1;
        /// Write.
        const WRITE = 2;
        /// Read.
        const READ = 4;
    }
}

/// On whose behalf a file operation is done, and where its paths start.
#[derive(Clone)]
pub(crate) struct Caller {
    /// Who asks.
    pub(crate) credentials: Arc<Credentials>,
    /// Where absolute paths start.
    pub(crate) root: Path,
    /// Where relative paths start.
    pub(crate) directory: Path,
    /// Permission bits that new files do not get.
    pub(crate) umask: u32,
}

impl Caller {
    /// The current process.
    pub(crate) fn current() -> Self {
        let process = crate::process::current();
        Self::new(process.credentials(), &process.fs_context())
    }

    /// Somebody in a certain place.
    pub(crate) fn new(credentials: Arc<Credentials>, context: &FsContext) -> Self {
        let (root, directory, umask) = context.snapshot();
        Self { credentials, root, directory, umask }
    }

    /// The kernel itself; fails before the root is mounted.
    pub(crate) fn kernel() -> Result<Self> {
        let root = super::mount::root().ok_or(Error::new(Errno::ENOENT, "no root file system yet"))?;
        Ok(Self { credentials: Credentials::root(), directory: root.clone(), root, umask: 0 })
    }

    /// Whether the caller is privileged over files.
    pub(crate) fn is_privileged(&self) -> bool {
        self.credentials.fsuid == 0
    }

    /// Whether the caller owns a file or is privileged.
    pub(crate) fn owns(&self, metadata: &Metadata) -> bool {
        self.is_privileged() || self.credentials.fsuid == metadata.user
    }

    /// Whether the caller is in a group.
    pub(crate) fn is_in_group(&self, group: u32) -> bool {
        self.credentials.fsgid == group || self.credentials.groups.contains(&group)
    }

    /// EACCES unless the caller may do `wanted` with an inode.
    pub(crate) fn check(&self, inode: &Arc<dyn Inode>, wanted: Permission) -> Result<()> {
        let owner = inode.ownership();
        // A list says nothing about the owner, and its mask is the mode's group bits.
        let may_have_list =
            !self.is_privileged() && self.credentials.fsuid != owner.user && owner.mode & 0o070 != 0;
        let list = if may_have_list { inode.extended().and_then(|store| store.access_list()) } else { None };
        let is_allowed = match list {
            Some(list) => list.allows(self, owner.group, wanted),
            None => self.is_allowed(inode.kind(), &owner, wanted),
        };
        if is_allowed { Ok(()) } else { Err(Errno::EACCES.into()) }
    }

    fn is_allowed(&self, kind: FileKind, owner: &Ownership, wanted: Permission) -> bool {
        if self.is_privileged() {
            // Root reads and writes everything, and executes what somebody may execute.
            let is_searched = kind == FileKind::Directory;
            return !wanted.contains(Permission::EXECUTE) || is_searched || owner.mode & 0o111 != 0;
        }
        let bits = if self.credentials.fsuid == owner.user {
            owner.mode >> 6
        } else if self.is_in_group(owner.group) {
            owner.mode >> 3
        } else {
            owner.mode
        };
        Permission::from_bits_truncate(bits & 7).contains(wanted)
    }

    /// [`check`](Self::check) for a path: nothing can be written through a read-only mount, except to
    /// devices, pipes and sockets.
    pub(crate) fn check_path(&self, path: &Path, wanted: Permission) -> Result<()> {
        use FileKind::{Directory, Link, Regular};
        let inode = path.inode();
        if wanted.contains(Permission::WRITE) && matches!(inode.kind(), Regular | Directory | Link) {
            path.mount.check_writable()?;
        }
        let is_executable = !path.mount.flags().contains(MountFlags::NO_EXEC) || inode.kind() != Regular;
        if wanted.contains(Permission::EXECUTE) && !is_executable {
            return Err(Error::new(Errno::EACCES, "mounted without execution"));
        }
        self.check(inode, wanted)
    }

    /// Whether names may be added to and removed from a directory.
    pub(crate) fn check_directory_change(&self, directory: &Path) -> Result<()> {
        directory.mount.check_writable()?;
        self.check(directory.inode(), Permission::WRITE | Permission::EXECUTE)
    }

    /// In a sticky directory only the owner of the file or of the directory may take a name away.
    pub(crate) fn check_sticky(&self, directory: &Arc<dyn Inode>, victim: &Arc<dyn Inode>) -> Result<()> {
        let owner = directory.ownership();
        let owns = |user: u32| self.is_privileged() || self.credentials.fsuid == user;
        if owner.mode & 0o1000 == 0 || owns(owner.user) || owns(victim.ownership().user) {
            return Ok(());
        }
        Err(Error::new(Errno::EPERM, "sticky directory"))
    }
}
