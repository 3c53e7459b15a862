//! What is known of an inode besides its contents, in the VFS's terms.

use crate::error::Error;
use crate::geometry::Ino;
use crate::mount::FileSystem;
use crate::node::Locked;
use crate::time::Timestamp;

/// The kind of an inode. The values are those of `file_type` in directory entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FileKind {
    /// An ordinary file.
    Regular = 1,
    /// A directory.
    Directory = 2,
    /// A character device.
    CharDevice = 3,
    /// A block device.
    BlockDevice = 4,
    /// A named pipe.
    Fifo = 5,
    /// A Unix-domain socket.
    Socket = 6,
    /// A symbolic link.
    Symlink = 7,
}

impl FileKind {
    const ALL: [Self; 7] = [
        Self::Regular,
        Self::Directory,
        Self::CharDevice,
        Self::BlockDevice,
        Self::Fifo,
        Self::Socket,
        Self::Symlink,
    ];

    /// The kind that the top four bits of `i_mode` (S_IFMT) name.
    pub(crate) fn from_mode(mode: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.mode_bits() == mode & 0xf000)
    }

    /// The kind that `file_type` of a directory entry names.
    #[inline]
    pub(crate) fn from_entry(file_type: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&kind| kind as u8 == file_type)
    }

    /// The top four bits of `st_mode` (S_IFMT).
    pub fn mode_bits(self) -> u16 {
        match self {
            Self::Fifo => 0x1000,
            Self::CharDevice => 0x2000,
            Self::Directory => 0x4000,
            Self::BlockDevice => 0x6000,
            Self::Regular => 0x8000,
            Self::Symlink => 0xa000,
            Self::Socket => 0xc000,
        }
    }
}

/// The device that a device node stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceNumber {
    /// Which driver, 12 bits.
    pub major: u32,
    /// Which of its devices, 20 bits.
    pub minor: u32,
}

impl DeviceNumber {
    /// From the first two pointers of the inode: the old 16-bit form, else the new 32-bit form.
    pub(crate) fn from_pointers(old: u32, new: u32) -> Self {
        if old != 0 {
            Self { major: old >> 8 & 0xff, minor: old & 0xff }
        } else {
            Self { major: new >> 8 & 0xfff, minor: new & 0xff | new >> 12 & 0xf_ff00 }
        }
    }

    /// The first two pointers of the inode.
    pub(crate) fn to_pointers(self) -> (u32, u32) {
        if self.major < 256 && self.minor < 256 {
            (self.major << 8 | self.minor, 0)
        } else {
            (0, self.minor & 0xff | (self.major & 0xfff) << 8 | (self.minor & 0xf_ff00) << 12)
        }
    }
}

/// What `stat` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The inode's number.
    pub ino: Ino,
    /// Its kind.
    pub kind: FileKind,
    /// Permissions, set-user-id, set-group-id and sticky: the low 12 bits of `st_mode`.
    pub permissions: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes; of a symlink, the length of its target.
    pub size: u64,
    /// Number of names.
    pub links: u32,
    /// Space on disk in units of 512 bytes, indirect and attribute blocks included.
    pub sectors: u64,
    /// Last read.
    pub accessed: Timestamp,
    /// Last change of the contents.
    pub modified: Timestamp,
    /// Last change of the inode.
    pub changed: Timestamp,
    /// Creation, where the inode is large enough to hold it.
    pub created: Option<Timestamp>,
    /// What a device node stands for.
    pub device: Option<DeviceNumber>,
    /// Tells users of the same number apart.
    pub generation: u32,
    /// `chattr` flags (FS_*_FL).
    pub flags: u32,
    /// Whether there are extended attributes.
    pub has_xattrs: bool,
}

/// What is to change; `None` stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetAttributes {
    /// The low 12 bits of `st_mode`.
    pub permissions: Option<u16>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Last read. If only this is given, the change time stays as well.
    pub accessed: Option<Timestamp>,
    /// Last change of the contents.
    pub modified: Option<Timestamp>,
    /// `chattr` flags; only those that user space may set are taken.
    pub flags: Option<u32>,
}

impl SetAttributes {
    fn is_only_access(&self) -> bool {
        self.permissions.is_none()
            && self.uid.is_none()
            && self.gid.is_none()
            && self.modified.is_none()
            && self.flags.is_none()
    }
}

impl FileSystem {
    /// The attributes of an inode. [`Error::NotFound`] if it was deleted meanwhile.
    pub fn read_inode(&self, ino: Ino) -> Result<Attributes, Error> {
        self.watch(|| {
            let node = self.node(ino)?;
            Ok(self.lock(&node).attributes())
        })
    }

    /// Changes attributes, and with them the time of change.
    pub fn set_attributes(&self, ino: Ino, changes: &SetAttributes) -> Result<Attributes, Error> {
        self.change(|| {
            let node = self.node(ino)?;
            let mut locked = self.lock(&node);
            self.apply(&mut locked, changes);
            Ok(locked.attributes())
        })
    }

    fn apply(&self, locked: &mut Locked<'_>, changes: &SetAttributes) {
        let now = self.context.now();
        let inode = locked.inode_mut();
        if let Some(permissions) = changes.permissions {
            inode.set_permissions(permissions);
        }
        if let Some(uid) = changes.uid {
            inode.set_uid(uid);
        }
        if let Some(gid) = changes.gid {
            inode.set_gid(gid);
        }
        if let Some(time) = changes.accessed {
            inode.set_accessed(time);
        }
        if let Some(time) = changes.modified {
            inode.set_modified(time);
        }
        if let Some(flags) = changes.flags {
            inode.set_user_flags(flags);
        }
        if !changes.is_only_access() {
            inode.set_changed(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_survive_both_forms() {
        for (major, minor) in [(1, 3), (255, 255), (256, 0), (8, 256), (4095, 0xf_ffff)] {
            let device = DeviceNumber { major, minor };
            let (old, new) = device.to_pointers();
            assert_eq!(DeviceNumber::from_pointers(old, new), device);
        }
    }

    #[test]
    fn kinds_survive_mode_and_entry() {
        for kind in FileKind::ALL {
            assert_eq!(FileKind::from_mode(kind.mode_bits() | 0o755), Some(kind));
            assert_eq!(FileKind::from_entry(kind as u8), Some(kind));
        }
        assert_eq!(FileKind::from_mode(0), None);
    }
}
