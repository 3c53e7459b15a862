//! Opening and closing: open, openat, openat2, creat, close, close_range, pipe, memory files.

use super::{Call, at::At};
use crate::{
    error::{Error, Result},
    fs::{
        fd::OnExec,
        file::OpenFlags,
        memory_file,
        open::{self, OpenRequest},
        permission::Caller,
        pipe,
    },
    mm::user::{self, UserPtr, UserSlice},
};
use abi::{
    errno::Errno,
    fcntl::{AT_FDCWD, F_SEAL_EXEC, OpenHow, ResolveFlags},
    misc::{CloseRangeFlags, MemfdFlags},
};

fn open_at(call: &Call<'_>, directory: i32, address: u64, request: OpenRequest) -> Result<u64> {
    let at = At::read(call, directory, address)?;
    let files = call.process().files();
    let on_exec = OnExec::from_open_flags(request.flags);
    let file = open::open(&at.caller, at.base(), &at.path, request)?;
    Ok(files.install(file, on_exec)? as u64)
}

/// The flags of the older calls: unknown bits are ignored.
fn request(flags: u32, mode: u32) -> OpenRequest {
    OpenRequest { flags: OpenFlags::from_bits_truncate(flags), mode, resolve: ResolveFlags::empty() }
}

/// open(path, flags, mode)
pub(super) fn open(call: &mut Call<'_>) -> Result<u64> {
    open_at(call, AT_FDCWD, call.arg(0), request(call.uint(1), call.uint(2)))
}

/// openat(directory, path, flags, mode)
pub(super) fn openat(call: &mut Call<'_>) -> Result<u64> {
    open_at(call, call.fd(0), call.arg(1), request(call.uint(2), call.uint(3)))
}

/// creat(path, mode)
pub(super) fn creat(call: &mut Call<'_>) -> Result<u64> {
    let flags = OpenFlags::O_CREAT | OpenFlags::O_WRONLY | OpenFlags::O_TRUNC;
    open_at(call, AT_FDCWD, call.arg(0), request(flags.bits(), call.uint(1)))
}

/// openat2(directory, path, how, size)
pub(super) fn openat2(call: &mut Call<'_>) -> Result<u64> {
    let how = read_how(call.arg(2), call.size(3))?;
    let flags = u32::try_from(how.flags).ok().and_then(OpenFlags::from_bits).ok_or(Errno::EINVAL)?;
    let resolve = ResolveFlags::from_bits(how.resolve).ok_or(Errno::EINVAL)?;
    let mode = u32::try_from(how.mode).map_err(|_| Errno::EINVAL)?;
    let creates = flags.contains(OpenFlags::O_CREAT) || flags.contains(OpenFlags::O_TMPFILE);
    let both = ResolveFlags::RESOLVE_BENEATH | ResolveFlags::RESOLVE_IN_ROOT;
    if mode & !0o7777 != 0 || (mode != 0 && !creates) || resolve.contains(both) {
        return Err(Errno::EINVAL.into());
    }
    if resolve.contains(ResolveFlags::RESOLVE_CACHED) {
        return Err(Error::new(Errno::EAGAIN, "a lookup may always need the disk"));
    }
    open_at(call, call.fd(0), call.arg(1), OpenRequest { flags, mode, resolve })
}

/// An extensible struct: shorter is refused, longer must be zero behind what is known.
fn read_how(address: u64, size: usize) -> Result<OpenHow> {
    const KNOWN: usize = size_of::<OpenHow>();
    if size < KNOWN {
        return Err(Errno::EINVAL.into());
    }
    if size > 4096 {
        return Err(Errno::E2BIG.into());
    }
    let how = UserPtr::<OpenHow>::new(address).read()?;
    let rest_address = address.checked_add(KNOWN as u64).ok_or(Errno::EFAULT)?;
    let rest = UserSlice::<u8>::new(rest_address, size - KNOWN).read_vec()?;
    if rest.iter().any(|&byte| byte != 0) {
        return Err(Errno::E2BIG.into());
    }
    Ok(how)
}

