//! Descriptors and what they refer to: dup, fcntl, ioctl, flock.

use super::Call;
use crate::{
    error::{Error, Result},
    fs::{
        fd::{FdTable, OnExec, descriptor_limit},
        file::{Blocking, File, OpenFlags},
        inode::FileKind,
        lock::{LockKind, LockTable, Owner, Record},
        pipe::{MAXIMUM_CAPACITY, PipeEnd},
    },
    mm::user::UserPtr,
};
use abi::{
    errno::Errno,
    fcntl::{
        Access, F_ADD_SEALS, F_DUPFD, F_DUPFD_CLOEXEC, F_GET_SEALS, F_GETFD, F_GETFL, F_GETLK, F_GETOWN,
        F_GETPIPE_SZ, F_GETSIG, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_RDLCK, F_SETFD, F_SETFL, F_SETLK,
        F_SETLKW, F_SETOWN, F_SETPIPE_SZ, F_SETSIG, F_UNLCK, F_WRLCK, FD_CLOEXEC, Flock,
    },
    misc::{FlockOperation, SEEK_CUR, SEEK_END, SEEK_SET},
    tty::{FIOCLEX, FIONBIO, FIONCLEX, FIONREAD},
};
use alloc::sync::Arc;

/// dup(fd)
pub(super) fn dup(call: &mut Call<'_>) -> Result<u64> {
    let files = call.process().files();
    Ok(files.install(files.get_any(call.fd(0))?, OnExec::Keep)? as u64)
}

/// dup2(old, new)
pub(super) fn dup2(call: &mut Call<'_>) -> Result<u64> {
    let files = call.process().files();
    let file = files.get_any(call.fd(0))?;
    if call.fd(0) != call.fd(1) {
        files.install_at(call.fd(1), file, OnExec::Keep)?;
    }
    Ok(call.fd(1) as u64)
}

/// dup3(old, new, flags)
pub(super) fn dup3(call: &mut Call<'_>) -> Result<u64> {
    let flags = OpenFlags::from_bits_retain(call.uint(2));
    if !OpenFlags::O_CLOEXEC.contains(flags) || call.fd(0) == call.fd(1) {
        return Err(Errno::EINVAL.into());
    }
    let files = call.process().files();
    files.install_at(call.fd(1), files.get_any(call.fd(0))?, OnExec::from_open_flags(flags))?;
    Ok(call.fd(1) as u64)
}

/// fcntl(fd, command, argument)
pub(super) fn fcntl(call: &mut Call<'_>) -> Result<u64> {
    let files = call.process().files();
    let (fd, command) = (call.fd(0), call.uint(1));
    let file = files.get_any(fd)?;
    match command {
        F_DUPFD => duplicate(call, &files, file, OnExec::Keep),
        F_DUPFD_CLOEXEC => duplicate(call, &files, file, OnExec::Close),
        F_GETFD => Ok(if files.on_exec(fd)? == OnExec::Close { FD_CLOEXEC.into() } else { 0 }),
        F_SETFD => {
            let closes = call.uint(2) & FD_CLOEXEC != 0;
            files.set_on_exec(fd, if closes { OnExec::Close } else { OnExec::Keep })?;
            Ok(0)
        }
        F_GETFL => Ok((file.flags() | OpenFlags::O_LARGEFILE).bits().into()),
        _ if file.is_path_only() => Err(Errno::EBADF.into()),
        F_SETFL => {
            file.set_flags(OpenFlags::from_bits_retain(call.uint(2)));
            Ok(0)
        }
        F_GETLK | F_OFD_GETLK => query_lock(call, &files, &file, command),
        F_SETLK | F_SETLKW | F_OFD_SETLK | F_OFD_SETLKW => set_lock(call, &files, &file, command),
        F_GET_SEALS => Ok(file.inode().seals().ok_or(Errno::EINVAL)?.bits().into()),
        F_ADD_SEALS => add_seals(&file, call.uint(2)),
        F_SETPIPE_SZ | F_GETPIPE_SZ => pipe_size(call, &file, command),
        // Nobody is told of input by signals.
        F_GETOWN | F_GETSIG => Ok(0),
        F_SETOWN | F_SETSIG => Err(Error::new(Errno::EINVAL, "no input signals")),
        _ => Err(Errno::EINVAL.into()),
    }
}

