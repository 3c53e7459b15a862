//! One Unix-domain socket: its name, and whom it is connected with. How messages move is in `transfer.rs`.

use super::{
    address::{self, Name},
    inbox::Inbox,
};
use crate::{
    error::{Error, Result},
    fs::{
        io::{Destination, Source},
        poll::PollTable,
    },
    net::{
        options::{Options, Patience},
        socket::{Directions, Kind, Received, Sending, Socket},
    },
    process,
};
use abi::{
    errno::Errno,
    poll::PollEvents,
    socket::{AF_UNIX, AF_UNSPEC, MsgFlags, Ucred},
};
use alloc::{
    collections::VecDeque,
    sync::{Arc, Weak},
    vec::Vec,
};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use machine::sync::SpinLock;

/// Whom a socket is connected with.
enum Link {
    /// Nobody.
    None,
    /// It listens: those that have connected and were not accepted yet, and how many may wait.
    Listening { pending: VecDeque<Arc<Endpoint>>, backlog: usize },
    /// This one. A datagram socket may have a peer that has another.
    Peer(Arc<Endpoint>),
}

/// A socket.
pub(crate) struct Endpoint {
    this: Weak<Endpoint>,
    kind: Kind,
    options: Options,
    name: SpinLock<Option<Arc<Name>>>,
    link: SpinLock<Link>,
    /// How many wait to be accepted.
    pending: AtomicUsize,
    peer_credentials: SpinLock<Ucred>,
    pub(super) inbox: Inbox,
    /// Nothing more will be received, nothing more can be sent.
    has_ended: [AtomicBool; 2],
    is_closed: AtomicBool,
    error: SpinLock<Option<Errno>>,
}

const RECEIVE: usize = 0;
const SEND: usize = 1;

/// Who the current process is.
pub(super) fn current_credentials() -> Ucred {
    process::try_current().map_or(Ucred::default(), |process| {
        let credentials = process.credentials();
        Ucred { pid: process.pid(), uid: credentials.euid, gid: credentials.egid }
    })
}

