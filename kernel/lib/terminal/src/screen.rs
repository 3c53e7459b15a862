//! The state of a terminal: two screens, the cursor, margins and modes; how the cursor moves.

use crate::cell::Style;
use crate::charset::Charsets;
use crate::grid::{Grid, Region};
use crate::modes::Modes;
use crate::tabs::Tabs;
use crate::{Position, Size};
use alloc::collections::TryReserveError;

/// Where and how the next character is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) position: Position,
    pub(crate) style: Style,
    pub(crate) charsets: Charsets,
    /// A character was written in the last column: the next one begins a new line.
    pub(crate) is_wrap_pending: bool,
}

/// What DECSC keeps.
#[derive(Clone, Copy, Debug, Default)]
struct Saved {
    cursor: Cursor,
    has_origin: bool,
}

/// The state that sequences change.
pub(crate) struct Screen {
    primary: Grid,
    alternate: Grid,
    pub(crate) cursor: Cursor,
    /// Of the primary and the alternate screen.
    saved: [Saved; 2],
    pub(crate) modes: Modes,
    pub(crate) margins: Region,
    pub(crate) tabs: Tabs,
    /// What REP repeats.
    pub(crate) last_printed: Option<char>,
    /// Lines that the view is above the end.
    pub(crate) view: usize,
}

impl Screen {
    pub(crate) fn new(size: Size, history: usize) -> Result<Screen, TryReserveError> {
        let size = Size { rows: size.rows.max(1), columns: size.columns.max(1) };
        let primary = Grid::new(size, history)?;
        Ok(Screen {
            margins: primary.whole(),
            alternate: Grid::new(size, 0)?,
            primary,
            cursor: Cursor::default(),
            saved: [Saved::default(); 2],
            modes: Modes::default(),
            tabs: Tabs::new(size.columns)?,
            last_printed: None,
            view: 0,
        })
    }

    pub(crate) fn grid(&self) -> &Grid {
        if self.modes.contains(Modes::ALTERNATE) { &self.alternate } else { &self.primary }
    }

    pub(crate) fn grid_mut(&mut self) -> &mut Grid {
        if self.modes.contains(Modes::ALTERNATE) { &mut self.alternate } else { &mut self.primary }
    }

    pub(crate) fn size(&self) -> Size {
        self.grid().size()
    }

    /// What erasing leaves.
    pub(crate) fn erased(&self) -> Style {
        self.cursor.style.erased()
    }

    // Moving. Each motion forgets a pending wrap.

    /// Goes to a place of the screen, or the nearest there is.
    pub(crate) fn go(&mut self, row: usize, column: usize) {
        let size = self.size();
        self.cursor.position = Position { row: row.min(size.rows - 1), column: column.min(size.columns - 1) };
        self.cursor.is_wrap_pending = false;
    }

    /// Goes to a place that a program names: in origin mode it counts from the margins and stays inside.
    pub(crate) fn go_addressed(&mut self, row: usize, column: usize) {
        if self.modes.contains(Modes::ORIGIN) {
            let margins = self.margins;
            let row = (margins.top.saturating_add(row)).min(margins.bottom - 1);
            self.go(row, (margins.left.saturating_add(column)).min(margins.right - 1));
        } else {
            self.go(row, column);
        }
    }

    /// Where the cursor is for programs.
    pub(crate) fn addressed(&self) -> Position {
        let Position { row, column } = self.cursor.position;
        if self.modes.contains(Modes::ORIGIN) {
            Position {
                row: row.saturating_sub(self.margins.top),
                column: column.saturating_sub(self.margins.left),
            }
        } else {
            self.cursor.position
        }
    }

    pub(crate) fn up(&mut self, by: usize) {
        let Position { row, column } = self.cursor.position;
        let limit = if row >= self.margins.top { self.margins.top } else { 0 };
        self.go(row.saturating_sub(by).max(limit), column);
    }

    pub(crate) fn down(&mut self, by: usize) {
        let Position { row, column } = self.cursor.position;
        let limit = if row < self.margins.bottom { self.margins.bottom } else { self.size().rows } - 1;
        self.go(row.saturating_add(by).min(limit), column);
    }

    pub(crate) fn right(&mut self, by: usize) {
        let Position { row, column } = self.cursor.position;
        self.go(row, column.saturating_add(by).min(self.right_limit() - 1));
    }

    pub(crate) fn left(&mut self, by: usize) {
        let Position { row, column } = self.cursor.position;
        self.go(row, column.saturating_sub(by).max(self.left_limit()));
    }

    /// The column after the last one that the cursor's line may use.
    pub(crate) fn right_limit(&self) -> usize {
        if self.cursor.position.column < self.margins.right {
            self.margins.right
        } else {
            self.size().columns
        }
    }

    /// The first column that the cursor's line may use.
    fn left_limit(&self) -> usize {
        if self.cursor.position.column >= self.margins.left { self.margins.left } else { 0 }
    }

    pub(crate) fn carriage_return(&mut self) {
        let row = self.cursor.position.row;
        self.go(row, self.left_limit());
    }

    pub(crate) fn backspace(&mut self) {
        let reverse_wrap = Modes::WRAP | Modes::REVERSE_WRAP;
        let Position { row, column } = self.cursor.position;
        if self.modes.contains(reverse_wrap) && self.cursor.is_wrap_pending {
            self.cursor.is_wrap_pending = false;
        } else if self.modes.contains(reverse_wrap) && column == self.left_limit() {
            let row = if row == self.margins.top { self.margins.bottom } else { row }.saturating_sub(1);
            self.go(row, self.margins.right - 1);
        } else {
            self.left(1);
        }
    }

    /// Whether the cursor is between the left and right margins.
    pub(crate) fn is_between_sides(&self) -> bool {
        (self.margins.left..self.margins.right).contains(&self.cursor.position.column)
    }

