//! Loop devices: files as disks, /dev/loop0, /dev/loop1, ... (loop(4)).
//!
//! A thread of each device reads and writes the file, so that a file system on a loop device and the one that the file is
//! on never hold locks in the same thread. What the disk has flushed is in the file system's care by fsync(2).
//!
//! The device files are always there. One without a file has no disk: LOOP_SET_FD and LOOP_CONFIGURE make one, which
//! LOOP_CLR_FD takes away again: at once, or when the last one who has it open or mounted is done with it
//! (LO_FLAGS_AUTOCLEAR).
//!
//! `BOUND` is locked when a mount is taken from the tree. So nothing that may end a mount happens under it: files and
//! claims are dropped without it.

use super::registry::{self, Kind};
use super::{Access, BlockDevice, Claim, Disk, Durability, Features, Operation, Transfer, special};
use crate::device::character::{self, CharacterDevice};
use crate::error::{Error, Result};
use crate::fs::file::{File, FileOperations, OpenFlags, SeekLimits};
use crate::fs::inode::SyncScope;
use crate::fs::io::{Destination, Source};
use crate::fs::{devtmpfs, inode::NewKind};
use crate::process;
use crate::sched::{self, wait::WaitQueue};
use crate::sync::Mutex;
use abi::errno::Errno;
use abi::loop_device::{self, LO_FLAGS_AUTOCLEAR, LO_FLAGS_READ_ONLY, LoopConfig, LoopInfo};
use abi::stat::DeviceNumber;
use abi::tty as ioctl;
use alloc::{collections::VecDeque, format, sync::Arc, vec, vec::Vec};
use id_map::IdMap;
use machine::addr::PAGE_SIZE;
use machine::mm::user;
use machine::sync::SpinLock;
use zerocopy::{FromZeros, IntoBytes};

/// The major number of loop devices.
pub(super) const MAJOR: u32 = 7;
/// Number of /dev/loop-control.
const CONTROL: DeviceNumber = DeviceNumber::new(10, 237);
/// Devices that are there from the beginning, and that can be at all.
const FIRST_DEVICES: u32 = 8;
const MAX_DEVICES: u32 = 256;
const SECTOR: u64 = 512;
const DISK_MODE: u32 = 0o660;

/// Devices with a file, by number. Held while files are given and taken.
static BOUND: Mutex<IdMap<u32, Bound>> = Mutex::new("loop devices", IdMap::new());

/// How often each device is open.
static OPENERS: SpinLock<IdMap<u32, usize>> = SpinLock::new("loop openers", IdMap::new());

/// A device with a file.
struct Bound {
    device: Arc<LoopDevice>,
    disk: Arc<Disk>,
    info: LoopInfo,
    block_size: u32,
}

/// The disk that a file is.
struct LoopDevice {
    number: u32,
    file: Arc<File>,
    /// Where it begins in the file.
    offset: u64,
    size: u64,
    block_size: u32,
    access: Access,
    work: Arc<Work>,
}

/// What the thread has to do; it ends when nobody else knows of it.
struct Work {
    queue: SpinLock<VecDeque<Arc<Transfer>>>,
    news: WaitQueue,
}

/// Makes the device files.
pub(super) fn init() -> Result<()> {
    character::register(CONTROL, "loop-control", 0o660, Arc::new(Control));
    (0..FIRST_DEVICES).try_for_each(make_node)
}

fn make_node(number: u32) -> Result<()> {
    let kind = NewKind::Block(DeviceNumber::new(MAJOR, number));
    devtmpfs::add(&format!("loop{number}"), kind, DISK_MODE)
}

/// Opens device `number`.
pub(super) fn open(number: u32, flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
    if number >= MAX_DEVICES {
        return Err(Error::new(Errno::ENXIO, "there are not so many loop devices"));
    }
    if let Some(disk) = disk_of(number) {
        special::check_open(&disk, flags)?;
    }
    *OPENERS.lock().get_or_insert_with(number, || 0) += 1;
    Ok(Arc::new(OpenLoop { number }))
}

