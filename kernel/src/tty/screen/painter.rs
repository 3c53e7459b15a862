//! Draws what changed on the virtual console that is shown.

use super::console::Console;
use super::{all, shown, window};
use crate::clock;
use crate::error::Result;
use crate::sched::{self, wait::WaitQueue};
use alloc::{boxed::Box, sync::Arc, vec, vec::Vec};
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use terminal::{Cell, Modes, Position, Size};

/// Time from one drawing to the next, at least.
const FRAME_NS: u64 = 10_000_000;

static WORK: WaitQueue = WaitQueue::named("screen");
static IS_DUE: AtomicBool = AtomicBool::new(true);
/// How often somebody asked for everything to be drawn again, and which of these wishes is done.
static WISHES: AtomicU64 = AtomicU64::new(0);
static DONE: AtomicU64 = AtomicU64::new(0);
static DONE_QUEUE: WaitQueue = WaitQueue::named("screen-drawn");

/// Something changed. Any context.
pub(super) fn wake() {
    if !IS_DUE.swap(true, Ordering::AcqRel) {
        WORK.wake_one();
    }
}

/// Everything is to be drawn again. Any context.
pub(crate) fn redraw() {
    WISHES.fetch_add(1, Ordering::AcqRel);
    wake();
}

/// Draws everything again; returns when that is done. May sleep.
pub(crate) fn redraw_now() {
    if all().is_empty() {
        return;
    }
    let wish = WISHES.fetch_add(1, Ordering::AcqRel) + 1;
    wake();
    DONE_QUEUE.wait(|| (DONE.load(Ordering::Acquire) >= wish).then_some(()));
}

/// What cells are drawn on.
pub(super) trait Surface: Send {
    /// Width and height in pixels, which may change; zeros if there are none.
    fn size(&self) -> (usize, usize);

    /// How many cells there is room for.
    fn grid(&self) -> Size;

    /// Makes all of it black, also what is beside the cells.
    fn clear(&mut self);

    /// Draws columns of a row; the one under the cursor stands out.
    fn paint_row(
        &mut self,
        row: usize,
        columns: Range<usize>,
        cells: &[Cell],
        cursor: Option<usize>,
        is_reversed: bool,
    );

    /// Shows what was painted, and the cursor. May sleep.
    fn finish(&mut self, cursor: Option<Position>);
}

/// Starts the thread.
pub(super) fn start(surface: Box<dyn Surface>) -> Result<()> {
    let mut painter = Painter::new(surface);
    let body = move || loop {
        WORK.wait_for_work(|| IS_DUE.swap(false, Ordering::AcqRel).then_some(()));
        all().iter().for_each(|console| console.deliver_replies());
        let begun = clock::monotonic_ns();
        let wishes = WISHES.load(Ordering::Acquire);
        if DONE.load(Ordering::Relaxed) < wishes {
            painter.console = None;
        }
        painter.paint();
        DONE.store(wishes, Ordering::Release);
        DONE_QUEUE.wake_all();
        // Programs get at least half of the time, however much they print.
        let ended = clock::monotonic_ns();
        sched::sleep_until((begun + FRAME_NS).max(ended + (ended - begun)));
    };
    sched::spawn("screen", body).map(drop)
}

/// The screen as it is, and what is needed to change it.
struct Painter {
    surface: Box<dyn Surface>,
    /// Width and height that the rest is made for.
    size: (usize, usize),
    /// Cells of one row.
    cells: Vec<Cell>,
    rows: usize,
    /// What the screen shows.
    console: Option<Arc<Console>>,
    cursor: Option<Position>,
}

impl Painter {
    fn new(mut surface: Box<dyn Surface>) -> Self {
        surface.clear();
        let Size { rows, columns } = surface.grid();
        let (size, cells) = (surface.size(), vec![Cell::default(); columns]);
        Self { surface, size, cells, rows, console: None, cursor: None }
    }

    /// The screen has another size now.
    fn resize(&mut self) {
        let grid = self.surface.grid();
        self.rows = grid.rows;
        self.cells = vec![Cell::default(); grid.columns];
        self.console = None;
        all().iter().for_each(|console| console.resize(grid, window(grid, self.size)));
        log::info!("tty: the screen has {}x{} pixels", self.size.0, self.size.1);
    }

    fn paint(&mut self) {
        let size = self.surface.size();
        if core::mem::replace(&mut self.size, size) != size {
            self.resize();
        }
        let Some(console) = shown() else { return };
        if console.is_graphic() {
            // The program draws, and all of it is drawn anew after that.
            self.console = None;
            return;
        }
        let is_new = !self.console.as_ref().is_some_and(|old| Arc::ptr_eq(old, console));
        if is_new {
            console.damage_all();
            self.console = Some(console.clone());
            self.cursor = None;
        }
        // What a console has that was never opened.
        if is_new {
            self.surface.clear();
        }
        let is_reversed = console.modes().contains(Modes::REVERSE);
        let cursor = console.cursor();
        let old_cursor = core::mem::replace(&mut self.cursor, cursor);
        let mut cells = core::mem::take(&mut self.cells);
        for row in 0..self.rows {
            let mut changed = console.take_row(row, &mut cells);
            let is_here = |position: &Position| position.row == row && position.column < cells.len();
            for position in [old_cursor, cursor].iter().flatten().filter(|position| is_here(position)) {
                if cursor != old_cursor {
                    changed = union(changed, position.column..position.column + 1);
                }
            }
            if changed.start >= changed.end {
                continue;
            }
            console.copy_row(row, &mut cells);
            let inverted = cursor.filter(|cursor| cursor.row == row).map(|cursor| cursor.column);
            self.surface.paint_row(row, changed, &cells, inverted, is_reversed);
        }
        self.cells = cells;
        self.surface.finish(cursor);
    }
}

/// The smallest range with both; an empty one counts for nothing.
fn union(one: Range<usize>, other: Range<usize>) -> Range<usize> {
    if one.start >= one.end { other } else { one.start.min(other.start)..one.end.max(other.end) }
}
