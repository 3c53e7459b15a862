//! Terminals.
//!
//! | file | what |
//! |---|---|
//! | `line.rs` | what a terminal is put on: [`Line`] |
//! | `terminal.rs` | a terminal: line discipline, owner, window, waiting: [`Tty`] |
//! | `read.rs` | reading by line and raw (VMIN, VTIME) |
//! | `control.rs` | the ioctls |
//! | `carrier.rs` | the other side comes and goes; the last close |
//! | `open.rs` | open files of terminals; /dev/tty and /dev/console |
//! | `serial/` | ttyS0 to ttyS3 |
//! | `consoles.rs` | where the log is printed; which one is /dev/console |
//! | `screen/` | tty1 to tty6: virtual consoles on screen and keyboard |
//! | `pty.rs` | pseudo-terminals: /dev/ptmx and /dev/pts |
//!
//! What is done to bytes (editing, echo, signals, newlines) is in `lib/line-discipline`; who may use a terminal, and
//! the signals for those who may not, in `process::session`.

mod carrier;
pub(crate) mod consoles;
mod control;
mod line;
mod open;
mod pty;
mod read;
pub(crate) mod screen;
pub(crate) mod serial;
mod terminal;

pub(crate) use line::{Line, Tap};
use terminal::Arrival;
pub(crate) use terminal::Tty;

use crate::device::character;
use abi::stat::DeviceNumber;
use alloc::{sync::Arc, vec::Vec};
use machine::sync::SpinLock;

/// Numbers of terminals that stand for others.
const TTY: DeviceNumber = DeviceNumber::new(5, 0);
const CONSOLE: DeviceNumber = DeviceNumber::new(5, 1);

static TTYS: SpinLock<Vec<Arc<Tty>>> = SpinLock::new("ttys", Vec::new());

/// Finds the terminals and chooses the consoles.
pub(crate) fn init(_devices: &crate::device::Ready) -> Ready {
    if let Err(error) = carrier::init() {
        log::warn!("tty: nobody hangs up when a carrier goes: {error}");
    }
    serial::init();
    if let Err(error) = screen::init() {
        log::warn!("tty: no virtual consoles: {error}");
    }
    pty::init();
    character::register(TTY, "tty", 0o666, Arc::new(open::ControllingTty));
    character::register(CONSOLE, "console", 0o600, Arc::new(open::Console));
    let ttys = TTYS.lock().clone();
    consoles::choose(&ttys);
    Ready(())
}

/// The terminals that are there are known: [`init`] has run.
pub(crate) struct Ready(());

/// Takes in a terminal, with a file of its own in /dev. May sleep.
pub(crate) fn add(tty: Arc<Tty>) {
    let (number, name) = (tty.number(), alloc::string::String::from(tty.name()));
    TTYS.lock().push(tty.clone());
    character::register(number, &name, 0o620, Arc::new(open::Named(tty.clone())));
    consoles::found_later(&tty);
}

/// The line of a terminal is gone for good: the terminal is not found any more, and open files of it are dead. May sleep.
pub(crate) fn remove(tty: &Arc<Tty>) {
    TTYS.lock().retain(|known| !Arc::ptr_eq(known, tty));
    character::unregister(tty.number());
    consoles::lost(tty);
    tty.withdraw();
}

/// The terminal behind /dev/console.
pub(crate) fn console() -> Option<Arc<Tty>> {
    consoles::main()
}

/// The terminal of that name in /dev.
pub(crate) fn find(name: &str) -> Option<Arc<Tty>> {
    TTYS.lock().iter().find(|tty| tty.name() == name).cloned()
}
