//! The names of Unix-domain sockets: paths in the tree, and abstract names. Source: unix(7).

use super::endpoint::Endpoint;
use crate::{
    error::{Error, Result},
    fs::{
        inode::{FileKind, NewKind},
        lookup::{self, LookupFlags},
        mount::KeptPath,
        names,
        permission::{Caller, Permission},
    },
};
use abi::{
    errno::Errno,
    socket::{AF_UNIX, SockaddrUn},
};
use alloc::{
    format,
    sync::{Arc, Weak},
    vec::Vec,
};
use core::sync::atomic::{AtomicU32, Ordering};
use id_map::BytesMap;
use machine::sync::SpinLock;

/// Where the path starts in a `struct sockaddr_un`.
const PATH_OFFSET: usize = size_of::<u16>();

/// The sockets that have abstract names.
static ABSTRACT: SpinLock<BytesMap<Weak<Endpoint>>> = SpinLock::new("unix-names", BytesMap::new());

/// An address as a program gives it.
enum Address<'a> {
    /// None: the kernel is to choose one.
    Unnamed,
    /// With the leading NUL.
    Abstract(&'a [u8]),
    /// Without the NUL at the end.
    Path(&'a [u8]),
}

fn parse(address: &[u8]) -> Result<Address<'_>> {
    if address.len() > size_of::<SockaddrUn>() || family(address) != Some(AF_UNIX) {
        return Err(Error::new(Errno::EINVAL, "not a struct sockaddr_un"));
    }
    let name = &address[PATH_OFFSET..];
    Ok(match name.first() {
        None => Address::Unnamed,
        Some(0) => Address::Abstract(name),
        Some(_) => {
            let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
            Address::Path(&name[..end])
        }
    })
}

/// The family of a `struct sockaddr`.
pub(super) fn family(address: &[u8]) -> Option<u16> {
    address.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

fn encode(name: &[u8], end: &[u8]) -> Vec<u8> {
    [&AF_UNIX.to_ne_bytes(), name, end].concat()
}

/// What getsockname(2) tells of a socket without a name.
pub(super) fn unnamed() -> Vec<u8> {
    encode(&[], &[])
}

/// The name of a socket.
pub(super) struct Name {
    /// As getsockname(2) tells it.
    pub(super) address: Vec<u8>,
    /// Keeps the inode that leads to the socket.
    _place: Option<KeptPath>,
}

/// Gives `endpoint` a name. EADDRINUSE.
pub(super) fn bind(endpoint: &Arc<Endpoint>, address: &[u8]) -> Result<Name> {
    match parse(address)? {
        Address::Unnamed => bind_anywhere(endpoint),
        Address::Abstract(name) => bind_abstract(endpoint, name),
        Address::Path(path) => bind_path(endpoint, path),
    }
}

fn bind_path(endpoint: &Arc<Endpoint>, path: &[u8]) -> Result<Name> {
    let caller = Caller::current();
    let place = names::create_at(&caller, &caller.directory, path, NewKind::Socket, 0o777);
    let place = place.map_err(|error| match error.errno {
        Errno::EEXIST => Errno::EADDRINUSE.into(),
        _ => error,
    })?;
    *place.inode().state().socket.lock() = Arc::downgrade(endpoint);
    Ok(Name { address: encode(path, &[0]), _place: Some(KeptPath::new(place)) })
}

fn bind_abstract(endpoint: &Arc<Endpoint>, name: &[u8]) -> Result<Name> {
    let mut known = ABSTRACT.lock();
    if known.get(name).is_some_and(|owner| owner.strong_count() > 0) {
        return Err(Errno::EADDRINUSE.into());
    }
    known.insert(name.into(), Arc::downgrade(endpoint));
    Ok(Name { address: encode(name, &[]), _place: None })
}

/// Autobind: an abstract name of five hexadecimal digits.
fn bind_anywhere(endpoint: &Arc<Endpoint>) -> Result<Name> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    const COUNT: u32 = 1 << 20;
    for _ in 0..COUNT {
        let name = format!("\0{:05x}", NEXT.fetch_add(1, Ordering::Relaxed) % COUNT);
        match bind_abstract(endpoint, name.as_bytes()) {
            Err(error) if error.errno == Errno::EADDRINUSE => {}
            outcome => return outcome,
        }
    }
    Err(Error::new(Errno::ENOSPC, "all automatic names are taken"))
}

/// Takes the name from a socket that is closed; a path stays in the tree.
pub(super) fn release(endpoint: &Endpoint, name: &Name) {
    let abstract_name = &name.address[PATH_OFFSET..];
    let mut known = ABSTRACT.lock();
    if known.get(abstract_name).is_some_and(|owner| core::ptr::eq(owner.as_ptr(), endpoint)) {
        known.remove(abstract_name);
    }
}

/// The socket with a name. ECONNREFUSED if there is none.
pub(super) fn find(address: &[u8]) -> Result<Arc<Endpoint>> {
    const NOBODY: Error = Error::new(Errno::ECONNREFUSED, "no socket has this name");
    match parse(address)? {
        Address::Unnamed => Err(Errno::EINVAL.into()),
        Address::Abstract(name) => ABSTRACT.lock().get(name).and_then(Weak::upgrade).ok_or(NOBODY),
        Address::Path(path) => {
            let caller = Caller::current();
            let place = lookup::lookup(&caller, &caller.directory, path, LookupFlags::FOLLOW)?;
            caller.check_path(&place, Permission::WRITE)?;
            if place.inode().kind() != FileKind::Socket {
                return Err(NOBODY);
            }
            let socket = place.inode().state().socket.lock().upgrade();
            socket.ok_or(NOBODY)
        }
    }
}
