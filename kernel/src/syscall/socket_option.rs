//! The options of sockets: setsockopt, getsockopt. Source: setsockopt(2), socket(7).

use super::{Call, socket::find};
use crate::{
    error::Result,
    mm::user::{UserPtr, UserSlice},
    net::options::{Options, Timeout, UNKNOWN_OPTION},
};
use abi::{
    errno::Errno,
    socket::{
        Linger, SO_ACCEPTCONN, SO_BROADCAST, SO_DOMAIN, SO_ERROR, SO_KEEPALIVE, SO_LINGER, SO_PASSCRED,
        SO_PEERCRED, SO_PROTOCOL, SO_RCVBUF, SO_RCVTIMEO, SO_REUSEADDR, SO_REUSEPORT, SO_SNDBUF, SO_SNDTIMEO,
        SO_TYPE, SOL_SOCKET,
    },
    time::Timeval,
};
use core::sync::atomic::{AtomicBool, Ordering};
use zerocopy::{FromBytes, IntoBytes};

/// An option that is on or off.
fn switch(options: &Options, name: u32) -> Option<&AtomicBool> {
    Some(match name {
        SO_REUSEADDR => &options.reuse_address,
        SO_REUSEPORT => &options.reuse_port,
        SO_KEEPALIVE => &options.keep_alive,
        SO_BROADCAST => &options.broadcast,
        SO_PASSCRED => &options.pass_credentials,
        _ => return None,
    })
}

/// The value that a program gives; EINVAL if it is too short.
fn argument<T: FromBytes + IntoBytes>(call: &Call<'_>) -> Result<T> {
    if call.int(4) < size_of::<T>() as i32 {
        return Err(Errno::EINVAL.into());
    }
    UserPtr::new(call.arg(3)).read()
}

fn set_timeout(timeout: &Timeout, time: Timeval) -> Result<()> {
    const MICROSECONDS: i64 = 1_000_000;
    if !(0..MICROSECONDS).contains(&time.usec) {
        return Err(Errno::EDOM.into());
    }
    // A negative time is none at all, as on Linux: the shortest there is.
    timeout.set(if time.sec < 0 { 1 } else { time.to_nanos().unwrap_or(0) });
    Ok(())
}

/// setsockopt(fd, level, name, value, length)
pub(super) fn setsockopt(call: &mut Call<'_>) -> Result<u64> {
    let (_, socket) = find(call, 0)?;
    if call.uint(1) != SOL_SOCKET {
        return Err(UNKNOWN_OPTION);
    }
    let options = socket.options();
    match call.uint(2) {
        SO_SNDBUF => options.send_buffer.set(argument::<i32>(call)?.max(0) as usize),
        SO_RCVBUF => options.receive_buffer.set(argument::<i32>(call)?.max(0) as usize),
        SO_RCVTIMEO => set_timeout(&options.receive_timeout, argument(call)?)?,
        SO_SNDTIMEO => set_timeout(&options.send_timeout, argument(call)?)?,
        SO_LINGER => *options.linger.lock() = argument(call)?,
        name => {
            let option = switch(options, name).ok_or(UNKNOWN_OPTION)?;
            option.store(argument::<i32>(call)? != 0, Ordering::Relaxed);
        }
    }
    Ok(0)
}

/// getsockopt(fd, level, name, value, length)
pub(super) fn getsockopt(call: &mut Call<'_>) -> Result<u64> {
    let (_, socket) = find(call, 0)?;
    if call.uint(1) != SOL_SOCKET {
        return Err(UNKNOWN_OPTION);
    }
    let options = socket.options();
    let timeval = |timeout: &Timeout| Timeval::from_nanos(timeout.get());
    let number = match call.uint(2) {
        SO_RCVTIMEO => return answer(call, timeval(&options.receive_timeout).as_bytes()),
        SO_SNDTIMEO => return answer(call, timeval(&options.send_timeout).as_bytes()),
        SO_PEERCRED => return answer(call, socket.peer_credentials().as_bytes()),
        SO_LINGER => {
            let linger: Linger = *options.linger.lock();
            return answer(call, linger.as_bytes());
        }
        SO_TYPE => socket.kind().number() as i32,
        SO_DOMAIN => socket.domain().into(),
        SO_PROTOCOL => 0,
        SO_ERROR => socket.take_error().map_or(0, |errno| -errno.to_return() as i32),
        SO_ACCEPTCONN => socket.is_listening().into(),
        SO_SNDBUF => options.send_buffer.get() as i32,
        SO_RCVBUF => options.receive_buffer.get() as i32,
        name => switch(options, name).ok_or(UNKNOWN_OPTION)?.load(Ordering::Relaxed).into(),
    };
    answer(call, number.as_bytes())
}

/// Gives the program as much of a value as it has room for, and tells how much that is.
fn answer(call: &Call<'_>, value: &[u8]) -> Result<u64> {
    let length = UserPtr::<i32>::new(call.arg(4));
    let room = usize::try_from(length.read()?).map_err(|_| Errno::EINVAL)?;
    let part = &value[..value.len().min(room)];
    UserSlice::new(call.arg(3), part.len()).write(part)?;
    length.write(&(part.len() as i32))?;
    Ok(0)
}
