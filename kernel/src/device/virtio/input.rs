//! virtio-input: keyboards, mice and tablets (virtio 1.2, section 5.8).
//!
//! The device says events of eight bytes into buffers that it has all the time; what it says goes through
//! [`EventDevice`], which believes nothing. Lights go the other way, through a queue of their own.

use super::queue::{Buffer, SharedMemory};
use super::session::{Session, feature};
use super::{QueueAddresses, VirtioDevice, kind as device_kind};
use crate::device::bus::{Device, Driver};
use crate::device::input::{Axis, Codes, Description, EventDevice, Id, Repeating, Request, code, kind};
use crate::error::{Error, Result};
use abi::errno::Errno;
use alloc::{boxed::Box, format, string::String, sync::Arc, sync::Weak, vec::Vec};
use machine::mm::DmaBuffer;
use machine::sync::{IrqSpinLock, Once};
use virtqueue::{Features, Layout, VirtQueue};

/// Queues.
const EVENTS: u16 = 0;
const STATUS: u16 = 1;

/// Descriptors of a queue, if the device has as many.
const MAX_SIZE: u16 = 64;
/// Bytes of an event: kind, code, value.
const EVENT: usize = 8;
/// Events that are taken in one interrupt: a broken device does not hold the CPU.
const EVENTS_PER_INTERRUPT: usize = 256;

/// What can be asked of the configuration, by writing it into the first byte.
mod select {
    pub(super) const NAME: u8 = 0x01;
    pub(super) const SERIAL: u8 = 0x02;
    pub(super) const IDS: u8 = 0x03;
    pub(super) const PROPERTIES: u8 = 0x10;
    pub(super) const EVENTS: u8 = 0x11;
    pub(super) const AXES: u8 = 0x12;
}

/// Offsets in the configuration.
mod config {
    pub(super) const SELECT: usize = 0;
    pub(super) const SUBSELECT: usize = 1;
    pub(super) const SIZE: usize = 2;
    pub(super) const DATA: usize = 8;
    pub(super) const DATA_LENGTH: usize = 128;
}

/// The driver.
pub(crate) struct InputDriver;

impl Driver<VirtioDevice> for InputDriver {
    fn name(&self) -> &'static str {
        "virtio_input"
    }

    fn matches(&self, device: &VirtioDevice) -> bool {
        device.kind() == device_kind::INPUT
    }

    fn attach(&self, device: &Arc<VirtioDevice>) -> Result<()> {
        let session = device.start(0)?;
        let description = describe(&session, device.node().name());
        let events = Queue::new(&session, EVENTS)?;
        let status = Queue::new(&session, STATUS)?;
        let input = Arc::new(Input {
            session,
            events: IrqSpinLock::new("virtio-input events", events),
            status: IrqSpinLock::new("virtio-input status", status),
            device: Once::new(),
        });
        let weak = Arc::downgrade(&input);
        let output = Box::new(move |request| {
            if let Some(input) = weak.upgrade() {
                input.output(request);
            }
        });
        input.device.call_once(|| EventDevice::register(description, output));
        let weak = Arc::downgrade(&input);
        let handler = move || {
            if let Some(input) = Weak::upgrade(&weak) {
                input.interrupt();
            }
        };
        input.session.set_handler("virtio-input", Arc::new(handler));
        input.session.set_ready();
        input.offer_all()?;
        // Devices stay as long as the system.
        KEPT.lock().push(input);
        Ok(())
    }
}

static KEPT: IrqSpinLock<Vec<Arc<Input>>> = IrqSpinLock::new("virtio-input devices", Vec::new());

