//! A named range of a block device, and transfers of it: what a disk or a partition is without its cache.

use super::{Access, Batch, BlockDevice, Durability, Features, Identity, Limits, Operation};
use super::{Priority, RequestQueue, Segment, Statistics};
use crate::device::registry::Node;
use crate::error::{Error, Result};
use crate::sync::Mutex;
use abi::errno::Errno;
use abi::stat::DeviceNumber;
use alloc::{
    string::{String, ToString},
    sync::Arc,
    vec,
    vec::Vec,
};
use machine::addr::PAGE_SIZE;
use machine::mm::Frame;
use machine::sync::Once;

/// Frames through which bytes are moved at a time.
const BOUNCE_FRAMES: usize = 64;

/// Frames that are kept for when no others are to be had: memory is got back by writing.
const RESERVE_FRAMES: usize = 8;

/// Zeros that are written by one batch.
const ZERO_STEP: u64 = 1 << 20;

static RESERVE: Once<Mutex<Vec<Frame>>> = Once::new();

/// Puts memory aside for writing when there is none.
pub(super) fn init() -> Result<()> {
    let frames: core::result::Result<Vec<_>, _> = (0..RESERVE_FRAMES).map(|_| Frame::allocate()).collect();
    let frames = frames?;
    RESERVE.call_once(|| Mutex::new("disk reserve", frames));
    Ok(())
}

/// Calls `action` with frames for up to `length` bytes, at least one: new ones, else those of the reserve.
pub(super) fn with_frames<R>(length: usize, action: impl FnOnce(&[Frame]) -> Result<R>) -> Result<R> {
    let wanted = length.div_ceil(PAGE_SIZE).min(BOUNCE_FRAMES);
    let frames: Vec<_> = (0..wanted).map_while(|_| Frame::allocate().ok()).collect();
    match RESERVE.get() {
        _ if !frames.is_empty() => action(&frames),
        Some(reserve) => action(&reserve.lock()),
        None => Err(Error::new(Errno::ENOMEM, "no memory for a transfer")),
    }
}

/// The first `length` bytes of frames.
fn segments_of(frames: &[Frame], length: usize) -> Vec<Segment> {
    let lengths = (0..length).step_by(PAGE_SIZE).map(|at| length - at);
    frames.iter().zip(lengths).map(|(frame, left)| Segment::first(frame.clone(), left)).collect()
}

/// A named range of a block device. Offsets are counted from its own start; every transfer is checked to be of whole blocks
/// and to lie in it.
pub(crate) struct Extent {
    name: String,
    number: DeviceNumber,
    pub(super) device: Arc<dyn BlockDevice>,
    start: u64,
    length: u64,
    /// The device that it belongs to, if that is in the tree of devices.
    parent: Option<Arc<Node>>,
    /// The partition's number, id and label.
    partition: Option<PartitionIdentity>,
}

/// What names a partition.
#[derive(Clone, Debug)]
pub(crate) struct PartitionIdentity {
    /// Its number on the disk, from 1.
    pub(crate) number: u32,
    /// What follows `PARTUUID=`.
    pub(crate) id: String,
    /// What follows `PARTLABEL=`.
    pub(crate) label: String,
}

impl Extent {
    pub(super) fn new(
        name: String,
        number: DeviceNumber,
        device: Arc<dyn BlockDevice>,
        (start, length): (u64, u64),
        (parent, partition): (Option<Arc<Node>>, Option<PartitionIdentity>),
    ) -> Arc<Self> {
        Arc::new(Self { name, number, device, start, length, parent, partition })
    }

    /// Its name, as in /dev.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its device number.
    pub(crate) fn number(&self) -> DeviceNumber {
        self.number
    }

