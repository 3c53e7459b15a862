//! Colours: the palette of 256, and what a cell's style comes to.

use terminal::{Attributes, Color, Style};

/// Light grey on black.
const FOREGROUND: u32 = 0xd0_d0_d0;
const BACKGROUND: u32 = 0x00_00_00;

/// The sixteen named colours: those of VGA.
const NAMED: [u32; 16] = [
    0x00_00_00, 0xaa_00_00, 0x00_aa_00, 0xaa_55_00, 0x00_00_aa, 0xaa_00_aa, 0x00_aa_aa, 0xaa_aa_aa,
    0x55_55_55, 0xff_55_55, 0x55_ff_55, 0xff_ff_55, 0x55_55_ff, 0xff_55_ff, 0x55_ff_ff, 0xff_ff_ff,
];

/// A colour of the palette as 0xRRGGBB: 16 named ones, a cube of 6x6x6, 24 greys (xterm's 256colres).
pub(super) fn indexed(index: u8) -> u32 {
    let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * u32::from(step) };
    match index {
        0..=15 => NAMED[usize::from(index)],
        16..=231 => {
            let index = index - 16;
            level(index / 36) << 16 | level(index / 6 % 6) << 8 | level(index % 6)
        }
        232..=255 => (8 + 10 * u32::from(index - 232)) * 0x01_01_01,
    }
}

fn rgb(color: Color, default: u32) -> u32 {
    match color {
        Color::Default => default,
        Color::Indexed(index) => indexed(index),
        Color::Rgb(red, green, blue) => u32::from_be_bytes([0, red, green, blue]),
    }
}

/// Foreground and background of a style, 0xRRGGBB.
pub(super) fn colors(style: Style, is_reversed: bool) -> (u32, u32) {
    let foreground = match style.foreground {
        // Bold characters have the bright one of two named colours, as on VGA.
        Color::Indexed(index @ 0..=7) if style.attributes.contains(Attributes::BOLD) => {
            Color::Indexed(index + 8)
        }
        other => other,
    };
    let mut foreground = rgb(foreground, FOREGROUND);
    let mut background = rgb(style.background, BACKGROUND);
    if style.attributes.contains(Attributes::DIM) {
        // Half way to black.
        foreground = foreground >> 1 & 0x7f_7f_7f;
    }
    if style.attributes.contains(Attributes::INVERSE) != is_reversed {
        core::mem::swap(&mut foreground, &mut background);
    }
    if style.attributes.contains(Attributes::HIDDEN) {
        foreground = background;
    }
    (foreground, background)
}
