//! overlay: a directory tree that can be changed (the upper layer) over trees that are left alone (the lower layers).
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | mounting, and what all inodes share |
//! | `options.rs` | mount options |
//! | `layers.rs` | which names of the layers make up a name here: whiteouts, opaque and merged directories |
//! | `inode.rs` | an inode |
//! | `directory.rs` | names: making, removing, moving, listing |
//! | `copy_up.rs` | before a lower file is changed, it is copied to the upper layer |
//!
//! What is on the layers is what Linux's overlay makes of it, so either can go on where the other stopped: a removed
//! lower name is a *whiteout* in the upper layer, a character device 0:0; a directory that has nothing to do with lower ones
//! of its name has `trusted.overlay.opaque` = `y`. A lower directory does not move: EXDEV (Linux's `redirect_dir=off`).
//!
//! Whatever is done to a layer is done through the VFS, as the kernel, so that who looks at the layer itself sees the same;
//! permissions are checked here, on the attributes of the uppermost layer that has the file. All inodes have the overlay's
//! `st_dev`; `st_ino` is that of the layer, with the file system of the layer in its highest bits (`xino=on`), and stays as
//! long as the inode is held.
//!
//! Locks, from the outer to the inner: `overlay-moving` and `overlay-directory`, which the VFS takes as those of any file
//! system; `copying`; those of the layers. A lower layer may be an overlay on others; the locks of the one on top are classes
//! of their own, outside of these.
//!
//! Source: Documentation/filesystems/overlayfs.rst of Linux.

mod copy_up;
mod directory;
mod inode;
mod layers;
mod options;

use super::{
    dentry::Path,
    file_system::{FileSystem, Statistics},
    filesystems::{self, MountRequest},
    inode::{Inode, Metadata, NewInode, NewKind},
    lookup::{self, LookupFlags},
    mount::{KeptPath, Writing},
    names,
    permission::Caller,
};
use crate::{
    error::{Error, Result},
    process,
    sync::Mutex,
};
use abi::{errno::Errno, stat::DeviceNumber};
use alloc::{
    format,
    string::String,
    sync::{Arc, Weak},
    vec::Vec,
};
use core::sync::atomic::{AtomicU64, Ordering};
use id_map::IdMap;
use inode::Node;
use layers::Layers;
use machine::sync::SpinLock;
use options::Options;

/// `f_type` of statfs(2).
const MAGIC: u64 = 0x794c_7630;
/// How many overlays stand on each other at most (Linux's FILESYSTEM_MAX_STACK_DEPTH).
const DEPTH_MAX: u32 = 2;
/// Where the number of the file system stands in `st_ino`: with four bits for an overlay of each depth.
const FILE_SYSTEM_SHIFT: u32 = 56;
const FILE_SYSTEM_BITS: u32 = 4;

/// What the inodes of one overlay share.
struct Volume {
    device: DeviceNumber,
    /// 1, or 2 if a lower layer is an overlay.
    depth: u32,
    upper: Option<Upper>,
    #[expect(dead_code, reason = "held for what its drop does: the layers stay mounted")]
    kept: Vec<KeptPath>,
    /// The file systems of the layers, the upper one's first.
    file_systems: Vec<DeviceNumber>,
    /// Held while a file is copied up.
    copying: Mutex<()>,
    /// The inodes that have an upper file and are held, by that file's address: one file with two names is one inode.
    nodes: SpinLock<IdMap<usize, Weak<Node>>>,
    options: Options,
}

/// Where changes go.
struct Upper {
    root: Path,
    /// Where things are made before they are moved to their place.
    work: Path,
    next_name: AtomicU64,
    #[expect(dead_code, reason = "held for what its drop does: the layer stays writable")]
    writing: Writing,
}

/// The file system, as the VFS holds it; inodes hold the volume.
struct Overlay {
    volume: Arc<Volume>,
    root: Arc<Node>,
}

