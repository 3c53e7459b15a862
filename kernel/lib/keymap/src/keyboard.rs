//! Modifiers, locks, dead keys: from events to actions, as Linux's keyboard driver does it.

use crate::symbol::{DEAD, Symbol, kind};
use crate::tables::function_key;
use crate::{KeyEvent, Keymap, Motion, code};
use bitflags::bitflags;

bitflags! {
    /// Modifiers that are held, as they number the tables of a keymap.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Modifiers: u8 {
        /// Shift.
        const SHIFT = 1 << 0;
        /// AltGr, the right Alt.
        const ALT_GR = 1 << 1;
        /// Ctrl.
        const CONTROL = 1 << 2;
        /// Alt.
        const ALT = 1 << 3;
        /// Shift, of keymaps that tell left from right.
        const LEFT_SHIFT = 1 << 4;
        /// The right one.
        const RIGHT_SHIFT = 1 << 5;
        /// Ctrl, of keymaps that tell left from right.
        const LEFT_CONTROL = 1 << 6;
        /// The right one.
        const RIGHT_CONTROL = 1 << 7;
    }
}

/// Modifiers that can be counted: those, and the Shift that ends Caps Lock.
const COUNTED: usize = 9;
const CAPS_SHIFT: u8 = 8;

impl Modifiers {
    /// Any Shift.
    pub fn has_shift(self) -> bool {
        self.intersects(Modifiers::SHIFT | Modifiers::LEFT_SHIFT | Modifiers::RIGHT_SHIFT)
    }

    /// Any Ctrl.
    pub fn has_control(self) -> bool {
        self.intersects(Modifiers::CONTROL | Modifiers::LEFT_CONTROL | Modifiers::RIGHT_CONTROL)
    }

    fn of(value: u8) -> Modifiers {
        if value < 8 { Modifiers::from_bits_retain(1 << value) } else { Modifiers::empty() }
    }
}

bitflags! {
    /// The lights; the bits are those that a PS/2 keyboard takes.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Indicators: u8 {
        /// Scroll Lock.
        const SCROLL_LOCK = 1;
        /// Num Lock.
        const NUM_LOCK = 2;
        /// Caps Lock.
        const CAPS_LOCK = 4;
    }
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A character is typed, or a control character.
    Character(char),
    /// One is typed with Alt.
    Meta(u8),
    /// A key that types none, by its code: cursor keys, Enter, F1 and so on. Keys of the keypad are the others.
    Key(u16),
    /// The string of a function key is typed.
    String(u8),
    /// Alt-F1 to Alt-F12: the console with this number, from 1.
    Console(u8),
    /// Alt-Left, Alt-Right: the next console (1) or the one before (-1).
    NextConsole(i8),
    /// Back to the console that was shown before.
    LastConsole,
    /// Shift-PageUp, Shift-PageDown: half screens up (1) or down (-1).
    ScrollBack(i8),
    /// Ctrl-Alt-Del.
    Reboot,
    /// Alt-SysRq and a key: what the letter or digit means.
    Magic(char),
    /// A lock changed: the lights are to show this.
    Light(Indicators),
}

/// What stays when no key is held. Each console has its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Locks {
    /// Caps Lock and the others that have lights.
    pub indicators: Indicators,
    /// Modifiers that stay.
    locked: Modifiers,
    /// Modifiers for the next key only.
    sticky: Modifiers,
}

impl Locks {
    /// These, and no modifiers.
    pub const fn new(indicators: Indicators) -> Locks {
        Locks { indicators, locked: Modifiers::empty(), sticky: Modifiers::empty() }
    }
}

/// A keyboard's state.
#[derive(Clone, Debug, Default)]
pub struct Keyboard {
    modifiers: Modifiers,
    /// How many keys hold each modifier.
    counts: [u8; COUNTED],
    /// A bit for each key that is down.
    down: [u64; 4],
    /// An accent waits for its letter.
    dead: Option<char>,
    /// The next character is an accent.
    is_composing: bool,
    /// The number that is typed on the keypad with Alt.
    number: Option<u32>,
    /// SysRq is held, with Alt.
    is_magic: bool,
}

impl Keyboard {
    /// Modifiers that are held now.
    pub fn modifiers(&self) -> Modifiers {
        self.modifiers
    }

