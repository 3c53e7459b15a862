//! virtio-blk: disks (virtio 1.2, section 5.2).
//!
//! A request is a header, the data, and a status byte that the device writes last. Each of the device's queues is a lane of
//! the disk's [`RequestQueue`]; a request has the slot of its tag for header and status, and its data lies where the
//! block layer has it.

use super::ring::{Ring, SharedMemory, hand_over};
use super::session::Session;
use super::{VirtioDevice, kind};
use crate::block::hardware::{Command, Hardware, Outcome, Shape};
use crate::block::registry::{self, Kind};
use crate::block::{self, Access, Features, Identity, Limits, Operation, RequestQueue, Segment};
use crate::device::bus::{Device, Driver, InService, wait_until_alone};
use crate::error::{Error, Result};
use crate::sched;
use abi::errno::Errno;
use alloc::{boxed::Box, string::String, sync::Arc, sync::Weak, vec, vec::Vec};
use machine::addr::PAGE_SIZE;
use machine::mm::DmaBuffer;
use machine::sync::{IrqSpinLock, Once};
use machine::{cpu, time};
use virtqueue::{AddError, Buffer, VirtQueue};

/// Features (section 5.2.3).
mod feature {
    pub(super) const SIZE_MAX: u64 = 1 << 1;
    pub(super) const SEG_MAX: u64 = 1 << 2;
    pub(super) const READ_ONLY: u64 = 1 << 5;
    pub(super) const BLK_SIZE: u64 = 1 << 6;
    pub(super) const FLUSH: u64 = 1 << 9;
    pub(super) const MULTI_QUEUE: u64 = 1 << 12;
    pub(super) const DISCARD: u64 = 1 << 13;
    pub(super) const WRITE_ZEROES: u64 = 1 << 14;

    pub(super) const ALL: u64 =
        SIZE_MAX | SEG_MAX | READ_ONLY | BLK_SIZE | FLUSH | MULTI_QUEUE | DISCARD | WRITE_ZEROES;
}

/// Offsets in the configuration (section 5.2.4).
mod config {
    pub(super) const CAPACITY: usize = 0;
    pub(super) const SIZE_MAX: usize = 8;
    pub(super) const SEG_MAX: usize = 12;
    pub(super) const BLK_SIZE: usize = 20;
    pub(super) const NUM_QUEUES: usize = 34;
    pub(super) const MAX_DISCARD_SECTORS: usize = 36;
    pub(super) const MAX_ZEROES_SECTORS: usize = 48;
}

/// What a request is to do (section 5.2.6).
mod kind_of_request {
    pub(super) const READ: u32 = 0;
    pub(super) const WRITE: u32 = 1;
    pub(super) const FLUSH: u32 = 4;
    pub(super) const GET_ID: u32 = 8;
    pub(super) const DISCARD: u32 = 11;
    pub(super) const WRITE_ZEROES: u32 = 13;
}

/// Values of the status byte.
const STATUS_OK: u8 = 0;
const STATUS_UNSUPPORTED: u8 = 2;
/// What stands in it before the device writes.
const STATUS_NONE: u8 = 0xff;

/// The unit in which the device counts, whatever its block size.
const SECTOR: u64 = 512;
const ID_LENGTH: usize = 20;

/// A slot: header (type, reserved, sector), range for discarding (sector, count, flags), status; the id while the driver starts.
const SLOT_LENGTH: usize = 64;
const HEADER_LENGTH: u32 = 16;
const RANGE: usize = 16;
const RANGE_LENGTH: u32 = 16;
const STATUS: usize = 32;
const ID: usize = 40;

/// Requests of a queue that are under way at a time.
const MAX_DEPTH: u16 = 64;
/// Buffers of a request: header, status, and 256 KiB of data.
const MAX_CHAIN: u16 = 66;
/// A request that takes longer is lost.
const TIME_LIMIT_NS: u64 = 30_000_000_000;
/// How long the device may take to tell its id.
const ID_LIMIT_NS: u64 = 2_000_000_000;

/// The driver.
pub(crate) struct BlockDriver;

