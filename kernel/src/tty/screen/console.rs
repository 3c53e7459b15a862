//! One virtual console: the cells, and the way from programs to them.

use super::painter;
use super::switch::{Drawing, Handling, KeyMode};
use crate::device::input;
use crate::error::Result;
use crate::tty::{Line, Tty};
use abi::tty::Winsize;
use alloc::sync::{Arc, Weak};
use core::ops::Range;
use machine::sync::{IrqSpinLock, Once};
use terminal::{Cell, Host, Modes, Position, Size, Terminal};

/// Room for answers to programs that wait to be delivered; more are lost, as typing too far ahead is.
const REPLIES: usize = 256;

/// Bytes that the terminal takes with interrupts disabled.
const PIECE: usize = 16;

/// A virtual console. Its cells are made when it is opened for the first time: most are never used.
pub(super) struct Console {
    /// Its number less one.
    index: usize,
    size: IrqSpinLock<Size>,
    history: usize,
    state: IrqSpinLock<Option<State>>,
    pub(super) handling: IrqSpinLock<Handling>,
    tty: Once<Weak<Tty>>,
}

struct State {
    terminal: Terminal,
    replies: Replies,
}

/// Answers to programs, and what they ask for that is not on the screen.
struct Replies {
    bytes: [u8; REPLIES],
    length: usize,
    /// The keyboard is to be as in the beginning.
    is_reset: bool,
}

impl Host for Replies {
    fn reply(&mut self, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.length..self.length + bytes.len()) {
            room.copy_from_slice(bytes);
            self.length += bytes.len();
        }
    }

    fn reset(&mut self) {
        self.is_reset = true;
    }
}

impl Console {
    pub(super) fn new(index: usize, size: Size, history: usize) -> Arc<Self> {
        let state = IrqSpinLock::new("virtual console", None);
        let handling = IrqSpinLock::new("virtual console's screen", Handling::default());
        let size = IrqSpinLock::new("virtual console's size", size);
        Arc::new(Self { index, size, history, state, handling, tty: Once::new() })
    }

    /// Its number less one.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    fn size(&self) -> Size {
        *self.size.lock()
    }

    /// Changes its size, and tells its programs; without memory for the cells it shows what fits. May sleep.
    pub(super) fn resize(&self, size: Size, window: Winsize) {
        *self.size.lock() = size;
        if self.with(|terminal| terminal.resize(size)).is_some_and(|outcome| outcome.is_err()) {
            log::warn!("tty: no memory for the cells of a larger virtual console");
        }
        if let Some(tty) = self.tty() {
            tty.set_window(window);
        }
    }

    /// What programs have chosen.
    pub(super) fn handling(&self) -> Handling {
        *self.handling.lock()
    }

    /// Whether a program draws on it, and the console does not.
    pub(super) fn is_graphic(&self) -> bool {
        self.handling().drawing == Drawing::Graphics
    }

    /// Forgets its text and frees the memory.
    pub(super) fn deallocate(&self) {
        let old = self.state.lock().take();
        drop(old);
    }

    /// Makes its cells, if there are none yet; without memory it shows nothing, until it is opened again. May sleep.
    pub(super) fn allocate(&self) {
        if self.state.lock().is_some() {
            return;
        }
        let replies = Replies { bytes: [0; REPLIES], length: 0, is_reset: false };
        let Ok(terminal) = Terminal::new(self.size(), self.history) else {
            log::warn!("tty: no memory for the cells of a virtual console");
            return;
        };
        let new = State { terminal, replies };
        // If another one was faster, `new` is dropped after the lock is free.
        let mut state = self.state.lock();
        let unused = match &mut *state {
            Some(_) => Some(new),
            empty => {
                *empty = Some(new);
                None
            }
        };
        drop(state);
        drop(unused);
    }

    /// Does something with the terminal, if there is one.
    fn with<R>(&self, act: impl FnOnce(&mut Terminal) -> R) -> Option<R> {
        self.state.lock().as_mut().map(|state| act(&mut state.terminal))
    }

    /// Says which terminal it is the line of.
    pub(super) fn connect(&self, tty: &Arc<Tty>) {
        self.tty.call_once(|| Arc::downgrade(tty));
    }

    pub(super) fn tty(&self) -> Option<Arc<Tty>> {
        self.tty.get().and_then(Weak::upgrade)
    }

    /// What its program has chosen.
    pub(super) fn modes(&self) -> Modes {
        self.with(|terminal| terminal.modes()).unwrap_or_default()
    }

    /// Looks half screens further up.
    pub(super) fn scroll_view(&self, half_screens: isize) {
        let half = self.size().rows.div_ceil(2) as isize;
        self.with(|terminal| terminal.scroll_view(half * half_screens));
    }

    /// Everything is to be drawn.
    pub(super) fn damage_all(&self) {
        self.with(Terminal::damage_all);
    }

    /// The cursor, unless it is not shown.
    pub(super) fn cursor(&self) -> Option<Position> {
        self.with(|terminal| terminal.is_cursor_shown().then(|| terminal.cursor())).flatten()
    }

    /// Copies a row into `cells` and tells which of its columns changed since the last call.
    pub(super) fn take_row(&self, row: usize, cells: &mut [Cell]) -> Range<usize> {
        self.with(|terminal| {
            if row >= terminal.size().rows {
                return 0..0;
            }
            let damage = terminal.take_damage(row);
            copy_cells(terminal.row(row), cells);
            damage.start..damage.end.min(cells.len())
        })
        .unwrap_or_default()
    }

    /// Copies a row into `cells`, for the cursor.
    pub(super) fn copy_row(&self, row: usize, cells: &mut [Cell]) {
        self.with(|terminal| {
            if row < terminal.size().rows {
                copy_cells(terminal.row(row), cells);
            }
        });
    }

    /// The keyboard is to this console what it was in the beginning.
    fn reset_keyboard(&self) {
        self.handling.lock().keys = KeyMode::default();
        input::reset_locks(self.index);
    }

    /// Gives answers to the programs that asked.
    pub(super) fn deliver_replies(&self) {
        let mut state = self.state.lock();
        let Some(State { replies, .. }) = &mut *state else { return };
        let (bytes, length) = (replies.bytes, core::mem::take(&mut replies.length));
        drop(state);
        if length > 0
            && let Some(tty) = self.tty()
        {
            tty.receive(&bytes[..length]);
        }
    }
}

/// Copies a row; the terminal may be of another size than the screen for a moment.
fn copy_cells(row: &[Cell], cells: &mut [Cell]) {
    let length = row.len().min(cells.len());
    cells[..length].copy_from_slice(&row[..length]);
    cells[length..].fill(Cell::default());
}

/// What the console's terminal writes to.
pub(super) struct ConsoleLine(pub(super) Arc<Console>);

impl Line for ConsoleLine {
    fn write(&self, bytes: &[u8]) {
        // A short sequence may change the whole screen: interrupts get through between pieces.
        for piece in bytes.chunks(PIECE) {
            let mut state = self.0.state.lock();
            let Some(State { terminal, replies }) = &mut *state else { break };
            terminal.feed(piece, replies);
            let is_reset = core::mem::take(&mut replies.is_reset);
            drop(state);
            if is_reset {
                self.0.reset_keyboard();
            }
        }
        painter::wake();
    }

    fn ioctl(&self, tty: &Tty, command: u32, argument: u64) -> Result<u64> {
        self.0.ioctl(tty, command, argument)
    }

    fn first_opened(&self) {
        self.0.allocate();
    }

    fn last_closed(&self) {
        self.0.reset_handling();
    }
}
