//! virtio-blk: disks (virtio 1.2, section 5.2).
//!
//! A request is a header, the data, and a status byte that the device writes last. Frames are read and written
//! where they are; other data goes through buffers that the device can reach. Several threads may have
//! requests under way at a time; each has a slot for its header and status.

use super::queue::{Buffer, RequestQueue};
use super::{VirtioDevice, kind};
use crate::block::registry::{self, Kind};
use crate::block::{Access, BlockDevice};
use crate::device::bus::{Device, Driver};
use crate::error::{Error, Result};
use crate::sched::wait::WaitQueue;
use abi::errno::Errno;
use alloc::{string::String, sync::Arc, vec::Vec};
use machine::addr::PAGE_SIZE;
use machine::mm::{DmaBuffer, Frame};
use machine::sync::SpinLock;

/// Features (section 5.2.3).
mod feature {
    pub(super) const SIZE_MAX: u64 = 1 << 1;
    pub(super) const SEG_MAX: u64 = 1 << 2;
    pub(super) const READ_ONLY: u64 = 1 << 5;
    pub(super) const BLK_SIZE: u64 = 1 << 6;
    pub(super) const FLUSH: u64 = 1 << 9;
    pub(super) const DISCARD: u64 = 1 << 13;

    pub(super) const ALL: u64 = SIZE_MAX | SEG_MAX | READ_ONLY | BLK_SIZE | FLUSH | DISCARD;
}

/// Offsets in the configuration (section 5.2.4).
mod config {
    pub(super) const CAPACITY: usize = 0;
    pub(super) const SIZE_MAX: usize = 8;
    pub(super) const SEG_MAX: usize = 12;
    pub(super) const BLK_SIZE: usize = 20;
    pub(super) const MAX_DISCARD_SECTORS: usize = 36;
}

/// What a request is to do (section 5.2.6).
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Operation {
    Read = 0,
    Write = 1,
    Flush = 4,
    GetId = 8,
    Discard = 11,
}

/// Values of the status byte.
const STATUS_OK: u8 = 0;
const STATUS_UNSUPPORTED: u8 = 2;
/// What stands in it before the device writes.
const STATUS_NONE: u8 = 0xff;

/// The unit in which the device counts, whatever its block size.
const SECTOR: u64 = 512;
const ID_LENGTH: usize = 20;

/// A slot: header (type, reserved, sector), range for discarding (sector, count, flags), status.
const SLOT_LENGTH: usize = 64;
const HEADER_LENGTH: usize = 16;
const RANGE: usize = 16;
const RANGE_LENGTH: usize = 16;
const STATUS: usize = 32;

/// Length of a buffer for data that is not in frames, and how many are kept.
const BOUNCE: usize = 64 * 1024;
const KEPT_BOUNCES: usize = 4;

/// The driver.
pub(crate) struct BlockDriver;

impl Driver<VirtioDevice> for BlockDriver {
    fn name(&self) -> &'static str {
        "virtio_blk"
    }

    fn matches(&self, device: &VirtioDevice) -> bool {
        device.kind() == kind::BLOCK
    }

    fn attach(&self, device: &Arc<VirtioDevice>) -> Result<()> {
        let queue = RequestQueue::start(device, "virtio-blk", feature::ALL)?;
        let disk = registry::add(Kind::Virtio, Arc::new(VirtioDisk::new(queue)?))?;
        log::debug!("block: {} is {}", disk.name(), device.node().name());
        Ok(())
    }
}

struct VirtioDisk {
    queue: Arc<RequestQueue>,
    size_bytes: u64,
    block_size: u32,
    /// Frames that a request may have, at least one.
    max_frames: usize,
    max_discard: u64,
    slots: Slots,
    bounces: SpinLock<Vec<DmaBuffer>>,
}

