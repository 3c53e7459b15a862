//! Sockets: socket, bind, connect, accept and their relatives. Messages are in `message.rs`, options in
//! `socket_option.rs`. Source: socket(2), bind(2), accept(2).

use super::Call;
use crate::{
    error::{Error, Result},
    fs::{
        fd::{FdTable, OnExec},
        file::{File, OpenFlags},
    },
    mm::user::{UserPtr, UserSlice},
    net::{
        self,
        socket::{self, Directions, Socket, SocketFile},
    },
};
use abi::{
    errno::Errno,
    socket::{SOCK_CLOEXEC, SOCK_NONBLOCK},
};
use alloc::{sync::Arc, vec::Vec};

/// The longest address of any family (`struct sockaddr_storage`).
const ADDRESS_MAX: usize = 128;

/// The file of a descriptor, and the socket that it must be; ENOTSOCK.
pub(super) fn find(call: &Call<'_>, index: usize) -> Result<(Arc<File>, Arc<dyn Socket>)> {
    let file = call.process().files().get(call.fd(index))?;
    let socket = file.operations_as::<SocketFile>().ok_or(Errno::ENOTSOCK)?.socket().clone();
    Ok((file, socket))
}

/// A `struct sockaddr` of a program.
pub(super) fn read_address(address: u64, length: u32) -> Result<Vec<u8>> {
    let length = length as usize;
    if length > ADDRESS_MAX {
        return Err(Error::new(Errno::EINVAL, "longer than any address"));
    }
    UserSlice::new(address, length).read_vec()
}

/// Puts as much of a `struct sockaddr` as fits at `place`, and tells its true length.
pub(super) fn write_address(address: &[u8], place: u64, length_place: u64) -> Result<()> {
    let length = UserPtr::<i32>::new(length_place);
    let room = usize::try_from(length.read()?).map_err(|_| Errno::EINVAL)?;
    let part = &address[..address.len().min(room)];
    UserSlice::new(place, part.len()).write(part)?;
    length.write(&(address.len() as i32))
}

/// The flags beside the type; EINVAL for others.
fn split_flags(kind: u32) -> Result<(u32, OpenFlags)> {
    const FLAGS: u32 = SOCK_NONBLOCK | SOCK_CLOEXEC;
    const TYPE_MASK: u32 = 0xf;
    if kind & !(FLAGS | TYPE_MASK) != 0 {
        return Err(Errno::EINVAL.into());
    }
    // They have the values of O_NONBLOCK and O_CLOEXEC.
    Ok((kind & TYPE_MASK, OpenFlags::from_bits_truncate(kind & FLAGS)))
}

fn install(files: &FdTable, socket: Arc<dyn Socket>, flags: OpenFlags) -> Result<i32> {
    files.install(socket::open(socket, flags), OnExec::from_open_flags(flags))
}

/// socket(domain, type, protocol)
pub(super) fn socket(call: &mut Call<'_>) -> Result<u64> {
    let (kind, flags) = split_flags(call.uint(1))?;
    let socket = net::create(call.uint(0), kind, call.uint(2))?;
    Ok(install(&call.process().files(), socket, flags)? as u64)
}

/// socketpair(domain, type, protocol, fds)
pub(super) fn socketpair(call: &mut Call<'_>) -> Result<u64> {
    let (kind, flags) = split_flags(call.uint(1))?;
    let [one, other] = net::create_pair(call.uint(0), kind, call.uint(2))?;
    let files = call.process().files();
    let first = install(&files, one, flags)?;
    let outcome = install(&files, other, flags).and_then(|second| {
        let written = UserPtr::<[i32; 2]>::new(call.arg(3)).write(&[first, second]);
        written.inspect_err(|_| {
            // Another thread may have closed it meanwhile.
            let _ = files.close(second);
        })
    });
    if let Err(error) = outcome {
        let _ = files.close(first);
        return Err(error);
    }
    Ok(0)
}

/// bind(fd, address, length)
pub(super) fn bind(call: &mut Call<'_>) -> Result<u64> {
    let (_, socket) = find(call, 0)?;
    socket.bind(&read_address(call.arg(1), call.uint(2))?)?;
    Ok(0)
}

/// listen(fd, backlog)
pub(super) fn listen(call: &mut Call<'_>) -> Result<u64> {
    let (_, socket) = find(call, 0)?;
    // A negative number is a very large one, as on Linux.
    let backlog = call.uint(1).min(abi::socket::SOMAXCONN);
    socket.listen(backlog as usize)?;
    Ok(0)
}

fn do_accept(call: &Call<'_>, flags: OpenFlags) -> Result<u64> {
    let (file, socket) = find(call, 0)?;
    let patience = socket.options().receive_timeout.patience(socket::blocking(&file));
    let accepted = socket.accept(patience)?;
    let files = call.process().files();
    let fd = install(&files, accepted.clone(), flags)?;
    if let Some(place) = call.address(1) {
        let written = accepted.peer_name().map_err(|_| Errno::ECONNABORTED.into());
        let written = written.and_then(|name| write_address(&name, place, call.arg(2)));
        if let Err(error) = written {
            // Another thread may have closed it meanwhile.
            let _ = files.close(fd);
            return Err(error);
        }
    }
    Ok(fd as u64)
}

/// accept(fd, address, length)
pub(super) fn accept(call: &mut Call<'_>) -> Result<u64> {
    do_accept(call, OpenFlags::empty())
}

/// accept4(fd, address, length, flags)
pub(super) fn accept4(call: &mut Call<'_>) -> Result<u64> {
    match split_flags(call.uint(3))? {
        (0, flags) => do_accept(call, flags),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// connect(fd, address, length)
pub(super) fn connect(call: &mut Call<'_>) -> Result<u64> {
    let (file, socket) = find(call, 0)?;
    let address = read_address(call.arg(1), call.uint(2))?;
    socket.connect(&address, socket.options().send_timeout.patience(socket::blocking(&file)))?;
    Ok(0)
}

/// shutdown(fd, how)
pub(super) fn shutdown(call: &mut Call<'_>) -> Result<u64> {
    let (_, socket) = find(call, 0)?;
    socket.shutdown(Directions::from_number(call.uint(1))?)?;
    Ok(0)
}

/// getsockname(fd, address, length)
pub(super) fn getsockname(call: &mut Call<'_>) -> Result<u64> {
    let (_, socket) = find(call, 0)?;
    write_address(&socket.name(), call.arg(1), call.arg(2))?;
    Ok(0)
}

/// getpeername(fd, address, length)
pub(super) fn getpeername(call: &mut Call<'_>) -> Result<u64> {
    let (_, socket) = find(call, 0)?;
    write_address(&socket.peer_name()?, call.arg(1), call.arg(2))?;
    Ok(0)
}
