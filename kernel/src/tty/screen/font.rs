//! The shapes of characters: the Unicode font "misc-fixed" 9x18 of the X Window System, which is in the public domain.

use alloc::{boxed::Box, vec};
use embedded_graphics::{
    geometry::{OriginDimensions, Point},
    image::GetPixel,
    mono_font::MonoFont,
    pixelcolor::BinaryColor,
};

/// Rows of a shape; the leftmost pixel is the highest of `WIDTH` bits.
pub(super) type Shape = [u16; HEIGHT];

const WIDTH: usize = 9;
const HEIGHT: usize = 18;
/// Shapes that are kept ready.
const CACHE: usize = 1024;

/// A font.
pub(super) struct Font {
    font: MonoFont<'static>,
    /// By the lowest bits of the character.
    cache: Box<[(char, Shape)]>,
}

impl Font {
    pub(super) fn new() -> Self {
        // A space is empty, as the shapes here are.
        let cache = vec![(' ', [0; HEIGHT]); CACHE].into_boxed_slice();
        Self { font: embedded_graphics_unicodefonts::mono_9x18_atlas(), cache }
    }

    pub(super) const fn width(&self) -> usize {
        WIDTH
    }

    pub(super) const fn height(&self) -> usize {
        HEIGHT
    }

    /// The row of a line below the characters, and of one through them.
    pub(super) fn underline(&self) -> usize {
        self.font.underline.offset as usize
    }

    pub(super) fn strike(&self) -> usize {
        self.font.strikethrough.offset as usize
    }

    /// The shape of a character; one that the font lacks has a shape that says so.
    pub(super) fn shape(&mut self, character: char) -> &Shape {
        let slot = character as usize % CACHE;
        if self.cache[slot].0 != character {
            self.cache[slot] = (character, draw(&self.font, character));
        }
        &self.cache[slot].1
    }
}

/// Takes a shape out of the sheet with all of them.
fn draw(font: &MonoFont<'_>, character: char) -> Shape {
    let per_row = (font.image.size().width / font.character_size.width).max(1) as usize;
    let index = font.glyph_mapping.index(character);
    let (left, top) = (index % per_row * WIDTH, index / per_row * HEIGHT);
    let is_set = |x: usize, y: usize| {
        font.image.pixel(Point::new((left + x) as i32, (top + y) as i32)) == Some(BinaryColor::On)
    };
    core::array::from_fn(|y| (0..WIDTH).fold(0, |bits, x| bits << 1 | u16::from(is_set(x, y))))
}
