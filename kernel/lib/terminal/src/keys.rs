//! What keys that are no characters send: xterm's sequences (ctlseqs, "PC-Style Function Keys"). What characters send,
//! with Ctrl and Alt, is the keymap's.

use crate::modes::Modes;
use bitflags::bitflags;

bitflags! {
    /// Modifiers held while a key is pressed; the bits are those of xterm's parameter less one.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Modifiers: u8 {
        /// Shift.
        const SHIFT = 1;
        /// Alt.
        const ALT = 2;
        /// Control.
        const CONTROL = 4;
    }
}

/// A key that is not a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Cursor keys.
    Up,
    /// Cursor keys.
    Down,
    /// Cursor keys.
    Right,
    /// Cursor keys.
    Left,
    /// Home.
    Home,
    /// End.
    End,
    /// Insert.
    Insert,
    /// Delete.
    Delete,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Backspace.
    Backspace,
    /// Tab.
    Tab,
    /// Return, also of the keypad.
    Enter,
    /// Escape.
    Escape,
    /// F1 to F12.
    Function(u8),
}

/// The bytes of one key: 8 at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    bytes: [u8; 8],
    length: usize,
}

impl Sequence {
    fn of(bytes: &[u8]) -> Sequence {
        let mut sequence = Sequence::default();
        bytes.iter().for_each(|&byte| sequence.push(byte));
        sequence
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    fn push_number(&mut self, number: u8) {
        if number >= 10 {
            self.push(b'0' + number / 10);
        }
        self.push(b'0' + number % 10);
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// What a key sends in these modes.
pub fn key(key: Key, modifiers: Modifiers, modes: Modes) -> Sequence {
    match key {
        Key::Up => letter(b'A', modifiers, modes),
        Key::Down => letter(b'B', modifiers, modes),
        Key::Right => letter(b'C', modifiers, modes),
        Key::Left => letter(b'D', modifiers, modes),
        Key::Home => letter(b'H', modifiers, modes),
        Key::End => letter(b'F', modifiers, modes),
        Key::Insert => number(2, modifiers),
        Key::Delete => number(3, modifiers),
        Key::PageUp => number(5, modifiers),
        Key::PageDown => number(6, modifiers),
        Key::Backspace => {
            let is_other = modes.contains(Modes::BACKSPACE) != modifiers.contains(Modifiers::CONTROL);
            alone(if is_other { 0x08 } else { 0x7f }, modifiers)
        }
        Key::Tab if modifiers.contains(Modifiers::SHIFT) => Sequence::of(b"\x1b[Z"),
        Key::Tab => alone(b'\t', modifiers),
        Key::Enter => {
            let mut sequence = alone(b'\r', modifiers);
            if modes.contains(Modes::NEW_LINE) {
                sequence.push(b'\n');
            }
            sequence
        }
        Key::Escape => alone(0x1b, modifiers),
        Key::Function(n @ 1..=4) if modifiers.is_empty() => Sequence::of(&[0x1b, b'O', b'P' + n - 1]),
        Key::Function(n @ 1..=4) => letter(b'P' + n - 1, modifiers, Modes::empty()),
        Key::Function(5) => number(15, modifiers),
        Key::Function(n @ 6..=10) => number(n + 11, modifiers),
        Key::Function(n @ 11..=12) => number(n + 12, modifiers),
        Key::Function(_) => Sequence::default(),
    }
}

/// A byte, with ESC before it for Alt.
fn alone(byte: u8, modifiers: Modifiers) -> Sequence {
    if modifiers.contains(Modifiers::ALT) { Sequence::of(&[0x1b, byte]) } else { Sequence::of(&[byte]) }
}

/// `CSI A`, `SS3 A` in the cursor key mode, `CSI 1;m A` with modifiers.
fn letter(letter: u8, modifiers: Modifiers, modes: Modes) -> Sequence {
    if !modifiers.is_empty() {
        return Sequence::of(&[0x1b, b'[', b'1', b';', b'1' + modifiers.bits(), letter]);
    }
    Sequence::of(&[0x1b, if modes.contains(Modes::CURSOR_KEYS) { b'O' } else { b'[' }, letter])
}

/// `CSI n ~`, `CSI n;m ~` with modifiers.
fn number(number: u8, modifiers: Modifiers) -> Sequence {
    let mut sequence = Sequence::of(b"\x1b[");
    sequence.push_number(number);
    if !modifiers.is_empty() {
        sequence.push(b';');
        sequence.push(b'1' + modifiers.bits());
    }
    sequence.push(b'~');
    sequence
}
