//! Position, length and safety of a file: lseek, truncate, fallocate, fsync, sync, advice.

use super::{Call, at::At};
use crate::{
    error::{Error, Result},
    fs::{
        file::{Extent, File, Seeking},
        inode::{AttributeChange, FileKind, Growth, SyncScope},
        inotify,
        lookup::LookupFlags,
        mount, names,
        permission::{Caller, Permission},
    },
};
use abi::{
    errno::Errno,
    inotify::InotifyMask,
    misc::{
        FallocateMode, POSIX_FADV_DONTNEED, POSIX_FADV_NOREUSE, POSIX_FADV_WILLNEED, SEEK_CUR, SEEK_DATA,
        SEEK_END, SEEK_HOLE, SEEK_SET,
    },
};
use alloc::sync::Arc;

const PAGE: u64 = machine::addr::PAGE_SIZE as u64;

fn file(call: &Call<'_>) -> Result<Arc<File>> {
    call.process().files().get(call.fd(0))
}

/// lseek(fd, offset, whence)
pub(super) fn lseek(call: &mut Call<'_>) -> Result<u64> {
    let file = file(call)?;
    let (offset, whence) = (call.long(1), call.uint(2));
    file.check_positional()?;
    if let Some(answer) = file.operations().seek(offset, whence) {
        return answer;
    }
    if file.operations().seeking() == Seeking::Nowhere {
        return Ok(0);
    }
    let limits = file.operations().seek_limits(&file);
    let mut position = file.offset();
    let data_start = || u64::try_from(offset).map_err(|_| Error::from(Errno::ENXIO));
    let target = match whence {
        SEEK_SET => u64::try_from(offset).ok(),
        SEEK_CUR => position.checked_add_signed(offset),
        SEEK_END => limits.end.checked_add_signed(offset),
        SEEK_DATA => Some(file.operations().seek_extent(&file, data_start()?, Extent::Data)?),
        SEEK_HOLE => Some(file.operations().seek_extent(&file, data_start()?, Extent::Hole)?),
        _ => None,
    };
    let target = target.filter(|&target| target <= limits.maximum).ok_or(Errno::EINVAL)?;
    *position = target;
    Ok(target)
}

/// A size argument: not negative, and within RLIMIT_FSIZE.
fn new_size(size: i64) -> Result<u64> {
    let size = u64::try_from(size).map_err(|_| Errno::EINVAL)?;
    crate::fs::regular::check_size(size)?;
    Ok(size)
}

/// truncate(path, size)
pub(super) fn truncate(call: &mut Call<'_>) -> Result<u64> {
    let size = new_size(call.long(1))?;
    let at = At::current(call, call.arg(0))?;
    let path = at.lookup(LookupFlags::FOLLOW)?;
    match path.inode().kind() {
        FileKind::Regular => {}
        FileKind::Directory => return Err(Errno::EISDIR.into()),
        _ => return Err(Errno::EINVAL.into()),
    }
    at.caller.check_path(&path, Permission::WRITE)?;
    let _writer = crate::fs::open::WriteAccess::new(&path)?;
    names::truncate(&at.caller, &path, size)?;
    Ok(0)
}

/// ftruncate(fd, size)
pub(super) fn ftruncate(call: &mut Call<'_>) -> Result<u64> {
    let size = new_size(call.long(1))?;
    let file = file(call)?;
    if file.inode().kind() != FileKind::Regular || file.check_writable().is_err() {
        return Err(Errno::EINVAL.into());
    }
    file.path().mount.check_writable()?;
    names::truncate(&Caller::current(), file.path(), size)?;
    Ok(0)
}

