//! How messages go from one Unix-domain socket to another.

use super::{
    address,
    endpoint::{Endpoint, current_credentials},
    inbox::{Continuation, Message, TellsSender},
};
use crate::{
    error::{Error, Result},
    fs::{
        io::{Destination, Source},
        signals::send_to_current,
    },
    net::{
        options::Patience,
        socket::{Kind, Received, Sending, Socket},
    },
};
use abi::{
    errno::Errno,
    signal::Signal,
    socket::{MsgFlags, Ucred},
};
use alloc::{sync::Arc, vec::Vec};

/// Bytes of a stream that become one message.
const CHUNK_BYTES: usize = 32 * 1024;
/// How many messages may wait at a socket before the next sender does (/proc/sys/net/unix/max_dgram_qlen).
const QUEUE_LENGTH: usize = 10;

/// Takes `length` bytes from the program.
fn read_bytes(from: &mut Source<'_>, length: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    crate::fault_injection::slab(length)?;
    bytes.try_reserve_exact(length).map_err(|_| Errno::ENOMEM)?;
    bytes.resize(length, 0);
    let mut done = 0;
    while done < length {
        match from.read(&mut bytes[done..]) {
            Ok(moved) => done += moved,
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

impl Endpoint {
    /// Whether a message may be put into the inbox of `peer` now.
    pub(super) fn can_send_to(&self, peer: &Self) -> bool {
        match self.kind_of() {
            Kind::Stream => peer.inbox.bytes() < self.options().send_buffer.get(),
            Kind::Datagram | Kind::Packets => peer.inbox.count() <= QUEUE_LENGTH,
        }
    }

    pub(super) fn send_message(&self, from: &mut Source<'_>, sending: Sending) -> Result<usize> {
        if self.kind_of() == Kind::Stream {
            let flags = sending.flags;
            return self.send_bytes(from, sending).inspect_err(|error| {
                if error.errno == Errno::EPIPE && !flags.contains(MsgFlags::MSG_NOSIGNAL) {
                    send_to_current(Signal::SIGPIPE);
                }
            });
        }
        let target = self.target(sending.address.as_deref())?;
        if from.remaining() > self.options().send_buffer.get() {
            return Err(Error::new(Errno::EMSGSIZE, "a message is sent whole or not at all"));
        }
        let bytes = read_bytes(from, from.remaining())?;
        let length = bytes.len();
        let message = Message {
            bytes,
            start: 0,
            files: sending.files,
            credentials: sending.credentials.unwrap_or_else(current_credentials),
            address: self.address(),
        };
        loop {
            self.check_target(&target)?;
            if self.can_send_to(&target) {
                target.inbox.put(message);
                return Ok(length);
            }
            sending.patience.wait(&target.inbox.space, || {
                self.can_send_to(&target) || self.check_target(&target).is_err()
            })?;
        }
    }

    /// Whom a message is for.
    fn target(&self, address: Option<&[u8]>) -> Result<Arc<Self>> {
        match (self.kind_of(), address) {
            (Kind::Datagram, Some(address)) => {
                let target = address::find(address)?;
                if target.kind_of() != self.kind_of() {
                    return Err(Errno::EPROTOTYPE.into());
                }
                if !target.accepts_from(self) {
                    return Err(Error::new(Errno::EPERM, "that socket has another peer"));
                }
                Ok(target)
            }
            (_, None) => self.peer(),
            (_, Some(_)) => Err(if self.peer().is_ok() { Errno::EISCONN } else { Errno::EOPNOTSUPP }.into()),
        }
    }

    fn check_target(&self, target: &Self) -> Result<()> {
        if self.is_sending_over() {
            return Err(Errno::EPIPE.into());
        }
        if self.kind_of() == Kind::Datagram && target.is_closed() {
            return Err(Errno::ECONNREFUSED.into());
        }
        if target.is_receiving_over() {
            return Err(Errno::EPIPE.into());
        }
        Ok(())
    }

    fn send_bytes(&self, from: &mut Source<'_>, mut sending: Sending) -> Result<usize> {
        let peer = self.target(sending.address.as_deref())?;
        let credentials = sending.credentials.unwrap_or_else(current_credentials);
        let mut done = 0;
        loop {
            match self.send_chunk(&peer, from, credentials, &mut sending) {
                Ok(moved) => done += moved,
                Err(_) if done > 0 => return Ok(done),
                Err(error) => return Err(error),
            }
            if from.remaining() == 0 {
                return Ok(done);
            }
        }
    }

    fn send_chunk(
        &self,
        peer: &Self,
        from: &mut Source<'_>,
        credentials: Ucred,
        sending: &mut Sending,
    ) -> Result<usize> {
        self.check_target(peer)?;
        if from.remaining() == 0 {
            return Ok(0);
        }
        if !self.can_send_to(peer) {
            sending
                .patience
                .wait(&peer.inbox.space, || self.can_send_to(peer) || self.check_target(peer).is_err())?;
            self.check_target(peer)?;
        }
        let room = self.options().send_buffer.get().saturating_sub(peer.inbox.bytes());
        let bytes = read_bytes(from, from.remaining().min(room.clamp(1, CHUNK_BYTES)))?;
        let length = bytes.len();
        let files = core::mem::take(&mut sending.files);
        peer.inbox.put(Message { bytes, start: 0, files, credentials, address: None });
        Ok(length)
    }

    pub(super) fn receive_message(
        &self,
        to: &mut Destination<'_>,
        flags: MsgFlags,
        patience: Patience,
    ) -> Result<Received> {
        if self.kind_of() != Kind::Datagram && self.peer().is_err() {
            let errno = if self.kind_of() == Kind::Stream { Errno::EINVAL } else { Errno::ENOTCONN };
            return Err(Error::new(errno, "the socket is not connected"));
        }
        let mut received = match self.kind_of() {
            Kind::Stream => self.receive_bytes(to, flags, patience)?,
            Kind::Datagram | Kind::Packets => self.receive_one(to, flags, patience)?,
        };
        if !self.options().passes_credentials() {
            received.credentials = None;
        }
        Ok(received)
    }

    fn receive_one(&self, to: &mut Destination<'_>, flags: MsgFlags, patience: Patience) -> Result<Received> {
        loop {
            if let Some(received) = self.inbox.take_message(to, flags)? {
                return Ok(received);
            }
            if let Some(received) = self.nothing_comes()? {
                return Ok(received);
            }
            self.wait_for_message(patience)?;
        }
    }

    fn receive_bytes(
        &self,
        to: &mut Destination<'_>,
        flags: MsgFlags,
        patience: Patience,
    ) -> Result<Received> {
        let tells_sender =
            if self.options().passes_credentials() { TellsSender::Yes } else { TellsSender::No };
        let waits_for_all = flags.contains(MsgFlags::MSG_WAITALL) && !flags.contains(MsgFlags::MSG_PEEK);
        let mut received = Received::default();
        loop {
            let next = self.inbox.take_bytes(to, flags, &mut received, tells_sender)?;
            received.message_length = received.length;
            let is_done = received.length > 0 && (!waits_for_all || next == Continuation::Ends);
            if to.remaining() == 0 || is_done {
                return Ok(received);
            }
            let outcome = match self.nothing_comes() {
                Ok(None) => self.wait_for_message(patience),
                Ok(Some(_)) => return Ok(received),
                Err(error) => Err(error),
            };
            match outcome {
                Err(_) if received.length > 0 => return Ok(received),
                outcome => outcome?,
            }
        }
    }

    /// Why it is useless to wait: an error, or the end. The inbox was empty a moment ago.
    fn nothing_comes(&self) -> Result<Option<Received>> {
        if self.inbox.count() > 0 {
            return Ok(None);
        }
        if let Some(errno) = self.take_error() {
            return Err(errno.into());
        }
        // The end is told after what was sent before it.
        Ok((self.is_receiving_over() && self.inbox.count() == 0).then(Received::default))
    }

    fn wait_for_message(&self, patience: Patience) -> Result<()> {
        if self.inbox.count() > 0 {
            return Ok(());
        }
        patience.wait(&self.inbox.readable, || {
            self.inbox.count() > 0 || self.is_receiving_over() || self.has_error()
        })
    }
}
