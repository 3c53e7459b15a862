//! Extended attributes: no file system here has them yet. Source: xattr(7).

use super::{Call, at::At};
use crate::{
    error::{Error, Result},
    fs::lookup::LookupFlags,
};
use abi::errno::Errno;

const NONE: Error = Error::new(Errno::EOPNOTSUPP, "no extended attributes on this file system");

fn check_path(call: &Call<'_>, flags: LookupFlags) -> Result<()> {
    At::current(call, call.arg(0))?.lookup(flags).map(drop)
}

fn check_file(call: &Call<'_>) -> Result<()> {
    call.process().files().get(call.fd(0)).map(drop)
}

/// setxattr, getxattr, removexattr
pub(super) fn by_path(call: &mut Call<'_>) -> Result<u64> {
    check_path(call, LookupFlags::FOLLOW)?;
    Err(NONE)
}

/// lsetxattr, lgetxattr, lremovexattr
pub(super) fn by_link(call: &mut Call<'_>) -> Result<u64> {
    check_path(call, LookupFlags::empty())?;
    Err(NONE)
}

/// fsetxattr, fgetxattr, fremovexattr
pub(super) fn by_file(call: &mut Call<'_>) -> Result<u64> {
    check_file(call)?;
    Err(NONE)
}

/// listxattr(path, list, size): an empty list.
pub(super) fn list_by_path(call: &mut Call<'_>) -> Result<u64> {
    check_path(call, LookupFlags::FOLLOW).map(|()| 0)
}

/// llistxattr(path, list, size)
pub(super) fn list_by_link(call: &mut Call<'_>) -> Result<u64> {
    check_path(call, LookupFlags::empty()).map(|()| 0)
}

/// flistxattr(fd, list, size)
pub(super) fn list_by_file(call: &mut Call<'_>) -> Result<u64> {
    check_file(call).map(|()| 0)
}