impl Endpoint {
    pub(super) fn new(kind: Kind) -> Arc<Self> {
        // What SO_PEERCRED tells when there is no peer.
        let nobody = Ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            kind,
            options: Options::new(),
            name: SpinLock::new("unix-name", None),
            link: SpinLock::new("unix-link", Link::None),
            pending: AtomicUsize::new(0),
            peer_credentials: SpinLock::new("unix-peer", nobody),
            inbox: Inbox::new(),
            has_ended: [AtomicBool::new(false), AtomicBool::new(false)],
            is_closed: AtomicBool::new(false),
            error: SpinLock::new("unix-error", None),
        })
    }

    /// Connects two new sockets of the current process.
    pub(super) fn join(one: &Arc<Self>, other: &Arc<Self>) {
        for (from, to) in [(one, other), (other, one)] {
            *from.link.lock() = Link::Peer(to.clone());
            *from.peer_credentials.lock() = current_credentials();
        }
    }

    pub(super) fn arc(&self) -> Arc<Self> {
        self.this.upgrade().expect("who calls has a reference")
    }

    pub(super) fn kind_of(&self) -> Kind {
        self.kind
    }

    /// The peer; ENOTCONN.
    pub(super) fn peer(&self) -> Result<Arc<Self>> {
        match &*self.link.lock() {
            Link::Peer(peer) => Ok(peer.clone()),
            _ => Err(Errno::ENOTCONN.into()),
        }
    }

    pub(super) fn address(&self) -> Option<Vec<u8>> {
        self.name.lock().as_ref().map(|name| name.address.clone())
    }

    pub(super) fn is_receiving_over(&self) -> bool {
        self.has_ended[RECEIVE].load(Ordering::Acquire)
    }

    pub(super) fn is_sending_over(&self) -> bool {
        self.has_ended[SEND].load(Ordering::Acquire)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Whether `sender` may send datagrams to it: it has no peer, or that one.
    pub(super) fn accepts_from(&self, sender: &Self) -> bool {
        match &*self.link.lock() {
            Link::Peer(peer) => core::ptr::eq(Arc::as_ptr(peer), sender),
            _ => true,
        }
    }

    fn end(&self, directions: Directions) {
        for (index, ends) in [(RECEIVE, directions.receive), (SEND, directions.send)] {
            if ends {
                self.has_ended[index].store(true, Ordering::Release);
            }
        }
        self.inbox.readable.wake_all();
        self.inbox.space.wake_all();
    }

    fn fail(&self, errno: Errno) {
        *self.error.lock() = Some(errno);
        self.inbox.readable.wake_all();
    }

    pub(super) fn has_error(&self) -> bool {
        self.error.lock().is_some()
    }

    fn is_stream_like(&self) -> bool {
        self.kind != Kind::Datagram
    }

    /// A connection request to a listening socket, by `client`.
    fn request(&self, client: &Arc<Self>) -> Result<Request> {
        if let Request::BacklogIsFull = check_backlog(&self.link.lock(), self)? {
            return Ok(Request::BacklogIsFull);
        }
        let server = Self::new(self.kind);
        let name = self.name.lock().clone();
        *server.name.lock() = name;
        *server.link.lock() = Link::Peer(client.clone());
        *server.peer_credentials.lock() = current_credentials();
        let listener_credentials = *self.peer_credentials.lock();
        {
            // Connected before it can be accepted: who accepts may send at once.
            let mut own = client.link.lock();
            match &*own {
                Link::None => *own = Link::Peer(server.clone()),
                Link::Peer(_) => return Err(Errno::EISCONN.into()),
                Link::Listening { .. } => return Err(Errno::EINVAL.into()),
            }
        }
        let outcome = self.enqueue(server);
        if let Ok(Request::Made) = outcome {
            *client.peer_credentials.lock() = listener_credentials;
            self.inbox.readable.wake_all();
        } else {
            let unused = core::mem::replace(&mut *client.link.lock(), Link::None);
            drop(unused);
        }
        outcome
    }

    /// Adds a connection to those that wait to be accepted.
    fn enqueue(&self, server: Arc<Self>) -> Result<Request> {
        let mut link = self.link.lock();
        let request = check_backlog(&link, self)?;
        if let (Request::Made, Link::Listening { pending, .. }) = (&request, &mut *link) {
            pending.push_back(server);
            self.pending.store(pending.len(), Ordering::Release);
        }
        Ok(request)
    }

    /// Whether a request would get an answer now.
    fn has_room(&self) -> bool {
        !matches!(check_backlog(&self.link.lock(), self), Ok(Request::BacklogIsFull))
    }

    fn connect_datagrams(&self, address: &[u8]) -> Result<()> {
        let link = if address::family(address) == Some(AF_UNSPEC) {
            Link::None
        } else {
            let peer = address::find(address)?;
            if peer.kind != self.kind {
                return Err(Errno::EPROTOTYPE.into());
            }
            if peer.is_closed() {
                return Err(Errno::ECONNREFUSED.into());
            }
            if !peer.accepts_from(self) {
                return Err(Error::new(Errno::EPERM, "that socket has another peer"));
            }
            Link::Peer(peer)
        };
        let previous = core::mem::replace(&mut *self.link.lock(), link);
        drop(previous);
        Ok(())
    }

    /// A peer, or who was to become one, has gone.
    fn lose_peer(&self, peer: &Self, is_reset: bool) {
        if self.is_stream_like() {
            if is_reset {
                self.fail(Errno::ECONNRESET);
            }
            self.end(Directions { receive: true, send: true });
            return;
        }
        // It stays the peer: sending to it is refused from now on.
        if matches!(self.peer(), Ok(own) if core::ptr::eq(Arc::as_ptr(&own), peer)) {
            self.fail(Errno::ECONNRESET);
        }
    }
}

/// What becomes of a connection request.
enum Request {
    Made,
    BacklogIsFull,
}

/// Whether one more may connect to `listener`, whose link this is; ECONNREFUSED.
fn check_backlog(link: &Link, listener: &Endpoint) -> Result<Request> {
    match link {
        Link::Listening { .. } if listener.is_receiving_over() => Err(Errno::ECONNREFUSED.into()),
        Link::Listening { pending, backlog } if pending.len() <= *backlog => Ok(Request::Made),
        Link::Listening { .. } => Ok(Request::BacklogIsFull),
        _ => Err(Error::new(Errno::ECONNREFUSED, "the socket does not listen")),
    }
}

