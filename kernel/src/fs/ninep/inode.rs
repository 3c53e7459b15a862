//! An inode of a shared folder: names and attributes.

use super::{
    Volume,
    client::{self, Fid},
    contents::Contents,
    file,
    handle::Handle,
};
use crate::{
    error::{Error, Result},
    fs::{
        directory::CURSOR_FIRST,
        file::{FileOperations, OpenFlags},
        inode::{
            AttributeChange, DirectoryEntry, FileKind, Inode, InodeState, Metadata, NewInode, NewKind,
            Rename, RenameMode, SyncScope,
        },
        page_cache::{PageCache, Seen},
        xattr::ExtendedAttributes,
    },
    sched,
};
use abi::{errno::Errno, stat::DeviceNumber, time::Timespec};
use alloc::{
    sync::{Arc, Weak},
    vec::Vec,
};
use core::sync::atomic::{AtomicBool, Ordering};
use machine::{addr::PAGE_SIZE, sync::SpinLock};
use p9::{Attributes, Change, Entries, Request, TimeChange};

/// The last cursor that there is: the end of a listing at servers that count so far.
const CURSOR_LAST: u64 = i64::MAX as u64;

/// An inode.
pub(super) struct Node {
    volume: Arc<Volume>,
    number: u64,
    kind: FileKind,
    state: InodeState,
    handle: Arc<Handle>,
    /// What the server has told last.
    attributes: SpinLock<Attributes>,
    /// What the contents of the page cache are those of.
    contents: SpinLock<Contained>,
    pages: Option<Arc<PageCache>>,
    /// It has lost its last name.
    is_removed: AtomicBool,
}

/// By what changes of the contents are seen.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Contained {
    version: u32,
    modified: (i64, u32),
    size: u64,
}

impl Contained {
    fn of(attributes: &Attributes) -> Self {
        Self { version: attributes.qid.version, modified: attributes.modified, size: attributes.size }
    }
}

/// Whether `refresh` has seen the file.
enum Looked {
    /// The path leads to it.
    Same,
    /// The path leads to something else.
    Other,
}

fn kind_of(attributes: &Attributes) -> Result<FileKind> {
    FileKind::from_mode(attributes.mode).ok_or(Error::new(Errno::EIO, "a file of no type"))
}

fn time((sec, nsec): (i64, u32)) -> Timespec {
    Timespec { sec, nsec: nsec.into() }
}

impl Node {
    /// An inode that the volume does not know yet.
    pub(super) fn new(volume: Arc<Volume>, fid: Fid, attributes: &Attributes) -> Result<Arc<Self>> {
        let kind = kind_of(attributes)?;
        let handle = Arc::new(Handle::new(volume.client.clone(), fid, kind == FileKind::Directory));
        handle.set_size(attributes.size);
        let pages = (kind == FileKind::Regular)
            .then(|| PageCache::new(Arc::new(Contents::new(handle.clone())), attributes.size));
        Ok(Arc::new_cyclic(|node: &Weak<Node>| {
            if let Some(pages) = &pages {
                pages.set_owner(node.clone());
            }
            Self {
                volume,
                number: attributes.qid.path,
                kind,
                state: InodeState::new(),
                handle,
                attributes: SpinLock::new("9p-attributes", *attributes),
                contents: SpinLock::new("9p-contents", Contained::of(attributes)),
                pages,
                is_removed: AtomicBool::new(false),
            }
        }))
    }

    /// Its fids.
    pub(super) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    /// The fid that is its path.
    pub(super) fn path_fid(&self) -> Arc<Fid> {
        self.handle.path()
    }

    /// A directory?
    pub(super) fn is_directory(&self) -> bool {
        self.kind == FileKind::Directory
    }

    /// Whether these are attributes of this file.
    pub(super) fn is_of(&self, attributes: &Attributes) -> bool {
        attributes.qid.path == self.number && FileKind::from_mode(attributes.mode) == Some(self.kind)
    }

