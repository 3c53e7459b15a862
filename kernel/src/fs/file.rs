//! Open files: what a file descriptor refers to (an *open file description*).
//!
//! A [`File`] joins a place in the tree, the way it was opened and the offset with the
//! [`FileOperations`] that do the work. Descriptors that were duplicated or inherited share one `File`.
//! The offset is a sleeping lock: it is held over a read or write that uses it, so that two threads that
//! append to a log through one description do not overwrite each other. Files without an offset (pipes,
//! terminals) never take it, so a reader that waits does not keep a writer out.

use super::{
    dentry::Path,
    inode::{DirectoryEntry, Inode, SyncScope},
    inotify,
    io::{Destination, Source},
    mount::KeptPath,
    poll::PollTable,
};
use crate::{
    error::{Error, Result},
    mm::PageSource,
    sync::Mutex,
};
pub(crate) use abi::fcntl::OpenFlags;
use abi::{errno::Errno, inotify::InotifyMask, poll::PollEvents};
use alloc::{string::String, sync::Arc};
use core::any::Any;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// Whether and how a file has a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seeking {
    /// Reads and writes go on where the last one ended; lseek(2) works.
    Position,
    /// There is no position: ESPIPE (pipes, sockets, terminals).
    Stream,
    /// There is no position, and lseek(2) succeeds without effect (/dev/null).
    Nowhere,
}

/// What can be done with an open file. The defaults answer what a file without the ability answers.
///
/// `offset` is where to read or write; the operation advances it by what it moved. Streams ignore it.
pub(crate) trait FileOperations: Any + Send + Sync {
    /// Moves bytes from the file; 0 is the end of the file.
    fn read(&self, _file: &File, _offset: &mut u64, _to: &mut Destination<'_>) -> Result<usize> {
        Err(Errno::EINVAL.into())
    }

    /// Moves bytes to the file.
    fn write(&self, _file: &File, _offset: &mut u64, _from: &mut Source<'_>) -> Result<usize> {
        Err(Errno::EINVAL.into())
    }

    /// Whether it has a position.
    fn seeking(&self) -> Seeking {
        Seeking::Position
    }

    /// lseek(2) of a file that has a way of its own; `None`: the usual one.
    fn seek(&self, _offset: i64, _whence: u32) -> Option<Result<u64>> {
        None
    }

    /// Where SEEK_END, SEEK_DATA and SEEK_HOLE count from, and the highest position.
    fn seek_limits(&self, file: &File) -> SeekLimits {
        SeekLimits { end: file.inode().metadata().size, maximum: i64::MAX as u64 }
    }

    /// The next offset from `offset` on that holds data (or lies in a hole); ENXIO behind the end.
    fn seek_extent(&self, file: &File, offset: u64, wanted: Extent) -> Result<u64> {
        let end = self.seek_limits(file).end;
        if offset >= end {
            return Err(Errno::ENXIO.into());
        }
        Ok(if wanted == Extent::Data { offset } else { end })
    }

    /// What is ready now. Registers with the queues that will tell of changes through `table`.
    fn poll(&self, _file: &File, _table: &mut PollTable<'_>) -> PollEvents {
        PollEvents::POLLIN | PollEvents::POLLOUT | PollEvents::POLLRDNORM | PollEvents::POLLWRNORM
    }

    /// Bytes that can be read at once (FIONREAD); `None` if the question makes no sense.
    fn available(&self, _file: &File) -> Option<usize> {
        None
    }

    /// Bytes of the kernel's memory that wait in it to be read, about. Takes no lock.
    fn memory(&self) -> usize {
        0
    }

    /// Lines of its own for /proc/PID/fdinfo.
    fn details(&self) -> String {
        String::new()
    }

    /// A device's own control operations; ENOTTY for what it does not know.
    fn ioctl(&self, _file: &File, _command: u32, _argument: u64) -> Result<u64> {
        Err(Errno::ENOTTY.into())
    }

    /// What is mapped into memory by mmap(2); ENODEV.
    fn map(&self, _file: &File) -> Result<Arc<dyn PageSource>> {
        Err(Errno::ENODEV.into())
    }

