//! The serial lines (16550 UARTs) of a PC, COM1 to COM4.
//!
//! Output goes through the FIFO and polls for room: an emulated port is always ready, a real one
//! takes 87 µs a byte at 115200 baud. Input arrives by interrupt. [`emergency_write`] needs nothing
//! that was set up before, takes no lock, and so works in early boot, in a panic and in an NMI.
//!
//! Source: PC16550D data sheet, section 8 (registers).
//!
//! # Soundness
//! The ports of COM1 to COM4 are only touched here ([`super::ports`] refuses them), and a UART cannot
//! write memory.

use super::port;
use crate::irq::IrqLine;
use crate::sync::IrqSpinLock;
use alloc::{boxed::Box, sync::Arc};
use core::sync::atomic::{AtomicU8, Ordering};

const BASES: [u16; 4] = [0x3f8, 0x2f8, 0x3e8, 0x2e8];
const IRQS: [u8; 4] = [4, 3, 4, 3];

/// Register offsets, and the bits used here.
const DATA: u16 = 0;
const INTERRUPT_ENABLE: u16 = 1;
const FIFO_CONTROL: u16 = 2;
const LINE_CONTROL: u16 = 3;
const MODEM_CONTROL: u16 = 4;
const LINE_STATUS: u16 = 5;
const SCRATCH: u16 = 7;

const RECEIVED_DATA_AVAILABLE: u8 = 1 << 0;
const DIVISOR_LATCH: u8 = 1 << 7;
const EIGHT_BITS: u8 = 0b11;
/// Enable and clear both FIFOs, interrupt at 14 bytes (or after a pause of four characters).
const FIFO_ON: u8 = 0b1100_0111;
/// DTR, RTS, and OUT2, which lets the interrupt line out on a PC.
const MODEM_ON: u8 = 0b1011;
const DATA_READY: u8 = 1 << 0;
const TRANSMITTER_EMPTY: u8 = 1 << 5;
const FIFO_BYTES: usize = 16;

/// Bit n: COM(n+1) was found and set up.
static READY: AtomicU8 = AtomicU8::new(0);

fn read(base: u16, register: u16) -> u8 {
    // SAFETY: `base` is one of BASES; see Soundness.
    unsafe { port::read_u8(base + register) }
}

fn write(base: u16, register: u16, value: u8) {
    // SAFETY: `base` is one of BASES; see Soundness.
    unsafe { port::write_u8(base + register, value) }
}

/// Sets a port up for 115200 8N1 with FIFOs, no interrupts. `false`: nothing answers there.
fn set_up(index: usize) -> bool {
    let base = BASES[index];
    for pattern in [0x5a, 0xa5] {
        write(base, SCRATCH, pattern);
        if read(base, SCRATCH) != pattern {
            return false;
        }
    }
    write(base, INTERRUPT_ENABLE, 0);
    write(base, LINE_CONTROL, DIVISOR_LATCH);
    write(base, DATA, 1);
    write(base, INTERRUPT_ENABLE, 0);
    write(base, LINE_CONTROL, EIGHT_BITS);
    write(base, FIFO_CONTROL, FIFO_ON);
    write(base, MODEM_CONTROL, MODEM_ON);
    READY.fetch_or(1 << index, Ordering::Relaxed);
    true
}

/// Sets up COM1 for [`emergency_write`]; called once, first thing at boot.
pub(crate) fn early_init() {
    set_up(0);
}

fn send(base: u16, bytes: &[u8]) {
    for chunk in bytes.chunks(FIFO_BYTES) {
        // A line that never gets ready (pulled cable, flow control) costs its output, not the system.
        let mut patience = 1_000_000;
        while read(base, LINE_STATUS) & TRANSMITTER_EMPTY == 0 && patience > 0 {
            patience -= 1;
            core::hint::spin_loop();
        }
        for &byte in chunk {
            write(base, DATA, byte);
        }
    }
}

/// Writes bytes to COM1 by polling: at any time, also before anything else is set up. For the log
/// before there is a console, and for panics. Newlines are sent as they are.
pub fn emergency_write(bytes: &[u8]) {
    if READY.load(Ordering::Relaxed) & 1 != 0 {
        send(BASES[0], bytes);
    }
}

/// What is called with received bytes, in interrupt context.
pub type Receiver = Box<dyn Fn(&[u8]) + Send + Sync>;

/// An initialised port: output by polling the FIFO, input by interrupt.
pub struct SerialPort {
    index: usize,
    output: IrqSpinLock<()>,
    line: IrqSpinLock<Option<Arc<IrqLine>>>,
}

impl SerialPort {
    /// Sets up port `index` (0 = COM1) at 115200 8N1; `None` if nothing answers there.
    pub fn open(index: usize) -> Option<SerialPort> {
        (index < BASES.len() && set_up(index)).then(|| SerialPort {
            index,
            output: IrqSpinLock::new("serial output", ()),
            line: IrqSpinLock::new("serial irq", None),
        })
    }

    /// Writes bytes, as they are.
    pub fn write(&self, bytes: &[u8]) {
        let base = BASES[self.index];
        for chunk in bytes.chunks(FIFO_BYTES) {
            let _output = self.output.lock();
            send(base, chunk);
        }
    }

    /// Calls `receive` in interrupt context with what arrives, at most 64 bytes at a time.
    /// COM1 and COM3 share an interrupt, as do COM2 and COM4: the second of a pair fails.
    pub fn set_receiver(&self, receive: Receiver) -> Result<(), crate::irq::IrqError> {
        let base = BASES[self.index];
        let line = IrqLine::claim_isa(IRQS[self.index])?;
        line.set_handler(
            "serial",
            Box::new(move || {
                let mut bytes = [0; 64];
                // Bounded, so that a line that lies about data cannot hold the CPU.
                for _ in 0..16 {
                    let mut count = 0;
                    while count < bytes.len() && read(base, LINE_STATUS) & DATA_READY != 0 {
                        bytes[count] = read(base, DATA);
                        count += 1;
                    }
                    if count == 0 {
                        break;
                    }
                    receive(&bytes[..count]);
                }
            }),
        );
        *self.line.lock() = Some(Arc::new(line));
        write(base, INTERRUPT_ENABLE, RECEIVED_DATA_AVAILABLE);
        Ok(())
    }
}

impl Drop for SerialPort {
    fn drop(&mut self) {
        write(BASES[self.index], INTERRUPT_ENABLE, 0);
    }
}
