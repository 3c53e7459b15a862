//! FAT under the VFS ("vfat"): joins the crate `fat` with a disk's block cache and the clock.
//!
//! The crate does everything on the disk, one operation at a time, under a sleeping lock (`core`); the contents of files
//! are in the page cache and pass by the lock. Owner and permissions are the mount's: FAT keeps only whether a file may
//! be written. Names are UTF-8 and found in any case of letters.
//!
//! Options, as Linux has them: `uid=`, `gid=`, `umask=`, `fmask=`, `dmask=`, `quiet`, `errors=continue|remount-ro`. Those
//! that choose character sets and short names are taken and have no effect: names are UTF-8, and every name that is not
//! a short one in capitals is kept as a long one.

mod inode;
mod options;
mod pages;

use super::{
    file_system::{Access, FileSystem, NameCaching, Statistics},
    filesystems::MountRequest,
    inode::Inode,
};
use crate::{
    block::{self, cache::BlockCache},
    error::{Error, Result},
    sync::{Mutex, MutexGuard},
};
use abi::{
    errno::Errno,
    stat::{DeviceNumber, MSDOS_SUPER_MAGIC},
};
use alloc::{
    string::String,
    sync::{Arc, Weak},
    vec::Vec,
};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use id_map::IdMap;
use inode::Node;
use machine::sync::SpinLock;
use options::Options;

/// The first number that stands for no place on a disk.
const FIRST_NUMBER: u64 = 1 << 40;

/// The disk.
#[derive(Clone)]
struct DiskBytes(Arc<BlockCache>);

impl fat::Disk for DiskBytes {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> bool {
        self.0.read(offset, buffer).is_ok()
    }
}

impl fat::Medium for DiskBytes {
    fn write(&self, offset: u64, bytes: &[u8]) -> bool {
        self.0.write(offset, bytes).is_ok()
    }
}

type Core = fat::Volume<DiskBytes>;

/// A mounted FAT.
struct Volume {
    core: Mutex<Core>,
    disk: Arc<BlockCache>,
    name: String,
    device: DeviceNumber,
    options: Options,
    /// The inodes that somebody holds, by the place of their entry.
    nodes: SpinLock<IdMap<u64, Weak<Node>>>,
    /// Numbers of inodes that are held and whose entry is not where the number says: nobody else may have them.
    strays: SpinLock<IdMap<u64, ()>>,
    next_number: AtomicU64,
    /// It was in use when it was mounted: nobody but fsck may say that it is in order.
    was_dirty: bool,
    is_writable: AtomicBool,
    /// Something is broken, so nothing is changed any more.
    is_broken: AtomicBool,
    /// Keeps others from using the disk, until it is unmounted.
    claim: SpinLock<Option<block::Claim>>,
}

/// The file system, as the VFS holds it; inodes hold the volume.
struct Fat {
    volume: Arc<Volume>,
    root: Arc<Node>,
}

/// Mounts the FAT on a disk.
pub(super) fn mount(request: &MountRequest<'_>) -> Result<Arc<dyn FileSystem>> {
    let device = request.device.ok_or(Errno::ENOTBLK)?;
    let disk = block::registry::find_by_number(device).ok_or(Errno::ENXIO)?;
    let is_writable = request.access == Access::ReadWrite;
    if is_writable && disk.access() == block::Access::ReadOnly {
        return Err(Error::new(Errno::EACCES, "the disk is read-only"));
    }
    let options = Options::parse(request.options)?;
    let claim = disk.claim()?;
    let refused = |error| {
        log::debug!("fat: {}: {error}", disk.name());
        Error::new(Errno::EINVAL, "no FAT there")
    };
    let core = Core::new(DiskBytes(disk.cache().clone())).map_err(refused)?;
    let was_dirty = core.is_in_use().map_err(refused)?;
    if was_dirty {
        log::warn!("fat: {} was not unmounted cleanly; fsck.fat should see it", disk.name());
    }
    let root = core.root();
    let volume = Arc::new(Volume {
        core: Mutex::new("fat volume", core),
        disk: disk.cache().clone(),
        name: disk.name().into(),
        device,
        options,
        nodes: SpinLock::new("fat-nodes", IdMap::new()),
        strays: SpinLock::new("fat-strays", IdMap::new()),
        next_number: AtomicU64::new(FIRST_NUMBER),
        was_dirty,
        is_writable: AtomicBool::new(false),
        is_broken: AtomicBool::new(false),
        claim: SpinLock::new("fat-claim", Some(claim)),
    });
    let root = Node::new(volume.clone(), root);
    if is_writable {
        volume.begin_writing()?;
    }
    Ok(Arc::new(Fat { volume, root }))
}

