//! Files, directories, descriptors, pipes.

use std::mem::zeroed;
use std::ops::Deref;

use super::{Errno, Result, call, path};

/// "Relative to the current directory."
pub(crate) const CWD: i32 = libc::AT_FDCWD;

/// A descriptor that is closed when dropped; `*fd` is its number.
#[derive(Debug)]
pub(crate) struct Fd(i32);

impl Fd {
    pub(crate) fn raw(&self) -> i32 {
        self.0
    }

    /// Takes over a number that a call has just answered.
    pub(crate) fn own(number: usize) -> Self {
        Fd(number as i32)
    }

    /// Closes it and tells what the kernel answers.
    pub(crate) fn close(self) -> Result<()> {
        let answer = close(self.0);
        std::mem::forget(self);
        answer
    }
}

impl Deref for Fd {
    type Target = i32;

    fn deref(&self) -> &i32 {
        &self.0
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        let _ = close(self.0);
    }
}

pub(crate) fn close(fd: i32) -> Result<()> {
    call!(SYS_close, fd).map(drop)
}

pub(crate) fn open(name: &str, flags: i32, mode: u32) -> Result<Fd> {
    openat(CWD, name, flags, mode)
}

pub(crate) fn openat(directory: i32, name: &str, flags: i32, mode: u32) -> Result<Fd> {
    call!(SYS_openat, directory, &path(name)?, flags, mode).map(Fd::own)
}

pub(crate) fn creat(name: &str, mode: u32) -> Result<Fd> {
    call!(SYS_creat, &path(name)?, mode).map(Fd::own)
}

pub(crate) fn read(fd: i32, buffer: &mut [u8]) -> Result<usize> {
    call!(SYS_read, fd, buffer.as_mut_ptr(), buffer.len())
}

pub(crate) fn write(fd: i32, bytes: &[u8]) -> Result<usize> {
    call!(SYS_write, fd, bytes.as_ptr(), bytes.len())
}

pub(crate) fn pread(fd: i32, buffer: &mut [u8], offset: i64) -> Result<usize> {
    call!(SYS_pread64, fd, buffer.as_mut_ptr(), buffer.len(), offset)
}

pub(crate) fn pwrite(fd: i32, bytes: &[u8], offset: i64) -> Result<usize> {
    call!(SYS_pwrite64, fd, bytes.as_ptr(), bytes.len(), offset)
}

/// Fills the buffers one after the other.
pub(crate) fn readv(fd: i32, buffers: &mut [&mut [u8]]) -> Result<usize> {
    let vectors: Vec<libc::iovec> = buffers
        .iter_mut()
        .map(|buffer| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() })
        .collect();
    call!(SYS_readv, fd, vectors.as_ptr(), vectors.len())
}

pub(crate) fn writev(fd: i32, buffers: &[&[u8]]) -> Result<usize> {
    let vectors: Vec<libc::iovec> = buffers
        .iter()
        .map(|buffer| libc::iovec { iov_base: buffer.as_ptr().cast_mut().cast(), iov_len: buffer.len() })
        .collect();
    call!(SYS_writev, fd, vectors.as_ptr(), vectors.len())
}

pub(crate) fn lseek(fd: i32, offset: i64, whence: i32) -> Result<i64> {
    call!(SYS_lseek, fd, offset, whence).map(|position| position as i64)
}

/// Copies from one descriptor to another, from the input's own position.
pub(crate) fn sendfile(output: i32, input: i32, count: usize) -> Result<usize> {
    call!(SYS_sendfile, output, input, 0, count)
}

/// The same from an offset, which is moved on.
pub(crate) fn sendfile_from(output: i32, input: i32, offset: &mut i64, count: usize) -> Result<usize> {
    call!(SYS_sendfile, output, input, &raw mut *offset, count)
}

pub(crate) fn truncate(name: &str, length: i64) -> Result<()> {
    call!(SYS_truncate, &path(name)?, length).map(drop)
}

pub(crate) fn ftruncate(fd: i32, length: i64) -> Result<()> {
    call!(SYS_ftruncate, fd, length).map(drop)
}

pub(crate) fn fallocate(fd: i32, mode: i32, offset: i64, length: i64) -> Result<()> {
    call!(SYS_fallocate, fd, mode, offset, length).map(drop)
}

pub(crate) fn fsync(fd: i32) -> Result<()> {
    call!(SYS_fsync, fd).map(drop)
}

pub(crate) fn fdatasync(fd: i32) -> Result<()> {
    call!(SYS_fdatasync, fd).map(drop)
}

pub(crate) fn sync() -> Result<()> {
    call!(SYS_sync).map(drop)
}