    /// Takes an event; what it comes to by `map`, with the locks of the console that is shown.
    pub fn handle(&mut self, event: KeyEvent, locks: &mut Locks, map: &Keymap) -> Option<Action> {
        self.note(event);
        if event.code == code::SYSRQ {
            self.is_magic = event.motion != Motion::Released && self.modifiers.contains(Modifiers::ALT);
            return None;
        }
        if self.is_magic && event.motion != Motion::Released && !is_shift(map, event.code) {
            let symbol = map.symbol(0, event.code)?;
            let is_letter = matches!(symbol.kind(), kind::LATIN | kind::LETTER);
            return (is_letter && event.motion == Motion::Pressed)
                .then_some(Action::Magic(char::from(symbol.value())));
        }
        let table = (self.modifiers | locks.sticky) ^ locks.locked;
        let Some(symbol) = map.symbol(table.bits(), event.code) else {
            // As on Linux: a set of modifiers without a table means nothing, and ends what stuck.
            self.count_anew(map);
            locks.sticky = Modifiers::empty();
            return None;
        };
        let symbol = with_caps_lock(symbol, locks, table, event.code, map);
        let action = self.act(symbol, event, locks, map);
        if symbol.kind() != kind::SHIFT_LOCK && event.motion != Motion::Released {
            locks.sticky = Modifiers::empty();
        }
        action
    }

    /// A key moved, whatever it means: what a keyboard in raw mode still has to know.
    pub fn note(&mut self, event: KeyEvent) {
        let (word, bit) = (usize::from(event.code / 64), 1 << (event.code % 64));
        let Some(word) = self.down.get_mut(word) else { return };
        if event.motion == Motion::Released {
            *word &= !bit;
        } else {
            *word |= bit;
        }
    }

    /// Finds out which modifiers are held from the keys that are down, since the keymap is another one or nobody looked.
    pub fn count_anew(&mut self, map: &Keymap) {
        self.counts = [0; COUNTED];
        self.modifiers = Modifiers::empty();
        for code in 0..256_u16 {
            let is_down = self.down[usize::from(code / 64)] & (1 << (code % 64)) != 0;
            let symbol = map.symbol(0, code).filter(|_| is_down).unwrap_or(Symbol::HOLE);
            if matches!(symbol.kind(), kind::SHIFT | kind::SHIFT_LOCK) {
                self.press(symbol.value());
            }
        }
    }

    fn act(&mut self, symbol: Symbol, event: KeyEvent, locks: &mut Locks, map: &Keymap) -> Option<Action> {
        let is_down = event.motion != Motion::Released;
        let is_repeated = event.motion == Motion::Repeated;
        let value = symbol.value();
        match symbol.kind() {
            kind::SHIFT => return self.shift(value, event.motion, locks),
            kind::SHIFT_LOCK => {
                let _ = self.shift(value, event.motion, locks);
                if is_down && !is_repeated {
                    locks.sticky ^= Modifiers::of(value);
                }
                return None;
            }
            _ if !is_down => return None,
            _ => {}
        }
        match symbol.kind() {
            kind::LATIN if is_own_key(event.code, value) => {
                self.dead = None;
                Some(Action::Key(event.code))
            }
            kind::LATIN | kind::LETTER => self.character(value.into(), map),
            kind::FUNCTION if map.string(value).is_some() => Some(Action::String(value)),
            kind::FUNCTION => function_key(value).map(Action::Key),
            kind::SPECIAL => self.special(value, is_repeated, locks),
            kind::KEYPAD => self.keypad(value, locks),
            kind::DEAD => self.accent(*DEAD.get(usize::from(value))?, map),
            kind::DEAD_CHARACTER => self.accent(value.into(), map),
            kind::CONSOLE => value.checked_add(1).map(Action::Console),
            kind::CURSOR => [code::DOWN, code::LEFT, code::RIGHT, code::UP]
                .get(usize::from(value))
                .map(|code| Action::Key(*code)),
            kind::META => Some(Action::Meta(value)),
            kind::ASCII => {
                self.add_digit(value);
                None
            }
            kind::LOCK if !is_repeated => {
                locks.locked ^= Modifiers::of(value);
                None
            }
            kind::LOCK | kind::BRAILLE => None,
            _ => self.character(symbol.unicode()?, map),
        }
    }

