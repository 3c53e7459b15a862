//! One virtual console: the cells, and the way from programs to them.

use super::painter;
use crate::tty::{Line, Tty};
use alloc::sync::{Arc, Weak};
use core::ops::Range;
use machine::sync::{IrqSpinLock, Once};
use terminal::{Cell, Host, Modes, Position, Size, Terminal};

/// Room for answers to programs that wait to be delivered; more are lost, as typing too far ahead is.
const REPLIES: usize = 256;

/// A virtual console.
pub(super) struct Console {
    state: IrqSpinLock<State>,
    tty: Once<Weak<Tty>>,
}

struct State {
    terminal: Terminal,
    replies: Replies,
}

/// Answers to programs.
struct Replies {
    bytes: [u8; REPLIES],
    length: usize,
}

impl Host for Replies {
    fn reply(&mut self, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.length..self.length + bytes.len()) {
            room.copy_from_slice(bytes);
            self.length += bytes.len();
        }
    }
}

impl Console {
    pub(super) fn new(size: Size, history: usize) -> Arc<Self> {
        let replies = Replies { bytes: [0; REPLIES], length: 0 };
        let state = State { terminal: Terminal::new(size, history), replies };
        Arc::new(Self { state: IrqSpinLock::new("virtual console", state), tty: Once::new() })
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
        self.state.lock().terminal.modes()
    }

    /// Looks half screens further up.
    pub(super) fn scroll_view(&self, half_screens: isize) {
        let mut state = self.state.lock();
        let half = state.terminal.size().rows.div_ceil(2) as isize;
        state.terminal.scroll_view(half * half_screens);
    }

    /// Everything is to be drawn.
    pub(super) fn damage_all(&self) {
        self.state.lock().terminal.damage_all();
    }

    /// The cursor, unless it is not shown.
    pub(super) fn cursor(&self) -> Option<Position> {
        let state = self.state.lock();
        state.terminal.is_cursor_shown().then(|| state.terminal.cursor())
    }

    /// Copies a row into `cells` and tells which of its columns changed since the last call.
    pub(super) fn take_row(&self, row: usize, cells: &mut [Cell]) -> Range<usize> {
        let mut state = self.state.lock();
        let damage = state.terminal.take_damage(row);
        let length = cells.len().min(state.terminal.size().columns);
        if damage.start < damage.end {
            cells[..length].copy_from_slice(&state.terminal.row(row)[..length]);
        }
        damage.start.min(length)..damage.end.min(length)
    }

    /// Copies a row into `cells`, for the cursor.
    pub(super) fn copy_row(&self, row: usize, cells: &mut [Cell]) {
        let state = self.state.lock();
        let length = cells.len().min(state.terminal.size().columns);
        cells[..length].copy_from_slice(&state.terminal.row(row)[..length]);
    }

    /// Gives answers to the programs that asked.
    pub(super) fn deliver_replies(&self) {
        let mut state = self.state.lock();
        let Replies { bytes, length } = state.replies;
        state.replies.length = 0;
        drop(state);
        if length > 0
            && let Some(tty) = self.tty()
        {
            tty.receive(&bytes[..length]);
        }
    }
}

/// What the console's terminal writes to.
pub(super) struct ConsoleLine(pub(super) Arc<Console>);

impl Line for ConsoleLine {
    fn write(&self, bytes: &[u8]) {
        let mut state = self.0.state.lock();
        let State { terminal, replies } = &mut *state;
        terminal.feed(bytes, replies);
        drop(state);
        painter::wake();
    }
}