fn disk_of(number: u32) -> Option<Arc<Disk>> {
    registry::find_by_number(DeviceNumber::new(MAJOR, number))
}

impl LoopDevice {
    /// The disk that `info` describes, with the thread that does its work.
    fn start(file: Arc<File>, info: &LoopInfo, block_size: u32) -> Result<Arc<Self>> {
        let end = file.operations().seek_limits(&file).end;
        let rest = end.saturating_sub(info.offset);
        let size = if info.size_limit == 0 { rest } else { rest.min(info.size_limit) };
        let is_read_only = info.flags & LO_FLAGS_READ_ONLY != 0 || !file.flags().access().can_write();
        let work =
            Work { queue: SpinLock::new("loop work", VecDeque::new()), news: WaitQueue::named("loop") };
        let device = Arc::new(Self {
            number: info.number,
            file,
            offset: info.offset,
            size: size - size % u64::from(block_size),
            block_size,
            access: if is_read_only { Access::ReadOnly } else { Access::ReadWrite },
            work: Arc::new(work),
        });
        let (weak, work) = (Arc::downgrade(&device), device.work.clone());
        let next = move || {
            let is_over = weak.strong_count() == 0;
            let transfer = work.queue.lock().pop_front();
            match (transfer, weak.upgrade()) {
                (Some(transfer), Some(device)) => Some(Some((transfer, device))),
                _ if is_over => Some(None),
                _ => None,
            }
        };
        let news = device.work.clone();
        sched::spawn(&format!("loop{}", info.number), move || {
            while let Some((transfer, device)) = news.news.wait_for_work(&next) {
                transfer.finish(device.perform(&transfer));
            }
        })?;
        Ok(device)
    }

    fn perform(&self, transfer: &Transfer) -> Result<()> {
        let mut at = self.offset + transfer.offset;
        match transfer.operation {
            Operation::Flush => return self.file.operations().sync(&self.file, SyncScope::Data),
            Operation::Discard | Operation::WriteZeroes => {
                return Err(Error::new(Errno::EOPNOTSUPP, "a loop device only reads and writes"));
            }
            Operation::Read | Operation::Write(_) => {}
        }
        let mut buffer = vec![0; PAGE_SIZE];
        for segment in &transfer.segments {
            let (within, part) = (segment.offset as usize, &mut buffer[..segment.length as usize]);
            if transfer.operation == Operation::Read {
                let read = self.file.read_at(at, &mut Destination::kernel(part))?;
                // Behind the end of the file, which may have become shorter, there are zeros.
                part[read..].fill(0);
                segment.frame.write(within, part);
            } else {
                segment.frame.read(within, part);
                if self.file.write_at(at, &mut Source::kernel(part))? < part.len() {
                    return Err(Error::new(Errno::EIO, "the file takes no more"));
                }
            }
            at += u64::from(segment.length);
        }
        match transfer.operation {
            Operation::Write(Durability::Safe) => self.file.operations().sync(&self.file, SyncScope::Data),
            _ => Ok(()),
        }
    }
}

impl BlockDevice for LoopDevice {
    fn size_bytes(&self) -> u64 {
        self.size
    }

    fn block_size(&self) -> u32 {
        self.block_size
    }

    fn access(&self) -> Access {
        self.access
    }

    fn features(&self) -> Features {
        Features { has_cache: true, has_safe_writes: true, ..Features::default() }
    }

    fn submit(&self, transfers: Vec<Arc<Transfer>>) {
        self.work.queue.lock().extend(transfers);
        self.work.news.wake_one();
    }

    fn note_unclaimed(&self) {
        clear_if_unused(self.number);
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        self.work.news.wake_one();
    }
}