    /// A modifier moves. With Alt goes up the character whose number was typed on the keypad.
    fn shift(&mut self, value: u8, motion: Motion, locks: &mut Locks) -> Option<Action> {
        match motion {
            Motion::Pressed => {
                if value == CAPS_SHIFT {
                    locks.indicators.remove(Indicators::CAPS_LOCK);
                }
                self.press(value);
            }
            Motion::Released => {
                if let Some(count) = self.counts.get_mut(usize::from(value)) {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        self.modifiers.remove(Modifiers::of(value));
                    }
                }
                let number = if Modifiers::of(value) == Modifiers::ALT { self.number.take() } else { None };
                return number.and_then(char::from_u32).map(Action::Character);
            }
            Motion::Repeated => {}
        }
        None
    }

    fn press(&mut self, value: u8) {
        if let Some(count) = self.counts.get_mut(usize::from(value)) {
            *count = count.saturating_add(1);
            self.modifiers.insert(Modifiers::of(value));
        }
    }

    /// A digit of a number in decimal, or behind 10 in hexadecimal.
    fn add_digit(&mut self, value: u8) {
        let (base, digit) = if value < 10 { (10, value) } else { (16, value - 10) };
        let number = self.number.unwrap_or(0);
        self.number = Some(number.wrapping_mul(base).wrapping_add(digit.into()));
    }

    fn special(&mut self, value: u8, is_repeated: bool, locks: &mut Locks) -> Option<Action> {
        let lock = match value {
            1 => return Some(Action::Key(code::ENTER)),
            2 => return Some(Action::Magic('p')),
            3 => return Some(Action::Magic('m')),
            4 => return Some(Action::Magic('t')),
            6 => return Some(Action::LastConsole),
            10 => return Some(Action::ScrollBack(-1)),
            11 => return Some(Action::ScrollBack(1)),
            12 => return Some(Action::Reboot),
            14 => {
                self.is_composing = true;
                return None;
            }
            15 => return Some(Action::Magic('k')),
            16 => return Some(Action::NextConsole(-1)),
            17 => return Some(Action::NextConsole(1)),
            7 | 13 => Indicators::CAPS_LOCK,
            8 | 19 => Indicators::NUM_LOCK,
            9 => Indicators::SCROLL_LOCK,
            _ => return None,
        };
        if is_repeated {
            return None;
        }
        if value == 13 {
            locks.indicators.insert(lock);
        } else {
            locks.indicators.toggle(lock);
        }
        Some(Action::Light(locks.indicators))
    }

    fn character(&mut self, character: char, map: &Keymap) -> Option<Action> {
        if core::mem::take(&mut self.is_composing) {
            self.dead = Some(character);
            return None;
        }
        let composed = match self.dead.take() {
            Some(accent) => map.compose(accent, character).unwrap_or(character),
            None => character,
        };
        Some(Action::Character(composed))
    }

    fn accent(&mut self, accent: char, map: &Keymap) -> Option<Action> {
        match self.dead.take() {
            Some(before) => Some(Action::Character(map.compose(before, accent).unwrap_or(accent))),
            None => {
                self.dead = Some(accent);
                None
            }
        }
    }

    /// Keys of the keypad: digits while Num Lock is on, else cursor keys.
    fn keypad(&self, value: u8, locks: &Locks) -> Option<Action> {
        const OTHERS: [u16; 10] = [
            code::INSERT,
            code::END,
            code::DOWN,
            code::PAGE_DOWN,
            code::LEFT,
            0,
            code::RIGHT,
            code::HOME,
            code::UP,
            code::PAGE_UP,
        ];
        const CHARACTERS: &[u8; 20] = b"0123456789+-*/\r,.?()";
        let other = match value {
            0..10 => OTHERS[usize::from(value)],
            14 => return Some(Action::Key(code::ENTER)),
            16 => code::DELETE,
            _ => 0,
        };
        let is_digit =
            other == 0 || locks.indicators.contains(Indicators::NUM_LOCK) != self.modifiers.has_shift();
        let character = CHARACTERS.get(usize::from(value)).map(|byte| char::from(*byte))?;
        Some(if is_digit { Action::Character(character) } else { Action::Key(other) })
    }
}

/// Caps Lock exchanges the levels of letters.
fn with_caps_lock(symbol: Symbol, locks: &Locks, table: Modifiers, code: u16, map: &Keymap) -> Symbol {
    if symbol.kind() != kind::LETTER || !locks.indicators.contains(Indicators::CAPS_LOCK) {
        return symbol;
    }
    map.symbol((table ^ Modifiers::SHIFT).bits(), code).unwrap_or(symbol)
}

fn is_shift(map: &Keymap, code: u16) -> bool {
    map.symbol(0, code).is_some_and(|symbol| symbol.kind() == kind::SHIFT)
}

/// Keys that the terminal may send in other ways, as long as they are what stands on them.
fn is_own_key(code: u16, value: u8) -> bool {
    matches!(
        (code, value),
        (code::ESC, 0x1b) | (code::BACKSPACE, 0x7f | 0x08) | (code::TAB, b'\t') | (code::ENTER, b'\r')
    )
}
