//! Keymaps: for each set of modifiers a table of what the keys mean, the strings of function keys, and accents. Those
//! that are built in are made of a layout; programs change them entry by entry (loadkeys).

use crate::compose::{self, Accent};
use crate::symbol::{DEAD, Symbol, kind};
use crate::{Modifiers, code, layouts};
use alloc::collections::{BTreeMap, btree_map::Entry};
use alloc::vec::Vec;

/// Keys of a table, and strings.
pub const KEYS: usize = 256;

/// The most accents.
pub const MAX_ACCENTS: usize = 256;

/// There was no memory for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// A keymap. Keys that are not described mean nothing.
#[derive(Clone, Debug)]
pub struct Keymap {
    /// By modifiers that are held.
    tables: BTreeMap<u8, Vec<Symbol>>,
    /// Those of function keys that were set.
    strings: BTreeMap<u8, Vec<u8>>,
    accents: Vec<Accent>,
}

impl Default for Keymap {
    fn default() -> Keymap {
        Keymap::built_in("us").expect("it is in the list")
    }
}

impl Keymap {
    /// The names of the layouts that are built in.
    pub fn names() -> impl Iterator<Item = &'static str> {
        layouts::names()
    }

    /// A keymap that is built in, with tables for all sets of Shift, AltGr, Ctrl and Alt.
    pub fn built_in(name: &str) -> Option<Keymap> {
        let layout = layouts::find(name)?;
        let table = |held: u8| {
            let held = Modifiers::from_bits_truncate(held);
            let symbols = (0..KEYS as u16).map(|code| symbol(layout, held, code));
            (held.bits(), symbols.collect())
        };
        let tables = (0..16).map(table).collect();
        Some(Keymap { tables, strings: BTreeMap::new(), accents: compose::built_in() })
    }

    /// What a key means; `None` if there is no table for these modifiers.
    pub fn symbol(&self, table: u8, code: u16) -> Option<Symbol> {
        let table = self.tables.get(&table)?;
        Some(table.get(usize::from(code)).copied().unwrap_or(Symbol::HOLE))
    }

    /// Changes what a key means; makes the table if there is none.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn set_symbol(&mut self, table: u8, code: u8, symbol: Symbol) -> Result<(), OutOfMemory> {
        let symbols = match self.tables.entry(table) {
            Entry::Occupied(table) => table.into_mut(),
            Entry::Vacant(place) => {
                let mut symbols = Vec::new();
                symbols.try_reserve_exact(KEYS).map_err(|_| OutOfMemory)?;
                symbols.resize(KEYS, Symbol::HOLE);
                symbols[0] = Symbol::ALLOCATED;
                place.insert(symbols)
            }
        };
        symbols[usize::from(code)] = symbol;
        Ok(())
    }

    /// Forgets a table; that without modifiers stays.
    pub fn remove_table(&mut self, table: u8) {
        if table != 0 {
            self.tables.remove(&table);
        }
    }

    /// The string of a function key, if one was set.
    pub fn string(&self, function: u8) -> Option<&[u8]> {
        self.strings.get(&function).map(Vec::as_slice)
    }

    /// Sets the string of a function key.
    pub fn set_string(&mut self, function: u8, string: Vec<u8>) {
        self.strings.insert(function, string);
    }

    /// What accents do.
    pub fn accents(&self) -> &[Accent] {
        &self.accents
    }

    /// Changes what accents do; the first [`MAX_ACCENTS`] count.
    pub fn set_accents(&mut self, mut accents: Vec<Accent>) {
        accents.truncate(MAX_ACCENTS);
        self.accents = accents;
    }

    /// The letter with the accent. The accent twice, or with a space, is the accent itself.
    pub(crate) fn compose(&self, accent: char, letter: char) -> Option<char> {
        let is_meant = |known: &&Accent| known.accent == accent && known.base == letter;
        let composed = self.accents.iter().find(is_meant).map(|known| known.result);
        composed.or_else(|| (letter == ' ' || letter == accent).then_some(accent))
    }
}

/// The function key with a value of [`kind::FUNCTION`]: its code, however many modifiers made it a higher one.
pub fn function_key(value: u8) -> Option<u16> {
    let number = match value {
        0..20 => value,
        20 => return Some(code::HOME),
        21 => return Some(code::INSERT),
        22 => return Some(code::DELETE),
        23 => return Some(code::END),
        24 => return Some(code::PAGE_UP),
        25 => return Some(code::PAGE_DOWN),
        30..58 => value - 10,
        _ => return None,
    };
    Some(match number % 12 {
        below @ 0..10 => code::F1 + u16::from(below),
        10 => code::F11,
        _ => code::F12,
    })
}

/// The value of F1 and so on, counted from 0; there is a gap behind F20.
fn function(number: u8) -> Symbol {
    Symbol::new(kind::FUNCTION, if number < 20 { number } else { number + 10 })
}

