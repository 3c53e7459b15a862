//! Opening files and controlling descriptors: `O_*`, `AT_*`, `F_*`, record locks. Source: open(2), fcntl(2).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

flags! {
    /// The flags of `open`; the low two bits are the access mode ([`OpenFlags::access`]).
    OpenFlags: u32, like linux_raw_sys::general;
    O_WRONLY = 0o1, "Write only; no bit of the access mode means read only.";
    O_RDWR = 0o2, "Read and write.";
    O_CREAT = 0o100, "Create the file if it does not exist.";
    O_EXCL = 0o200, "With `O_CREAT`: fail if it exists.";
    O_NOCTTY = 0o400, "Do not make a terminal the controlling one.";
    O_TRUNC = 0o1000, "Cut the file to length zero.";
    O_APPEND = 0o2000, "Each write goes to the end.";
    O_NONBLOCK = 0o4000, "Never sleep.";
    O_DSYNC = 0o10000, "A write waits for the data to be stable.";
    O_DIRECT = 0o40000, "Bypass the page cache; on a pipe: packets.";
    O_LARGEFILE = 0o100000, "Offsets have 64 bits (always true on x86-64).";
    O_DIRECTORY = 0o200000, "Fail unless it is a directory.";
    O_NOFOLLOW = 0o400000, "Fail if the last component is a symbolic link.";
    O_NOATIME = 0o1000000, "Reading does not change the access time.";
    O_CLOEXEC = 0o2000000, "Close on exec.";
    O_SYNC = 0o4010000, "A write waits for data and metadata to be stable; includes `O_DSYNC`.";
    O_PATH = 0o10000000, "Only a place in the tree, no access to the contents.";
    O_TMPFILE = 0o20200000, "A file without a name in this directory; includes `O_DIRECTORY`.";
}

/// How a file may be used: the low two bits of the open flags. The value 3 (neither, used by a few drivers for
/// `ioctl` only) is [`Access::Neither`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `O_RDONLY`.
    Read,
    /// `O_WRONLY`.
    Write,
    /// `O_RDWR`.
    ReadWrite,
    /// The fourth value: neither reading nor writing.
    Neither,
}

impl Access {
    /// Whether reading is allowed.
    pub const fn can_read(self) -> bool {
        matches!(self, Access::Read | Access::ReadWrite)
    }

    /// Whether writing is allowed.
    pub const fn can_write(self) -> bool {
        matches!(self, Access::Write | Access::ReadWrite)
    }
}

impl OpenFlags {
    /// The bits of the access mode.
    pub const O_ACCMODE: u32 = 0o3;

    /// The access mode.
    pub const fn access(self) -> Access {
        match self.bits() & Self::O_ACCMODE {
            0 => Access::Read,
            1 => Access::Write,
            2 => Access::ReadWrite,
            _ => Access::Neither,
        }
    }

    /// The flags that `fcntl(F_SETFL)` can change; Linux ignores the others.
    pub const SETTABLE: OpenFlags = OpenFlags::O_APPEND
        .union(OpenFlags::O_NONBLOCK)
        .union(OpenFlags::O_DIRECT)
        .union(OpenFlags::O_NOATIME);
}

constants! { i32, like libc;
    AT_FDCWD = -100, "Stands for the current directory where a directory descriptor is wanted.";
}

flags! {
    /// The flags of the `*at` calls; each call accepts a few of them.
    AtFlags: u32, like linux_raw_sys::general;
    AT_SYMLINK_NOFOLLOW = 0x100, "Do not follow a symbolic link at the end.";
    AT_REMOVEDIR = 0x200, "`unlinkat`: remove a directory. The same bit is `AT_EACCESS`.";
    AT_SYMLINK_FOLLOW = 0x400, "`linkat`: follow a symbolic link at the end.";
    AT_NO_AUTOMOUNT = 0x800, "Do not trigger automounts.";
    AT_EMPTY_PATH = 0x1000, "An empty path means the descriptor itself.";
    AT_STATX_FORCE_SYNC = 0x2000, "`statx`: ask the server.";
    AT_STATX_DONT_SYNC = 0x4000, "`statx`: take what is known.";
    AT_RECURSIVE = 0x8000, "The whole subtree.";
}

impl AtFlags {
    /// `faccessat2`: check with the effective ids.
    pub const AT_EACCESS: AtFlags = AtFlags::AT_REMOVEDIR;
}

