//! Sockets: what all families have in common, and the families. Source: socket(2), socket(7).
//!
//! A family implements [`socket::Socket`]; [`socket::SocketFile`] makes an open file of it, and
//! `syscall/socket.rs` takes the arguments of programs apart. So far there is one family: `unix`.

pub(crate) mod options;
pub(crate) mod socket;
mod unix;

pub(crate) use unix::Endpoint as UnixSocket;

use crate::error::{Error, Result};
use abi::{
    errno::Errno,
    socket::{AF_UNIX, SOCK_DGRAM, SOCK_RAW},
};
use alloc::sync::Arc;
use socket::{Kind, Socket};

/// A new socket.
pub(crate) fn create(domain: u32, kind: u32, protocol: u32) -> Result<Arc<dyn Socket>> {
    Ok(unix::create(check(domain, kind, protocol)?))
}

/// Two sockets that are connected to each other (socketpair(2)).
pub(crate) fn create_pair(domain: u32, kind: u32, protocol: u32) -> Result<[Arc<dyn Socket>; 2]> {
    let [one, other] = unix::create_pair(check(domain, kind, protocol)?);
    Ok([one, other])
}

fn check(domain: u32, kind: u32, protocol: u32) -> Result<Kind> {
    if domain != AF_UNIX.into() {
        return Err(Error::new(Errno::EAFNOSUPPORT, "only Unix-domain sockets are there"));
    }
    if protocol != 0 && protocol != AF_UNIX.into() {
        return Err(Errno::EPROTONOSUPPORT.into());
    }
    // Unix-domain sockets take "raw" for datagrams.
    let kind = if kind == SOCK_RAW { SOCK_DGRAM } else { kind };
    Kind::from_number(kind).ok_or(Errno::ESOCKTNOSUPPORT.into())
}
