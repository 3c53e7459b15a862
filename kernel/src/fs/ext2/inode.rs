//! An ext2 inode as the VFS holds it.

use super::{Volume, convert, pages::FilePages};
use crate::{
    error::{Error, Result},
    fs::{
        acl::AccessList,
        directory::CURSOR_FIRST,
        file::Extent,
        inode::{
            AttributeChange, DirectoryEntry, FileKind, Growth, Inode, InodeState, Metadata, NewInode,
            NewKind, Ownership, Rename, RenameMode, SyncScope,
        },
        page_cache::PageCache,
        xattr::ExtendedAttributes,
    },
};
use abi::{errno::Errno, stat::DeviceNumber, time::Timespec};
use alloc::{sync::Arc, vec::Vec};
use core::ops::ControlFlow;
use core::sync::atomic::{AtomicBool, Ordering};
use ext2::{Attributes, Ino, Seek, SetAttributes, Timestamp, Unlinked};
use machine::sync::SpinLock;

/// The unit in which `st_blksize` says that reading is best.
const PREFERRED_BYTES: u32 = 4096;

/// An inode.
pub(super) struct Node {
    volume: Arc<Volume>,
    ino: Ino,
    kind: FileKind,
    state: InodeState,
    attributes: SpinLock<Attributes>,
    /// The contents of a regular file, and their home.
    contents: Option<(Arc<PageCache>, Arc<FilePages>)>,
    /// Its own access control list, if it has one.
    pub(super) access_list: SpinLock<Option<Arc<AccessList>>>,
    /// Another object stands for the same inode: nothing is to be done when this one goes.
    is_disowned: AtomicBool,
}

/// The file system's time as the kernel's.
fn from_timestamp(time: Timestamp) -> Timespec {
    Timespec { sec: time.seconds, nsec: time.nanoseconds.into() }
}

/// The kernel's time as the file system's.
pub(super) fn to_timestamp(time: Timespec) -> Timestamp {
    Timestamp { seconds: time.sec, nanoseconds: u32::try_from(time.nsec).unwrap_or(0) }
}

#[inline]
fn kind_of(kind: ext2::FileKind) -> FileKind {
    match kind {
        ext2::FileKind::Regular => FileKind::Regular,
        ext2::FileKind::Directory => FileKind::Directory,
        ext2::FileKind::CharDevice => FileKind::Character,
        ext2::FileKind::BlockDevice => FileKind::Block,
        ext2::FileKind::Fifo => FileKind::Fifo,
        ext2::FileKind::Socket => FileKind::Socket,
        ext2::FileKind::Symlink => FileKind::Link,
    }
}

fn special(device: DeviceNumber) -> ext2::DeviceNumber {
    ext2::DeviceNumber { major: device.major, minor: device.minor }
}

fn new_kind(kind: &NewKind) -> ext2::NewKind<'_> {
    match kind {
        NewKind::Regular => ext2::NewKind::Regular,
        NewKind::Directory => ext2::NewKind::Directory,
        NewKind::Link(target) => ext2::NewKind::Symlink(target),
        NewKind::Fifo => ext2::NewKind::Fifo,
        NewKind::Socket => ext2::NewKind::Socket,
        NewKind::Character(device) => ext2::NewKind::CharDevice(special(*device)),
        NewKind::Block(device) => ext2::NewKind::BlockDevice(special(*device)),
    }
}

fn new_inode(new: &NewInode) -> ext2::NewInode<'_> {
    ext2::NewInode {
        kind: new_kind(&new.kind),
        permissions: new.mode as u16 & 0o7777,
        uid: new.user,
        gid: new.group,
    }
}

impl Node {
    /// An inode with these attributes.
    pub(super) fn new(volume: Arc<Volume>, attributes: Attributes) -> Arc<Self> {
        let kind = kind_of(attributes.kind);
        let contents = (kind == FileKind::Regular).then(|| {
            let home = Arc::new(FilePages::new(volume.clone(), &attributes));
            (PageCache::new(home.clone(), attributes.size), home)
        });
        let access_list = Self::read_access_list(&volume, &attributes);
        Arc::new_cyclic(|node: &alloc::sync::Weak<Node>| {
            if let Some((pages, _)) = &contents {
                pages.set_owner(node.clone());
            }
            Self {
                volume,
                ino: attributes.ino,
                kind,
                state: InodeState::new(),
                attributes: SpinLock::new("ext2-attributes", attributes),
                contents,
                access_list: SpinLock::new("ext2-access-list", access_list),
                is_disowned: AtomicBool::new(false),
            }
        })
    }

    /// The file system that holds it.
    pub(super) fn volume(&self) -> &Arc<Volume> {
        &self.volume
    }

