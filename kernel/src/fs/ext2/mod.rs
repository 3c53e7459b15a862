//! ext2 under the VFS: joins the crate `ext2` with a disk's block cache, sleeping locks and the clock.
//!
//! The crate does everything on the disk; here are the inodes that the VFS holds. Structures go through the
//! block cache, contents of regular files through the page cache and from there straight to the disk.
//! Attributes are copied out of the crate after each change, so that stat and permission checks take no sleeping lock.

mod attributes;
mod disk;
mod inode;
mod pages;

use super::{
    file_system::{Access, FileSystem, Statistics},
    filesystems::MountRequest,
    inode::Inode,
    time,
};
use crate::{
    block,
    error::{Error, Result},
};
use abi::{
    errno::Errno,
    stat::{DeviceNumber, EXT2_SUPER_MAGIC},
};
use alloc::{
    boxed::Box,
    string::String,
    sync::{Arc, Weak},
    vec::Vec,
};
use core::sync::atomic::{AtomicBool, Ordering};
use ext2::{ErrorPolicy, Ino, MountError, MountOptions, Timestamp};
use id_map::IdMap;
use inode::Node;
use machine::sync::SpinLock;

type Core = ext2::FileSystem;

/// A mounted ext2.
pub(super) struct Volume {
    core: Core,
    disk: disk::DiskIo,
    block_size: u64,
    device: DeviceNumber,
    /// The inodes that somebody holds, by number.
    nodes: SpinLock<IdMap<u32, Weak<Node>>>,
    /// Something was changed since the last sync.
    is_changed: AtomicBool,
    options: Options,
    /// Keeps others from using the disk, until it is unmounted.
    claim: SpinLock<Option<block::Claim>>,
}

/// What the crate asks of its caller.
struct Surroundings {
    /// The disk, for messages.
    name: String,
    /// `errors=panic` was asked for; that a superblock asks for it is not enough.
    panics: bool,
}

impl ext2::Context for Surroundings {
    fn now(&self) -> Timestamp {
        inode::to_timestamp(time::now())
    }

    fn may_use_reserved_blocks(&self) -> bool {
        let thread = crate::sched::current();
        // The kernel's own threads write back what was allowed before.
        thread.process().is_none_or(|process| process.credentials().fsuid == 0)
    }

    fn note_fault(&self, reason: &'static str, policy: ErrorPolicy) {
        let name = &self.name;
        match policy {
            _ if self.panics => panic!("ext2: {name}: {reason} (mounted with errors=panic)"),
            ErrorPolicy::Continue => log::error!("ext2: {name}: {reason}; e2fsck should see it"),
            ErrorPolicy::ReadOnly => log::error!("ext2: {name}: {reason}; it is read-only from now on"),
        }
    }
}

/// The file system, as the VFS holds it; inodes hold the volume.
struct Ext2 {
    volume: Arc<Volume>,
    root: Arc<Node>,
}

/// Mounts the ext2 on a disk; if it has a journal, with that. Options: `errors=continue|remount-ro|panic`.
pub(super) fn mount(request: &MountRequest<'_>) -> Result<Arc<dyn FileSystem>> {
    mount_if(request, false)
}

/// Mounts an ext2 that has a journal.
pub(super) fn mount_journaled(request: &MountRequest<'_>) -> Result<Arc<dyn FileSystem>> {
    mount_if(request, true)
}