/// What a key means with these modifiers in a layout that is built in.
fn symbol(layout: &layouts::Layout, held: Modifiers, code: u16) -> Symbol {
    if let Some(character) = layout.character(held, code) {
        return typed(character, held);
    }
    let is = |wanted: Modifiers| held == wanted;
    let has_alt = held.contains(Modifiers::ALT);
    let (alt, control) = (Modifiers::ALT, Modifiers::CONTROL);
    let special = |value| Symbol::new(kind::SPECIAL, value);
    match code {
        code::ESC => typed('\x1b', held & alt),
        code::BACKSPACE if held.contains(control) => typed('\x08', held & alt),
        code::BACKSPACE => typed('\x7f', held & alt),
        code::TAB => typed('\t', held & alt),
        code::ENTER if has_alt => Symbol::new(kind::META, b'\r'),
        code::ENTER => Symbol::ENTER,
        code::LEFT_CTRL | code::RIGHT_CTRL => Symbol::new(kind::SHIFT, 2),
        code::LEFT_SHIFT | code::RIGHT_SHIFT => Symbol::new(kind::SHIFT, 0),
        code::LEFT_ALT => Symbol::new(kind::SHIFT, 3),
        code::RIGHT_ALT => Symbol::new(kind::SHIFT, 1),
        code::CAPS_LOCK => special(7),
        code::NUM_LOCK => special(8),
        code::SCROLL_LOCK => special(9),
        code::F1..=code::F10 => function_row(held, (code - code::F1) as u8),
        code::F11 | code::F12 => function_row(held, (code - code::F11) as u8 + 10),
        code::DELETE | code::KP_DOT if held.contains(alt | control) => special(12),
        code::LEFT if has_alt => special(16),
        code::RIGHT if has_alt => special(17),
        code::PAGE_UP if is(Modifiers::SHIFT) => special(11),
        code::PAGE_DOWN if is(Modifiers::SHIFT) => special(10),
        code::DOWN => Symbol::new(kind::CURSOR, 0),
        code::LEFT => Symbol::new(kind::CURSOR, 1),
        code::RIGHT => Symbol::new(kind::CURSOR, 2),
        code::UP => Symbol::new(kind::CURSOR, 3),
        code::HOME => Symbol::new(kind::FUNCTION, 20),
        code::INSERT => Symbol::new(kind::FUNCTION, 21),
        code::DELETE => Symbol::new(kind::FUNCTION, 22),
        code::END => Symbol::new(kind::FUNCTION, 23),
        code::PAGE_UP => Symbol::new(kind::FUNCTION, 24),
        code::PAGE_DOWN => Symbol::new(kind::FUNCTION, 25),
        code::PAUSE => Symbol::new(kind::FUNCTION, 29),
        code::KP_SLASH => Symbol::new(kind::KEYPAD, 13),
        code::KP_ASTERISK => Symbol::new(kind::KEYPAD, 12),
        code::KP_ENTER => Symbol::new(kind::KEYPAD, 14),
        code::KP_7..=code::KP_DOT => keypad(held, code),
        _ => Symbol::HOLE,
    }
}

/// F1 to F12, counted from 0: more of them with modifiers; with Alt they show the consoles.
fn function_row(held: Modifiers, number: u8) -> Symbol {
    if held.contains(Modifiers::ALT) {
        return Symbol::new(kind::CONSOLE, number);
    }
    let shift = if held.contains(Modifiers::SHIFT) { 12 } else { 0 };
    let control = if held.contains(Modifiers::CONTROL) { 24 } else { 0 };
    function(number + shift + control)
}

fn keypad(held: Modifiers, code: u16) -> Symbol {
    /// What stands on the keys from 7 to the dot; 10 is plus, 11 minus, 16 the dot.
    const VALUES: [u8; 13] = [7, 8, 9, 11, 4, 5, 6, 10, 1, 2, 3, 0, 16];
    match VALUES[usize::from(code - code::KP_7)] {
        digit @ 0..10 if held == Modifiers::ALT => Symbol::new(kind::ASCII, digit),
        value => Symbol::new(kind::KEYPAD, value),
    }
}

/// A character of the layout with Ctrl and Alt.
fn typed(character: char, held: Modifiers) -> Symbol {
    if let Some(accent) = compose::accent_of(character) {
        let value = DEAD.iter().position(|dead| *dead == accent);
        return value.map_or(Symbol::HOLE, |value| Symbol::new(kind::DEAD, value as u8));
    }
    let control = match character {
        _ if !held.contains(Modifiers::CONTROL) => None,
        '@'..='_' | 'a'..='z' => Some(character as u8 & 0x1f),
        ' ' | '2' => Some(0),
        '3'..='7' => Some(character as u8 - b'3' + 0x1b),
        '8' | '?' => Some(0x7f),
        '/' => Some(0x1f),
        _ => None,
    };
    let byte = control.or(u8::try_from(character).ok().filter(u8::is_ascii));
    match (byte, held.contains(Modifiers::ALT)) {
        (Some(byte), true) => Symbol::new(kind::META, byte),
        (Some(byte), false) if control.is_some() => Symbol::new(kind::LATIN, byte),
        _ => Symbol::of(character),
    }
}
