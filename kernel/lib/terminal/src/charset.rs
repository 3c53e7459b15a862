//! Character sets: what the bytes 0x20 to 0x7e stand for (ISO 2022, as far as terminals still use it).

/// A set that can be designated as G0 to G3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Charset {
    /// ASCII.
    #[default]
    Ascii,
    /// DEC special graphics: lines and corners in the place of 0x5f to 0x7e.
    Graphics,
    /// ASCII with a pound sign.
    British,
}

impl Charset {
    /// The set that the last byte of a designating sequence names.
    pub(crate) fn named(name: u8) -> Charset {
        match name {
            b'0' => Charset::Graphics,
            b'A' => Charset::British,
            _ => Charset::Ascii,
        }
    }

    /// What a character of the set stands for.
    pub(crate) fn map(self, character: char) -> char {
        const GRAPHICS: [char; 32] = [
            ' ', '◆', '▒', '␉', '␌', '␍', '␊', '°', '±', '␤', '␋', '┘', '┐', '┌', '└', '┼', '⎺', '⎻', '─',
            '⎼', '⎽', '├', '┤', '┴', '┬', '│', '≤', '≥', 'π', '≠', '£', '·',
        ];
        match (self, character) {
            (Charset::Graphics, '_'..='~') => GRAPHICS[character as usize - '_' as usize],
            (Charset::British, '#') => '£',
            _ => character,
        }
    }
}

/// The sets G0 to G3, and which of them is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Charsets {
    sets: [Charset; 4],
    active: usize,
    /// For the next character only (SS2, SS3).
    single: Option<usize>,
}

impl Charsets {
    /// Makes `set` the set Gn, n below 4.
    pub(crate) fn designate(&mut self, n: usize, set: Charset) {
        self.sets[n] = set;
    }

    /// Uses Gn from now on.
    pub(crate) fn shift(&mut self, n: usize) {
        self.active = n;
    }

    /// Uses Gn for one character.
    pub(crate) fn shift_once(&mut self, n: usize) {
        self.single = Some(n);
    }

    /// What a character stands for now.
    pub(crate) fn map(&mut self, character: char) -> char {
        let n = self.single.take().unwrap_or(self.active);
        self.sets[n].map(character)
    }
}
