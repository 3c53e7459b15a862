//! Block device files: the disk as one large file, through the disk's block cache.

use super::{Access, Disk, Durability, Priority, direct, loop_device, registry};
use crate::error::{Error, Result};
use crate::fs::file::{File, FileOperations, OpenFlags, SeekLimits};
use crate::fs::inode::SyncScope;
use crate::fs::io::{Destination, Source};
use crate::process::{self, credentials::capability};
use abi::errno::Errno;
use abi::stat::DeviceNumber;
use abi::tty as ioctl;
use alloc::{sync::Arc, vec};
use machine::addr::PAGE_SIZE;
use machine::mm::user;

/// Bytes that are moved at a time.
const STEP: usize = 16 * PAGE_SIZE;

struct OpenDisk {
    disk: Arc<Disk>,
}

/// Opens the disk with that number: ENXIO if there is none, EBUSY for `O_EXCL` on one that is mounted, EACCES for
/// writing to one that is read-only.
pub(crate) fn open(number: DeviceNumber, flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
    if number.major == loop_device::MAJOR {
        return loop_device::open(number.minor, flags);
    }
    let disk = registry::find_by_number(number);
    let disk = disk.ok_or(Error::new(Errno::ENXIO, "no block device has this number"))?;
    check_open(&disk, flags)?;
    Ok(operations_of(disk))
}

/// Whether a disk can be opened so: EBUSY, EACCES.
pub(super) fn check_open(disk: &Disk, flags: OpenFlags) -> Result<()> {
    if flags.contains(OpenFlags::O_EXCL) && disk.is_claimed() {
        return Err(Error::new(Errno::EBUSY, "the disk is in use"));
    }
    if flags.access().can_write() && disk.access() == Access::ReadOnly {
        return Err(Error::new(Errno::EACCES, "the disk is read-only"));
    }
    Ok(())
}

/// What can be done with an open disk.
pub(super) fn operations_of(disk: Arc<Disk>) -> Arc<dyn FileOperations> {
    Arc::new(OpenDisk { disk })
}

impl FileOperations for OpenDisk {
    fn read(&self, file: &File, offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        if file.flags().contains(OpenFlags::O_DIRECT) {
            return direct::read(&self.disk, offset, to);
        }
        let mut done = 0;
        let mut buffer = vec![0; STEP.min(to.remaining())];
        loop {
            let left = self.disk.size_bytes().saturating_sub(*offset);
            let wanted = buffer.len().min(to.remaining()).min(usize::try_from(left).unwrap_or(usize::MAX));
            if wanted == 0 {
                return Ok(done);
            }
            let part = &mut buffer[..wanted];
            match self.disk.cache().read(*offset, part).and_then(|()| to.write(part)) {
                Ok(moved) => {
                    done += moved;
                    *offset += moved as u64;
                    if moved < wanted {
                        return Ok(done);
                    }
                }
                Err(error) => return if done == 0 { Err(error) } else { Ok(done) },
            }
        }
    }

    fn write(&self, file: &File, offset: &mut u64, from: &mut Source<'_>) -> Result<usize> {
        if file.flags().contains(OpenFlags::O_DIRECT) {
            let is_safe = file.flags().contains(OpenFlags::O_DSYNC);
            let durability = if is_safe { Durability::Safe } else { Durability::Cached };
            return direct::write(&self.disk, offset, from, durability);
        }
        let mut done = 0;
        let mut buffer = vec![0; STEP.min(from.remaining())];
        while from.remaining() > 0 {
            let left = self.disk.size_bytes().saturating_sub(*offset);
            let wanted = buffer.len().min(from.remaining()).min(usize::try_from(left).unwrap_or(usize::MAX));
            if wanted == 0 {
                return if done == 0 {
                    Err(Error::new(Errno::ENOSPC, "the end of the disk"))
                } else {
                    Ok(done)
                };
            }
            let outcome = from.read(&mut buffer[..wanted]).and_then(|moved| {
                self.disk.cache().write(*offset, &buffer[..moved])?;
                Ok(moved)
            });
            match outcome {
                Ok(0) => break,
                Ok(moved) => {
                    done += moved;
                    *offset += moved as u64;
                }
                Err(error) => return if done == 0 { Err(error) } else { Ok(done) },
            }
        }
        Ok(done)
    }