/// Mounts an overlay.
pub(super) fn mount(request: &MountRequest<'_>) -> Result<Arc<dyn FileSystem>> {
    let options = Options::parse(request.options)?;
    let caller = match process::try_current() {
        Some(_) => Caller::current(),
        None => Caller::kernel()?,
    };
    let directory = |path: &[u8]| {
        lookup::lookup(&caller, &caller.directory, path, LookupFlags::FOLLOW | LookupFlags::DIRECTORY)
    };
    let lower: Vec<Path> = options.lower.iter().map(|path| directory(path)).collect::<Result<_>>()?;
    let upper = match (&options.upper, &options.work) {
        (Some(upper), Some(work)) => Some(Upper::new(directory(upper)?, &directory(work)?)?),
        (None, None) if lower.len() > 1 => None,
        _ => return Err(Error::new(Errno::EINVAL, "upperdir and workdir, or two lower layers")),
    };
    let depth_of = |layer: &Path| layer.mount.super_block().file_system.stack_depth();
    if upper.as_ref().is_some_and(|upper| depth_of(&upper.root) > 0) {
        return Err(Error::new(Errno::EINVAL, "an overlay cannot be the upper layer of another"));
    }
    let depth = 1 + lower.iter().map(depth_of).max().unwrap_or(0);
    if depth > DEPTH_MAX {
        return Err(Error::new(Errno::EINVAL, "too many overlays on each other"));
    }
    let mut file_systems: Vec<DeviceNumber> = Vec::new();
    for layer in upper.iter().map(|upper| &upper.root).chain(&lower) {
        let device = layer.inode().metadata().device;
        if !file_systems.contains(&device) {
            file_systems.push(device);
        }
    }
    let kept = upper.iter().map(|upper| &upper.root).chain(&lower).cloned().map(KeptPath::new).collect();
    let top = upper.as_ref().map(|upper| upper.root.clone());
    let volume = Arc::new(Volume {
        device: filesystems::new_device(),
        depth,
        upper,
        kept,
        file_systems,
        copying: Mutex::new(if depth > 1 { "overlay-copying-above" } else { "overlay-copying" }, ()),
        nodes: SpinLock::new("overlay-nodes", IdMap::new()),
        options,
    });
    let root = Node::new(&volume, Layers { upper: top, lower }, None);
    Ok(Arc::new(Overlay { volume, root }))
}

impl Upper {
    fn new(root: Path, work: &Path) -> Result<Self> {
        let is_nested = root.dentry.is_ancestor_of(&work.dentry) || work.dentry.is_ancestor_of(&root.dentry);
        if !Arc::ptr_eq(&root.mount, &work.mount) || is_nested {
            return Err(Error::new(Errno::EINVAL, "upperdir and workdir are to be beside each other"));
        }
        let writing = Writing::new(&root.mount)?;
        let caller = Caller::kernel()?;
        let work = match layers::child(work, b"work")? {
            Some(there) => there,
            None => names::create(&caller, work, b"work", NewKind::Directory, 0)?,
        };
        layers::clear(&caller, &work)?;
        Ok(Self { root, work, next_name: AtomicU64::new(0), writing })
    }

    /// A name that nothing in the work directory has.
    fn new_name(&self) -> String {
        format!("#{:x}", self.next_name.fetch_add(1, Ordering::Relaxed))
    }
}

impl Volume {
    /// EROFS if there is no upper layer.
    fn upper(&self) -> Result<&Upper> {
        self.upper.as_ref().ok_or(Error::new(Errno::EROFS, "an overlay without an upper layer"))
    }

    /// `st_ino` of what is number `number` on a file system.
    fn number(&self, device: DeviceNumber, number: u64) -> u64 {
        let index = self.file_systems.iter().position(|known| *known == device);
        let index = index.unwrap_or(self.file_systems.len()) as u64;
        let shift = FILE_SYSTEM_SHIFT + FILE_SYSTEM_BITS * (self.depth - 1);
        number & ((1 << shift) - 1) | index << shift
    }

    /// Makes something in the work directory: its name there and its place.
    fn make(&self, caller: &Caller, new: &NewInode) -> Result<(String, Path)> {
        let upper = self.upper()?;
        let name = upper.new_name();
        let made = names::create(caller, &upper.work, name.as_bytes(), new.kind.clone(), new.mode)?;
        Ok((name, bestow(made, new)?))
    }
}

/// Gives what the kernel has made in a layer its owner and mode.
fn bestow(made: Path, new: &NewInode) -> Result<Path> {
    let change = super::inode::AttributeChange {
        user: Some(new.user),
        group: Some(new.group),
        mode: (!made.inode().is_link()).then_some(new.mode),
        ..Default::default()
    };
    made.inode().set_attributes(&change)?;
    Ok(made)
}

impl FileSystem for Overlay {
    fn kind(&self) -> &'static str {
        "overlay"
    }

    fn root(&self) -> Arc<dyn Inode> {
        self.root.clone()
    }

    fn device(&self) -> DeviceNumber {
        self.volume.device
    }

    fn stack_depth(&self) -> u32 {
        self.volume.depth
    }

    fn statistics(&self) -> Result<Statistics> {
        let top = self.root.real().mount.super_block().clone();
        Ok(Statistics { magic: MAGIC, id: self.volume.device.to_raw(), ..top.file_system.statistics()? })
    }

    fn sync(&self) -> Result<()> {
        match &self.volume.upper {
            Some(upper) => upper.root.mount.super_block().file_system.sync(),
            None => Ok(()),
        }
    }

    fn options(&self) -> String {
        self.volume.options.show()
    }
}

/// The attributes of a file on a layer, as they are here.
fn shown(real: Metadata, device: DeviceNumber, number: u64) -> Metadata {
    Metadata { device, number, ..real }
}
