//! virtio-console: terminals hvc0, hvc1, ... (virtio 1.2, section 5.3).
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | the device: queues, which port is what |
//! | `port.rs` | one port, and the line of its terminal |
//!
//! With one port only, that is a terminal at once. With several (VIRTIO_CONSOLE_F_MULTIPORT) the device says by messages
//! on a queue of their own which ports there are and which of them are terminals; what is there at boot is known when the
//! driver has taken the device, what comes later is seen to by a thread. Ports that are no terminals are not used.
//!
//! A terminal whose port or device goes is hung up and not found any more; its number is used again when nobody has it
//! open.
//!
//! Locks: those of a queue disable interrupts, and nothing is printed and no other lock taken under them; so the log can
//! be printed in any context. Bytes are handed to a terminal without them.

mod port;

use super::session::Session;
use super::slots::Slots;
use super::{VirtioDevice, kind as device_kind};
use crate::device::bus::{Driver, InService};
use crate::error::Result;
use crate::sched;
use crate::sched::wait::WaitQueue;
use crate::sync::Mutex;
use crate::tty::{self, Tty};
use abi::tty::Winsize;
use alloc::{boxed::Box, sync::Arc, sync::Weak, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering};
use machine::sync::IrqSpinLock;
use machine::time;
use port::Port;

/// Features of these devices.
mod feature {
    /// It knows the size of its window.
    pub(super) const SIZE: u64 = 1 << 0;
    /// It has several ports.
    pub(super) const MULTIPORT: u64 = 1 << 1;
    /// A byte can be written without any queue.
    pub(super) const EMERGENCY_WRITE: u64 = 1 << 2;
}

/// Offsets in the configuration.
mod config {
    pub(super) const COLUMNS: usize = 0;
    pub(super) const ROWS: usize = 2;
    pub(super) const MAX_PORTS: usize = 4;
    pub(super) const EMERGENCY_WRITE: usize = 8;
}

/// What messages say.
mod event {
    pub(super) const DEVICE_READY: u16 = 0;
    pub(super) const PORT_ADD: u16 = 1;
    pub(super) const PORT_REMOVE: u16 = 2;
    pub(super) const PORT_READY: u16 = 3;
    pub(super) const CONSOLE_PORT: u16 = 4;
    pub(super) const RESIZE: u16 = 5;
    pub(super) const PORT_OPEN: u16 = 6;
}

/// Queues for messages; those of ports stand around them.
const CONTROL_RECEIVE: u16 = 2;
const CONTROL_SEND: u16 = 3;

/// Ports that are used of a device: each costs some kilobytes, needed or not.
const MOST_PORTS: u32 = 4;
/// Bytes of a message: port, event, value; and what follows.
const MESSAGE: usize = 8;
const MESSAGE_BUFFER: usize = 64;
/// Messages in a row that the device may send before it is this side's turn.
const MOST_MESSAGES: usize = 256;
/// How long the device may take for a message while the system boots.
const ANSWER_NS: u64 = 1_000_000_000;

/// The driver.
pub(crate) struct ConsoleDriver;

impl Driver<VirtioDevice> for ConsoleDriver {
    fn name(&self) -> &'static str {
        "virtio_console"
    }

    fn matches(&self, device: &VirtioDevice) -> bool {
        device.kind() == device_kind::CONSOLE
    }

    fn attach(&self, device: &Arc<VirtioDevice>) -> Result<Box<dyn InService>> {
        let session = device.start(feature::SIZE | feature::MULTIPORT | feature::EMERGENCY_WRITE)?;
        let has_several = session.has(feature::MULTIPORT);
        let offered = if has_several { session.config::<u32>(config::MAX_PORTS) } else { 1 };
        let ports = (0..offered.clamp(1, MOST_PORTS)).map(|id| Port::new(&session, id));
        let ports = ports.collect::<Result<Vec<_>>>()?;
        let control = if has_several { Some(Control::new(&session)?) } else { None };
        let (news, is_gone) = (WaitQueue::named("virtio-console"), AtomicBool::new(false));
        let console = Arc::new(ConsoleDevice { session, ports, control, news, is_gone });
        let weak = Arc::downgrade(&console);
        let handler = move || {
            if let Some(console) = Weak::upgrade(&weak) {
                console.interrupt();
            }
        };
        console.session.set_handler("virtio-console", Arc::new(handler));
        console.session.set_ready();
        let service = Box::new(InUse(console.clone()));
        match console.begin() {
            Ok(()) => Ok(service),
            Err(error) => {
                drop(console);
                service.remove();
                Err(error)
            }
        }
    }
}

