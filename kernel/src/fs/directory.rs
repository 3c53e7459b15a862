//! Open directories: getdents.
//!
//! Names are read from the file system some at a time, also for programs that have room for few: what is left waits here
//! for the next call, if that goes on where the last one ended, unless the file system itself keeps it. (Names that come
//! or go meanwhile may be shown or not; whoever begins anew sees what is there.)

use super::{
    file::{File, FileOperations, SeekLimits},
    inode::{DirectoryEntry, FileKind, Inode, SyncScope},
    io::Destination,
    regular::{Keep, touch_accessed},
};
use crate::error::Result;
use abi::errno::Errno;
use alloc::{sync::Arc, vec::Vec};
use core::any::Any;
use machine::sync::SpinLock;

/// Cursors of "." and ".." and of the first name; see [`read_directory`](super::inode::Inode::read_directory).
const CURSOR_PARENT: u64 = 1;
/// The cursor of the first name behind "..".
pub(super) const CURSOR_FIRST: u64 = 2;

/// How many names are read at a time.
const NAMES_AT_ONCE: usize = 128;

/// An open directory; the position is the cursor.
pub(super) struct OpenDirectory {
    ahead: SpinLock<Ahead>,
    _keep: Keep,
}

/// Names that were read and not yet asked for.
#[derive(Default)]
struct Ahead {
    /// The cursor of the first of them.
    cursor: u64,
    /// The last one first.
    entries: Vec<Waiting>,
    names: Vec<u8>,
}

/// A name in [`Ahead`].
struct Waiting {
    number: u64,
    kind: FileKind,
    next: u64,
    /// Where in the names it begins and ends.
    start: usize,
    end: usize,
}

impl Ahead {
    /// Reads the next names, those from `cursor` on. The directory lock is held.
    fn fill(&mut self, inode: &Arc<dyn Inode>) -> Result<()> {
        self.names.clear();
        let outcome = inode.read_directory(self.cursor, &mut |entry| {
            if self.entries.len() == NAMES_AT_ONCE {
                return false;
            }
            let start = self.names.len();
            self.names.extend_from_slice(entry.name);
            let DirectoryEntry { number, kind, next, .. } = *entry;
            self.entries.push(Waiting { number, kind, next, start, end: self.names.len() });
            true
        });
        self.entries.reverse();
        // What was read before something that cannot be is shown first; whoever goes on is told.
        if self.entries.is_empty() { outcome } else { Ok(()) }
    }

    /// Shows what is there until `visit` answers `false`, which is returned.
    fn show(&mut self, visit: &mut dyn FnMut(&DirectoryEntry<'_>) -> bool) -> bool {
        while let Some(&Waiting { number, kind, next, start, end }) = self.entries.last() {
            if !visit(&DirectoryEntry { name: &self.names[start..end], number, kind, next }) {
                return false;
            }
            self.cursor = next;
            self.entries.pop();
        }
        true
    }
}

impl OpenDirectory {
    /// One that is about to be read.
    pub(super) fn new() -> Self {
        Self { ahead: SpinLock::new("directory-ahead", Ahead::default()), _keep: None }
    }

    /// One that holds `keep` as long as it is open.
    pub(super) fn holding(keep: Arc<dyn Any + Send + Sync>) -> Self {
        Self { _keep: Some(keep), ..Self::new() }
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
        if inode.resumes_reading() {
            let mut has_shown = false;
            let outcome = inode.read_directory(cursor.max(CURSOR_FIRST), &mut |entry| {
                let goes_on = visit(entry);
                has_shown |= goes_on;
                goes_on
            });
            return if has_shown { Ok(()) } else { outcome };
        }
        // The caller holds the position; whoever does not finds nothing here, and does without.
        let mut ahead = core::mem::take(&mut *self.ahead.lock());
        if ahead.cursor != cursor || cursor <= CURSOR_FIRST {
            ahead.entries.clear();
            ahead.cursor = cursor.max(CURSOR_FIRST);
        }
        while ahead.show(visit) {
            ahead.fill(inode)?;
            if ahead.entries.is_empty() {
                break;
            }
        }
        let unused = core::mem::replace(&mut *self.ahead.lock(), ahead);
        drop(unused);
        Ok(())
    }

    fn sync(&self, file: &File, scope: SyncScope) -> Result<()> {
        file.inode().sync(scope)
    }
}
