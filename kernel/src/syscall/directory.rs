//! Names and directories: getdents, mkdir, link, symlink, unlink, rename, mknod, chdir, chroot, getcwd.

use super::{Call, at, at::At};
use crate::{
    error::Result,
    fs::{
        dentry::{Path, PathText},
        inode::{FileKind, NewKind, PATH_MAX},
        inotify,
        lookup::LookupFlags,
        names::{self, Removal},
        permission::{Caller, Permission},
    },
    mm::user::{self, UserSlice},
    process,
};
use abi::{
    dirent::{DirentFormat, DirentWriter},
    errno::Errno,
    fcntl::{AT_FDCWD, AtFlags},
    inotify::InotifyMask,
    misc::RenameFlags,
    stat::DeviceNumber,
};

/// Bytes of entries that are put together at a time.
const ENTRIES_BYTES: usize = 32 * 1024;

fn list(call: &Call<'_>, format: DirentFormat) -> Result<u64> {
    let file = call.process().files().get(call.fd(0))?;
    if !file.inode().is_directory() {
        return Err(Errno::ENOTDIR.into());
    }
    let length = (call.uint(2) as usize).min(ENTRIES_BYTES);
    let mut buffer = alloc::vec![0u8; length];
    let mut writer = DirentWriter::new(&mut buffer, format);
    let mut cursor = file.offset();
    let (mut next, mut is_full) = (*cursor, false);
    file.operations().read_directory(&file, *cursor, &mut |entry| {
        // Positions are those of lseek: never negative.
        let position = i64::try_from(entry.next).unwrap_or(i64::MAX);
        is_full = writer.push(entry.number, position, entry.kind.directory_type(), entry.name).is_err();
        if !is_full {
            next = entry.next;
        }
        !is_full
    })?;
    inotify::tell(file.path(), InotifyMask::IN_ACCESS);
    let written = writer.len();
    if written == 0 && is_full {
        return Err(Errno::EINVAL.into());
    }
    UserSlice::<u8>::new(call.arg(1), written).write(&buffer[..written])?;
    *cursor = next;
    Ok(written as u64)
}

/// getdents(fd, buffer, length)
pub(super) fn getdents(call: &mut Call<'_>) -> Result<u64> {
    list(call, DirentFormat::Old)
}

/// getdents64(fd, buffer, length)
pub(super) fn getdents64(call: &mut Call<'_>) -> Result<u64> {
    list(call, DirentFormat::Dirent64)
}

fn create(call: &Call<'_>, directory: i32, address: u64, kind: NewKind, mode: u32) -> Result<u64> {
    let at = At::read(call, directory, address)?;
    names::create_at(&at.caller, at.base(), &at.path, kind, mode)?;
    Ok(0)
}

/// mkdir(path, mode)
pub(super) fn mkdir(call: &mut Call<'_>) -> Result<u64> {
    create(call, AT_FDCWD, call.arg(0), NewKind::Directory, call.uint(1) & 0o1777)
}

/// mkdirat(directory, path, mode)
pub(super) fn mkdirat(call: &mut Call<'_>) -> Result<u64> {
    create(call, call.fd(0), call.arg(1), NewKind::Directory, call.uint(2) & 0o1777)
}

fn make_node(call: &Call<'_>, directory: i32, address: u64, mode: u32, device: u64) -> Result<u64> {
    let device = DeviceNumber::from_raw(device & 0xffff_ffff);
    let kind = match FileKind::from_mode(mode).ok_or(Errno::EINVAL)? {
        FileKind::Regular => NewKind::Regular,
        FileKind::Fifo => NewKind::Fifo,
        FileKind::Socket => NewKind::Socket,
        FileKind::Character => NewKind::Character(device),
        FileKind::Block => NewKind::Block(device),
        FileKind::Directory => return Err(Errno::EPERM.into()),
        FileKind::Link | FileKind::Anonymous => return Err(Errno::EINVAL.into()),
    };
    let is_device = matches!(kind, NewKind::Character(_) | NewKind::Block(_));
    if is_device && !call.process().credentials().has(process::credentials::capability::MKNOD) {
        return Err(Errno::EPERM.into());
    }
    create(call, directory, address, kind, mode)
}

/// mknod(path, mode, device)
pub(super) fn mknod(call: &mut Call<'_>) -> Result<u64> {
    make_node(call, AT_FDCWD, call.arg(0), call.uint(1), call.arg(2))
}

/// mknodat(directory, path, mode, device)
pub(super) fn mknodat(call: &mut Call<'_>) -> Result<u64> {
    make_node(call, call.fd(0), call.arg(1), call.uint(2), call.arg(3))
}

fn make_link(call: &Call<'_>, target: u64, directory: i32, address: u64) -> Result<u64> {
    let target = user::read_path(target)?;
    if target.is_empty() {
        return Err(Errno::ENOENT.into());
    }
    create(call, directory, address, NewKind::Link(target), 0o777)
}

/// symlink(target, path)
pub(super) fn symlink(call: &mut Call<'_>) -> Result<u64> {
    make_link(call, call.arg(0), AT_FDCWD, call.arg(1))
}

/// symlinkat(target, directory, path)
pub(super) fn symlinkat(call: &mut Call<'_>) -> Result<u64> {
    make_link(call, call.arg(0), call.fd(1), call.arg(2))
}

