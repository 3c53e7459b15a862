//! The last words: what a panic prints, straight onto the screen, without locks, memory or other threads.

use super::font::{Font, Shape};
use super::text;
use crate::device::display::Canvas;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};
use machine::io::VgaText;
use machine::sync::Once;

/// White on dark red.
const FOREGROUND: u32 = 0xff_ff_ff;
const BACKGROUND: u32 = 0x80_00_00;
/// The same in VGA's colours.
const TEXT_COLORS: (u8, u8) = (15, 4);

/// The printable characters of ASCII.
const FIRST: char = ' ';
const LAST: char = '~';
const SHAPES: usize = LAST as usize - FIRST as usize + 1;

/// Pixels of a character: as many as the widest font has.
const MAX_WIDTH: usize = 16;

struct Emergency {
    screen: Screen,
    /// The next cell: row times columns plus column.
    place: AtomicUsize,
    /// How much of a control sequence has come.
    sequence: AtomicUsize,
}

/// What is written on.
pub(super) enum Screen {
    /// Pixels, and everything that is needed for them.
    Pixels(Box<Pixels>),
    /// VGA's text mode.
    Text(Arc<VgaText>),
}

pub(super) struct Pixels {
    canvas: Arc<Canvas>,
    shapes: [Shape; SHAPES],
    width: usize,
    height: usize,
}

/// Outside of a control sequence; behind ESC; behind `ESC [`, with the number that follows added.
const NO_SEQUENCE: usize = 0;
const ESCAPE: usize = 1;
const SEQUENCE: usize = 2;

static EMERGENCY: Once<Emergency> = Once::new();

/// Gets ready: everything that is needed is at hand from now on.
pub(super) fn prepare(screen: Screen) {
    EMERGENCY.call_once(|| Emergency {
        screen,
        place: AtomicUsize::new(0),
        sequence: AtomicUsize::new(NO_SEQUENCE),
    });
}

/// Prints text from the top of the screen on, and from there again when it is full. Of control sequences it knows those
/// that an editor of one line needs. Any context; one at a time.
pub(crate) fn print(text: &str) {
    if let Some(emergency) = EMERGENCY.get() {
        text.chars().for_each(|character| emergency.put(character));
        if let Screen::Pixels(pixels) = &emergency.screen
            && let Some(display) = pixels.canvas.display_in_panic()
        {
            display.flush_in_panic();
        }
    }
}

impl Emergency {
    fn put(&self, character: char) {
        let (columns, rows) = self.screen.grid();
        if columns == 0 || rows == 0 {
            return;
        }
        let place = self.place.load(Ordering::Relaxed) % (columns * rows);
        let (row, column) = (place / columns, place % columns);
        let erase = || (column..columns).for_each(|column| self.screen.draw(row, column, FIRST));
        let state = self.sequence.load(Ordering::Relaxed);
        if state != NO_SEQUENCE {
            let number = state.saturating_sub(SEQUENCE);
            match character {
                'K' => erase(),
                'C' => {
                    self.place.store((place + number.max(1)).min((row + 1) * columns - 1), Ordering::Relaxed)
                }
                _ => {}
            }
            let next = match character {
                '[' if state == ESCAPE => SEQUENCE,
                '0'..='9' => SEQUENCE + number.min(columns) * 10 + (character as usize - '0' as usize),
                _ => NO_SEQUENCE,
            };
            self.sequence.store(next, Ordering::Relaxed);
            return;
        }
        let next = match character {
            '\x1b' => return self.sequence.store(ESCAPE, Ordering::Relaxed),
            '\x07' => return,
            '\r' => row * columns,
            '\x08' => place - usize::from(column > 0),
            '\n' => {
                erase();
                (row + 1) * columns
            }
            FIRST..=LAST => {
                self.screen.draw(row, column, character);
                place + 1
            }
            _ => {
                self.screen.draw(row, column, '?');
                place + 1
            }
        };
        self.place.store(next, Ordering::Relaxed);
    }
}

impl Screen {
    /// A screen with pixels, and the shapes of a font.
    pub(super) fn pixels(canvas: &Arc<Canvas>, font: &mut Font) -> Self {
        let shapes = core::array::from_fn(|index| *font.shape(char::from(FIRST as u8 + index as u8)));
        let (width, height) = (font.width(), font.height());
        Self::Pixels(Box::new(Pixels { canvas: canvas.clone(), shapes, width, height }))
    }

    /// Columns and rows.
    fn grid(&self) -> (usize, usize) {
        match self {
            Self::Pixels(pixels) => {
                let (width, height) =
                    pixels.canvas.display_in_panic().map_or((0, 0), |display| display.size());
                (width / pixels.width, height / pixels.height)
            }
            Self::Text(screen) => (screen.columns(), screen.rows()),
        }
    }

    fn draw(&self, row: usize, column: usize, character: char) {
        match self {
            Self::Pixels(pixels) => pixels.draw(row, column, character),
            Self::Text(screen) => {
                let (foreground, background) = TEXT_COLORS;
                screen.write(row, column, &[text::cell(character, foreground, background)]);
            }
        }
    }
}

impl Pixels {
    fn draw(&self, row: usize, column: usize, character: char) {
        let Some(display) = self.canvas.display_in_panic() else { return };
        let shape = &self.shapes[character as usize - FIRST as usize];
        let width = self.width.min(MAX_WIDTH);
        for (y, bits) in shape.iter().enumerate() {
            let mut pixels = [BACKGROUND; MAX_WIDTH];
            for (x, pixel) in pixels[..width].iter_mut().enumerate() {
                if bits >> (width - 1 - x) & 1 != 0 {
                    *pixel = FOREGROUND;
                }
            }
            display.write(column * self.width, row * self.height + y, &pixels[..width]);
        }
    }
}
