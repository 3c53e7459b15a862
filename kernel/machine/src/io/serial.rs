//! The serial lines (16550 UARTs) of a PC, COM1 to COM4.
//!
//! Output goes into a ring and leaves by interrupts, a FIFO at a time: whoever prints does not wait for the wire (a byte
//! takes 87 µs at 115200 baud). Only when the ring is full, and before the interrupt is set up, it is sent by polling.
//! Input arrives by interrupt.
//!
//! [`emergency_write`] and [`drain`] need nothing that was set up before and wait for no lock, so they work in early
//! boot, in a panic and in an NMI, whoever holds what. A ring can be read without its lock for that: all of it is
//! atomic, and a byte is in it before `head` says so.
//!
//! Source: PC16550D data sheet, section 8 (registers).
//!
//! # Soundness
//! The ports of COM1 to COM4 are only touched here ([`super::ports`] refuses them), and a UART cannot
//! write memory.

use super::port;
use crate::irq::{Claim, Handled, IrqError, IrqLine};
use crate::sync::IrqSpinLock;
use crate::time;
use alloc::{boxed::Box, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};

const BASES: [u16; 4] = [0x3f8, 0x2f8, 0x3e8, 0x2e8];
const IRQS: [u8; 4] = [4, 3, 4, 3];

/// Register offsets, and the bits used here.
const DATA: u16 = 0;
const INTERRUPT_ENABLE: u16 = 1;
const INTERRUPT_IDENTITY: u16 = 2;
const FIFO_CONTROL: u16 = 2;
const LINE_CONTROL: u16 = 3;
const MODEM_CONTROL: u16 = 4;
const LINE_STATUS: u16 = 5;
const SCRATCH: u16 = 7;

const RECEIVED_DATA: u8 = 1 << 0;
const TRANSMITTER_READY: u8 = 1 << 1;
const NO_INTERRUPT: u8 = 1 << 0;
const HAS_FIFO: u8 = 0b1100_0000;
const DIVISOR_LATCH: u8 = 1 << 7;
const EIGHT_BITS: u8 = 0b11;
/// Enable and clear both FIFOs, interrupt at 14 bytes (or after a pause of four characters).
const FIFO_ON: u8 = 0b1100_0111;
/// DTR, RTS, and OUT2, which lets the interrupt line out on a PC.
const MODEM_ON: u8 = 0b1011;
const DATA_READY: u8 = 1 << 0;
const OVERRUN: u8 = 1 << 1;
const BREAK: u8 = 1 << 4;
const HOLDING_EMPTY: u8 = 1 << 5;
const TRANSMITTER_EMPTY: u8 = 1 << 6;
const FIFO_BYTES: usize = 16;

/// Bytes that wait for the wire at most; a power of two.
const RING_BYTES: usize = 4096;
/// With less room than this, somebody who wants to write may wait.
const LITTLE_ROOM: usize = RING_BYTES / 2;
/// FIFOs filled at a time: on a wire the first is all there is room for, an emulated port takes them at once.
const FIFOS_AT_ONCE: usize = 4;
/// Looks at an interrupt's cause at most; a port that does not come to an end is left to the next interrupt.
const MOST_CAUSES: usize = 64;
/// How long [`drain`] waits for somebody who is printing.
const DRAIN_PATIENCE_NS: u64 = 100_000_000;

/// All that is known of a port.
struct Port {
    base: u16,
    /// It was found and set up.
    is_ready: AtomicBool,
    /// What its FIFO takes.
    fifo_bytes: AtomicUsize,
    /// Its output leaves by interrupts.
    is_driven: AtomicBool,
    bytes: [AtomicU8; RING_BYTES],
    /// How many bytes were ever put into the ring, and how many have left it.
    head: AtomicUsize,
    tail: AtomicUsize,
    /// Somebody waits for room, or for the end of output. Set before the ring is looked at once more.
    is_watched: AtomicBool,
    /// Held by whoever changes the ring or the interrupt enable register.
    output: IrqSpinLock<()>,
    received: AtomicU64,
    overruns: AtomicU64,
}

static PORTS: [Port; 4] =
    [Port::new(BASES[0]), Port::new(BASES[1]), Port::new(BASES[2]), Port::new(BASES[3])];

