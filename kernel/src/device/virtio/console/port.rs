//! One port of a console, and the line of its terminal.
//!
//! What is written goes into buffers of the device at once. Who writes waits only if the device has all of them; one that
//! gives none back for [`PATIENCE_NS`] is not waited for again until it does.

use super::super::session::Session;
use super::super::slots::Slots;
use super::{ConsoleDevice, window};
use crate::device::random;
use crate::error::Result;
use crate::tty::{self, Line, Tty};
use abi::stat::DeviceNumber;
use abi::tty::Termios;
use alloc::{boxed::Box, format, sync::Arc, sync::Weak};
use core::sync::atomic::{AtomicBool, Ordering, fence};
use machine::sync::IrqSpinLock;
use machine::time;

/// The terminals' numbers.
const MAJOR: u32 = 229;

/// Bytes of a buffer.
const SLOT: usize = 128;
/// Buffers that are taken in one interrupt: a broken device does not hold the CPU.
const SLOTS_PER_INTERRUPT: usize = 256;
/// How long a device may leave a writer without buffers.
const PATIENCE_NS: u64 = 100_000_000;

/// A port.
pub(super) struct Port {
    id: u32,
    receive: IrqSpinLock<Slots>,
    send: IrqSpinLock<Slots>,
    /// Somebody waits for room, or for the end of output. Set before the buffers are looked at once more.
    is_watched: AtomicBool,
    /// The device gives no buffers back.
    is_stuck: AtomicBool,
    terminal: IrqSpinLock<Option<Terminal>>,
}

/// The terminal of a port, and its line's way to the device.
#[derive(Clone)]
struct Terminal {
    tty: Weak<Tty>,
    way: Arc<Way>,
}

/// Leads to the device as long as the port is there, however long its terminal is open.
type Way = IrqSpinLock<Option<Arc<ConsoleDevice>>>;

impl Port {
    /// Sets up the queues of a port.
    pub(super) fn new(session: &Session, id: u32) -> Result<Self> {
        let receive = Slots::set_up(session, receive_queue(id), SLOT)?;
        let send = Slots::set_up(session, send_queue(id), SLOT)?;
        Ok(Self {
            id,
            receive: IrqSpinLock::new("virtio-console input", receive),
            send: IrqSpinLock::new("virtio-console output", send),
            is_watched: AtomicBool::new(false),
            is_stuck: AtomicBool::new(false),
            terminal: IrqSpinLock::new("virtio-console terminal", None),
        })
    }

    /// Whether it has a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        self.terminal.lock().is_some()
    }

    /// The same without waiting for the lock: who holds it has a terminal in hand.
    fn is_terminal_in_panic(&self) -> bool {
        self.terminal.try_lock().is_none_or(|terminal| terminal.is_some())
    }

    fn tty(&self) -> Option<Arc<Tty>> {
        self.terminal.lock().as_ref().and_then(|terminal| terminal.tty.upgrade())
    }

    /// Input is wanted: gives the device all buffers.
    pub(super) fn listen(&self, session: &Session) {
        let mut receive = self.receive.lock();
        while receive.offer() {}
        let should_notify = receive.should_notify();
        drop(receive);
        if should_notify {
            session.notify(receive_queue(self.id));
        }
    }

    /// The window has another size.
    pub(super) fn resize(&self, rows: u16, columns: u16) {
        if let Some(tty) = self.tty() {
            tty.set_window(window(rows, columns));
        }
    }

    /// The port is gone, and with it its terminal. May sleep.
    pub(super) fn disconnect(&self) {
        let Some(Terminal { tty, way }) = self.terminal.lock().take() else { return };
        if let Some(tty) = tty.upgrade() {
            tty::remove(&tty);
        }
        let device = way.lock().take();
        drop(device);
    }

    /// The device has done something, here or elsewhere.
    pub(super) fn interrupt(&self, session: &Session) {
        let Some(tty) = self.tty() else { return };
        let mut has_news = false;
        for _ in 0..SLOTS_PER_INTERRUPT {
            let mut receive = self.receive.lock();
            let Some(slot) = receive.take() else { break };
            let mut bytes = [0; SLOT];
            receive.read(slot, &mut bytes);
            receive.free_slot(slot);
            receive.offer();
            drop(receive);
            has_news = true;
            tty.receive(&bytes[..slot.written]);
        }
        if has_news {
            random::add_time();
            let should_notify = self.receive.lock().should_notify();
            if should_notify {
                session.notify(receive_queue(self.id));
            }
        }
        let mut send = self.send.lock();
        self.reclaim(&mut send);
        let has_room = send.in_flight() <= send.count() / 2;
        let fault = send.take_fault();
        drop(send);
        if has_room && self.is_watched.swap(false, Ordering::SeqCst) {
            tty.writable.wake_all();
        }
        let fault = fault.or_else(|| self.receive.lock().take_fault());
        if let Some(error) = fault {
            log::error!("virtio: a console breaks the rules: {error}");
        }
    }

    /// Takes back buffers that the device has read.
    fn reclaim(&self, send: &mut Slots) {
        let before = send.in_flight();
        send.reclaim();
        if send.in_flight() < before {
            self.is_stuck.store(false, Ordering::Relaxed);
        }
    }

    /// Hands over what fits into one buffer. `false`: there is none.
    fn try_send(&self, session: &Session, bytes: &[u8]) -> bool {
        let mut send = self.send.lock();
        self.reclaim(&mut send);
        let is_sent = send.send(bytes);
        let should_notify = is_sent && send.should_notify();
        drop(send);
        if should_notify {
            session.notify(send_queue(self.id));
        }
        is_sent
    }

    fn write(&self, session: &Session, bytes: &[u8]) {
        for piece in bytes.chunks(SLOT) {
            let begun = time::monotonic_ns();
            while !self.try_send(session, piece) {
                // What finds no buffer is lost.
                if self.is_stuck.load(Ordering::Relaxed) {
                    return;
                }
                let is_long = time::monotonic_ns().wrapping_sub(begun) > PATIENCE_NS;
                self.is_stuck.store(is_long, Ordering::Relaxed);
                core::hint::spin_loop();
            }
        }
    }

    /// Buffers that the device has, and all of them; whoever asks is told when it has fewer.
    fn in_flight(&self) -> (usize, usize) {
        let look = || {
            let mut send = self.send.lock();
            self.reclaim(&mut send);
            (send.in_flight(), send.count())
        };
        match look() {
            idle @ (0, _) => idle,
            _ => {
                self.is_watched.store(true, Ordering::SeqCst);
                fence(Ordering::SeqCst);
                look()
            }
        }
    }

    /// As [`write`](Self::write), when nothing else works any more: waits until the device has read it, but not for long,
    /// and for no lock. Gives back what the device did not take.
    fn write_in_panic<'b>(&self, session: &Session, mut bytes: &'b [u8]) -> &'b [u8] {
        let Some(mut send) = self.send.try_lock() else { return bytes };
        send.reclaim();
        while !bytes.is_empty() && !self.is_stuck.load(Ordering::Relaxed) {
            let (piece, rest) = bytes.split_at(bytes.len().min(SLOT));
            if send.send(piece) {
                bytes = rest;
            }
            // Told in any case: it may wait for another index.
            send.should_notify();
            session.notify(send_queue(self.id));
            self.is_stuck.store(!is_all_read(&mut send), Ordering::Relaxed);
        }
        bytes
    }
}

