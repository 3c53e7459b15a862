//! What a file system is to the VFS, and one mounted instance of it.

use super::{dentry::Dentry, inode::Inode, write_gate::WriteGate};
use crate::{error::Result, sync::Mutex};
use abi::stat::DeviceNumber;
use alloc::{string::String, sync::Arc};

/// Figures for statfs(2); sizes count in `block_size` units.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Statistics {
    /// `f_type`: the magic number of the type.
    pub(crate) magic: u64,
    pub(crate) block_size: u64,
    pub(crate) blocks: u64,
    pub(crate) blocks_free: u64,
    /// Free for users other than root.
    pub(crate) blocks_available: u64,
    pub(crate) files: u64,
    pub(crate) files_free: u64,
    pub(crate) name_length: u64,
    pub(crate) id: u64,
}

/// How names of a file system may be cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameCaching {
    /// Names change only through the VFS: what was found, and what was not, stays true.
    Full,
    /// Names come and go by themselves: what was found is asked [`Inode::is_valid`], and forgotten when nobody uses it;
    /// what was not is asked again.
    Revalidate,
    /// Others change names too: what was found is asked [`Inode::is_valid`] each time, but kept; what was not is asked again.
    Shared,
    /// Names change only through the VFS, but one name can be spelt in several ways: what was found stays true, under the
    /// spelling that the directory has; what was not is asked again.
    Spellings,
}

/// A file system that can be mounted.
pub(crate) trait FileSystem: Send + Sync {
    /// The name of its type, as in /proc/filesystems.
    fn kind(&self) -> &'static str;

    /// Its root directory.
    fn root(&self) -> Arc<dyn Inode>;

    /// `st_dev` of its files.
    fn device(&self) -> DeviceNumber;

    /// Figures for statfs(2).
    fn statistics(&self) -> Result<Statistics>;

    /// Whether names may be cached.
    fn name_caching(&self) -> NameCaching {
        NameCaching::Full
    }

    /// Writes everything that is only in memory to the disk and waits for it.
    fn sync(&self) -> Result<()> {
        Ok(())
    }

    /// Makes it writable or not; going read-only syncs.
    fn set_access(&self, _access: Access) -> Result<()> {
        Ok(())
    }

    /// The last mount is gone: writes everything and marks the file system clean.
    fn unmount(&self) -> Result<()> {
        self.sync()
    }

    /// Takes new options of this type (remount).
    fn reconfigure(&self, _options: &[u8]) -> Result<()> {
        Ok(())
    }

    /// Whether somebody else keeps the times of its files' last reads.
    fn has_own_access_times(&self) -> bool {
        false
    }

    /// It is mounted at a path, as seen from the root of the tree.
    fn note_place(&self, _path: &[u8]) {}

    /// Over how many file systems on each other its operations use the names of another, so that its locks come before
    /// theirs.
    fn stack_depth(&self) -> u32 {
        0
    }

    /// Options of this type for /proc/mounts, each with a comma before it (",size=1024k").
    fn options(&self) -> String {
        String::new()
    }
}

/// Whether a file system may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// It may.
    ReadWrite,
    /// It may not: EROFS.
    ReadOnly,
}

/// A file system in use: all its mounts share one.
pub(crate) struct SuperBlock {
    /// The file system.
    pub(crate) file_system: Arc<dyn FileSystem>,
    /// Its root.
    pub(crate) root: Arc<Dentry>,
    /// Held while a name moves from one directory to another, so that no loop can be made.
    pub(crate) moving: Mutex<()>,
    /// Shut while it is read-only; files open for writing are inside.
    gate: WriteGate,
}

impl SuperBlock {
    /// Puts a file system into use.
    pub(crate) fn new(file_system: Arc<dyn FileSystem>, access: Access) -> Arc<Self> {
        let root = Dentry::new_root(file_system.root(), file_system.name_caching(), file_system.device());
        let moving = match file_system.stack_depth() {
            0 => "fs-moving",
            1 => "overlay-moving",
            _ => "overlay-moving-above",
        };
        Arc::new(Self {
            file_system,
            root,
            moving: Mutex::new(moving, ()),
            gate: WriteGate::new(access == Access::ReadOnly),
        })
    }

    /// Whether nothing on it may be changed.
    pub(crate) fn is_read_only(&self) -> bool {
        self.gate.is_shut()
    }

    /// Makes it writable or not; EBUSY if it is to be read-only and a file is open for writing.
    pub(crate) fn set_access(&self, access: Access) -> Result<()> {
        match access {
            Access::ReadOnly => {
                self.gate.shut()?;
                self.file_system.set_access(access).inspect_err(|_| self.gate.open())
            }
            Access::ReadWrite => {
                self.file_system.set_access(access)?;
                self.gate.open();
                Ok(())
            }
        }
    }

    /// Makes it read-only for good, whoever writes.
    pub(crate) fn freeze(&self) -> Result<()> {
        self.gate.shut_anyway();
        self.file_system.set_access(Access::ReadOnly)
    }

    /// What a file that is open for writing passes.
    pub(super) fn gate(&self) -> &WriteGate {
        &self.gate
    }
}
