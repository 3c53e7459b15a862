//! The cells of a screen, and the lines that have left it.

use crate::Size;
use crate::cell::{Attributes, Cell, Style};
use alloc::collections::TryReserveError;
use alloc::vec::Vec;
use core::ops::Range;

/// A part of the screen; the ends are exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) top: usize,
    pub(crate) bottom: usize,
    pub(crate) left: usize,
    pub(crate) right: usize,
}

/// A ring of rows: the history, then the screen.
#[derive(Clone, Debug)]
pub(crate) struct Grid {
    size: Size,
    cells: Vec<Cell>,
    /// Rows in the ring.
    capacity: usize,
    /// The place of the screen's first row in the ring.
    first: usize,
    /// Rows before it that are kept.
    history: usize,
    /// For each row of the screen, the columns that changed.
    damage: Vec<Range<usize>>,
}

impl Grid {
    /// Blanks, with room for so many lines of history.
    pub(crate) fn new(size: Size, history: usize) -> Result<Grid, TryReserveError> {
        let capacity = size.rows.saturating_add(history);
        Ok(Grid {
            size,
            cells: filled(Cell::default(), capacity.saturating_mul(size.columns))?,
            capacity,
            first: 0,
            history: 0,
            damage: filled(0..size.columns, size.rows)?,
        })
    }

    /// Rows and columns of the screen.
    pub(crate) fn size(&self) -> Size {
        self.size
    }

    /// Lines above the screen.
    pub(crate) fn history(&self) -> usize {
        self.history
    }

    fn start(&self, row: usize) -> usize {
        assert!(row < self.size.rows, "a row below the screen");
        (self.first + row) % self.capacity * self.size.columns
    }

    /// A row of the screen.
    pub(crate) fn row(&self, row: usize) -> &[Cell] {
        let start = self.start(row);
        &self.cells[start..][..self.size.columns]
    }

    /// A row of what is seen `view` lines above the end.
    pub(crate) fn view_row(&self, view: usize, row: usize) -> &[Cell] {
        assert!(row < self.size.rows && view <= self.history, "a row outside of what is kept");
        let start = (self.first + self.capacity - view + row) % self.capacity * self.size.columns;
        &self.cells[start..][..self.size.columns]
    }

    /// A part of a row, to be changed.
    fn span_mut(&mut self, row: usize, columns: Range<usize>) -> &mut [Cell] {
        let start = self.start(row);
        let damage = &mut self.damage[row];
        *damage = if damage.start >= damage.end {
            columns.clone()
        } else {
            damage.start.min(columns.start)..damage.end.max(columns.end)
        };
        &mut self.cells[start..][columns]
    }

    /// The columns of a row that changed since the last call; empty if none.
    pub(crate) fn take_damage(&mut self, row: usize) -> Range<usize> {
        core::mem::take(&mut self.damage[row])
    }

    /// Everything changed.
    pub(crate) fn damage_all(&mut self) {
        self.damage.fill(0..self.size.columns);
    }

    /// Puts a cell in its place; a wide character that loses a half loses both.
    pub(crate) fn put(&mut self, row: usize, column: usize, cell: Cell) {
        self.part_wide(row, column);
        self.part_wide(row, column + 1);
        self.span_mut(row, column..column + 1)[0] = cell;
    }

    /// Puts the right half of a wide character, whose left half is there.
    pub(crate) fn put_continuation(&mut self, row: usize, column: usize, cell: Cell) {
        self.span_mut(row, column..column + 1)[0] = cell;
    }

    /// If a wide character lies across the left edge of a column, blanks both halves.
    fn part_wide(&mut self, row: usize, column: usize) {
        if column == 0 || column >= self.size.columns {
            return;
        }
        if self.row(row)[column].style.attributes.contains(Attributes::CONTINUATION) {
            for cell in self.span_mut(row, column - 1..column + 1) {
                cell.character = ' ';
                cell.style.attributes -= Attributes::WIDE | Attributes::CONTINUATION;
            }
        }
    }

    /// Blanks columns of a row.
    pub(crate) fn erase(&mut self, row: usize, columns: Range<usize>, style: Style) {
        if columns.is_empty() {
            return;
        }
        self.part_wide(row, columns.start);
        self.part_wide(row, columns.end);
        self.span_mut(row, columns).fill(Cell::blank(style));
    }

    /// Blanks columns of a row but what is protected.
    pub(crate) fn erase_selectively(&mut self, row: usize, columns: Range<usize>, style: Style) {
        if columns.is_empty() {
            return;
        }
        let cells = self.span_mut(row, columns);
        for cell in cells.iter_mut().filter(|cell| !cell.style.attributes.contains(Attributes::PROTECTED)) {
            *cell = Cell::blank(style);
        }
    }

