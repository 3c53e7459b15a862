//! What a file is: `stat`, `statx`, `statfs`, mode bits, device numbers. Source: stat(2), statx(2), statfs(2), inode(7).

use crate::time::Timespec;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u32, like libc;
    S_IFMT = 0o170000, "The bits of the file type.";
    S_IFSOCK = 0o140000, "A socket.";
    S_IFLNK = 0o120000, "A symbolic link.";
    S_IFREG = 0o100000, "A regular file.";
    S_IFBLK = 0o060000, "A block device.";
    S_IFDIR = 0o040000, "A directory.";
    S_IFCHR = 0o020000, "A character device.";
    S_IFIFO = 0o010000, "A named pipe.";
    S_ISUID = 0o4000, "Run with the owner's user id.";
    S_ISGID = 0o2000, "Run with the owner's group id; on a directory: new files inherit its group.";
    S_ISVTX = 0o1000, "Sticky: only the owner removes an entry.";
    S_IRWXU = 0o700, "All permissions of the owner.";
    S_IRUSR = 0o400, "The owner reads.";
    S_IWUSR = 0o200, "The owner writes.";
    S_IXUSR = 0o100, "The owner executes.";
    S_IRWXG = 0o070, "All permissions of the group.";
    S_IRGRP = 0o040, "The group reads.";
    S_IWGRP = 0o020, "The group writes.";
    S_IXGRP = 0o010, "The group executes.";
    S_IRWXO = 0o007, "All permissions of others.";
    S_IROTH = 0o004, "Others read.";
    S_IWOTH = 0o002, "Others write.";
    S_IXOTH = 0o001, "Others execute.";
}

/// The permission bits together with set-id and sticky bits.
pub const S_IALLUGO: u32 = 0o7777;

/// A device number in two parts, with the encodings that Linux uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceNumber {
    /// Which driver (12 bits in Linux's kernel, 32 in user space).
    pub major: u32,
    /// Which of its devices (20 bits in Linux's kernel).
    pub minor: u32,
}

impl DeviceNumber {
    /// A device number from its parts.
    pub const fn new(major: u32, minor: u32) -> DeviceNumber {
        DeviceNumber { major, minor }
    }

    /// As `st_dev`, `st_rdev` and `mknod` carry it.
    pub const fn to_raw(self) -> u64 {
        let (major, minor) = (self.major as u64, self.minor as u64);
        (major & 0xfff) << 8 | (major & !0xfff) << 32 | minor & 0xff | (minor & !0xff) << 12
    }

    /// From what `mknod` or an inode carries.
    pub const fn from_raw(raw: u64) -> DeviceNumber {
        DeviceNumber {
            major: (raw >> 8 & 0xfff | raw >> 32 & !0xfff) as u32,
            minor: (raw & 0xff | raw >> 12 & !0xff) as u32,
        }
    }
}

/// `struct stat`, 144 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Stat {
    /// Device that holds the file.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Number of hard links.
    pub nlink: u64,
    /// Type and permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Padding.
    pub _pad0: u32,
    /// Device number of a device file.
    pub rdev: u64,
    /// Length in bytes.
    pub size: i64,
    /// Preferred size of a transfer in bytes.
    pub blksize: i64,
    /// Space used, in units of 512 bytes.
    pub blocks: i64,
    /// Last access.
    pub atime: Timespec,
    /// Last change of the contents.
    pub mtime: Timespec,
    /// Last change of the inode.
    pub ctime: Timespec,
    /// Reserved.
    pub _unused: [u64; 3],
}

