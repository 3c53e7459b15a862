//! What can go wrong.

use crate::io::IoError;

/// Why an operation failed. The comment names the errno that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// No such entry or inode (ENOENT).
    NotFound,
    /// The name is taken (EEXIST).
    Exists,
    /// A directory was needed (ENOTDIR).
    NotDirectory,
    /// The operation is not for directories (EISDIR).
    IsDirectory,
    /// The directory has entries (ENOTEMPTY).
    NotEmpty,
    /// No free blocks or inodes (ENOSPC).
    NoSpace,
    /// The file system is mounted read-only, or became so after a fault (EROFS).
    ReadOnly,
    /// The name or symlink target is too long (ENAMETOOLONG).
    NameTooLong,
    /// The link count is at its limit (EMLINK).
    TooManyLinks,
    /// The size is beyond what the block map can hold (EFBIG).
    FileTooLarge,
    /// Not for this kind of inode: a hard link to a directory (EPERM).
    NotPermitted,
    /// The request makes no sense: a directory moved into itself, a name with a slash (EINVAL).
    InvalidArgument,
    /// The inode has no such attribute (ENODATA).
    NoAttribute,
    /// Attributes with such a name cannot be stored (EOPNOTSUPP).
    NotSupported,
    /// The disk contains something impossible; the reason says what (EUCLEAN, or EIO).
    Corrupt(&'static str),
    /// The device failed (EIO).
    Io(IoError),
}

impl From<IoError> for Error {
    fn from(error: IoError) -> Self {
        Self::Io(error)
    }
}

/// Why a file system cannot be mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountError {
    /// No ext2 superblock there.
    NotExt2,
    /// It has incompatible features that are not implemented: the feature bits.
    UnknownFeatures(u32),
    /// It is ext2, in a variant that is not implemented.
    Unsupported(&'static str),
    /// It contradicts itself or the size of the disk.
    Corrupt(&'static str),
    /// The device failed.
    Io(IoError),
}

impl From<IoError> for MountError {
    fn from(error: IoError) -> Self {
        Self::Io(error)
    }
}

impl From<Error> for MountError {
    fn from(error: Error) -> Self {
        match error {
            Error::Corrupt(reason) => Self::Corrupt(reason),
            Error::Io(error) => Self::Io(error),
            Error::NoSpace => Self::Corrupt("no space while the orphans are deleted"),
            _ => Self::Corrupt("root directory or orphan list is unusable"),
        }
    }
}