/// Asks the configuration; nothing if the device does not know.
fn ask(session: &Session, select: u8, subselect: u8) -> Vec<u8> {
    session.set_config(config::SUBSELECT, subselect);
    session.set_config(config::SELECT, select);
    let size = usize::from(session.config::<u8>(config::SIZE)).min(config::DATA_LENGTH);
    (0..size).map(|index| session.config(config::DATA + index)).collect()
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// What the device says of itself.
fn describe(session: &Session, place: &str) -> Description {
    let ids = ask(session, select::IDS, 0);
    let id = |index: usize| match ids.get(2 * index..2 * index + 2) {
        Some(&[low, high]) => u16::from_le_bytes([low, high]),
        _ => 0,
    };
    let mut description = Description {
        name: text(&ask(session, select::NAME, 0)),
        serial: text(&ask(session, select::SERIAL, 0)),
        place: format!("{place}/input0"),
        id: Id { bus: id(0), vendor: id(1), product: id(2), version: id(3) },
        properties: Codes::from_bytes(&ask(session, select::PROPERTIES, 0)),
        ..Description::default()
    };
    for kind in 1..kind::KINDS as u16 {
        let codes = ask(session, select::EVENTS, kind as u8);
        if kind == kind::REP && !codes.is_empty() {
            description.repeating = Repeating::Timer;
            description.add_all(kind::REP, 0..2);
        } else {
            description.add(kind, Codes::from_bytes(&codes));
        }
    }
    for axis in 0..64_u16 {
        if description.has(kind::ABS, axis) {
            let bytes = ask(session, select::AXES, axis as u8);
            let value = |index: usize| match bytes.get(4 * index..4 * index + 4) {
                Some(&[a, b, c, d]) => i32::from_le_bytes([a, b, c, d]),
                _ => 0,
            };
            let (minimum, maximum, fuzz, flat) = (value(0), value(1), value(2), value(3));
            let found = Axis { value: 0, minimum, maximum, fuzz, flat, resolution: value(4) };
            description.axes.push((axis, found));
        }
    }
    description
}

/// A device in service.
struct Input {
    // Dropped first: the device is reset before the queues' memory goes.
    session: Session,
    events: IrqSpinLock<Queue>,
    status: IrqSpinLock<Queue>,
    device: Once<Arc<EventDevice>>,
}

/// A queue with a buffer of one event for each of its descriptors.
struct Queue {
    queue: VirtQueue<SharedMemory>,
    buffers: DmaBuffer,
    /// The buffer of each chain that the device has, by token.
    places: Vec<usize>,
    free: Vec<usize>,
    is_broken: bool,
}

impl Queue {
    fn new(session: &Session, number: u16) -> Result<Self> {
        let unusable = || Error::new(Errno::ENODEV, "the device's queue is of no use");
        let size = session.max_queue_size(number)?.min(MAX_SIZE);
        let features = Features { event_index: session.has(feature::EVENT_IDX), indirect: 0 };
        let layout = Layout::new(size, features).map_err(|_| unusable())?;
        let memory = SharedMemory::new(DmaBuffer::allocate(layout.len)?);
        let queue = VirtQueue::new(memory, size, features).map_err(|_| unusable())?;
        let addresses = queue.addresses();
        let addresses = QueueAddresses {
            descriptors: addresses.descriptors,
            available: addresses.driver,
            used: addresses.device,
        };
        session.enable_queue(number, size, addresses)?;
        let size = usize::from(size);
        let buffers = DmaBuffer::allocate(size * EVENT)?;
        Ok(Self { queue, buffers, places: alloc::vec![0; size], free: (0..size).collect(), is_broken: false })
    }

    /// Gives the device a free buffer, which it writes or reads; `false` if there is none.
    fn offer(&mut self, buffer: fn(u64, u32) -> Buffer, fill: Option<&[u8; EVENT]>) -> bool {
        let Some(place) = self.free.pop() else { return false };
        if let Some(bytes) = fill {
            self.buffers.write(place * EVENT, bytes);
        }
        let address = self.buffers.address().as_u64() + (place * EVENT) as u64;
        match self.queue.add(&[buffer(address, EVENT as u32)]) {
            Ok(token) => {
                self.places[token.index()] = place;
                true
            }
            Err(_) => {
                self.free.push(place);
                false
            }
        }
    }

    /// What the device has done: the buffer, and how much it wrote.
    fn take(&mut self) -> Option<(usize, u32)> {
        if self.is_broken {
            return None;
        }
        match self.queue.pop_used() {
            Ok(used) => used.map(|used| (self.places[used.token.index()], used.written)),
            Err(error) => {
                log::error!("virtio: an input device breaks the rules: {error}");
                self.is_broken = true;
                None
            }
        }
    }
}

impl Input {
    /// Gives the device all buffers for events.
    fn offer_all(&self) -> Result<()> {
        let mut events = self.events.lock();
        while events.offer(Buffer::from_device, None) {}
        let should_notify = events.queue.should_notify();
        drop(events);
        if should_notify {
            self.session.notify(EVENTS);
        }
        Ok(())
    }

    fn interrupt(&self) {
        let Some(device) = self.device.get() else { return };
        for _ in 0..EVENTS_PER_INTERRUPT {
            let mut events = self.events.lock();
            let Some((place, written)) = events.take() else { break };
            let mut bytes = [0; EVENT];
            events.buffers.read(place * EVENT, &mut bytes);
            events.free.push(place);
            events.offer(Buffer::from_device, None);
            drop(events);
            if written as usize == EVENT {
                let [k0, k1, c0, c1, v0, v1, v2, v3] = bytes;
                let value = i32::from_le_bytes([v0, v1, v2, v3]);
                device.event(u16::from_le_bytes([k0, k1]), u16::from_le_bytes([c0, c1]), value);
            }
        }
        let should_notify = self.events.lock().queue.should_notify();
        if should_notify {
            self.session.notify(EVENTS);
        }
        let mut status = self.status.lock();
        while let Some((place, _)) = status.take() {
            status.free.push(place);
        }
    }

    /// Has the device do something; a full queue loses it. Any context.
    fn output(&self, request: Request) {
        // Keys are repeated here, not by the device.
        let Request::Lights(lights) = request else { return };
        let mut status = self.status.lock();
        for (number, light) in (0_u16..).zip(crate::device::input::LIGHTS) {
            let value = i32::from(lights.contains(light));
            let event = event_bytes(kind::LED, number, value);
            status.offer(Buffer::to_device, Some(&event));
        }
        status.offer(Buffer::to_device, Some(&event_bytes(kind::SYN, code::SYN_REPORT, 0)));
        let should_notify = status.queue.should_notify();
        drop(status);
        if should_notify {
            self.session.notify(STATUS);
        }
    }
}

fn event_bytes(kind: u16, code: u16, value: i32) -> [u8; EVENT] {
    let mut bytes = [0; EVENT];
    bytes[..2].copy_from_slice(&kind.to_le_bytes());
    bytes[2..4].copy_from_slice(&code.to_le_bytes());
    bytes[4..].copy_from_slice(&value.to_le_bytes());
    bytes
}
