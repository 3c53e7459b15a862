//! Inodes: what a file system gives to the rest of the kernel.
//!
//! A file system hands out one `Arc<dyn Inode>` per inode as long as anybody holds it, so two references
//! to the same file are the same object. The VFS does what is common to all of them: names are looked up
//! through the dentry cache, permissions and read-only mounts are checked before an inode is asked, and
//! the directory lock ([`InodeState::directory`]) is held around every call that reads or changes the
//! names of a directory. An implementation needs to guard only its own data.

use super::{dentry::Path, file::FileOperations, page_cache::PageCache, seals::Seals};
use crate::{
    error::{Error, Result},
    sync::Mutex,
};
use abi::{errno::Errno, stat::DeviceNumber, time::Timespec};
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::any::Any;
use machine::sync::{Once, SpinLock};

/// Longest name in a directory, in bytes.
pub(crate) const NAME_MAX: usize = 255;
/// Longest path that a program may give, with its NUL.
pub(crate) const PATH_MAX: usize = 4096;

/// The type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A named pipe, or an unnamed one.
    Fifo,
    /// A character device.
    Character,
    /// A directory.
    Directory,
    /// A block device.
    Block,
    /// A regular file.
    Regular,
    /// A symbolic link.
    Link,
    /// A socket.
    Socket,
    /// What only a descriptor stands for: eventfd, epoll and the like.
    Anonymous,
}

impl FileKind {
    /// The type bits of `st_mode`.
    pub(crate) const fn mode_bits(self) -> u32 {
        match self {
            Self::Fifo => 0o010000,
            Self::Character => 0o020000,
            Self::Directory => 0o040000,
            Self::Block => 0o060000,
            Self::Regular => 0o100000,
            Self::Link => 0o120000,
            Self::Socket => 0o140000,
            Self::Anonymous => 0,
        }
    }

    /// The type that the type bits of `mode` name; no type bits mean a regular file (mknod(2)).
    pub(crate) const fn from_mode(mode: u32) -> Option<Self> {
        Some(match mode & 0o170000 {
            0o010000 => Self::Fifo,
            0o020000 => Self::Character,
            0o040000 => Self::Directory,
            0o060000 => Self::Block,
            0 | 0o100000 => Self::Regular,
            0o120000 => Self::Link,
            0o140000 => Self::Socket,
            _ => return None,
        })
    }

    /// `d_type` of getdents64(2).
    #[inline]
    pub(crate) const fn directory_type(self) -> u8 {
        (self.mode_bits() >> 12) as u8
    }
}

/// What stat(2) tells of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metadata {
    /// The file system that holds it.
    pub(crate) device: DeviceNumber,
    /// Its number there.
    pub(crate) number: u64,
    /// Its type.
    pub(crate) kind: FileKind,
    /// Permission bits with set-user-ID, set-group-ID and sticky: `0o7777`.
    pub(crate) mode: u32,
    /// Number of names.
    pub(crate) links: u32,
    /// Owner.
    pub(crate) user: u32,
    /// Group.
    pub(crate) group: u32,
    /// For device files, the device that it stands for.
    pub(crate) special: DeviceNumber,
    /// Length in bytes.
    pub(crate) size: u64,
    /// The unit in which reading is best.
    pub(crate) block_size: u32,
    /// Space that it takes, in units of 512 bytes.
    pub(crate) blocks: u64,
    /// Last read.
    pub(crate) accessed: Timespec,
    /// Last change of the contents.
    pub(crate) modified: Timespec,
    /// Last change of the inode.
    pub(crate) changed: Timespec,
    /// Creation, where the file system keeps it.
    pub(crate) created: Option<Timespec>,
}

/// What decides who may do what with a file; it is asked for far more often than the rest of [`Metadata`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ownership {
    /// Permission bits with set-user-ID, set-group-ID and sticky: `0o7777`.
    pub(crate) mode: u32,
    /// Owner.
    pub(crate) user: u32,
    /// Group.
    pub(crate) group: u32,
}

impl From<Metadata> for Ownership {
    fn from(metadata: Metadata) -> Self {
        Self { mode: metadata.mode, user: metadata.user, group: metadata.group }
    }
}

