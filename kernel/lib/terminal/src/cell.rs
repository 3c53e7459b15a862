//! What one place on the screen shows.

use bitflags::bitflags;

/// A colour, before the palette.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// The terminal's own.
    #[default]
    Default,
    /// Of the palette: 0-7 normal, 8-15 bright, 16-231 a cube of 6 steps each, 232-255 greys.
    Indexed(u8),
    /// Red, green, blue.
    Rgb(u8, u8, u8),
}

bitflags! {
    /// How a character is drawn.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Attributes: u16 {
        /// Bold.
        const BOLD = 1 << 0;
        /// Faint.
        const DIM = 1 << 1;
        /// Italic.
        const ITALIC = 1 << 2;
        /// Underlined.
        const UNDERLINE = 1 << 3;
        /// Underlined twice.
        const DOUBLE_UNDERLINE = 1 << 4;
        /// Blinking.
        const BLINK = 1 << 5;
        /// Foreground and background are exchanged.
        const INVERSE = 1 << 6;
        /// Not shown.
        const HIDDEN = 1 << 7;
        /// Struck through.
        const STRUCK = 1 << 8;
        /// Kept by selective erasing (DECSCA).
        const PROTECTED = 1 << 9;
        /// The character takes this cell and the next.
        const WIDE = 1 << 10;
        /// The right half of a wide character; holds a space.
        const CONTINUATION = 1 << 11;
    }
}

/// Colours and attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Of the character.
    pub foreground: Color,
    /// Behind it.
    pub background: Color,
    /// The rest.
    pub attributes: Attributes,
}

impl Style {
    /// What erasing leaves: the background alone (xterm's "back colour erase").
    pub(crate) fn erased(self) -> Style {
        Style { background: self.background, ..Style::default() }
    }
}

/// One place of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What is shown; a space where nothing is.
    pub character: char,
    /// How.
    pub style: Style,
}

impl Default for Cell {
    fn default() -> Cell {
        Cell::blank(Style::default())
    }
}

impl Cell {
    /// A space.
    pub(crate) fn blank(style: Style) -> Cell {
        Cell { character: ' ', style }
    }
}
