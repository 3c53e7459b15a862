//! Keyboard layouts.

/// What a key means on one level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Symbol {
    /// Nothing.
    #[default]
    Nothing,
    /// A character, or the accent of a dead key as a combining character (U+0300 and following).
    Character(char),
}

/// Key codes: fewer than these have symbols.
const KEYS: usize = 128;
/// Plain, Shift, AltGr, AltGr and Shift.
const LEVELS: usize = 4;

/// A layout: the symbols of the keys that type characters. Other keys are the same everywhere.
#[derive(Clone, Debug)]
pub struct Keymap {
    symbols: [[Symbol; KEYS]; LEVELS],
}

/// The keys that a layout describes, as first and last code: top row, upper, home, lower, the key left of the lower row.
const ROWS: [(usize, usize); 6] = [(41, 41), (2, 13), (16, 27), (30, 40), (43, 53), (86, 86)];

/// One level of a layout: the rows as in [`ROWS`], the first character of the fourth being that of the key at the right
/// end of the home row (code 43), which is followed by the lower row. A space is nothing.
type Level = [&'static str; 6];

/// A layout in short form.
struct Layout {
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

impl Default for Keymap {
    fn default() -> Keymap {
        Keymap::built_in("us").expect("it is in the list")
    }
}

impl Keymap {
    /// The names of the layouts that are built in.
    pub fn names() -> impl Iterator<Item = &'static str> {
        LAYOUTS.iter().map(|layout| layout.name)
    }

    /// A layout that is built in.
    pub fn built_in(name: &str) -> Option<Keymap> {
        let layout = LAYOUTS.iter().find(|layout| layout.name == name)?;
        let mut map = Keymap { symbols: [[Symbol::Nothing; KEYS]; LEVELS] };
        for (level, rows) in layout.levels.iter().enumerate() {
            for ((first, last), characters) in ROWS.iter().zip(rows) {
                for (code, character) in (*first..=*last).zip(characters.chars()) {
                    // Code 42 is Shift: the rows leave it out.
                    if character != ' ' {
                        map.symbols[level][code] = Symbol::Character(character);
                    }
                }
            }
            map.symbols[level][usize::from(crate::code::SPACE)] = Symbol::Character(' ');
        }
        Some(map)
    }

    /// What a key means on a level, 0 to 3.
    pub fn symbol(&self, level: usize, code: u16) -> Symbol {
        self.symbols.get(level).and_then(|keys| keys.get(usize::from(code))).copied().unwrap_or_default()
    }

    /// Changes what a key means; `false` if there is no such key or level.
    pub fn set_symbol(&mut self, level: usize, code: u16, symbol: Symbol) -> bool {
        let place = self.symbols.get_mut(level).and_then(|keys| keys.get_mut(usize::from(code)));
        place.map(|place| *place = symbol).is_some()
    }
}
