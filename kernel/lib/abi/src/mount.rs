//! Mounting. Source: mount(2), umount(2), swapon(2).

flags! {
    /// The flags of `mount`.
    MountFlags: u64, like linux_raw_sys::general;
    MS_RDONLY = 0x1, "Read only.";
    MS_NOSUID = 0x2, "Set-id bits do not count.";
    MS_NODEV = 0x4, "Device files do not count.";
    MS_NOEXEC = 0x8, "Nothing can be executed.";
    MS_SYNCHRONOUS = 0x10, "Writes are synchronous.";
    MS_REMOUNT = 0x20, "Change the flags of a mount.";
    MS_MANDLOCK = 0x40, "Mandatory locks.";
    MS_DIRSYNC = 0x80, "Directory changes are synchronous.";
    MS_NOSYMFOLLOW = 0x100, "Symbolic links are not followed.";
    MS_NOATIME = 0x400, "Access times are not kept.";
    MS_NODIRATIME = 0x800, "Access times of directories are not kept.";
    MS_BIND = 0x1000, "Mount a part of the tree elsewhere.";
    MS_MOVE = 0x2000, "Move a mount.";
    MS_REC = 0x4000, "With all mounts below.";
    MS_SILENT = 0x8000, "Do not log.";
    MS_POSIXACL = 0x1_0000, "Access control lists.";
    MS_UNBINDABLE = 0x2_0000, "Cannot be bound.";
    MS_PRIVATE = 0x4_0000, "No propagation.";
    MS_SLAVE = 0x8_0000, "Propagation inwards only.";
    MS_SHARED = 0x10_0000, "Propagation both ways.";
    MS_RELATIME = 0x20_0000, "Access times are kept coarsely.";
    MS_I_VERSION = 0x80_0000, "Inode versions.";
    MS_STRICTATIME = 0x100_0000, "Access times are kept exactly.";
    MS_LAZYTIME = 0x200_0000, "Times are written late.";
}

impl MountFlags {
    /// The magic number that old programs put into the upper half of the flags.
    pub const MS_MGC_VAL: u64 = 0xc0ed_0000;
    /// The bits of the magic number.
    pub const MS_MGC_MSK: u64 = 0xffff_0000;

    /// The flags without the magic number, if it is there.
    pub const fn from_argument(raw: u64) -> MountFlags {
        let raw = if raw & Self::MS_MGC_MSK == Self::MS_MGC_VAL { raw & !Self::MS_MGC_MSK } else { raw };
        MountFlags::from_bits_retain(raw)
    }
}

flags! {
    /// The flags of `umount2`.
    UmountFlags: u32, like libc;
    MNT_FORCE = 0x1, "Abort requests.";
    MNT_DETACH = 0x2, "Out of the tree now, freed when unused.";
    MNT_EXPIRE = 0x4, "Only if unused since the last such call.";
    UMOUNT_NOFOLLOW = 0x8, "Do not follow a symbolic link.";
}
