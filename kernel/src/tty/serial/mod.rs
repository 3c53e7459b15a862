//! Terminals on the serial lines: ttyS0 (COM1) to ttyS3, those that answer at the usual addresses.
//!
//! `settings.rs` turns termios into what a UART knows; `control.rs` has the ioctls of modem lines and of setserial.

mod control;
mod settings;
#[cfg(feature = "tests")]
mod tests;

#[cfg(feature = "tests")]
pub(super) use control::closing;
pub(crate) use control::report;

use super::carrier::{Carrier, Closing};
use super::consoles;
use super::{Arrival, Line, Tty};
use crate::device::random;
use crate::sched::wait::WaitQueue;
use crate::sysrq::Keys;
use abi::stat::DeviceNumber;
use abi::tty::{B115200, ControlFlags, Termios, Termios2};
use alloc::{boxed::Box, format, sync::Arc, vec::Vec};
use control::Chosen;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use machine::io::serial::{
    BreakCondition, ModemLines, PORTS_AT_MOST, Received, SerialPort, use_in_emergencies,
};
use machine::sync::{Once, SpinLock};

const MAJOR: u32 = 4;
const FIRST_MINOR: u32 = 64;

/// The line on which messages are printed before there is a console.
pub(super) const FIRST: &str = "ttyS0";

/// The lines that answer.
static ALL: Once<Vec<Arc<Serial>>> = Once::new();

/// A serial line.
struct Serial {
    port: SerialPort,
    /// What TIOCSSERIAL has chosen.
    chosen: SpinLock<Chosen>,
    /// HUPCL: the last close takes back DTR and RTS.
    hangs_up: AtomicBool,
    /// CREAD: input is taken.
    reads: AtomicBool,
    /// How often the carrier had changed when that was last told.
    carrier_changes: AtomicU64,
    /// Woken when a modem line changes.
    modem_news: WaitQueue,
}

/// Makes a terminal of every serial line that answers.
pub(super) fn init() {
    let found = (0..PORTS_AT_MOST).filter_map(|index| SerialPort::open(index).map(Serial::new));
    let found: Vec<Arc<Serial>> = found.collect();
    found.iter().for_each(|serial| serial.clone().start());
    ALL.call_once(|| found);
}

/// The log is printed on these terminals: what a panic says comes out on those of them that are serial lines.
pub(super) fn choose_for_emergencies(consoles: &[Arc<Tty>]) {
    let index = |tty: &Arc<Tty>| {
        let number = tty.number();
        let index = number.minor.checked_sub(FIRST_MINOR).filter(|_| number.major == MAJOR)?;
        usize::try_from(index).ok()
    };
    let indexes: Vec<usize> = consoles.iter().filter_map(index).collect();
    use_in_emergencies(&indexes);
}

impl Serial {
    fn new(port: SerialPort) -> Arc<Self> {
        Arc::new(Self {
            port,
            chosen: SpinLock::new("serial settings", Chosen::default()),
            hangs_up: AtomicBool::new(true),
            reads: AtomicBool::new(true),
            carrier_changes: AtomicU64::new(0),
            modem_news: WaitQueue::named("serial-modem"),
        })
    }

