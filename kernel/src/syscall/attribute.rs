//! What files are and who may use them: stat, statx, statfs, access, chmod, chown, utimensat, readlink, umask.

use super::{Call, at, at::At};
use crate::{
    block::registry,
    clock,
    error::{Error, Result},
    fs::{
        dentry::Path,
        file_system::Statistics,
        inode::{AttributeChange, FileKind, Inode, Metadata},
        lookup::LookupFlags,
        mount::Mount,
        names,
        permission::{Caller, Permission},
    },
    mm::user::{UserPtr, UserSlice},
    process::credentials::KEEP,
};
use abi::{
    errno::Errno,
    fcntl::{AT_FDCWD, AtFlags},
    stat::{ST_VALID, Stat, Statfs, Statx, StatxAttributes, StatxMask, StatxTimestamp},
    time::{Timespec, Timeval},
};
use alloc::sync::Arc;

fn to_stat(metadata: &Metadata) -> Stat {
    Stat {
        dev: metadata.device.to_raw(),
        ino: metadata.number,
        nlink: metadata.links.into(),
        mode: metadata.kind.mode_bits() | metadata.mode,
        uid: metadata.user,
        gid: metadata.group,
        rdev: metadata.special.to_raw(),
        size: metadata.size as i64,
        blksize: metadata.block_size.into(),
        blocks: metadata.blocks as i64,
        atime: metadata.accessed,
        mtime: metadata.modified,
        ctime: metadata.changed,
        ..Stat::default()
    }
}

/// The place that a path leads to, of which what stat(2) tells is as it is now: a name was just looked up.
fn lookup_fresh(at: &At, flags: LookupFlags) -> Result<Path> {
    let path = at.lookup(flags)?;
    let last = at.path.rsplit(|&byte| byte == b'/').find(|name| !name.is_empty());
    let was_looked_up = last.is_some_and(|name| !matches!(name, b"." | b"..")) && !path.is_mount_root();
    if !was_looked_up {
        path.inode().refresh();
    }
    Ok(path)
}

fn write_stat(call: &Call<'_>, index: usize, path: &Path) -> Result<u64> {
    let stat = to_stat(&path.inode().metadata());
    UserPtr::<Stat>::new(call.arg(index)).write(&stat)?;
    Ok(0)
}

/// stat(path, buffer)
pub(super) fn stat(call: &mut Call<'_>) -> Result<u64> {
    let path = lookup_fresh(&At::current(call, call.arg(0))?, LookupFlags::FOLLOW)?;
    write_stat(call, 1, &path)
}

/// lstat(path, buffer)
pub(super) fn lstat(call: &mut Call<'_>) -> Result<u64> {
    let path = lookup_fresh(&At::current(call, call.arg(0))?, LookupFlags::empty())?;
    write_stat(call, 1, &path)
}

/// fstat(fd, buffer)
pub(super) fn fstat(call: &mut Call<'_>) -> Result<u64> {
    let file = call.process().files().get_any(call.fd(0))?;
    file.inode().refresh();
    write_stat(call, 1, file.path())
}

/// newfstatat(directory, path, buffer, flags)
pub(super) fn newfstatat(call: &mut Call<'_>) -> Result<u64> {
    let known = AtFlags::AT_SYMLINK_NOFOLLOW | AtFlags::AT_EMPTY_PATH | AtFlags::AT_NO_AUTOMOUNT;
    let flags = at::flags(call.uint(3), known)?;
    let path = lookup_fresh(&At::read(call, call.fd(0), call.arg(1))?, at::lookup_flags(flags))?;
    write_stat(call, 2, &path)
}

fn statx_time(time: Timespec) -> StatxTimestamp {
    StatxTimestamp { sec: time.sec, nsec: time.nsec as u32, ..StatxTimestamp::default() }
}

/// What memory and offsets of direct transfers (O_DIRECT) are multiples of, for files and disks that have them.
fn direct_alignment(path: &Path, metadata: &Metadata) -> Option<(u32, u32)> {
    if metadata.kind == FileKind::Block {
        let disk = registry::find_by_number(metadata.special)?;
        return Some((disk.memory_alignment(), disk.block_size()));
    }
    let (memory, offset) =
        path.inode().pages().filter(|_| metadata.kind == FileKind::Regular)?.direct_alignment()?;
    Some((memory as u32, offset as u32))
}

