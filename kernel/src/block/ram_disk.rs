//! Disks in memory: boot modules. What is read comes from the module; blocks that are written get frames of
//! their own, so the module itself never changes and costs nothing twice.

use super::{Access, BlockDevice, Operation, Transfer};
use crate::error::{Error, Result};
use crate::sync::Mutex;
use abi::errno::Errno;
use alloc::{sync::Arc, vec, vec::Vec};
use id_map::IdMap;
use machine::addr::PAGE_SIZE;
use machine::mm::Frame;

const PAGE: u64 = PAGE_SIZE as u64;
const BLOCK_SIZE: u32 = 512;

/// A disk with the contents of a boot module.
pub(crate) struct RamDisk {
    original: &'static [u8],
    /// Pages that were written, by their index.
    written: Mutex<IdMap<u64, Frame>>,
}

impl RamDisk {
    /// A disk with these contents; a part of a block at the end is left out.
    pub(crate) fn new(contents: &'static [u8]) -> Self {
        let whole = contents.len() / BLOCK_SIZE as usize * BLOCK_SIZE as usize;
        Self { original: &contents[..whole], written: Mutex::new("ram-disk", IdMap::new()) }
    }

    /// A page as it is in the module, with zeros behind its end.
    fn copy_page(&self, index: u64) -> Result<Frame> {
        let frame = Frame::allocate_zeroed()?;
        let start = (index * PAGE) as usize;
        let end = self.original.len().min(start + PAGE_SIZE);
        frame.write(0, &self.original[start..end]);
        Ok(frame)
    }
}

/// Splits a range at page borders: page index, offset in the page, range in the buffer.
fn pages(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, core::ops::Range<usize>)> {
    let mut done = 0;
    core::iter::from_fn(move || {
        let at = offset + done as u64;
        let within = (at % PAGE) as usize;
        let count = (PAGE_SIZE - within).min(length - done);
        done += count;
        (count > 0).then(|| (at / PAGE, within, done - count..done))
    })
}

impl BlockDevice for RamDisk {
    fn size_bytes(&self) -> u64 {
        self.original.len() as u64
    }

    fn block_size(&self) -> u32 {
        BLOCK_SIZE
    }

    fn access(&self) -> Access {
        Access::ReadWrite
    }

    fn submit(&self, transfers: Vec<Arc<Transfer>>) {
        for transfer in transfers {
            transfer.finish(self.perform(&transfer));
        }
    }
}

impl RamDisk {
    fn perform(&self, transfer: &Transfer) -> Result<()> {
        let mut buffer = vec![0; PAGE_SIZE];
        let mut at = transfer.offset;
        for segment in &transfer.segments {
            let (within, part) = (segment.offset as usize, &mut buffer[..segment.length as usize]);
            match transfer.operation {
                Operation::Read => {
                    self.read(at, part);
                    segment.frame.write(within, part);
                }
                Operation::Write(_) => {
                    segment.frame.read(within, part);
                    self.write(at, part)?;
                }
                Operation::Flush | Operation::Discard | Operation::WriteZeroes => {}
            }
            at += u64::from(segment.length);
        }
        match transfer.operation {
            Operation::Discard | Operation::WriteZeroes => {
                Err(Error::new(Errno::EOPNOTSUPP, "a disk in memory only reads and writes"))
            }
            _ => Ok(()),
        }
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) {
        let written = self.written.lock();
        for (index, within, part) in pages(offset, buffer.len()) {
            let target = &mut buffer[part];
            match written.get(index) {
                Some(frame) => frame.read(within, target),
                None => {
                    let start = (index * PAGE) as usize + within;
                    target.copy_from_slice(&self.original[start..start + target.len()]);
                }
            }
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        let mut written = self.written.lock();
        for (index, within, part) in pages(offset, data.len()) {
            let frame = match written.get(index) {
                Some(frame) => frame.clone(),
                None => {
                    let frame = self.copy_page(index)?;
                    written.insert(index, frame.clone());
                    frame
                }
            };
            frame.write(within, &data[part]);
        }
        Ok(())
    }
}