constants! { u32, like linux_raw_sys::general;
    F_DUPFD = 0, "Duplicate to the lowest descriptor not below the argument.";
    F_GETFD = 1, "Get the descriptor's flags.";
    F_SETFD = 2, "Set the descriptor's flags.";
    F_GETFL = 3, "Get the file's status flags and access mode.";
    F_SETFL = 4, "Set the file's status flags.";
    F_GETLK = 5, "Which lock would conflict?";
    F_SETLK = 6, "Set or release a record lock, fail if it conflicts.";
    F_SETLKW = 7, "Set a record lock, wait if it conflicts.";
    F_SETOWN = 8, "Who gets SIGIO and SIGURG.";
    F_GETOWN = 9, "Who gets SIGIO and SIGURG?";
    F_SETSIG = 10, "Which signal instead of SIGIO.";
    F_GETSIG = 11, "Which signal instead of SIGIO?";
    F_SETOWN_EX = 15, "`F_SETOWN` with a kind.";
    F_GETOWN_EX = 16, "`F_GETOWN` with a kind.";
    F_OFD_GETLK = 36, "`F_GETLK` for locks that belong to the open file.";
    F_OFD_SETLK = 37, "`F_SETLK` for locks that belong to the open file.";
    F_OFD_SETLKW = 38, "`F_SETLKW` for locks that belong to the open file.";
    F_SETLEASE = 1024, "Set a lease.";
    F_GETLEASE = 1025, "Get the lease.";
    F_NOTIFY = 1026, "Directory notification.";
    F_DUPFD_CLOEXEC = 1030, "`F_DUPFD` with close-on-exec.";
    F_SETPIPE_SZ = 1031, "Set a pipe's capacity.";
    F_GETPIPE_SZ = 1032, "Get a pipe's capacity.";
    F_ADD_SEALS = 1033, "Add seals to a memory file.";
    F_GET_SEALS = 1034, "Get a memory file's seals.";
    F_SEAL_SEAL = 0x1, "No more seals.";
    F_SEAL_SHRINK = 0x2, "The file gets no shorter.";
    F_SEAL_GROW = 0x4, "The file gets no longer.";
    F_SEAL_WRITE = 0x8, "Nobody stores to it.";
    F_SEAL_FUTURE_WRITE = 0x10, "Nobody begins to store to it.";
    F_SEAL_EXEC = 0x20, "Its permission to execute stays.";
    FD_CLOEXEC = 1, "The one descriptor flag: close on exec.";
}

constants! { i16, like linux_raw_sys::general;
    F_RDLCK = 0, "A shared lock.";
    F_WRLCK = 1, "An exclusive lock.";
    F_UNLCK = 2, "No lock.";
}

flags! {
    /// The seals of a memory file.
    Seals: u32, like linux_raw_sys::general;
    F_SEAL_SEAL = 0x1, "No further seals.";
    F_SEAL_SHRINK = 0x2, "The file cannot shrink.";
    F_SEAL_GROW = 0x4, "The file cannot grow.";
    F_SEAL_WRITE = 0x8, "The contents cannot change.";
    F_SEAL_FUTURE_WRITE = 0x10, "No new writable mapping, no write.";
    F_SEAL_EXEC = 0x20, "The executable bits cannot change.";
}

/// A record lock (`struct flock`, 32 bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Flock {
    /// [`F_RDLCK`], [`F_WRLCK`] or [`F_UNLCK`].
    pub kind: i16,
    /// From where `start` counts: `SEEK_SET`, `SEEK_CUR`, `SEEK_END`.
    pub whence: i16,
    /// Padding.
    pub _pad0: u32,
    /// First byte.
    pub start: i64,
    /// Length in bytes; 0 means to the end of the file, negative means before `start`.
    pub len: i64,
    /// Answer of `F_GETLK`: who holds the lock.
    pub pid: i32,
    /// Padding.
    pub _pad1: u32,
}

/// `F_OWNER_*` and an id (`struct f_owner_ex`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FileOwner {
    /// 0 thread, 1 process, 2 process group.
    pub kind: i32,
    /// Its id.
    pub pid: i32,
}

/// The argument of `openat2` (`struct open_how`, 24 bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct OpenHow {
    /// [`OpenFlags`].
    pub flags: u64,
    /// Permissions of a new file.
    pub mode: u64,
    /// [`ResolveFlags`].
    pub resolve: u64,
}

flags! {
    /// How `openat2` walks the path.
    ResolveFlags: u64, like linux_raw_sys::general;
    RESOLVE_NO_XDEV = 0x01, "Cross no mount point.";
    RESOLVE_NO_MAGICLINKS = 0x02, "Follow no link of /proc.";
    RESOLVE_NO_SYMLINKS = 0x04, "Follow no symbolic link at all.";
    RESOLVE_BENEATH = 0x08, "Never leave the start directory.";
    RESOLVE_IN_ROOT = 0x10, "Treat the start directory as the root.";
    RESOLVE_CACHED = 0x20, "Only if no disk is needed.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_match_the_c_library() {
        assert_eq!(size_of::<Flock>(), size_of::<libc::flock>());
        assert_eq!(core::mem::offset_of!(Flock, len), core::mem::offset_of!(libc::flock, l_len));
        assert_eq!(core::mem::offset_of!(Flock, pid), core::mem::offset_of!(libc::flock, l_pid));
        assert_eq!(size_of::<OpenHow>(), size_of::<libc::open_how>());
    }

    #[test]
    fn access_mode_is_the_low_two_bits() {
        let flags = OpenFlags::from_bits_retain(0o2 | 0o100);
        assert_eq!(flags.access(), Access::ReadWrite);
        assert!(OpenFlags::empty().access().can_read());
        assert!(!OpenFlags::empty().access().can_write());
        assert_eq!(OpenFlags::from_bits_retain(3).access(), Access::Neither);
    }
}
