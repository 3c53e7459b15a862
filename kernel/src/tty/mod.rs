//! Terminals.
//!
//! | file | what |
//! |---|---|
//! | `terminal.rs` | a terminal: line discipline, owner, window, waiting: [`Tty`] |
//! | `read.rs` | reading by line and raw (VMIN, VTIME) |
//! | `control.rs` | the ioctls |
//! | `open.rs` | open files of terminals; /dev/tty and /dev/console |
//! | `serial.rs` | ttyS0 to ttyS3 |
//! | `screen/` | tty1 to tty6: virtual consoles on screen and keyboard |
//! | `pty.rs` | pseudo-terminals: /dev/ptmx and /dev/pts |
//!
//! What is done to bytes (editing, echo, signals, newlines) is in `lib/line-discipline`; who may use a terminal, and
//! the signals for those who may not, in `process::session`.

mod control;
mod open;
mod pty;
mod read;
pub(crate) mod screen;
mod serial;
mod terminal;

pub(crate) use terminal::{Line, Tap, Tty};

use crate::cmdline::Parameters;
use crate::device::character;
use crate::log::Replay;
use abi::stat::DeviceNumber;
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use machine::sync::{Once, SpinLock};

/// Numbers of terminals that stand for others.
const TTY: DeviceNumber = DeviceNumber::new(5, 0);
const CONSOLE: DeviceNumber = DeviceNumber::new(5, 1);

static TTYS: SpinLock<Vec<Arc<Tty>>> = SpinLock::new("ttys", Vec::new());
static CONSOLE_TTY: Once<Arc<Tty>> = Once::new();

/// Finds the terminals and chooses the console: the last `console=` that exists, else the first terminal.
pub(crate) fn init(parameters: &Parameters, _devices: &crate::device::Ready) -> Ready {
    serial::init();
    if let Err(error) = screen::init() {
        log::warn!("tty: no virtual consoles: {error}");
    }
    pty::init();
    character::register(TTY, "tty", 0o666, Arc::new(open::ControllingTty));
    character::register(CONSOLE, "console", 0o600, Arc::new(open::Console));
    // Options behind a comma (`ttyS0,115200`) ask for what is set anyway.
    let names = parameters.consoles.iter().rev().map(|name| name.split(',').next().unwrap_or(name));
    let ttys = TTYS.lock().clone();
    // tty0 is the console that is shown, which at boot is tty1.
    let find = |name: &str| ttys.iter().find(|tty| tty.name() == if name == "tty0" { "tty1" } else { name });
    match names.filter_map(find).next().or(ttys.first()) {
        Some(tty) => {
            log::info!("tty: console is {}", tty.name());
            CONSOLE_TTY.call_once(|| tty.clone());
            let is_first_line = tty.name() == serial::FIRST;
            let replay = if is_first_line { Replay::No } else { Replay::Yes };
            crate::log::set_console(Box::new(LogOutput(tty.clone())), replay);
        }
        None => log::warn!("tty: no terminal, so no console"),
    }
    Ready(())
}

/// The terminals that are there are known: [`init`] has run.
pub(crate) struct Ready(());

/// Takes in a terminal, with a file of its own in /dev.
pub(crate) fn add(tty: Arc<Tty>) {
    let (number, name) = (tty.number(), alloc::string::String::from(tty.name()));
    TTYS.lock().push(tty.clone());
    character::register(number, &name, 0o620, Arc::new(open::Named(tty)));
}

/// The terminal behind /dev/console.
pub(crate) fn console() -> Option<&'static Arc<Tty>> {
    CONSOLE_TTY.get()
}

/// The terminal of that name in /dev.
pub(crate) fn find(name: &str) -> Option<Arc<Tty>> {
    TTYS.lock().iter().find(|tty| tty.name() == name).cloned()
}

/// Prints the log on a terminal, past its settings: a program in raw mode does not garble it.
struct LogOutput(Arc<Tty>);

impl crate::log::Console for LogOutput {
    fn print(&self, text: &[u8]) {
        for part in text.split_inclusive(|byte| *byte == b'\n') {
            match part.split_last() {
                Some((b'\n', line)) => {
                    self.0.line().write(line);
                    self.0.line().write(b"\r\n");
                }
                _ => self.0.line().write(part),
            }
        }
    }
}