/// close(fd)
pub(super) fn close(call: &mut Call<'_>) -> Result<u64> {
    call.process().files().close(call.fd(0))?;
    Ok(0)
}

/// close_range(first, last, flags)
pub(super) fn close_range(call: &mut Call<'_>) -> Result<u64> {
    let flags = CloseRangeFlags::from_bits(call.uint(2)).ok_or(Errno::EINVAL)?;
    let (first, last) = (call.uint(0), call.uint(1));
    if first > last {
        return Err(Errno::EINVAL.into());
    }
    if flags.contains(CloseRangeFlags::CLOSE_RANGE_UNSHARE) {
        let own = call.process().files().fork()?;
        call.process().set_files(own);
    }
    let files = call.process().files();
    if flags.contains(CloseRangeFlags::CLOSE_RANGE_CLOEXEC) {
        files.mark_range(first, last);
    } else {
        files.close_range(first, last);
    }
    Ok(0)
}

fn make_pipe(call: &Call<'_>, flags: OpenFlags) -> Result<u64> {
    let files = call.process().files();
    let on_exec = OnExec::from_open_flags(flags);
    let (reader, writer) = pipe::create(flags);
    let read_fd = files.install(reader, on_exec)?;
    let outcome = files.install(writer, on_exec).and_then(|write_fd| {
        let written = UserPtr::<[i32; 2]>::new(call.arg(0)).write(&[read_fd, write_fd]);
        written.inspect_err(|_| {
            // Another thread may have closed it meanwhile.
            let _ = files.close(write_fd);
        })
    });
    if let Err(error) = outcome {
        let _ = files.close(read_fd);
        return Err(error);
    }
    Ok(0)
}

/// pipe(fds)
pub(super) fn pipe(call: &mut Call<'_>) -> Result<u64> {
    make_pipe(call, OpenFlags::empty())
}

/// pipe2(fds, flags)
pub(super) fn pipe2(call: &mut Call<'_>) -> Result<u64> {
    let flags = OpenFlags::from_bits(call.uint(1)).ok_or(Errno::EINVAL)?;
    // Packets (O_DIRECT) are not there.
    if !(OpenFlags::O_CLOEXEC | OpenFlags::O_NONBLOCK).contains(flags) {
        return Err(Errno::EINVAL.into());
    }
    make_pipe(call, flags)
}

/// memfd_create(name, flags)
pub(super) fn memfd_create(call: &mut Call<'_>) -> Result<u64> {
    const NAME_MAX: usize = 250;
    let flags = MemfdFlags::from_bits(call.uint(1)).ok_or(Errno::EINVAL)?;
    // There are no huge pages for files; the two about execution exclude each other.
    if flags.contains(MemfdFlags::MFD_HUGETLB)
        || flags.contains(MemfdFlags::MFD_NOEXEC_SEAL | MemfdFlags::MFD_EXEC)
    {
        return Err(Errno::EINVAL.into());
    }
    let name = user::read_string(call.arg(0), NAME_MAX)?.ok_or(Errno::EINVAL)?;
    let caller = Caller::new(call.process().credentials(), &call.process().fs_context());
    let mode = if flags.contains(MemfdFlags::MFD_NOEXEC_SEAL) { 0o666 } else { 0o777 };
    let file = memory_file::create(&caller, &name, mode)?;
    let seals = file.inode().seals().ok_or(Errno::EINVAL)?;
    match () {
        () if flags.contains(MemfdFlags::MFD_NOEXEC_SEAL) => seals.open(F_SEAL_EXEC),
        () if flags.contains(MemfdFlags::MFD_ALLOW_SEALING) => seals.open(0),
        () => {}
    }
    let on_exec = if flags.contains(MemfdFlags::MFD_CLOEXEC) { OnExec::Close } else { OnExec::Keep };
    Ok(call.process().files().install(file, on_exec)? as u64)
}
