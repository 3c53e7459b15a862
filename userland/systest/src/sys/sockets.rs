//! Unix-domain sockets.

use super::files::Fd;
use super::{Result, call};

/// A `struct sockaddr_un` with its length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(Vec<u8>);

impl Name {
    /// A path, or an abstract name after a NUL.
    pub(crate) fn new(name: &[u8]) -> Self {
        Name([&(libc::AF_UNIX as u16).to_ne_bytes(), name].concat())
    }
}

pub(crate) fn socket(kind: i32) -> Result<Fd> {
    call!(SYS_socket, libc::AF_UNIX, kind, 0).map(Fd::own)
}

pub(crate) fn socketpair(kind: i32) -> Result<(Fd, Fd)> {
    let mut ends = [0_i32; 2];
    call!(SYS_socketpair, libc::AF_UNIX, kind, 0, ends.as_mut_ptr())?;
    Ok((Fd::own(ends[0] as usize), Fd::own(ends[1] as usize)))
}

pub(crate) fn bind(fd: i32, name: &Name) -> Result<()> {
    call!(SYS_bind, fd, name.0.as_ptr(), name.0.len()).map(drop)
}

pub(crate) fn connect(fd: i32, name: &Name) -> Result<()> {
    call!(SYS_connect, fd, name.0.as_ptr(), name.0.len()).map(drop)
}

pub(crate) fn listen(fd: i32, backlog: i32) -> Result<()> {
    call!(SYS_listen, fd, backlog).map(drop)
}

pub(crate) fn accept(fd: i32) -> Result<Fd> {
    call!(SYS_accept4, fd, 0_usize, 0_usize, 0).map(Fd::own)
}

pub(crate) fn shutdown(fd: i32, how: i32) -> Result<()> {
    call!(SYS_shutdown, fd, how).map(drop)
}

pub(crate) fn send(fd: i32, bytes: &[u8], flags: i32) -> Result<usize> {
    call!(SYS_sendto, fd, bytes.as_ptr(), bytes.len(), flags, 0_usize, 0)
}

pub(crate) fn send_to(fd: i32, bytes: &[u8], name: &Name) -> Result<usize> {
    call!(SYS_sendto, fd, bytes.as_ptr(), bytes.len(), 0, name.0.as_ptr(), name.0.len())
}

pub(crate) fn receive(fd: i32, bytes: &mut [u8], flags: i32) -> Result<usize> {
    call!(SYS_recvfrom, fd, bytes.as_mut_ptr(), bytes.len(), flags, 0_usize, 0_usize)
}

/// With the sender's name.
pub(crate) fn receive_from(fd: i32, bytes: &mut [u8]) -> Result<(usize, Name)> {
    let mut name = vec![0; 110];
    let mut length = name.len() as i32;
    let count =
        call!(SYS_recvfrom, fd, bytes.as_mut_ptr(), bytes.len(), 0, name.as_mut_ptr(), &raw mut length)?;
    name.truncate(length as usize);
    Ok((count, Name(name)))
}

pub(crate) fn name_of(fd: i32) -> Result<Name> {
    let mut name = vec![0; 110];
    let mut length = name.len() as i32;
    call!(SYS_getsockname, fd, name.as_mut_ptr(), &raw mut length)?;
    name.truncate(length as usize);
    Ok(Name(name))
}

/// An option of level SOL_SOCKET, as words.
pub(crate) fn option<const N: usize>(fd: i32, name: i32) -> Result<[i32; N]> {
    let mut value = [0_i32; N];
    let mut length = size_of_val(&value) as i32;
    call!(SYS_getsockopt, fd, libc::SOL_SOCKET, name, value.as_mut_ptr(), &raw mut length)?;
    Ok(value)
}

pub(crate) fn set_option(fd: i32, name: i32, value: i32) -> Result<()> {
    call!(SYS_setsockopt, fd, libc::SOL_SOCKET, name, &raw const value, size_of::<i32>()).map(drop)
}

/// A control message with room for four words, the most that the tests send.
#[repr(C)]
struct Control {
    length: usize,
    level: i32,
    kind: i32,
    words: [i32; 4],
}

const HEAD: usize = 16;

fn header(buffer: &mut libc::iovec, control: &mut Control, length: usize) -> libc::msghdr {
    // SAFETY: numbers and null pointers, all of which may be zero.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = buffer;
    header.msg_iovlen = 1;
    header.msg_control = std::ptr::from_mut(control).cast();
    header.msg_controllen = length as _;
    header
}

/// Sends bytes with up to four descriptors.
pub(crate) fn send_descriptors(fd: i32, bytes: &[u8], descriptors: &[i32]) -> Result<usize> {
    let length = HEAD + size_of_val(descriptors);
    let mut control = Control { length, level: libc::SOL_SOCKET, kind: libc::SCM_RIGHTS, words: [0; 4] };
    control.words[..descriptors.len()].copy_from_slice(descriptors);
    let mut buffer = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let header = header(&mut buffer, &mut control, length);
    call!(SYS_sendmsg, fd, &raw const header, 0)
}

/// What came along with bytes.
pub(crate) struct Received {
    pub(crate) count: usize,
    /// The type of the control message, 0 if there was none.
    pub(crate) kind: i32,
    /// Its words.
    pub(crate) words: Vec<i32>,
    pub(crate) flags: i32,
}

/// Receives bytes and a control message of up to `room` words.
pub(crate) fn receive_message(fd: i32, bytes: &mut [u8], room: usize) -> Result<Received> {
    let mut control = Control { length: 0, level: 0, kind: 0, words: [0; 4] };
    let mut buffer = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let mut header = header(&mut buffer, &mut control, HEAD + room.min(4) * size_of::<i32>());
    let count = call!(SYS_recvmsg, fd, &raw mut header, 0)?;
    let flags = header.msg_flags;
    let length = control.length.saturating_sub(HEAD) / size_of::<i32>();
    Ok(Received { count, kind: control.kind, words: control.words[..length.min(4)].to_vec(), flags })
}