impl Port {
    const fn new(base: u16) -> Self {
        Self {
            base,
            is_ready: AtomicBool::new(false),
            fifo_bytes: AtomicUsize::new(1),
            is_driven: AtomicBool::new(false),
            bytes: [const { AtomicU8::new(0) }; RING_BYTES],
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
            is_watched: AtomicBool::new(false),
            output: IrqSpinLock::new("serial output", ()),
            received: AtomicU64::new(0),
            overruns: AtomicU64::new(0),
        }
    }

    fn read(&self, register: u16) -> u8 {
        // SAFETY: `base` is one of BASES; see Soundness.
        unsafe { port::read_u8(self.base + register) }
    }

    fn write(&self, register: u16, value: u8) {
        // SAFETY: `base` is one of BASES; see Soundness.
        unsafe { port::write_u8(self.base + register, value) }
    }

    /// Sets the port up for 115200 8N1 with FIFOs, no interrupts. `false`: nothing answers there.
    fn set_up(&self) -> bool {
        for pattern in [0x5a, 0xa5] {
            self.write(SCRATCH, pattern);
            if self.read(SCRATCH) != pattern {
                return false;
            }
        }
        self.write(INTERRUPT_ENABLE, 0);
        self.write(LINE_CONTROL, DIVISOR_LATCH);
        self.write(DATA, 1);
        self.write(INTERRUPT_ENABLE, 0);
        self.write(LINE_CONTROL, EIGHT_BITS);
        self.write(FIFO_CONTROL, FIFO_ON);
        self.write(MODEM_CONTROL, MODEM_ON);
        let has_fifo = self.read(INTERRUPT_IDENTITY) & HAS_FIFO == HAS_FIFO;
        self.fifo_bytes.store(if has_fifo { FIFO_BYTES } else { 1 }, Ordering::Relaxed);
        self.is_ready.store(true, Ordering::Release);
        true
    }

    /// The line's status. Looking takes away what it says of lost input, so that is counted here.
    fn status(&self) -> u8 {
        let status = self.read(LINE_STATUS);
        if status & OVERRUN != 0 {
            self.overruns.fetch_add(1, Ordering::Relaxed);
        }
        status
    }

    /// Waits until a bit of the status is set. A line on which it never is (a pulled cable, flow control) costs
    /// its output, not the system.
    fn wait_for(&self, bit: u8) {
        let mut patience = 1_000_000;
        while self.status() & bit == 0 && patience > 0 {
            patience -= 1;
            core::hint::spin_loop();
        }
    }

    /// Sends bytes by polling.
    fn send(&self, bytes: &[u8]) {
        for chunk in bytes.chunks(self.fifo_bytes.load(Ordering::Relaxed)) {
            self.wait_for(HOLDING_EMPTY);
            chunk.iter().for_each(|&byte| self.write(DATA, byte));
        }
    }

    /// Bytes that wait in the ring.
    fn waiting(&self) -> usize {
        self.head.load(Ordering::Acquire).wrapping_sub(self.tail.load(Ordering::Acquire))
    }

    /// The same; and whoever asks is told when they are fewer.
    fn watch(&self) -> usize {
        self.is_watched.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.waiting()
    }

    /// Puts bytes into the ring, as there is room; tells how many. The lock is held.
    fn put(&self, bytes: &[u8]) -> usize {
        let head = self.head.load(Ordering::Relaxed);
        let count = bytes.len().min(RING_BYTES - self.waiting());
        for (offset, &byte) in bytes[..count].iter().enumerate() {
            self.bytes[head.wrapping_add(offset) % RING_BYTES].store(byte, Ordering::Relaxed);
        }
        self.head.store(head.wrapping_add(count), Ordering::Release);
        count
    }

    /// Moves a FIFO's worth from the ring to the wire, which is ready for it.
    fn move_some(&self) {
        let tail = self.tail.load(Ordering::Relaxed);
        let count = self.waiting().min(self.fifo_bytes.load(Ordering::Relaxed));
        for offset in 0..count {
            self.write(DATA, self.bytes[tail.wrapping_add(offset) % RING_BYTES].load(Ordering::Relaxed));
        }
        self.tail.store(tail.wrapping_add(count), Ordering::Release);
    }