impl Driver<VirtioDevice> for BlockDriver {
    fn name(&self) -> &'static str {
        "virtio_blk"
    }

    fn matches(&self, device: &VirtioDevice) -> bool {
        device.kind() == kind::BLOCK
    }

    fn attach(&self, device: &Arc<VirtioDevice>) -> Result<Box<dyn InService>> {
        let session = device.start(feature::ALL)?;
        let shape = shape_of(&session)?;
        let hardware = VirtioDisk::start(session, &shape)?;
        let requests = RequestQueue::new(hardware.clone(), shape);
        hardware.requests.call_once(|| Arc::downgrade(&requests));
        let service = Box::new(DiskInService { hardware, requests: requests.clone() });
        match registry::add(Kind::Virtio, requests, Some(device.node().clone())) {
            Ok(disk) => {
                log::debug!("block: {} is {}, {} queues", disk.name(), device.node().name(), shape.lanes);
                Ok(service)
            }
            Err(error) => {
                service.remove();
                Err(error)
            }
        }
    }
}

struct DiskInService {
    hardware: Arc<VirtioDisk>,
    requests: Arc<RequestQueue>,
}

impl InService for DiskInService {
    fn remove(self: Box<Self>) {
        self.requests.remove();
        self.hardware.session.silence();
        wait_until_alone(&self.hardware);
    }
}

/// What the device says of itself.
fn shape_of(session: &Session) -> Result<Shape> {
    let config = |feature: u64, offset: usize| session.has(feature).then(|| session.config::<u32>(offset));
    let block_size = match config(feature::BLK_SIZE, config::BLK_SIZE) {
        Some(size) if size.is_power_of_two() => size.clamp(512, 4096),
        _ => 512,
    };
    let size = session.config_u64(config::CAPACITY).saturating_mul(SECTOR);
    let depth = session.max_queue_size(0)?.min(MAX_DEPTH);
    // No chain may be longer than the queue, indirect or not (section 2.7.5.3.1).
    let max_chain = usize::from(if session.has_indirect() { MAX_CHAIN.min(depth) } else { depth });
    let seg_max = config(feature::SEG_MAX, config::SEG_MAX).map_or(1, |count| count.max(1) as usize);
    let max_segments = seg_max.min(max_chain.saturating_sub(2));
    let is_narrow =
        config(feature::SIZE_MAX, config::SIZE_MAX).is_some_and(|most| (most as usize) < PAGE_SIZE);
    if max_segments == 0 || is_narrow {
        return Err(Error::new(Errno::ENODEV, "the device takes too small requests"));
    }
    let queues = match session.has(feature::MULTI_QUEUE) {
        true => usize::from(session.config::<u16>(config::NUM_QUEUES)),
        false => 1,
    };
    let sectors = |count: Option<u32>| u64::from(count.unwrap_or(0)) * SECTOR;
    Ok(Shape {
        size_bytes: size - size % u64::from(block_size),
        block_size,
        access: if session.has(feature::READ_ONLY) { Access::ReadOnly } else { Access::ReadWrite },
        features: Features {
            // Without the feature, what is written is safe at once.
            has_cache: session.has(feature::FLUSH),
            has_safe_writes: false,
            max_discard: sectors(config(feature::DISCARD, config::MAX_DISCARD_SECTORS)),
            max_zeroes: sectors(config(feature::WRITE_ZEROES, config::MAX_ZEROES_SECTORS)),
            is_rotational: false,
        },
        limits: Limits {
            max_length: (max_segments * PAGE_SIZE) as u64,
            max_segments,
            depth: depth.into(),
            needs_whole_pages: false,
        },
        lanes: queues.clamp(1, cpu::count()),
        are_others_alone: false,
        time_limit_ns: TIME_LIMIT_NS,
        memory_alignment: block::MEMORY_ALIGNMENT,
    })
}

struct VirtioDisk {
    // Dropped first: the device is reset before its memory goes.
    session: Session,
    lanes: Vec<Lane>,
    requests: Once<Weak<RequestQueue>>,
    identity: Once<Identity>,
}