/// Of what is not cheap to tell only what is `wanted`.
fn to_statx(path: &Path, metadata: &Metadata, wanted: StatxMask) -> Statx {
    let mut mask = StatxMask::STATX_BASIC_STATS | StatxMask::STATX_MNT_ID;
    if metadata.created.is_some() {
        mask |= StatxMask::STATX_BTIME;
    }
    let direct = match wanted.contains(StatxMask::STATX_DIOALIGN) {
        true => direct_alignment(path, metadata),
        false => None,
    };
    if direct.is_some() {
        mask |= StatxMask::STATX_DIOALIGN;
    }
    let (dio_mem_align, dio_offset_align) = direct.unwrap_or_default();
    let is_root = path.is_mount_root();
    let attributes = if is_root { StatxAttributes::STATX_ATTR_MOUNT_ROOT } else { StatxAttributes::empty() };
    Statx {
        mask: mask.bits(),
        blksize: metadata.block_size,
        attributes: attributes.bits(),
        nlink: metadata.links,
        uid: metadata.user,
        gid: metadata.group,
        mode: (metadata.kind.mode_bits() | metadata.mode) as u16,
        ino: metadata.number,
        size: metadata.size,
        blocks: metadata.blocks,
        attributes_mask: StatxAttributes::STATX_ATTR_MOUNT_ROOT.bits(),
        atime: statx_time(metadata.accessed),
        btime: statx_time(metadata.created.unwrap_or_default()),
        ctime: statx_time(metadata.changed),
        mtime: statx_time(metadata.modified),
        rdev_major: metadata.special.major,
        rdev_minor: metadata.special.minor,
        dev_major: metadata.device.major,
        dev_minor: metadata.device.minor,
        mnt_id: path.mount.id(),
        dio_mem_align,
        dio_offset_align,
        ..Statx::default()
    }
}

/// statx(directory, path, flags, mask, buffer)
pub(super) fn statx(call: &mut Call<'_>) -> Result<u64> {
    let sync = AtFlags::AT_STATX_FORCE_SYNC | AtFlags::AT_STATX_DONT_SYNC;
    let known = AtFlags::AT_SYMLINK_NOFOLLOW | AtFlags::AT_EMPTY_PATH | AtFlags::AT_NO_AUTOMOUNT | sync;
    let flags = at::flags(call.uint(2), known)?;
    if flags.contains(sync) || call.uint(3) & StatxMask::STATX__RESERVED.bits() != 0 {
        return Err(Errno::EINVAL.into());
    }
    let path = lookup_fresh(&At::read(call, call.fd(0), call.arg(1))?, at::lookup_flags(flags))?;
    let statx = to_statx(&path, &path.inode().metadata(), StatxMask::from_bits_truncate(call.uint(3)));
    UserPtr::<Statx>::new(call.arg(4)).write(&statx)?;
    Ok(0)
}

fn write_statfs(call: &Call<'_>, mount: &Mount) -> Result<u64> {
    let Statistics {
        magic,
        block_size,
        blocks,
        blocks_free,
        blocks_available,
        files,
        files_free,
        name_length,
        id,
    } = mount.super_block().file_system.statistics()?;
    let mut flags = mount.flags().bits();
    if mount.super_block().is_read_only() {
        flags |= crate::fs::mount::MountFlags::READ_ONLY.bits();
    }
    let statfs = Statfs {
        kind: magic as i64,
        bsize: block_size as i64,
        blocks,
        bfree: blocks_free,
        bavail: blocks_available,
        files,
        ffree: files_free,
        fsid: [id as i32, (id >> 32) as i32],
        namelen: name_length as i64,
        frsize: block_size as i64,
        flags: i64::from(flags) | ST_VALID,
        ..Statfs::default()
    };
    UserPtr::<Statfs>::new(call.arg(1)).write(&statfs)?;
    Ok(0)
}

/// statfs(path, buffer)
pub(super) fn statfs(call: &mut Call<'_>) -> Result<u64> {
    let path = At::current(call, call.arg(0))?.lookup(LookupFlags::FOLLOW)?;
    write_statfs(call, &path.mount)
}

