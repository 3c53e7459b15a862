//! What keys mean, in the numbers of Linux's keymaps: a type and a value of eight bits each, or a Unicode character.
//!
//! Source: Linux's linux/keyboard.h.

/// What a key means: an entry of a keymap as KDGKBENT gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol(pub u16);

/// A type, the upper half of a number. Higher ones stand for characters of Unicode, whose upper four bits are inverted.
#[expect(missing_docs, reason = "the names are Linux's")]
pub mod kind {
    pub const LATIN: u8 = 0;
    pub const FUNCTION: u8 = 1;
    pub const SPECIAL: u8 = 2;
    pub const KEYPAD: u8 = 3;
    pub const DEAD: u8 = 4;
    pub const CONSOLE: u8 = 5;
    pub const CURSOR: u8 = 6;
    pub const SHIFT: u8 = 7;
    pub const META: u8 = 8;
    pub const ASCII: u8 = 9;
    pub const LOCK: u8 = 10;
    pub const LETTER: u8 = 11;
    pub const SHIFT_LOCK: u8 = 12;
    pub const DEAD_CHARACTER: u8 = 13;
    pub const BRAILLE: u8 = 14;
}

/// The largest value of each type.
const LARGEST: [u8; 15] = [255, 255, 19, 19, 26, 255, 3, 8, 255, 19, 8, 255, 8, 255, 10];

/// The characters of [`kind::DEAD`], as tables of accents name them.
pub(crate) const DEAD: [char; 27] = [
    '`', '\'', '^', '~', '"', ',', '_', 'U', '.', '*', '=', 'c', 'k', 'i', '#', 'o', '!', '?', '+', '-', ')',
    '(', ':', 'n', ';', '$', '@',
];

impl Symbol {
    /// Nothing.
    pub const HOLE: Symbol = Symbol::new(kind::SPECIAL, 0);
    /// Return.
    pub const ENTER: Symbol = Symbol::new(kind::SPECIAL, 1);
    /// Of the first key (which is none): the table was made by a program.
    pub const ALLOCATED: Symbol = Symbol::new(kind::SPECIAL, 126);
    /// There is no such table.
    pub const NO_MAP: Symbol = Symbol::new(kind::SPECIAL, 127);

    /// Of a type and a value.
    pub const fn new(kind: u8, value: u8) -> Symbol {
        Symbol((kind as u16) << 8 | value as u16)
    }

    /// A character that is typed; letters take part in Caps Lock.
    pub fn of(character: char) -> Symbol {
        match u8::try_from(character) {
            Ok(byte) if has_two_cases(character) => Symbol::new(kind::LETTER, byte),
            Ok(byte) => Symbol::new(kind::LATIN, byte),
            // Characters beyond the first plane have no number.
            Err(_) => u16::try_from(u32::from(character)).map_or(Symbol::HOLE, |code| Symbol(code ^ 0xf000)),
        }
    }

    /// The type; 15 and more: a character.
    pub const fn kind(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// The value.
    pub const fn value(self) -> u8 {
        self.0 as u8
    }

    /// The character of Unicode that it stands for, if it is of no type.
    pub fn unicode(self) -> Option<char> {
        if usize::from(self.kind()) < LARGEST.len() {
            return None;
        }
        char::from_u32(u32::from(self.0 ^ 0xf000))
    }

    /// Whether there is such a symbol.
    pub fn is_valid(self) -> bool {
        match LARGEST.get(usize::from(self.kind())) {
            Some(largest) => self.value() <= *largest,
            None => self.unicode().is_some(),
        }
    }
}

fn has_two_cases(character: char) -> bool {
    character.is_alphabetic()
        && (!character.to_uppercase().eq([character]) || !character.to_lowercase().eq([character]))
        && character != 'ß'
        && character != 'ÿ'
}
