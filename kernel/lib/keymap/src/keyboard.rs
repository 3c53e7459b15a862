//! Modifiers, locks, dead keys: from events to actions.

use crate::compose::{alone, compose, is_dead};
use crate::{KeyEvent, Keymap, Motion, Symbol, code};
use bitflags::bitflags;

bitflags! {
    /// Modifiers that are held.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Modifiers: u8 {
        /// Left Shift.
        const LEFT_SHIFT = 1 << 0;
        /// Right Shift.
        const RIGHT_SHIFT = 1 << 1;
        /// Left Ctrl.
        const LEFT_CONTROL = 1 << 2;
        /// Right Ctrl.
        const RIGHT_CONTROL = 1 << 3;
        /// Left Alt.
        const ALT = 1 << 4;
        /// Right Alt.
        const ALT_GR = 1 << 5;
    }
}

impl Modifiers {
    /// Either Shift.
    pub fn has_shift(self) -> bool {
        self.intersects(Modifiers::LEFT_SHIFT | Modifiers::RIGHT_SHIFT)
    }

    /// Either Ctrl.
    pub fn has_control(self) -> bool {
        self.intersects(Modifiers::LEFT_CONTROL | Modifiers::RIGHT_CONTROL)
    }

    fn of(code: u16) -> Option<Modifiers> {
        Some(match code {
            code::LEFT_SHIFT => Modifiers::LEFT_SHIFT,
            code::RIGHT_SHIFT => Modifiers::RIGHT_SHIFT,
            code::LEFT_CTRL => Modifiers::LEFT_CONTROL,
            code::RIGHT_CTRL => Modifiers::RIGHT_CONTROL,
            code::LEFT_ALT => Modifiers::ALT,
            code::RIGHT_ALT => Modifiers::ALT_GR,
            _ => return None,
        })
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
    /// A character is typed.
    Character(char),
    /// A key that types none, by its code: cursor keys, Enter, F1 and so on. Keys of the keypad are the others.
    Key(u16),
    /// Alt-F1 to Alt-F12: the console with this number, from 1.
    Console(u8),
    /// Alt-Left, Alt-Right: the next console (1) or the one before (-1).
    NextConsole(i8),
    /// Shift-PageUp, Shift-PageDown: half screens up (1) or down (-1).
    ScrollBack(i8),
    /// Ctrl-Alt-Del.
    Reboot,
    /// Alt-SysRq and a key: what the letter or digit means.
    Magic(char),
    /// A lock changed: the lights are to show this.
    Light(Indicators),
}

/// A keyboard's state.
#[derive(Clone, Debug, Default)]
pub struct Keyboard {
    modifiers: Modifiers,
    locks: Indicators,
    /// An accent waits for its letter.
    dead: Option<char>,
    /// SysRq is held, with Alt.
    is_magic: bool,
}

impl Keyboard {
    /// Modifiers that are held now.
    pub fn modifiers(&self) -> Modifiers {
        self.modifiers
    }

    /// Locks that are on.
    pub fn locks(&self) -> Indicators {
        self.locks
    }

    /// Takes an event; what it comes to by `map`.
    pub fn handle(&mut self, event: KeyEvent, map: &Keymap) -> Option<Action> {
        let is_down = event.motion != Motion::Released;
        if let Some(modifier) = Modifiers::of(event.code) {
            self.modifiers.set(modifier, is_down);
            return None;
        }
        if event.code == code::SYSRQ {
            self.is_magic = is_down && self.modifiers.contains(Modifiers::ALT);
            return None;
        }
        if !is_down {
            return None;
        }
        if self.is_magic {
            let Symbol::Character(character) = map.symbol(0, event.code) else { return None };
            return (event.motion == Motion::Pressed).then_some(Action::Magic(character));
        }
        let lock = match event.code {
            code::CAPS_LOCK => Indicators::CAPS_LOCK,
            code::NUM_LOCK => Indicators::NUM_LOCK,
            code::SCROLL_LOCK => Indicators::SCROLL_LOCK,
            _ => return self.system(event.code).or_else(|| self.typed(event.code, map)),
        };
        if event.motion == Motion::Repeated {
            return None;
        }
        self.locks.toggle(lock);
        Some(Action::Light(self.locks))
    }