    /// A fresh fid leads to the file.
    pub(super) fn adopt(&self, fid: Fid) {
        self.handle.set_path(fid);
    }

    /// Asks for the attributes.
    fn look(&self) -> Result<Looked> {
        let mut looked = Looked::Other;
        let mut ask = || {
            let attributes = self.volume.client.attributes(&self.handle.path())?;
            if self.is_of(&attributes) {
                *self.attributes.lock() = attributes;
                self.handle.set_size(attributes.size);
                looked = Looked::Same;
            }
            Ok(attributes)
        };
        let Some(pages) = &self.pages else { return ask().map(|_| looked) };
        let mut see = || {
            let seen = Contained::of(&ask()?);
            let known = &mut *self.contents.lock();
            Ok(Seen { size: seen.size, is_changed: core::mem::replace(known, seen) != seen })
        };
        let is_idle = pages.follow(&mut see)?;
        if !is_idle {
            // Somebody writes: size and contents are known better here.
            ask()?;
        }
        Ok(looked)
    }

    /// The names in `directory` or those of this file have changed by what was done here.
    fn lose_name(&self) {
        let links = {
            let mut attributes = self.attributes.lock();
            attributes.links = attributes.links.saturating_sub(if self.is_directory() { 2 } else { 1 });
            attributes.links
        };
        if links == 0 {
            self.is_removed.store(true, Ordering::Release);
            if let Some(pages) = &self.pages {
                pages.abandon();
            }
        }
    }

    /// The inode of a name that was made here.
    fn made(&self, name: &[u8], new: &NewInode) -> Result<Arc<Node>> {
        let client = &self.volume.client;
        let fid = client.walk(&self.handle.path(), name)?;
        if new.user != 0 {
            // The server was asked by user 0. One that keeps no owners says so, or does nothing.
            let change = Change { user: Some(new.user), ..Change::default() };
            if let Err(error) = client.call(&Request::SetAttributes { fid: fid.number(), change })
                && error.errno != Errno::EPERM
            {
                return Err(error);
            }
        }
        let attributes = client.attributes(&fid)?;
        self.volume.node(fid, attributes)
    }

    fn create_regular(&self, name: &[u8], new: &NewInode) -> Result<Arc<Node>> {
        let client = &self.volume.client;
        let open = client.another(&self.handle.path())?;
        let flags = p9::OPEN_READ_WRITE | p9::OPEN_EXCLUSIVE;
        let (mode, group) = (new.mode, new.group);
        client.call(&Request::Create { fid: open.number(), name, flags, mode, group })?;
        let node = self.made(name, new)?;
        // Kept: it can be written to, whatever its mode.
        node.handle.set_open(open);
        Ok(node)
    }

    fn set(&self, change: Change) -> Result<()> {
        let fid = self.handle.path();
        let body = self.volume.client.call(&Request::SetAttributes { fid: fid.number(), change })?;
        p9::nothing(&body).map_err(client::broken)
    }

