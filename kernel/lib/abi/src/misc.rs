//! Small sets of numbers that no other module wants: seeking, renaming, locking, random numbers, attributes, limits.

constants! { u32, like libc;
    SEEK_SET = 0, "From the start.";
    SEEK_CUR = 1, "From the position.";
    SEEK_END = 2, "From the end.";
    SEEK_DATA = 3, "To the next data.";
    SEEK_HOLE = 4, "To the next hole.";
    F_OK = 0, "`access`: does it exist?";
    X_OK = 1, "`access`: may it be executed?";
    W_OK = 2, "`access`: may it be written?";
    R_OK = 4, "`access`: may it be read?";
    POSIX_FADV_NORMAL = 0, "`fadvise64`: nothing special.";
    POSIX_FADV_RANDOM = 1, "`fadvise64`: random access.";
    POSIX_FADV_SEQUENTIAL = 2, "`fadvise64`: sequential access.";
    POSIX_FADV_WILLNEED = 3, "`fadvise64`: read ahead.";
    POSIX_FADV_DONTNEED = 4, "`fadvise64`: drop.";
    POSIX_FADV_NOREUSE = 5, "`fadvise64`: used once.";
    XATTR_CREATE = 1, "`setxattr`: fail if it exists.";
    XATTR_REPLACE = 2, "`setxattr`: fail unless it exists.";
    PATH_MAX = 4096, "Longest path, the final NUL included.";
    NAME_MAX = 255, "Longest name.";
    PIPE_BUF = 4096, "Longest write to a pipe that is never split.";
}

/// How many symbolic links a path may lead through (ELOOP beyond).
pub const MAXSYMLINKS: u32 = 40;

flags! {
    /// The flags of `getrandom`.
    GetrandomFlags: u32, like libc;
    GRND_NONBLOCK = 0x1, "Never sleep.";
    GRND_RANDOM = 0x2, "From the slow source.";
    GRND_INSECURE = 0x4, "Even before the source is seeded.";
}

flags! {
    /// The flags of `renameat2`.
    RenameFlags: u32, like libc;
    RENAME_NOREPLACE = 0x1, "Fail if the target exists.";
    RENAME_EXCHANGE = 0x2, "Exchange both.";
    RENAME_WHITEOUT = 0x4, "Leave a whiteout.";
}

flags! {
    /// The operations of `flock`.
    FlockOperation: u32, like libc;
    LOCK_SH = 1, "A shared lock.";
    LOCK_EX = 2, "An exclusive lock.";
    LOCK_NB = 4, "Never sleep.";
    LOCK_UN = 8, "Release.";
}

flags! {
    /// The modes of `fallocate`.
    FallocateMode: u32, like libc;
    FALLOC_FL_KEEP_SIZE = 0x1, "The length stays.";
    FALLOC_FL_PUNCH_HOLE = 0x2, "Free the range.";
    FALLOC_FL_COLLAPSE_RANGE = 0x8, "Remove the range.";
    FALLOC_FL_ZERO_RANGE = 0x10, "Zero the range.";
    FALLOC_FL_INSERT_RANGE = 0x20, "Insert a hole.";
    FALLOC_FL_UNSHARE_RANGE = 0x40, "Give the range blocks of its own.";
}

flags! {
    /// The flags of `memfd_create`.
    MemfdFlags: u32, like libc;
    MFD_CLOEXEC = 0x1, "Close on exec.";
    MFD_ALLOW_SEALING = 0x2, "Seals can be added.";
    MFD_HUGETLB = 0x4, "Huge pages.";
    MFD_NOEXEC_SEAL = 0x8, "Never executable.";
    MFD_EXEC = 0x10, "Executable.";
}

flags! {
    /// The flags of `close_range`.
    CloseRangeFlags: u32, like libc;
    CLOSE_RANGE_UNSHARE = 0x2, "In a copy of the descriptor table.";
    CLOSE_RANGE_CLOEXEC = 0x4, "Mark instead of close.";
}

flags! {
    /// The flags of `splice` and its relatives.
    SpliceFlags: u32, like libc;
    SPLICE_F_MOVE = 0x1, "Move pages.";
    SPLICE_F_NONBLOCK = 0x2, "Never sleep.";
    SPLICE_F_MORE = 0x4, "More will follow.";
    SPLICE_F_GIFT = 0x8, "The pages are a gift.";
}