/// A queue of the device.
struct Lane {
    state: IrqSpinLock<LaneState>,
    slots: DmaBuffer,
}

struct LaneState {
    queue: VirtQueue<SharedMemory>,
    /// By token: the tag of the request, and how much data the device has to write for it.
    started: Vec<(u16, u32)>,
    /// Room to put a chain together.
    chain: Vec<Buffer>,
    /// The device breaks the rules; nothing is started until it was reset.
    is_broken: bool,
}

impl Lane {
    fn new(session: &Session, index: usize, shape: &Shape) -> Result<Self> {
        let chain = shape.limits.max_segments + 2;
        let Ring { queue, size } = Ring::new(session, index as u16, chain as u16)?;
        let (started, chain) = (vec![(0, 0); size.into()], Vec::with_capacity(chain));
        let state = LaneState { queue, started, chain, is_broken: false };
        let slots = DmaBuffer::allocate(shape.limits.depth * SLOT_LENGTH)?;
        Ok(Self { state: IrqSpinLock::new("virtio-blk ring", state), slots })
    }

    fn address(&self, slot: usize, offset: usize) -> u64 {
        self.slots.address().as_u64() + (slot * SLOT_LENGTH + offset) as u64
    }

    fn write_header(&self, slot: usize, kind: u32, sector: u64) {
        let at = slot * SLOT_LENGTH;
        self.slots.store(at, kind);
        self.slots.store(at + 4, 0_u32);
        self.slots.store(at + 8, sector);
        self.slots.store(at + STATUS, STATUS_NONE);
    }

    fn write_range(&self, slot: usize, offset: u64, length: u64) {
        let at = slot * SLOT_LENGTH + RANGE;
        self.slots.store(at, offset / SECTOR);
        self.slots.store(at + 8, (length / SECTOR) as u32);
        self.slots.store(at + 12, 0_u32);
    }

    fn status(&self, slot: usize) -> u8 {
        self.slots.load(slot * SLOT_LENGTH + STATUS)
    }
}

impl VirtioDisk {
    fn start(session: Session, shape: &Shape) -> Result<Arc<Self>> {
        let lanes =
            (0..shape.lanes).map(|index| Lane::new(&session, index, shape)).collect::<Result<Vec<_>>>()?;
        let disk = Self { session, lanes, requests: Once::new(), identity: Once::new() };
        disk.enable()?;
        let id = disk.read_id();
        let disk = Arc::new(disk);
        disk.identity.call_once(|| Identity { serial: id, ..Identity::default() });
        let last = disk.session.interrupts() - 1;
        disk.session.set_handlers("virtio-blk", &|index| {
            let disk = Arc::downgrade(&disk);
            Arc::new(move || {
                if let Some(disk) = disk.upgrade() {
                    let end = if index == last { disk.lanes.len() } else { index + 1 };
                    (index..end).for_each(|lane| disk.complete(lane));
                }
            })
        });
        Ok(disk)
    }

    /// Hands the queues to the device and has it work.
    fn enable(&self) -> Result<()> {
        for (index, ring) in self.lanes.iter().enumerate() {
            let mut state = ring.state.lock();
            state.queue.restart();
            state.is_broken = false;
            hand_over(&self.session, index as u16, &state.queue)?;
        }
        self.session.set_ready();
        Ok(())
    }

    /// Asks for the serial number, before there are interrupts.
    fn read_id(&self) -> Option<String> {
        let ring = &self.lanes[0];
        ring.write_header(0, kind_of_request::GET_ID, 0);
        let chain = [
            Buffer::to_device(ring.address(0, 0), HEADER_LENGTH),
            Buffer::from_device(ring.address(0, ID), ID_LENGTH as u32),
            Buffer::from_device(ring.address(0, STATUS), 1),
        ];
        ring.state.lock().queue.add(&chain).ok()?;
        ring.state.lock().queue.should_notify();
        self.session.notify(0);
        let deadline = time::monotonic_ns() + ID_LIMIT_NS;
        while ring.state.lock().queue.pop_used().ok()?.is_none() {
            if time::monotonic_ns() > deadline {
                ring.state.lock().is_broken = true;
                return None;
            }
            sched::yield_now();
        }
        let mut id = [0; ID_LENGTH];
        ring.slots.read(ID, &mut id);
        let text = id.split(|byte| *byte == 0).next().unwrap_or(&[]);
        let is_given = ring.status(0) == STATUS_OK && !text.is_empty();
        is_given.then(|| String::from_utf8_lossy(text).into_owned())
    }

