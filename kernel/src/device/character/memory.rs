//! Major number 1: null, zero, full, random, urandom.

use super::CharacterDevice;
use crate::device::random;
use crate::error::{Error, Result};
use crate::fs::file::{File, FileOperations, OpenFlags, Seeking};
use crate::fs::io::{Destination, Source};
use crate::mm::{PageSource, Reservation, SharedMemory};
use abi::errno::Errno;
use abi::stat::DeviceNumber;
use alloc::sync::Arc;

/// Bytes that are moved at a time.
const STEP: usize = 512;

#[derive(Clone, Copy)]
enum Memory {
    /// Nothing to read; swallows everything.
    Null,
    /// Endless zeros; swallows everything.
    Zero,
    /// Endless zeros; has never space.
    Full,
    /// Random bytes, once the generator is seeded. What is written is mixed in.
    Random,
    /// Random bytes at once.
    Urandom,
}

/// Adds the devices, with Linux's minor numbers.
pub(super) fn register() {
    for (minor, name, device) in [
        (3, "null", Memory::Null),
        (5, "zero", Memory::Zero),
        (7, "full", Memory::Full),
        (8, "random", Memory::Random),
        (9, "urandom", Memory::Urandom),
    ] {
        super::register(DeviceNumber::new(1, minor), name, 0o666, Arc::new(device));
    }
}

impl CharacterDevice for Memory {
    fn open(&self, _flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        Ok(Arc::new(*self))
    }
}

impl FileOperations for Memory {
    fn read(&self, file: &File, _offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        match self {
            Memory::Null => Ok(0),
            Memory::Zero | Memory::Full => to.write_zeros(to.remaining()),
            Memory::Random if file.is_nonblocking() && !random::is_seeded() => Err(Errno::EAGAIN.into()),
            Memory::Random => {
                random::wait_until_seeded()?;
                read_random(to)
            }
            Memory::Urandom => read_random(to),
        }
    }

    fn seeking(&self) -> Seeking {
        Seeking::Nowhere
    }

    fn write(&self, _file: &File, _offset: &mut u64, from: &mut Source<'_>) -> Result<usize> {
        match self {
            Memory::Null | Memory::Zero => Ok(from.remaining()),
            Memory::Full => Err(Error::new(Errno::ENOSPC, "/dev/full")),
            Memory::Random | Memory::Urandom => mix_in(from),
        }
    }

    fn map(&self, _file: &File) -> Result<Arc<dyn PageSource>> {
        match self {
            Memory::Zero => Ok(SharedMemory::new(i64::MAX as u64, Reservation::None)?),
            _ => Err(Errno::ENODEV.into()),
        }
    }
}

fn read_random(to: &mut Destination<'_>) -> Result<usize> {
    let mut done = 0;
    let mut bytes = [0; STEP];
    while to.remaining() > 0 {
        let part = &mut bytes[..to.remaining().min(STEP)];
        random::fill(part);
        match to.write(part) {
            Ok(moved) if moved == part.len() => done += moved,
            Ok(moved) => return Ok(done + moved),
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}

/// What a program writes is taken in but trusted for nothing.
fn mix_in(from: &mut Source<'_>) -> Result<usize> {
    let mut done = 0;
    let mut bytes = [0; STEP];
    while from.remaining() > 0 {
        let wanted = from.remaining().min(STEP);
        match from.read(&mut bytes[..wanted]) {
            Ok(0) => break,
            Ok(moved) => {
                random::absorb(&bytes[..moved], 0);
                done += moved;
            }
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}
