//! Direct transfers (O_DIRECT) of block device files: straight to the device, past the cache, which agrees afterwards.
//! Offset and lengths are of whole blocks, and memory is where Linux wants it for the device (EINVAL). What a program wrote is
//! not kept in memory.

use super::{Disk, Durability};
use crate::error::{Error, Result};
use crate::fs::io::{Destination, Source};
use abi::errno::Errno;
use alloc::{sync::Arc, vec};
use machine::addr::PAGE_SIZE;

/// Bytes that are moved at a time.
const STEP: usize = 64 * PAGE_SIZE;

/// How much of a transfer of `length` bytes lies on the disk. What lies behind it is not looked at.
fn length_on_disk(
    disk: &Disk,
    offset: u64,
    length: usize,
    is_aligned: &dyn Fn(u64, u64) -> bool,
) -> Result<usize> {
    let left = disk.size_bytes().saturating_sub(offset);
    if left == 0 || length == 0 {
        return Ok(0);
    }
    let block = u64::from(disk.block_size());
    if !(offset | length as u64).is_multiple_of(block) || !is_aligned(disk.memory_alignment().into(), block) {
        return Err(Error::new(Errno::EINVAL, "a direct transfer is of whole blocks"));
    }
    Ok(length.min(usize::try_from(left).unwrap_or(usize::MAX)))
}

/// read(2).
pub(super) fn read(disk: &Arc<Disk>, offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
    let length =
        length_on_disk(disk, *offset, to.remaining(), &|address, length| to.is_aligned(address, length))?;
    let mut buffer = vec![0; length.min(STEP)];
    let mut done = 0;
    while done < length {
        let part = &mut buffer[..(length - done).min(STEP)];
        let moved = disk.cache().read_past(*offset, part).and_then(|()| to.write(part));
        match moved {
            Ok(moved) => {
                done += moved;
                *offset += moved as u64;
                if moved < part.len() {
                    break;
                }
            }
            Err(_) if done > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// write(2).
pub(super) fn write(
    disk: &Arc<Disk>,
    offset: &mut u64,
    from: &mut Source<'_>,
    durability: Durability,
) -> Result<usize> {
    let is_aligned = |address, length| from.is_aligned(address, length);
    let length = length_on_disk(disk, *offset, from.remaining(), &is_aligned)?;
    if length == 0 && from.remaining() > 0 {
        return Err(Error::new(Errno::ENOSPC, "the end of the disk"));
    }
    let block = disk.block_size() as usize;
    let mut buffer = vec![0; length.min(STEP)];
    let mut done = 0;
    while done < length {
        let wanted = (length - done).min(STEP);
        let outcome = from.read(&mut buffer[..wanted]).and_then(|moved| {
            // A block that memory ends in is not written.
            let whole = moved - moved % block;
            if whole == 0 {
                return Err(Errno::EFAULT.into());
            }
            disk.cache().write_past(*offset, &buffer[..whole], durability)?;
            Ok((whole, whole == wanted))
        });
        match outcome {
            Ok((moved, goes_on)) => {
                done += moved;
                *offset += moved as u64;
                if !goes_on {
                    break;
                }
            }
            Err(_) if done > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