/// What chmod, chown and utimensat change; `None` leaves a value alone.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AttributeChange {
    /// Permission bits.
    pub(crate) mode: Option<u32>,
    /// Owner.
    pub(crate) user: Option<u32>,
    /// Group.
    pub(crate) group: Option<u32>,
    /// Last read.
    pub(crate) accessed: Option<Timespec>,
    /// Last change of the contents.
    pub(crate) modified: Option<Timespec>,
    /// Last change of the inode.
    pub(crate) changed: Option<Timespec>,
}

/// What a new name stands for.
#[derive(Clone, Debug)]
pub(crate) enum NewKind {
    /// An empty regular file.
    Regular,
    /// An empty directory.
    Directory,
    /// A symbolic link with its target.
    Link(Vec<u8>),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    Character(DeviceNumber),
    /// A block device.
    Block(DeviceNumber),
}

impl NewKind {
    /// The type of the file.
    pub(crate) fn kind(&self) -> FileKind {
        match self {
            Self::Regular => FileKind::Regular,
            Self::Directory => FileKind::Directory,
            Self::Link(_) => FileKind::Link,
            Self::Fifo => FileKind::Fifo,
            Self::Socket => FileKind::Socket,
            Self::Character(_) => FileKind::Character,
            Self::Block(_) => FileKind::Block,
        }
    }
}

/// An inode to be created.
#[derive(Clone, Debug)]
pub(crate) struct NewInode {
    /// What it is.
    pub(crate) kind: NewKind,
    /// Permission bits, the umask already applied.
    pub(crate) mode: u32,
    /// Owner.
    pub(crate) user: u32,
    /// Group.
    pub(crate) group: u32,
}

/// One name in a directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DirectoryEntry<'a> {
    /// The name.
    pub(crate) name: &'a [u8],
    /// The inode's number.
    pub(crate) number: u64,
    /// Its type.
    pub(crate) kind: FileKind,
    /// The cursor that continues behind this entry.
    pub(crate) next: u64,
}

/// Where a symbolic link leads.
pub(crate) enum Link {
    /// A path, to be walked from the link's directory.
    Text(Vec<u8>),
    /// Straight to an object (`/proc/self/fd/3`); the text of the link is for readlink(2) only.
    Jump(Path),
}

/// How a name replaces another in [`Inode::rename`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RenameMode {
    /// The target name, if there is one, is replaced.
    Replace,
    /// Both names exist and change places.
    Exchange,
}

/// What the VFS keeps with each inode; a file system embeds it and does not look inside.
pub(crate) struct InodeState {
    /// Held around every call that reads or changes the names in this directory.
    pub(crate) directory: Mutex<()>,
    /// Record locks and flock(2) locks.
    pub(crate) locks: Once<Arc<super::lock::LockTable>>,
    /// The pipe behind a FIFO, while it is open.
    pub(crate) fifo: SpinLock<alloc::sync::Weak<super::pipe::Pipe>>,
    /// The socket that is bound to this name.
    pub(crate) socket: SpinLock<alloc::sync::Weak<crate::net::UnixSocket>>,
    /// How many descriptions have it open for writing, less how many programs run from it (ETXTBSY).
    pub(crate) writers: super::open::WriterCount,
    /// Who is told what happens to it.
    pub(super) watches: Once<Box<super::inotify::Watches>>,
}

impl InodeState {
    /// The state of an inode that nobody uses.
    pub(crate) fn new() -> Self {
        Self::of_class("fs-directory")
    }

    /// The same, of an inode whose operations use the names of other file systems, which may do that too if `depth` is 2.
    pub(super) fn stacked(depth: u32) -> Self {
        Self::of_class(if depth > 1 { "overlay-directory-above" } else { "overlay-directory" })
    }

    fn of_class(directory: &'static str) -> Self {
        Self {
            directory: Mutex::new(directory, ()),
            locks: Once::new(),
            fifo: SpinLock::new("fs-fifo", alloc::sync::Weak::new()),
            socket: SpinLock::new("fs-socket", alloc::sync::Weak::new()),
            writers: super::open::WriterCount::new(),
            watches: Once::new(),
        }
    }
}

/// What a name stands for, and how the directory spells the name if that is another way.
pub(crate) type Spelt = (Arc<dyn Inode>, Option<Vec<u8>>);

