//! The monitor after a panic (`panic=monitor`): input is polled, other CPUs stand still, nothing is waited for.
//!
//! A command that panics in turn, since a lock is taken that nobody will ever give back or memory is in disorder, is
//! given up: the new panic comes here again, and reads the next line on top of the old stack. That is done some times
//! only, since a stack ends.

use super::command::{Mode, State};
use super::console::Console;
use super::session;
use crate::cmdline::{self, PanicAction};
use crate::device::input;
use crate::tty::{consoles, screen::emergency};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use line_editor::Editor;
use machine::io::serial;
use machine::sync::IrqSpinLock;
use machine::time;

/// How often commands may panic.
const MOST_FAILURES: usize = 5;

/// Too large for a stack that is in use already. One for each time: that of a command that panics stays locked. Nobody
/// but a panic takes them.
static EDITORS: [IrqSpinLock<Editor>; MOST_FAILURES + 1] =
    [const { IrqSpinLock::new("panic monitor", Editor::new(session::PROMPT)) }; MOST_FAILURES + 1];
static FAILURES: AtomicUsize = AtomicUsize::new(0);

/// Serial lines, keyboard and screen by polling.
struct PolledConsole {
    is_interrupted: AtomicBool,
}

impl PolledConsole {
    fn poll(&self) -> Option<u8> {
        let byte = serial::emergency_read().or_else(input::poll)?;
        if byte == 3 {
            self.is_interrupted.store(true, Ordering::Relaxed);
        }
        Some(byte)
    }
}

impl Console for PolledConsole {
    fn write(&self, text: &str) {
        emergency::print(text);
        consoles::print_in_panic(text);
        for part in text.split_inclusive('\n') {
            match part.strip_suffix('\n') {
                Some(line) => {
                    serial::emergency_write(line.as_bytes());
                    serial::emergency_write(b"\r\n");
                }
                None => serial::emergency_write(part.as_bytes()),
            }
        }
    }

    fn read(&self) -> Option<u8> {
        loop {
            if let Some(byte) = self.poll() {
                return Some(byte);
            }
            core::hint::spin_loop();
        }
    }

    fn is_interrupted(&self) -> bool {
        // What is typed during a command is lost, but for Ctrl-C.
        self.poll();
        self.is_interrupted.load(Ordering::Relaxed)
    }

    fn begin(&self) {
        self.is_interrupted.store(false, Ordering::Relaxed);
    }

    fn wait_until(&self, deadline_ns: u64) -> bool {
        while time::monotonic_ns() < deadline_ns {
            if self.is_interrupted() {
                return true;
            }
            core::hint::spin_loop();
        }
        false
    }
}

/// The system has panicked and the report is written, or a command of this monitor did.
pub(crate) fn after_panic() {
    if cmdline::parameters().panic != PanicAction::Monitor {
        return;
    }
    let console = PolledConsole { is_interrupted: AtomicBool::new(false) };
    let failures = FAILURES.fetch_add(1, Ordering::Relaxed);
    let Some(mut editor) = EDITORS.get(failures).and_then(IrqSpinLock::try_lock) else {
        return console.write("The monitor has failed too often.\n");
    };
    if failures == 0 {
        console.write(
            "\nThe kernel's monitor after a panic. `help` lists the commands, `continue` ends the machine.\n",
        );
    }
    let mut state = State::new(Mode::Panicked);
    session::run_interactively(&mut state, &console, &mut editor);
}