struct InUse(Arc<ConsoleDevice>);

impl InService for InUse {
    fn remove(self: Box<Self>) {
        let InUse(console) = *self;
        console.is_gone.store(true, Ordering::Release);
        console.news.wake_all();
        console.session.silence();
        loop {
            // Its thread may have been about to make one.
            console.ports.iter().for_each(Port::disconnect);
            if Arc::strong_count(&console) == 1 {
                return;
            }
            sched::sleep_until(time::monotonic_ns() + 1_000_000);
        }
    }
}

/// Terminals by number. The number of one that nobody has any more is free.
static NUMBERS: Mutex<Vec<Weak<Tty>>> = Mutex::new("virtio-console numbers", Vec::new());

/// A device in service.
struct ConsoleDevice {
    // Dropped first: the device is reset before the queues' memory goes.
    session: Session,
    ports: Vec<Port>,
    control: Option<Control>,
    /// Woken when there may be a message.
    news: WaitQueue,
    is_gone: AtomicBool,
}

/// The queues for messages.
struct Control {
    receive: IrqSpinLock<Slots>,
    send: IrqSpinLock<Slots>,
}

impl Control {
    fn new(session: &Session) -> Result<Self> {
        let receive = Slots::set_up(session, CONTROL_RECEIVE, MESSAGE_BUFFER)?;
        let send = Slots::set_up(session, CONTROL_SEND, MESSAGE_BUFFER)?;
        Ok(Self {
            receive: IrqSpinLock::new("virtio-console messages", receive),
            send: IrqSpinLock::new("virtio-console answers", send),
        })
    }

    /// Gives the device buffers for messages.
    fn offer(&self, session: &Session) {
        let mut receive = self.receive.lock();
        while receive.offer() {}
        let should_notify = receive.should_notify();
        drop(receive);
        if should_notify {
            session.notify(CONTROL_RECEIVE);
        }
    }

    /// Sends a message; a device that takes none for long loses it.
    fn send(&self, session: &Session, port: u32, event: u16, value: u16) {
        let mut bytes = [0; MESSAGE];
        bytes[..4].copy_from_slice(&port.to_le_bytes());
        bytes[4..6].copy_from_slice(&event.to_le_bytes());
        bytes[6..].copy_from_slice(&value.to_le_bytes());
        let mut send = self.send.lock();
        send.reclaim();
        send.send(&bytes);
        let should_notify = send.should_notify();
        drop(send);
        if should_notify {
            session.notify(CONTROL_SEND);
        }
    }

    /// Waits until the device has read what was sent.
    fn wait_until_read(&self) {
        let deadline = time::monotonic_ns() + ANSWER_NS;
        let is_read = || {
            let mut send = self.send.lock();
            send.reclaim();
            send.in_flight() == 0
        };
        while !is_read() && time::monotonic_ns() < deadline {
            core::hint::spin_loop();
        }
    }

    /// The next message, as far as it is one.
    fn next(&self) -> Option<[u8; MESSAGE_BUFFER]> {
        let mut receive = self.receive.lock();
        let slot = receive.take()?;
        let mut bytes = [0; MESSAGE_BUFFER];
        receive.read(slot, &mut bytes);
        bytes[slot.written..].fill(0);
        receive.free_slot(slot);
        Some(bytes)
    }
}