flags! {
    /// Which fields of [`Statx`] are wanted and filled.
    StatxMask: u32, like linux_raw_sys::general;
    STATX_TYPE = 0x1, "The type in `mode`.";
    STATX_MODE = 0x2, "The permissions in `mode`.";
    STATX_NLINK = 0x4, "`nlink`.";
    STATX_UID = 0x8, "`uid`.";
    STATX_GID = 0x10, "`gid`.";
    STATX_ATIME = 0x20, "`atime`.";
    STATX_MTIME = 0x40, "`mtime`.";
    STATX_CTIME = 0x80, "`ctime`.";
    STATX_INO = 0x100, "`ino`.";
    STATX_SIZE = 0x200, "`size`.";
    STATX_BLOCKS = 0x400, "`blocks`.";
    STATX_BASIC_STATS = 0x7ff, "All that `stat` has.";
    STATX_BTIME = 0x800, "`btime`.";
    STATX_MNT_ID = 0x1000, "`mnt_id`.";
    STATX_DIOALIGN = 0x2000, "`dio_mem_align` and `dio_offset_align`.";
    STATX__RESERVED = 0x8000_0000, "Must not be asked for.";
}

flags! {
    /// Attributes in [`Statx::attributes`].
    StatxAttributes: u64, like linux_raw_sys::general;
    STATX_ATTR_COMPRESSED = 0x4, "Compressed by the file system.";
    STATX_ATTR_IMMUTABLE = 0x10, "Cannot change.";
    STATX_ATTR_APPEND = 0x20, "Can only grow.";
    STATX_ATTR_NODUMP = 0x40, "Not for backups.";
    STATX_ATTR_ENCRYPTED = 0x800, "Encrypted.";
    STATX_ATTR_AUTOMOUNT = 0x1000, "An automount trigger.";
    STATX_ATTR_MOUNT_ROOT = 0x2000, "The root of a mount.";
    STATX_ATTR_VERITY = 0x10_0000, "Verified on reading.";
    STATX_ATTR_DAX = 0x20_0000, "Mapped without a cache.";
}

/// A time in [`Statx`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct StatxTimestamp {
    /// Seconds since 1970.
    pub sec: i64,
    /// Nanoseconds, 0 to 999,999,999.
    pub nsec: u32,
    /// Reserved.
    pub _reserved: i32,
}

impl From<Timespec> for StatxTimestamp {
    fn from(time: Timespec) -> Self {
        StatxTimestamp { sec: time.sec, nsec: time.nsec as u32, _reserved: 0 }
    }
}

/// `struct statx`, 256 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Statx {
    /// Which fields are filled.
    pub mask: u32,
    /// Preferred size of a transfer.
    pub blksize: u32,
    /// [`StatxAttributes`].
    pub attributes: u64,
    /// Number of hard links.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Type and permissions.
    pub mode: u16,
    /// Padding.
    pub _pad0: u16,
    /// Inode number.
    pub ino: u64,
    /// Length in bytes.
    pub size: u64,
    /// Space used, in units of 512 bytes.
    pub blocks: u64,
    /// Which attributes the file system knows.
    pub attributes_mask: u64,
    /// Last access.
    pub atime: StatxTimestamp,
    /// Creation.
    pub btime: StatxTimestamp,
    /// Last change of the inode.
    pub ctime: StatxTimestamp,
    /// Last change of the contents.
    pub mtime: StatxTimestamp,
    /// Major number of a device file.
    pub rdev_major: u32,
    /// Minor number of a device file.
    pub rdev_minor: u32,
    /// Major number of the device that holds the file.
    pub dev_major: u32,
    /// Minor number of the device that holds the file.
    pub dev_minor: u32,
    /// The mount's id.
    pub mnt_id: u64,
    /// Alignment of memory for direct I/O.
    pub dio_mem_align: u32,
    /// Alignment of offsets for direct I/O.
    pub dio_offset_align: u32,
    /// Reserved.
    pub _spare: [u64; 12],
}