    /// Gives the wire what it takes, and asks for an interrupt if there is more, or if somebody waits for this. The
    /// lock is held.
    fn transmit(&self) {
        for _ in 0..FIFOS_AT_ONCE {
            if self.waiting() == 0 || self.status() & HOLDING_EMPTY == 0 {
                break;
            }
            self.move_some();
        }
        fence(Ordering::SeqCst);
        let wants_interrupt = self.waiting() > 0 || self.is_watched.load(Ordering::SeqCst);
        let more = if wants_interrupt { TRANSMITTER_READY } else { 0 };
        self.write(INTERRUPT_ENABLE, RECEIVED_DATA | more);
    }

    /// Sends all of the ring by polling.
    fn send_waiting(&self) {
        while self.waiting() > 0 {
            self.wait_for(HOLDING_EMPTY);
            self.move_some();
        }
    }

    /// Takes what has arrived: how many bytes, and whether a BREAK came then.
    fn fetch(&self, bytes: &mut [u8]) -> (usize, bool) {
        for (count, place) in bytes.iter_mut().enumerate() {
            let status = self.status();
            if status & DATA_READY == 0 {
                return (count, false);
            }
            let byte = self.read(DATA);
            if status & BREAK != 0 {
                // The byte that comes with it stands for nothing.
                return (count, true);
            }
            *place = byte;
        }
        (bytes.len(), false)
    }