    /// What the crate knows it by.
    pub(super) fn ino(&self) -> Ino {
        self.ino
    }

    /// A copy of its attributes.
    pub(super) fn attributes(&self) -> Attributes {
        *self.attributes.lock()
    }

    /// Its number.
    pub(super) fn number(&self) -> u32 {
        self.ino.get()
    }

    /// See `is_disowned`.
    pub(super) fn disown(&self) {
        self.is_disowned.store(true, Ordering::Release);
    }

    /// Copies the attributes out of the crate again after they changed.
    pub(super) fn refresh(&self) {
        match self.volume.core.read_inode(self.ino) {
            Ok(attributes) => self.take_over(attributes),
            Err(error) => log::warn!("ext2: inode {}: {:?}", self.number(), error),
        }
    }

    fn take_over(&self, attributes: Attributes) {
        if let Some((_, home)) = &self.contents {
            home.note(&attributes);
        }
        *self.attributes.lock() = attributes;
    }

    /// Something below the crate is going to change.
    pub(super) fn changing(&self) {
        self.volume.note_change();
    }

    /// Takes note that an inode may have lost its last name.
    fn lost_name(&self, unlinked: Unlinked) {
        let Some(node) = self.volume.known(unlinked.ino.get()) else {
            // Nobody holds it: it goes now.
            if unlinked.is_last
                && let Err(error) = self.volume.core.drop_inode(unlinked.ino)
            {
                log::warn!("ext2: deleting inode {}: {error:?}", unlinked.ino.get());
            }
            return;
        };
        node.refresh();
        if let (true, Some((pages, _))) = (unlinked.is_last, &node.contents) {
            pages.abandon();
        }
    }

    fn contents(&self) -> Result<&(Arc<PageCache>, Arc<FilePages>)> {
        self.contents.as_ref().ok_or(Error::new(Errno::EINVAL, "not a regular file"))
    }

    fn ino_of(inode: &Arc<dyn Inode>) -> Result<Ino> {
        Ok(inode.downcast::<Node>().ok_or(Errno::EXDEV)?.ino)
    }
}

impl Inode for Node {
    fn metadata(&self) -> Metadata {
        let attributes = *self.attributes.lock();
        let device = attributes.device.unwrap_or_default();
        Metadata {
            device: self.volume.device,
            number: self.number().into(),
            kind: self.kind,
            mode: attributes.permissions.into(),
            links: attributes.links,
            user: attributes.uid,
            group: attributes.gid,
            special: DeviceNumber::new(device.major, device.minor),
            size: self.contents.as_ref().map_or(attributes.size, |(pages, _)| pages.size()),
            block_size: PREFERRED_BYTES,
            blocks: self.contents.as_ref().map_or(attributes.sectors, |(_, home)| home.sectors()),
            accessed: from_timestamp(attributes.accessed),
            modified: from_timestamp(attributes.modified),
            changed: from_timestamp(attributes.changed),
            created: attributes.created.map(from_timestamp),
        }
    }

    fn ownership(&self) -> Ownership {
        let attributes = self.attributes.lock();
        Ownership { mode: attributes.permissions.into(), user: attributes.uid, group: attributes.gid }
    }

    fn kind(&self) -> FileKind {
        self.kind
    }

    fn state(&self) -> &InodeState {
        &self.state
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<()> {
        self.changing();
        let changes = SetAttributes {
            permissions: change.mode.map(|mode| mode as u16 & 0o7777),
            uid: change.user,
            gid: change.group,
            accessed: change.accessed.map(to_timestamp),
            modified: change.modified.map(to_timestamp),
            flags: None,
        };
        let attributes = self.volume.core.set_attributes(self.ino, &changes).map_err(convert)?;
        self.take_over(attributes);
        Ok(())
    }

    fn truncate(&self, size: u64) -> Result<()> {
        let (pages, home) = self.contents()?;
        let outcome = pages.resize(size, || home.resize(size));
        self.refresh();
        outcome
    }

    fn allocate(&self, offset: u64, length: u64, growth: Growth) -> Result<()> {
        let (pages, home) = self.contents()?;
        let outcome = pages.preallocate(offset, length, growth, |range| home.preallocate(range));
        self.refresh();
        outcome
    }

    fn seek_extent(&self, offset: u64, wanted: Extent) -> Result<u64> {
        let (pages, _) = self.contents()?;
        if offset >= pages.size() {
            return Err(Errno::ENXIO.into());
        }
        // What is in memory only has no blocks yet.
        if pages.has_dirty() {
            pages.write_back()?;
        }
        let target = if wanted == Extent::Data { Seek::Data } else { Seek::Hole };
        let found = self.volume.core.seek(self.ino, offset, target).map_err(convert)?;
        Ok(found.ok_or(Errno::ENXIO)?.min(pages.size()))
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        let attributes = self.volume.core.lookup(self.ino, name).map_err(convert)?;
        Ok(self.volume.node(attributes))
    }

    fn create(&self, name: &[u8], new: &NewInode) -> Result<Arc<dyn Inode>> {
        self.changing();
        let attributes = self.volume.core.create(self.ino, name, &new_inode(new)).map_err(convert)?;
        self.refresh();
        Ok(self.volume.node(attributes))
    }

    fn create_unnamed(&self, new: &NewInode) -> Result<Arc<dyn Inode>> {
        self.changing();
        let attributes = self.volume.core.create_unnamed(self.ino, &new_inode(new)).map_err(convert)?;
        Ok(self.volume.node(attributes))
    }

    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        self.changing();
        let node = target.downcast::<Node>().ok_or(Errno::EXDEV)?;
        let attributes = self.volume.core.link(node.ino, self.ino, name).map_err(convert)?;
        node.take_over(attributes);
        self.refresh();
        Ok(())
    }