    /// Visits the names of a directory from the cursor on, "." and ".." included, until `visit` says `false`.
    fn read_directory(
        &self,
        _file: &File,
        _cursor: u64,
        _visit: &mut dyn FnMut(&DirectoryEntry<'_>) -> bool,
    ) -> Result<()> {
        Err(Errno::ENOTDIR.into())
    }

    /// Writes what is only in memory to the disk.
    fn sync(&self, _file: &File, _scope: SyncScope) -> Result<()> {
        Err(Errno::EINVAL.into())
    }

    /// A descriptor of it is closed (others may remain).
    fn close_descriptor(&self, _file: &File) {}

    /// The last reference is gone.
    fn release(&self, _file: &File) {}
}

/// See [`FileOperations::seek_limits`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeekLimits {
    /// The end of the file.
    pub(crate) end: u64,
    /// The highest offset that can be set.
    pub(crate) maximum: u64,
}

/// What SEEK_DATA and SEEK_HOLE look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Bytes that were written.
    Data,
    /// Bytes that were not; the end of the file counts as a hole.
    Hole,
}

/// An open file description.
pub(crate) struct File {
    path: KeptPath,
    operations: Arc<dyn FileOperations>,
    flags: AtomicU32,
    offset: Mutex<u64>,
    /// Keeps programs from being run from a file that is open for writing; taken back when dropped.
    #[expect(dead_code, reason = "held for what its drop does")]
    writer: Option<super::open::WriteAccess>,
}

impl File {
    /// Opens `path` by means of `operations`.
    pub(crate) fn new(path: Path, operations: Arc<dyn FileOperations>, flags: OpenFlags) -> Arc<Self> {
        Self::with_writer(path, operations, flags, None)
    }

