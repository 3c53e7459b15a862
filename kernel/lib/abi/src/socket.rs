//! Sockets: families, types, addresses, messages. Source: socket(2), unix(7), ip(7), recvmsg(2), cmsg(3).
//!
//! Ports and addresses are in network byte order where the field says so.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u16, like libc;
    AF_UNSPEC = 0, "No family.";
    AF_UNIX = 1, "On this machine.";
    AF_INET = 2, "IPv4.";
    AF_INET6 = 10, "IPv6.";
    AF_NETLINK = 16, "Kernel messages.";
    AF_PACKET = 17, "Raw frames.";
}

constants! { u32, like libc;
    SOCK_STREAM = 1, "A byte stream.";
    SOCK_DGRAM = 2, "Datagrams.";
    SOCK_RAW = 3, "Raw packets.";
    SOCK_SEQPACKET = 5, "A stream of packets.";
    SOCK_NONBLOCK = 0o4000, "Never sleep; beside the type.";
    SOCK_CLOEXEC = 0o2000000, "Close on exec; beside the type.";
    SOL_SOCKET = 1, "Level of the options of all sockets.";
    SO_REUSEADDR = 2, "Bind to an address in TIME_WAIT.";
    SO_TYPE = 3, "The type?";
    SO_ERROR = 4, "The pending error, and clear it.";
    SO_BROADCAST = 6, "Broadcasts are allowed.";
    SO_SNDBUF = 7, "Size of the send buffer.";
    SO_RCVBUF = 8, "Size of the receive buffer.";
    SO_KEEPALIVE = 9, "Probe an idle connection.";
    SO_LINGER = 13, "What close waits for.";
    SO_REUSEPORT = 15, "Several sockets on one port.";
    SO_PASSCRED = 16, "Receive credentials.";
    SO_PEERCRED = 17, "The peer's credentials?";
    SO_RCVTIMEO = 20, "Time-out of receiving.";
    SO_SNDTIMEO = 21, "Time-out of sending.";
    SO_ACCEPTCONN = 30, "Does it listen?";
    SO_PROTOCOL = 38, "The protocol?";
    SO_DOMAIN = 39, "The family?";
    SHUT_RD = 0, "No more receiving.";
    SHUT_WR = 1, "No more sending.";
    SHUT_RDWR = 2, "Neither.";
    SCM_RIGHTS = 1, "Control message: descriptors.";
    SCM_CREDENTIALS = 2, "Control message: credentials.";
    SOMAXCONN = 4096, "Longest queue of `listen`.";
}

flags! {
    /// The flags of sending and receiving.
    MsgFlags: u32, like libc;
    MSG_OOB = 0x1, "Urgent data.";
    MSG_PEEK = 0x2, "Leave the data.";
    MSG_DONTROUTE = 0x4, "Only to direct neighbours.";
    MSG_CTRUNC = 0x8, "Control data was cut.";
    MSG_TRUNC = 0x20, "Data was cut; or: tell the true length.";
    MSG_DONTWAIT = 0x40, "Never sleep.";
    MSG_EOR = 0x80, "End of a record.";
    MSG_WAITALL = 0x100, "Wait for all.";
    MSG_CONFIRM = 0x800, "The neighbour is alive.";
    MSG_ERRQUEUE = 0x2000, "From the error queue.";
    MSG_NOSIGNAL = 0x4000, "No SIGPIPE.";
    MSG_MORE = 0x8000, "More will follow.";
    MSG_CMSG_CLOEXEC = 0x4000_0000, "Received descriptors close on exec.";
}

/// Bytes of a socket's path.
pub const UNIX_PATH_MAX: usize = 108;

/// `struct sockaddr_un`, 110 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SockaddrUn {
    /// [`AF_UNIX`].
    pub family: u16,
    /// Path, or an abstract name after a NUL.
    pub path: [u8; UNIX_PATH_MAX],
}

/// `struct sockaddr_in`, 16 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SockaddrIn {
    /// [`AF_INET`].
    pub family: u16,
    /// Port, big endian.
    pub port: [u8; 2],
    /// Address, big endian.
    pub addr: [u8; 4],
    /// Padding.
    pub _zero: [u8; 8],
}

/// `struct sockaddr_in6`, 28 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SockaddrIn6 {
    /// [`AF_INET6`].
    pub family: u16,
    /// Port, big endian.
    pub port: [u8; 2],
    /// Flow, big endian.
    pub flowinfo: [u8; 4],
    /// Address, big endian.
    pub addr: [u8; 16],
    /// Interface.
    pub scope_id: u32,
}

/// `struct msghdr`, 56 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Msghdr {
    /// Address of the peer's address.
    pub name: u64,
    /// Its length.
    pub namelen: u32,
    /// Padding.
    pub _pad0: u32,
    /// Address of the buffers.
    pub iov: u64,
    /// Their number.
    pub iovlen: u64,
    /// Address of the control messages.
    pub control: u64,
    /// Their length in bytes.
    pub controllen: u64,
    /// [`MsgFlags`] of what was received.
    pub flags: u32,
    /// Padding.
    pub _pad1: u32,
}

/// `struct mmsghdr`, 64 bytes: one message of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Mmsghdr {
    /// The message.
    pub hdr: Msghdr,
    /// Bytes that were moved.
    pub len: u32,
    /// Padding.
    pub _pad: u32,
}

/// The most descriptors of one message.
pub const SCM_MAX_FD: usize = 253;

/// `struct cmsghdr`: the head of a control message, 16 bytes; the data follow, padded to 8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Cmsghdr {
    /// Length with the head.
    pub len: u64,
    /// [`SOL_SOCKET`].
    pub level: i32,
    /// [`SCM_RIGHTS`], [`SCM_CREDENTIALS`].
    pub kind: i32,
}

/// `struct ucred`: who sent it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Ucred {
    /// Process.
    pub pid: i32,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// `struct linger`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Linger {
    /// Whether to wait.
    pub onoff: i32,
    /// Seconds.
    pub linger: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_match_the_c_library() {
        assert_eq!(size_of::<SockaddrUn>(), size_of::<libc::sockaddr_un>());
        assert_eq!(size_of::<SockaddrIn>(), size_of::<libc::sockaddr_in>());
        assert_eq!(size_of::<SockaddrIn6>(), size_of::<libc::sockaddr_in6>());
        assert_eq!(size_of::<Msghdr>(), size_of::<libc::msghdr>());
        assert_eq!(core::mem::offset_of!(Msghdr, flags), core::mem::offset_of!(libc::msghdr, msg_flags));
        assert_eq!(size_of::<Cmsghdr>(), size_of::<libc::cmsghdr>());
        assert_eq!(size_of::<Ucred>(), size_of::<libc::ucred>());
    }
}
