//! One UART: its registers, and the ring of its output.
//!
//! # Soundness
//! The ports of COM1 to COM4 are only touched here ([`super::super::ports`] refuses them), and a UART cannot write
//! memory.

use super::settings::{Counts, LineSettings, ModemLines};
use super::{super::port, Received};
use crate::irq::Handled;
use crate::sync::IrqSpinLock;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU64, AtomicUsize, Ordering, fence};

/// Register offsets, and the bits used here.
const DATA: u16 = 0;
const INTERRUPT_ENABLE: u16 = 1;
const INTERRUPT_IDENTITY: u16 = 2;
const FIFO_CONTROL: u16 = 2;
const LINE_CONTROL: u16 = 3;
const MODEM_CONTROL: u16 = 4;
const LINE_STATUS: u16 = 5;
const MODEM_STATUS: u16 = 6;
const SCRATCH: u16 = 7;
/// With the divisor latch.
const DIVISOR_LOW: u16 = 0;
const DIVISOR_HIGH: u16 = 1;

const RECEIVED_DATA: u8 = 1 << 0;
const TRANSMITTER_READY: u8 = 1 << 1;
const MODEM_CHANGED: u8 = 1 << 3;
const NO_INTERRUPT: u8 = 1 << 0;
/// Why it interrupts: these bits are 0 for a change of the modem lines.
const CAUSE: u8 = 0b1110;
const HAS_FIFO: u8 = 0b1100_0000;
const DIVISOR_LATCH: u8 = 1 << 7;
const SET_BREAK: u8 = 1 << 6;
/// Enable and clear both FIFOs, interrupt at 14 bytes (or after a pause of four characters).
const FIFO_ON: u8 = 0b1100_0111;
const LOOP: u8 = 1 << 4;
const DATA_READY: u8 = 1 << 0;
const OVERRUN: u8 = 1 << 1;
const PARITY_ERROR: u8 = 1 << 2;
const FRAMING_ERROR: u8 = 1 << 3;
const BREAK: u8 = 1 << 4;
pub(super) const HOLDING_EMPTY: u8 = 1 << 5;
pub(super) const TRANSMITTER_EMPTY: u8 = 1 << 6;
const CTS: u8 = 1 << 4;
const FIFO_BYTES: usize = 16;

/// Bytes that wait for the wire at most; a power of two.
pub(super) const RING_BYTES: usize = 4096;
/// FIFOs filled at a time: on a wire the first is all there is room for, an emulated port takes them at once.
const FIFOS_AT_ONCE: usize = 4;
/// Looks at an interrupt's cause at most; a port that does not come to an end is left to the next interrupt.
const MOST_CAUSES: usize = 64;

/// What arrives that is no good byte.
#[derive(Clone, Copy)]
pub(super) enum Odd {
    Break,
    /// The parity is wrong, or the end is missing.
    Damaged(u8),
}

/// All that is known of a port.
pub(super) struct Port {
    pub(super) base: u16,
    /// It was found and set up.
    pub(super) is_ready: AtomicBool,
    /// A panic is reported here.
    pub(super) is_for_emergencies: AtomicBool,
    /// What its FIFO takes.
    pub(super) fifo_bytes: AtomicUsize,
    /// Its output leaves by interrupts.
    pub(super) is_driven: AtomicBool,
    bytes: [AtomicU8; RING_BYTES],
    /// How many bytes were ever put into the ring, and how many have left it.
    head: AtomicUsize,
    tail: AtomicUsize,
    /// Somebody waits for room, or for the end of output. Set before the ring is looked at once more.
    is_watched: AtomicBool,
    /// Somebody wants to know of changes of the modem lines.
    is_modem_watched: AtomicBool,
    /// Output waits while CTS is off.
    has_flow_control: AtomicBool,
    /// Held by whoever changes the ring, the settings or the interrupt enable register.
    pub(super) output: IrqSpinLock<()>,
    /// What was last written there, for a panic that comes while somebody changes it.
    divisor: AtomicU16,
    line_control: AtomicU8,
    modem_control: AtomicU8,
    counters: Counters,
}