    pub(super) fn with_writer(
        path: Path,
        operations: Arc<dyn FileOperations>,
        flags: OpenFlags,
        writer: Option<super::open::WriteAccess>,
    ) -> Arc<Self> {
        let kept = flags
            - (OpenFlags::O_CREAT
                | OpenFlags::O_EXCL
                | OpenFlags::O_NOCTTY
                | OpenFlags::O_TRUNC
                | OpenFlags::O_CLOEXEC);
        COUNT.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self {
            path: KeptPath::new(path),
            operations,
            flags: AtomicU32::new(kept.bits()),
            offset: Mutex::new("file-offset", 0),
            writer,
        })
    }

    /// Where it is in the tree.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its inode.
    pub(crate) fn inode(&self) -> &Arc<dyn Inode> {
        self.path.inode()
    }

    /// What does the work.
    pub(crate) fn operations(&self) -> &Arc<dyn FileOperations> {
        &self.operations
    }

    /// What does the work, if it is a `T`.
    pub(crate) fn operations_as<T: FileOperations>(&self) -> Option<&T> {
        (&*self.operations as &dyn Any).downcast_ref::<T>()
    }

    /// The flags as F_GETFL reports them.
    pub(crate) fn flags(&self) -> OpenFlags {
        OpenFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }

    /// F_SETFL: changes the flags that can be changed.
    pub(crate) fn set_flags(&self, flags: OpenFlags) {
        let fixed = self.flags() - OpenFlags::SETTABLE;
        self.flags.store((fixed | (flags & OpenFlags::SETTABLE)).bits(), Ordering::Relaxed);
    }

    /// Sets or clears O_NONBLOCK.
    pub(crate) fn set_nonblocking(&self, blocking: Blocking) {
        let bit = OpenFlags::O_NONBLOCK.bits();
        match blocking {
            Blocking::Never => self.flags.fetch_or(bit, Ordering::Relaxed),
            Blocking::Allowed => self.flags.fetch_and(!bit, Ordering::Relaxed),
        };
    }

    /// Whether operations must not wait.
    pub(crate) fn is_nonblocking(&self) -> bool {
        self.flags().contains(OpenFlags::O_NONBLOCK)
    }

    /// Whether writes go to the end.
    pub(crate) fn is_appending(&self) -> bool {
        self.flags().contains(OpenFlags::O_APPEND)
    }

    /// Whether it is only a place in the tree (O_PATH).
    pub(crate) fn is_path_only(&self) -> bool {
        self.flags().contains(OpenFlags::O_PATH)
    }

    /// EBADF unless it was opened for reading.
    pub(crate) fn check_readable(&self) -> Result<()> {
        if self.is_path_only() || !self.flags().access().can_read() {
            return Err(Error::new(Errno::EBADF, "not open for reading"));
        }
        Ok(())
    }

    /// EBADF unless it was opened for writing.
    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.is_path_only() || !self.flags().access().can_write() {
            return Err(Error::new(Errno::EBADF, "not open for writing"));
        }
        Ok(())
    }

    /// Reads at the position and moves it.
    pub(crate) fn read(&self, to: &mut Destination<'_>) -> Result<usize> {
        self.check_readable()?;
        let done = match self.operations.seeking() {
            Seeking::Position => self.operations.read(self, &mut self.offset.lock(), to),
            Seeking::Stream | Seeking::Nowhere => self.operations.read(self, &mut 0, to),
        };
        self.tell_transfer(done, InotifyMask::IN_ACCESS)
    }

    /// Writes at the position (or the end) and moves it.
    pub(crate) fn write(&self, from: &mut Source<'_>) -> Result<usize> {
        self.check_writable()?;
        let done = match self.operations.seeking() {
            Seeking::Position => self.write_position(&mut self.offset.lock(), from),
            Seeking::Stream | Seeking::Nowhere => self.operations.write(self, &mut 0, from),
        };
        self.tell_transfer(done, InotifyMask::IN_MODIFY)
    }

    /// Bytes were moved: those who watch the file hear of it.
    fn tell_transfer(&self, done: Result<usize>, mask: InotifyMask) -> Result<usize> {
        if done.is_ok_and(|done| done > 0) {
            inotify::tell(&self.path, mask);
        }
        done
    }

    /// Reads at a given offset (pread).
    pub(crate) fn read_at(&self, offset: u64, to: &mut Destination<'_>) -> Result<usize> {
        self.check_positional()?;
        self.check_readable()?;
        let done = self.operations.read(self, &mut { offset }, to);
        self.tell_transfer(done, InotifyMask::IN_ACCESS)
    }

    /// Writes at a given offset (pwrite); with O_APPEND at the end all the same, as on Linux.
    pub(crate) fn write_at(&self, offset: u64, from: &mut Source<'_>) -> Result<usize> {
        self.check_positional()?;
        self.check_writable()?;
        let done = self.write_position(&mut { offset }, from);
        self.tell_transfer(done, InotifyMask::IN_MODIFY)
    }

    fn write_position(&self, offset: &mut u64, from: &mut Source<'_>) -> Result<usize> {
        let done = self.operations.write(self, offset, from)?;
        let flags = self.flags();
        if flags.contains(OpenFlags::O_SYNC) {
            self.operations.sync(self, SyncScope::All)?;
        } else if flags.contains(OpenFlags::O_DSYNC) {
            self.operations.sync(self, SyncScope::Data)?;
        }
        Ok(done)
    }

    /// ESPIPE for files without a position, EBADF for O_PATH.
    pub(crate) fn check_positional(&self) -> Result<()> {
        if self.is_path_only() {
            return Err(Errno::EBADF.into());
        }
        match self.operations.seeking() {
            Seeking::Position | Seeking::Nowhere => Ok(()),
            Seeking::Stream => Err(Errno::ESPIPE.into()),
        }
    }

    /// The position, locked.
    pub(crate) fn offset(&self) -> crate::sync::MutexGuard<'_, u64> {
        self.offset.lock()
    }

    /// What is ready; see [`FileOperations::poll`].
    pub(crate) fn poll(&self, table: &mut PollTable<'_>) -> PollEvents {
        self.operations.poll(self, table)
    }
}

/// Whether an operation may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocking {
    /// It may.
    Allowed,
    /// EAGAIN instead.
    Never,
}

/// How many there are.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// How many open file descriptions there are (/proc/sys/fs/file-nr).
pub(crate) fn count() -> usize {
    COUNT.load(Ordering::Relaxed)
}

impl Drop for File {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::Relaxed);
        if !self.is_path_only() {
            let is_writer = self.flags().access().can_write();
            let mask = if is_writer { InotifyMask::IN_CLOSE_WRITE } else { InotifyMask::IN_CLOSE_NOWRITE };
            inotify::tell(&self.path, mask);
        }
        self.operations.release(self);
        if let Some(locks) = self.inode().state().locks.get() {
            locks.release_description(self);
        }
    }
}

/// What O_PATH opens: nothing can be done with it.
pub(super) struct PathOnly;

impl FileOperations for PathOnly {
    fn seeking(&self) -> Seeking {
        Seeking::Stream
    }

    fn poll(&self, _file: &File, _table: &mut PollTable<'_>) -> PollEvents {
        PollEvents::POLLNVAL
    }
}