impl Socket for Endpoint {
    fn domain(&self) -> u16 {
        AF_UNIX
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn options(&self) -> &Options {
        &self.options
    }

    fn bind(&self, address: &[u8]) -> Result<()> {
        if self.name.lock().is_some() {
            return Err(Error::new(Errno::EINVAL, "the socket has a name"));
        }
        let name = address::bind(&self.arc(), address)?;
        *self.name.lock() = Some(Arc::new(name));
        Ok(())
    }

    fn listen(&self, wanted: usize) -> Result<()> {
        if !self.is_stream_like() {
            return Err(Errno::EOPNOTSUPP.into());
        }
        if self.name.lock().is_none() {
            return Err(Error::new(Errno::EINVAL, "the socket has no name"));
        }
        let mut link = self.link.lock();
        match &mut *link {
            Link::None => *link = Link::Listening { pending: VecDeque::new(), backlog: wanted },
            Link::Listening { backlog, .. } => *backlog = wanted,
            Link::Peer(_) => return Err(Errno::EINVAL.into()),
        }
        drop(link);
        *self.peer_credentials.lock() = current_credentials();
        self.inbox.space.wake_all();
        Ok(())
    }

    fn accept(&self, patience: Patience) -> Result<Arc<dyn Socket>> {
        if !self.is_stream_like() {
            return Err(Errno::EOPNOTSUPP.into());
        }
        loop {
            if let Link::Listening { pending, .. } = &mut *self.link.lock() {
                if let Some(socket) = pending.pop_front() {
                    self.pending.store(pending.len(), Ordering::Release);
                    self.inbox.space.wake_all();
                    return Ok(socket);
                }
                if self.is_receiving_over() {
                    return Err(Errno::EINVAL.into());
                }
            } else {
                return Err(Error::new(Errno::EINVAL, "the socket does not listen"));
            }
            patience.wait(&self.inbox.readable, || {
                self.pending.load(Ordering::Acquire) > 0 || self.is_receiving_over()
            })?;
        }
    }

    fn connect(&self, address: &[u8], patience: Patience) -> Result<()> {
        if !self.is_stream_like() {
            return self.connect_datagrams(address);
        }
        loop {
            let listener = address::find(address)?;
            if listener.kind != self.kind {
                return Err(Errno::EPROTOTYPE.into());
            }
            match listener.request(&self.arc())? {
                Request::Made => return Ok(()),
                Request::BacklogIsFull => patience.wait(&listener.inbox.space, || listener.has_room())?,
            }
        }
    }

    fn send(&self, from: &mut Source<'_>, sending: Sending) -> Result<usize> {
        self.send_message(from, sending)
    }

    fn receive(&self, to: &mut Destination<'_>, flags: MsgFlags, patience: Patience) -> Result<Received> {
        self.receive_message(to, flags, patience)
    }

    fn shutdown(&self, directions: Directions) -> Result<()> {
        let peer = self.peer();
        self.end(directions);
        if let (true, Ok(peer)) = (self.is_stream_like(), peer) {
            peer.end(Directions { receive: directions.send, send: directions.receive });
        }
        Ok(())
    }

    fn name(&self) -> Vec<u8> {
        self.address().unwrap_or_else(address::unnamed)
    }

    fn peer_name(&self) -> Result<Vec<u8>> {
        Ok(self.peer()?.name())
    }

    fn peer_credentials(&self) -> Ucred {
        *self.peer_credentials.lock()
    }

    fn is_listening(&self) -> bool {
        matches!(&*self.link.lock(), Link::Listening { .. })
    }

    fn take_error(&self) -> Option<Errno> {
        self.error.lock().take()
    }

    fn available(&self) -> usize {
        if self.kind == Kind::Stream { self.inbox.bytes() } else { self.inbox.first_length() }
    }

    fn memory(&self) -> usize {
        self.inbox.bytes() + self.inbox.count() * size_of::<super::inbox::Message>()
    }

    fn poll(&self, table: &mut PollTable<'_>) -> PollEvents {
        table.watch(&self.inbox.readable);
        let mut events = PollEvents::empty();
        if self.has_error() {
            events |= PollEvents::POLLERR;
        }
        let has_ended = self.is_receiving_over();
        if self.inbox.count() > 0 || self.pending.load(Ordering::Acquire) > 0 || has_ended {
            events |= PollEvents::POLLIN | PollEvents::POLLRDNORM;
        }
        if has_ended {
            events |= PollEvents::POLLRDHUP;
        }
        if has_ended && self.is_sending_over() {
            events |= PollEvents::POLLHUP;
        }
        if self.is_listening() {
            return events;
        }
        let peer = self.peer();
        if let Ok(peer) = &peer {
            table.watch(&peer.inbox.space);
        } else if self.is_stream_like() {
            events |= PollEvents::POLLHUP;
        }
        if peer.map_or(true, |peer| self.can_send_to(&peer) || self.is_sending_over()) {
            events |= PollEvents::POLLOUT | PollEvents::POLLWRNORM | PollEvents::POLLWRBAND;
        }
        events
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        if let Some(name) = &*self.name.lock() {
            address::release(self, name);
        }
        self.end(Directions { receive: true, send: true });
        let had_messages = self.inbox.clear();
        let link = core::mem::replace(&mut *self.link.lock(), Link::None);
        match link {
            Link::None => {}
            Link::Peer(peer) => peer.lose_peer(self, had_messages),
            Link::Listening { pending, .. } => {
                for socket in pending {
                    let client = socket.peer();
                    socket.close();
                    if let Ok(client) = client {
                        client.fail(Errno::ECONNRESET);
                    }
                }
            }
        }
    }
}
