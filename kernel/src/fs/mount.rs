//! Mounts: which file system continues the tree at which place.
//!
//! A [`Mount`] shows a file system, or a directory of it (bind mount), at a place of another mount. Mounts
//! on the same place stack: the later one is put on the root of the earlier. All of them stand in one
//! table, keyed by the place they cover. Every look-up of a path reads it, without a lock ([`Rcu`]); whoever mounts,
//! unmounts or moves replaces it as a whole, under `CHANGES` (sleeping).
//!
//! A mount is in use, and cannot be unmounted, while another one stands on it or somebody keeps a place in it
//! ([`KeptPath`]): open and mapped files, working directories. Whoever only looks something up does not count; an unmount
//! waits until he has left.

use super::{
    dentry::{Dentry, Path},
    dentry_cache,
    file_system::{Access, FileSystem, SuperBlock},
    inotify,
    page_cache::flusher,
    write_gate::WriteGate,
};
use crate::{
    error::{Error, Result},
    sync::Mutex,
};
use abi::{errno::Errno, stat::DeviceNumber};
use alloc::{string::String, sync::Arc, vec::Vec};
use core::ops::Deref;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use id_map::{BytesMap, IdMap};
use machine::sync::{Once, Rcu, SpinLock};

pub(crate) use super::unmount::{Unmount, unmount};

bitflags::bitflags! {
    /// What may be done through a mount (the bits of statfs's `f_flags`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub(crate) struct MountFlags: u32 {
        /// Nothing can be changed.
        const READ_ONLY = 0x1;
        /// Set-user-ID bits are ignored.
        const NO_SUID = 0x2;
        /// Device files cannot be opened.
        const NO_DEV = 0x4;
        /// Programs cannot be executed.
        const NO_EXEC = 0x8;
        /// Access times are not kept.
        const NO_ATIME = 0x400;
        /// Access times of directories are not kept.
        const NO_DIR_ATIME = 0x800;
        /// Access times are kept roughly.
        const RELATIVE_ATIME = 0x1000;
    }
}

/// A file system at a place in the tree.
pub(crate) struct Mount {
    id: u64,
    super_block: Arc<SuperBlock>,
    root: Arc<Dentry>,
    flags: AtomicU32,
    /// Shut while it is read-only; files open for writing are inside.
    gate: WriteGate,
    place: SpinLock<Option<Path>>,
    source: String,
    is_internal: bool,
    /// How many [`KeptPath`]s there are.
    users: AtomicUsize,
}

#[derive(Clone, Default)]
struct Tree {
    /// By mount id and address of the dentry that is covered: the id of the mount on it.
    covered: BytesMap<u64>,
    /// By id.
    mounts: IdMap<u64, Arc<Mount>>,
}

static TREE: Rcu<Tree> = Rcu::empty();
pub(super) static CHANGES: Mutex<()> = Mutex::new("mount-changes", ());
static NEXT_ID: AtomicU64 = AtomicU64::new(20);
static ROOT: Once<Path> = Once::new();

/// The root of the whole tree; set once by [`set_root`].
pub(crate) fn root() -> Option<Path> {
    ROOT.get().cloned().map(Path::top)
}

impl Mount {
    /// A mount that is nowhere yet.
    pub(crate) fn new(
        super_block: Arc<SuperBlock>,
        root: Arc<Dentry>,
        flags: MountFlags,
        source: String,
    ) -> Arc<Self> {
        Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            super_block,
            root,
            flags: AtomicU32::new(flags.bits()),
            gate: WriteGate::new(flags.contains(MountFlags::READ_ONLY)),
            place: SpinLock::new("mount-place", None),
            source,
            is_internal: false,
            users: AtomicUsize::new(0),
        })
    }

    /// A mount that is never in the tree: the home of pipes and the like.
    pub(super) fn new_internal(file_system: Arc<dyn FileSystem>) -> Arc<Self> {
        let super_block = SuperBlock::new(file_system, Access::ReadWrite);
        let root = super_block.root.clone();
        Arc::new(Self {
            id: 0,
            super_block,
            root,
            flags: AtomicU32::new(0),
            gate: WriteGate::new(false),
            place: SpinLock::new("mount-place", None),
            source: String::new(),
            is_internal: true,
            users: AtomicUsize::new(0),
        })
    }

    /// Its number, as in mountinfo.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The file system, shared with other mounts of it.
    pub(crate) fn super_block(&self) -> &Arc<SuperBlock> {
        &self.super_block
    }

    /// The directory that it shows at its place.
    pub(crate) fn root(&self) -> &Arc<Dentry> {
        &self.root
    }

    /// What was given as the source.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Whether it is outside the tree for good.
    pub(crate) fn is_internal(&self) -> bool {
        self.is_internal
    }

    /// What may be done through it.
    pub(crate) fn flags(&self) -> MountFlags {
        MountFlags::from_bits_truncate(self.flags.load(Ordering::Relaxed))
    }

    /// Changes what may be done through it; EBUSY if nothing is to be written any more and a file is open for writing.
    pub(crate) fn set_flags(&self, flags: MountFlags) -> Result<()> {
        if flags.contains(MountFlags::READ_ONLY) {
            self.gate.shut()?;
        } else {
            self.gate.open();
        }
        self.flags.store(flags.bits(), Ordering::Relaxed);
        Ok(())
    }

    /// Whether somebody keeps a place in it.
    pub(super) fn is_used(&self) -> bool {
        self.users.load(Ordering::Acquire) > 0
    }

    /// The place that it covers.
    pub(crate) fn mount_point(&self) -> Option<Path> {
        self.place.lock().clone()
    }

    /// EROFS if nothing may be changed through it.
    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.flags().contains(MountFlags::READ_ONLY) || self.super_block.is_read_only() {
            return Err(Error::new(Errno::EROFS, "mounted read-only"));
        }
        Ok(())
    }

    /// The path of its root.
    pub(crate) fn root_path(self: &Arc<Self>) -> Path {
        Path { mount: self.clone(), dentry: self.root.clone() }
    }
}

