//! A tmpfs inode of any type.

use super::{
    Volume,
    attributes::Extended,
    directory::{self, Names},
};
use crate::{
    error::{Error, Result},
    fs::{
        file::Extent,
        inode::{
            AttributeChange, DirectoryEntry, FileKind, Growth, Inode, InodeState, Metadata, NewInode,
            NewKind, Ownership, Rename, RenameMode, downcast_arc,
        },
        page_cache::PageCache,
        seals::Seals,
        time,
        xattr::ExtendedAttributes,
    },
};
use abi::{errno::Errno, stat::DeviceNumber, time::Timespec};
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::sync::atomic::Ordering;
use machine::{
    addr::PAGE_SIZE,
    sync::{Once, SpinLock},
};

/// An inode.
pub(in crate::fs) struct Node {
    volume: Arc<Volume>,
    number: u64,
    state: InodeState,
    attributes: SpinLock<Attributes>,
    content: Content,
    seals: Seals,
    /// Its extended attributes, once it has had one.
    extended: Once<Box<SpinLock<Extended>>>,
}

#[derive(Clone, Copy)]
struct Attributes {
    mode: u32,
    user: u32,
    group: u32,
    links: u32,
    accessed: Timespec,
    modified: Timespec,
    changed: Timespec,
    created: Timespec,
}

enum Content {
    Regular(Arc<PageCache>),
    Directory(SpinLock<Names>),
    Link(Vec<u8>),
    Character(DeviceNumber),
    Block(DeviceNumber),
    Fifo,
    Socket,
}

impl Node {
    /// An inode without a name.
    pub(super) fn new(volume: &Arc<Volume>, new: &NewInode) -> Result<Arc<Self>> {
        Volume::take(&volume.inodes, &volume.maximum_inodes)?;
        let content = match &new.kind {
            NewKind::Regular => Content::Regular(PageCache::new(volume.clone(), 0)),
            NewKind::Directory => Content::Directory(SpinLock::new("tmpfs-names", Names::default())),
            NewKind::Link(target) => Content::Link(target.clone()),
            NewKind::Fifo => Content::Fifo,
            NewKind::Socket => Content::Socket,
            NewKind::Character(device) => Content::Character(*device),
            NewKind::Block(device) => Content::Block(*device),
        };
        let now = time::now();
        let links = if new.kind.kind() == FileKind::Directory { 2 } else { 1 };
        let attributes = Attributes {
            mode: new.mode,
            user: new.user,
            group: new.group,
            links,
            accessed: now,
            modified: now,
            changed: now,
            created: now,
        };
        Ok(Arc::new(Self {
            volume: volume.clone(),
            number: volume.next_number.fetch_add(1, Ordering::Relaxed),
            state: InodeState::new(),
            attributes: SpinLock::new("tmpfs-attributes", attributes),
            content,
            seals: Seals::closed(),
            extended: Once::new(),
        }))
    }