impl VirtioDisk {
    fn new(queue: Arc<RequestQueue>) -> Result<Self> {
        let session = queue.session();
        let block_size = match session.config::<u32>(config::BLK_SIZE) {
            size if session.has(feature::BLK_SIZE) && size.is_power_of_two() => size.clamp(512, 4096),
            _ => 512,
        };
        let size = session.config_u64(config::CAPACITY).saturating_mul(SECTOR);
        let seg_max = match session.config::<u32>(config::SEG_MAX) {
            count if session.has(feature::SEG_MAX) && count > 0 => count as usize,
            _ => 1,
        };
        // Header and status take two buffers of a chain.
        let max_frames = seg_max.min(queue.max_chain().saturating_sub(2));
        let too_small = session.has(feature::SIZE_MAX)
            && (session.config::<u32>(config::SIZE_MAX) as usize) < BOUNCE.max(PAGE_SIZE);
        if max_frames == 0 || too_small {
            return Err(Error::new(Errno::ENODEV, "the device takes too small requests"));
        }
        let max_discard = u64::from(session.config::<u32>(config::MAX_DISCARD_SECTORS)) * SECTOR;
        Ok(Self {
            size_bytes: size - size % u64::from(block_size),
            block_size,
            max_frames,
            max_discard: if session.has(feature::DISCARD) { max_discard } else { 0 },
            slots: Slots::new(queue.size())?,
            bounces: SpinLock::new("virtio-blk bounces", Vec::new()),
            queue,
        })
    }

    /// Has the device do a request. `data` is read or written by the device, as the operation says.
    fn request(&self, operation: Operation, offset: u64, data: &[Buffer]) -> Result<()> {
        let slot = self.slots.acquire();
        self.request_in(&slot, operation, offset, data)
    }

    fn request_in(&self, slot: &Slot<'_>, operation: Operation, offset: u64, data: &[Buffer]) -> Result<()> {
        let mut header = [0; HEADER_LENGTH];
        header[..4].copy_from_slice(&(operation as u32).to_le_bytes());
        header[8..].copy_from_slice(&(offset / SECTOR).to_le_bytes());
        slot.write(0, &header);
        slot.write(STATUS, &[STATUS_NONE]);
        let mut chain = Vec::with_capacity(data.len() + 2);
        chain.push(Buffer::to_device(slot.address(0), HEADER_LENGTH as u32));
        chain.extend_from_slice(data);
        chain.push(Buffer::from_device(slot.address(STATUS), 1));
        let written = self.queue.perform(&chain)?;
        match slot.status() {
            STATUS_OK => {}
            STATUS_UNSUPPORTED => {
                return Err(Error::new(Errno::EOPNOTSUPP, "the device cannot do this request"));
            }
            _ => return Err(Error::new(Errno::EIO, "the device reports an error")),
        }
        // A read that left a part of its buffers alone must not pass old memory off as the disk's.
        let room: u32 = data.iter().map(|buffer| buffer.len).sum();
        if operation == Operation::Read && written < room {
            return Err(Error::new(Errno::EIO, "the device read less than it was asked for"));
        }
        Ok(())
    }

    /// Calls `action` with a buffer that the device can reach.
    fn with_bounce<R>(&self, action: impl FnOnce(&DmaBuffer) -> Result<R>) -> Result<R> {
        let kept = self.bounces.lock().pop();
        let bounce = match kept {
            Some(bounce) => bounce,
            None => DmaBuffer::allocate(BOUNCE)?,
        };
        let outcome = action(&bounce);
        let mut bounces = self.bounces.lock();
        if bounces.len() < KEPT_BOUNCES {
            bounces.push(bounce);
        }
        outcome
    }
}

impl BlockDevice for VirtioDisk {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn block_size(&self) -> u32 {
        self.block_size
    }