/// Keeps a mount and its file system from becoming read-only until it is dropped.
pub(crate) struct Writing(Arc<Mount>);

impl Writing {
    /// EROFS if nothing may be changed through the mount.
    pub(crate) fn new(mount: &Arc<Mount>) -> Result<Self> {
        mount.gate.enter()?;
        mount.super_block.gate().enter().inspect_err(|_| mount.gate.leave())?;
        Ok(Self(mount.clone()))
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.super_block.gate().leave();
        self.0.gate.leave();
    }
}

/// A place that somebody keeps: its mount is in use.
pub(crate) struct KeptPath(Path);

impl KeptPath {
    /// Counts a user of the mount.
    pub(crate) fn new(path: Path) -> Self {
        path.mount.users.fetch_add(1, Ordering::AcqRel);
        Self(path)
    }
}

impl Clone for KeptPath {
    fn clone(&self) -> Self {
        Self::new(self.0.clone())
    }
}

impl Deref for KeptPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for KeptPath {
    fn drop(&mut self) {
        self.0.mount.users.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Path {
    /// The root of the topmost mount on this place, or the place itself.
    pub(crate) fn top(self) -> Path {
        let mut path = self;
        while path.dentry.is_mount_point() {
            let mounted = {
                let tree = TREE.read();
                tree.and_then(|tree| tree.mounts.get(*tree.covered.get(&path.key())?).cloned())
            };
            match mounted {
                Some(mount) => path = mount.root_path(),
                None => break,
            }
        }
        path
    }

    fn key(&self) -> [u8; 16] {
        let address = Arc::as_ptr(&self.dentry).addr() as u64;
        (u128::from(self.mount.id) << 64 | u128::from(address)).to_be_bytes()
    }

    /// Whether it is the root of its mount.
    pub(crate) fn is_mount_root(&self) -> bool {
        Arc::ptr_eq(&self.dentry, self.mount.root())
    }
}

/// Makes the first mount: the root of the tree.
pub(crate) fn set_root(mount: Arc<Mount>) -> Path {
    let path = mount.root_path();
    let _changes = CHANGES.lock();
    mount.super_block.file_system.note_place(b"/");
    change_tree(|tree| {
        tree.mounts.insert(mount.id, mount);
    });
    ROOT.call_once(|| path).clone()
}

/// Whether a mount stands in the table. The caller holds `CHANGES`.
pub(super) fn is_listed(mount: &Mount) -> bool {
    TREE.read().is_some_and(|tree| tree.mounts.contains_key(mount.id))
}

/// Replaces the table by a changed copy. The caller holds `CHANGES`.
fn change_tree(change: impl FnOnce(&mut Tree)) {
    let mut tree = TREE.read().map(|tree| tree.clone()).unwrap_or_default();
    change(&mut tree);
    let old = TREE.replace(Some(Arc::new(tree)));
    // A mount that was only in there is synced now.
    drop(old);
}

/// Puts a mount on a place, on top of what is mounted there.
pub(crate) fn attach(mount: Arc<Mount>, place: Path) -> Result<()> {
    let _changes = CHANGES.lock();
    attach_locked(mount, place)
}

fn attach_locked(mount: Arc<Mount>, place: Path) -> Result<()> {
    let place = place.top();
    if place.dentry.is_detached() {
        return Err(Error::new(Errno::ENOENT, "the mount point has been removed"));
    }
    if mount.root.inode().is_some_and(|root| root.is_directory()) != place.inode().is_directory() {
        return Err(Error::new(Errno::ENOTDIR, "a directory can only be mounted on a directory"));
    }
    if let Some(root) = root() {
        mount.super_block.file_system.note_place(&place.display(&root));
    }
    let key = place.key();
    place.dentry.add_mount();
    let previous = mount.place.lock().replace(place);
    change_tree(|tree| {
        tree.covered.insert(Arc::new(key), mount.id);
        tree.mounts.insert(mount.id, mount);
    });
    drop(previous);
    Ok(())
}

/// Takes a mount out of the table; its place stays known to `..` from inside until it is dropped.
pub(super) fn remove(mount: &Arc<Mount>) -> Option<Path> {
    let place = mount.place.lock().take();
    change_tree(|tree| {
        if let Some(place) = &place {
            tree.covered.remove(&place.key());
        }
        tree.mounts.remove(mount.id);
    });
    if let Some(place) = &place {
        place.dentry.remove_mount();
    }
    place
}

/// All mounts below one, in the order in which they were made.
pub(super) fn descendants(mount: &Arc<Mount>) -> Vec<Arc<Mount>> {
    let all = list();
    let mut found: Vec<Arc<Mount>> = Vec::new();
    loop {
        let before = found.len();
        for candidate in &all {
            let Some(place) = candidate.mount_point() else { continue };
            let is_below =
                Arc::ptr_eq(&place.mount, mount) || found.iter().any(|m| Arc::ptr_eq(m, &place.mount));
            if is_below && !found.iter().any(|m| Arc::ptr_eq(m, candidate)) {
                found.push(candidate.clone());
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// Shows the directory or file `source` at `target` too; `recursive`: with the mounts below it.
pub(crate) fn bind(source: &Path, target: Path, extent: BindExtent) -> Result<()> {
    let _changes = CHANGES.lock();
    let copy = copy_of(&source.mount, &source.dentry);
    let mut made = alloc::vec![(source.mount.clone(), copy.clone())];
    let below = if extent == BindExtent::Tree { descendants(&source.mount) } else { Vec::new() };
    attach_locked(copy, target)?;
    for mount in below {
        let Some(place) = mount.mount_point() else { continue };
        let Some((_, parent)) = made.iter().find(|(original, _)| Arc::ptr_eq(original, &place.mount)) else {
            continue;
        };
        if !parent.root.is_ancestor_of(&place.dentry) {
            continue;
        }
        let copy = copy_of(&mount, &mount.root);
        let place = Path { mount: parent.clone(), dentry: place.dentry.clone() };
        made.push((mount.clone(), copy.clone()));
        attach_locked(copy, place)?;
    }
    Ok(())
}

/// What a bind mount shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BindExtent {
    /// One mount.
    Mount,
    /// The mounts below it too (MS_REC).
    Tree,
}

fn copy_of(mount: &Arc<Mount>, root: &Arc<Dentry>) -> Arc<Mount> {
    Mount::new(mount.super_block.clone(), root.clone(), mount.flags(), mount.source.clone())
}

/// Moves the mount whose root `source` is to `target` (MS_MOVE).
pub(crate) fn relocate(source: &Path, target: Path) -> Result<()> {
    let _changes = CHANGES.lock();
    if !source.is_mount_root() || source.mount.mount_point().is_none() {
        return Err(Error::new(Errno::EINVAL, "not a mount point"));
    }
    let mount = source.mount.clone();
    if Arc::ptr_eq(&target.mount, &mount) || descendants(&mount).iter().any(|m| Arc::ptr_eq(m, &target.mount))
    {
        return Err(Error::new(Errno::ELOOP, "a mount cannot be moved into itself"));
    }
    if source.inode().is_directory() != target.inode().is_directory() {
        return Err(Error::new(Errno::ENOTDIR, "a directory can only be mounted on a directory"));
    }
    remove(&mount);
    attach_locked(mount, target)
}

/// All mounts of the tree, in the order in which they were made.
pub(crate) fn list() -> Vec<Arc<Mount>> {
    TREE.read().map(|tree| tree.mounts.values().cloned().collect()).unwrap_or_default()
}

/// The file system of a device that is in use, so that mounting it again shares it.
pub(crate) fn find_super_block(device: DeviceNumber) -> Option<Arc<SuperBlock>> {
    list().iter().map(|mount| mount.super_block.clone()).find(|block| block.file_system.device() == device)
}

/// Writes all file systems of the tree to their disks.
pub(crate) fn sync_all() -> Result<()> {
    // Nobody unmounts meanwhile: the last reference to a file system would be here.
    let _changes = CHANGES.lock();
    let mut blocks: Vec<Arc<SuperBlock>> = Vec::new();
    for mount in list() {
        if !blocks.iter().any(|block| Arc::ptr_eq(block, &mount.super_block)) {
            blocks.push(mount.super_block.clone());
        }
    }
    let mut outcome = Ok(());
    for block in blocks.iter().filter(|block| !block.is_read_only()) {
        outcome = outcome.and(block.file_system.sync());
    }
    outcome
}

/// Before power-off: everything is written and every file system marked clean, whoever still uses it.
pub(crate) fn shut_down() {
    for mount in list().iter().rev() {
        if mount.super_block.is_read_only() {
            continue;
        }
        if let Err(error) = mount.super_block.freeze() {
            log::error!(
                "fs: {} ({}) stays dirty: {error}",
                mount.source,
                mount.super_block.file_system.kind()
            );
        }
    }
}

impl Drop for SuperBlock {
    fn drop(&mut self) {
        inotify::tell_unmounted(self);
        let device = self.file_system.device();
        dentry_cache::forget_device(device);
        if let Err(error) = self.file_system.unmount() {
            log::error!("fs: unmounting {}: {error}", self.file_system.kind());
        }
        flusher::forget_device(device);
    }
}
