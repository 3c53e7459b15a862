//! An inode of an overlay: what it says and does is said and done by the file on the uppermost layer that has it.

use super::{
    Volume,
    directory::Listing,
    layers,
    layers::{Layers, PRIVATE},
    shown,
};
use crate::{
    error::{Error, Result},
    fs::{
        acl::AccessList,
        dentry::Path,
        file::{Extent, FileOperations, OpenFlags},
        inode::{
            AttributeChange, DirectoryEntry, FileKind, Growth, Inode, InodeState, Metadata, NewInode, Rename,
            SyncScope,
        },
        page_cache::PageCache,
        seals::Seals,
        xattr::{self, ExtendedAttributes, Presence},
    },
};
use abi::errno::Errno;
use alloc::{
    sync::{Arc, Weak},
    vec::Vec,
};
use core::sync::atomic::{AtomicBool, Ordering};
use machine::sync::{Once, SpinLock};

/// The directory that an inode is in, and its name there.
pub(super) type Place = (Arc<Node>, Vec<u8>);

/// An inode.
pub(super) struct Node {
    this: Weak<Node>,
    volume: Arc<Volume>,
    number: u64,
    kind: FileKind,
    state: InodeState,
    upper: Once<Path>,
    lower: Vec<Path>,
    /// `None`: the root.
    place: SpinLock<Option<Place>>,
    is_removed: AtomicBool,
    /// The names of a directory that was listed.
    pub(super) listing: SpinLock<Listing>,
}

impl Node {
    /// An inode that is made of these.
    pub(super) fn new(volume: &Arc<Volume>, layers: Layers, place: Option<Place>) -> Arc<Self> {
        let top = layers.upper.as_ref().or(layers.lower.first()).expect("a name is on some layer");
        let metadata = top.inode().metadata();
        let upper = Once::new();
        if let Some(path) = layers.upper {
            upper.call_once(|| path);
        }
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            volume: volume.clone(),
            number: volume.number(metadata.device, metadata.number),
            kind: metadata.kind,
            state: InodeState::stacked(volume.depth),
            upper,
            lower: layers.lower,
            place: SpinLock::new("overlay-place", place),
            is_removed: AtomicBool::new(false),
            listing: SpinLock::new("overlay-listing", Listing::default()),
        })
    }

    /// An inode that is made of these: the one that somebody holds of an upper file, or a new one.
    pub(super) fn get(volume: &Arc<Volume>, layers: Layers, place: Place) -> Arc<Self> {
        let key = layers.upper.as_ref().map(address);
        if let Some(known) = key.and_then(|key| volume.nodes.lock().get(key)?.upgrade()) {
            return known;
        }
        let node = Self::new(volume, layers, Some(place));
        if let Some(key) = key {
            let replaced = volume.nodes.lock().insert(key, Arc::downgrade(&node));
            drop(replaced);
        }
        node
    }

    /// What all inodes share.
    pub(super) fn volume(&self) -> &Arc<Volume> {
        &self.volume
    }

    /// A reference to it.
    pub(super) fn shared(&self) -> Arc<Node> {
        self.this.upgrade().expect("who calls holds it")
    }

    /// Where it is on the upper layer.
    pub(super) fn upper(&self) -> Option<&Path> {
        self.upper.get()
    }

    /// Where it is on lower layers.
    pub(super) fn lower(&self) -> &[Path] {
        &self.lower
    }

    /// It has been copied up.
    pub(super) fn set_upper(&self, path: Path) -> &Path {
        let replaced = self.volume.nodes.lock().insert(address(&path), self.this.clone());
        drop(replaced);
        self.upper.call_once(|| path)
    }

    /// The file that it is.
    pub(super) fn real(&self) -> &Path {
        self.upper.get().or(self.lower.first()).expect("a name is on some layer")
    }

    /// The directory that it is in.
    pub(super) fn parent(&self) -> Option<Arc<Node>> {
        self.place.lock().as_ref().map(|(parent, _)| parent.clone())
    }

    /// Where it is.
    pub(super) fn place(&self) -> Option<Place> {
        self.place.lock().clone()
    }

    /// It has moved.
    pub(super) fn set_place(&self, place: Place) {
        let previous = self.place.lock().replace(place);
        drop(previous);
    }

    /// Whether its name was removed.
    pub(super) fn is_removed(&self) -> bool {
        self.is_removed.load(Ordering::Acquire)
    }

    /// Its name was removed.
    pub(super) fn set_removed(&self) {
        self.is_removed.store(true, Ordering::Release);
    }

    /// Whether more than one layer is in it.
    pub(super) fn is_merged(&self) -> bool {
        self.kind == FileKind::Directory && self.lower.len() + usize::from(self.upper.get().is_some()) > 1
    }
}

fn address(path: &Path) -> usize {
    Arc::as_ptr(path.inode()).addr()
}

