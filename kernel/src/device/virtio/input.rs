//! virtio-input: keyboards, mice and tablets (virtio 1.2, section 5.8).
//!
//! The device says events of eight bytes into buffers that it has all the time; what it says goes through
//! [`EventDevice`], which believes nothing. Lights go the other way, through a queue of their own.

use super::session::Session;
use super::slots::Slots;
use super::{VirtioDevice, kind as device_kind};
use crate::device::bus::{Device, Driver, InService, wait_until_alone};
use crate::device::input::{Axis, Codes, Description, EventDevice, Id, Repeating, Request, code, kind};
use crate::error::Result;
use alloc::{boxed::Box, format, string::String, sync::Arc, sync::Weak, vec::Vec};
use machine::sync::{IrqSpinLock, Once};

/// Queues.
const EVENTS: u16 = 0;
const STATUS: u16 = 1;

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

    fn attach(&self, device: &Arc<VirtioDevice>) -> Result<Box<dyn InService>> {
        let session = device.start(0)?;
        let description = describe(&session, device.node().name());
        let events = Slots::set_up(&session, EVENTS, EVENT)?;
        let status = Slots::set_up(&session, STATUS, EVENT)?;
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
        input.offer_all();
        Ok(Box::new(InUse(input)))
    }
}

struct InUse(Arc<Input>);

impl InService for InUse {
    fn remove(self: Box<Self>) {
        let InUse(input) = *self;
        input.session.silence();
        if let Some(device) = input.device.get() {
            device.unregister();
        }
        input.session.stop();
        // Somebody may be switching lights.
        wait_until_alone(&input);
    }
}

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
    events: IrqSpinLock<Slots>,
    status: IrqSpinLock<Slots>,
    device: Once<Arc<EventDevice>>,
}

impl Input {
    /// Gives the device all buffers for events.
    fn offer_all(&self) {
        let mut events = self.events.lock();
        while events.offer() {}
        let should_notify = events.should_notify();
        drop(events);
        if should_notify {
            self.session.notify(EVENTS);
        }
    }

    fn interrupt(&self) {
        let Some(device) = self.device.get() else { return };
        for _ in 0..EVENTS_PER_INTERRUPT {
            let mut events = self.events.lock();
            let Some(slot) = events.take() else { break };
            let mut bytes = [0; EVENT];
            events.read(slot, &mut bytes);
            events.free_slot(slot);
            events.offer();
            drop(events);
            if slot.written == EVENT {
                let [k0, k1, c0, c1, v0, v1, v2, v3] = bytes;
                let value = i32::from_le_bytes([v0, v1, v2, v3]);
                device.event(u16::from_le_bytes([k0, k1]), u16::from_le_bytes([c0, c1]), value);
            }
        }
        let mut events = self.events.lock();
        let (should_notify, fault) = (events.should_notify(), events.take_fault());
        drop(events);
        if should_notify {
            self.session.notify(EVENTS);
        }
        if let Some(error) = fault {
            log::error!("virtio: an input device breaks the rules: {error}");
        }
        self.status.lock().reclaim();
    }

    /// Has the device do something; a full queue loses it. Any context.
    fn output(&self, request: Request) {
        // Keys are repeated here, not by the device.
        let Request::Lights(lights) = request else { return };
        let mut status = self.status.lock();
        for (number, light) in (0_u16..).zip(crate::device::input::LIGHTS) {
            let value = i32::from(lights.contains(light));
            let event = event_bytes(kind::LED, number, value);
            status.send(&event);
        }
        status.send(&event_bytes(kind::SYN, code::SYN_REPORT, 0));
        let should_notify = status.should_notify();
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