fn mount_if(request: &MountRequest<'_>, needs_journal: bool) -> Result<Arc<dyn FileSystem>> {
    let device = request.device.ok_or(Errno::ENOTBLK)?;
    let disk = block::registry::find_by_number(device).ok_or(Errno::ENXIO)?;
    let is_read_only = request.access == Access::ReadOnly;
    if !is_read_only && disk.access() == block::Access::ReadOnly {
        return Err(Error::new(Errno::EACCES, "the disk is read-only"));
    }
    let wanted = Options::parse(request.options)?;
    let claim = disk.claim()?;
    let io = disk::DiskIo::new(disk.cache().clone());
    let direct = io.clone();
    let options =
        MountOptions { read_only: is_read_only, needs_journal, errors: wanted.policy(), finder: None };
    let surroundings = Surroundings { name: disk.name().into(), panics: wanted == Options::Panic };
    let core = Core::mount(io, disk::KernelLocks, Box::new(surroundings), options)
        .map_err(|error| report(disk.name(), error))?;
    if !core.was_clean() {
        log::warn!("ext2: {} was not unmounted cleanly; e2fsck should see it", disk.name());
    }
    if core.is_read_only() && !is_read_only {
        return Err(match core.fault() {
            Some(_) => Error::new(Errno::EUCLEAN, "the ext2 is broken: mount it read-only"),
            None => Error::new(Errno::EROFS, "the ext2 has features that allow only reading"),
        });
    }
    let volume = Arc::new(Volume {
        block_size: core.statistics().block_size.into(),
        core,
        disk: direct,
        device,
        nodes: SpinLock::new("ext2-nodes", IdMap::new()),
        is_changed: AtomicBool::new(false),
        options: wanted,
        claim: SpinLock::new("ext2-claim", Some(claim)),
    });
    let root = volume.node(volume.core.read_inode(Ino::ROOT).map_err(convert)?);
    Ok(Arc::new(Ext2 { volume, root }))
}

/// What `errors=` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Options {
    /// Nothing: the superblock decides.
    Default,
    Continue,
    RemountReadOnly,
    Panic,
}

impl Options {
    fn parse(text: &[u8]) -> Result<Self> {
        let mut errors = Self::Default;
        for option in text.split(|&byte| byte == b',') {
            match option {
                b"errors=continue" => errors = Self::Continue,
                b"errors=remount-ro" => errors = Self::RemountReadOnly,
                b"errors=panic" => errors = Self::Panic,
                b"" | b"rw" | b"ro" | b"noload" | b"user_xattr" | b"acl" => {}
                _ => return Err(Error::new(Errno::EINVAL, "unknown option of ext2")),
            }
        }
        Ok(errors)
    }

    fn policy(self) -> Option<ErrorPolicy> {
        match self {
            Self::Default => None,
            Self::Continue => Some(ErrorPolicy::Continue),
            Self::RemountReadOnly | Self::Panic => Some(ErrorPolicy::ReadOnly),
        }
    }
}

/// Logs why a disk cannot be mounted.
fn report(name: &str, error: MountError) -> Error {
    match error {
        MountError::NotExt2 => Error::new(Errno::EINVAL, "no ext2 there"),
        MountError::UnknownFeatures(bits) => {
            log::warn!("ext2: {name} has unknown incompatible features {bits:#x}");
            Error::new(Errno::EINVAL, "unknown ext2 features")
        }
        MountError::Unsupported(what) => {
            log::warn!("ext2: {name}: {what}");
            Error::new(Errno::EINVAL, "unsupported ext2 variant")
        }
        MountError::Corrupt(why) => {
            log::warn!("ext2: {name} is corrupt: {why}");
            Error::new(Errno::EUCLEAN, "corrupt ext2")
        }
        MountError::Io(ext2::IoError::OutOfMemory) => Error::new(Errno::ENOMEM, "no memory for a transfer"),
        MountError::Io(_) => Error::new(Errno::EIO, "the disk failed"),
    }
}

/// What Linux answers where the crate failed.
fn convert(error: ext2::Error) -> Error {
    use ext2::{Error as Core, IoError};
    match error {
        Core::NotFound => Errno::ENOENT.into(),
        Core::Exists => Errno::EEXIST.into(),
        Core::NotDirectory => Errno::ENOTDIR.into(),
        Core::IsDirectory => Errno::EISDIR.into(),
        Core::NotEmpty => Errno::ENOTEMPTY.into(),
        Core::NoSpace => Error::new(Errno::ENOSPC, "the ext2 is full"),
        Core::ReadOnly => Error::new(Errno::EROFS, "the ext2 is read-only"),
        Core::NameTooLong => Errno::ENAMETOOLONG.into(),
        Core::TooManyLinks => Errno::EMLINK.into(),
        Core::FileTooLarge => Errno::EFBIG.into(),
        Core::NotPermitted => Errno::EPERM.into(),
        Core::InvalidArgument => Errno::EINVAL.into(),
        Core::NoAttribute => Errno::ENODATA.into(),
        Core::NotSupported => Error::new(Errno::EOPNOTSUPP, "no such attributes on this ext2"),
        Core::Corrupt(why) => {
            log::debug!("ext2: corrupt: {why}");
            Error::new(Errno::EUCLEAN, why)
        }
        Core::Io(IoError::OutOfMemory) => Error::new(Errno::ENOMEM, "no memory for a transfer"),
        Core::Io(_) => Error::new(Errno::EIO, "the disk failed"),
    }
}

