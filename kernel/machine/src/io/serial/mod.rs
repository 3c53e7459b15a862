//! The serial lines (16550 UARTs) of a PC, COM1 to COM4.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | the ports, output in emergencies |
//! | `port.rs` | one UART: registers, the ring of its output, interrupts |
//! | `settings.rs` | speed, frame, modem lines |
//!
//! Output goes into a ring and leaves by interrupts, a FIFO at a time: whoever prints does not wait for the wire (a byte
//! takes 87 µs at 115200 baud). Only when the ring is full, and before the interrupt is set up, it is sent by polling.
//! Input arrives by interrupt.
//!
//! Locks. A port's `output` lock guards its ring, its settings and its interrupt enable register. It disables
//! interrupts, nothing else is taken and nothing is waited for under it but the wire, which [`Port::wait_for`] does for a
//! limited number of looks. So:
//!
//! * another CPU that holds it gives it back soon, unless a panic stopped it;
//! * an interrupt handler never finds it held by the code that it interrupted;
//! * a non-maskable interrupt may, therefore none may print by [`SerialPort::write`]; the handler in `cpu::inspect`
//!   prints nothing;
//! * [`emergency_write`], [`emergency_read`] and [`drain`] need nothing that was set up before and wait for no lock for
//!   ever, so they work in early boot, in a panic and in an NMI, whoever holds what. A ring can be read without its lock
//!   for that: all of it is atomic, and a byte is in it before `head` says so. Speed and frame are noted before they are
//!   written, so that a panic in the midst of a change can finish it ([`Port::recover`]).
//!
//! Source: PC16550D data sheet, section 8 (registers).

mod port;
mod settings;

pub use settings::{
    BASE_BAUD, BreakCondition, Counts, FlowControl, LineSettings, ModemLines, Parity, StopBits,
};

use crate::irq::{Claim, IrqError, IrqLine};
use crate::sync::IrqSpinLock;
use crate::time;
use alloc::boxed::Box;
use core::sync::atomic::Ordering;
use port::{HOLDING_EMPTY, Odd, Port, RING_BYTES, TRANSMITTER_EMPTY};

/// Where they are, and their interrupts.
const BASES: [u16; PORTS_AT_MOST] = [0x3f8, 0x2f8, 0x3e8, 0x2e8];
const IRQS: [u8; PORTS_AT_MOST] = [4, 3, 4, 3];

/// COM1 to COM4.
pub const PORTS_AT_MOST: usize = 4;

/// With less room than this, somebody who wants to write may wait.
const LITTLE_ROOM: usize = RING_BYTES / 2;
/// How long [`drain`] waits for somebody who is printing.
const DRAIN_PATIENCE_NS: u64 = 100_000_000;

static PORTS: [Port; PORTS_AT_MOST] =
    [Port::new(BASES[0]), Port::new(BASES[1]), Port::new(BASES[2]), Port::new(BASES[3])];

/// Sets up COM1 for [`emergency_write`]; called once, first thing at boot.
pub(crate) fn early_init() {
    if PORTS[0].set_up() {
        PORTS[0].is_for_emergencies.store(true, Ordering::Relaxed);
    }
}

fn ready() -> impl Iterator<Item = &'static Port> {
    PORTS.iter().filter(|port| port.is_ready.load(Ordering::Relaxed))
}

/// From now on [`emergency_write`] writes to these ports (0 = COM1), as far as they answer; without any, to COM1 as in
/// the beginning.
pub fn use_in_emergencies(indexes: &[usize]) {
    let is_usable = |index: usize| PORTS.get(index).is_some_and(|port| port.is_ready.load(Ordering::Relaxed));
    let has_any = indexes.iter().any(|index| is_usable(*index));
    for (index, port) in PORTS.iter().enumerate() {
        let is_meant = if has_any { indexes.contains(&index) } else { index == 0 };
        port.is_for_emergencies.store(is_meant, Ordering::Relaxed);
    }
}

/// Writes bytes by polling to COM1, or where [`use_in_emergencies`] says: at any time, also before anything else is set
/// up. For the log before there is a console, and for panics. Newlines are sent as they are.
pub fn emergency_write(bytes: &[u8]) {
    ready().filter(|port| port.is_for_emergencies.load(Ordering::Relaxed)).for_each(|port| port.send(bytes));
}

/// A byte that has arrived on any port, by polling: for a panic, when no interrupt comes any more.
pub fn emergency_read() -> Option<u8> {
    ready().find_map(|port| {
        let mut byte = [0];
        match port.fetch(&mut byte) {
            (0, Some(Odd::Damaged(byte))) => Some(byte),
            (0, _) => None,
            _ => Some(byte[0]),
        }
    })
}

