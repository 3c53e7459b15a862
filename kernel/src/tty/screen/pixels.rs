//! Cells in pixels: shapes of a font, in any colour.

use super::font::Font;
use super::painter::Surface;
use super::palette;
use crate::device::display::Canvas;
use alloc::{sync::Arc, vec::Vec};
use core::ops::Range;
use terminal::{Attributes, Cell, Position, Size};

/// A screen, and the font for it.
pub(super) struct PixelSurface {
    canvas: Arc<Canvas>,
    font: Font,
    /// Pixels of one line.
    pixels: Vec<u32>,
}

impl PixelSurface {
    pub(super) fn new(canvas: Arc<Canvas>, font: Font) -> Self {
        Self { canvas, font, pixels: Vec::new() }
    }

    /// A black line, as wide as the screen is.
    fn blacken_line(&mut self) {
        self.pixels.clear();
        self.pixels.resize(self.canvas.size().0, 0);
    }
}

impl Surface for PixelSurface {
    fn size(&self) -> (usize, usize) {
        self.canvas.size()
    }

    fn grid(&self) -> Size {
        let (width, height) = self.canvas.size();
        Size { rows: (height / self.font.height()).max(1), columns: (width / self.font.width()).max(1) }
    }

    fn clear(&mut self) {
        let (_, height) = self.canvas.size();
        self.blacken_line();
        for y in 0..height {
            self.canvas.draw(0, y, &self.pixels);
        }
    }

    /// The cell under the cursor has its colours exchanged.
    fn paint_row(
        &mut self,
        row: usize,
        columns: Range<usize>,
        cells: &[Cell],
        cursor: Option<usize>,
        is_reversed: bool,
    ) {
        let (width, height) = (self.font.width(), self.font.height());
        if self.pixels.len() < columns.end * width {
            self.pixels.resize(columns.end * width, 0);
        }
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

    fn finish(&mut self, _cursor: Option<Position>) {
        self.canvas.flush();
    }
}