    /// Takes what the device has done in a queue. In interrupt context.
    fn complete(&self, lane: usize) {
        let Some(requests) = self.requests.get().and_then(Weak::upgrade) else { return };
        loop {
            let mut state = self.lanes[lane].state.lock();
            match state.queue.pop_used() {
                Ok(Some(used)) => {
                    let (tag, expected) = state.started[used.token.index()];
                    drop(state);
                    let outcome = match self.lanes[lane].status(tag.into()) {
                        // A read that left a part of its buffers alone must not pass old memory off as the disk's.
                        STATUS_OK if used.written < expected => Outcome::Failed,
                        STATUS_OK => Outcome::Done,
                        STATUS_UNSUPPORTED => Outcome::Unsupported,
                        _ => Outcome::Failed,
                    };
                    requests.complete(lane, tag, outcome);
                }
                Ok(None) => break,
                Err(error) => {
                    let is_news = !core::mem::replace(&mut state.is_broken, true);
                    drop(state);
                    if is_news {
                        log::error!("virtio: a disk breaks the rules: {error}");
                        requests.request_reset();
                    }
                    break;
                }
            }
        }
        requests.resume(lane);
    }
}

impl Hardware for VirtioDisk {
    fn start(&self, lane: usize, tag: u16, command: &Command<'_>) -> Result<()> {
        let ring = &self.lanes[lane];
        let slot = usize::from(tag);
        let (kind, takes_range) = match command.operation {
            Operation::Read => (kind_of_request::READ, false),
            Operation::Write(_) => (kind_of_request::WRITE, false),
            Operation::Flush => (kind_of_request::FLUSH, false),
            Operation::Discard => (kind_of_request::DISCARD, true),
            Operation::WriteZeroes => (kind_of_request::WRITE_ZEROES, true),
        };
        ring.write_header(slot, kind, if takes_range { 0 } else { command.offset / SECTOR });
        let mut state = ring.state.lock();
        let state = &mut *state;
        if state.is_broken {
            return Err(Error::new(Errno::EBUSY, "the device is to be reset"));
        }
        state.chain.clear();
        state.chain.push(Buffer::to_device(ring.address(slot, 0), HEADER_LENGTH));
        if takes_range {
            ring.write_range(slot, command.offset, command.length);
            state.chain.push(Buffer::to_device(ring.address(slot, RANGE), RANGE_LENGTH));
        }
        let is_read = command.operation == Operation::Read;
        let buffer_of = |segment: &Segment| match is_read {
            true => Buffer::from_device(segment.address(), segment.length),
            false => Buffer::to_device(segment.address(), segment.length),
        };
        state.chain.extend(command.segments().map(buffer_of));
        state.chain.push(Buffer::from_device(ring.address(slot, STATUS), 1));
        match state.queue.add(&state.chain) {
            Ok(token) => {
                let expected = if is_read { command.length as u32 } else { 0 };
                state.started[token.index()] = (tag, expected);
                Ok(())
            }
            Err(AddError::Full) => Err(Error::new(Errno::EBUSY, "the queue is full")),
            Err(_) => Err(Error::new(Errno::EIO, "the queue does not take the request")),
        }
    }

    fn kick(&self, lane: usize) {
        if self.lanes[lane].state.lock().queue.should_notify() {
            self.session.notify(lane as u16);
        }
    }

    fn reset(&self) -> Result<()> {
        let outcome = self.session.restart().and_then(|()| self.enable());
        if outcome.is_err() {
            self.session.stop();
        }
        outcome
    }

    fn stop(&self) {
        self.session.stop();
    }

    fn identify(&self) -> Identity {
        self.identity.get().cloned().unwrap_or_default()
    }
}
