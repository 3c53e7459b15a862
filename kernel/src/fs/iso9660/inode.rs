//! An inode of an ISO 9660, and its pages.

use super::{Volume, convert};
use crate::{
    error::{Error, Result},
    fs::{
        directory::CURSOR_FIRST,
        inode::{DirectoryEntry, FileKind, Inode, InodeState, Metadata, Spelt},
        page_cache::{Backing, PageCache, PageStore},
    },
};
use abi::{errno::Errno, stat::DeviceNumber, time::Timespec};
use alloc::{sync::Arc, vec::Vec};
use core::ops::Range;
use iso9660::Kind;
use machine::{addr::PAGE_SIZE, mm::Frame};

/// What one may who owns nothing: to read, and to search.
const PERMISSIONS: u32 = 0o555;

/// An inode.
pub(super) struct Node {
    volume: Arc<Volume>,
    core: iso9660::Node,
    state: InodeState,
    pages: Option<Arc<PageCache>>,
}

fn kind_of(kind: Kind) -> FileKind {
    match kind {
        Kind::Regular => FileKind::Regular,
        Kind::Directory => FileKind::Directory,
        Kind::Link => FileKind::Link,
        Kind::Character => FileKind::Character,
        Kind::Block => FileKind::Block,
        Kind::Fifo => FileKind::Fifo,
        Kind::Socket => FileKind::Socket,
    }
}

fn time(seconds: i64) -> Timespec {
    Timespec { sec: seconds, nsec: 0 }
}

impl Node {
    /// An inode that the volume does not know yet.
    pub(super) fn new(volume: Arc<Volume>, core: iso9660::Node) -> Arc<Self> {
        let pages = (core.kind == Kind::Regular).then(|| {
            let home = Contents { volume: volume.clone(), core: core.clone() };
            PageCache::new(Arc::new(home), core.size)
        });
        Arc::new(Self { volume, core, state: InodeState::new(), pages })
    }

    fn mode(&self) -> u32 {
        let options = &self.volume.options;
        let given = match self.core.kind {
            Kind::Directory => options.directory_mode,
            _ => options.mode,
        };
        match (self.core.mode, given) {
            (Some(_), Some(given)) if options.overrides => given,
            (Some(own), _) => own,
            (None, given) => given.unwrap_or(PERMISSIONS),
        }
    }
}

impl Inode for Node {
    fn metadata(&self) -> Metadata {
        let (user, group) = self.core.owner.unwrap_or_default();
        let (major, minor) = self.core.device;
        Metadata {
            device: self.volume.device,
            number: self.core.number,
            kind: self.kind(),
            mode: self.mode(),
            links: self.core.links,
            user: self.volume.options.user.unwrap_or(user),
            group: self.volume.options.group.unwrap_or(group),
            special: DeviceNumber::new(major, minor),
            size: self.core.size,
            block_size: PAGE_SIZE as u32,
            blocks: self.core.size.div_ceil(512),
            accessed: time(self.core.accessed),
            modified: time(self.core.modified),
            changed: time(self.core.changed),
            created: None,
        }
    }

    fn kind(&self) -> FileKind {
        kind_of(self.core.kind)
    }

    fn state(&self) -> &InodeState {
        &self.state
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        self.lookup_spelt(name).map(|(found, _)| found)
    }

    fn lookup_spelt(&self, name: &[u8]) -> Result<Spelt> {
        let found = self.volume.core.lookup(&self.core, name).map_err(convert)?;
        let spelling = (found.name != name).then_some(found.name);
        Ok((self.volume.node(found.node), spelling))
    }

    fn read_directory(&self, cursor: u64, visit: &mut dyn FnMut(&DirectoryEntry<'_>) -> bool) -> Result<()> {
        let mut visit_found = |found: iso9660::Found| {
            visit(&DirectoryEntry {
                name: &found.name,
                number: found.node.number,
                kind: kind_of(found.node.kind),
                next: found.next + CURSOR_FIRST,
            })
        };
        let cursor = cursor.saturating_sub(CURSOR_FIRST);
        self.volume.core.list(&self.core, cursor, &mut visit_found).map_err(convert)
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        if self.core.kind != Kind::Link {
            return Err(Errno::EINVAL.into());
        }
        Ok(self.core.target.clone())
    }

    fn pages(&self) -> Option<&Arc<PageCache>> {
        self.pages.as_ref()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.volume.forget(self.core.number, self);
    }
}

/// Where the pages of a file come from.
struct Contents {
    volume: Arc<Volume>,
    core: iso9660::Node,
}

impl PageStore for Contents {
    fn backing(&self) -> Backing {
        Backing::Disk
    }

    fn read(&self, first: u64, frames: &[Frame]) -> Result<()> {
        let length = frames.len() * PAGE_SIZE;
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(length).map_err(|_| Errno::ENOMEM)?;
        buffer.resize(length, 0);
        self.volume.core.read(&self.core, first * PAGE_SIZE as u64, &mut buffer).map_err(convert)?;
        for (frame, bytes) in frames.iter().zip(buffer.chunks_exact(PAGE_SIZE)) {
            frame.write(0, bytes);
        }
        Ok(())
    }

    fn write(&self, _first: u64, _frames: &[Frame], _size: u64) -> Result<()> {
        Err(READ_ONLY)
    }

    fn reserve(&self, _range: Range<u64>) -> Result<()> {
        Err(READ_ONLY)
    }
}

const READ_ONLY: Error = Error::new(Errno::EROFS, "an ISO 9660 can only be read");
