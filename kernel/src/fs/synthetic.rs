//! The core of procfs and sysfs: files whose contents are made when they are read.
//!
//! What a node is, is said by one of three small traits; [`Node`] is the inode around it. Inode numbers come
//! from the path, so that they are the same each time a node is made. Nodes are made anew for each lookup that the
//! dentry cache does not answer.

use super::{
    file::{File, FileOperations, OpenFlags},
    inode::{AttributeChange, DirectoryEntry, FileKind, Inode, InodeState, Link, Metadata, NewInode},
    io::{Destination, Source},
    time,
};
use crate::{
    error::{Error, Result},
    sync::Mutex,
};
use abi::{errno::Errno, stat::DeviceNumber, time::Timespec};
use alloc::{sync::Arc, vec::Vec};

/// The longest text that can be written to a file at once.
const WRITE_LIMIT: usize = 4096;

/// A directory.
pub(super) trait Directory: Send + Sync {
    /// What a name stands for; ENOENT.
    fn lookup(&self, name: &[u8]) -> Result<Item>;

    /// Visits cursors (from 2 on, ascending), names and types from a cursor on, until told to stop.
    fn list(&self, from: u64, visit: &mut dyn FnMut(u64, &[u8], FileKind) -> bool);

    /// Whether it still stands for something.
    fn is_valid(&self) -> bool {
        true
    }

    /// How many directories are in it, as far as `st_nlink` tells.
    fn subdirectories(&self) -> u32 {
        0
    }
}

/// A file.
pub(super) trait Text: Send + Sync {
    /// Its contents now.
    fn read(&self) -> Result<Vec<u8>>;

    /// Takes what is written to it.
    fn write(&self, _text: &[u8]) -> Result<()> {
        Err(Errno::EACCES.into())
    }

    /// Its length as stat(2) tells it.
    fn size(&self) -> u64 {
        0
    }

    /// Whether it still stands for something.
    fn is_valid(&self) -> bool {
        true
    }
}

/// A symbolic link.
pub(super) trait SymbolicLink: Send + Sync {
    /// Its text.
    fn read(&self) -> Result<Vec<u8>>;

    /// Where it leads, if not to the path in its text.
    fn follow(&self) -> Result<Link> {
        self.read().map(Link::Text)
    }
}

/// What a name stands for.
pub(super) enum Content {
    /// A directory.
    Directory(Arc<dyn Directory>),
    /// A file.
    Text(Arc<dyn Text>),
    /// A file with operations of its own, which keep nothing for an open file.
    File(Arc<dyn FileOperations>),
    /// A link.
    Link(Arc<dyn SymbolicLink>),
}

/// Content with owner and permissions.
pub(super) struct Item {
    /// What it is.
    pub(super) content: Content,
    /// Permission bits.
    pub(super) mode: u32,
    /// User and group.
    pub(super) owner: (u32, u32),
}

impl Item {
    /// Root's directory that all may list.
    pub(super) fn directory(directory: impl Directory + 'static) -> Self {
        Self { content: Content::Directory(Arc::new(directory)), mode: 0o555, owner: (0, 0) }
    }

    /// Root's file.
    pub(super) fn text(text: impl Text + 'static, mode: u32) -> Self {
        Self { content: Content::Text(Arc::new(text)), mode, owner: (0, 0) }
    }

    /// A link.
    pub(super) fn link(link: impl SymbolicLink + 'static) -> Self {
        Self { content: Content::Link(Arc::new(link)), mode: 0o777, owner: (0, 0) }
    }

    /// The same, of another owner.
    pub(super) fn owned_by(self, owner: (u32, u32)) -> Self {
        Self { owner, ..self }
    }

    /// The same with other permissions.
    pub(super) fn with_mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }
}

/// A name that takes a link's text from a closure.
pub(super) struct LinkTo<F>(pub(super) F);

impl<F: Fn() -> Result<Vec<u8>> + Send + Sync> SymbolicLink for LinkTo<F> {
    fn read(&self) -> Result<Vec<u8>> {
        (self.0)()
    }
}

/// A file whose text a closure makes.
pub(super) struct Shown<F>(pub(super) F);

impl<F: Fn() -> Result<Vec<u8>> + Send + Sync> Text for Shown<F> {
    fn read(&self) -> Result<Vec<u8>> {
        (self.0)()
    }
}

/// The inode.
pub(super) struct Node {
    device: DeviceNumber,
    number: u64,
    item: Item,
    created: Timespec,
    state: InodeState,
}

impl Node {
    /// The root directory of a file system.
    pub(super) fn root(device: DeviceNumber, directory: impl Directory + 'static) -> Arc<Self> {
        Self::new(device, 1, Item::directory(directory))
    }