    /// One line down; at the bottom margin the lines above go up.
    pub(crate) fn index(&mut self) {
        let Position { row, column } = self.cursor.position;
        if row + 1 == self.margins.bottom {
            if self.is_between_sides() {
                self.scroll_up(1);
            }
            self.cursor.is_wrap_pending = false;
        } else {
            self.go(row + 1, column);
        }
    }

    /// One line up; at the top margin the lines below go down.
    pub(crate) fn reverse_index(&mut self) {
        let Position { row, column } = self.cursor.position;
        if row == self.margins.top {
            if self.is_between_sides() {
                let (region, style) = (self.margins, self.erased());
                self.grid_mut().scroll_down(region, 1, style);
            }
            self.cursor.is_wrap_pending = false;
        } else {
            self.go(row.saturating_sub(1), column);
        }
    }

    /// Moves the lines between the margins up.
    pub(crate) fn scroll_up(&mut self, by: usize) {
        let (region, style) = (self.margins, self.erased());
        self.grid_mut().scroll_up(region, by, style);
        if self.view > 0 {
            // Who looks at the history goes on seeing the same lines.
            self.scroll_view(by as isize);
        }
    }

    pub(crate) fn scroll_view(&mut self, lines: isize) {
        let view = self.view.saturating_add_signed(lines).min(self.grid().history());
        if view != self.view {
            self.view = view;
            self.grid_mut().damage_all();
        }
    }

    // Margins, screens, saved cursors.

    /// Sets top and bottom margins; `bottom` is exclusive. A region of less than two lines is no region.
    pub(crate) fn set_lines(&mut self, top: usize, bottom: usize) {
        let bottom = bottom.min(self.size().rows);
        if top + 1 < bottom {
            (self.margins.top, self.margins.bottom) = (top, bottom);
            self.go_addressed(0, 0);
        }
    }

    /// Sets left and right margins; `right` is exclusive.
    pub(crate) fn set_sides(&mut self, left: usize, right: usize) {
        let right = right.min(self.size().columns);
        if left + 1 < right {
            (self.margins.left, self.margins.right) = (left, right);
            self.go_addressed(0, 0);
        }
    }

    /// No left and right margins.
    pub(crate) fn reset_sides(&mut self) {
        (self.margins.left, self.margins.right) = (0, self.size().columns);
    }

    fn saved_mut(&mut self) -> &mut Saved {
        &mut self.saved[usize::from(self.modes.contains(Modes::ALTERNATE))]
    }

    pub(crate) fn save_cursor(&mut self) {
        let saved = Saved { cursor: self.cursor, has_origin: self.modes.contains(Modes::ORIGIN) };
        *self.saved_mut() = saved;
    }

    pub(crate) fn restore_cursor(&mut self) {
        let Saved { cursor, has_origin } = *self.saved_mut();
        self.cursor = cursor;
        self.modes.set(Modes::ORIGIN, has_origin);
        let (Position { row, column }, is_wrap_pending) = (cursor.position, cursor.is_wrap_pending);
        self.go(row, column);
        self.cursor.is_wrap_pending = is_wrap_pending;
    }

    /// Shows the other screen.
    pub(crate) fn show_alternate(&mut self, is_shown: bool) {
        if self.modes.contains(Modes::ALTERNATE) != is_shown {
            self.scroll_view(isize::MIN);
            self.modes.set(Modes::ALTERNATE, is_shown);
            self.grid_mut().damage_all();
        }
    }

    /// RIS: as it was in the beginning, but for the history.
    pub(crate) fn reset(&mut self) {
        self.soft_reset();
        self.show_alternate(false);
        self.modes = Modes::default();
        self.cursor = Cursor::default();
        self.saved = [Saved::default(); 2];
        self.tabs.reset();
        self.last_printed = None;
        for row in 0..self.size().rows {
            let columns = self.size().columns;
            self.grid_mut().erase(row, 0..columns, Style::default());
        }
    }

    /// DECSTR: modes, margins and rendition as they were in the beginning; text and cursor stay.
    pub(crate) fn soft_reset(&mut self) {
        let kept = Modes::ALTERNATE | Modes::REVERSE | Modes::NEW_LINE;
        self.modes = (self.modes & kept) | Modes::default();
        self.margins = self.grid().whole();
        self.cursor.style = Style::default();
        self.cursor.charsets = Charsets::default();
        self.cursor.is_wrap_pending = false;
        *self.saved_mut() = Saved::default();
    }

    pub(crate) fn resize(&mut self, size: Size) -> Result<(), TryReserveError> {
        let size = Size { rows: size.rows.max(1), columns: size.columns.max(1) };
        if size == self.size() {
            return Ok(());
        }
        // So many lines must go so that the cursor stays on the screen.
        let skipped = (self.cursor.position.row + 1).saturating_sub(size.rows);
        let is_alternate = self.modes.contains(Modes::ALTERNATE);
        let primary_skipped = if is_alternate {
            (self.saved[0].cursor.position.row + 1).saturating_sub(size.rows)
        } else {
            skipped
        };
        let primary = self.primary.resized(size, primary_skipped)?;
        let alternate = self.alternate.resized(size, if is_alternate { skipped } else { 0 })?;
        self.tabs.resize(size.columns)?;
        (self.primary, self.alternate) = (primary, alternate);
        self.view = 0;
        self.margins = self.primary.whole();
        let Position { row, column } = self.cursor.position;
        self.go(row - skipped, column);
        for saved in &mut self.saved {
            let position = &mut saved.cursor.position;
            position.row = position.row.min(size.rows - 1);
            position.column = position.column.min(size.columns - 1);
        }
        Ok(())
    }
}
