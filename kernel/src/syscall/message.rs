//! Messages of sockets: sendto, recvfrom, sendmsg, recvmsg and those that take many at once. What goes along with
//! a message (open files, credentials) is in `control.rs`. Source: send(2), recv(2), sendmmsg(2), recvmmsg(2).

use super::{
    Call,
    control::{self, Control},
    socket::{find, read_address, write_address},
    transfer::{check_range, segments},
};
use crate::{
    clock,
    error::{Error, Result},
    fs::{
        file::{Blocking, File},
        io::{Destination, Segment, Source},
    },
    mm::user::{UserPtr, UserSlice},
    net::socket::{self, Received, Sending, Socket},
};
use abi::{
    errno::Errno,
    iovec::IOV_MAX,
    socket::{Mmsghdr, MsgFlags, Msghdr},
    time::Timespec,
};
use alloc::{sync::Arc, vec::Vec};
use core::mem::offset_of;

/// MSG_WAITFORONE of recvmmsg: only the first message is waited for.
const MSG_WAITFORONE: u32 = 0x10000;

/// A socket with the flags of a call.
struct Port {
    file: Arc<File>,
    socket: Arc<dyn Socket>,
    flags: MsgFlags,
}

impl Port {
    fn find(call: &Call<'_>, flags: u32) -> Result<Self> {
        let (file, socket) = find(call, 0)?;
        let flags = MsgFlags::from_bits_truncate(flags);
        if flags.contains(MsgFlags::MSG_OOB) {
            return Err(Error::new(Errno::EOPNOTSUPP, "no urgent data"));
        }
        Ok(Self { file, socket, flags })
    }

    fn blocking(&self) -> Blocking {
        let never = self.flags.contains(MsgFlags::MSG_DONTWAIT);
        if never { Blocking::Never } else { socket::blocking(&self.file) }
    }

    fn send(&self, from: &mut Source<'_>, address: Option<Vec<u8>>, control: Control) -> Result<usize> {
        let patience = self.socket.options().send_timeout.patience(self.blocking());
        let Control { files, credentials } = control;
        self.socket.send(from, Sending { address, files, credentials, flags: self.flags, patience })
    }

    fn receive(&self, to: &mut Destination<'_>) -> Result<Received> {
        let patience = self.socket.options().receive_timeout.patience(self.blocking());
        self.socket.receive(to, self.flags, patience)
    }

    /// What a receiving call answers: with MSG_TRUNC the length of the message, else the bytes moved.
    fn length(&self, received: &Received) -> usize {
        let tells_all = self.flags.contains(MsgFlags::MSG_TRUNC);
        if tells_all { received.message_length } else { received.length }
    }
}

/// sendto(fd, buffer, length, flags, address, address_length)
pub(super) fn sendto(call: &mut Call<'_>) -> Result<u64> {
    let port = Port::find(call, call.uint(3))?;
    check_range(call.arg(1), call.size(2))?;
    let address = call.address(4).map(|address| read_address(address, call.uint(5))).transpose()?;
    let mut from = Source::user(call.arg(1), call.size(2));
    Ok(port.send(&mut from, address, Control::default())? as u64)
}

/// recvfrom(fd, buffer, length, flags, address, address_length)
pub(super) fn recvfrom(call: &mut Call<'_>) -> Result<u64> {
    let port = Port::find(call, call.uint(3))?;
    check_range(call.arg(1), call.size(2))?;
    let received = port.receive(&mut Destination::user(call.arg(1), call.size(2)))?;
    if let Some(place) = call.address(4) {
        let address = received.address.as_deref().unwrap_or_default();
        write_address(address, place, call.arg(5))?;
    }
    Ok(port.length(&received) as u64)
}

/// The buffers of a message; EMSGSIZE if there are too many.
fn buffers(header: &Msghdr) -> Result<Vec<Segment>> {
    let count = usize::try_from(header.iovlen).ok().filter(|&count| count <= IOV_MAX);
    segments(header.iov, count.ok_or(Errno::EMSGSIZE)?)
}

fn send_one(call: &Call<'_>, port: &Port, header: &Msghdr) -> Result<usize> {
    let segments = buffers(header)?;
    let address = (header.name != 0 && header.namelen != 0)
        .then(|| read_address(header.name, header.namelen))
        .transpose()?;
    let control = control::read(call, header)?;
    port.send(&mut Source::user_vector(&segments), address, control)
}