    fn new(device: DeviceNumber, number: u64, item: Item) -> Arc<Self> {
        Arc::new(Self { device, number, item, created: time::now(), state: InodeState::new() })
    }

    /// The number of a child: from this one's and the name (FNV-1a).
    fn child_number(&self, name: &[u8]) -> u64 {
        let start = 0xcbf2_9ce4_8422_2325 ^ self.number;
        let hash =
            name.iter().fold(start, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        // Below the numbers that 32-bit programs choke on, and never the root's.
        (hash ^ (hash >> 32)) & 0x7fff_ffff | 2
    }

    fn directory(&self) -> Result<&Arc<dyn Directory>> {
        match &self.item.content {
            Content::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR.into()),
        }
    }
}

impl Inode for Node {
    fn metadata(&self) -> Metadata {
        let (size, links) = match &self.item.content {
            Content::Directory(directory) => (0, 2 + directory.subdirectories()),
            Content::Text(text) => (text.size(), 1),
            Content::File(_) | Content::Link(_) => (0, 1),
        };
        Metadata {
            device: self.device,
            number: self.number,
            kind: self.kind(),
            mode: self.item.mode,
            links,
            user: self.item.owner.0,
            group: self.item.owner.1,
            special: DeviceNumber::default(),
            size,
            block_size: 4096,
            blocks: 0,
            accessed: self.created,
            modified: self.created,
            changed: self.created,
            created: None,
        }
    }

    fn kind(&self) -> FileKind {
        match self.item.content {
            Content::Directory(_) => FileKind::Directory,
            Content::Text(_) | Content::File(_) => FileKind::Regular,
            Content::Link(_) => FileKind::Link,
        }
    }

    fn state(&self) -> &InodeState {
        &self.state
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<()> {
        // Writing to a file "changes" it, which nobody keeps; owner and mode are fixed.
        if change.mode.is_some() || change.user.is_some() || change.group.is_some() {
            return Err(Errno::EPERM.into());
        }
        Ok(())
    }

    fn truncate(&self, _size: u64) -> Result<()> {
        // Opening with O_TRUNC comes before writing a new value.
        Ok(())
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        let item = self.directory()?.lookup(name)?;
        Ok(Node::new(self.device, self.child_number(name), item))
    }

    fn create(&self, _name: &[u8], _new: &NewInode) -> Result<Arc<dyn Inode>> {
        Err(Error::new(Errno::ENOENT, "nothing can be created here"))
    }

    fn read_directory(&self, cursor: u64, visit: &mut dyn FnMut(&DirectoryEntry<'_>) -> bool) -> Result<()> {
        self.directory()?.list(cursor, &mut |at, name, kind| {
            visit(&DirectoryEntry { name, number: self.child_number(name), kind, next: at + 1 })
        });
        Ok(())
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        match &self.item.content {
            Content::Link(link) => link.read(),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    fn follow_link(&self) -> Result<Link> {
        match &self.item.content {
            Content::Link(link) => link.follow(),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    fn is_valid(&self) -> bool {
        match &self.item.content {
            Content::Directory(directory) => directory.is_valid(),
            Content::Text(text) => text.is_valid(),
            // Who they lead to changes.
            Content::File(_) | Content::Link(_) => false,
        }
    }

    fn open(self: Arc<Self>, _flags: OpenFlags) -> Result<Option<Arc<dyn FileOperations>>> {
        match &self.item.content {
            Content::Text(text) => {
                let shown = Mutex::new("synthetic-text", None);
                Ok(Some(Arc::new(OpenText { text: text.clone(), shown })))
            }
            Content::File(operations) => Ok(Some(operations.clone())),
            _ => Ok(None),
        }
    }
}

/// An open file: the text as it was when reading began.
struct OpenText {
    text: Arc<dyn Text>,
    shown: Mutex<Option<Vec<u8>>>,
}

impl FileOperations for OpenText {
    fn read(&self, _file: &File, offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        let mut shown = self.shown.lock();
        if *offset == 0 || shown.is_none() {
            *shown = Some(self.text.read()?);
        }
        let text = shown.as_deref().unwrap_or_default();
        let start = usize::try_from(*offset).unwrap_or(usize::MAX).min(text.len());
        let done = to.write(&text[start..])?;
        *offset += done as u64;
        Ok(done)
    }

    fn write(&self, _file: &File, offset: &mut u64, from: &mut Source<'_>) -> Result<usize> {
        if from.remaining() > WRITE_LIMIT {
            return Err(Errno::EINVAL.into());
        }
        let mut text = alloc::vec![0; from.remaining()];
        let done = from.read(&mut text)?;
        self.text.write(&text[..done])?;
        *offset += done as u64;
        Ok(done)
    }
}