fn link_to(call: &Call<'_>, old: (i32, u64), new: (i32, u64), flags: AtFlags) -> Result<u64> {
    let old = At::read(call, old.0, old.1)?;
    let new = At::read(call, new.0, new.1)?;
    let mut lookup = LookupFlags::empty();
    if flags.contains(AtFlags::AT_SYMLINK_FOLLOW) {
        lookup |= LookupFlags::FOLLOW;
    }
    if flags.contains(AtFlags::AT_EMPTY_PATH) {
        if !call.process().credentials().has(process::credentials::capability::DAC_READ_SEARCH) {
            return Err(Errno::ENOENT.into());
        }
        lookup |= LookupFlags::EMPTY_PATH;
    }
    let target = old.lookup(lookup)?;
    names::link_at(&new.caller, &target, new.base(), &new.path)?;
    Ok(0)
}

/// link(old, new)
pub(super) fn link(call: &mut Call<'_>) -> Result<u64> {
    link_to(call, (AT_FDCWD, call.arg(0)), (AT_FDCWD, call.arg(1)), AtFlags::empty())
}

/// linkat(old_directory, old, new_directory, new, flags)
pub(super) fn linkat(call: &mut Call<'_>) -> Result<u64> {
    let flags = at::flags(call.uint(4), AtFlags::AT_SYMLINK_FOLLOW | AtFlags::AT_EMPTY_PATH)?;
    link_to(call, (call.fd(0), call.arg(1)), (call.fd(2), call.arg(3)), flags)
}

fn remove(call: &Call<'_>, directory: i32, address: u64, what: Removal) -> Result<u64> {
    let at = At::read(call, directory, address)?;
    names::remove_at(&at.caller, at.base(), &at.path, what)?;
    Ok(0)
}

/// unlink(path)
pub(super) fn unlink(call: &mut Call<'_>) -> Result<u64> {
    remove(call, AT_FDCWD, call.arg(0), Removal::File)
}

/// rmdir(path)
pub(super) fn rmdir(call: &mut Call<'_>) -> Result<u64> {
    remove(call, AT_FDCWD, call.arg(0), Removal::Directory)
}

/// unlinkat(directory, path, flags)
pub(super) fn unlinkat(call: &mut Call<'_>) -> Result<u64> {
    let flags = at::flags(call.uint(2), AtFlags::AT_REMOVEDIR)?;
    let what = if flags.is_empty() { Removal::File } else { Removal::Directory };
    remove(call, call.fd(0), call.arg(1), what)
}

fn move_name(call: &Call<'_>, old: (i32, u64), new: (i32, u64), flags: u32) -> Result<u64> {
    let old = At::read(call, old.0, old.1)?;
    let new = At::read(call, new.0, new.1)?;
    let flags = RenameFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    names::rename_at(&old.caller, (old.base(), &old.path), (new.base(), &new.path), flags)?;
    Ok(0)
}

/// rename(old, new)
pub(super) fn rename(call: &mut Call<'_>) -> Result<u64> {
    move_name(call, (AT_FDCWD, call.arg(0)), (AT_FDCWD, call.arg(1)), 0)
}

/// renameat(old_directory, old, new_directory, new)
pub(super) fn renameat(call: &mut Call<'_>) -> Result<u64> {
    move_name(call, (call.fd(0), call.arg(1)), (call.fd(2), call.arg(3)), 0)
}

/// renameat2(old_directory, old, new_directory, new, flags)
pub(super) fn renameat2(call: &mut Call<'_>) -> Result<u64> {
    move_name(call, (call.fd(0), call.arg(1)), (call.fd(2), call.arg(3)), call.uint(4))
}

/// getcwd(buffer, length): the length of the path with its NUL, which is [`PATH_MAX`] at most.
pub(super) fn getcwd(call: &mut Call<'_>) -> Result<u64> {
    let context = call.process().fs_context();
    let directory = context.directory();
    if directory.dentry.is_detached() {
        return Err(Errno::ENOENT.into());
    }
    let mut path = match directory.relative_to(&context.root()) {
        PathText::Inside(text) => text,
        PathText::Outside(text) | PathText::Unnamed(text) => [b"(unreachable)".as_slice(), &text].concat(),
    };
    path.push(0);
    if path.len() > PATH_MAX {
        return Err(Errno::ENAMETOOLONG.into());
    }
    if path.len() > call.size(1) {
        return Err(Errno::ERANGE.into());
    }
    UserSlice::<u8>::new(call.arg(0), path.len()).write(&path)?;
    Ok(path.len() as u64)
}

/// chdir, fchdir, chroot: whether the current process may stand there.
fn check_directory(caller: &Caller, path: &Path) -> Result<()> {
    if !path.inode().is_directory() {
        return Err(Errno::ENOTDIR.into());
    }
    caller.check(path.inode(), Permission::EXECUTE)
}

/// chdir(path)
pub(super) fn chdir(call: &mut Call<'_>) -> Result<u64> {
    let at = At::current(call, call.arg(0))?;
    let path = at.lookup(LookupFlags::FOLLOW | LookupFlags::DIRECTORY)?;
    check_directory(&at.caller, &path)?;
    call.process().fs_context().set_directory(path);
    Ok(0)
}

/// fchdir(fd)
pub(super) fn fchdir(call: &mut Call<'_>) -> Result<u64> {
    let file = call.process().files().get_any(call.fd(0))?;
    check_directory(&Caller::current(), file.path())?;
    call.process().fs_context().set_directory(file.path().clone());
    Ok(0)
}

/// chroot(path)
pub(super) fn chroot(call: &mut Call<'_>) -> Result<u64> {
    let at = At::current(call, call.arg(0))?;
    let path = at.lookup(LookupFlags::FOLLOW | LookupFlags::DIRECTORY)?;
    check_directory(&at.caller, &path)?;
    if !process::current().credentials().has(process::credentials::capability::SYS_CHROOT) {
        return Err(Errno::EPERM.into());
    }
    call.process().fs_context().set_root(path);
    Ok(0)
}