    /// Reads names from `offset` on, and calls `visit` for each; `None` if it wants no more, else where the next ones are.
    fn list_some(
        &self,
        fid: &Fid,
        offset: u64,
        visit: &mut dyn FnMut(&DirectoryEntry<'_>) -> bool,
    ) -> Result<Option<u64>> {
        let length = self.volume.client.listing_length();
        let request = Request::ReadDirectory { fid: fid.number(), offset, count: length as u32 };
        let body = self.volume.client.call(&request)?;
        let entries = Entries::new(&body, length).and_then(Entries::all).map_err(client::broken)?;
        let mut next = None;
        for entry in &entries {
            if entry.next > CURSOR_LAST {
                return Err(Error::new(Errno::EOVERFLOW, "a directory that counts beyond 63 bits"));
            }
            next = Some(entry.next);
            if matches!(entry.name, b"." | b"..") {
                continue;
            }
            let shown = DirectoryEntry {
                name: entry.name,
                number: entry.qid.path,
                kind: listed_kind(entry),
                next: entry.next.saturating_add(CURSOR_FIRST).min(CURSOR_LAST),
            };
            if !visit(&shown) {
                return Ok(None);
            }
        }
        match next {
            Some(next) if next == offset => Err(client::broken(p9::Error::Broken("a listing without end"))),
            next => Ok(next),
        }
    }
}

/// The type of a name in a listing; one that the server does not tell is left open.
fn listed_kind(entry: &p9::DirectoryEntry<'_>) -> FileKind {
    match entry.kind {
        0 if entry.qid.is_directory() => FileKind::Directory,
        0 => FileKind::Anonymous,
        kind => FileKind::from_mode(u32::from(kind) << 12).unwrap_or(FileKind::Anonymous),
    }
}

/// What a device number is in the host's `st_rdev`.
fn special(number: u64) -> DeviceNumber {
    DeviceNumber::from_raw(number)
}

impl Inode for Node {
    fn metadata(&self) -> Metadata {
        let attributes = *self.attributes.lock();
        Metadata {
            device: self.volume.device,
            number: self.number,
            kind: self.kind,
            mode: attributes.mode & 0o7777,
            links: u32::try_from(attributes.links).unwrap_or(u32::MAX),
            user: attributes.user,
            group: attributes.group,
            special: special(attributes.special),
            size: self.pages.as_ref().map_or(attributes.size, |pages| pages.size()),
            block_size: u32::try_from(attributes.block_size).unwrap_or(0).max(PAGE_SIZE as u32),
            blocks: attributes.blocks,
            accessed: time(attributes.accessed),
            modified: time(attributes.modified),
            changed: time(attributes.changed),
            created: None,
        }
    }

    fn kind(&self) -> FileKind {
        self.kind
    }

    fn state(&self) -> &InodeState {
        &self.state
    }

    fn refresh(&self) {
        if !self.volume.options.is_loose && !self.is_removed.load(Ordering::Acquire) {
            // What is known stays known if the path is no more: the file may be open.
            let _ = self.look();
        }
    }

    fn is_valid(&self) -> bool {
        matches!(self.look(), Ok(Looked::Same))
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<()> {
        // "Now" is by the server's clock, as it is when it is written to.
        let to = |time: Timespec| match change.changed == Some(time) {
            true => TimeChange::Now,
            false => TimeChange::To(time.sec, u32::try_from(time.nsec).unwrap_or(0)),
        };
        let wanted = Change {
            mode: change.mode,
            user: change.user,
            group: change.group,
            size: None,
            accessed: change.accessed.map(to),
            modified: change.modified.map(to),
        };
        if wanted != Change::default() {
            self.set(wanted)?;
            self.look()?;
        }
        Ok(())
    }

    fn truncate(&self, size: u64) -> Result<()> {
        let pages = self.pages.as_ref().ok_or(Errno::EINVAL)?;
        let outcome = pages.resize(size, || self.set(Change { size: Some(size), ..Change::default() }));
        if outcome.is_err() {
            // What has not happened at the server has not happened.
            self.look()?;
        }
        outcome
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        let client = &self.volume.client;
        let fid = client.walk(&self.handle.path(), name)?;
        let attributes = client.attributes(&fid)?;
        let node = self.volume.node(fid, attributes)?;
        Ok(node)
    }

    fn create(&self, name: &[u8], new: &NewInode) -> Result<Arc<dyn Inode>> {
        let fid = self.handle.path();
        let (directory, mode, group) = (fid.number(), new.mode, new.group);
        let node = |kind: FileKind, number: DeviceNumber| {
            let (major, minor) = (number.major, number.minor);
            Request::MakeNode { directory, name, mode: mode | kind.mode_bits(), major, minor, group }
        };
        let request = match &new.kind {
            NewKind::Regular => {
                let node = self.create_regular(name, new)?;
                return Ok(node);
            }
            NewKind::Directory => Request::MakeDirectory { directory, name, mode, group },
            NewKind::Link(target) => Request::Symlink { directory, name, target, group },
            NewKind::Fifo => node(FileKind::Fifo, DeviceNumber::default()),
            NewKind::Socket => node(FileKind::Socket, DeviceNumber::default()),
            NewKind::Character(number) => node(FileKind::Character, *number),
            NewKind::Block(number) => node(FileKind::Block, *number),
        };
        self.volume.client.call(&request)?;
        let node = self.made(name, new)?;
        Ok(node)
    }

    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        let target = target.downcast::<Node>().ok_or(Errno::EXDEV)?;
        let (directory, file) = (self.handle.path(), target.handle.path());
        self.volume.client.call(&Request::Link {
            directory: directory.number(),
            fid: file.number(),
            name,
        })?;
        target.look().map(|_| ())
    }