    /// Its number.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    fn names(&self) -> Result<&SpinLock<Names>> {
        match &self.content {
            Content::Directory(names) => Ok(names),
            _ => Err(Errno::ENOTDIR.into()),
        }
    }

    /// Its extended attributes, if it ever had one.
    pub(super) fn extended_attributes(&self) -> Option<&SpinLock<Extended>> {
        self.extended.get().map(|extended| &**extended)
    }

    /// Its extended attributes, to set one.
    pub(super) fn make_extended_attributes(&self) -> &SpinLock<Extended> {
        self.extended.call_once(|| Box::new(SpinLock::new("tmpfs-extended", Extended::default())))
    }

    /// Something about it has changed, its contents have not.
    pub(super) fn touch_attributes(&self) {
        self.attributes.lock().changed = time::now();
    }

    fn change_links(&self, step: i32) {
        let mut attributes = self.attributes.lock();
        attributes.links = attributes.links.saturating_add_signed(step);
        attributes.changed = time::now();
    }

    fn touch_names(&self) {
        let mut attributes = self.attributes.lock();
        attributes.modified = time::now();
        attributes.changed = attributes.modified;
    }

    /// Adds a name for a node that is new or has one more link already.
    fn add(&self, name: &[u8], node: Arc<Node>) -> Result<()> {
        if node.kind() == FileKind::Directory {
            self.change_links(1);
        }
        let replaced = self.names()?.lock().insert(name, node);
        debug_assert!(replaced.is_none(), "the VFS has looked the name up");
        self.touch_names();
        Ok(())
    }

    /// Takes a name away without looking at links.
    fn take(&self, name: &[u8]) -> Result<Arc<Node>> {
        let taken = self.names()?.lock().remove(name).ok_or(Errno::ENOENT)?;
        if taken.kind() == FileKind::Directory {
            self.change_links(-1);
        }
        self.touch_names();
        Ok(taken)
    }

    /// A file or an empty directory loses a name.
    fn lose_name(&self) {
        let is_directory = self.kind() == FileKind::Directory;
        self.change_links(if is_directory { -2 } else { -1 });
    }

    fn is_empty_directory(&self) -> bool {
        self.names().is_ok_and(|names| names.lock().is_empty())
    }

    /// The node of a name that must be there.
    fn find(&self, name: &[u8]) -> Result<Arc<Node>> {
        let names = self.names()?.lock();
        Ok(names.get(name).ok_or(Errno::ENOENT)?.clone())
    }

    fn exchange(&self, rename: &Rename<'_>, target: &Node) -> Result<()> {
        let (mine, other) = (self.take(rename.old_name)?, target.take(rename.new_name)?);
        self.add(rename.old_name, other)?;
        target.add(rename.new_name, mine)
    }
}

impl Inode for Node {
    fn ownership(&self) -> Ownership {
        let attributes = self.attributes.lock();
        Ownership { mode: attributes.mode, user: attributes.user, group: attributes.group }
    }

    fn metadata(&self) -> Metadata {
        let attributes = *self.attributes.lock();
        let (size, pages) = match &self.content {
            Content::Regular(pages) => (pages.size(), pages.resident_pages()),
            Content::Link(target) => (target.len() as u64, 0),
            _ => (0, 0),
        };
        let special = match self.content {
            Content::Character(device) | Content::Block(device) => device,
            _ => DeviceNumber::default(),
        };
        Metadata {
            device: self.volume.device,
            number: self.number,
            kind: self.kind(),
            mode: attributes.mode,
            links: attributes.links,
            user: attributes.user,
            group: attributes.group,
            special,
            size,
            block_size: PAGE_SIZE as u32,
            blocks: pages * (PAGE_SIZE as u64 / 512),
            accessed: attributes.accessed,
            modified: attributes.modified,
            changed: attributes.changed,
            created: Some(attributes.created),
        }
    }

    fn kind(&self) -> FileKind {
        match self.content {
            Content::Regular(_) => FileKind::Regular,
            Content::Directory(_) => FileKind::Directory,
            Content::Link(_) => FileKind::Link,
            Content::Character(_) => FileKind::Character,
            Content::Block(_) => FileKind::Block,
            Content::Fifo => FileKind::Fifo,
            Content::Socket => FileKind::Socket,
        }
    }

    fn state(&self) -> &InodeState {
        &self.state
    }