/// An inode. The defaults answer what a file without that ability answers.
pub(crate) trait Inode: Any + Send + Sync {
    /// What stat(2) tells.
    fn metadata(&self) -> Metadata;

    /// The part of [`metadata`](Self::metadata) that permissions depend on.
    fn ownership(&self) -> Ownership {
        self.metadata().into()
    }

    /// The type; it never changes.
    fn kind(&self) -> FileKind;

    /// The VFS's part.
    fn state(&self) -> &InodeState;

    /// Changes attributes. The caller has checked who may.
    fn set_attributes(&self, _change: &AttributeChange) -> Result<()> {
        Err(Error::new(Errno::EPERM, "attributes of this file cannot be changed"))
    }

    /// What may no longer be done to it, if it can be sealed.
    fn seals(&self) -> Option<&Seals> {
        None
    }

    /// Changes the length of a regular file, freeing or adding (a hole) at its end.
    fn truncate(&self, _size: u64) -> Result<()> {
        Err(Error::new(Errno::EINVAL, "this file has no length to change"))
    }

    /// Makes sure that a range of a regular file has space on the disk, and reads as zeros where there was nothing
    /// (fallocate(2), mode 0 or FALLOC_FL_KEEP_SIZE).
    fn allocate(&self, _offset: u64, _length: u64, _growth: Growth) -> Result<()> {
        Err(Error::new(Errno::EOPNOTSUPP, "this file system does not allocate ahead"))
    }

    /// Frees a range of a regular file, which then reads as zeros (FALLOC_FL_PUNCH_HOLE).
    fn punch_hole(&self, _offset: u64, _length: u64) -> Result<()> {
        Err(Error::new(Errno::EOPNOTSUPP, "this file system has no holes"))
    }

    /// The inode behind a name; ENOENT. Never asked for "." and "..".
    fn lookup(&self, _name: &[u8]) -> Result<Arc<dyn Inode>> {
        Err(Errno::ENOTDIR.into())
    }

    /// The part of a name that counts in this directory: FAT drops dots at the end.
    fn counting_part<'a>(&self, name: &'a [u8]) -> &'a [u8] {
        name
    }

    /// [`lookup`](Self::lookup), with the name as the directory has it where that may differ ([`NameCaching::Spellings`]).
    ///
    /// [`NameCaching::Spellings`]: super::file_system::NameCaching::Spellings
    fn lookup_spelt(&self, name: &[u8]) -> Result<Spelt> {
        self.lookup(name).map(|found| (found, None))
    }

    /// Creates an inode under a name that does not exist.
    fn create(&self, _name: &[u8], _new: &NewInode) -> Result<Arc<dyn Inode>> {
        Err(Error::new(Errno::EPERM, "nothing can be created here"))
    }

    /// Creates a regular file without a name (O_TMPFILE).
    fn create_unnamed(&self, _new: &NewInode) -> Result<Arc<dyn Inode>> {
        Err(Error::new(Errno::EOPNOTSUPP, "no unnamed files on this file system"))
    }

    /// Gives `target`, an inode of the same file system and no directory, another name.
    fn link(&self, _name: &[u8], _target: &Arc<dyn Inode>) -> Result<()> {
        Err(Error::new(Errno::EPERM, "no hard links on this file system"))
    }

    /// Removes a name that stands for `target`, no directory.
    fn unlink(&self, _name: &[u8], _target: &Arc<dyn Inode>) -> Result<()> {
        Err(Errno::EPERM.into())
    }

    /// Removes the directory `target`; ENOTEMPTY.
    fn remove_directory(&self, _name: &[u8], _target: &Arc<dyn Inode>) -> Result<()> {
        Err(Errno::EPERM.into())
    }

    /// Moves a name within the file system. The VFS has checked types, loops and permissions;
    /// with [`RenameMode::Replace`], `replaced` is what `new_name` stands for now: it loses that name
    /// (ENOTEMPTY if it is a directory with names in it).
    fn rename(&self, _rename: &Rename<'_>) -> Result<()> {
        Err(Errno::EPERM.into())
    }

    /// Calls `visit` for each name from the cursor on (0: the start), "." and ".." excluded, until it
    /// answers `false`. A name that is there all the time is seen exactly once, whatever happens to others.
    /// Cursors start at 2 and stay valid while the directory lives.
    fn read_directory(
        &self,
        _cursor: u64,
        _visit: &mut dyn FnMut(&DirectoryEntry<'_>) -> bool,
    ) -> Result<()> {
        Err(Errno::ENOTDIR.into())
    }

    /// Whether [`read_directory`](Self::read_directory) goes on where the last call ended without reading anything again.
    fn resumes_reading(&self) -> bool {
        false
    }

    /// The next offset that holds data or lies in a hole (SEEK_DATA, SEEK_HOLE); ENXIO behind the end.
    fn seek_extent(&self, offset: u64, wanted: super::file::Extent) -> Result<u64> {
        let end = self.metadata().size;
        match wanted {
            _ if offset >= end => Err(Errno::ENXIO.into()),
            super::file::Extent::Data => Ok(offset),
            super::file::Extent::Hole => Ok(end),
        }
    }

    /// The text of a symbolic link.
    fn read_link(&self) -> Result<Vec<u8>> {
        Err(Errno::EINVAL.into())
    }

    /// Where following a symbolic link leads.
    fn follow_link(&self) -> Result<Link> {
        self.read_link().map(Link::Text)
    }

    /// What reads and writes it once it is open. Regular files with pages, directories, FIFOs and device
    /// files need no answer of their own: `None` chooses by type.
    fn open(self: Arc<Self>, _flags: super::file::OpenFlags) -> Result<Option<Arc<dyn FileOperations>>> {
        Ok(None)
    }

    /// The cached contents of a regular file.
    fn pages(&self) -> Option<&Arc<PageCache>> {
        None
    }

    /// Its extended attributes, where its file system can keep some.
    fn extended(&self) -> Option<&dyn super::xattr::ExtendedAttributes> {
        None
    }

    /// Looks at what others may have changed (size, times, contents), where there are others. For stat(2) of what was not just
    /// looked up by its name.
    fn refresh(&self) {}

    /// Whether the name that led here still does, where names come and go by themselves (/proc, shared folders). May sleep.
    fn is_valid(&self) -> bool {
        true
    }

    /// Writes the inode and its contents to the disk; `data_only` leaves out what is not needed to read
    /// the contents back (fdatasync).
    fn sync(&self, _scope: SyncScope) -> Result<()> {
        Ok(())
    }
}