/// Waits until the device has given back all buffers, for a while.
fn is_all_read(send: &mut Slots) -> bool {
    let begun = time::monotonic_ns();
    loop {
        send.reclaim();
        if send.in_flight() == 0 {
            return true;
        }
        if time::monotonic_ns().wrapping_sub(begun) > PATIENCE_NS {
            return false;
        }
        core::hint::spin_loop();
    }
}

/// The queues of a port (section 5.3.2): the two for messages stand between those of the first and the others.
fn receive_queue(id: u32) -> u16 {
    if id == 0 { 0 } else { 2 * id as u16 + 2 }
}

fn send_queue(id: u32) -> u16 {
    receive_queue(id) + 1
}

/// Makes terminal hvc`number` of a port of the device.
pub(super) fn terminal(number: u32, device: Arc<ConsoleDevice>, index: usize) -> Arc<Tty> {
    let way = Arc::new(Way::new("virtio-console line", Some(device.clone())));
    let place = DeviceNumber::new(MAJOR, number);
    let line = Box::new(PortLine { way: way.clone(), index });
    let tty = Tty::new(format!("hvc{number}"), place, Termios::default(), line);
    *device.ports[index].terminal.lock() = Some(Terminal { tty: Arc::downgrade(&tty), way });
    tty
}

/// What the terminal writes to: while the device is there, a port of it.
struct PortLine {
    way: Arc<Way>,
    index: usize,
}

impl PortLine {
    fn device(&self) -> Option<Arc<ConsoleDevice>> {
        self.way.lock().clone()
    }
}

impl Line for PortLine {
    fn write(&self, bytes: &[u8]) {
        if let Some(device) = self.device() {
            device.ports[self.index].write(&device.session, bytes);
        }
    }

    fn room(&self) -> usize {
        let Some(device) = self.device() else { return usize::MAX };
        let (in_flight, count) = device.ports[self.index].in_flight();
        (count - in_flight) * SLOT
    }

    fn waiting(&self) -> usize {
        self.device().map_or(0, |device| device.ports[self.index].in_flight().0)
    }

    #[cfg(feature = "tests")]
    fn while_held(&self, act: &mut dyn FnMut()) {
        let device = self.device().expect("the device is there");
        let _send = device.ports[self.index].send.lock();
        act();
    }

    fn write_in_panic(&self, bytes: &[u8]) {
        let Some(device) = self.way.try_lock().and_then(|way| way.clone()) else { return };
        let rest = device.ports[self.index].write_in_panic(&device.session, bytes);
        let is_first = device.ports.iter().position(Port::is_terminal_in_panic) == Some(self.index);
        if is_first {
            // Which needs no queue; but the host may lose bytes.
            rest.iter().for_each(|byte| device.write_in_emergency(*byte));
        }
    }
}

#[cfg(feature = "tests")]
mod tests {
    use crate::tty;
    use machine::time;
    use test_macro::kernel_test;

    /// As in a panic that comes while this CPU, or one that was stopped, prints there. Where the device can print without
    /// its queues, the text comes out, and the boot test reads it.
    #[kernel_test]
    fn a_panic_waits_for_nobody_who_holds_a_console() {
        let Some(tty) = tty::find("hvc0") else { return };
        let line = tty.line();
        line.while_held(&mut || line.write_in_panic(b"(printed while the lock was held)\r\n"));
        // And nothing is broken afterwards.
        line.write(b"(printed later)\r\n");
        let deadline = time::monotonic_ns() + 10_000_000_000;
        while line.waiting() > 0 && time::monotonic_ns() < deadline {
            core::hint::spin_loop();
        }
        assert_eq!(line.waiting(), 0);
    }
}