    fn seals(&self) -> Option<&Seals> {
        matches!(self.content, Content::Regular(_)).then_some(&self.seals)
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<()> {
        let mut attributes = self.attributes.lock();
        self.seals.check_mode(attributes.mode, change.mode.unwrap_or(attributes.mode))?;
        attributes.mode = change.mode.unwrap_or(attributes.mode);
        attributes.user = change.user.unwrap_or(attributes.user);
        attributes.group = change.group.unwrap_or(attributes.group);
        attributes.accessed = change.accessed.unwrap_or(attributes.accessed);
        attributes.modified = change.modified.unwrap_or(attributes.modified);
        attributes.changed = change.changed.unwrap_or(attributes.changed);
        Ok(())
    }

    fn truncate(&self, size: u64) -> Result<()> {
        let pages = self.pages().ok_or(Errno::EINVAL)?;
        self.seals.check_resize(pages.size(), size)?;
        pages.resize(size, || Ok(()))
    }

    fn allocate(&self, offset: u64, length: u64, growth: Growth) -> Result<()> {
        let pages = self.pages().ok_or(Errno::EINVAL)?;
        let end = offset.saturating_add(length);
        self.seals.check_resize(pages.size(), pages.size().max(end))?;
        pages.make_range(offset, length)?;
        if growth == Growth::ToEnd {
            pages.grow_to(end);
        }
        Ok(())
    }

    fn punch_hole(&self, offset: u64, length: u64) -> Result<()> {
        self.seals.check_store()?;
        self.pages().ok_or(Errno::EINVAL)?.punch_hole(offset, length, || Ok(()))
    }

    fn seek_extent(&self, offset: u64, wanted: Extent) -> Result<u64> {
        let pages = self.pages().ok_or(Errno::EINVAL)?;
        Ok(pages.seek_cached(offset, wanted).ok_or(Errno::ENXIO)?)
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        Ok(self.find(name)?)
    }

    fn create(&self, name: &[u8], new: &NewInode) -> Result<Arc<dyn Inode>> {
        self.names()?;
        let node = Node::new(&self.volume, new)?;
        self.add(name, node.clone())?;
        Ok(node)
    }

    fn create_unnamed(&self, new: &NewInode) -> Result<Arc<dyn Inode>> {
        let node = Node::new(&self.volume, new)?;
        node.change_links(-1);
        Ok(node)
    }

    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        let node = downcast_arc::<Node>(target).ok_or(Errno::EXDEV)?;
        node.change_links(1);
        self.add(name, node)
    }

    fn unlink(&self, name: &[u8], _target: &Arc<dyn Inode>) -> Result<()> {
        self.take(name)?.lose_name();
        Ok(())
    }

    fn remove_directory(&self, name: &[u8], _target: &Arc<dyn Inode>) -> Result<()> {
        if !self.find(name)?.is_empty_directory() {
            return Err(Errno::ENOTEMPTY.into());
        }
        self.take(name)?.lose_name();
        Ok(())
    }

    fn rename(&self, rename: &Rename<'_>) -> Result<()> {
        let target: &Node = rename.new_directory.downcast().ok_or(Errno::EXDEV)?;
        if rename.mode == RenameMode::Exchange {
            return self.exchange(rename, target);
        }
        if rename.replaced.is_some() {
            let replaced = target.find(rename.new_name)?;
            if replaced.kind() == FileKind::Directory && !replaced.is_empty_directory() {
                return Err(Error::new(Errno::ENOTEMPTY, "the directory to be replaced has names in it"));
            }
            target.take(rename.new_name)?.lose_name();
        }
        let moved = self.take(rename.old_name)?;
        moved.change_links(0);
        target.add(rename.new_name, moved)
    }

    fn read_directory(&self, cursor: u64, visit: &mut dyn FnMut(&DirectoryEntry<'_>) -> bool) -> Result<()> {
        let names = self.names()?;
        let mut cursor = cursor;
        loop {
            let next = names.lock().next(cursor);
            let Some((at, name, node)) = next else { return Ok(()) };
            if !visit(&directory::entry(at, &name, &node)) {
                return Ok(());
            }
            cursor = at + 1;
        }
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        match &self.content {
            Content::Link(target) => Ok(target.clone()),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    fn extended(&self) -> Option<&dyn ExtendedAttributes> {
        Some(self)
    }

    fn is_valid(&self) -> bool {
        self.attributes.lock().links > 0
    }

    fn pages(&self) -> Option<&Arc<PageCache>> {
        match &self.content {
            Content::Regular(pages) => Some(pages),
            _ => None,
        }
    }
}

impl Drop for Node {
    /// Takes a tree apart by a loop: recursion would use as much stack as it is deep.
    fn drop(&mut self) {
        self.volume.inodes.fetch_sub(1, Ordering::AcqRel);
        let Content::Directory(names) = &mut self.content else { return };
        let mut pending: Vec<Arc<Node>> = names.get_mut().take_all().collect();
        while let Some(node) = pending.pop() {
            if let Some(mut last) = Arc::into_inner(node)
                && let Content::Directory(names) = &mut last.content
            {
                pending.extend(names.get_mut().take_all());
            }
        }
    }
}
