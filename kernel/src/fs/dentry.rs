//! Dentries: names that have been looked up, in the shape of the tree.
//!
//! A dentry holds its parent; a parent knows its children weakly, so a dentry lives as long as somebody
//! uses it: a path, a mount point, a child, or the cache ([`super::dentry_cache`]), which keeps a bounded
//! number of recently used ones. A *negative* dentry records that a name does not exist. The inode of a
//! dentry is set once: when a file is created the negative dentry becomes positive, and when it is removed
//! the dentry leaves the tree ([`Dentry::detach`]) and another one takes its place.
//!
//! Locks: the directory locks of the inodes involved are held by whoever changes the tree. Under them,
//! `place` (spin) guards parent and name of one dentry, `children` (spin) the map of one; `place` is taken
//! first. Neither is held while a file system is called, and no reference to a dentry is dropped under
//! either. `MOVES` counts relocations, so that who walks up without locks can tell that he must start again.

use super::{file_system::NameCaching, inode::Inode, inotify, mount::Mount};
use abi::stat::DeviceNumber;
use alloc::{
    sync::{Arc, Weak},
    vec::Vec,
};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use id_map::BytesMap;
use machine::sync::{Once, SpinLock};

/// Number of relocations so far (module header).
static MOVES: AtomicU64 = AtomicU64::new(0);

/// A name in the tree.
pub(crate) struct Dentry {
    place: SpinLock<Place>,
    inode: Once<Arc<dyn Inode>>,
    children: SpinLock<BytesMap<Weak<Dentry>>>,
    caching: NameCaching,
    device: DeviceNumber,
    mounts: AtomicU32,
    is_detached: AtomicBool,
    pub(super) is_recent: AtomicBool,
    /// Its place in the queue of the cache; 0: none.
    pub(super) cache_place: AtomicU64,
}

/// Where a dentry stands.
struct Place {
    parent: Option<Arc<Dentry>>,
    name: Arc<[u8]>,
}

impl Dentry {
    /// The root of a file system.
    pub(super) fn new_root(inode: Arc<dyn Inode>, caching: NameCaching, device: DeviceNumber) -> Arc<Self> {
        Self::new(None, b"/", Some(inode), caching, device)
    }

    fn new(
        parent: Option<Arc<Dentry>>,
        name: &[u8],
        inode: Option<Arc<dyn Inode>>,
        caching: NameCaching,
        device: DeviceNumber,
    ) -> Arc<Self> {
        let cell = Once::new();
        if let Some(inode) = inode {
            cell.call_once(|| inode);
        }
        Arc::new(Self {
            place: SpinLock::new("dentry-place", Place { parent, name: name.into() }),
            inode: cell,
            children: SpinLock::new("dentry-children", BytesMap::new()),
            caching,
            device,
            mounts: AtomicU32::new(0),
            is_detached: AtomicBool::new(false),
            is_recent: AtomicBool::new(false),
            cache_place: AtomicU64::new(0),
        })
    }

    /// A dentry outside of any directory, for what has no name (pipes).
    pub(super) fn new_unnamed(root: &Arc<Dentry>, name: &[u8], inode: Arc<dyn Inode>) -> Arc<Self> {
        Self::new(Some(root.clone()), name, Some(inode), root.caching, root.device)
    }

    /// A dentry for a file that has lost its name before it had one (O_TMPFILE).
    pub(super) fn new_deleted(parent: &Arc<Dentry>, name: &[u8], inode: Arc<dyn Inode>) -> Arc<Self> {
        let dentry = Self::new_unnamed(parent, name, inode);
        dentry.is_detached.store(true, Ordering::Relaxed);
        dentry
    }

    /// The child of a name, if the tree has it.
    pub(super) fn child(&self, name: &[u8]) -> Option<Arc<Dentry>> {
        let children = self.children.lock();
        children.get(name)?.upgrade()
    }

    /// Adds a child. The directory lock is held and [`child`](Self::child) knows nothing of the name.
    pub(super) fn add_child(self: &Arc<Self>, name: &[u8], inode: Option<Arc<dyn Inode>>) -> Arc<Dentry> {
        let child = Self::new(Some(self.clone()), name, inode, self.caching, self.device);
        let name = child.name();
        self.children.lock().insert(name, Arc::downgrade(&child));
        child
    }