pub(crate) use libc::stat as Stat;

pub(crate) fn stat(name: &str) -> Result<Stat> {
    fstatat(CWD, name, 0)
}

pub(crate) fn lstat(name: &str) -> Result<Stat> {
    fstatat(CWD, name, libc::AT_SYMLINK_NOFOLLOW)
}

pub(crate) fn fstatat(directory: i32, name: &str, flags: i32) -> Result<Stat> {
    // SAFETY: all fields are numbers.
    let mut stat: Stat = unsafe { zeroed() };
    call!(SYS_newfstatat, directory, &path(name)?, &raw mut stat, flags)?;
    Ok(stat)
}

pub(crate) fn fstat(fd: i32) -> Result<Stat> {
    // SAFETY: all fields are numbers.
    let mut stat: Stat = unsafe { zeroed() };
    call!(SYS_fstat, fd, &raw mut stat)?;
    Ok(stat)
}

/// The three oldest forms of `stat`, by number: `stat`, `lstat`.
pub(crate) fn old_stat(name: &str, number: i64) -> Result<Stat> {
    // SAFETY: all fields are numbers.
    let mut stat: Stat = unsafe { zeroed() };
    let name = path(name)?;
    // SAFETY: both addresses are of live objects of the size that the two calls expect.
    unsafe { super::raw(number, &[name.as_ptr() as usize, &raw mut stat as usize]) }?;
    Ok(stat)
}

/// The parts of `statx` that tests look at; the C libraries differ in what they offer.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statx {
    pub(crate) mask: u32,
    pub(crate) block_size: u32,
    attributes: u64,
    pub(crate) links: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: u16,
    spare: u16,
    pub(crate) inode: u64,
    pub(crate) size: u64,
    pub(crate) blocks: u64,
    rest: [u64; 25],
}

const _: () = assert!(size_of::<Statx>() == 256);

impl Statx {
    /// What memory and offsets of direct transfers are multiples of: `STATX_DIOALIGN`.
    pub(crate) fn direct_alignment(&self) -> (usize, usize) {
        let both = self.rest[12];
        (both as u32 as usize, (both >> 32) as usize)
    }
}

pub(crate) fn statx(directory: i32, name: &str, flags: i32, mask: u32) -> Result<Statx> {
    // SAFETY: all fields are numbers.
    let mut stat: Statx = unsafe { zeroed() };
    call!(SYS_statx, directory, &path(name)?, flags, mask, &raw mut stat)?;
    Ok(stat)
}

/// The kernel's `struct statfs`; the C libraries hide parts of it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statfs {
    pub(crate) kind: u64,
    pub(crate) block_size: u64,
    pub(crate) blocks: u64,
    pub(crate) free: u64,
    pub(crate) available: u64,
    pub(crate) files: u64,
    pub(crate) free_files: u64,
    id: [i32; 2],
    pub(crate) longest_name: u64,
    pub(crate) fragment_size: u64,
    pub(crate) flags: u64,
    spare: [u64; 4],
}

const _: () = assert!(size_of::<Statfs>() == 120);

pub(crate) fn statfs(name: &str) -> Result<Statfs> {
    // SAFETY: all fields are numbers.
    let mut stat: Statfs = unsafe { zeroed() };
    call!(SYS_statfs, &path(name)?, &raw mut stat)?;
    Ok(stat)
}

pub(crate) fn fstatfs(fd: i32) -> Result<Statfs> {
    // SAFETY: all fields are numbers.
    let mut stat: Statfs = unsafe { zeroed() };
    call!(SYS_fstatfs, fd, &raw mut stat)?;
    Ok(stat)
}

pub(crate) fn link(old: &str, new: &str) -> Result<()> {
    call!(SYS_link, &path(old)?, &path(new)?).map(drop)
}

pub(crate) fn linkat(old: &str, new: &str, flags: i32) -> Result<()> {
    call!(SYS_linkat, CWD, &path(old)?, CWD, &path(new)?, flags).map(drop)
}

pub(crate) fn unlink(name: &str) -> Result<()> {
    call!(SYS_unlink, &path(name)?).map(drop)
}

pub(crate) fn unlinkat(directory: i32, name: &str, flags: i32) -> Result<()> {
    call!(SYS_unlinkat, directory, &path(name)?, flags).map(drop)
}

pub(crate) fn symlink(target: &str, name: &str) -> Result<()> {
    call!(SYS_symlink, &path(target)?, &path(name)?).map(drop)
}

pub(crate) fn readlink(name: &str) -> Result<String> {
    let mut buffer = vec![0; 4096];
    let count = readlink_into(name, &mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..count]).into_owned())
}

