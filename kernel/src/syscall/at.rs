//! Paths as system calls take them: a directory descriptor and a path, in one of many combinations.

use super::Call;
use crate::{
    error::Result,
    fs::{
        dentry::Path,
        lookup::{self, LookupFlags},
        permission::Caller,
    },
    mm::user,
};
use abi::{
    errno::Errno,
    fcntl::{AT_FDCWD, AtFlags},
};
use alloc::vec::Vec;

/// A path with the place that it starts from.
pub(super) struct At {
    /// Who asks.
    pub(super) caller: Caller,
    /// Where a relative path starts, if that is not the working directory.
    directory: Option<Path>,
    /// The path.
    pub(super) path: Vec<u8>,
}

impl At {
    /// From a directory descriptor and the address of a path (`openat` and the like).
    pub(super) fn read(call: &Call<'_>, directory: i32, address: u64) -> Result<Self> {
        let path = user::read_path(address)?;
        let caller = Caller::new(call.process().credentials(), &call.process().fs_context());
        let directory = if directory == AT_FDCWD || path.first() == Some(&b'/') {
            None
        } else {
            Some(call.process().files().get_any(directory)?.path().clone())
        };
        Ok(Self { caller, directory, path })
    }

    /// From the address of a path (`open` and the like).
    pub(super) fn current(call: &Call<'_>, address: u64) -> Result<Self> {
        Self::read(call, AT_FDCWD, address)
    }

    /// Where a relative path starts.
    pub(super) fn base(&self) -> &Path {
        self.directory.as_ref().unwrap_or(&self.caller.directory)
    }

    /// The place that it leads to.
    pub(super) fn lookup(&self, flags: LookupFlags) -> Result<Path> {
        lookup::lookup(&self.caller, self.base(), &self.path, flags)
    }
}

/// The flags of a call, all of which must be among `known`; else EINVAL.
pub(super) fn flags(bits: u32, known: AtFlags) -> Result<AtFlags> {
    let flags = AtFlags::from_bits_retain(bits);
    if known.contains(flags) { Ok(flags) } else { Err(Errno::EINVAL.into()) }
}

/// What AT_SYMLINK_NOFOLLOW and AT_EMPTY_PATH ask of the lookup.
pub(super) fn lookup_flags(flags: AtFlags) -> LookupFlags {
    let mut lookup = LookupFlags::empty();
    if !flags.contains(AtFlags::AT_SYMLINK_NOFOLLOW) {
        lookup |= LookupFlags::FOLLOW;
    }
    if flags.contains(AtFlags::AT_EMPTY_PATH) {
        lookup |= LookupFlags::EMPTY_PATH;
    }
    lookup
}
