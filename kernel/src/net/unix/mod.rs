//! Unix-domain sockets: streams, datagrams and packets between the programs of this machine, which can pass
//! open files and prove who they are. Source: unix(7).
//!
//! Each socket is an [`Endpoint`] with an [`inbox`]; to send is to put a message into the inbox of another. Two that
//! are connected hold each other, until one is closed.
//!
//! Open files that lie in inboxes which nobody can reach any more (a socket sent to itself and closed) stay.

mod address;
mod endpoint;
mod inbox;
mod transfer;

pub(crate) use endpoint::Endpoint;

use super::socket::Kind;
use alloc::sync::Arc;

/// A new socket.
pub(super) fn create(kind: Kind) -> Arc<Endpoint> {
    Endpoint::new(kind)
}

/// Two that are connected.
pub(super) fn create_pair(kind: Kind) -> [Arc<Endpoint>; 2] {
    let (one, other) = (Endpoint::new(kind), Endpoint::new(kind));
    Endpoint::join(&one, &other);
    [one, other]
}