pub(crate) fn readlink_into(name: &str, buffer: &mut [u8]) -> Result<usize> {
    call!(SYS_readlink, &path(name)?, buffer.as_mut_ptr(), buffer.len())
}

pub(crate) fn mkdir(name: &str, mode: u32) -> Result<()> {
    call!(SYS_mkdir, &path(name)?, mode).map(drop)
}

pub(crate) fn mkdirat(directory: i32, name: &str, mode: u32) -> Result<()> {
    call!(SYS_mkdirat, directory, &path(name)?, mode).map(drop)
}

pub(crate) fn rmdir(name: &str) -> Result<()> {
    call!(SYS_rmdir, &path(name)?).map(drop)
}

pub(crate) fn rename(old: &str, new: &str) -> Result<()> {
    call!(SYS_rename, &path(old)?, &path(new)?).map(drop)
}

pub(crate) fn renameat2(old: &str, new: &str, flags: u32) -> Result<()> {
    call!(SYS_renameat2, CWD, &path(old)?, CWD, &path(new)?, flags).map(drop)
}

pub(crate) fn mknod(name: &str, mode: u32, device: u64) -> Result<()> {
    call!(SYS_mknod, &path(name)?, mode, device).map(drop)
}

pub(crate) fn chmod(name: &str, mode: u32) -> Result<()> {
    call!(SYS_chmod, &path(name)?, mode).map(drop)
}

pub(crate) fn fchmod(fd: i32, mode: u32) -> Result<()> {
    call!(SYS_fchmod, fd, mode).map(drop)
}

pub(crate) fn chown(name: &str, user: u32, group: u32) -> Result<()> {
    call!(SYS_chown, &path(name)?, user, group).map(drop)
}

pub(crate) fn lchown(name: &str, user: u32, group: u32) -> Result<()> {
    call!(SYS_lchown, &path(name)?, user, group).map(drop)
}

pub(crate) fn access(name: &str, mode: i32) -> Result<()> {
    call!(SYS_access, &path(name)?, mode).map(drop)
}

pub(crate) fn faccessat2(name: &str, mode: i32, flags: i32) -> Result<()> {
    call!(SYS_faccessat2, CWD, &path(name)?, mode, flags).map(drop)
}

/// Sets the mask of permissions that new files never get; the old one.
pub(crate) fn umask(mask: u32) -> u32 {
    call!(SYS_umask, mask).unwrap_or_default() as u32
}

/// Seconds and nanoseconds of access and modification time.
pub(crate) type Times = [(i64, i64); 2];

pub(crate) fn utimensat(name: &str, times: Option<Times>, flags: i32) -> Result<()> {
    let times = times.map(|both| both.map(|(tv_sec, tv_nsec)| libc::timespec { tv_sec, tv_nsec }));
    let pointer = times.as_ref().map_or(std::ptr::null(), |both| both.as_ptr());
    call!(SYS_utimensat, CWD, &path(name)?, pointer, flags).map(drop)
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) inode: u64,
    /// Where `lseek` continues after this entry.
    pub(crate) offset: i64,
    pub(crate) kind: u8,
    pub(crate) name: String,
}

/// One `getdents64` with a buffer of this many bytes; empty at the end.
pub(crate) fn getdents(fd: i32, bytes: usize) -> Result<Vec<Entry>> {
    let mut buffer = vec![0_u8; bytes];
    let count = call!(SYS_getdents64, fd, buffer.as_mut_ptr(), buffer.len())?;
    let mut rest = buffer.get(..count).ok_or(Errno(libc::EFBIG))?;
    let mut entries = Vec::new();
    while let Some((record, length)) = parse_entry(rest) {
        entries.push(record);
        rest = &rest[length..];
    }
    if rest.is_empty() { Ok(entries) } else { Err(Errno(libc::EBADMSG)) }
}

/// The first record of a directory buffer and its length; `None` at the end or if it is broken.
fn parse_entry(bytes: &[u8]) -> Option<(Entry, usize)> {
    let inode = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    let offset = i64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?);
    let length = usize::from(u16::from_le_bytes(bytes.get(16..18)?.try_into().ok()?));
    let kind = *bytes.get(18)?;
    let name = bytes.get(19..length)?.split(|byte| *byte == 0).next()?;
    Some((Entry { inode, offset, kind, name: String::from_utf8_lossy(name).into_owned() }, length))
}

