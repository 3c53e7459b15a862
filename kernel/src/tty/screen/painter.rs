//! Draws what changed on the virtual console that is shown.

use super::console::Console;
use super::font::Font;
use super::{all, palette, shown, sizes};
use crate::clock;
use crate::device::display::Canvas;
use crate::error::Result;
use crate::sched::{self, wait::WaitQueue};
use alloc::{sync::Arc, vec, vec::Vec};
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use terminal::{Attributes, Cell, Modes, Position};

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

/// Starts the thread.
pub(super) fn start(canvas: Arc<Canvas>, font: Font) -> Result<()> {
    let mut painter = Painter::new(canvas, font);
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
    canvas: Arc<Canvas>,
    font: Font,
    /// Width and height that the rest is made for.
    size: (usize, usize),
    /// Cells of one row.
    cells: Vec<Cell>,
    rows: usize,
    /// Pixels of one line.
    pixels: Vec<u32>,
    /// What the screen shows.
    console: Option<Arc<Console>>,
    cursor: Option<Position>,
}

impl Painter {
    fn new(canvas: Arc<Canvas>, font: Font) -> Self {
        let size @ (width, height) = canvas.size();
        let mut painter = Self {
            size,
            cells: vec![Cell::default(); width / font.width()],
            rows: height / font.height(),
            pixels: vec![0; width],
            canvas,
            font,
            console: None,
            cursor: None,
        };
        painter.clear();
        painter
    }

    /// Makes all pixels black, also those beside the cells.
    fn clear(&mut self) {
        let (_, height) = self.canvas.size();
        self.pixels.fill(0);
        for y in 0..height {
            self.canvas.draw(0, y, &self.pixels);
        }
    }

    /// The screen has another size now.
    fn resize(&mut self) {
        let (width, height) = self.size;
        let (size, window) = sizes(width, height, &self.font);
        self.rows = height / self.font.height();
        self.cells = vec![Cell::default(); width / self.font.width()];
        self.pixels = vec![0; width];
        self.console = None;
        all().iter().for_each(|console| console.resize(size, window));
        log::info!("tty: the screen has {width}x{height} pixels");
    }

    fn paint(&mut self) {
        let size = self.canvas.size();
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
            self.clear();
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
            self.paint_row(row, changed, &cells, inverted, is_reversed);
        }
        self.cells = cells;
        self.canvas.flush();
    }

    /// Draws columns of a row; the one under the cursor has its colours exchanged.
    fn paint_row(
        &mut self,
        row: usize,
        columns: Range<usize>,
        cells: &[Cell],
        cursor: Option<usize>,
        is_reversed: bool,
    ) {
        let (width, height) = (self.font.width(), self.font.height());
        let (underline, strike) = (self.font.underline(), self.font.strike());
        for y in 0..height {
            let pixels = &mut self.pixels[columns.start * width..columns.end * width];
            for ((column, cell), pixels) in cells
                .iter()
                .enumerate()
                .take(columns.end)
                .skip(columns.start)
                .zip(pixels.chunks_exact_mut(width))
            {
                let attributes = cell.style.attributes;
                let is_cursor = cursor == Some(column);
                let (foreground, background) = palette::colors(cell.style, is_reversed != is_cursor);
                let mut bits = self.font.shape(cell.character)[y];
                if attributes.contains(Attributes::BOLD) {
                    bits |= bits >> 1;
                }
                let is_underlined =
                    attributes.intersects(Attributes::UNDERLINE | Attributes::DOUBLE_UNDERLINE);
                let is_double = attributes.contains(Attributes::DOUBLE_UNDERLINE);
                if is_underlined && (y == underline || is_double && y == underline + 2)
                    || attributes.contains(Attributes::STRUCK) && y == strike
                {
                    bits = u16::MAX;
                }
                for (x, pixel) in pixels.iter_mut().enumerate() {
                    let is_set = bits >> (width - 1 - x) & 1 != 0;
                    *pixel = if is_set { foreground } else { background };
                }
            }
            let pixels = &self.pixels[columns.start * width..columns.end * width];
            self.canvas.draw(columns.start * width, row * height + y, pixels);
        }
    }
}

/// The smallest range with both; an empty one counts for nothing.
fn union(one: Range<usize>, other: Range<usize>) -> Range<usize> {
    if one.start >= one.end { other } else { one.start.min(other.start)..one.end.max(other.end) }
}
