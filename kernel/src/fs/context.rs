//! Where a process is in the tree: working directory, root, umask. Shared by CLONE_FS.

use super::{dentry::Path, mount::KeptPath};
use machine::sync::SpinLock;

/// Working directory, root and umask of a process.
pub(crate) struct FsContext {
    inner: SpinLock<Inner>,
}

#[derive(Clone)]
struct Inner {
    root: KeptPath,
    directory: KeptPath,
    umask: u32,
}

impl FsContext {
    /// Everything at `root`, umask 022: the first process.
    pub(crate) fn new(root: Path) -> Self {
        let root = KeptPath::new(root);
        let inner = Inner { directory: root.clone(), root, umask: 0o022 };
        Self { inner: SpinLock::new("fs-context", inner) }
    }

    /// A copy for a forked process.
    pub(crate) fn fork(&self) -> Self {
        let inner = self.inner.lock().clone();
        Self { inner: SpinLock::new("fs-context", inner) }
    }

    /// Root, working directory and umask.
    pub(super) fn snapshot(&self) -> (Path, Path, u32) {
        let inner = self.inner.lock();
        (Path::clone(&inner.root), Path::clone(&inner.directory), inner.umask)
    }

    /// Where absolute paths start.
    pub(crate) fn root(&self) -> Path {
        Path::clone(&self.inner.lock().root)
    }

    /// Where relative paths start.
    pub(crate) fn directory(&self) -> Path {
        Path::clone(&self.inner.lock().directory)
    }

    /// Changes the working directory.
    pub(crate) fn set_directory(&self, path: Path) {
        let path = KeptPath::new(path);
        let previous = core::mem::replace(&mut self.inner.lock().directory, path);
        // Dropped without the lock: it may be the last reference to a mount.
        drop(previous);
    }

    /// Changes the root.
    pub(crate) fn set_root(&self, path: Path) {
        let path = KeptPath::new(path);
        let previous = core::mem::replace(&mut self.inner.lock().root, path);
        drop(previous);
    }

    /// The umask.
    pub(crate) fn umask(&self) -> u32 {
        self.inner.lock().umask
    }

    /// Sets the umask and returns the one before.
    pub(crate) fn set_umask(&self, umask: u32) -> u32 {
        core::mem::replace(&mut self.inner.lock().umask, umask & 0o777)
    }
}
