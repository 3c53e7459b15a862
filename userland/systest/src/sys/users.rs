//! Users, groups, and giving up root's rights.

use super::{Result, call};

/// Whether this process is root over all users, not just the root of a user namespace with few of them.
pub(crate) fn rules_all_users() -> bool {
    let covers_all = |map: String| map.split_whitespace().eq(["0", "0", "4294967295"]);
    geteuid() == Ok(0) && std::fs::read_to_string("/proc/self/uid_map").map_or(true, covers_all)
}

macro_rules! numbers {
    ($($name:ident = $number:ident;)*) => {
        $(pub(crate) fn $name() -> Result<u32> {
            call!($number).map(|id| id as u32)
        })*
    };
}

numbers! {
    getuid = SYS_getuid;
    geteuid = SYS_geteuid;
    getgid = SYS_getgid;
    getegid = SYS_getegid;
}

macro_rules! setters {
    ($($name:ident($($id:ident),*) = $number:ident;)*) => {
        $(pub(crate) fn $name($($id: u32),*) -> Result<()> {
            call!($number $(, $id)*).map(drop)
        })*
    };
}

setters! {
    setuid(user) = SYS_setuid;
    setgid(group) = SYS_setgid;
    setreuid(real, effective) = SYS_setreuid;
    setregid(real, effective) = SYS_setregid;
    setresuid(real, effective, saved) = SYS_setresuid;
    setresgid(real, effective, saved) = SYS_setresgid;
}

/// Real, effective and saved user.
pub(crate) fn getresuid() -> Result<[u32; 3]> {
    let mut ids = [0_u32; 3];
    let [real, effective, saved] = &mut ids;
    call!(SYS_getresuid, &raw mut *real, &raw mut *effective, &raw mut *saved)?;
    Ok(ids)
}

/// Real, effective and saved group.
pub(crate) fn getresgid() -> Result<[u32; 3]> {
    let mut ids = [0_u32; 3];
    let [real, effective, saved] = &mut ids;
    call!(SYS_getresgid, &raw mut *real, &raw mut *effective, &raw mut *saved)?;
    Ok(ids)
}

/// The supplementary groups.
pub(crate) fn getgroups() -> Result<Vec<u32>> {
    let mut groups = vec![0_u32; 64];
    let count = call!(SYS_getgroups, groups.len(), groups.as_mut_ptr())?;
    groups.truncate(count);
    Ok(groups)
}

pub(crate) fn setgroups(groups: &[u32]) -> Result<()> {
    call!(SYS_setgroups, groups.len(), groups.as_ptr()).map(drop)
}