/// fstatfs(fd, buffer)
pub(super) fn fstatfs(call: &mut Call<'_>) -> Result<u64> {
    let file = call.process().files().get_any(call.fd(0))?;
    write_statfs(call, &file.path().mount)
}

/// Whose rights access(2) asks about.
enum Identity {
    Real,
    Effective,
}

fn check_access(
    call: &Call<'_>,
    mut at: At,
    mode: u32,
    identity: Identity,
    lookup: LookupFlags,
) -> Result<u64> {
    let wanted = Permission::from_bits(mode).ok_or(Errno::EINVAL)?;
    if matches!(identity, Identity::Real) {
        at.caller.credentials = Arc::new(call.process().credentials().with_real_ids());
    }
    let path = at.lookup(lookup)?;
    at.caller.check_path(&path, wanted)?;
    Ok(0)
}

/// access(path, mode)
pub(super) fn access(call: &mut Call<'_>) -> Result<u64> {
    let at = At::current(call, call.arg(0))?;
    check_access(call, at, call.uint(1), Identity::Real, LookupFlags::FOLLOW)
}

/// faccessat(directory, path, mode)
pub(super) fn faccessat(call: &mut Call<'_>) -> Result<u64> {
    let at = At::read(call, call.fd(0), call.arg(1))?;
    check_access(call, at, call.uint(2), Identity::Real, LookupFlags::FOLLOW)
}

/// faccessat2(directory, path, mode, flags)
pub(super) fn faccessat2(call: &mut Call<'_>) -> Result<u64> {
    let known = AtFlags::AT_EACCESS | AtFlags::AT_SYMLINK_NOFOLLOW | AtFlags::AT_EMPTY_PATH;
    let flags = at::flags(call.uint(3), known)?;
    let at = At::read(call, call.fd(0), call.arg(1))?;
    let identity = if flags.contains(AtFlags::AT_EACCESS) { Identity::Effective } else { Identity::Real };
    check_access(call, at, call.uint(2), identity, at::lookup_flags(flags))
}

fn change_mode(caller: &Caller, path: &Path, mode: u32) -> Result<u64> {
    const SET_GROUP_ID: u32 = 0o2000;
    let metadata = path.inode().metadata();
    path.mount.check_writable()?;
    if metadata.kind == FileKind::Link {
        return Err(Error::new(Errno::EOPNOTSUPP, "links have no mode"));
    }
    if !caller.owns(&metadata) {
        return Err(Errno::EPERM.into());
    }
    let mut mode = mode & 0o7777;
    if !caller.is_privileged() && !caller.is_in_group(metadata.group) {
        mode &= !SET_GROUP_ID;
    }
    names::set_attributes(path, AttributeChange { mode: Some(mode), ..AttributeChange::default() })?;
    Ok(0)
}

fn chmod_at(call: &Call<'_>, directory: i32, address: u64, mode: u32, lookup: LookupFlags) -> Result<u64> {
    let at = At::read(call, directory, address)?;
    change_mode(&at.caller, &at.lookup(lookup)?, mode)
}

/// chmod(path, mode)
pub(super) fn chmod(call: &mut Call<'_>) -> Result<u64> {
    chmod_at(call, AT_FDCWD, call.arg(0), call.uint(1), LookupFlags::FOLLOW)
}

/// fchmodat(directory, path, mode)
pub(super) fn fchmodat(call: &mut Call<'_>) -> Result<u64> {
    chmod_at(call, call.fd(0), call.arg(1), call.uint(2), LookupFlags::FOLLOW)
}

/// fchmodat2(directory, path, mode, flags)
pub(super) fn fchmodat2(call: &mut Call<'_>) -> Result<u64> {
    let flags = at::flags(call.uint(3), AtFlags::AT_SYMLINK_NOFOLLOW | AtFlags::AT_EMPTY_PATH)?;
    chmod_at(call, call.fd(0), call.arg(1), call.uint(2), at::lookup_flags(flags))
}

/// fchmod(fd, mode)
pub(super) fn fchmod(call: &mut Call<'_>) -> Result<u64> {
    let file = call.process().files().get(call.fd(0))?;
    change_mode(&Caller::current(), file.path(), call.uint(1))
}