    /// Combinations for the system itself.
    fn system(&self, code: u16) -> Option<Action> {
        let has_alt = self.modifiers.contains(Modifiers::ALT);
        let function = match code {
            code::F1..=code::F10 => Some(code - code::F1 + 1),
            code::F11 => Some(11),
            code::F12 => Some(12),
            _ => None,
        };
        match code {
            code::DELETE | code::KP_DOT if has_alt && self.modifiers.has_control() => Some(Action::Reboot),
            code::LEFT if has_alt => Some(Action::NextConsole(-1)),
            code::RIGHT if has_alt => Some(Action::NextConsole(1)),
            code::PAGE_UP if self.modifiers.has_shift() => Some(Action::ScrollBack(1)),
            code::PAGE_DOWN if self.modifiers.has_shift() => Some(Action::ScrollBack(-1)),
            _ if has_alt => function.map(|number| Action::Console(number as u8)),
            _ => None,
        }
    }

    fn typed(&mut self, code: u16, map: &Keymap) -> Option<Action> {
        if let Some(action) = self.keypad(code) {
            return Some(action);
        }
        match self.symbol(code, map) {
            Symbol::Character(character) => self.character(character).map(Action::Character),
            Symbol::Nothing => {
                self.dead = None;
                let is_known = matches!(
                    code,
                    code::ESC | code::BACKSPACE | code::TAB | code::ENTER | code::F1
                        ..=code::F10 | code::F11 | code::F12
                ) || (code::HOME..=code::DELETE).contains(&code);
                is_known.then_some(Action::Key(code))
            }
        }
    }

    fn symbol(&self, code: u16, map: &Keymap) -> Symbol {
        let has_shift = self.modifiers.has_shift();
        let has_alt_gr = self.modifiers.contains(Modifiers::ALT_GR);
        let on = |shift: bool| {
            let symbol = map.symbol(usize::from(shift) + 2 * usize::from(has_alt_gr), code);
            // A layout without a third level leaves AltGr to be Alt.
            if symbol == Symbol::Nothing { map.symbol(usize::from(shift), code) } else { symbol }
        };
        let symbol = on(has_shift);
        // Caps Lock exchanges the levels of keys whose two are the same letter.
        match (symbol, on(!has_shift)) {
            (Symbol::Character(one), Symbol::Character(other))
                if self.locks.contains(Indicators::CAPS_LOCK)
                    && one != other
                    && (one.to_uppercase().eq([other]) || other.to_uppercase().eq([one])) =>
            {
                Symbol::Character(other)
            }
            _ => symbol,
        }
    }

    fn character(&mut self, character: char) -> Option<char> {
        match self.dead.take() {
            Some(accent) => Some(compose(accent, character).unwrap_or(if is_dead(character) {
                alone(character)
            } else {
                character
            })),
            None if is_dead(character) => {
                self.dead = Some(character);
                None
            }
            None => Some(character),
        }
    }

    /// Keys of the keypad: digits while Num Lock is on, else cursor keys.
    fn keypad(&self, code: u16) -> Option<Action> {
        const DIGITS: [(char, u16); 13] = [
            ('7', code::HOME),
            ('8', code::UP),
            ('9', code::PAGE_UP),
            ('-', 0),
            ('4', code::LEFT),
            ('5', 0),
            ('6', code::RIGHT),
            ('+', 0),
            ('1', code::END),
            ('2', code::DOWN),
            ('3', code::PAGE_DOWN),
            ('0', code::INSERT),
            ('.', code::DELETE),
        ];
        match code {
            code::KP_ASTERISK => Some(Action::Character('*')),
            code::KP_SLASH => Some(Action::Character('/')),
            code::KP_ENTER => Some(Action::Key(code::ENTER)),
            code::KP_7..=code::KP_DOT => {
                let (digit, other) = DIGITS[usize::from(code - code::KP_7)];
                let is_digit =
                    other == 0 || self.locks.contains(Indicators::NUM_LOCK) != self.modifiers.has_shift();
                Some(if is_digit { Action::Character(digit) } else { Action::Key(other) })
            }
            _ => None,
        }
    }
}
