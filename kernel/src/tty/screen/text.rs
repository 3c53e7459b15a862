//! The last resort: VGA's text mode, where there are no pixels.

use super::painter::Surface;
use alloc::{sync::Arc, vec::Vec};
use core::ops::Range;
use machine::io::VgaText;
use terminal::{Attributes, Cell, Color, Position, Size, Style};

/// What code page 437 has from 0x80 on.
const UPPER_HALF: &str = "\
    ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐\
    └┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// Light grey on black, as the firmware has it.
const FOREGROUND: u8 = 7;
const BACKGROUND: u8 = 0;
/// Bright, for a foreground.
const BRIGHT: u8 = 8;

/// Where the cells of a console go.
pub(super) struct TextSurface {
    screen: Arc<VgaText>,
    /// One row's cells as VGA has them.
    cells: Vec<u16>,
}

impl TextSurface {
    pub(super) fn new(screen: Arc<VgaText>) -> Self {
        Self { screen, cells: Vec::new() }
    }
}

impl Surface for TextSurface {
    fn size(&self) -> (usize, usize) {
        (0, 0)
    }

    fn grid(&self) -> Size {
        Size { rows: self.screen.rows(), columns: self.screen.columns() }
    }

    fn clear(&mut self) {
        self.cells.clear();
        self.cells.resize(self.screen.columns(), cell(' ', FOREGROUND, BACKGROUND));
        (0..self.screen.rows()).for_each(|row| self.screen.write(row, 0, &self.cells));
    }

    fn paint_row(
        &mut self,
        row: usize,
        columns: Range<usize>,
        cells: &[Cell],
        _cursor: Option<usize>,
        is_reversed: bool,
    ) {
        self.cells.clear();
        self.cells.extend(cells[columns.clone()].iter().map(|cell| encode(cell, is_reversed)));
        self.screen.write(row, columns.start, &self.cells);
    }

    fn finish(&mut self, cursor: Option<Position>) {
        self.screen.set_cursor(cursor.map(|cursor| (cursor.row, cursor.column)));
    }
}

/// A cell as VGA has it, in colours from 0 to 15 and from 0 to 7. What the code page lacks is a question mark.
pub(super) fn cell(character: char, foreground: u8, background: u8) -> u16 {
    let code = match character {
        ' '..='~' => character as u8,
        _ => match UPPER_HALF.chars().position(|known| known == character) {
            Some(index) => 0x80 + index as u8,
            None => b'?',
        },
    };
    u16::from_le_bytes([code, (background & 7) << 4 | foreground & 15])
}

fn encode(from: &Cell, is_reversed: bool) -> u16 {
    let Style { foreground, background, attributes } = from.style;
    let mut foreground = color(foreground, FOREGROUND);
    let mut background = color(background, BACKGROUND);
    if attributes.contains(Attributes::INVERSE) != is_reversed {
        core::mem::swap(&mut foreground, &mut background);
    }
    if attributes.contains(Attributes::BOLD) {
        foreground |= BRIGHT;
    }
    if attributes.contains(Attributes::HIDDEN) {
        foreground = background & !BRIGHT;
    }
    cell(from.character, foreground, background)
}

/// The nearest of VGA's sixteen: a bit each for blue, green, red, bright.
fn color(color: Color, default: u8) -> u8 {
    let rgb = match color {
        Color::Default => return default,
        // The same bits in the other order.
        Color::Indexed(index @ 0..=15) => return index & 0b1010 | (index & 1) << 2 | index >> 2 & 1,
        Color::Indexed(index) => super::palette::indexed(index),
        Color::Rgb(red, green, blue) => u32::from_be_bytes([0, red, green, blue]),
    };
    let [_, red, green, blue] = rgb.to_be_bytes();
    let strongest = red.max(green).max(blue);
    // Dark grey is bright black.
    if strongest < 0x40 {
        return 0;
    }
    if strongest < 0x80 && red.abs_diff(green) < 0x20 && green.abs_diff(blue) < 0x20 {
        return BRIGHT;
    }
    let bit = |level: u8| u8::from(level > strongest / 2);
    bit(red) << 2 | bit(green) << 1 | bit(blue) | if strongest > 0xc0 { BRIGHT } else { 0 }
}

#[cfg(feature = "tests")]
mod tests {
    use super::*;
    use test_macro::kernel_test;

    #[kernel_test]
    fn cells_of_vga_have_the_nearest_colours_and_characters() {
        assert_eq!(UPPER_HALF.chars().count(), 128);
        assert_eq!(cell('A', 7, 0), 0x0741);
        assert_eq!(cell('─', 12, 1), 0x1cc4);
        assert_eq!(cell('漢', 7, 0), 0x073f);
        assert_eq!(cell('\x1b', 7, 0), 0x073f);
        assert_eq!([1, 2, 4, 9, 12].map(|index| color(Color::Indexed(index), 7)), [4, 2, 1, 12, 9]);
        assert_eq!(color(Color::Rgb(0xff, 0x10, 0x10), 7), 12);
        assert_eq!(color(Color::Rgb(0, 0xa0, 0xa0), 7), 3);
        assert_eq!(color(Color::Indexed(232), 7), 0);
        assert_eq!(color(Color::Indexed(240), 7), BRIGHT);
        assert_eq!(color(Color::Default, 7), 7);
    }
}
