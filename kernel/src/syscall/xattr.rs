//! Extended attributes. Source: setxattr(2), getxattr(2), listxattr(2), removexattr(2).

use super::{Call, at::At};
use crate::{
    error::{Error, Result},
    fs::{
        dentry::Path,
        lookup::LookupFlags,
        permission::Caller,
        xattr::{self, NAME_MAX, Presence, VALUE_MAX},
    },
    mm::user::{self, UserSlice},
};
use abi::{
    errno::Errno,
    misc::{XATTR_CREATE, XATTR_REPLACE},
};
use alloc::vec::Vec;

/// Who asks about which file.
struct Target {
    caller: Caller,
    path: Path,
}

fn by_path(call: &Call<'_>, flags: LookupFlags) -> Result<Target> {
    let at = At::current(call, call.arg(0))?;
    let path = at.lookup(flags)?;
    Ok(Target { caller: at.caller, path })
}

fn followed(call: &Call<'_>) -> Result<Target> {
    by_path(call, LookupFlags::FOLLOW)
}

fn not_followed(call: &Call<'_>) -> Result<Target> {
    by_path(call, LookupFlags::empty())
}

fn by_file(call: &Call<'_>) -> Result<Target> {
    let file = call.process().files().get(call.fd(0))?;
    let caller = Caller::new(call.process().credentials(), &call.process().fs_context());
    Ok(Target { caller, path: file.path().clone() })
}

/// The name in the second argument; ERANGE if it is empty or too long.
fn read_name(call: &Call<'_>) -> Result<Vec<u8>> {
    let name = user::read_string(call.arg(1), NAME_MAX + 1)?;
    name.filter(|name| !name.is_empty() && name.len() <= NAME_MAX).ok_or(Errno::ERANGE.into())
}

/// Gives bytes to a program that has room for `room`; for none, it only wants to know how many there are.
fn answer(bytes: &[u8], address: u64, room: u64) -> Result<u64> {
    if room != 0 {
        if room < bytes.len() as u64 {
            return Err(Errno::ERANGE.into());
        }
        UserSlice::<u8>::new(address, bytes.len()).write(bytes)?;
    }
    Ok(bytes.len() as u64)
}

fn set(call: &Call<'_>, find: fn(&Call<'_>) -> Result<Target>) -> Result<u64> {
    let (create, replace) = (XATTR_CREATE, XATTR_REPLACE);
    let flags = call.uint(4);
    if flags & !(create | replace) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let name = read_name(call)?;
    let length = usize::try_from(call.arg(3)).ok().filter(|&length| length <= VALUE_MAX);
    let length = length.ok_or(Error::new(Errno::E2BIG, "an attribute has at most 64 KiB"))?;
    let value = UserSlice::<u8>::new(call.arg(2), length).read_vec()?;
    let target = find(call)?;
    let presence = match (flags & create != 0, flags & replace != 0) {
        (false, false) => Presence::Any,
        (true, false) => Presence::Absent,
        (false, true) => Presence::Present,
        // Nothing meets both.
        (true, true) => {
            let is_there = xattr::get(&target.caller, &target.path, &name).is_ok();
            return Err(if is_there { Errno::EEXIST.into() } else { Errno::ENODATA.into() });
        }
    };
    xattr::set(&target.caller, &target.path, &name, &value, presence)?;
    Ok(0)
}

fn get(call: &Call<'_>, find: fn(&Call<'_>) -> Result<Target>) -> Result<u64> {
    let name = read_name(call)?;
    let target = find(call)?;
    let value = xattr::get(&target.caller, &target.path, &name)?;
    answer(&value, call.arg(2), call.arg(3))
}

fn list(call: &Call<'_>, find: fn(&Call<'_>) -> Result<Target>) -> Result<u64> {
    let target = find(call)?;
    let names = xattr::list(&target.caller, &target.path)?;
    answer(&names, call.arg(1), call.arg(2))
}

fn remove(call: &Call<'_>, find: fn(&Call<'_>) -> Result<Target>) -> Result<u64> {
    let name = read_name(call)?;
    let target = find(call)?;
    xattr::remove(&target.caller, &target.path, &name)?;
    Ok(0)
}

/// setxattr(path, name, value, size, flags)
pub(super) fn setxattr(call: &mut Call<'_>) -> Result<u64> {
    set(call, followed)
}

/// lsetxattr(path, name, value, size, flags)
pub(super) fn lsetxattr(call: &mut Call<'_>) -> Result<u64> {
    set(call, not_followed)
}

/// fsetxattr(fd, name, value, size, flags)
pub(super) fn fsetxattr(call: &mut Call<'_>) -> Result<u64> {
    set(call, by_file)
}

/// getxattr(path, name, value, size)
pub(super) fn getxattr(call: &mut Call<'_>) -> Result<u64> {
    get(call, followed)
}

/// lgetxattr(path, name, value, size)
pub(super) fn lgetxattr(call: &mut Call<'_>) -> Result<u64> {
    get(call, not_followed)
}

/// fgetxattr(fd, name, value, size)
pub(super) fn fgetxattr(call: &mut Call<'_>) -> Result<u64> {
    get(call, by_file)
}

/// listxattr(path, list, size)
pub(super) fn listxattr(call: &mut Call<'_>) -> Result<u64> {
    list(call, followed)
}

/// llistxattr(path, list, size)
pub(super) fn llistxattr(call: &mut Call<'_>) -> Result<u64> {
    list(call, not_followed)
}

/// flistxattr(fd, list, size)
pub(super) fn flistxattr(call: &mut Call<'_>) -> Result<u64> {
    list(call, by_file)
}

/// removexattr(path, name)
pub(super) fn removexattr(call: &mut Call<'_>) -> Result<u64> {
    remove(call, followed)
}

/// lremovexattr(path, name)
pub(super) fn lremovexattr(call: &mut Call<'_>) -> Result<u64> {
    remove(call, not_followed)
}

/// fremovexattr(fd, name)
pub(super) fn fremovexattr(call: &mut Call<'_>) -> Result<u64> {
    remove(call, by_file)
}
