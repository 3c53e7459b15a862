//! The memory of a process as files: mem (its bytes, by address) and pagemap (a word for each page).
//! Source: proc_pid_mem(5), Linux Documentation/admin-guide/mm/pagemap.rst.

use super::process::Target;
use crate::{
    error::{Error, Result},
    fs::{
        file::{File, FileOperations, SeekLimits},
        io::{Destination, Source},
    },
    mm::{AddressSpace, PageMapping},
    process::{credentials::capability, try_current},
};
use abi::errno::Errno;
use alloc::{sync::Arc, vec::Vec};
use machine::{
    addr::{PAGE_SIZE, USER_END},
    mm::OutOfMemory,
};

/// Bytes that are moved in one go.
const CHUNK: usize = 16 * PAGE_SIZE;
const WORD: u64 = 8;

struct Memory(Target);
struct PageMap(Target);

/// mem.
pub(super) fn memory(target: &Target) -> Arc<dyn FileOperations> {
    Arc::new(Memory(target.clone()))
}

/// pagemap.
pub(super) fn page_map(target: &Target) -> Arc<dyn FileOperations> {
    Arc::new(PageMap(target.clone()))
}

fn space(target: &Target) -> Option<Arc<AddressSpace>> {
    target.process.try_address_space()
}

fn buffer(length: usize) -> Result<Vec<u8>> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(length).map_err(|_| OutOfMemory)?;
    buffer.resize(length, 0);
    Ok(buffer)
}

/// EIO at the first byte that cannot be moved, else how many were.
fn moved(done: usize) -> Result<usize> {
    if done > 0 { Ok(done) } else { Err(Error::new(Errno::EIO, "nothing is mapped there")) }
}

impl FileOperations for Memory {
    fn read(&self, _file: &File, offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        let Some(space) = space(&self.0).filter(|_| to.remaining() > 0) else { return Ok(0) };
        let mut buffer = buffer(to.remaining().min(CHUNK))?;
        let read = moved(space.read_remote(*offset, &mut buffer))?;
        let done = to.write(&buffer[..read])?;
        *offset += done as u64;
        Ok(done)
    }

    fn write(&self, _file: &File, offset: &mut u64, from: &mut Source<'_>) -> Result<usize> {
        let Some(space) = space(&self.0).filter(|_| from.remaining() > 0) else { return Ok(0) };
        let mut buffer = buffer(from.remaining().min(CHUNK))?;
        let length = from.read(&mut buffer)?;
        let done = moved(space.write_remote(*offset, &buffer[..length]))?;
        *offset += done as u64;
        Ok(done)
    }

    fn seek_limits(&self, _file: &File) -> SeekLimits {
        SeekLimits { end: 0, maximum: i64::MAX as u64 }
    }
}

impl FileOperations for PageMap {
    fn read(&self, _file: &File, offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        if !offset.is_multiple_of(WORD) || !(to.remaining() as u64).is_multiple_of(WORD) {
            return Err(Error::new(Errno::EINVAL, "no whole words"));
        }
        let Some(space) = space(&self.0) else { return Ok(0) };
        let first = *offset / WORD;
        let end = (USER_END / PAGE_SIZE as u64)
            .min(first.saturating_add((to.remaining().min(CHUNK) as u64) / WORD));
        if first >= end {
            return Ok(0);
        }
        // Where pages lie in memory is nobody's business but an administrator's.
        let shows_frames =
            try_current().is_some_and(|process| process.credentials().has(capability::SYS_ADMIN));
        let words = space.page_map(first..end)?;
        let bytes: Vec<u8> = words.iter().flat_map(|page| word(page, shows_frames).to_le_bytes()).collect();
        let done = to.write(&bytes)?;
        *offset += done as u64;
        Ok(done)
    }

    fn seek_limits(&self, _file: &File) -> SeekLimits {
        SeekLimits { end: 0, maximum: i64::MAX as u64 }
    }
}

fn word(page: &Option<PageMapping>, shows_frames: bool) -> u64 {
    const PRESENT: u64 = 1 << 63;
    const FILE_OR_SHARED: u64 = 1 << 61;
    const EXCLUSIVE: u64 = 1 << 56;
    let Some(page) = page else { return 0 };
    let frame = if shows_frames { page.address.as_u64() / PAGE_SIZE as u64 } else { 0 };
    let bit = |is_set: bool, bit: u64| if is_set { bit } else { 0 };
    PRESENT | bit(page.is_shared, FILE_OR_SHARED) | bit(page.is_exclusive, EXCLUSIVE) | frame
}