    /// Size in bytes.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.length
    }

    /// Where it begins on its device, in bytes; 0 for whole disks.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// The smallest unit of a transfer in bytes.
    pub(crate) fn block_size(&self) -> u32 {
        self.device.block_size()
    }

    /// Whether it can be written.
    pub(crate) fn access(&self) -> Access {
        self.device.access()
    }

    /// What names it as a partition; `None` for whole disks.
    pub(crate) fn partition_identity(&self) -> Option<&PartitionIdentity> {
        self.partition.as_ref()
    }

    /// The device that it belongs to, if that is in the tree of devices.
    pub(crate) fn parent(&self) -> Option<&Arc<Node>> {
        self.parent.as_ref()
    }

    /// Whether it is `disk` or a part of it.
    pub(super) fn is_on(&self, disk: &Extent) -> bool {
        Arc::ptr_eq(&self.device, &disk.device)
    }

    /// Whether it is on the device behind a request queue.
    pub(super) fn is_behind(&self, queue: &RequestQueue) -> bool {
        core::ptr::addr_eq(Arc::as_ptr(&self.device), queue)
    }

    /// What the device says of itself.
    pub(crate) fn identify(&self) -> Identity {
        self.device.identify()
    }

    /// What the device can do.
    pub(crate) fn features(&self) -> Features {
        self.device.features()
    }

    /// What a direct transfer's memory is a multiple of.
    pub(crate) fn memory_alignment(&self) -> u32 {
        self.device.memory_alignment()
    }

    /// What the device takes at a time.
    pub(crate) fn limits(&self) -> Limits {
        self.device.limits()
    }

    /// What the device has done, if that is counted.
    pub(crate) fn statistics(&self) -> Option<&Statistics> {
        self.device.statistics()
    }

    /// What was done, as Documentation/block/stat.rst has it; a partition's share is not counted by itself.
    pub(crate) fn counts(&self) -> String {
        let counts = self.statistics().filter(|_| self.partition.is_none());
        counts.map_or_else(|| Statistics::default().to_string(), Statistics::to_string)
    }

    /// A batch of transfers of this disk.
    pub(crate) fn batch(&self, priority: Priority) -> Batch<'_> {
        Batch::new(&*self.device, priority)
    }

    /// Adds a transfer of memory to a batch of this disk.
    pub(crate) fn add(
        &self,
        batch: &mut Batch<'_>,
        operation: Operation,
        offset: u64,
        segments: Vec<Segment>,
    ) -> Result<()> {
        if operation != Operation::Read {
            self.check_writable()?;
        }
        let length = segments.iter().map(|segment| u64::from(segment.length)).sum();
        batch.add(operation, self.locate(offset, length)?, segments);
        Ok(())
    }

    /// Fills `buffer` with what is at `offset`.
    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.locate(offset, buffer.len() as u64)?;
        let mut done = 0;
        while done < buffer.len() {
            let rest = &mut buffer[done..];
            let at = offset + done as u64;
            done += with_frames(rest.len(), |frames| {
                let length = rest.len().min(frames.len() * PAGE_SIZE);
                let mut batch = self.batch(Priority::Urgent);
                self.add(&mut batch, Operation::Read, at, segments_of(frames, length))?;
                batch.wait()?;
                for (frame, part) in frames.iter().zip(rest[..length].chunks_mut(PAGE_SIZE)) {
                    frame.read(0, part);
                }
                Ok(length)
            })?;
        }
        Ok(())
    }

    /// Writes `data` at `offset`.
    pub(crate) fn write(&self, offset: u64, data: &[u8], durability: Durability) -> Result<()> {
        self.check_writable()?;
        self.locate(offset, data.len() as u64)?;
        let mut done = 0;
        while done < data.len() {
            let rest = &data[done..];
            let at = offset + done as u64;
            done += with_frames(rest.len(), |frames| {
                let length = rest.len().min(frames.len() * PAGE_SIZE);
                for (frame, part) in frames.iter().zip(rest[..length].chunks(PAGE_SIZE)) {
                    frame.write(0, part);
                }
                let mut batch = self.batch(Priority::Urgent);
                let operation = Operation::Write(durability);
                self.add(&mut batch, operation, at, segments_of(frames, length))?;
                batch.wait()?;
                Ok(length)
            })?;
        }
        Ok(())
    }

    /// Fills whole frames.
    pub(crate) fn read_frames(&self, offset: u64, frames: &[Frame]) -> Result<()> {
        let mut batch = self.batch(Priority::Urgent);
        self.add(&mut batch, Operation::Read, offset, segments_of(frames, frames.len() * PAGE_SIZE))?;
        batch.wait()
    }

    /// Writes whole frames.
    pub(crate) fn write_frames(&self, offset: u64, frames: &[Frame]) -> Result<()> {
        let mut batch = self.batch(Priority::Normal);
        let operation = Operation::Write(Durability::Cached);
        self.add(&mut batch, operation, offset, segments_of(frames, frames.len() * PAGE_SIZE))?;
        batch.wait()
    }

    /// Returns when everything written before is safe from a power cut.
    pub(crate) fn flush(&self) -> Result<()> {
        match self.access() {
            Access::ReadOnly => Ok(()),
            Access::ReadWrite => {
                let mut batch = self.batch(Priority::Urgent);
                batch.add_command(Operation::Flush, 0, 0);
                batch.wait()
            }
        }
    }

    /// A range holds nothing of value any more; EOPNOTSUPP if the device does not want to know.
    pub(crate) fn discard(&self, offset: u64, length: u64) -> Result<()> {
        self.change(Operation::Discard, offset, length, self.device.features().max_discard)
    }

    /// Fills a range with zeros, by the device if it can do that.
    pub(crate) fn write_zeroes(&self, offset: u64, length: u64) -> Result<()> {
        let most = self.device.features().max_zeroes;
        match self.change(Operation::WriteZeroes, offset, length, most) {
            Err(error) if error.errno == Errno::EOPNOTSUPP => {}
            outcome => return outcome,
        }
        let zeros = Frame::allocate_zeroed()?;
        let end = offset + length;
        let mut at = offset;
        while at < end {
            let part = (end - at).min(ZERO_STEP);
            let count = part.div_ceil(PAGE_SIZE as u64) as usize;
            let mut batch = self.batch(Priority::Normal);
            let segments = segments_of(&vec![zeros.clone(); count], part as usize);
            self.add(&mut batch, Operation::Write(Durability::Cached), at, segments)?;
            batch.wait()?;
            at += part;
        }
        Ok(())
    }

    /// Has the device do something to a range, at most `most` bytes at a time.
    fn change(&self, operation: Operation, offset: u64, length: u64, most: u64) -> Result<()> {
        self.check_writable()?;
        let start = self.locate(offset, length)?;
        let most = most - most % u64::from(self.block_size());
        if most == 0 {
            return Err(Error::new(Errno::EOPNOTSUPP, "the device cannot do this"));
        }
        let mut batch = self.batch(Priority::Normal);
        let mut done = 0;
        while done < length {
            let part = (length - done).min(most);
            batch.add_command(operation, start + done, part);
            done += part;
        }
        batch.wait()
    }

    fn check_writable(&self) -> Result<()> {
        match self.access() {
            Access::ReadOnly => Err(Error::new(Errno::EROFS, "the disk is read-only")),
            Access::ReadWrite => Ok(()),
        }
    }

    /// Where a range is on the device; EINVAL if it is not of whole blocks, EIO if it is not on this disk.
    fn locate(&self, offset: u64, length: u64) -> Result<u64> {
        if !(offset | length).is_multiple_of(self.block_size().into()) {
            return Err(Error::new(Errno::EINVAL, "not a range of whole blocks"));
        }
        match offset.checked_add(length) {
            Some(end) if end <= self.length => Ok(self.start + offset),
            _ => Err(Error::new(Errno::EIO, "beyond the end of the disk")),
        }
    }
}
