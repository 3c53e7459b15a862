//! Who a process is: user and group ids, capabilities, process group, session.

use super::Call;
use crate::error::{Error, Result};
use crate::process::credentials::{ALL_CAPABILITIES, Credentials, KEEP, capability};
use crate::process::{Process, job, tree};
use abi::errno::Errno;
use abi::prctl::{CapData, CapHeader, LINUX_CAPABILITY_VERSION_3};
use alloc::sync::Arc;
use alloc::vec;
use zerocopy::IntoBytes;

/// The most supplementary groups.
const GROUPS_MAX: usize = 65_536;

/// getuid(2).
pub(super) fn getuid(call: &mut Call<'_>) -> Result<u64> {
    Ok(u64::from(call.process().credentials().uid))
}

/// geteuid(2).
pub(super) fn geteuid(call: &mut Call<'_>) -> Result<u64> {
    Ok(u64::from(call.process().credentials().euid))
}

/// getgid(2).
pub(super) fn getgid(call: &mut Call<'_>) -> Result<u64> {
    Ok(u64::from(call.process().credentials().gid))
}

/// getegid(2).
pub(super) fn getegid(call: &mut Call<'_>) -> Result<u64> {
    Ok(u64::from(call.process().credentials().egid))
}

/// getresuid(2).
pub(super) fn getresuid(call: &mut Call<'_>) -> Result<u64> {
    let credentials = call.process().credentials();
    call.write(0, &credentials.uid)?;
    call.write(1, &credentials.euid)?;
    call.write(2, &credentials.suid)?;
    Ok(0)
}

/// getresgid(2).
pub(super) fn getresgid(call: &mut Call<'_>) -> Result<u64> {
    let credentials = call.process().credentials();
    call.write(0, &credentials.gid)?;
    call.write(1, &credentials.egid)?;
    call.write(2, &credentials.sgid)?;
    Ok(0)
}

/// getgroups(2): room, list.
pub(super) fn getgroups(call: &mut Call<'_>) -> Result<u64> {
    let credentials = call.process().credentials();
    let count = credentials.groups.len();
    let room = usize::try_from(call.int(0)).map_err(|_| Errno::EINVAL)?;
    if room == 0 {
        return Ok(count as u64);
    }
    if room < count {
        return Err(Errno::EINVAL.into());
    }
    machine::mm::user::copy_to(call.arg(1), credentials.groups.as_bytes())?;
    Ok(count as u64)
}

/// setgroups(2): count, list.
pub(super) fn setgroups(call: &mut Call<'_>) -> Result<u64> {
    let count = call.uint(0) as usize;
    require(call.process(), capability::SETGID)?;
    if count > GROUPS_MAX {
        return Err(Errno::EINVAL.into());
    }
    let mut groups = vec![0u32; count];
    machine::mm::user::copy_from(groups.as_mut_bytes(), call.arg(1))?;
    change(call, |credentials| {
        credentials.groups = groups;
        Ok(())
    })
}

/// Everything that changes ids: `set` works on a copy; capabilities and the file system ids follow.
fn change(call: &Call<'_>, set: impl FnOnce(&mut Credentials) -> Result<()>) -> Result<u64> {
    let process = call.process();
    let before = process.credentials();
    process.change_credentials(|credentials| {
        set(credentials)?;
        credentials.adapt_capabilities(&before);
        Ok(())
    })?;
    let after = process.credentials();
    if after.euid != before.euid || after.egid != before.egid {
        process.set_dumpable(false);
        process.set_parent_death_signal(0);
    }
    Ok(0)
}

fn require(process: &Process, capability: u32) -> Result<()> {
    if process.credentials().has(capability) {
        return Ok(());
    }
    Err(Error::new(Errno::EPERM, "the capability for it is missing"))
}

/// setuid(2).
pub(super) fn setuid(call: &mut Call<'_>) -> Result<u64> {
    let uid = call.uint(0);
    valid_id(uid)?;
    change(call, |credentials| {
        if credentials.has(capability::SETUID) {
            (credentials.uid, credentials.suid) = (uid, uid);
        } else if uid != credentials.uid && uid != credentials.suid {
            return Err(Errno::EPERM.into());
        }
        (credentials.euid, credentials.fsuid) = (uid, uid);
        Ok(())
    })
}

/// setgid(2).
pub(super) fn setgid(call: &mut Call<'_>) -> Result<u64> {
    let gid = call.uint(0);
    valid_id(gid)?;
    change(call, |credentials| {
        if credentials.has(capability::SETGID) {
            (credentials.gid, credentials.sgid) = (gid, gid);
        } else if gid != credentials.gid && gid != credentials.sgid {
            return Err(Errno::EPERM.into());
        }
        (credentials.egid, credentials.fsgid) = (gid, gid);
        Ok(())
    })
}