/// `struct statfs`, 120 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Statfs {
    /// The file system's magic number.
    pub kind: i64,
    /// Preferred size of a transfer.
    pub bsize: i64,
    /// Blocks in all, in units of `frsize`.
    pub blocks: u64,
    /// Free blocks.
    pub bfree: u64,
    /// Blocks free to others than root.
    pub bavail: u64,
    /// Inodes in all.
    pub files: u64,
    /// Free inodes.
    pub ffree: u64,
    /// The file system's id.
    pub fsid: [i32; 2],
    /// Longest name in bytes.
    pub namelen: i64,
    /// Size of a block.
    pub frsize: i64,
    /// `ST_*`: the mount's flags.
    pub flags: i64,
    /// Reserved.
    pub _spare: [i64; 4],
}

constants! { i64, like libc;
    EXT2_SUPER_MAGIC = 0xef53, "ext2, ext3, ext4.";
    TMPFS_MAGIC = 0x0102_1994, "tmpfs, and devtmpfs.";
    PROC_SUPER_MAGIC = 0x9fa0, "procfs.";
    SYSFS_MAGIC = 0x6265_6572, "sysfs.";
    MSDOS_SUPER_MAGIC = 0x4d44, "FAT.";
    ISOFS_SUPER_MAGIC = 0x9660, "ISO 9660.";
}

constants! { i64;
    V9FS_MAGIC = 0x0102_1997, "9P.";
    DEVPTS_SUPER_MAGIC = 0x1cd1, "devpts.";
    PIPEFS_MAGIC = 0x5049_5045, "The pipes' file system.";
    SOCKFS_MAGIC = 0x534f_434b, "The sockets' file system.";
    ANON_INODE_FS_MAGIC = 0x0904_1934, "Files without an inode of their own: epoll, eventfd, ...";
    RAMFS_MAGIC = 0x8584_58f6, "ramfs.";
    ST_VALID = 0x0020, "In `Statfs::flags`: the flags are filled.";
    ST_RDONLY = 0x0001, "Read only.";
    ST_NOSUID = 0x0002, "Set-id bits do not count.";
    ST_NODEV = 0x0004, "Device files do not count.";
    ST_NOEXEC = 0x0008, "Nothing can be executed.";
    ST_SYNCHRONOUS = 0x0010, "Writes are synchronous.";
    ST_NOATIME = 0x0400, "Access times are not kept.";
    ST_NODIRATIME = 0x0800, "Access times of directories are not kept.";
    ST_RELATIME = 0x1000, "Access times are kept coarsely.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    #[test]
    fn layouts_match_the_c_library() {
        assert_eq!(size_of::<Stat>(), size_of::<libc::stat>());
        assert_eq!(offset_of!(Stat, mode), offset_of!(libc::stat, st_mode));
        assert_eq!(offset_of!(Stat, rdev), offset_of!(libc::stat, st_rdev));
        assert_eq!(offset_of!(Stat, blocks), offset_of!(libc::stat, st_blocks));
        assert_eq!(offset_of!(Stat, ctime), offset_of!(libc::stat, st_ctime));
        assert_eq!(size_of::<Statfs>(), size_of::<libc::statfs>());
        assert_eq!(offset_of!(Statfs, namelen), offset_of!(libc::statfs, f_namelen));
        assert_eq!(offset_of!(Statfs, flags), offset_of!(linux_raw_sys::general::statfs, f_flags));
        assert_eq!(size_of::<Statx>(), size_of::<linux_raw_sys::general::statx>());
        assert_eq!(offset_of!(Statx, mtime), offset_of!(linux_raw_sys::general::statx, stx_mtime));
        assert_eq!(offset_of!(Statx, mnt_id), offset_of!(linux_raw_sys::general::statx, stx_mnt_id));
    }

    #[test]
    fn device_numbers_encode_as_in_the_c_library() {
        for (major, minor) in
            [(0, 0), (1, 3), (5, 1), (254, 17), (259, 70_000), (0xfff, 0xfffff), (0x12345, 0x6789a)]
        {
            let device = DeviceNumber::new(major, minor);
            assert_eq!(device.to_raw(), libc::makedev(major, minor));
            assert_eq!(DeviceNumber::from_raw(device.to_raw()), device);
        }
    }
}