fn duplicate(call: &Call<'_>, files: &FdTable, file: Arc<File>, on_exec: OnExec) -> Result<u64> {
    let minimum = usize::try_from(call.int(2)).map_err(|_| Errno::EINVAL)?;
    let limit = descriptor_limit();
    if minimum as u64 >= limit {
        return Err(Errno::EINVAL.into());
    }
    Ok(files.install_from(minimum, file, on_exec, limit)? as u64)
}

fn add_seals(file: &File, seals: u32) -> Result<u64> {
    let inode = file.inode();
    let (known, pages) = inode.seals().zip(inode.pages()).ok_or(Errno::EINVAL)?;
    if !matches!(file.flags().access(), Access::Write | Access::ReadWrite) {
        return Err(Error::new(Errno::EPERM, "the file was not opened for writing"));
    }
    known.add(seals, pages.identity(), inode.metadata().mode)?;
    Ok(0)
}

fn pipe_size(call: &Call<'_>, file: &File, command: u32) -> Result<u64> {
    let pipe = file.operations_as::<PipeEnd>().ok_or(Errno::EBADF)?.pipe();
    if command == F_GETPIPE_SZ {
        return Ok(pipe.capacity() as u64);
    }
    let wanted = call.uint(2) as usize;
    let is_privileged =
        call.process().credentials().has(crate::process::credentials::capability::SYS_RESOURCE);
    if wanted > MAXIMUM_CAPACITY && !is_privileged {
        return Err(Errno::EPERM.into());
    }
    Ok(pipe.set_capacity(wanted)? as u64)
}

fn table(file: &File) -> &LockTable {
    let inode = file.inode();
    let locks = &inode.state().locks;
    if let Some(table) = locks.get() {
        return table;
    }
    let metadata = inode.metadata();
    locks.call_once(|| LockTable::new(metadata.device, metadata.number))
}

/// The lock that a program describes; `None` in the kind: it is to be released.
fn read_lock(file: &File, lock: &Flock, owner: Owner, pid: i32) -> Result<(Record, Option<LockKind>)> {
    let kind = match lock.kind {
        F_RDLCK => Some(LockKind::Shared),
        F_WRLCK => Some(LockKind::Exclusive),
        F_UNLCK => None,
        _ => return Err(Errno::EINVAL.into()),
    };
    let base = match lock.whence as u32 {
        SEEK_SET => 0,
        SEEK_CUR => *file.offset() as i64,
        SEEK_END => file.inode().metadata().size as i64,
        _ => return Err(Errno::EINVAL.into()),
    };
    let start = base.checked_add(lock.start).ok_or(Errno::EOVERFLOW)?;
    let (start, end) = match lock.len {
        0 => (start, None),
        length if length > 0 => (start, Some(start.checked_add(length - 1).ok_or(Errno::EOVERFLOW)?)),
        length => (start.checked_add(length).ok_or(Errno::EINVAL)?, Some(start - 1)),
    };
    let start = u64::try_from(start).map_err(|_| Errno::EINVAL)?;
    let last = end.map_or(Ok(u64::MAX), u64::try_from).map_err(|_| Errno::EINVAL)?;
    Ok((Record { owner, pid, kind: kind.unwrap_or(LockKind::Shared), start, last }, kind))
}

/// Who owns a lock that is set by `command`.
fn owner(call: &Call<'_>, files: &FdTable, file: &File, command: u32, lock: &Flock) -> Result<(Owner, i32)> {
    if matches!(command, F_OFD_GETLK | F_OFD_SETLK | F_OFD_SETLKW) {
        return if lock.pid == 0 { Ok((Owner::description(file), -1)) } else { Err(Errno::EINVAL.into()) };
    }
    Ok((Owner::Process(files.id()), call.process().pid()))
}