impl ConsoleDevice {
    /// The device works: asks what it has.
    fn begin(self: &Arc<Self>) -> Result<()> {
        let Some(control) = &self.control else {
            self.add_terminal(0);
            return Ok(());
        };
        control.offer(&self.session);
        control.send(&self.session, 0, event::DEVICE_READY, 1);
        // QEMU has answered a message when it gives the buffer back; a device that takes longer is heard later.
        loop {
            control.wait_until_read();
            if self.hear(control) == 0 {
                break;
            }
        }
        let console = self.clone();
        sched::spawn("virtio-console", move || {
            loop {
                let is_gone = || console.is_gone.load(Ordering::Acquire);
                console.news.wait_for_work(|| (is_gone() || console.has_messages()).then_some(()));
                if is_gone() {
                    return;
                }
                if let Some(control) = &console.control {
                    console.hear(control);
                }
            }
        })?;
        Ok(())
    }

    fn has_messages(&self) -> bool {
        self.control.as_ref().is_some_and(|control| control.receive.lock().has_used())
    }

    /// Does what messages say; how many there were. May sleep.
    fn hear(self: &Arc<Self>, control: &Control) -> usize {
        let mut count = 0;
        while count < MOST_MESSAGES
            && let Some(message) = control.next()
        {
            count += 1;
            self.obey(control, &message);
        }
        control.offer(&self.session);
        count
    }

    fn obey(self: &Arc<Self>, control: &Control, message: &[u8; MESSAGE_BUFFER]) {
        let &[p0, p1, p2, p3, e0, e1, v0, v1, x0, x1, y0, y1, ..] = message;
        let (id, value) = (u32::from_le_bytes([p0, p1, p2, p3]), u16::from_le_bytes([v0, v1]));
        let port = self.ports.get(id as usize);
        match (u16::from_le_bytes([e0, e1]), port) {
            (event::PORT_ADD, _) => {
                let is_usable = u16::from(port.is_some());
                control.send(&self.session, id, event::PORT_READY, is_usable);
            }
            (event::PORT_REMOVE, Some(port)) => {
                log::info!("virtio: a console's port {id} is gone");
                port.disconnect();
            }
            (event::CONSOLE_PORT, Some(_)) if value != 0 => {
                self.add_terminal(id as usize);
                control.send(&self.session, id, event::PORT_OPEN, 1);
            }
            (event::RESIZE, Some(port)) => {
                let (columns, rows) = (u16::from_le_bytes([x0, x1]), u16::from_le_bytes([y0, y1]));
                port.resize(rows, columns);
            }
            _ => {}
        }
    }

    /// A port is a terminal. May sleep.
    fn add_terminal(self: &Arc<Self>, index: usize) {
        let Some(port) = self.ports.get(index).filter(|port| !port.is_terminal()) else { return };
        let tty = {
            let mut numbers = NUMBERS.lock();
            let free = numbers.iter().position(|tty| tty.strong_count() == 0).unwrap_or(numbers.len());
            let tty = port::terminal(free as u32, self.clone(), index);
            match numbers.get_mut(free) {
                Some(place) => *place = Arc::downgrade(&tty),
                None => numbers.push(Arc::downgrade(&tty)),
            }
            tty
        };
        if self.session.has(feature::SIZE) && self.control.is_none() {
            port.resize(self.session.config(config::ROWS), self.session.config(config::COLUMNS));
        }
        log::info!("tty: {} is a virtio-console", tty.name());
        tty::add(tty);
        port.listen(&self.session);
    }

    fn interrupt(&self) {
        self.ports.iter().for_each(|port| port.interrupt(&self.session));
        if self.has_messages() {
            self.news.wake_all();
        }
    }

    /// Writes a byte without a queue, if the device can do that; it comes out at its first terminal.
    fn write_in_emergency(&self, byte: u8) {
        if self.session.has(feature::EMERGENCY_WRITE) {
            self.session.set_config(config::EMERGENCY_WRITE, u32::from(byte));
        }
    }
}

/// A window of that size; nothing is known of its pixels.
fn window(rows: u16, columns: u16) -> Winsize {
    Winsize { row: rows, col: columns, xpixel: 0, ypixel: 0 }
}
