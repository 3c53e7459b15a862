//! memfd_create(2): files in memory without a name in any directory.

use super::{
    dentry::{Dentry, Path},
    file::{File, OpenFlags},
    file_system::{FileSystem, NameCaching},
    filesystems,
    inode::{NewInode, NewKind},
    mount::Mount,
    open::{self, OpenRequest},
    permission::Caller,
    tmpfs::{Options, TmpFs},
};
use crate::error::Result;
use alloc::sync::Arc;
use machine::sync::Lazy;

/// A tmpfs that is never in the tree.
static HOME: Lazy<Arc<Mount>> = Lazy::new(|| {
    let home = TmpFs::new("tmpfs", NameCaching::Full, filesystems::new_device(), &Options::default())
        .expect("the first inode of a file system is within its limit");
    Mount::new_internal(home as Arc<dyn FileSystem>)
});

/// An empty file; `name` is only shown in /proc.
pub(crate) fn create(caller: &Caller, name: &[u8], mode: u32) -> Result<Arc<File>> {
    let (user, group) = (caller.credentials.fsuid, caller.credentials.fsgid);
    let mount = HOME.clone();
    let root = mount.root_path();
    let inode = root.inode().create_unnamed(&NewInode { kind: NewKind::Regular, mode, user, group })?;
    let shown = [b"/memfd:", name].concat();
    let dentry = Dentry::new_deleted(mount.root(), &shown, inode);
    open::open_path(caller, Path { mount, dentry }, OpenRequest::new(OpenFlags::O_RDWR))
}
