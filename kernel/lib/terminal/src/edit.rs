//! Writing and erasing.

use crate::Position;
use crate::cell::{Attributes, Cell, Style};
use crate::grid::Region;
use crate::modes::Modes;
use crate::screen::Screen;
use core::ops::Range;
use unicode_width::UnicodeWidthChar;

/// What an erasing sequence spares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Erase {
    /// Nothing.
    All,
    /// Protected cells.
    Unprotected,
}

impl Screen {
    /// Writes a character. Those without a width of their own (combining ones) are not shown.
    pub(crate) fn print(&mut self, character: char) {
        let character = self.cursor.charsets.map(character);
        let width = match character.width() {
            None | Some(0) => return,
            Some(width) => width,
        };
        self.last_printed = Some(character);
        if self.view > 0 {
            self.scroll_view(isize::MIN);
        }
        if self.cursor.is_wrap_pending {
            self.wrap();
        }
        if self.cursor.position.column + width > self.right_limit() {
            // A wide character that has no room at the end of the line.
            if self.modes.contains(Modes::WRAP) {
                self.wrap();
            } else {
                self.left(1);
            }
        }
        let Position { row, column } = self.cursor.position;
        let end = self.right_limit();
        if column + width > end {
            return;
        }
        if self.modes.contains(Modes::INSERT) {
            let style = self.erased();
            self.grid_mut().insert(row, column, end, width, style);
        }
        let mut style = self.cursor.style;
        if width == 2 {
            style.attributes |= Attributes::WIDE;
            let rest = Style { attributes: self.cursor.style.attributes | Attributes::CONTINUATION, ..style };
            // The right half first: it would be taken for the end of an older character.
            let blank = Cell::blank(self.cursor.style);
            self.grid_mut().put(row, column + 1, blank);
            self.grid_mut().put(row, column, Cell { character, style });
            self.grid_mut().put_continuation(row, column + 1, Cell::blank(rest));
        } else {
            self.grid_mut().put(row, column, Cell { character, style });
        }
        if column + width < end {
            self.cursor.position.column += width;
        } else {
            self.cursor.position.column = end - 1;
            self.cursor.is_wrap_pending = self.modes.contains(Modes::WRAP);
        }
    }

    fn wrap(&mut self) {
        self.index();
        self.carriage_return();
    }

    /// Blanks columns of a row.
    pub(crate) fn erase_columns(&mut self, row: usize, columns: Range<usize>, what: Erase) {
        let style = self.erased();
        match what {
            Erase::All => self.grid_mut().erase(row, columns, style),
            Erase::Unprotected => self.grid_mut().erase_selectively(row, columns, style),
        }
    }

    /// ED: from the cursor to the end (0), from the start to the cursor (1), all (2); 3 forgets the history.
    pub(crate) fn erase_screen(&mut self, part: u16, what: Erase) {
        let (size, Position { row, .. }) = (self.size(), self.cursor.position);
        let rows = match part {
            0 => row + 1..size.rows,
            1 => 0..row,
            2 => 0..size.rows,
            3 => {
                self.scroll_view(isize::MIN);
                self.grid_mut().forget_history();
                return;
            }
            _ => return,
        };
        if part < 2 {
            self.erase_line(part, what);
        }
        for row in rows {
            self.erase_columns(row, 0..size.columns, what);
        }
        self.cursor.is_wrap_pending = false;
    }

    /// EL: from the cursor to the end (0), from the start to the cursor (1), all of the line (2).
    pub(crate) fn erase_line(&mut self, part: u16, what: Erase) {
        let (columns, Position { row, column }) = (self.size().columns, self.cursor.position);
        let erased = match part {
            0 => column..columns,
            1 => 0..column + 1,
            2 => 0..columns,
            _ => return,
        };
        self.erase_columns(row, erased, what);
        self.cursor.is_wrap_pending = false;
    }

    /// ECH: blanks characters from the cursor on.
    pub(crate) fn erase_characters(&mut self, count: usize) {
        let Position { row, column } = self.cursor.position;
        let end = column.saturating_add(count).min(self.size().columns);
        self.erase_columns(row, column..end, Erase::All);
        self.cursor.is_wrap_pending = false;
    }

    /// ICH: moves the rest of the line to the right.
    pub(crate) fn insert_characters(&mut self, count: usize) {
        if self.is_between_sides() {
            let (Position { row, column }, end, style) =
                (self.cursor.position, self.margins.right, self.erased());
            self.grid_mut().insert(row, column, end, count, style);
            self.cursor.is_wrap_pending = false;
        }
    }

    /// DCH: moves the rest of the line to the left.
    pub(crate) fn delete_characters(&mut self, count: usize) {
        if self.is_between_sides() {
            let (Position { row, column }, end, style) =
                (self.cursor.position, self.margins.right, self.erased());
            self.grid_mut().delete(row, column, end, count, style);
            self.cursor.is_wrap_pending = false;
        }
    }

    /// The part of the margins from the cursor's line on, if the cursor is between them.
    fn lines_below(&self) -> Option<Region> {
        let row = self.cursor.position.row;
        ((self.margins.top..self.margins.bottom).contains(&row) && self.is_between_sides())
            .then_some(Region { top: row, ..self.margins })
    }

    /// IL: new lines at the cursor.
    pub(crate) fn insert_lines(&mut self, count: usize) {
        if let Some(region) = self.lines_below() {
            let style = self.erased();
            self.grid_mut().scroll_down(region, count, style);
            self.go(region.top, region.left);
        }
    }

    /// DL: takes lines away at the cursor.
    pub(crate) fn delete_lines(&mut self, count: usize) {
        if let Some(region) = self.lines_below() {
            let style = self.erased();
            // These lines were not scrolled off: they are no history.
            self.grid_mut().remove_lines(region, count, style);
            self.go(region.top, region.left);
        }
    }

    /// SD.
    pub(crate) fn scroll_down(&mut self, count: usize) {
        let (region, style) = (self.margins, self.erased());
        self.grid_mut().scroll_down(region, count, style);
    }

    /// DECALN: the screen full of E.
    pub(crate) fn align(&mut self) {
        let size = self.size();
        self.margins = self.grid().whole();
        for row in 0..size.rows {
            for column in 0..size.columns {
                self.grid_mut().put(row, column, Cell { character: 'E', style: Style::default() });
            }
        }
        self.go(0, 0);
    }

    /// REP: the last character again.
    pub(crate) fn repeat(&mut self, count: usize) {
        if let Some(character) = self.last_printed {
            let cells = self.size().rows * self.size().columns;
            for _ in 0..count.min(cells) {
                self.print(character);
            }
        }
    }
}