impl Inode for Node {
    fn metadata(&self) -> Metadata {
        let mut metadata = shown(self.real().inode().metadata(), self.volume.device, self.number);
        if self.is_removed() && (self.upper.get().is_none() || self.kind == FileKind::Directory) {
            metadata.links = 0;
        } else if self.is_merged() {
            // How many directories are in it is not known: 1 says so.
            metadata.links = 1;
        }
        metadata
    }

    fn kind(&self) -> FileKind {
        self.kind
    }

    fn state(&self) -> &InodeState {
        &self.state
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<()> {
        let is_change = change.mode.is_some()
            || change.user.is_some()
            || change.group.is_some()
            || change.modified.is_some()
            || change.changed.is_some();
        if !is_change && self.upper.get().is_none() {
            // A read is no reason to copy.
            return Ok(());
        }
        self.copy_up()?.inode().set_attributes(change)
    }

    fn seals(&self) -> Option<&Seals> {
        self.real().inode().seals()
    }

    fn truncate(&self, size: u64) -> Result<()> {
        self.copy_up()?.inode().truncate(size)
    }

    fn allocate(&self, offset: u64, length: u64, growth: Growth) -> Result<()> {
        self.copy_up()?.inode().allocate(offset, length, growth)
    }

    fn punch_hole(&self, offset: u64, length: u64) -> Result<()> {
        self.copy_up()?.inode().punch_hole(offset, length)
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        let found = layers::find(self.upper(), &self.lower, name)?.ok_or(Errno::ENOENT)?;
        Ok(Node::get(&self.volume, found, (self.shared(), name.to_vec())))
    }

    fn create(&self, name: &[u8], new: &NewInode) -> Result<Arc<dyn Inode>> {
        self.create_name(name, new)
    }

    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        self.link_name(name, target.downcast::<Node>().ok_or(Errno::EXDEV)?)
    }

    fn unlink(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        self.remove_name(name, target.downcast::<Node>().ok_or(Errno::EXDEV)?)
    }

    fn remove_directory(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        let target = target.downcast::<Node>().ok_or(Errno::EXDEV)?;
        if !target.is_empty()? {
            return Err(Errno::ENOTEMPTY.into());
        }
        self.remove_name(name, target)
    }

    fn rename(&self, rename: &Rename<'_>) -> Result<()> {
        self.move_name(rename)
    }

    fn read_directory(&self, cursor: u64, visit: &mut dyn FnMut(&DirectoryEntry<'_>) -> bool) -> Result<()> {
        self.list(cursor, visit)
    }

    fn seek_extent(&self, offset: u64, wanted: Extent) -> Result<u64> {
        self.real().inode().seek_extent(offset, wanted)
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        self.real().inode().read_link()
    }

    fn open(self: Arc<Self>, flags: OpenFlags) -> Result<Option<Arc<dyn FileOperations>>> {
        let is_change = flags.access().can_write() || flags.contains(OpenFlags::O_TRUNC);
        if is_change && self.kind == FileKind::Regular {
            self.copy_up()?;
        }
        Ok(None)
    }

    fn pages(&self) -> Option<&Arc<PageCache>> {
        self.real().inode().pages()
    }

    fn extended(&self) -> Option<&dyn ExtendedAttributes> {
        self.real().inode().extended().map(|_| self as &dyn ExtendedAttributes)
    }

    fn sync(&self, scope: SyncScope) -> Result<()> {
        self.real().inode().sync(scope)
    }
}

const HIDDEN: Error = Error::new(Errno::EOPNOTSUPP, "the overlay's own attributes");

impl ExtendedAttributes for Node {
    fn value(&self, name: &[u8]) -> Result<Vec<u8>> {
        if name.starts_with(PRIVATE) {
            return Err(HIDDEN);
        }
        xattr::store(self.real().inode())?.value(name)
    }

    fn names(&self) -> Result<Vec<u8>> {
        let names = xattr::store(self.real().inode())?.names()?;
        let shown = names.split_inclusive(|&byte| byte == 0).filter(|name| !name.starts_with(PRIVATE));
        Ok(shown.flatten().copied().collect())
    }

    fn set(&self, name: &[u8], value: &[u8], presence: Presence) -> Result<()> {
        if name.starts_with(PRIVATE) {
            return Err(HIDDEN);
        }
        xattr::store(self.copy_up()?.inode())?.set(name, value, presence)
    }

    fn remove(&self, name: &[u8]) -> Result<()> {
        if name.starts_with(PRIVATE) {
            return Err(HIDDEN);
        }
        xattr::store(self.copy_up()?.inode())?.remove(name)
    }

    fn access_list(&self) -> Option<Arc<AccessList>> {
        self.real().inode().extended()?.access_list()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(upper) = self.upper.get() {
            let mut nodes = self.volume.nodes.lock();
            if nodes.get(address(upper)).is_some_and(|known| core::ptr::eq(known.as_ptr(), self)) {
                nodes.remove(address(upper));
            }
        }
        // Goes up by a loop: recursion would use as much stack as the path is deep.
        let mut next = self.place.get_mut().take();
        while let Some((parent, _)) = next {
            next = Arc::into_inner(parent).and_then(|mut last| last.place.get_mut().take());
        }
    }
}