/// All names of a directory but `.` and `..`, sorted.
pub(crate) fn list(name: &str) -> Result<Vec<String>> {
    let directory = open(name, libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    let mut names = Vec::new();
    loop {
        let entries = getdents(*directory, 4096)?;
        if entries.is_empty() {
            names.sort();
            return Ok(names);
        }
        names.extend(entries.into_iter().map(|entry| entry.name).filter(|name| name != "." && name != ".."));
    }
}

pub(crate) fn chdir(name: &str) -> Result<()> {
    call!(SYS_chdir, &path(name)?).map(drop)
}

pub(crate) fn fchdir(fd: i32) -> Result<()> {
    call!(SYS_fchdir, fd).map(drop)
}

pub(crate) fn chroot(name: &str) -> Result<()> {
    call!(SYS_chroot, &path(name)?).map(drop)
}

/// The current directory by the system call, with a buffer of this many bytes.
pub(crate) fn getcwd(bytes: usize) -> Result<String> {
    let mut buffer = vec![0_u8; bytes];
    let count = call!(SYS_getcwd, buffer.as_mut_ptr(), buffer.len())?;
    let text = buffer.get(..count.saturating_sub(1)).ok_or(Errno(libc::EFBIG))?;
    Ok(String::from_utf8_lossy(text).into_owned())
}

pub(crate) fn dup(fd: i32) -> Result<Fd> {
    call!(SYS_dup, fd).map(Fd::own)
}

/// The number that `dup2` answers; who owns it is the caller's business.
pub(crate) fn dup2(old: i32, new: i32) -> Result<i32> {
    call!(SYS_dup2, old, new).map(|fd| fd as i32)
}

pub(crate) fn dup3(old: i32, new: i32, flags: i32) -> Result<i32> {
    call!(SYS_dup3, old, new, flags).map(|fd| fd as i32)
}

/// `fcntl` with a number as argument.
pub(crate) fn fcntl(fd: i32, command: i32, value: i32) -> Result<i32> {
    call!(SYS_fcntl, fd, command, value).map(|answer| answer as i32)
}

/// A record lock of `fcntl`: type, start, length.
pub(crate) fn fcntl_lock(fd: i32, command: i32, kind: i32, start: i64, length: i64) -> Result<libc::flock> {
    let mut lock = libc::flock {
        l_type: kind as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: start,
        l_len: length,
        l_pid: 0,
    };
    call!(SYS_fcntl, fd, command, &raw mut lock)?;
    Ok(lock)
}

pub(crate) fn flock(fd: i32, operation: i32) -> Result<()> {
    call!(SYS_flock, fd, operation).map(drop)
}

/// Reading end and writing end.
pub(crate) fn pipe(flags: i32) -> Result<(Fd, Fd)> {
    let mut ends = [0_i32; 2];
    call!(SYS_pipe2, ends.as_mut_ptr(), flags)?;
    Ok((Fd(ends[0]), Fd(ends[1])))
}

/// An `ioctl` that answers one `int`.
pub(crate) fn ioctl_int(fd: i32, request: u64) -> Result<i32> {
    let mut value = 0_i32;
    call!(SYS_ioctl, fd, request, &raw mut value)?;
    Ok(value)
}

/// An `ioctl` that reads and writes bytes; of those that the request means, none may be missing.
pub(crate) fn ioctl_bytes(fd: i32, request: u64, bytes: &mut [u8]) -> Result<()> {
    call!(SYS_ioctl, fd, request, bytes.as_mut_ptr()).map(drop)
}

/// An `ioctl` whose argument is a number.
pub(crate) fn ioctl_value(fd: i32, request: u64, value: u64) -> Result<()> {
    call!(SYS_ioctl, fd, request, value).map(drop)
}

/// An `ioctl` that takes one `int` by address.
pub(crate) fn ioctl_set_int(fd: i32, request: u64, value: i32) -> Result<()> {
    call!(SYS_ioctl, fd, request, &raw const value).map(drop)
}

/// Makes a file with this content, or replaces its content.
pub(crate) fn put(name: &str, content: &[u8]) -> Result<()> {
    let file = open(name, libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC, 0o644)?;
    let mut rest = content;
    while !rest.is_empty() {
        let count = write(*file, rest)?;
        rest = &rest[count..];
    }
    Ok(())
}

/// The whole content of a file.
pub(crate) fn get(name: &str) -> Result<Vec<u8>> {
    let file = open(name, libc::O_RDONLY, 0)?;
    read_to_end(*file)
}

/// Everything up to the end of a descriptor.
pub(crate) fn read_to_end(fd: i32) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match read(fd, &mut buffer) {
            Ok(0) => return Ok(content),
            Ok(count) => content.extend_from_slice(&buffer[..count]),
            Err(Errno(libc::EINTR)) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Whether the name exists, links not followed.
pub(crate) fn exists(name: &str) -> bool {
    lstat(name).is_ok()
}