fn change_owner(caller: &Caller, path: &Path, user: u32, group: u32) -> Result<u64> {
    path.mount.check_writable()?;
    let metadata = path.inode().metadata();
    let (user, group) = ((user != KEEP).then_some(user), (group != KEEP).then_some(group));
    if !caller.is_privileged() {
        let keeps_user = user.is_none_or(|user| user == metadata.user);
        let may_group = group.is_none_or(|group| group == metadata.group || caller.is_in_group(group));
        let is_owner = caller.owns(&metadata) || (user.is_none() && group.is_none());
        if !keeps_user || !may_group || !is_owner {
            return Err(Errno::EPERM.into());
        }
    }
    let mode = mode_after_chown(&metadata).filter(|_| user.is_some() || group.is_some());
    names::set_attributes(path, AttributeChange { user, group, mode, ..AttributeChange::default() })?;
    Ok(0)
}

/// A change of owner takes set-ID bits away, from whoever it comes.
fn mode_after_chown(metadata: &Metadata) -> Option<u32> {
    if metadata.kind == FileKind::Directory {
        return None;
    }
    let group_bit = if metadata.mode & 0o010 != 0 { 0o2000 } else { 0 };
    let mode = metadata.mode & !(0o4000 | group_bit);
    (mode != metadata.mode).then_some(mode)
}

fn chown_at(
    call: &Call<'_>,
    directory: i32,
    address: u64,
    ids: (u32, u32),
    lookup: LookupFlags,
) -> Result<u64> {
    let at = At::read(call, directory, address)?;
    change_owner(&at.caller, &at.lookup(lookup)?, ids.0, ids.1)
}

/// chown(path, user, group)
pub(super) fn chown(call: &mut Call<'_>) -> Result<u64> {
    chown_at(call, AT_FDCWD, call.arg(0), (call.uint(1), call.uint(2)), LookupFlags::FOLLOW)
}

/// lchown(path, user, group)
pub(super) fn lchown(call: &mut Call<'_>) -> Result<u64> {
    chown_at(call, AT_FDCWD, call.arg(0), (call.uint(1), call.uint(2)), LookupFlags::empty())
}

/// fchown(fd, user, group)
pub(super) fn fchown(call: &mut Call<'_>) -> Result<u64> {
    let file = call.process().files().get(call.fd(0))?;
    change_owner(&Caller::current(), file.path(), call.uint(1), call.uint(2))
}

/// fchownat(directory, path, user, group, flags)
pub(super) fn fchownat(call: &mut Call<'_>) -> Result<u64> {
    let flags = at::flags(call.uint(4), AtFlags::AT_SYMLINK_NOFOLLOW | AtFlags::AT_EMPTY_PATH)?;
    chown_at(call, call.fd(0), call.arg(1), (call.uint(2), call.uint(3)), at::lookup_flags(flags))
}

/// A time to be set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NewTime {
    Now,
    Keep,
    Given(Timespec),
}