/// Receives into the message at `place`.
fn receive_one(call: &Call<'_>, port: &Port, place: u64) -> Result<usize> {
    let header = UserPtr::<Msghdr>::new(place).read()?;
    let segments = buffers(&header)?;
    let received = port.receive(&mut Destination::user_vector(&segments))?;
    let mut flags = port.flags & MsgFlags::MSG_CMSG_CLOEXEC;
    if received.message_length > received.length {
        flags |= MsgFlags::MSG_TRUNC;
    }
    let answer = port.length(&received);
    let mut result = header;
    if header.name != 0 {
        let address = received.address.as_deref().unwrap_or_default();
        let room = usize::try_from(header.namelen as i32).map_err(|_| Errno::EINVAL)?;
        let part = &address[..address.len().min(room)];
        UserSlice::new(header.name, part.len()).write(part)?;
        result.namelen = address.len() as u32;
    }
    let written = control::write(call, &header, received, port.flags)?;
    result.controllen = written.length;
    result.flags = (flags | written.flags).bits();
    UserPtr::new(place).write(&result)?;
    Ok(answer)
}

/// sendmsg(fd, message, flags)
pub(super) fn sendmsg(call: &mut Call<'_>) -> Result<u64> {
    let port = Port::find(call, call.uint(2))?;
    let header = call.read::<Msghdr>(1)?;
    Ok(send_one(call, &port, &header)? as u64)
}

/// recvmsg(fd, message, flags)
pub(super) fn recvmsg(call: &mut Call<'_>) -> Result<u64> {
    let port = Port::find(call, call.uint(2))?;
    Ok(receive_one(call, &port, call.arg(1))? as u64)
}

/// Does something with each of many messages, noting its length in each; tells how many went well. An error counts
/// only if there was none.
fn for_each(call: &Call<'_>, mut handle: impl FnMut(u64) -> Result<Option<usize>>) -> Result<u64> {
    let count = (call.uint(2) as usize).min(IOV_MAX);
    for index in 0..count {
        let place = call.arg(1).checked_add((index * size_of::<Mmsghdr>()) as u64).ok_or(Errno::EFAULT)?;
        let outcome = handle(place).and_then(|length| {
            let Some(length) = length else { return Ok(false) };
            UserPtr::new(place + offset_of!(Mmsghdr, len) as u64).write(&(length as u32)).map(|()| true)
        });
        match outcome {
            Ok(true) => {}
            Ok(false) => return Ok(index as u64),
            Err(_) if index > 0 => return Ok(index as u64),
            Err(error) => return Err(error),
        }
    }
    Ok(count as u64)
}

/// sendmmsg(fd, messages, count, flags)
pub(super) fn sendmmsg(call: &mut Call<'_>) -> Result<u64> {
    let port = Port::find(call, call.uint(3))?;
    for_each(call, |place| {
        let header = UserPtr::<Msghdr>::new(place).read()?;
        send_one(call, &port, &header).map(Some)
    })
}

/// recvmmsg(fd, messages, count, flags, time): the time is looked at after each message only, as on Linux.
pub(super) fn recvmmsg(call: &mut Call<'_>) -> Result<u64> {
    let flags = call.uint(3);
    let mut port = Port::find(call, flags)?;
    let deadline = match call.read_optional::<Timespec>(4)? {
        None => u64::MAX,
        Some(time) => clock::monotonic_ns().saturating_add(time.to_nanos().ok_or(Errno::EINVAL)?),
    };
    let mut is_over = false;
    let outcome = for_each(call, |place| {
        if is_over {
            return Ok(None);
        }
        let length = receive_one(call, &port, place)?;
        is_over = clock::monotonic_ns() >= deadline;
        if flags & MSG_WAITFORONE != 0 {
            port.flags |= MsgFlags::MSG_DONTWAIT;
        }
        Ok(Some(length))
    });
    if deadline != u64::MAX {
        let left = deadline.saturating_sub(clock::monotonic_ns());
        call.write(4, &Timespec::from_nanos(left))?;
    }
    outcome
}