/// Makes a disk of a file for device `number`.
fn bind(number: u32, descriptor: i32, mut info: LoopInfo, block_size: u32, opened: &File) -> Result<()> {
    let block_size = if block_size == 0 { SECTOR as u32 } else { block_size };
    if !block_size.is_power_of_two() || !(SECTOR as u32..=PAGE_SIZE as u32).contains(&block_size) {
        return Err(Error::new(Errno::EINVAL, "no size of a block"));
    }
    let process = process::try_current().ok_or(Errno::EBADF)?;
    let file = process.files().get(descriptor)?;
    let metadata = file.inode().metadata();
    let is_device = matches!(file.inode().kind(), crate::fs::inode::FileKind::Block);
    if !is_device && !matches!(file.inode().kind(), crate::fs::inode::FileKind::Regular) {
        return Err(Error::new(Errno::EINVAL, "neither a file nor a disk"));
    }
    if is_device && metadata.special == DeviceNumber::new(MAJOR, number) {
        return Err(Error::new(Errno::EBADF, "a loop device on itself"));
    }
    if !opened.flags().access().can_write() {
        info.flags |= LO_FLAGS_READ_ONLY;
    }
    let mut bound = BOUND.lock();
    if bound.contains_key(number) {
        return Err(Error::new(Errno::EBUSY, "the loop device has a file"));
    }
    (info.number, info.device, info.inode) = (number, metadata.device.to_raw(), metadata.number);
    insert(&mut bound, file, info, block_size)
}

fn insert(bound: &mut IdMap<u32, Bound>, file: Arc<File>, info: LoopInfo, block_size: u32) -> Result<()> {
    let device = LoopDevice::start(file, &info, block_size)?;
    let disk = registry::add(Kind::Loop(info.number), device.clone(), None)?;
    bound.insert(info.number, Bound { device, disk, info, block_size });
    Ok(())
}

/// Takes the file away from device `number`: EBUSY if it is mounted, ENXIO. What comes back is to be dropped when `BOUND`
/// is free again.
fn unbind(bound: &mut IdMap<u32, Bound>, number: u32) -> Result<(Bound, Claim)> {
    let known = bound.get(number).ok_or(Error::new(Errno::ENXIO, "the loop device has no file"))?;
    // Nobody mounts it meanwhile.
    let claim = known.disk.claim()?;
    if let Err(error) = known.disk.cache().flush() {
        log::error!("block: loop{number}: writing back failed: {error}");
    }
    registry::forget(&known.disk);
    let known = bound.remove(number).ok_or(Errno::ENXIO)?;
    Ok((known, claim))
}

/// Somebody is done with device `number`: it gives its file back if that is wanted and nobody else has it open or mounted.
fn clear_if_unused(number: u32) {
    let mut bound = BOUND.lock();
    let clears = bound.get(number).is_some_and(|known| known.info.flags & LO_FLAGS_AUTOCLEAR != 0);
    if clears && openers(number) == 0 {
        // A file system that is mounted keeps it, until it is unmounted.
        let gone = unbind(&mut bound, number);
        drop(bound);
        drop(gone);
    }
}

/// LOOP_CLR_FD, by one who has it open: with other users it waits for the last of them, as on Linux.
fn clear(number: u32) -> Result<()> {
    let mut bound = BOUND.lock();
    let known = bound.get_mut(number).ok_or(Error::new(Errno::ENXIO, "the loop device has no file"))?;
    if openers(number) > 1 || known.disk.is_claimed() {
        known.info.flags |= LO_FLAGS_AUTOCLEAR;
        return Ok(());
    }
    let gone = unbind(&mut bound, number);
    drop(bound);
    gone.map(drop)
}

fn openers(number: u32) -> usize {
    OPENERS.lock().get(number).copied().unwrap_or(0)
}

/// Gives a device with a file another offset, size or name.
fn change(number: u32, wanted: &LoopInfo) -> Result<()> {
    let mut bound = BOUND.lock();
    let (old, claim) = unbind(&mut bound, number)?;
    let changeable = LO_FLAGS_AUTOCLEAR;
    let info = LoopInfo {
        offset: wanted.offset,
        size_limit: wanted.size_limit,
        file_name: wanted.file_name,
        flags: old.info.flags & !changeable | wanted.flags & changeable,
        ..old.info
    };
    let outcome = insert(&mut bound, old.device.file.clone(), info, old.block_size);
    drop(bound);
    drop((old, claim));
    outcome
}

