//! An inode of a FAT.

use super::{
    Volume,
    pages::{FilePages, Shared},
};
use crate::{
    error::{Error, Result},
    fs::{
        directory::CURSOR_FIRST,
        inode::{
            AttributeChange, DirectoryEntry, FileKind, Inode, InodeState, Metadata, NewInode, NewKind,
            Rename, RenameMode, Spelt, SyncScope, downcast_arc,
        },
        page_cache::PageCache,
        time,
    },
};
use abi::{errno::Errno, stat::DeviceNumber, time::Timespec};
use alloc::{
    sync::{Arc, Weak},
    vec::Vec,
};
use core::sync::atomic::{AtomicBool, Ordering};
use fat::{Found, Item, Timestamp};

/// The permission to write.
const WRITE: u32 = 0o222;
/// Names that are listed at a time.
const LISTED: usize = 256;

/// An inode.
pub(super) struct Node {
    volume: Arc<Volume>,
    number: u64,
    is_directory: bool,
    is_root: bool,
    state: InodeState,
    shared: Arc<Shared>,
    /// The contents of a regular file, and their home.
    contents: Option<(Arc<PageCache>, Arc<FilePages>)>,
    /// It has lost its name: its clusters go with it.
    is_removed: AtomicBool,
}

fn from_timestamp(time: Timestamp) -> Timespec {
    Timespec { sec: time.seconds, nsec: time.nanoseconds.into() }
}

fn to_timestamp(time: Timespec) -> Timestamp {
    Timestamp { seconds: time.sec, nanoseconds: u32::try_from(time.nsec).unwrap_or(0) }
}

fn now() -> Timestamp {
    to_timestamp(time::now())
}

/// A name as FAT has them; EINVAL if it is no UTF-8.
fn text(name: &[u8]) -> Result<&str> {
    core::str::from_utf8(name).map_err(|_| Error::new(Errno::EINVAL, "names of a FAT are UTF-8"))
}

impl Node {
    /// An inode that the volume does not know yet.
    pub(super) fn new(volume: Arc<Volume>, item: Item) -> Arc<Self> {
        let shared = Arc::new(Shared::new(item));
        let contents = (!item.is_directory).then(|| {
            let home = Arc::new(FilePages::new(volume.clone(), shared.clone()));
            (PageCache::new(home.clone(), item.size.into()), home)
        });
        Arc::new_cyclic(|node: &Weak<Node>| {
            if let Some((pages, _)) = &contents {
                pages.set_owner(node.clone());
            }
            Self {
                number: volume.number(item.entry),
                volume,
                is_directory: item.is_directory,
                is_root: item.entry.is_none(),
                state: InodeState::new(),
                shared,
                contents,
                is_removed: AtomicBool::new(false),
            }
        })
    }

    /// Its number.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    fn contents(&self) -> Result<&(Arc<PageCache>, Arc<FilePages>)> {
        self.contents.as_ref().ok_or(Error::new(Errno::EINVAL, "not a regular file"))
    }

    fn mode(&self, item: &Item) -> u32 {
        let options = &self.volume.options;
        match (self.is_directory, item.is_read_only) {
            (true, _) => 0o777 & !options.directory_mask,
            (false, false) => 0o777 & !options.file_mask,
            (false, true) => 0o777 & !options.file_mask & !WRITE,
        }
    }

    fn failed(&self, error: fat::Error) -> Error {
        self.volume.convert(error)
    }

    /// The names in it have changed. `core` is held.
    fn touch(&self, core: &mut super::Core) -> Result<()> {
        let mut item = self.shared.item();
        item.modified = now().to_two_seconds();
        self.shared.set(item);
        core.update(&item).map_err(|error| self.failed(error))
    }

    /// Takes a name away from an inode, which may be held. `core` is held.
    fn remove_name(&self, core: &mut super::Core, found: &Found) -> Result<()> {
        core.remove(found).map_err(|error| self.failed(error))?;
        let place = found.item.entry.unwrap_or_default();
        match self.volume.known(place) {
            Some(node) => {
                self.volume.rename(&node, Some(place), None);
                node.is_removed.store(true, Ordering::Release);
                node.shared.set(Item { entry: None, ..node.shared.item() });
                if let Some((pages, _)) = &node.contents {
                    pages.abandon();
                }
                Ok(())
            }
            None => core.free(&found.item).map_err(|error| self.failed(error)),
        }
    }

    /// What a name stands for. `core` is held.
    fn find(&self, core: &mut super::Core, name: &[u8]) -> Result<Found> {
        let name = core::str::from_utf8(name).map_err(|_| Errno::ENOENT)?;
        core.lookup(&self.shared.item(), name).map_err(|error| self.failed(error))
    }

    fn exchange(
        &self,
        core: &mut super::Core,
        (moved, target): (&Arc<Node>, &Node),
        other: &Arc<Node>,
    ) -> Result<()> {
        let (one, two) = (moved.shared.item(), other.shared.item());
        let exchanged = core.exchange((&one, &self.shared.item()), (&two, &target.shared.item()));
        let (one, two) = exchanged.map_err(|error| self.failed(error))?;
        moved.shared.set(one);
        other.shared.set(two);
        self.volume.rename(moved, None, one.entry.map(|place| (place, moved)));
        self.volume.rename(other, None, two.entry.map(|place| (place, other)));
        Ok(())
    }
}