impl NewTime {
    fn from_timespec(time: Timespec) -> Result<Self> {
        match time.nsec {
            Timespec::UTIME_NOW => Ok(Self::Now),
            Timespec::UTIME_OMIT => Ok(Self::Keep),
            0..=999_999_999 => Ok(Self::Given(time)),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    fn from_timeval(time: Timeval) -> Result<Self> {
        match time.usec {
            0..=999_999 => Ok(Self::Given(Timespec { sec: time.sec, nsec: time.usec * 1000 })),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    fn resolve(self, now: Timespec) -> Option<Timespec> {
        match self {
            Self::Now => Some(now),
            Self::Keep => None,
            Self::Given(time) => Some(time),
        }
    }
}

fn set_times(caller: &Caller, path: &Path, accessed: NewTime, modified: NewTime) -> Result<u64> {
    if (accessed, modified) == (NewTime::Keep, NewTime::Keep) {
        return Ok(0);
    }
    path.mount.check_writable()?;
    let inode: &Arc<dyn Inode> = path.inode();
    if !caller.owns(&inode.metadata()) {
        if (accessed, modified) != (NewTime::Now, NewTime::Now) {
            return Err(Errno::EPERM.into());
        }
        caller.check(inode, Permission::WRITE)?;
    }
    let now = clock::realtime();
    let change = AttributeChange {
        accessed: accessed.resolve(now),
        modified: modified.resolve(now),
        ..AttributeChange::default()
    };
    names::set_attributes(path, change)?;
    Ok(0)
}

/// utimensat(directory, path, times, flags); without a path the descriptor itself.
pub(super) fn utimensat(call: &mut Call<'_>) -> Result<u64> {
    let (accessed, modified) = match call.address(2) {
        None => (NewTime::Now, NewTime::Now),
        Some(address) => {
            let [accessed, modified] = UserPtr::<[Timespec; 2]>::new(address).read()?;
            (NewTime::from_timespec(accessed)?, NewTime::from_timespec(modified)?)
        }
    };
    let flags = at::flags(call.uint(3), AtFlags::AT_SYMLINK_NOFOLLOW | AtFlags::AT_EMPTY_PATH)?;
    let Some(address) = call.address(1) else {
        if !flags.is_empty() {
            return Err(Errno::EINVAL.into());
        }
        let file = call.process().files().get(call.fd(0))?;
        return set_times(&Caller::current(), file.path(), accessed, modified);
    };
    let at = At::read(call, call.fd(0), address)?;
    set_times(&at.caller, &at.lookup(at::lookup_flags(flags))?, accessed, modified)
}

fn set_times_by_timeval(call: &Call<'_>, directory: i32, path: u64, times: Option<u64>) -> Result<u64> {
    let (accessed, modified) = match times {
        None => (NewTime::Now, NewTime::Now),
        Some(address) => {
            let [accessed, modified] = UserPtr::<[Timeval; 2]>::new(address).read()?;
            (NewTime::from_timeval(accessed)?, NewTime::from_timeval(modified)?)
        }
    };
    let at = At::read(call, directory, path)?;
    set_times(&at.caller, &at.lookup(LookupFlags::FOLLOW)?, accessed, modified)
}

/// utimes(path, times)
pub(super) fn utimes(call: &mut Call<'_>) -> Result<u64> {
    set_times_by_timeval(call, AT_FDCWD, call.arg(0), call.address(1))
}

/// futimesat(directory, path, times)
pub(super) fn futimesat(call: &mut Call<'_>) -> Result<u64> {
    set_times_by_timeval(call, call.fd(0), call.arg(1), call.address(2))
}

/// utime(path, times)
pub(super) fn utime(call: &mut Call<'_>) -> Result<u64> {
    let (accessed, modified) = match call.address(1) {
        None => (NewTime::Now, NewTime::Now),
        Some(address) => {
            let [accessed, modified] = UserPtr::<[i64; 2]>::new(address).read()?;
            let given = |sec| NewTime::Given(Timespec { sec, nsec: 0 });
            (given(accessed), given(modified))
        }
    };
    let at = At::current(call, call.arg(0))?;
    set_times(&at.caller, &at.lookup(LookupFlags::FOLLOW)?, accessed, modified)
}

fn read_link(call: &Call<'_>, directory: i32, path: u64, buffer: u64, length: i32) -> Result<u64> {
    let length = usize::try_from(length).ok().filter(|&length| length > 0).ok_or(Errno::EINVAL)?;
    let at = At::read(call, directory, path)?;
    let found = at.lookup(LookupFlags::EMPTY_PATH)?;
    if !found.inode().is_link() {
        // An empty path stands for a link that was opened with O_PATH.
        return Err(if at.path.is_empty() { Errno::ENOENT.into() } else { Errno::EINVAL.into() });
    }
    let text = found.inode().read_link()?;
    let shown = &text[..text.len().min(length)];
    UserSlice::<u8>::new(buffer, shown.len()).write(shown)?;
    Ok(shown.len() as u64)
}

/// readlink(path, buffer, length)
pub(super) fn readlink(call: &mut Call<'_>) -> Result<u64> {
    read_link(call, AT_FDCWD, call.arg(0), call.arg(1), call.int(2))
}

/// readlinkat(directory, path, buffer, length)
pub(super) fn readlinkat(call: &mut Call<'_>) -> Result<u64> {
    read_link(call, call.fd(0), call.arg(1), call.arg(2), call.int(3))
}

/// umask(mask)
pub(super) fn umask(call: &mut Call<'_>) -> Result<u64> {
    Ok(call.process().fs_context().set_umask(call.uint(0)).into())
}