    fn unlink(&self, name: &[u8], _target: &Arc<dyn Inode>) -> Result<()> {
        self.changing();
        let unlinked = self.volume.core.unlink(self.ino, name).map_err(convert)?;
        self.lost_name(unlinked);
        self.refresh();
        Ok(())
    }

    fn remove_directory(&self, name: &[u8], _target: &Arc<dyn Inode>) -> Result<()> {
        self.changing();
        let unlinked = self.volume.core.rmdir(self.ino, name).map_err(convert)?;
        self.lost_name(unlinked);
        self.refresh();
        Ok(())
    }

    fn rename(&self, rename: &Rename<'_>) -> Result<()> {
        self.changing();
        let target = rename.new_directory.downcast::<Node>().ok_or(Errno::EXDEV)?;
        let mode = match rename.mode {
            RenameMode::Replace => ext2::RenameMode::Replace,
            RenameMode::Exchange => ext2::RenameMode::Exchange,
        };
        Node::ino_of(rename.moved)?;
        let unlinked = self
            .volume
            .core
            .rename(self.ino, rename.old_name, target.ino, rename.new_name, mode)
            .map_err(convert)?;
        if let Some(unlinked) = unlinked {
            self.lost_name(unlinked);
        }
        self.refresh();
        target.refresh();
        for inode in [Some(rename.moved), rename.replaced].into_iter().flatten() {
            if let Some(node) = inode.downcast::<Node>() {
                node.refresh();
            }
        }
        Ok(())
    }

    fn read_directory(&self, cursor: u64, visit: &mut dyn FnMut(&DirectoryEntry<'_>) -> bool) -> Result<()> {
        let start = cursor.saturating_sub(CURSOR_FIRST);
        let mut show = |entry: ext2::DirEntry<'_>| {
            if entry.name == b"." || entry.name == b".." {
                return ControlFlow::Continue(());
            }
            let kind = entry.kind.map_or_else(|| self.kind_of_entry(entry.ino), kind_of);
            let shown = DirectoryEntry {
                name: entry.name,
                number: entry.ino.get().into(),
                kind,
                next: entry.next.saturating_add(CURSOR_FIRST),
            };
            if visit(&shown) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        self.volume.core.read_dir(self.ino, start, &mut show).map_err(convert)?;
        Ok(())
    }

    fn resumes_reading(&self) -> bool {
        true
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        self.volume.core.readlink(self.ino).map_err(convert)
    }

    fn pages(&self) -> Option<&Arc<PageCache>> {
        self.contents.as_ref().map(|(pages, _)| pages)
    }

    fn extended(&self) -> Option<&dyn ExtendedAttributes> {
        Some(self)
    }

    fn sync(&self, _scope: SyncScope) -> Result<()> {
        if let Some((pages, _)) = &self.contents {
            pages.write_back()?;
        }
        self.volume.core.sync_inode(self.ino).map_err(convert)
    }
}

impl Node {
    /// Old directories do not tell the type of an entry.
    fn kind_of_entry(&self, ino: Ino) -> FileKind {
        self.volume.core.read_inode(ino).map_or(FileKind::Anonymous, |attributes| kind_of(attributes.kind))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.is_disowned.load(Ordering::Acquire) {
            return;
        }
        self.volume.forget(self);
        let was_deleted = self.attributes.lock().links == 0;
        if was_deleted {
            self.volume.note_change();
        }
        if let Err(error) = self.volume.core.drop_inode(self.ino) {
            log::warn!("ext2: letting inode {} go: {error:?}", self.number());
        }
    }
}