impl Inode for Node {
    fn metadata(&self) -> Metadata {
        let item = self.shared.item();
        let options = &self.volume.options;
        let size = self.contents.as_ref().map_or(0, |(pages, _)| pages.size());
        Metadata {
            device: self.volume.device,
            number: self.number,
            kind: self.kind(),
            mode: self.mode(&item),
            links: if self.is_removed.load(Ordering::Acquire) { 0 } else { 1 },
            user: options.user,
            group: options.group,
            special: DeviceNumber::default(),
            size,
            block_size: 4096,
            blocks: size.div_ceil(512),
            accessed: from_timestamp(item.accessed),
            modified: from_timestamp(item.modified),
            changed: from_timestamp(item.modified),
            created: Some(from_timestamp(item.created)),
        }
    }

    fn kind(&self) -> FileKind {
        if self.is_directory { FileKind::Directory } else { FileKind::Regular }
    }

    fn state(&self) -> &InodeState {
        &self.state
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<()> {
        let options = &self.volume.options;
        let is_other = change.user.is_some_and(|user| user != options.user)
            || change.group.is_some_and(|group| group != options.group);
        if is_other && !options.is_quiet {
            return Err(Error::new(Errno::EPERM, "all files of a FAT have one owner"));
        }
        let mut core = self.volume.changing()?;
        let before = self.shared.item();
        let mut item = before;
        if let Some(mode) = change.mode.filter(|_| !self.is_directory) {
            // All that can be kept is whether anybody may write; anything else is passed over, as Linux does.
            let possible = 0o777 & !options.file_mask;
            match mode & WRITE {
                0 => item.is_read_only = possible & WRITE != 0,
                bits if bits == possible & WRITE => item.is_read_only = false,
                _ => {}
            }
        }
        if let Some(accessed) = change.accessed {
            item.accessed = to_timestamp(accessed).to_day();
        }
        if let Some(modified) = change.modified {
            item.modified = to_timestamp(modified).to_two_seconds();
        }
        if item == before {
            return Ok(());
        }
        self.shared.set(item);
        core.update(&item).map_err(|error| self.failed(error))
    }

    fn truncate(&self, size: u64) -> Result<()> {
        let (pages, home) = self.contents()?;
        pages.resize(size, || home.resize(size))
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        self.lookup_spelt(name).map(|(found, _)| found)
    }

    fn counting_part<'a>(&self, name: &'a [u8]) -> &'a [u8] {
        let end = name.iter().rposition(|&byte| byte != b'.').map_or(0, |last| last + 1);
        &name[..end]
    }

    fn lookup_spelt(&self, name: &[u8]) -> Result<Spelt> {
        let mut core = self.volume.core();
        let found = self.find(&mut core, name)?;
        let spelling = (found.name.as_bytes() != name).then(|| found.name.into_bytes());
        Ok((self.volume.node(found.item), spelling))
    }

    fn create(&self, name: &[u8], new: &NewInode) -> Result<Arc<dyn Inode>> {
        let is_directory = match new.kind {
            NewKind::Regular => false,
            NewKind::Directory => true,
            _ => return Err(Error::new(Errno::EPERM, "a FAT has files and directories only")),
        };
        let name = text(name)?;
        let mut core = self.volume.changing()?;
        let made = core.create(&self.shared.item(), name, is_directory, now());
        let mut item = made.map_err(|error| self.failed(error))?.item;
        item.modified = item.modified.to_two_seconds();
        item.accessed = item.accessed.to_day();
        self.touch(&mut core)?;
        Ok(self.volume.node(item))
    }

    fn unlink(&self, name: &[u8], _target: &Arc<dyn Inode>) -> Result<()> {
        let mut core = self.volume.changing()?;
        let found = self.find(&mut core, name)?;
        self.remove_name(&mut core, &found)?;
        self.touch(&mut core)
    }

    fn remove_directory(&self, name: &[u8], _target: &Arc<dyn Inode>) -> Result<()> {
        let mut core = self.volume.changing()?;
        let found = self.find(&mut core, name)?;
        if !core.is_empty(&found.item).map_err(|error| self.failed(error))? {
            return Err(Errno::ENOTEMPTY.into());
        }
        self.remove_name(&mut core, &found)?;
        self.touch(&mut core)
    }

    fn rename(&self, rename: &Rename<'_>) -> Result<()> {
        let target = rename.new_directory.downcast::<Node>().ok_or(Errno::EXDEV)?;
        let moved = downcast_arc::<Node>(rename.moved).ok_or(Errno::EXDEV)?;
        let replaced = rename.replaced.and_then(downcast_arc::<Node>);
        let new_name = text(rename.new_name)?;
        let mut core = self.volume.changing()?;
        if rename.mode == RenameMode::Exchange {
            let other = replaced.ok_or(Errno::ENOENT)?;
            self.exchange(&mut core, (&moved, target), &other)?;
        } else {
            let old = self.find(&mut core, rename.old_name)?;
            if replaced.is_some() {
                let found = target.find(&mut core, rename.new_name)?;
                let is_empty = !found.item.is_directory
                    || core.is_empty(&found.item).map_err(|error| self.failed(error))?;
                if !is_empty {
                    return Err(Errno::ENOTEMPTY.into());
                }
                self.remove_name(&mut core, &found)?;
            }
            let item = moved.shared.item();
            let new = core.rename(&old, &item, &target.shared.item(), new_name);
            let new = new.map_err(|error| self.failed(error))?.item;
            moved.shared.set(Item { entry: new.entry, ..item });
            self.volume.rename(&moved, item.entry, new.entry.map(|place| (place, &moved)));
        }
        self.touch(&mut core)?;
        target.touch(&mut core)
    }

    fn read_directory(&self, cursor: u64, visit: &mut dyn FnMut(&DirectoryEntry<'_>) -> bool) -> Result<()> {
        let mut start = cursor.saturating_sub(CURSOR_FIRST);
        loop {
            // Copied, since the visitor is called without the lock.
            let mut entries = Vec::new();
            let listed = self.volume.core().list(&self.shared.item(), start, &mut |found| {
                entries.push(found);
                entries.len() < LISTED
            });
            listed.map_err(|error| self.failed(error))?;
            let Some(last) = entries.last() else { return Ok(()) };
            start = last.next;
            for found in &entries {
                let known = self.volume.known(found.item.entry.unwrap_or_default());
                let number = known.map_or_else(|| self.volume.number(found.item.entry), |node| node.number);
                let kind = if found.item.is_directory { FileKind::Directory } else { FileKind::Regular };
                let name = found.name.as_bytes();
                if !visit(&DirectoryEntry { name, number, kind, next: found.next + CURSOR_FIRST }) {
                    return Ok(());
                }
            }
        }
    }

    fn pages(&self) -> Option<&Arc<PageCache>> {
        self.contents.as_ref().map(|(pages, _)| pages)
    }

    fn sync(&self, _scope: SyncScope) -> Result<()> {
        if let Some((pages, _)) = &self.contents {
            pages.write_back()?;
        }
        self.volume.disk.flush()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.is_root {
            return;
        }
        let item = self.shared.item();
        self.volume.strays.lock().remove(self.number);
        if !self.is_removed.load(Ordering::Acquire) {
            let place = item.entry.unwrap_or_default();
            let mut nodes = self.volume.nodes.lock();
            if nodes.get(place).is_some_and(|known| core::ptr::eq(known.as_ptr(), self)) {
                nodes.remove(place);
            }
            return;
        }
        if let Err(error) = self.volume.core().free(&item) {
            log::warn!("fat: {}: deleting a file: {error}", self.volume.name);
        }
    }
}