    /// Moves the columns `from` of a row to the right by `by`; what passes `end` is lost, and blanks come in.
    pub(crate) fn insert(&mut self, row: usize, from: usize, end: usize, by: usize, style: Style) {
        let by = by.min(end.saturating_sub(from));
        if by == 0 {
            return;
        }
        self.part_wide(row, from);
        self.part_wide(row, end - by);
        self.part_wide(row, end);
        let cells = self.span_mut(row, from..end);
        let kept = cells.len() - by;
        cells.copy_within(..kept, by);
        cells[..by].fill(Cell::blank(style));
    }

    /// Takes `by` columns out of a row; those before `end` follow, and blanks come in.
    pub(crate) fn delete(&mut self, row: usize, from: usize, end: usize, by: usize, style: Style) {
        let by = by.min(end.saturating_sub(from));
        if by == 0 {
            return;
        }
        self.part_wide(row, from);
        self.part_wide(row, from + by);
        self.part_wide(row, end);
        let cells = self.span_mut(row, from..end);
        let kept = cells.len() - by;
        cells.copy_within(by.., 0);
        cells[kept..].fill(Cell::blank(style));
    }

    /// Moves the lines of a region up; blanks come in below. Lines that leave the top of the whole screen are history.
    pub(crate) fn scroll_up(&mut self, region: Region, by: usize, style: Style) {
        let height = region.bottom - region.top;
        let by = by.min(height);
        if by == 0 {
            return;
        }
        if region == self.whole() {
            // The ring turns instead.
            for _ in 0..by {
                self.first = (self.first + 1) % self.capacity;
                self.history = (self.history + 1).min(self.capacity - self.size.rows);
                self.span_mut(self.size.rows - 1, 0..self.size.columns).fill(Cell::blank(style));
            }
            self.damage_all();
        } else {
            self.remove_lines(region, by, style);
        }
    }

    /// Takes `by` lines away at the top of a region; the others move up, and blanks come in below.
    pub(crate) fn remove_lines(&mut self, region: Region, by: usize, style: Style) {
        let by = by.min(region.bottom - region.top);
        for row in region.top..region.bottom - by {
            self.copy_row(row + by, row, region);
        }
        for row in region.bottom - by..region.bottom {
            self.erase(row, region.left..region.right, style);
        }
    }

    /// Moves the lines of a region down; blanks come in above.
    pub(crate) fn scroll_down(&mut self, region: Region, by: usize, style: Style) {
        let by = by.min(region.bottom - region.top);
        for row in (region.top + by..region.bottom).rev() {
            self.copy_row(row - by, row, region);
        }
        for row in region.top..region.top + by {
            self.erase(row, region.left..region.right, style);
        }
    }

    fn copy_row(&mut self, from: usize, to: usize, region: Region) {
        for row in [from, to] {
            self.part_wide(row, region.left);
            self.part_wide(row, region.right);
        }
        let source = self.start(from) + region.left..self.start(from) + region.right;
        let target = self.start(to) + region.left;
        self.span_mut(to, region.left..region.right);
        self.cells.copy_within(source, target);
    }

    /// The whole screen.
    pub(crate) fn whole(&self) -> Region {
        Region { top: 0, bottom: self.size.rows, left: 0, right: self.size.columns }
    }

    /// Forgets the history.
    pub(crate) fn forget_history(&mut self) {
        self.history = 0;
    }

    /// A grid of another size with the same text: of the rows of the screen, those from `skipped` on are at its top,
    /// and the ones before are history. Lines are cut, not folded.
    pub(crate) fn resized(&self, size: Size, skipped: usize) -> Result<Grid, TryReserveError> {
        let room = self.capacity - self.size.rows;
        let mut grid = Grid::new(size, room)?;
        let columns = self.size.columns.min(size.columns);
        let above = (self.history + skipped).min(room);
        let below = (self.size.rows - skipped).min(size.rows);
        for line in 0..above + below {
            let from =
                (self.first + self.capacity + skipped - above + line) % self.capacity * self.size.columns;
            let to = line * size.columns;
            grid.cells[to..to + columns].copy_from_slice(&self.cells[from..from + columns]);
            // A wide character may have lost its right half.
            let last = &mut grid.cells[to + columns - 1];
            if last.style.attributes.contains(Attributes::WIDE) {
                *last = Cell::blank(last.style.erased());
            }
        }
        grid.first = above;
        grid.history = above;
        Ok(grid)
    }
}

/// A vector of so many times the same.
fn filled<T: Clone>(value: T, count: usize) -> Result<Vec<T>, TryReserveError> {
    let mut all = Vec::new();
    all.try_reserve_exact(count)?;
    all.resize(count, value);
    Ok(all)
}