impl Volume {
    /// The inode with these attributes: the one that somebody holds, or a new one.
    fn node(self: &Arc<Self>, attributes: ext2::Attributes) -> Arc<Node> {
        let number = attributes.ino.get();
        if let Some(known) = self.known(number) {
            return known;
        }
        let node = Node::new(self.clone(), attributes);
        let mut nodes = self.nodes.lock();
        // Somebody else may have been faster.
        if let Some(known) = nodes.get(number).and_then(Weak::upgrade) {
            drop(nodes);
            node.disown();
            return known;
        }
        nodes.insert(number, Arc::downgrade(&node));
        node
    }

    fn known(&self, number: u32) -> Option<Arc<Node>> {
        self.nodes.lock().get(number)?.upgrade()
    }

    /// Nobody holds the inode any more.
    fn forget(&self, node: &Node) {
        let mut nodes = self.nodes.lock();
        if nodes.get(node.number()).is_some_and(|known| core::ptr::eq(known.as_ptr(), node)) {
            nodes.remove(node.number());
        }
    }

    /// Something is changed and has to reach the disk some time.
    fn note_change(&self) {
        self.is_changed.store(true, Ordering::Release);
    }

    fn write_back_pages(&self) -> Result<()> {
        let nodes: Vec<Arc<Node>> = self.nodes.lock().values().filter_map(Weak::upgrade).collect();
        let mut outcome = Ok(());
        for pages in nodes.iter().filter_map(|node| node.pages()) {
            outcome = outcome.and(pages.write_back());
        }
        outcome
    }
}

impl FileSystem for Ext2 {
    fn kind(&self) -> &'static str {
        if self.volume.core.has_journal() { "ext3" } else { "ext2" }
    }

    fn root(&self) -> Arc<dyn Inode> {
        self.root.clone()
    }

    fn device(&self) -> DeviceNumber {
        self.volume.device
    }

    fn statistics(&self) -> Result<Statistics> {
        let figures = self.volume.core.statistics();
        let id = figures
            .uuid
            .chunks_exact(8)
            .fold(0, |id, chunk| id ^ u64::from_le_bytes(chunk.try_into().expect("chunks of 8 bytes")));
        Ok(Statistics {
            magic: EXT2_SUPER_MAGIC as u64,
            block_size: figures.block_size.into(),
            blocks: figures.blocks,
            blocks_free: figures.free_blocks,
            blocks_available: figures.available_blocks,
            files: figures.inodes,
            files_free: figures.free_inodes,
            name_length: ext2::NAME_MAX as u64,
            id,
        })
    }

    fn sync(&self) -> Result<()> {
        self.volume.write_back_pages()?;
        if self.volume.is_changed.swap(false, Ordering::AcqRel) {
            self.volume.core.sync().map_err(convert).inspect_err(|_| self.volume.note_change())?;
        }
        Ok(())
    }

    fn set_access(&self, access: Access) -> Result<()> {
        match access {
            Access::ReadOnly => {
                self.volume.write_back_pages()?;
                self.volume.core.make_read_only().map_err(convert)
            }
            Access::ReadWrite => self.volume.core.make_writable().map_err(convert),
        }
    }

    fn unmount(&self) -> Result<()> {
        let outcome = self.volume.write_back_pages().and(self.volume.core.unmount().map_err(convert));
        // Nothing is written from here on, whoever still holds an inode.
        let claim = self.volume.claim.lock().take();
        drop(claim);
        outcome
    }

    fn note_place(&self, path: &[u8]) {
        self.volume.core.note_place(path);
    }

    fn options(&self) -> String {
        match self.volume.options {
            Options::Default => String::new(),
            Options::Continue => ",errors=continue".into(),
            Options::RemountReadOnly => ",errors=remount-ro".into(),
            Options::Panic => ",errors=panic".into(),
        }
    }
}