/// fallocate(fd, mode, offset, length)
pub(super) fn fallocate(call: &mut Call<'_>) -> Result<u64> {
    let file = file(call)?;
    let mode = FallocateMode::from_bits(call.uint(1)).ok_or(Errno::EOPNOTSUPP)?;
    let (offset, length) = (call.long(2), call.long(3));
    if offset < 0 || length <= 0 {
        return Err(Errno::EINVAL.into());
    }
    file.check_writable()?;
    match file.inode().kind() {
        FileKind::Regular => {}
        FileKind::Directory => return Err(Errno::EISDIR.into()),
        FileKind::Fifo => return Err(Errno::ESPIPE.into()),
        _ => return Err(Errno::ENODEV.into()),
    }
    let (offset, length) = (offset as u64, length as u64);
    let end = offset.checked_add(length).filter(|&end| end <= i64::MAX as u64).ok_or(Errno::EFBIG)?;
    let inode = file.inode();
    let keeps_size = mode.contains(FallocateMode::FALLOC_FL_KEEP_SIZE);
    if mode == FallocateMode::FALLOC_FL_KEEP_SIZE | FallocateMode::FALLOC_FL_PUNCH_HOLE {
        inode.punch_hole(offset, length)?;
    } else if (mode - FallocateMode::FALLOC_FL_KEEP_SIZE).is_empty() {
        if !keeps_size {
            crate::fs::regular::check_size(end)?;
        }
        inode.allocate(offset, length, if keeps_size { Growth::None } else { Growth::ToEnd })?;
    } else {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let now = crate::clock::realtime();
    inode.set_attributes(&AttributeChange {
        modified: Some(now),
        changed: Some(now),
        ..AttributeChange::default()
    })?;
    inotify::tell(file.path(), InotifyMask::IN_MODIFY);
    Ok(0)
}

fn sync_file(call: &Call<'_>, scope: SyncScope) -> Result<u64> {
    let file = file(call)?;
    file.operations().sync(&file, scope)?;
    Ok(0)
}

/// fsync(fd)
pub(super) fn fsync(call: &mut Call<'_>) -> Result<u64> {
    sync_file(call, SyncScope::All)
}

/// fdatasync(fd)
pub(super) fn fdatasync(call: &mut Call<'_>) -> Result<u64> {
    sync_file(call, SyncScope::Data)
}

/// sync(): what fails is told to those who call fsync.
pub(super) fn sync(_call: &mut Call<'_>) -> Result<u64> {
    if let Err(error) = mount::sync_all() {
        log::warn!("fs: sync: {error}");
    }
    Ok(0)
}

/// syncfs(fd)
pub(super) fn syncfs(call: &mut Call<'_>) -> Result<u64> {
    let file = call.process().files().get(call.fd(0))?;
    file.path().mount.super_block().file_system.sync()?;
    Ok(0)
}

/// sync_file_range(fd, offset, length, flags)
pub(super) fn sync_file_range(call: &mut Call<'_>) -> Result<u64> {
    const KNOWN: u32 = 7;
    let file = file(call)?;
    if call.long(1) < 0 || call.long(2) < 0 || call.uint(3) & !KNOWN != 0 {
        return Err(Errno::EINVAL.into());
    }
    match file.inode().kind() {
        FileKind::Regular | FileKind::Block | FileKind::Directory => {}
        _ => return Err(Errno::ESPIPE.into()),
    }
    if let Some(pages) = file.inode().pages() {
        pages.write_back()?;
    }
    Ok(0)
}

/// fadvise64(fd, offset, length, advice)
pub(super) fn fadvise64(call: &mut Call<'_>) -> Result<u64> {
    let file = file(call)?;
    let (offset, length, advice) = (call.long(1), call.long(2), call.uint(3));
    if file.inode().kind() == FileKind::Fifo {
        return Err(Errno::ESPIPE.into());
    }
    if length < 0 || advice > POSIX_FADV_NOREUSE {
        return Err(Errno::EINVAL.into());
    }
    let (start, length) =
        (u64::try_from(offset).unwrap_or(0), if length == 0 { u64::MAX } else { length as u64 });
    match (advice, file.inode().pages()) {
        // Advice: a disk that fails is told to the one who reads.
        (POSIX_FADV_WILLNEED, Some(pages)) => drop(pages.prefetch(start, length)),
        // Pages of which a part is still wanted stay.
        (POSIX_FADV_DONTNEED, Some(pages)) if pages.has_direct_way() => {
            let first = start.div_ceil(PAGE).saturating_mul(PAGE);
            pages.drop_clean(first..start.saturating_add(length));
        }
        _ => {}
    }
    Ok(0)
}

/// readahead(fd, offset, count)
pub(super) fn readahead(call: &mut Call<'_>) -> Result<u64> {
    let file = file(call)?;
    file.check_readable()?;
    let Some(pages) = file.inode().pages() else { return Err(Errno::EINVAL.into()) };
    pages.prefetch(u64::try_from(call.long(1)).unwrap_or(0), call.size(2) as u64)?;
    Ok(0)
}