    /// The inode; `None` if the name does not exist.
    pub(crate) fn inode(&self) -> Option<&Arc<dyn Inode>> {
        self.inode.get()
    }

    /// A negative dentry becomes positive. The directory lock is held.
    pub(super) fn instantiate(&self, inode: Arc<dyn Inode>) {
        self.inode.call_once(|| inode);
    }

    /// How names below it may be cached.
    pub(super) fn caching(&self) -> NameCaching {
        self.caching
    }

    /// The file system that it belongs to.
    pub(super) fn device(&self) -> DeviceNumber {
        self.device
    }

    /// The name in its directory.
    pub(crate) fn name(&self) -> Arc<[u8]> {
        self.place.lock().name.clone()
    }

    /// The directory that it is in; `None` for the root of a file system.
    pub(crate) fn parent(&self) -> Option<Arc<Dentry>> {
        self.place.lock().parent.clone()
    }

    /// Whether the name has been removed.
    pub(crate) fn is_detached(&self) -> bool {
        self.is_detached.load(Ordering::Acquire)
    }

    /// Takes it out of the tree: the name has been removed. It stays what it is for those who use it.
    pub(super) fn detach(self: &Arc<Self>) {
        self.is_detached.store(true, Ordering::Release);
        super::dentry_cache::remove(self);
        // Names that do not exist in a removed directory would keep its inode.
        let absent: Vec<Arc<Dentry>> = self.children.lock().values().filter_map(Weak::upgrade).collect();
        for child in absent {
            super::dentry_cache::remove(&child);
        }
        let place = self.place.lock();
        if let Some(parent) = &place.parent {
            parent.forget(&place.name, Arc::as_ptr(self));
        }
    }

    /// Removes the entry of `name` if it is the one of `child`.
    fn forget(&self, name: &[u8], child: *const Dentry) {
        let mut children = self.children.lock();
        if children.get(name).is_some_and(|known| core::ptr::eq(known.as_ptr(), child)) {
            children.remove(name);
        }
    }

    /// Gives it another name and parent. Directory locks of both and `moving` of the file system are held.
    pub(super) fn relocate(self: &Arc<Self>, parent: &Arc<Dentry>, name: &[u8]) {
        let mut previous = Place { parent: Some(parent.clone()), name: name.into() };
        {
            let mut place = self.place.lock();
            if let Some(old) = &place.parent {
                old.forget(&place.name, Arc::as_ptr(self));
            }
            core::mem::swap(&mut *place, &mut previous);
            parent.children.lock().insert(place.name.clone(), Arc::downgrade(self));
        }
        MOVES.fetch_add(1, Ordering::AcqRel);
        drop(previous);
    }

    /// Two dentries change places.
    pub(super) fn exchange(self: &Arc<Self>, other: &Arc<Self>) {
        let (Some(parent), Some(other_parent)) = (self.parent(), other.parent()) else { return };
        let (name, other_name) = (self.name(), other.name());
        other.relocate(&parent, &name);
        // Its old entry is `other`'s by now, which `forget` sees and leaves alone.
        self.relocate(&other_parent, &other_name);
    }

    /// Whether `self` is `other` or lies above it.
    pub(super) fn is_ancestor_of(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        let mut steps = other.clone();
        loop {
            if Arc::ptr_eq(self, &steps) {
                return true;
            }
            match steps.parent() {
                Some(parent) => steps = parent,
                None => return false,
            }
        }
    }

    /// Whether it, or what lies above it, stands for this inode.
    pub(super) fn is_within(self: &Arc<Self>, inode: &Arc<dyn Inode>) -> bool {
        let is_of =
            |dentry: &Self| dentry.inode().is_some_and(|own| core::ptr::eq(own.state(), inode.state()));
        let mut steps = self.clone();
        loop {
            if is_of(&steps) {
                return true;
            }
            match steps.parent() {
                Some(parent) => steps = parent,
                None => return false,
            }
        }
    }

    /// Whether something may be mounted on it.
    pub(super) fn is_mount_point(&self) -> bool {
        self.mounts.load(Ordering::Acquire) != 0
    }

    /// A mount was put on it.
    pub(super) fn add_mount(&self) {
        self.mounts.fetch_add(1, Ordering::AcqRel);
    }

