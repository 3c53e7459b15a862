//! The ways in while the system runs: the kernel's command line, a magic key, and having nothing else left to do.

use super::command::{Mode, State};
use super::console::{Console, TtyConsole};
use super::session::{self, Next};
use super::table;
use crate::cmdline::Parameters;
use crate::error::{Error, Result};
use crate::fs::RootMounted;
use crate::sched::wait::WaitQueue;
use crate::tty::{self, Tty, screen};
use crate::{config, sched};
use abi::errno::Errno;
use alloc::{boxed::Box, format, sync::Arc};
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use line_editor::Editor;
use runqueue::{Policy, RealTimePriority};

/// Where somebody is who wants the monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Anywhere: the console is meant.
    Program,
    /// At the keyboard: the virtual console that is shown.
    Keyboard,
    /// On a serial line, counted from 0.
    Serial(u8),
}

impl Origin {
    /// As a number, for atomics.
    pub(crate) const fn to_number(self) -> u8 {
        match self {
            Origin::Program => 0,
            Origin::Keyboard => 1,
            Origin::Serial(line) => line.saturating_add(2),
        }
    }

    /// What [`to_number`](Self::to_number) gave.
    pub(crate) const fn from_number(number: u8) -> Self {
        match number {
            0 => Origin::Program,
            1 => Origin::Keyboard,
            line => Origin::Serial(line - 2),
        }
    }

    fn tty(self) -> Option<Arc<Tty>> {
        let own = match self {
            Origin::Program => None,
            Origin::Keyboard => screen::shown_tty(),
            Origin::Serial(line) => tty::find(&format!("ttyS{line}")),
        };
        own.or_else(tty::console)
    }
}

/// There is one monitor at a time.
static IS_IN_USE: AtomicBool = AtomicBool::new(false);

/// The right to be the monitor; given back when dropped.
struct Turn;

impl Turn {
    fn take() -> Option<Turn> {
        (!IS_IN_USE.swap(true, Ordering::Acquire)).then_some(Turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        IS_IN_USE.store(false, Ordering::Release);
    }
}

/// Whether a word of the kernel's command line begins a list of commands.
pub(crate) fn is_command(word: &str) -> bool {
    let name = word.split(';').next().unwrap_or("");
    table::find(name).is_some()
}

/// At the end of boot: runs the commands of the command line and what is typed then, if that is asked for. Returns when
/// the monitor is left, with what is the root file system then.
pub(crate) fn at_boot(parameters: &Parameters, root: Result<RootMounted>) -> Result<RootMounted> {
    let Some(list) = &parameters.monitor else { return root };
    let mounted = match tty::console() {
        Some(tty) => run_on(tty, list),
        None => {
            log::error!("monitor: there is no terminal for it");
            None
        }
    };
    mounted.map_or(root, Ok)
}

/// Runs the monitor on the console until it is left: there is nothing else to do.
pub(crate) fn run_on_console() {
    if let Some(tty) = tty::console() {
        run_on(tty, "");
    }
}

/// Runs a list and what is typed then. What was mounted as root is given back.
fn run_on(tty: Arc<Tty>, list: &str) -> Option<RootMounted> {
    let Some(_turn) = Turn::take() else {
        log::warn!("monitor: it is in use already");
        return None;
    };
    let console = TtyConsole::new(tty.clone());
    let mut state = State::new(Mode::Running);
    console.write("\nThe kernel's monitor. `help` lists the commands, `continue` leaves it.\n");
    if session::run_list(list, &mut state, &console) == Next::Stay {
        // Some kilobytes, which are not to burden a kernel stack.
        let mut editor = Box::new(Editor::new(session::PROMPT));
        session::run_interactively(&mut state, &console, &mut editor);
    }
    // From here on what is typed is the terminal's again.
    drop(console);
    tty.line().write(b"left the monitor\r\n");
    state.root
}

/// Who has asked by a magic key; [`NOBODY`]: none.
static ASKING: AtomicU8 = AtomicU8::new(NOBODY);
const NOBODY: u8 = u8::MAX;
static NEWS: WaitQueue = WaitQueue::named("monitor-request");
/// It goes before all threads but the one that obeys magic keys.
const URGENT: RealTimePriority =
    RealTimePriority::new(config::MONITOR_PRIORITY).expect("1 to 99 are priorities");

/// Starts the thread that is the monitor when a magic key asks for it.
///
/// # Errors
/// ENOMEM.
pub(crate) fn init(_threads: &sched::Ready) -> Result<()> {
    let thread = sched::spawn("monitor", || {
        loop {
            let origin = NEWS.wait_for_work(|| match ASKING.swap(NOBODY, Ordering::AcqRel) {
                NOBODY => None,
                number => Some(Origin::from_number(number)),
            });
            match origin.tty() {
                Some(tty) => drop(run_on(tty, "")),
                None => log::error!("monitor: {}", Error::new(Errno::ENODEV, "there is no terminal for it")),
            }
        }
    })?;
    sched::set_policy(&thread, Policy::Fifo(URGENT));
    Ok(())
}

/// Has the monitor come up where somebody is. Any context.
pub(crate) fn request(origin: Origin) {
    ASKING.store(origin.to_number(), Ordering::Release);
    NEWS.wake_all();
}
