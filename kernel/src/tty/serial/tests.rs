//! Serial lines against themselves: a UART can loop back what it sends.

use super::{ALL, Serial};
use crate::log::Silence;
use crate::tty::{Tap, Tty};
use alloc::{sync::Arc, vec::Vec};
use machine::io::serial::{self, FlowControl, LineSettings, ModemLines};
use machine::sync::IrqSpinLock;
use test_macro::kernel_test;

/// What comes back on ttyS0 while it is looped, instead of to the terminal.
struct Looped {
    tty: Arc<Tty>,
    serial: Arc<Serial>,
    bytes: Arc<Caught>,
    /// Who had the input before: the monitor, if it runs the tests.
    before: Option<Arc<dyn Tap>>,
    /// A message of the log, from whatever else runs, would come back as well. Goes after the loop has ended.
    _silence: Silence,
}

struct Caught(IrqSpinLock<Vec<u8>>);

impl Tap for Caught {
    fn receive(&self, bytes: &[u8]) {
        self.0.lock().extend_from_slice(bytes);
    }
}

const HERE: ModemLines = ModemLines::DTR.union(ModemLines::RTS);

impl Looped {
    /// ttyS0 sends to itself, with these modem lines.
    fn new(lines: ModemLines) -> Self {
        let serial =
            ALL.get().and_then(|all| all.first()).cloned().expect("the tests run with a serial line");
        let tty = crate::tty::find("ttyS0").expect("as above");
        let silence = Silence::begin();
        // What was printed is to reach whoever reads it.
        serial::drain();
        let bytes = Arc::new(Caught(IrqSpinLock::new("looped bytes", Vec::with_capacity(256))));
        let before = tty.set_tap(Some(bytes.clone()));
        serial.port.set_modem(lines | ModemLines::LOOP);
        Self { tty, serial, bytes, before, _silence: silence }
    }

    /// Waits until so many bytes have come back.
    fn wait_for(&self, count: usize) -> Vec<u8> {
        let deadline = machine::time::monotonic_ns() + 2_000_000_000;
        while self.bytes.0.lock().len() < count && machine::time::monotonic_ns() < deadline {
            core::hint::spin_loop();
        }
        self.bytes.0.lock().clone()
    }
}

impl Drop for Looped {
    fn drop(&mut self) {
        self.serial.port.configure(LineSettings::DEFAULT);
        self.serial.port.set_modem(HERE);
        self.tty.set_tap(self.before.take());
    }
}

/// A panic may come while the panicking CPU, or another one that was stopped, holds what guards the output, and while
/// a program has the line looped and output held up: everything comes out all the same, and nobody waits for ever.
#[kernel_test]
fn emergencies_need_no_lock() {
    let looped = Looped::new(ModemLines::DTR);
    let port = &looped.serial.port;
    port.configure(LineSettings { flow: FlowControl::ClearToSend, ..LineSettings::DEFAULT });
    port.write(b"(printed while the lock was held)\r\n");
    let before = port.waiting();
    // Nothing can be allocated meanwhile.
    let mut read = Vec::with_capacity(64);
    port.while_held(&mut || {
        serial::emergency_write(b"panic");
        // A line with a speed of its own has them after a while.
        for _ in 0..1_000_000 {
            read.extend(serial::emergency_read());
            if read.len() == b"panic".len() {
                break;
            }
        }
        // Ends the loop: what is in the ring goes out.
        serial::drain();
    });
    let after = (port.waiting(), port.modem().contains(ModemLines::LOOP));
    drop(looped);
    assert!(before > 0, "flow control does not hold it");
    assert_eq!(read, b"panic");
    assert_eq!(after, (0, false));
}

#[kernel_test]
fn modem_lines_loop_back() {
    let looped = Looped::new(ModemLines::RTS);
    let port = &looped.serial.port;
    let others = ModemLines::CTS | ModemLines::DSR | ModemLines::RING | ModemLines::CARRIER;
    let seen = [ModemLines::RTS, ModemLines::DTR, ModemLines::OUT1].map(|line| {
        port.set_modem(line | ModemLines::LOOP);
        port.modem() & others
    });
    drop(looped);
    // OUT2, which is always on, is the carrier.
    assert_eq!(
        seen,
        [ModemLines::CTS, ModemLines::DSR, ModemLines::RING].map(|line| line | ModemLines::CARRIER)
    );
}

/// With flow control, output waits for CTS, and goes on by itself when that comes.
#[kernel_test]
fn output_waits_for_the_other_side() {
    let looped = Looped::new(ModemLines::DTR);
    let port = &looped.serial.port;
    port.configure(LineSettings { flow: FlowControl::ClearToSend, ..LineSettings::DEFAULT });
    port.write(b"ahead");
    let (held, early) = (port.waiting(), looped.bytes.0.lock().len());
    // Looped, CTS is what RTS is.
    port.set_modem(HERE | ModemLines::LOOP);
    let back = looped.wait_for(5);
    drop(looped);
    assert_eq!((held, early), (5, 0));
    assert_eq!(back, b"ahead");
}

#[kernel_test]
fn speeds_are_divisors() {
    let divisors: Vec<u16> =
        [115_200, 57_600, 9600, 110, 50, 1, 0].map(LineSettings::divisor_for).into_iter().collect();
    assert_eq!(divisors, [1, 2, 12, 1047, 2304, u16::MAX, u16::MAX]);
}