    /// A mount on it is gone.
    pub(super) fn remove_mount(&self) {
        self.mounts.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Dentry {
    /// Leaves the parent's map, and goes up by a loop where it held the last reference to its parent:
    /// recursion would use as much stack as the path is deep.
    fn drop(&mut self) {
        if self.is_detached.load(Ordering::Relaxed)
            && let Some(inode) = self.inode.get()
        {
            inotify::tell_unused(inode);
        }
        let mut address: *const Dentry = self;
        let place = self.place.get_mut();
        let mut name = place.name.clone();
        let mut parent = place.parent.take();
        while let Some(above) = parent {
            above.forget(&name, address);
            address = Arc::as_ptr(&above);
            match Arc::into_inner(above) {
                Some(mut last) => {
                    let place = last.place.get_mut();
                    name = place.name.clone();
                    parent = place.parent.take();
                    drop(last);
                }
                None => return,
            }
        }
    }
}

/// A place in the tree of mounts: what a path leads to. It always names something that exists.
#[derive(Clone)]
pub(crate) struct Path {
    /// The mount.
    pub(crate) mount: Arc<Mount>,
    /// The place in its file system.
    pub(crate) dentry: Arc<Dentry>,
}

impl Path {
    /// The inode.
    pub(crate) fn inode(&self) -> &Arc<dyn Inode> {
        self.dentry.inode().expect("a path is made of a positive dentry")
    }

    /// Whether both are the same place.
    pub(crate) fn is_same(&self, other: &Path) -> bool {
        Arc::ptr_eq(&self.mount, &other.mount) && Arc::ptr_eq(&self.dentry, &other.dentry)
    }

    /// The directory above, through mounts; `None` at the root of all.
    pub(crate) fn parent(&self) -> Option<Path> {
        let mut path = self.clone();
        loop {
            if !Arc::ptr_eq(&path.dentry, path.mount.root()) {
                let parent = path.dentry.parent()?;
                return Some(Path { mount: path.mount, dentry: parent });
            }
            path = path.mount.mount_point()?;
        }
    }

    /// The absolute path as seen from `root`, as /proc gives it. A removed name ends in " (deleted)"; what cannot be reached
    /// from `root` has its path from the top of its tree, as on Linux (d_path).
    pub(crate) fn display(&self, root: &Path) -> Vec<u8> {
        let mut text = match self.relative_to(root) {
            PathText::Inside(text) | PathText::Outside(text) | PathText::Unnamed(text) => text,
        };
        if self.dentry.is_detached() {
            text.extend_from_slice(b" (deleted)");
        }
        text
    }

    /// The path as seen from `root`.
    pub(crate) fn relative_to(&self, root: &Path) -> PathText {
        loop {
            let moves = MOVES.load(Ordering::Acquire);
            let text = self.walk_up(root);
            if MOVES.load(Ordering::Acquire) == moves {
                return text;
            }
        }
    }

    fn walk_up(&self, root: &Path) -> PathText {
        let mut names: Vec<Arc<[u8]>> = Vec::new();
        let mut at = self.clone();
        let is_inside = loop {
            if at.is_same(root) {
                break true;
            }
            if Arc::ptr_eq(&at.dentry, at.mount.root()) {
                match at.mount.mount_point() {
                    Some(below) => at = below,
                    None => break false,
                }
                continue;
            }
            names.push(at.dentry.name());
            match at.dentry.parent() {
                Some(parent) => at.dentry = parent,
                None => break false,
            }
        };
        if at.mount.is_internal() {
            return PathText::Unnamed(names.first().map_or(Vec::new(), |name| name.to_vec()));
        }
        let mut text = Vec::new();
        for name in names.iter().rev() {
            text.push(b'/');
            text.extend_from_slice(name);
        }
        if text.is_empty() {
            text.push(b'/');
        }
        if is_inside { PathText::Inside(text) } else { PathText::Outside(text) }
    }
}

/// See [`Path::relative_to`].
pub(crate) enum PathText {
    /// An absolute path.
    Inside(Vec<u8>),
    /// The path from the top of a tree that the root does not contain.
    Outside(Vec<u8>),
    /// The name of something that is in no directory (`pipe:[7]`).
    Unnamed(Vec<u8>),
}