/// Written by whoever has seen something; a sum that is one behind for a moment does no harm.
struct Counters {
    received: AtomicU64,
    framing_errors: AtomicU64,
    parity_errors: AtomicU64,
    overruns: AtomicU64,
    breaks: AtomicU64,
    modem: [AtomicU64; 4],
}

impl Port {
    pub(super) const fn new(base: u16) -> Self {
        Self {
            base,
            is_ready: AtomicBool::new(false),
            is_for_emergencies: AtomicBool::new(false),
            fifo_bytes: AtomicUsize::new(1),
            is_driven: AtomicBool::new(false),
            bytes: [const { AtomicU8::new(0) }; RING_BYTES],
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
            is_watched: AtomicBool::new(false),
            is_modem_watched: AtomicBool::new(false),
            has_flow_control: AtomicBool::new(false),
            output: IrqSpinLock::new("serial output", ()),
            divisor: AtomicU16::new(1),
            line_control: AtomicU8::new(0),
            modem_control: AtomicU8::new(0),
            counters: Counters {
                received: AtomicU64::new(0),
                framing_errors: AtomicU64::new(0),
                parity_errors: AtomicU64::new(0),
                overruns: AtomicU64::new(0),
                breaks: AtomicU64::new(0),
                modem: [const { AtomicU64::new(0) }; 4],
            },
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
    pub(super) fn set_up(&self) -> bool {
        for pattern in [0x5a, 0xa5] {
            self.write(SCRATCH, pattern);
            if self.read(SCRATCH) != pattern {
                return false;
            }
        }
        self.write(INTERRUPT_ENABLE, 0);
        self.configure(LineSettings::DEFAULT);
        self.write(FIFO_CONTROL, FIFO_ON);
        self.set_modem(ModemLines::DTR | ModemLines::RTS);
        let has_fifo = self.read(INTERRUPT_IDENTITY) & HAS_FIFO == HAS_FIFO;
        self.fifo_bytes.store(if has_fifo { FIFO_BYTES } else { 1 }, Ordering::Relaxed);
        self.is_ready.store(true, Ordering::Release);
        true
    }

    /// Sets speed and frame. The lock is held, or nobody else knows the port.
    pub(super) fn configure(&self, settings: LineSettings) {
        self.divisor.store(settings.divisor, Ordering::Relaxed);
        let is_broken = self.line_control.load(Ordering::Relaxed) & SET_BREAK;
        self.line_control.store(settings.line_control() | is_broken, Ordering::Relaxed);
        let has_flow_control = settings.flow == super::FlowControl::ClearToSend;
        self.has_flow_control.store(has_flow_control, Ordering::Relaxed);
        self.apply();
    }

    /// Writes speed and frame as they are noted.
    fn apply(&self) {
        let line_control = self.line_control.load(Ordering::Relaxed);
        let [low, high] = self.divisor.load(Ordering::Relaxed).to_le_bytes();
        self.write(LINE_CONTROL, line_control | DIVISOR_LATCH);
        self.write(DIVISOR_LOW, low);
        self.write(DIVISOR_HIGH, high);
        self.write(LINE_CONTROL, line_control);
    }

    /// Makes sure that bytes go out: whoever was changing settings may never come to the end, and a program may have
    /// the line broken or looped. For a panic.
    pub(super) fn recover(&self) {
        self.line_control.fetch_and(!SET_BREAK, Ordering::Relaxed);
        self.apply();
        let modem_control = self.modem_control.fetch_and(!LOOP, Ordering::Relaxed) & !LOOP;
        self.write(MODEM_CONTROL, modem_control);
    }

    /// Holds the line at zero, or no more. The lock is held.
    pub(super) fn set_break(&self, condition: super::BreakCondition) {
        let old = self.line_control.load(Ordering::Relaxed);
        let new = match condition {
            super::BreakCondition::On => old | SET_BREAK,
            super::BreakCondition::Off => old & !SET_BREAK,
        };
        self.line_control.store(new, Ordering::Relaxed);
        self.write(LINE_CONTROL, new);
    }

    /// Sets the modem lines that are ours. The lock is held, or nobody else knows the port.
    pub(super) fn set_modem(&self, lines: ModemLines) {
        self.modem_control.store(lines.control(), Ordering::Relaxed);
        self.write(MODEM_CONTROL, lines.control());
    }

    /// All modem lines.
    pub(super) fn modem(&self) -> ModemLines {
        ModemLines::from_registers(self.modem_control.load(Ordering::Relaxed), self.modem_status())
    }

    /// The status of the modem lines. Looking takes away what it says of changes, so those are counted here.
    fn modem_status(&self) -> u8 {
        let status = self.read(MODEM_STATUS);
        for (bit, count) in self.counters.modem.iter().enumerate() {
            if status & (1 << bit) != 0 {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
        status
    }

    /// Has changes of the modem lines interrupt from now on.
    pub(super) fn watch_modem(&self) {
        if !self.is_modem_watched.swap(true, Ordering::Relaxed) {
            let _output = self.output.lock();
            if self.is_driven.load(Ordering::Relaxed) {
                self.transmit();
            }
        }
    }

    /// The line's status. Looking takes away what it says of lost input, so that is counted here.
    fn status(&self) -> u8 {
        let status = self.read(LINE_STATUS);
        for (bit, count) in [
            (OVERRUN, &self.counters.overruns),
            (PARITY_ERROR, &self.counters.parity_errors),
            (FRAMING_ERROR, &self.counters.framing_errors),
            (BREAK, &self.counters.breaks),
        ] {
            if status & bit != 0 {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
        status
    }

    /// Waits until a bit of the status is set. A line on which it never is (a pulled cable, flow control) costs
    /// its output, not the system.
    pub(super) fn wait_for(&self, bit: u8) {
        let mut patience = 1_000_000;
        while self.status() & bit == 0 && patience > 0 {
            patience -= 1;
            core::hint::spin_loop();
        }
    }

    /// Whether all bytes have left.
    pub(super) fn is_quiet(&self) -> bool {
        self.status() & TRANSMITTER_EMPTY != 0
    }

    /// Sends bytes by polling.
    pub(super) fn send(&self, bytes: &[u8]) {
        for chunk in bytes.chunks(self.fifo_bytes.load(Ordering::Relaxed)) {
            self.wait_for(HOLDING_EMPTY);
            chunk.iter().for_each(|&byte| self.write(DATA, byte));
        }
    }

    /// Bytes that wait in the ring.
    pub(super) fn waiting(&self) -> usize {
        self.head.load(Ordering::Acquire).wrapping_sub(self.tail.load(Ordering::Acquire))
    }

    /// The same; and whoever asks is told when they are fewer.
    pub(super) fn watch(&self) -> usize {
        self.is_watched.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.waiting()
    }

    /// Puts bytes into the ring, as there is room; tells how many. The lock is held.
    pub(super) fn put(&self, bytes: &[u8]) -> usize {
        let head = self.head.load(Ordering::Relaxed);
        let count = bytes.len().min(RING_BYTES - self.waiting());
        for (offset, &byte) in bytes[..count].iter().enumerate() {
            self.bytes[head.wrapping_add(offset) % RING_BYTES].store(byte, Ordering::Relaxed);
        }
        self.head.store(head.wrapping_add(count), Ordering::Release);
        count
    }

    /// Moves a FIFO's worth from the ring to the wire, which is ready for it.
    pub(super) fn move_some(&self) {
        let tail = self.tail.load(Ordering::Relaxed);
        let count = self.waiting().min(self.fifo_bytes.load(Ordering::Relaxed));
        for offset in 0..count {
            self.write(DATA, self.bytes[tail.wrapping_add(offset) % RING_BYTES].load(Ordering::Relaxed));
        }
        self.tail.store(tail.wrapping_add(count), Ordering::Release);
    }

    /// Forgets what waits. The lock is held.
    pub(super) fn discard(&self) {
        self.tail.store(self.head.load(Ordering::Relaxed), Ordering::Release);
    }

    /// Whether the other side takes no bytes now.
    fn is_held(&self) -> bool {
        self.has_flow_control.load(Ordering::Relaxed) && self.modem_status() & CTS == 0
    }

    /// Gives the wire what it takes, and asks for an interrupt if there is more, or if somebody waits for this. The
    /// lock is held.
    pub(super) fn transmit(&self) {
        let is_held = self.is_held();
        for _ in 0..FIFOS_AT_ONCE {
            if is_held || self.waiting() == 0 || self.status() & HOLDING_EMPTY == 0 {
                break;
            }
            self.move_some();
        }
        fence(Ordering::SeqCst);
        let mut wanted = RECEIVED_DATA;
        let is_waited_for = self.waiting() > 0 || self.is_watched.load(Ordering::SeqCst);
        if is_waited_for && !is_held {
            wanted |= TRANSMITTER_READY;
        }
        if self.has_flow_control.load(Ordering::Relaxed) || self.is_modem_watched.load(Ordering::Relaxed) {
            wanted |= MODEM_CHANGED;
        }
        self.write(INTERRUPT_ENABLE, wanted);
    }

    /// Allows no interrupts. The lock is held.
    pub(super) fn silence(&self) {
        self.write(INTERRUPT_ENABLE, 0);
    }

    /// Sends all of the ring by polling.
    pub(super) fn send_waiting(&self) {
        while self.waiting() > 0 {
            self.wait_for(HOLDING_EMPTY);
            self.move_some();
        }
    }

    /// Takes what has arrived: how many bytes, and what came then that is none.
    pub(super) fn fetch(&self, bytes: &mut [u8]) -> (usize, Option<Odd>) {
        for (count, place) in bytes.iter_mut().enumerate() {
            let status = self.status();
            if status & DATA_READY == 0 {
                return (count, None);
            }
            let byte = self.read(DATA);
            if status & BREAK != 0 {
                // The byte that comes with it stands for nothing.
                return (count, Some(Odd::Break));
            }
            if status & (PARITY_ERROR | FRAMING_ERROR) != 0 {
                return (count, Some(Odd::Damaged(byte)));
            }
            *place = byte;
        }
        (bytes.len(), None)
    }

    /// Serves an interrupt: input to `receive`; output from the ring, and `room` if somebody waits for it and the
    /// half of it is free.
    pub(super) fn serve(&self, receive: &dyn Fn(Received<'_>), room: &dyn Fn()) -> Handled {
        let mut handled = Handled::No;
        for _ in 0..MOST_CAUSES {
            let cause = self.read(INTERRUPT_IDENTITY);
            if cause & NO_INTERRUPT != 0 {
                break;
            }
            handled = Handled::Yes;
            if cause & CAUSE == 0 {
                // Which ends the cause.
                self.modem_status();
                receive(Received::ModemChange);
            }
            let mut bytes = [0; 64];
            let (count, odd) = self.fetch(&mut bytes);
            let damaged = u64::from(matches!(odd, Some(Odd::Damaged(_))));
            self.counters.received.fetch_add(count as u64 + damaged, Ordering::Relaxed);
            if count > 0 {
                receive(Received::Bytes(&bytes[..count]));
            }
            match odd {
                Some(Odd::Break) => receive(Received::Break),
                Some(Odd::Damaged(byte)) => receive(Received::Damaged(byte)),
                None => {}
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

    /// What has happened.
    pub(super) fn counts(&self) -> Counts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let [cts, dsr, ring, carrier] = &self.counters.modem;
        Counts {
            sent: self.tail.load(Ordering::Relaxed) as u64,
            received: get(&self.counters.received),
            framing_errors: get(&self.counters.framing_errors),
            parity_errors: get(&self.counters.parity_errors),
            overruns: get(&self.counters.overruns),
            breaks: get(&self.counters.breaks),
            cts_changes: get(cts),
            dsr_changes: get(dsr),
            ring_ends: get(ring),
            carrier_changes: get(carrier),
        }
    }
}