/// Sends everything that waits, by polling: before the machine ends, and before a panic's report. Somebody who is
/// printing is waited for, but not for ever: it may have been stopped.
pub fn drain() {
    for port in ready() {
        let begun = time::monotonic_ns();
        let mut lock = port.output.try_lock();
        let mut patience = 10_000_000;
        while lock.is_none() && patience > 0 && time::monotonic_ns() - begun < DRAIN_PATIENCE_NS {
            core::hint::spin_loop();
            patience -= 1;
            lock = port.output.try_lock();
        }
        port.recover();
        port.send_waiting();
        port.wait_for(TRANSMITTER_EMPTY);
    }
}

/// What arrives on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// Bytes.
    Bytes(&'a [u8]),
    /// A byte with the wrong parity, or without an end.
    Damaged(u8),
    /// The line was held at zero for longer than a byte takes.
    Break,
    /// A modem line changed; only while somebody asked for it ([`SerialPort::watch_modem`]).
    ModemChange,
}

/// What is called with that, in interrupt context.
pub type Receiver = Box<dyn Fn(Received<'_>) + Send + Sync>;
/// What is called when there is room for output again, in interrupt context.
pub type RoomListener = Box<dyn Fn() + Send + Sync>;

/// An initialised port.
pub struct SerialPort {
    port: &'static Port,
    index: usize,
    line: IrqSpinLock<Option<IrqLine>>,
}

impl SerialPort {
    /// Sets up port `index` (0 = COM1) at 115200 8N1; `None` if nothing answers there.
    pub fn open(index: usize) -> Option<SerialPort> {
        let port = PORTS.get(index)?;
        port.set_up().then(|| SerialPort { port, index, line: IrqSpinLock::new("serial irq", None) })
    }

    /// 0 = COM1.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Its first I/O port.
    pub fn base(&self) -> u16 {
        self.port.base
    }

    /// Its ISA interrupt.
    pub fn irq(&self) -> u8 {
        IRQS[self.index]
    }

    /// Bytes of its FIFOs; 1: it has none.
    pub fn fifo_bytes(&self) -> usize {
        self.port.fifo_bytes.load(Ordering::Relaxed)
    }

    /// Sets speed and frame, at once: what is on its way is garbled.
    pub fn configure(&self, settings: LineSettings) {
        let _output = self.port.output.lock();
        self.port.configure(settings);
        if self.port.is_driven.load(Ordering::Relaxed) {
            self.port.transmit();
        }
    }

    /// Holds the line at zero, or no more.
    pub fn set_break(&self, condition: BreakCondition) {
        let _output = self.port.output.lock();
        self.port.set_break(condition);
    }

    /// The modem lines, ours and those of the other side.
    pub fn modem(&self) -> ModemLines {
        self.port.modem()
    }

    /// Sets those that are ours: DTR, RTS, OUT1, LOOP.
    pub fn set_modem(&self, lines: ModemLines) {
        let _output = self.port.output.lock();
        self.port.set_modem(lines);
        // In a loop our lines are the other side's: it may take bytes now.
        if self.port.is_driven.load(Ordering::Relaxed) {
            self.port.transmit();
        }
    }

    /// Has the receiver told of changes of the modem lines from now on.
    pub fn watch_modem(&self) {
        self.port.watch_modem();
    }

    /// What has happened on it.
    pub fn counts(&self) -> Counts {
        self.port.counts()
    }

    /// Whether nothing is on its way to the wire, and the wire is quiet.
    pub fn is_idle(&self) -> bool {
        self.port.waiting() == 0 && self.port.is_quiet()
    }

    /// Forgets output that has not left yet.
    pub fn discard(&self) {
        let _output = self.port.output.lock();
        self.port.discard();
    }

    /// Calls `act` while nobody can print on the port: as when a CPU was stopped in the midst of printing. No interrupt
    /// comes from it meanwhile.
    pub fn while_held(&self, act: &mut dyn FnMut()) {
        let _output = self.port.output.lock();
        self.port.silence();
        act();
        if self.port.is_driven.load(Ordering::Relaxed) {
            self.port.transmit();
        }
    }

    /// Writes bytes, as they are, in any context but a non-maskable interrupt. What finds no room in the ring waits for the wire.
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
        let line = IrqLine::claim_isa(self.irq(), Claim::Shared)?;
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
        self.port.silence();
        self.port.send_waiting();
    }
}