    /// Serves an interrupt: input to `receive`; output from the ring, and `room` if somebody waits for it and the
    /// half of it is free.
    fn serve(&self, receive: &dyn Fn(Received<'_>), room: &dyn Fn()) -> Handled {
        let mut handled = Handled::No;
        for _ in 0..MOST_CAUSES {
            if self.read(INTERRUPT_IDENTITY) & NO_INTERRUPT != 0 {
                break;
            }
            handled = Handled::Yes;
            let mut bytes = [0; 64];
            let (count, has_break) = self.fetch(&mut bytes);
            self.received.fetch_add(count as u64, Ordering::Relaxed);
            if count > 0 {
                receive(Received::Bytes(&bytes[..count]));
            }
            if has_break {
                receive(Received::Break);
            }
            let output = self.output.lock();
            self.transmit();
            let has_room = self.waiting() <= RING_BYTES / 2;
            let is_watched = has_room && self.is_watched.swap(false, Ordering::SeqCst);
            if is_watched {
                // Whoever still waits says so again.
                self.transmit();
            }
            drop(output);
            if is_watched {
                room();
            }
        }
        handled
    }
}

/// Sets up COM1 for [`emergency_write`]; called once, first thing at boot.
pub(crate) fn early_init() {
    PORTS[0].set_up();
}

/// Writes bytes to COM1 by polling: at any time, also before anything else is set up. For the log
/// before there is a console, and for panics. Newlines are sent as they are.
pub fn emergency_write(bytes: &[u8]) {
    if PORTS[0].is_ready.load(Ordering::Relaxed) {
        PORTS[0].send(bytes);
    }
}

/// A byte that has arrived on any port, by polling: for a panic, when no interrupt comes any more.
pub fn emergency_read() -> Option<u8> {
    PORTS.iter().filter(|port| port.is_ready.load(Ordering::Relaxed)).find_map(|port| {
        let mut byte = [0];
        let (count, _) = port.fetch(&mut byte);
        (count > 0).then_some(byte[0])
    })
}

/// Sends everything that waits, by polling: before the machine ends, and before a panic's report. Somebody who is
/// printing is waited for, but not for ever: it may have been stopped.
pub(crate) fn drain() {
    for port in PORTS.iter().filter(|port| port.is_ready.load(Ordering::Relaxed)) {
        let begun = time::monotonic_ns();
        let mut lock = port.output.try_lock();
        let mut patience = 10_000_000;
        while lock.is_none() && patience > 0 && time::monotonic_ns() - begun < DRAIN_PATIENCE_NS {
            core::hint::spin_loop();
            patience -= 1;
            lock = port.output.try_lock();
        }
        port.send_waiting();
        port.wait_for(TRANSMITTER_EMPTY);
    }
}

/// Figures of a port that answers.
#[derive(Clone, Copy, Debug)]
pub struct PortInfo {
    /// 0 = COM1.
    pub index: usize,
    /// Its first I/O port.
    pub base: u16,
    /// Its ISA interrupt.
    pub irq: u8,
    /// Whether it has FIFOs.
    pub has_fifo: bool,
    /// Bytes that have left the ring.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
    /// How often input was lost since nobody took it in time.
    pub overruns: u64,
}

/// The ports that answer.
pub fn ports() -> Vec<PortInfo> {
    let ready = (0..).zip(&PORTS).filter(|(_, port)| port.is_ready.load(Ordering::Relaxed));
    ready
        .map(|(index, port)| PortInfo {
            index,
            base: port.base,
            irq: IRQS[index],
            has_fifo: port.fifo_bytes.load(Ordering::Relaxed) > 1,
            sent: port.tail.load(Ordering::Relaxed) as u64,
            received: port.received.load(Ordering::Relaxed),
            overruns: port.overruns.load(Ordering::Relaxed),
        })
        .collect()
}

/// What arrives on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// Bytes.
    Bytes(&'a [u8]),
    /// The line was held at zero for longer than a byte takes.
    Break,
}

/// What is called with that, in interrupt context.
pub type Receiver = Box<dyn Fn(Received<'_>) + Send + Sync>;
/// What is called when there is room for output again, in interrupt context.
pub type RoomListener = Box<dyn Fn() + Send + Sync>;

/// An initialised port.
pub struct SerialPort {
    port: &'static Port,
    irq: u8,
    line: IrqSpinLock<Option<IrqLine>>,
}

impl SerialPort {
    /// Sets up port `index` (0 = COM1) at 115200 8N1; `None` if nothing answers there.
    pub fn open(index: usize) -> Option<SerialPort> {
        let port = PORTS.get(index)?;
        port.set_up().then(|| SerialPort {
            port,
            irq: IRQS[index],
            line: IrqSpinLock::new("serial irq", None),
        })
    }

    /// Writes bytes, as they are, in any context. What finds no room in the ring waits for the wire.
    pub fn write(&self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let _output = self.port.output.lock();
            rest = &rest[self.port.put(rest)..];
            if !self.port.is_driven.load(Ordering::Relaxed) {
                self.port.send_waiting();
            } else if rest.is_empty() {
                self.port.transmit();
            } else {
                self.port.wait_for(HOLDING_EMPTY);
                self.port.move_some();
            }
        }
    }

    /// How many bytes [`write`](Self::write) takes now without waiting. If they are few, the listener is told when
    /// there are more.
    pub fn room(&self) -> usize {
        match RING_BYTES - self.port.waiting() {
            few @ 0..LITTLE_ROOM => few.max(RING_BYTES - self.port.watch()),
            much => much,
        }
    }

    /// How many bytes have not left the ring. If there are any, the listener is told when they are fewer.
    pub fn waiting(&self) -> usize {
        if self.port.waiting() == 0 { 0 } else { self.port.watch() }
    }

    /// Starts interrupts: calls `receive` with what arrives, at most 64 bytes at a time, and `room` when the half of the
    /// ring has become free, or all of it. COM1 and COM3 share an interrupt, as do COM2 and COM4.
    pub fn start(&self, receive: Receiver, room: RoomListener) -> Result<(), IrqError> {
        let port = self.port;
        let line = IrqLine::claim_isa(self.irq, Claim::Shared)?;
        line.set_handler("serial", Box::new(move || port.serve(&*receive, &*room)));
        *self.line.lock() = Some(line);
        let _output = port.output.lock();
        port.is_driven.store(true, Ordering::Relaxed);
        port.transmit();
        Ok(())
    }
}

impl Drop for SerialPort {
    fn drop(&mut self) {
        let _output = self.port.output.lock();
        self.port.is_driven.store(false, Ordering::Relaxed);
        self.port.write(INTERRUPT_ENABLE, 0);
        self.port.send_waiting();
    }
}