impl Volume {
    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock()
    }

    /// The crate, to change something; EROFS if that is not to be.
    fn changing(&self) -> Result<MutexGuard<'_, Core>> {
        if self.is_broken.load(Ordering::Acquire) {
            return Err(Error::new(Errno::EROFS, "the FAT is broken, and read-only since that was seen"));
        }
        Ok(self.core.lock())
    }

    /// What Linux answers where the crate failed.
    fn convert(&self, error: fat::Error) -> Error {
        use fat::Error as Core;
        match error {
            Core::NotFound => Errno::ENOENT.into(),
            Core::NotADirectory => Errno::ENOTDIR.into(),
            Core::IsADirectory => Errno::EISDIR.into(),
            Core::Full => Error::new(Errno::ENOSPC, "the FAT is full"),
            Core::BadName => Error::new(Errno::EINVAL, "a name that FAT cannot have"),
            Core::LongName => Errno::ENAMETOOLONG.into(),
            Core::TooLarge => Errno::EFBIG.into(),
            Core::Read | Core::Write => Error::new(Errno::EIO, "the disk failed"),
            Core::NotFat(why) => Error::new(Errno::EINVAL, why),
            Core::Corrupt(why) => {
                if !self.options.continues && !self.is_broken.swap(true, Ordering::AcqRel) {
                    log::error!("fat: {}: {why}; it is read-only from now on", self.name);
                }
                Error::new(Errno::EIO, why)
            }
        }
    }

    /// A number for an inode, by the place of its entry: the same each time, unless it belongs to another one that was there.
    fn number(&self, place: Option<u64>) -> u64 {
        let number = place.map_or(1, |place| place / 32 + 2);
        if self.strays.lock().contains_key(number) {
            return self.next_number.fetch_add(1, Ordering::Relaxed);
        }
        number
    }

    /// The inode of an entry: the one that somebody holds, or a new one. `core` is held, so that the item is true.
    fn node(self: &Arc<Self>, item: fat::Item) -> Arc<Node> {
        let place = item.entry.unwrap_or_default();
        if let Some(known) = self.known(place) {
            return known;
        }
        let node = Node::new(self.clone(), item);
        self.nodes.lock().insert(place, Arc::downgrade(&node));
        node
    }

    /// The inode that somebody holds of an entry.
    fn known(&self, place: u64) -> Option<Arc<Node>> {
        self.nodes.lock().get(place)?.upgrade()
    }

    /// An inode has another entry from now on, or none. `core` is held.
    fn rename(&self, node: &Node, old: Option<u64>, new: Option<(u64, &Arc<Node>)>) {
        self.strays.lock().insert(node.number(), ());
        let mut nodes = self.nodes.lock();
        let removed = old.and_then(|old| nodes.remove(old));
        let replaced = new.and_then(|(new, node)| nodes.insert(new, Arc::downgrade(node)));
        drop(nodes);
        drop((removed, replaced));
    }

    fn begin_writing(&self) -> Result<()> {
        self.is_writable.store(true, Ordering::Release);
        if self.was_dirty {
            return Ok(());
        }
        self.core().mark(true).map_err(|error| self.convert(error))?;
        self.disk.flush()
    }

    fn write_back_pages(&self) -> Result<()> {
        let nodes: Vec<Arc<Node>> = self.nodes.lock().values().filter_map(Weak::upgrade).collect();
        let mut outcome = Ok(());
        for pages in nodes.iter().filter_map(|node| node.pages()) {
            outcome = outcome.and(pages.write_back());
        }
        outcome
    }

    fn sync(&self) -> Result<()> {
        if !self.is_writable.load(Ordering::Acquire) {
            return Ok(());
        }
        let pages = self.write_back_pages();
        let information = self.core().write_information().map_err(|error| self.convert(error));
        pages.and(information).and(self.disk.flush())
    }

    /// Everything is on the disk, and it says that it is in order.
    fn end_writing(&self) -> Result<()> {
        self.sync()?;
        if !self.is_writable.swap(false, Ordering::AcqRel)
            || self.was_dirty
            || self.is_broken.load(Ordering::Acquire)
        {
            return Ok(());
        }
        self.core().mark(false).map_err(|error| self.convert(error))?;
        self.disk.flush()
    }
}

impl FileSystem for Fat {
    fn kind(&self) -> &'static str {
        "vfat"
    }

    fn root(&self) -> Arc<dyn Inode> {
        self.root.clone()
    }

    fn device(&self) -> DeviceNumber {
        self.volume.device
    }

    fn name_caching(&self) -> NameCaching {
        NameCaching::Spellings
    }

    fn statistics(&self) -> Result<Statistics> {
        let mut core = self.volume.core();
        let free = core.free_clusters().map_err(|error| self.volume.convert(error))?.into();
        let parameters = core.parameters();
        Ok(Statistics {
            magic: MSDOS_SUPER_MAGIC as u64,
            block_size: parameters.cluster_bytes(),
            blocks: parameters.clusters.into(),
            blocks_free: free,
            blocks_available: free,
            name_length: super::inode::NAME_MAX as u64,
            id: self.volume.device.to_raw(),
            ..Statistics::default()
        })
    }

    fn sync(&self) -> Result<()> {
        self.volume.sync()
    }

    fn set_access(&self, access: Access) -> Result<()> {
        match access {
            Access::ReadOnly => self.volume.end_writing(),
            Access::ReadWrite => self.volume.begin_writing(),
        }
    }

    /// Linux takes any options of a FAT when it is mounted again, known or not, and changes nothing.
    fn reconfigure(&self, _options: &[u8]) -> Result<()> {
        Ok(())
    }

    fn unmount(&self) -> Result<()> {
        let outcome = self.volume.end_writing();
        // Nothing is written from here on, whoever still holds an inode.
        let claim = self.volume.claim.lock().take();
        drop(claim);
        outcome
    }

    fn options(&self) -> String {
        self.volume.options.show()
    }
}
