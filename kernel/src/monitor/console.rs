//! Where the monitor reads and writes.

use crate::sched::wait::WaitQueue;
use crate::tty::{Tap, Tty};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};
use machine::sync::IrqSpinLock;

/// Ctrl-C.
const INTERRUPT: u8 = 3;

/// A console. Lines of text end in `\n` alone.
pub(super) trait Console {
    /// Writes text.
    fn write(&self, text: &str);

    /// The next byte that is typed; waits for it. `None`: nothing will come any more.
    fn read(&self) -> Option<u8>;

    /// Whether Ctrl-C was typed since the last [`begin`](Self::begin).
    fn is_interrupted(&self) -> bool;

    /// A command begins: what Ctrl-C meant before is over.
    fn begin(&self);

    /// Waits until a point of the monotonic clock, or Ctrl-C. Whether it was the latter.
    fn wait_until(&self, deadline_ns: u64) -> bool;

    /// Rows and columns; 0: unknown.
    fn size(&self) -> (usize, usize) {
        (0, 0)
    }

    /// The terminal that it is, for programs; `None`: it is none.
    fn tty(&self) -> Option<&Arc<Tty>> {
        None
    }

    /// Gives the keyboard to the terminal's programs, or takes it back.
    fn lend(&self, _lending: Lending) {}
}

/// Whose the keyboard is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lending {
    /// The programs'.
    Lent,
    /// The monitor's.
    Back,
}

/// What was typed and not read yet; more is lost.
const TYPED: usize = 512;

struct Typed {
    bytes: [u8; TYPED],
    first: usize,
    length: usize,
}

impl Typed {
    fn push(&mut self, byte: u8) {
        if self.length < TYPED {
            self.bytes[(self.first + self.length) % TYPED] = byte;
            self.length += 1;
        }
    }

    fn pop(&mut self) -> Option<u8> {
        if self.length == 0 {
            return None;
        }
        let byte = self.bytes[self.first];
        self.first = (self.first + 1) % TYPED;
        self.length -= 1;
        Some(byte)
    }
}

/// What is typed on the terminal meanwhile.
struct Input {
    typed: IrqSpinLock<Typed>,
    news: WaitQueue,
    is_interrupted: AtomicBool,
}

impl Tap for Input {
    fn receive(&self, bytes: &[u8]) {
        let mut typed = self.typed.lock();
        for &byte in bytes {
            if byte == INTERRUPT {
                // What was typed before it is not meant any more.
                typed.length = 0;
                self.is_interrupted.store(true, Ordering::Release);
            }
            typed.push(byte);
        }
        drop(typed);
        self.news.wake_all();
    }
}

/// Bytes that are given to a terminal's line in one call, at most.
const WRITTEN_AT_ONCE: usize = 320;

/// A terminal, whose input the monitor has for as long as this lives. What is printed there by others goes on.
pub(super) struct TtyConsole {
    tty: Arc<Tty>,
    input: Arc<Input>,
}

impl TtyConsole {
    /// Takes the terminal's input.
    pub(super) fn new(tty: Arc<Tty>) -> Self {
        let typed = Typed { bytes: [0; TYPED], first: 0, length: 0 };
        let input = Arc::new(Input {
            typed: IrqSpinLock::new("monitor input", typed),
            news: WaitQueue::named("monitor"),
            is_interrupted: AtomicBool::new(false),
        });
        tty.set_tap(Some(input.clone()));
        Self { tty, input }
    }
}

impl Drop for TtyConsole {
    fn drop(&mut self) {
        self.tty.set_tap(None);
    }
}

impl Console for TtyConsole {
    fn write(&self, text: &str) {
        // A line and its end go together, lest somebody else's line begin between them.
        let mut bytes = [0; WRITTEN_AT_ONCE];
        let mut length = 0;
        for &byte in text.as_bytes() {
            if length + 2 > bytes.len() {
                self.tty.line().write(&bytes[..length]);
                length = 0;
            }
            let end: &[u8] = if byte == b'\n' { b"\r\n" } else { &[byte] };
            bytes[length..length + end.len()].copy_from_slice(end);
            length += end.len();
        }
        self.tty.line().write(&bytes[..length]);
    }

    fn read(&self) -> Option<u8> {
        Some(self.input.news.wait_for_work(|| self.input.typed.lock().pop()))
    }

    fn is_interrupted(&self) -> bool {
        self.input.is_interrupted.load(Ordering::Acquire)
    }

    fn begin(&self) {
        if self.input.is_interrupted.swap(false, Ordering::AcqRel) {
            let mut typed = self.input.typed.lock();
            if typed.length > 0 && typed.bytes[typed.first] == INTERRUPT {
                typed.pop();
            }
        }
    }

    fn wait_until(&self, deadline_ns: u64) -> bool {
        let interrupted = || self.is_interrupted().then_some(());
        self.input.news.wait_until(deadline_ns, interrupted).is_ok()
    }

    fn size(&self) -> (usize, usize) {
        let window = self.tty.window();
        (window.row.into(), window.col.into())
    }

    fn tty(&self) -> Option<&Arc<Tty>> {
        Some(&self.tty)
    }

    fn lend(&self, lending: Lending) {
        let tap: Option<Arc<dyn Tap>> = match lending {
            Lending::Lent => None,
            Lending::Back => Some(self.input.clone()),
        };
        self.tty.set_tap(tap);
    }
}