fn query_lock(call: &Call<'_>, files: &FdTable, file: &File, command: u32) -> Result<u64> {
    let pointer = UserPtr::<Flock>::new(call.arg(2));
    let mut lock = pointer.read()?;
    let (owner, pid) = owner(call, files, file, command, &lock)?;
    let (record, kind) = read_lock(file, &lock, owner, pid)?;
    if kind.is_none() && command == F_GETLK {
        return Err(Errno::EINVAL.into());
    }
    match table(file).conflict(&record) {
        None => lock.kind = F_UNLCK,
        Some(held) => {
            lock.kind = if held.kind == LockKind::Shared { F_RDLCK } else { F_WRLCK };
            lock.whence = SEEK_SET as i16;
            lock.start = held.start as i64;
            lock.len = if held.last == u64::MAX { 0 } else { (held.last - held.start + 1) as i64 };
            lock.pid = held.pid;
        }
    }
    pointer.write(&lock)?;
    Ok(0)
}

fn set_lock(call: &Call<'_>, files: &FdTable, file: &File, command: u32) -> Result<u64> {
    let lock = UserPtr::<Flock>::new(call.arg(2)).read()?;
    let (owner, pid) = owner(call, files, file, command, &lock)?;
    let (record, kind) = read_lock(file, &lock, owner, pid)?;
    let table = table(file);
    match kind {
        None => {
            table.clear(owner, record.start, record.last);
            return Ok(0);
        }
        Some(LockKind::Shared) => file.check_readable()?,
        Some(LockKind::Exclusive) => file.check_writable()?,
    }
    let waits = matches!(command, F_SETLKW | F_OFD_SETLKW);
    table.set(record, if waits { Blocking::Allowed } else { Blocking::Never })?;
    Ok(0)
}

/// flock(fd, operation)
pub(super) fn flock(call: &mut Call<'_>) -> Result<u64> {
    let file = call.process().files().get(call.fd(0))?;
    let operation = FlockOperation::from_bits(call.uint(1)).ok_or(Errno::EINVAL)?;
    let blocking =
        if operation.contains(FlockOperation::LOCK_NB) { Blocking::Never } else { Blocking::Allowed };
    let what = operation - FlockOperation::LOCK_NB;
    let kind = if what == FlockOperation::LOCK_SH {
        Some(LockKind::Shared)
    } else if what == FlockOperation::LOCK_EX {
        Some(LockKind::Exclusive)
    } else if what == FlockOperation::LOCK_UN {
        None
    } else {
        return Err(Errno::EINVAL.into());
    };
    table(&file).flock(&file, call.process().pid(), kind, blocking)?;
    Ok(0)
}

/// ioctl(fd, command, argument)
pub(super) fn ioctl(call: &mut Call<'_>) -> Result<u64> {
    let files = call.process().files();
    let file = files.get(call.fd(0))?;
    let (command, argument) = (call.uint(1), call.arg(2));
    match command {
        FIOCLEX => files.set_on_exec(call.fd(0), OnExec::Close).map(|()| 0),
        FIONCLEX => files.set_on_exec(call.fd(0), OnExec::Keep).map(|()| 0),
        FIONBIO => {
            let is_set = UserPtr::<i32>::new(argument).read()? != 0;
            file.set_nonblocking(if is_set { Blocking::Never } else { Blocking::Allowed });
            Ok(0)
        }
        FIONREAD => match available(&file) {
            Some(bytes) => UserPtr::<i32>::new(argument).write(&bytes).map(|()| 0),
            None => file.operations().ioctl(&file, command, argument),
        },
        _ => file.operations().ioctl(&file, command, argument),
    }
}

/// Bytes that can be read from here on, if the question makes sense.
fn available(file: &File) -> Option<i32> {
    let bytes = match file.operations().available(file) {
        Some(bytes) => bytes as u64,
        None if file.inode().kind() == FileKind::Regular => {
            file.inode().metadata().size.saturating_sub(*file.offset())
        }
        None => return None,
    };
    Some(i32::try_from(bytes).unwrap_or(i32::MAX))
}