    fn access(&self) -> Access {
        if self.queue.session().has(feature::READ_ONLY) { Access::ReadOnly } else { Access::ReadWrite }
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.with_bounce(|bounce| {
            for (at, part) in (offset..).step_by(BOUNCE).zip(buffer.chunks_mut(BOUNCE)) {
                let data = [Buffer::from_device(bounce.address().as_u64(), part.len() as u32)];
                self.request(Operation::Read, at, &data)?;
                bounce.read(0, part);
            }
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.with_bounce(|bounce| {
            for (at, part) in (offset..).step_by(BOUNCE).zip(data.chunks(BOUNCE)) {
                bounce.write(0, part);
                let data = [Buffer::to_device(bounce.address().as_u64(), part.len() as u32)];
                self.request(Operation::Write, at, &data)?;
            }
            Ok(())
        })
    }

    fn read_frames(&self, offset: u64, frames: &[Frame]) -> Result<()> {
        let step = self.max_frames * PAGE_SIZE;
        for (at, part) in (offset..).step_by(step).zip(frames.chunks(self.max_frames)) {
            let buffer = |frame: &Frame| Buffer::from_device(frame.address().as_u64(), PAGE_SIZE as u32);
            let data: Vec<_> = part.iter().map(buffer).collect();
            self.request(Operation::Read, at, &data)?;
        }
        Ok(())
    }

    fn write_frames(&self, offset: u64, frames: &[Frame]) -> Result<()> {
        let step = self.max_frames * PAGE_SIZE;
        for (at, part) in (offset..).step_by(step).zip(frames.chunks(self.max_frames)) {
            let buffer = |frame: &Frame| Buffer::to_device(frame.address().as_u64(), PAGE_SIZE as u32);
            let data: Vec<_> = part.iter().map(buffer).collect();
            self.request(Operation::Write, at, &data)?;
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        // Without the feature, what is written is safe at once.
        match self.queue.session().has(feature::FLUSH) {
            true => self.request(Operation::Flush, 0, &[]),
            false => Ok(()),
        }
    }

    fn discard(&self, offset: u64, length: u64) -> Result<()> {
        if self.max_discard == 0 {
            return Err(Error::new(Errno::EOPNOTSUPP, "the device cannot discard"));
        }
        let end = offset + length;
        let mut at = offset;
        while at < end {
            let count = (end - at).min(self.max_discard);
            let slot = self.slots.acquire();
            let mut range = [0; RANGE_LENGTH];
            range[..8].copy_from_slice(&(at / SECTOR).to_le_bytes());
            range[8..12].copy_from_slice(&((count / SECTOR) as u32).to_le_bytes());
            slot.write(RANGE, &range);
            let data = [Buffer::to_device(slot.address(RANGE), RANGE_LENGTH as u32)];
            self.request_in(&slot, Operation::Discard, 0, &data)?;
            at += count;
        }
        Ok(())
    }

    fn identify(&self) -> Option<String> {
        let mut id = [0; ID_LENGTH];
        let read = self.with_bounce(|bounce| {
            let data = [Buffer::from_device(bounce.address().as_u64(), ID_LENGTH as u32)];
            self.request(Operation::GetId, 0, &data)?;
            bounce.read(0, &mut id);
            Ok(())
        });
        let text = id.split(|byte| *byte == 0).next().unwrap_or(&[]);
        read.ok().filter(|()| !text.is_empty()).map(|()| String::from_utf8_lossy(text).into_owned())
    }
}

/// Memory for headers and statuses, one slot for each request under way.
struct Slots {
    memory: DmaBuffer,
    free: SpinLock<Vec<usize>>,
    released: WaitQueue,
}

/// A slot that belongs to a request.
struct Slot<'a> {
    slots: &'a Slots,
    index: usize,
}

impl Slots {
    fn new(count: usize) -> Result<Self> {
        Ok(Self {
            memory: DmaBuffer::allocate(count * SLOT_LENGTH)?,
            free: SpinLock::new("virtio-blk slots", (0..count).collect()),
            released: WaitQueue::named("disk-slot"),
        })
    }

    /// Takes a slot, waiting for one if need be.
    fn acquire(&self) -> Slot<'_> {
        let index = self.released.wait(|| self.free.lock().pop());
        Slot { slots: self, index }
    }
}

impl Slot<'_> {
    fn write(&self, offset: usize, bytes: &[u8]) {
        self.slots.memory.write(self.index * SLOT_LENGTH + offset, bytes);
    }

    fn address(&self, offset: usize) -> u64 {
        self.slots.memory.address().as_u64() + (self.index * SLOT_LENGTH + offset) as u64
    }

    fn status(&self) -> u8 {
        self.slots.memory.load(self.index * SLOT_LENGTH + STATUS)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.slots.free.lock().push(self.index);
        self.slots.released.wake_one();
    }
}
