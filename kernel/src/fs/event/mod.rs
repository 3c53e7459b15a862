//! Files that stand for events: counters, timers, sets of other files.

pub(crate) mod counter;
pub(crate) mod epoll;
pub(crate) mod timer;

use super::io::{Destination, Source};
use crate::error::Result;
use abi::errno::Errno;

/// Reads of these files give one number of 8 bytes; EINVAL if there is no room.
fn check_room(to: &Destination<'_>) -> Result<()> {
    if to.remaining() < size_of::<u64>() { Err(Errno::EINVAL.into()) } else { Ok(()) }
}

fn put_number(to: &mut Destination<'_>, number: u64) -> Result<usize> {
    match to.write(&number.to_ne_bytes())? {
        8 => Ok(8),
        _ => Err(Errno::EFAULT.into()),
    }
}

fn take_number(from: &mut Source<'_>) -> Result<u64> {
    let mut bytes = [0; 8];
    if from.remaining() < bytes.len() {
        return Err(Errno::EINVAL.into());
    }
    match from.read(&mut bytes)? {
        8 => Ok(u64::from_ne_bytes(bytes)),
        _ => Err(Errno::EFAULT.into()),
    }
}
