//! Open directories: getdents.

use super::{
    file::{File, FileOperations, SeekLimits},
    inode::{DirectoryEntry, FileKind, SyncScope},
    io::Destination,
    regular::{Keep, touch_accessed},
};
use crate::error::Result;
use abi::errno::Errno;
use alloc::sync::Arc;
use core::any::Any;

/// Cursors of "." and ".." and of the first name; see [`Inode::read_directory`](super::inode::Inode::read_directory).
const CURSOR_PARENT: u64 = 1;
/// The cursor of the first name behind "..".
pub(super) const CURSOR_FIRST: u64 = 2;

/// An open directory; the position is the cursor.
#[derive(Default)]
pub(super) struct OpenDirectory {
    _keep: Keep,
}

impl OpenDirectory {
    /// One that holds `keep` as long as it is open.
    pub(super) fn holding(keep: Arc<dyn Any + Send + Sync>) -> Self {
        Self { _keep: Some(keep) }
    }
}

impl FileOperations for OpenDirectory {
    fn read(&self, _file: &File, _offset: &mut u64, _to: &mut Destination<'_>) -> Result<usize> {
        Err(Errno::EISDIR.into())
    }

    fn seek_limits(&self, _file: &File) -> SeekLimits {
        SeekLimits { end: i64::MAX as u64, maximum: i64::MAX as u64 }
    }

    fn read_directory(
        &self,
        file: &File,
        cursor: u64,
        visit: &mut dyn FnMut(&DirectoryEntry<'_>) -> bool,
    ) -> Result<()> {
        touch_accessed(file);
        let inode = file.inode();
        let _names = inode.state().directory.lock();
        if file.path().dentry.is_detached() {
            return Err(Errno::ENOENT.into());
        }
        let dot = |name, number, next| DirectoryEntry { name, number, kind: FileKind::Directory, next };
        if cursor < CURSOR_PARENT && !visit(&dot(b".", inode.metadata().number, CURSOR_PARENT)) {
            return Ok(());
        }
        if cursor < CURSOR_FIRST {
            let number = match file.path().parent() {
                Some(parent) => parent.inode().metadata().number,
                None => inode.metadata().number,
            };
            if !visit(&dot(b"..", number, CURSOR_FIRST)) {
                return Ok(());
            }
        }
        inode.read_directory(cursor.max(CURSOR_FIRST), visit)
    }

    fn sync(&self, file: &File, scope: SyncScope) -> Result<()> {
        file.inode().sync(scope)
    }
}