    fn start(self: Arc<Self>) {
        let index = self.port.index();
        let number = DeviceNumber::new(MAJOR, FIRST_MINOR + index as u32);
        let flags = ControlFlags::CSIZE | ControlFlags::CREAD | ControlFlags::CLOCAL | ControlFlags::HUPCL;
        let settings = Termios { cflag: B115200 | flags.bits(), ..Termios::default() };
        let tty = Tty::new(format!("ttyS{index}"), number, settings, Box::new(SerialLine(self.clone())));
        super::add(tty.clone());
        let (listener, serial) = (tty.clone(), self.clone());
        let keys = Keys::new(index as u8);
        let receive = Box::new(move |received: Received<'_>| {
            random::add_time();
            let reads = serial.reads.load(Ordering::Relaxed);
            match received {
                Received::ModemChange => serial.modem_changed(&tty),
                Received::Bytes(bytes) => {
                    let bytes = keys.filter(bytes);
                    if reads {
                        tty.receive(bytes);
                    }
                }
                Received::Damaged(byte) if reads => tty.receive_odd(Arrival::Damaged(byte)),
                // Magic keys are the consoles'; on other lines a break is the program's.
                Received::Break if serial.is_console() && keys.arm() => {}
                Received::Break if reads => tty.receive_odd(Arrival::Break),
                Received::Damaged(_) | Received::Break => {}
            }
        });
        if let Err(error) = self.port.start(receive, Box::new(move || listener.writable.wake_all())) {
            log::warn!("tty: ttyS{index} has no input, and its output is polled: interrupt {error:?}");
        }
    }

    /// Whether the log is printed here.
    fn is_console(&self) -> bool {
        consoles::are_on(FIRST_MINOR + self.port.index() as u32, MAJOR)
    }

    /// A modem line changed. In interrupt context.
    fn modem_changed(&self, tty: &Tty) {
        let lines = self.port.modem();
        let changes = self.port.counts().carrier_changes;
        if self.carrier_changes.swap(changes, Ordering::AcqRel) != changes {
            tty.carrier_changed(carrier_of(lines));
        }
        self.modem_news.wake_all();
    }

    /// Raises or drops the lines that say that somebody is here.
    fn announce(&self, presence: Presence) {
        let ours = ModemLines::DTR | ModemLines::RTS;
        let others = self.port.modem() & (ModemLines::OUT1 | ModemLines::LOOP);
        self.port.set_modem(if presence == Presence::Here { others | ours } else { others });
    }
}

fn carrier_of(lines: ModemLines) -> Carrier {
    if lines.contains(ModemLines::CARRIER) { Carrier::Here } else { Carrier::Gone }
}

/// Whether somebody uses a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Here,
    Gone,
}

struct SerialLine(Arc<Serial>);

impl Line for SerialLine {
    fn write(&self, bytes: &[u8]) {
        self.0.port.write(bytes);
    }

    fn room(&self) -> usize {
        self.0.port.room()
    }

    fn waiting(&self) -> usize {
        self.0.port.waiting()
    }

    fn discard_output(&self) {
        self.0.port.discard();
    }

    fn configure(&self, new: &mut Termios2, old: &Termios2) {
        let chosen = *self.0.chosen.lock();
        let control = new.termios.control();
        self.0.hangs_up.store(control.contains(ControlFlags::HUPCL), Ordering::Relaxed);
        self.0.reads.store(control.contains(ControlFlags::CREAD), Ordering::Relaxed);
        if !control.contains(ControlFlags::CLOCAL) {
            self.0.port.watch_modem();
        }
        let was_off = settings::is_hung_up(old);
        self.0.port.configure(settings::of(new, old, &chosen));
        match (was_off, settings::is_hung_up(new)) {
            (false, true) => self.0.announce(Presence::Gone),
            (true, false) => self.0.announce(Presence::Here),
            _ => {}
        }
    }

    fn set_break(&self, condition: BreakCondition) {
        self.0.port.set_break(condition);
    }

    fn ioctl(&self, tty: &Tty, command: u32, argument: u64) -> crate::error::Result<u64> {
        self.0.ioctl(tty, command, argument)
    }

    fn carrier(&self) -> Carrier {
        carrier_of(self.0.port.modem())
    }

    fn announce(&self) {
        self.0.announce(Presence::Here);
    }

    fn closing(&self) -> Closing {
        self.0.chosen.lock().closing()
    }

    fn first_opened(&self) {
        self.announce();
    }

    fn hung_up(&self) {
        self.last_closed();
    }

    fn last_closed(&self) {
        if self.0.is_console() {
            return;
        }
        // Nobody is there any more who could wait for it.
        self.0.port.discard();
        if self.0.hangs_up.load(Ordering::Relaxed) {
            self.0.announce(Presence::Gone);
        }
    }
}