    fn seek_limits(&self, _file: &File) -> SeekLimits {
        SeekLimits { end: self.disk.size_bytes(), maximum: self.disk.size_bytes() }
    }

    fn sync(&self, _file: &File, _scope: SyncScope) -> Result<()> {
        self.disk.cache().flush()
    }

    fn release(&self, _file: &File) {
        // As on Linux, the last close of a device writes it back.
        if self.disk.access() == Access::ReadWrite
            && let Err(error) = self.disk.cache().write_back(0..u64::MAX, Priority::Normal)
        {
            log::error!("block: {}: writing back failed: {error}", self.disk.name());
        }
    }

    fn ioctl(&self, file: &File, command: u32, argument: u64) -> Result<u64> {
        let disk = &self.disk;
        let int = |value: u32| user::copy_to(argument, &value.to_ne_bytes());
        match command {
            ioctl::BLKGETSIZE64 => user::copy_to(argument, &disk.size_bytes().to_ne_bytes())?,
            ioctl::BLKGETSIZE => user::copy_to(argument, &(disk.size_bytes() / 512).to_ne_bytes())?,
            ioctl::BLKSSZGET | ioctl::BLKPBSZGET | ioctl::BLKIOMIN => int(disk.block_size())?,
            ioctl::BLKIOOPT => int(0)?,
            ioctl::BLKBSZGET => int(PAGE_SIZE as u32)?,
            ioctl::BLKROGET => int((disk.access() == Access::ReadOnly).into())?,
            ioctl::BLKFLSBUF => {
                disk.cache().flush()?;
                disk.cache().shrink(0);
            }
            ioctl::BLKDISCARD | ioctl::BLKZEROOUT | ioctl::BLKSECDISCARD => {
                self.change(file, command, argument)?
            }
            ioctl::BLKDISCARDZEROES | ioctl::BLKALIGNOFF => int(0)?,
            ioctl::BLKROTATIONAL => {
                user::copy_to(argument, &u16::from(disk.features().is_rotational).to_ne_bytes())?;
            }
            ioctl::BLKSECTGET => {
                let sectors = (disk.limits().max_length / 512).min(u16::MAX.into()) as u16;
                user::copy_to(argument, &sectors.to_ne_bytes())?;
            }
            ioctl::BLKRRPART => {
                require_administrator()?;
                registry::read_partitions(disk)?;
            }
            _ => return Err(Errno::ENOTTY.into()),
        }
        Ok(0)
    }
}

/// Only who may administer the system may do it: EACCES.
fn require_administrator() -> Result<()> {
    match process::try_current().is_none_or(|process| process.credentials().has(capability::SYS_ADMIN)) {
        true => Ok(()),
        false => Err(Error::new(Errno::EACCES, "not for everybody")),
    }
}

impl OpenDisk {
    /// Discards or zeroes a range. The argument points to start and length in bytes, of whole sectors.
    fn change(&self, file: &File, command: u32, argument: u64) -> Result<()> {
        if !file.flags().access().can_write() {
            return Err(Error::new(Errno::EBADF, "not open for writing"));
        }
        let (mut start, mut length) = ([0; 8], [0; 8]);
        user::copy_from(&mut start, argument)?;
        user::copy_from(&mut length, argument.saturating_add(8))?;
        let (start, length) = (u64::from_ne_bytes(start), u64::from_ne_bytes(length));
        let end = start.checked_add(length).filter(|end| *end <= self.disk.size_bytes());
        if end.is_none() || !(start | length).is_multiple_of(self.disk.block_size().into()) {
            return Err(Error::new(Errno::EINVAL, "not a range of whole sectors of the disk"));
        }
        let cache = self.disk.cache();
        match command {
            ioctl::BLKDISCARD => cache.change_on_disk(start, length, || self.disk.discard(start, length)),
            ioctl::BLKZEROOUT => cache.write_zeroes(start, length),
            _ => Err(Error::new(Errno::EOPNOTSUPP, "the device cannot make sure of it")),
        }
    }
}