fn valid_id(id: u32) -> Result<()> {
    if id == KEEP { Err(Errno::EINVAL.into()) } else { Ok(()) }
}

/// What a call says about an id: nothing (-1), or one that the caller may take.
fn choose(wanted: u32, allowed: &[u32], is_privileged: bool) -> Result<Option<u32>> {
    match wanted {
        KEEP => Ok(None),
        id if is_privileged || allowed.contains(&id) => Ok(Some(id)),
        _ => Err(Errno::EPERM.into()),
    }
}

/// setreuid(2): real, effective.
pub(super) fn setreuid(call: &mut Call<'_>) -> Result<u64> {
    let (real, effective) = (call.uint(0), call.uint(1));
    change(call, |credentials| {
        let is_privileged = credentials.has(capability::SETUID);
        let old = credentials.uid;
        let uid = choose(real, &[old, credentials.euid], is_privileged)?;
        let euid = choose(effective, &[old, credentials.euid, credentials.suid], is_privileged)?;
        credentials.uid = uid.unwrap_or(old);
        credentials.euid = euid.unwrap_or(credentials.euid);
        if uid.is_some() || euid.is_some_and(|euid| euid != old) {
            credentials.suid = credentials.euid;
        }
        credentials.fsuid = credentials.euid;
        Ok(())
    })
}

/// setregid(2): real, effective.
pub(super) fn setregid(call: &mut Call<'_>) -> Result<u64> {
    let (real, effective) = (call.uint(0), call.uint(1));
    change(call, |credentials| {
        let is_privileged = credentials.has(capability::SETGID);
        let old = credentials.gid;
        let gid = choose(real, &[old, credentials.egid], is_privileged)?;
        let egid = choose(effective, &[old, credentials.egid, credentials.sgid], is_privileged)?;
        credentials.gid = gid.unwrap_or(old);
        credentials.egid = egid.unwrap_or(credentials.egid);
        if gid.is_some() || egid.is_some_and(|egid| egid != old) {
            credentials.sgid = credentials.egid;
        }
        credentials.fsgid = credentials.egid;
        Ok(())
    })
}

/// setresuid(2): real, effective, saved.
pub(super) fn setresuid(call: &mut Call<'_>) -> Result<u64> {
    let wanted = [call.uint(0), call.uint(1), call.uint(2)];
    change(call, |credentials| {
        let is_privileged = credentials.has(capability::SETUID);
        let allowed = [credentials.uid, credentials.euid, credentials.suid];
        let [uid, euid, suid] = wanted.map(|id| choose(id, &allowed, is_privileged));
        credentials.uid = uid?.unwrap_or(credentials.uid);
        credentials.euid = euid?.unwrap_or(credentials.euid);
        credentials.suid = suid?.unwrap_or(credentials.suid);
        credentials.fsuid = credentials.euid;
        Ok(())
    })
}

/// setresgid(2): real, effective, saved.
pub(super) fn setresgid(call: &mut Call<'_>) -> Result<u64> {
    let wanted = [call.uint(0), call.uint(1), call.uint(2)];
    change(call, |credentials| {
        let is_privileged = credentials.has(capability::SETGID);
        let allowed = [credentials.gid, credentials.egid, credentials.sgid];
        let [gid, egid, sgid] = wanted.map(|id| choose(id, &allowed, is_privileged));
        credentials.gid = gid?.unwrap_or(credentials.gid);
        credentials.egid = egid?.unwrap_or(credentials.egid);
        credentials.sgid = sgid?.unwrap_or(credentials.sgid);
        credentials.fsgid = credentials.egid;
        Ok(())
    })
}

/// setfsuid(2): always answers the id before.
pub(super) fn setfsuid(call: &mut Call<'_>) -> Result<u64> {
    let uid = call.uint(0);
    let old = call.process().credentials();
    let allowed = [old.uid, old.euid, old.suid, old.fsuid];
    if uid != KEEP && (old.has(capability::SETUID) || allowed.contains(&uid)) {
        change(call, |credentials| {
            credentials.fsuid = uid;
            Ok(())
        })?;
    }
    Ok(u64::from(old.fsuid))
}

