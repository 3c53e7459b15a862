//! What a socket of any family can do, and the open file that it is.

use super::options::{Options, Patience};
use crate::{
    error::Result,
    fs::{
        anonymous,
        file::{Blocking, File, FileOperations, OpenFlags, Seeking},
        io::{Destination, Source},
        poll::PollTable,
    },
};
use abi::{
    errno::Errno,
    poll::PollEvents,
    socket::{MsgFlags, SHUT_RD, SHUT_RDWR, SHUT_WR, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, Ucred},
};
use alloc::{sync::Arc, vec::Vec};

/// The type of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Connected; bytes without boundaries.
    Stream,
    /// Not connected; messages.
    Datagram,
    /// Connected; messages.
    Packets,
}

impl Kind {
    /// The type with Linux's number.
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        match number {
            SOCK_STREAM => Some(Self::Stream),
            SOCK_DGRAM => Some(Self::Datagram),
            SOCK_SEQPACKET => Some(Self::Packets),
            _ => None,
        }
    }

    /// Linux's number (SO_TYPE).
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Stream => SOCK_STREAM,
            Self::Datagram => SOCK_DGRAM,
            Self::Packets => SOCK_SEQPACKET,
        }
    }
}

/// The directions of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Directions {
    /// From the peer.
    pub(crate) receive: bool,
    /// To the peer.
    pub(crate) send: bool,
}

impl Directions {
    /// What shutdown(2) is told to end; EINVAL.
    pub(crate) fn from_number(how: u32) -> Result<Self> {
        match how {
            SHUT_RD => Ok(Self { receive: true, send: false }),
            SHUT_WR => Ok(Self { receive: false, send: true }),
            SHUT_RDWR => Ok(Self { receive: true, send: true }),
            _ => Err(Errno::EINVAL.into()),
        }
    }
}

/// What goes along with the bytes that are sent.
pub(crate) struct Sending {
    /// Where to, if not to the peer: a `struct sockaddr`.
    pub(crate) address: Option<Vec<u8>>,
    /// Open files (SCM_RIGHTS).
    pub(crate) files: Vec<Arc<File>>,
    /// Who sends, if the sender has said so (SCM_CREDENTIALS); already checked.
    pub(crate) credentials: Option<Ucred>,
    /// MSG_NOSIGNAL counts here.
    pub(crate) flags: MsgFlags,
    /// How long to wait for space.
    pub(crate) patience: Patience,
}

/// What came along with the bytes that were received.
#[derive(Default)]
pub(crate) struct Received {
    /// Bytes moved.
    pub(crate) length: usize,
    /// Length of the message, which may be more.
    pub(crate) message_length: usize,
    /// Who sent it, if the socket is not connected: a `struct sockaddr`.
    pub(crate) address: Option<Vec<u8>>,
    /// Open files.
    pub(crate) files: Vec<Arc<File>>,
    /// Who sent it, if SO_PASSCRED asks for it.
    pub(crate) credentials: Option<Ucred>,
}

/// A socket. Addresses are `struct sockaddr`, as long as they were given.
pub(crate) trait Socket: Send + Sync {
    /// AF_UNIX and the like.
    fn domain(&self) -> u16;

    /// Its type.
    fn kind(&self) -> Kind;

    /// The options of level SOL_SOCKET.
    fn options(&self) -> &Options;

    /// Gives it an address.
    fn bind(&self, address: &[u8]) -> Result<()>;

    /// Lets others connect; `backlog` of them wait to be accepted.
    fn listen(&self, backlog: usize) -> Result<()>;

    /// Takes a connection that was made to it.
    fn accept(&self, patience: Patience) -> Result<Arc<dyn Socket>>;

    /// Connects it with the socket of that address.
    fn connect(&self, address: &[u8], patience: Patience) -> Result<()>;

    /// Sends a message, or bytes.
    fn send(&self, from: &mut Source<'_>, sending: Sending) -> Result<usize>;

    /// Receives a message, or bytes.
    fn receive(&self, to: &mut Destination<'_>, flags: MsgFlags, patience: Patience) -> Result<Received>;

    /// Ends one direction, or both.
    fn shutdown(&self, directions: Directions) -> Result<()>;

    /// Its address.
    fn name(&self) -> Vec<u8>;

    /// The address of its peer; ENOTCONN.
    fn peer_name(&self) -> Result<Vec<u8>>;

    /// Who its peer was when the connection was made.
    fn peer_credentials(&self) -> Ucred;

    /// Whether it accepts connections.
    fn is_listening(&self) -> bool;

    /// The error that waits to be told (SO_ERROR), which is forgotten.
    fn take_error(&self) -> Option<Errno>;

    /// Bytes that can be received at once.
    fn available(&self) -> usize;

    /// Bytes of the kernel's memory that wait in it, about. Takes no lock.
    fn memory(&self) -> usize;

    /// What is ready now.
    fn poll(&self, table: &mut PollTable<'_>) -> PollEvents;

    /// Nobody has it open any more.
    fn close(&self);
}

/// A socket as an open file.
pub(crate) struct SocketFile(Arc<dyn Socket>);

impl SocketFile {
    /// The socket.
    pub(crate) fn socket(&self) -> &Arc<dyn Socket> {
        &self.0
    }
}

/// Opens a socket.
pub(crate) fn open(socket: Arc<dyn Socket>, flags: OpenFlags) -> Arc<File> {
    anonymous::open_socket(Arc::new(SocketFile(socket)), (flags & OpenFlags::O_NONBLOCK) | OpenFlags::O_RDWR)
}

/// Whether calls on this file wait.
pub(crate) fn blocking(file: &File) -> Blocking {
    if file.is_nonblocking() { Blocking::Never } else { Blocking::Allowed }
}

impl FileOperations for SocketFile {
    fn read(&self, file: &File, _offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        let patience = self.0.options().receive_timeout.patience(blocking(file));
        Ok(self.0.receive(to, MsgFlags::empty(), patience)?.length)
    }

    fn write(&self, file: &File, _offset: &mut u64, from: &mut Source<'_>) -> Result<usize> {
        let patience = self.0.options().send_timeout.patience(blocking(file));
        let sending = Sending {
            address: None,
            files: Vec::new(),
            credentials: None,
            flags: MsgFlags::empty(),
            patience,
        };
        self.0.send(from, sending)
    }

    fn seeking(&self) -> Seeking {
        Seeking::Stream
    }

    fn poll(&self, _file: &File, table: &mut PollTable<'_>) -> PollEvents {
        self.0.poll(table)
    }

    fn available(&self, _file: &File) -> Option<usize> {
        Some(self.0.available())
    }

    fn memory(&self) -> usize {
        self.0.memory()
    }

    fn release(&self, _file: &File) {
        self.0.close();
    }
}
