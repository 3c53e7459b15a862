//! Keyboard layouts.

use crate::{Modifiers, code};

/// Plain, Shift, AltGr, AltGr and Shift.
const LEVELS: usize = 4;

/// The keys that a layout describes, as first and last code: top row, upper, home, lower, the key left of the lower row.
const ROWS: [(usize, usize); 6] = [(41, 41), (2, 13), (16, 27), (30, 40), (43, 53), (86, 86)];

/// One level of a layout: the rows as in [`ROWS`], the first character of the fourth being that of the key at the right
/// end of the home row (code 43), which is followed by the lower row. A space is nothing.
type Level = [&'static str; 6];

/// A layout in short form: the keys that type characters. Other keys are the same everywhere.
pub(crate) struct Layout {
    name: &'static str,
    levels: [Level; LEVELS],
}

const NONE: Level = ["", "", "", "", "", ""];

#[rustfmt::skip]
const LAYOUTS: [Layout; 5] = [
    Layout { name: "us", levels: [
        ["`", "1234567890-=", "qwertyuiop[]", "asdfghjkl;'", "\\zxcvbnm,./", "<"],
        ["~", "!@#$%^&*()_+", "QWERTYUIOP{}", "ASDFGHJKL:\"", "|ZXCVBNM<>?", ">"],
        NONE, NONE,
    ] },
    Layout { name: "uk", levels: [
        ["`", "1234567890-=", "qwertyuiop[]", "asdfghjkl;'", "#zxcvbnm,./", "\\"],
        ["¬", "!\"£$%^&*()_+", "QWERTYUIOP{}", "ASDFGHJKL:@", "~ZXCVBNM<>?", "|"],
        ["¦", "   €        ", "  é   úíó   ", "á          ", "           ", ""],
        ["", "            ", "  É   ÚÍÓ   ", "Á          ", "           ", ""],
    ] },
    Layout { name: "de", levels: [
        ["\u{302}", "1234567890ß\u{301}", "qwertzuiopü+", "asdfghjklöä", "#yxcvbnm,.-", "<"],
        ["°", "!\"§$%&/()=?\u{300}", "QWERTZUIOPÜ*", "ASDFGHJKLÖÄ", "'YXCVBNM;:_", ">"],
        ["", "¹²³¼½¬{[]}\\ ", "@ €        ~", "           ", "      µ    ", "|"],
        ["", "            ", "            ", "           ", "           ", ""],
    ] },
    Layout { name: "fr", levels: [
        ["²", "&é\"'(-è_çà)=", "azertyuiop\u{302}$", "qsdfghjklmù", "*wxcvbn,;:!", "<"],
        ["", "1234567890°+", "AZERTYUIOP\u{308}£", "QSDFGHJKLM%", "µWXCVBN?./§", ">"],
        ["", " \u{303}#{[|\u{300}\\^@]}", "  €        ¤", "           ", "           ", ""],
        ["", "            ", "            ", "           ", "           ", ""],
    ] },
    Layout { name: "dvorak", levels: [
        ["`", "1234567890[]", "',.pyfgcrl/=", "aoeuidhtns-", "\\;qjkxbmwvz", "<"],
        ["~", "!@#$%^&*(){}", "\"<>PYFGCRL?+", "AOEUIDHTNS_", "|:QJKXBMWVZ", ">"],
        NONE, NONE,
    ] },
];

/// The names of the layouts.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    LAYOUTS.iter().map(|layout| layout.name)
}

/// The layout of that name.
pub(crate) fn find(name: &str) -> Option<&'static Layout> {
    LAYOUTS.iter().find(|layout| layout.name == name)
}

impl Layout {
    /// The character on a key with Shift and AltGr as they are held, or the accent of a dead key as a combining character
    /// (U+0300 and following). A layout without a third level leaves AltGr to change nothing.
    pub(crate) fn character(&self, held: Modifiers, code: u16) -> Option<char> {
        if code == code::SPACE {
            return Some(' ');
        }
        let row = ROWS.iter().position(|(first, last)| (*first..=*last).contains(&usize::from(code)))?;
        let place = usize::from(code) - ROWS[row].0;
        let on = |level: usize| self.levels[level][row].chars().nth(place).filter(|found| *found != ' ');
        let shift = usize::from(held.contains(Modifiers::SHIFT));
        let third = if held.contains(Modifiers::ALT_GR) { on(shift + 2) } else { None };
        third.or_else(|| on(shift))
    }
}