/// setfsgid(2): always answers the id before.
pub(super) fn setfsgid(call: &mut Call<'_>) -> Result<u64> {
    let gid = call.uint(0);
    let old = call.process().credentials();
    let allowed = [old.gid, old.egid, old.sgid, old.fsgid];
    if gid != KEEP && (old.has(capability::SETGID) || allowed.contains(&gid)) {
        change(call, |credentials| {
            credentials.fsgid = gid;
            Ok(())
        })?;
    }
    Ok(u64::from(old.fsgid))
}

/// Reads the header of capget and capset; a version that is not the kernel's is answered with that.
fn capability_header(call: &Call<'_>) -> Result<CapHeader> {
    const VERSION_1: u32 = 0x1998_0330;
    const VERSION_2: u32 = 0x2007_1026;
    let mut header: CapHeader = call.read(0)?;
    if ![VERSION_1, VERSION_2, LINUX_CAPABILITY_VERSION_3].contains(&header.version) {
        header.version = LINUX_CAPABILITY_VERSION_3;
        call.write(0, &header)?;
        return Err(Errno::EINVAL.into());
    }
    if header.version == VERSION_1 {
        return Err(Error::new(Errno::EINVAL, "32 capabilities are not enough"));
    }
    Ok(header)
}

/// capget(2): header, data.
pub(super) fn capget(call: &mut Call<'_>) -> Result<u64> {
    let header = match capability_header(call) {
        // Only the version was asked for.
        Err(_) if call.address(1).is_none() => return Ok(0),
        header => header?,
    };
    let process = match header.pid {
        0 => call.process().clone(),
        pid if pid > 0 => tree::find_by_tid(pid).ok_or(Errno::ESRCH)?,
        _ => return Err(Errno::EINVAL.into()),
    };
    let credentials = process.credentials();
    let half = |shift: u32| CapData {
        effective: (credentials.effective >> shift) as u32,
        permitted: (credentials.permitted >> shift) as u32,
        inheritable: (credentials.inheritable >> shift) as u32,
    };
    call.write_optional(1, &[half(0), half(32)])?;
    Ok(0)
}

/// capset(2): header, data.
pub(super) fn capset(call: &mut Call<'_>) -> Result<u64> {
    let header = capability_header(call)?;
    let is_self = [0, call.process().pid()].contains(&header.pid);
    if !is_self {
        return Err(Errno::EPERM.into());
    }
    let data: [CapData; 2] = call.read(1)?;
    let whole = |part: fn(&CapData) -> u32| {
        (u64::from(part(&data[0])) | u64::from(part(&data[1])) << 32) & ALL_CAPABILITIES
    };
    let (effective, permitted) = (whole(|data| data.effective), whole(|data| data.permitted));
    let inheritable = whole(|data| data.inheritable);
    call.process().change_credentials(|credentials| {
        let gains = permitted & !credentials.permitted != 0 || effective & !permitted != 0;
        let may_inherit = credentials.inheritable | credentials.permitted;
        let inherits_more = inheritable & !may_inherit != 0 && !credentials.has(capability::SETPCAP);
        if gains || inherits_more || inheritable & !(credentials.inheritable | credentials.bounding) != 0 {
            return Err(Errno::EPERM.into());
        }
        credentials.effective = effective;
        credentials.permitted = permitted;
        credentials.inheritable = inheritable;
        credentials.ambient &= permitted & inheritable;
        Ok(())
    })?;
    Ok(0)
}

/// The process of an argument; 0 is the caller.
fn process_of(call: &Call<'_>, index: usize) -> Result<Arc<Process>> {
    match call.int(index) {
        0 => Ok(call.process().clone()),
        pid => Ok(tree::find(pid).ok_or(Errno::ESRCH)?),
    }
}

/// getpgid(2).
pub(super) fn getpgid(call: &mut Call<'_>) -> Result<u64> {
    Ok(process_of(call, 0)?.group_id() as u64)
}

/// getpgrp(2).
pub(super) fn getpgrp(call: &mut Call<'_>) -> Result<u64> {
    Ok(call.process().group_id() as u64)
}

/// getsid(2).
pub(super) fn getsid(call: &mut Call<'_>) -> Result<u64> {
    Ok(process_of(call, 0)?.session_id() as u64)
}

/// setsid(2).
pub(super) fn setsid(call: &mut Call<'_>) -> Result<u64> {
    job::start_session(call.process())
}

/// setpgid(2): process, group.
pub(super) fn setpgid(call: &mut Call<'_>) -> Result<u64> {
    let process = process_of(call, 0)?;
    let group = match call.int(1) {
        0 => process.pid(),
        group if group < 0 => return Err(Errno::EINVAL.into()),
        group => group,
    };
    job::move_to_group(call.process(), &process, group)
}
