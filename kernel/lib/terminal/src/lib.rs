//! A terminal like xterm: bytes from programs in, a screen of cells out.
//!
//! [`Terminal::feed`] takes what programs write, UTF-8 with control sequences, and changes the screen: characters of
//! one or two cells, colours (16, 256, true), margins, tabs, two screens, scroll-back. What the terminal says to
//! the programs, answers to queries, goes through a [`Host`]. Whoever draws takes the changed cells by
//! [`Terminal::take_damage`]. Keys become bytes in [`keys`].
//!
//! Memory is allocated when a terminal is made or resized, never while it is fed.
//!
//! Sources: ECMA-48 (5th edition), DEC VT510 programmer's reference, xterm's ctlseqs. The parser is the crate `vte`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod cell;
mod charset;
mod edit;
mod grid;
pub mod keys;
mod modes;
mod perform;
mod report;
mod screen;
mod sgr;
mod tabs;

pub use cell::{Attributes, Cell, Color, Style};
pub use modes::Modes;

use alloc::collections::TryReserveError;
use screen::Screen;

/// Rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// 1 or more.
    pub rows: usize,
    /// 1 or more.
    pub columns: usize,
}

/// A place on the screen, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// From the top.
    pub row: usize,
    /// From the left.
    pub column: usize,
}

/// Whom the terminal talks to.
pub trait Host {
    /// Bytes for the program, as if they were typed.
    fn reply(&mut self, bytes: &[u8]);

    /// BEL came.
    fn bell(&mut self) {}

    /// The program had the terminal reset (RIS): what belongs to it elsewhere is to be as in the beginning too.
    fn reset(&mut self) {}

    /// The program set the title of the window.
    fn title(&mut self, _title: &str) {}
}

/// A terminal.
pub struct Terminal {
    parser: vte::Parser<256>,
    screen: Screen,
}

impl Terminal {
    /// An empty screen; `history` lines that leave it at the top can be looked at again.
    ///
    /// # Errors
    /// There is no memory for the cells.
    pub fn new(size: Size, history: usize) -> Result<Terminal, TryReserveError> {
        Ok(Terminal { parser: vte::Parser::new_with_size(), screen: Screen::new(size, history)? })
    }

    /// Takes what a program writes.
    pub fn feed(&mut self, bytes: &[u8], host: &mut impl Host) {
        self.parser.advance(&mut perform::Performer { screen: &mut self.screen, host }, bytes);
    }

    /// Rows and columns.
    pub fn size(&self) -> Size {
        self.screen.grid().size()
    }

    /// Changes the size; lines above the cursor go to the history rather than the cursor out of sight.
    ///
    /// # Errors
    /// There is no memory for the cells; the size is as before.
    pub fn resize(&mut self, size: Size) -> Result<(), TryReserveError> {
        self.screen.resize(size)
    }

    /// What the programs have chosen.
    pub fn modes(&self) -> Modes {
        self.screen.modes
    }

    /// Where the cursor is.
    pub fn cursor(&self) -> Position {
        self.screen.cursor.position
    }

    /// Whether the cursor is to be drawn: not while it is hidden or the history is looked at.
    pub fn is_cursor_shown(&self) -> bool {
        self.screen.modes.contains(Modes::CURSOR) && self.screen.view == 0
    }

    /// A row of the view, from the top: cells of all columns.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, row: usize) -> &[Cell] {
        self.screen.grid().view_row(self.screen.view, row)
    }

    /// The text of a row of the view, without spaces at its end.
    pub fn text(&self, row: usize) -> alloc::string::String {
        let cells =
            self.row(row).iter().filter(|cell| !cell.style.attributes.contains(Attributes::CONTINUATION));
        let mut text: alloc::string::String = cells.map(|cell| cell.character).collect();
        text.truncate(text.trim_end_matches(' ').len());
        text
    }

    /// Lines that have left the screen and are kept.
    pub fn history(&self) -> usize {
        self.screen.grid().history()
    }

    /// How many lines the view is above the end, 0 to [`history`](Self::history).
    pub fn view(&self) -> usize {
        self.screen.view
    }

    /// Looks so many lines further up (or down, if negative).
    pub fn scroll_view(&mut self, lines: isize) {
        self.screen.scroll_view(lines);
    }

    /// The columns of a row of the view that changed since it was last asked; empty if none.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn take_damage(&mut self, row: usize) -> core::ops::Range<usize> {
        self.screen.grid_mut().take_damage(row)
    }

    /// Everything is to be drawn again.
    pub fn damage_all(&mut self) {
        self.screen.grid_mut().damage_all();
    }
}