/// What happens to a file when space behind its end is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Growth {
    /// Its size stays (FALLOC_FL_KEEP_SIZE).
    None,
    /// It grows to the end of that space.
    ToEnd,
}

/// What a synchronisation covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncScope {
    /// Contents and what is needed to read them back.
    Data,
    /// Everything.
    All,
}

/// The arguments of [`Inode::rename`], which is called on the old directory.
pub(crate) struct Rename<'a> {
    /// The name that goes.
    pub(crate) old_name: &'a [u8],
    /// What it stands for.
    pub(crate) moved: &'a Arc<dyn Inode>,
    /// The directory that gets the name; may be the same.
    pub(crate) new_directory: &'a Arc<dyn Inode>,
    /// The name that comes.
    pub(crate) new_name: &'a [u8],
    /// What it stands for now.
    pub(crate) replaced: Option<&'a Arc<dyn Inode>>,
    /// Replace or exchange.
    pub(crate) mode: RenameMode,
}

impl dyn Inode {
    /// Whether both are the same inode.
    pub(crate) fn is_same(self: &Arc<Self>, other: &Arc<dyn Inode>) -> bool {
        core::ptr::addr_eq(Arc::as_ptr(self), Arc::as_ptr(other))
    }

    /// This inode as the type that its file system knows it by.
    pub(crate) fn downcast<T: Inode>(&self) -> Option<&T> {
        (self as &dyn Any).downcast_ref::<T>()
    }

    /// A directory?
    pub(crate) fn is_directory(&self) -> bool {
        self.kind() == FileKind::Directory
    }

    /// A symbolic link?
    pub(crate) fn is_link(&self) -> bool {
        self.kind() == FileKind::Link
    }
}

/// This inode, shared, as the type that its file system knows it by.
pub(crate) fn downcast_arc<T: Inode>(inode: &Arc<dyn Inode>) -> Option<Arc<T>> {
    let any: Arc<dyn Any + Send + Sync> = inode.clone();
    any.downcast::<T>().ok()
}