    fn unlink(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        let directory = self.handle.path();
        self.volume.client.call(&Request::Unlink { directory: directory.number(), name, flags: 0 })?;
        if let Some(target) = target.downcast::<Node>() {
            target.lose_name();
        }
        Ok(())
    }

    fn remove_directory(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        let (directory, flags) = (self.handle.path(), p9::REMOVE_DIRECTORY);
        self.volume.client.call(&Request::Unlink { directory: directory.number(), name, flags })?;
        if let Some(target) = target.downcast::<Node>() {
            target.lose_name();
        }
        Ok(())
    }

    fn rename(&self, rename: &Rename<'_>) -> Result<()> {
        if rename.mode == RenameMode::Exchange {
            return Err(Error::new(Errno::EINVAL, "9P cannot exchange names"));
        }
        let target = rename.new_directory.downcast::<Node>().ok_or(Errno::EXDEV)?;
        let (old, new) = (self.handle.path(), target.handle.path());
        self.volume.client.call(&Request::Rename {
            old_directory: old.number(),
            old_name: rename.old_name,
            new_directory: new.number(),
            new_name: rename.new_name,
        })?;
        if let Some(replaced) = rename.replaced.and_then(|inode| inode.downcast::<Node>()) {
            replaced.lose_name();
        }
        Ok(())
    }

    fn read_directory(&self, cursor: u64, visit: &mut dyn FnMut(&DirectoryEntry<'_>) -> bool) -> Result<()> {
        let fid = self.handle.reader()?;
        let start = if cursor >= CURSOR_LAST { cursor } else { cursor.saturating_sub(CURSOR_FIRST) };
        let mut next = Some(start);
        while let Some(offset) = next {
            next = self.list_some(&fid, offset, visit)?;
            if sched::try_current().is_some_and(|thread| thread.is_killed()) {
                return Err(Errno::EINTR.into());
            }
        }
        Ok(())
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        if self.kind != FileKind::Link {
            return Err(Errno::EINVAL.into());
        }
        let fid = self.handle.path();
        let body = self.volume.client.call(&Request::ReadLink { fid: fid.number() })?;
        Ok(p9::link_target(&body).map_err(client::broken)?.to_vec())
    }

    fn open(self: Arc<Self>, flags: OpenFlags) -> Result<Option<Arc<dyn FileOperations>>> {
        match self.kind {
            FileKind::Regular | FileKind::Directory => file::open(self, flags).map(Some),
            _ => Ok(None),
        }
    }

    fn pages(&self) -> Option<&Arc<PageCache>> {
        self.pages.as_ref()
    }

    fn extended(&self) -> Option<&dyn ExtendedAttributes> {
        Some(self)
    }

    fn sync(&self, scope: SyncScope) -> Result<()> {
        if let Some(pages) = &self.pages {
            pages.write_back()?;
        }
        if !matches!(self.kind, FileKind::Regular | FileKind::Directory) {
            return Ok(());
        }
        let fid = self.handle.any()?;
        let is_data_only = scope == SyncScope::Data;
        self.volume.client.call(&Request::Sync { fid: fid.number(), is_data_only })?;
        self.handle.close();
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.volume.forget(self.number, self);
    }
}