/// An open loop device, with a disk or without.
struct OpenLoop {
    number: u32,
}

impl OpenLoop {
    fn disk(&self) -> Result<Arc<dyn FileOperations>> {
        let disk = disk_of(self.number).ok_or(Error::new(Errno::ENXIO, "the loop device has no file"))?;
        Ok(special::operations_of(disk))
    }
}

impl FileOperations for OpenLoop {
    fn read(&self, file: &File, offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        match self.disk() {
            Ok(disk) => disk.read(file, offset, to),
            // As on Linux, a disk of no blocks.
            Err(_) => Ok(0),
        }
    }

    fn write(&self, file: &File, offset: &mut u64, from: &mut Source<'_>) -> Result<usize> {
        self.disk().map_err(|_| Error::from(Errno::ENOSPC))?.write(file, offset, from)
    }

    fn seek_limits(&self, file: &File) -> SeekLimits {
        self.disk().map_or(SeekLimits { end: 0, maximum: 0 }, |disk| disk.seek_limits(file))
    }

    fn sync(&self, file: &File, scope: SyncScope) -> Result<()> {
        self.disk().map_or(Ok(()), |disk| disk.sync(file, scope))
    }

    fn release(&self, file: &File) {
        if let Ok(disk) = self.disk() {
            disk.release(file);
        }
        if let Some(count) = OPENERS.lock().get_mut(self.number) {
            *count = count.saturating_sub(1);
        }
        clear_if_unused(self.number);
    }

    fn ioctl(&self, file: &File, command: u32, argument: u64) -> Result<u64> {
        match command {
            loop_device::LOOP_SET_FD => bind(self.number, argument as i32, LoopInfo::new_zeroed(), 0, file)?,
            loop_device::LOOP_CONFIGURE => {
                let mut config = LoopConfig::new_zeroed();
                user::copy_from(config.as_mut_bytes(), argument)?;
                bind(self.number, config.descriptor as i32, config.info, config.block_size, file)?;
            }
            loop_device::LOOP_CLR_FD => clear(self.number)?,
            loop_device::LOOP_SET_STATUS64 => {
                let mut info = LoopInfo::new_zeroed();
                user::copy_from(info.as_mut_bytes(), argument)?;
                change(self.number, &info)?;
            }
            loop_device::LOOP_SET_CAPACITY => {
                let info = self.info()?;
                change(self.number, &info)?;
            }
            loop_device::LOOP_GET_STATUS64 => user::copy_to(argument, self.info()?.as_bytes())?,
            ioctl::BLKGETSIZE64 if disk_of(self.number).is_none() => user::copy_to(argument, &[0; 8])?,
            _ => return self.disk()?.ioctl(file, command, argument),
        }
        Ok(0)
    }
}

impl OpenLoop {
    fn info(&self) -> Result<LoopInfo> {
        let bound = BOUND.lock();
        let known = bound.get(self.number).ok_or(Error::new(Errno::ENXIO, "the loop device has no file"))?;
        Ok(known.info)
    }
}

/// /dev/loop-control.
struct Control;

impl CharacterDevice for Control {
    fn open(&self, _flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        Ok(Arc::new(Control))
    }
}

impl FileOperations for Control {
    fn ioctl(&self, _file: &File, command: u32, argument: u64) -> Result<u64> {
        let bound = BOUND.lock();
        let number = match command {
            loop_device::LOOP_CTL_GET_FREE => (0..MAX_DEVICES).find(|number| !bound.contains_key(*number)),
            loop_device::LOOP_CTL_ADD => u32::try_from(argument).ok().filter(|number| *number < MAX_DEVICES),
            // Device files stay; what is not in use cannot be told from what is not there.
            _ => return Err(Errno::ENOTTY.into()),
        };
        let number = number.ok_or(Error::new(Errno::ENOSPC, "no loop device is left"))?;
        if number >= FIRST_DEVICES {
            make_node(number)?;
        }
        Ok(number.into())
    }
}
