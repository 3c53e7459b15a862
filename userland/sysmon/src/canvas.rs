//! Pixels in memory, for embedded-graphics to draw on, and to be copied to the screen row by row where they changed.

use std::convert::Infallible;

use embedded_graphics::Pixel;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{OriginDimensions, Size};
use embedded_graphics::pixelcolor::{IntoStorage, Rgb888};

/// A picture.
pub(crate) struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u32>,
    /// As it was copied last.
    shown: Vec<u32>,
}

impl Canvas {
    /// A black one, of which nothing is shown.
    pub(crate) fn new(width: usize, height: usize) -> Self {
        // No colour has bits above 0xffffff, so that all rows differ.
        Self { width, height, pixels: vec![0; width * height], shown: vec![u32::MAX; width * height] }
    }

    /// Calls `show` with the number and the pixels of each row that changed since the last call.
    pub(crate) fn show(&mut self, mut show: impl FnMut(usize, &[u32])) {
        let rows = self.pixels.chunks_exact(self.width).zip(self.shown.chunks_exact_mut(self.width));
        for (y, (new, old)) in rows.enumerate().filter(|(_, (new, old))| new != old) {
            show(y, new);
            old.copy_from_slice(new);
        }
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.width as u32, self.height as u32)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(point, color) in pixels {
            if let (Ok(x), Ok(y)) = (usize::try_from(point.x), usize::try_from(point.y))
                && x < self.width
                && y < self.height
            {
                self.pixels[y * self.width + x] = color.into_storage();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_graphics::prelude::*;

    #[test]
    fn only_changed_rows_are_shown_and_nothing_is_drawn_outside() {
        let mut canvas = Canvas::new(4, 3);
        let mut rows = Vec::new();
        canvas.show(|y, _| rows.push(y));
        assert_eq!(rows, [0, 1, 2]);
        let points = [(1, 1), (4, 1), (-1, 0), (0, 3)];
        let pixels = points.map(|(x, y)| Pixel(Point::new(x, y), Rgb888::new(1, 2, 3)));
        canvas.draw_iter(pixels).unwrap();
        let mut shown = Vec::new();
        canvas.show(|y, pixels| shown.push((y, pixels.to_vec())));
        assert_eq!(shown, [(1, vec![0, 0x01_0203, 0, 0])]);
        canvas.show(|_, _| panic!("nothing changed"));
    }
}
