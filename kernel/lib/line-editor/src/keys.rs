//! From the bytes that a terminal sends to keys. Source: xterm's control sequences, "PC-Style Function Keys".

/// What was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character that can be shown.
    Character(char),
    /// The line is done.
    Enter,
    /// Completes a word.
    Tab,
    /// Deletes to the left.
    Backspace,
    /// Deletes to the right.
    Delete,
    /// One character to the left.
    Left,
    /// One character to the right.
    Right,
    /// The line before (Ctrl-P).
    Up,
    /// The line after (Ctrl-N).
    Down,
    /// To the beginning (Ctrl-A).
    Home,
    /// To the end (Ctrl-E).
    End,
    /// Deletes from the cursor on (Ctrl-K).
    KillToEnd,
    /// Deletes up to the cursor (Ctrl-U).
    KillToStart,
    /// Deletes the word before the cursor (Ctrl-W).
    KillWord,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D.
    EndOfFile,
    /// Shows everything anew (Ctrl-L).
    Redraw,
}

/// The longest control sequence that is listened to; longer ones are swallowed.
const MOST_PARAMETERS: usize = 8;

/// Takes bytes, gives keys.
#[derive(Clone, Debug)]
pub struct Keys {
    state: State,
    /// Enter was sent as a carriage return: a newline behind it is the same key.
    is_after_return: bool,
}

#[derive(Clone, Debug)]
enum State {
    Ground,
    /// Behind ESC.
    Escape,
    /// Behind `ESC [`: the first parameter, and how many bytes have come.
    Sequence {
        number: u8,
        length: usize,
    },
    /// Behind `ESC O`.
    Single,
    /// In a character of several bytes.
    Character {
        bytes: [u8; 4],
        have: usize,
        want: usize,
    },
}

impl Default for Keys {
    fn default() -> Self {
        Self::new()
    }
}

impl Keys {
    /// At the start.
    pub const fn new() -> Self {
        Self { state: State::Ground, is_after_return: false }
    }

    /// The next byte; what is nothing (yet) gives `None`.
    pub fn feed(&mut self, byte: u8) -> Option<Key> {
        let is_after_return = core::mem::replace(&mut self.is_after_return, byte == b'\r');
        match core::mem::replace(&mut self.state, State::Ground) {
            State::Ground if byte == b'\n' && is_after_return => None,
            State::Ground => self.ground(byte),
            State::Escape => {
                match byte {
                    b'[' => self.state = State::Sequence { number: 0, length: 0 },
                    b'O' => self.state = State::Single,
                    0x1b => self.state = State::Escape,
                    _ => {}
                }
                None
            }
            State::Single => cursor_key(byte),
            State::Sequence { number, length } => self.sequence(byte, number, length),
            State::Character { bytes, have, want } => self.continuation(byte, bytes, have, want),
        }
    }

    fn ground(&mut self, byte: u8) -> Option<Key> {
        Some(match byte {
            b'\r' | b'\n' => Key::Enter,
            b'\t' => Key::Tab,
            0x08 | 0x7f => Key::Backspace,
            0x01 => Key::Home,
            0x02 => Key::Left,
            0x03 => Key::Interrupt,
            0x04 => Key::EndOfFile,
            0x05 => Key::End,
            0x06 => Key::Right,
            0x0b => Key::KillToEnd,
            0x0c => Key::Redraw,
            0x0e => Key::Down,
            0x10 => Key::Up,
            0x15 => Key::KillToStart,
            0x17 => Key::KillWord,
            0x1b => {
                self.state = State::Escape;
                return None;
            }
            0x20..=0x7e => Key::Character(char::from(byte)),
            0xc2..=0xf4 => {
                let want = if byte < 0xe0 {
                    2
                } else if byte < 0xf0 {
                    3
                } else {
                    4
                };
                self.state = State::Character { bytes: [byte, 0, 0, 0], have: 1, want };
                return None;
            }
            _ => return None,
        })
    }

    fn sequence(&mut self, byte: u8, number: u8, length: usize) -> Option<Key> {
        match byte {
            // A byte that cannot be in a sequence ends it and counts for itself.
            0..=0x1f | 0x7f..=0xff => return self.ground(byte),
            b'~' => {
                return match number {
                    1 | 7 => Some(Key::Home),
                    3 => Some(Key::Delete),
                    4 | 8 => Some(Key::End),
                    _ => None,
                };
            }
            0x40..=0x7e => return cursor_key(byte),
            _ => {}
        }
        let number = match byte {
            b'0'..=b'9' if length < MOST_PARAMETERS => number.saturating_mul(10).saturating_add(byte - b'0'),
            // The parameters behind a semicolon are Shift, Ctrl and so on.
            _ => number,
        };
        let length = if byte == b';' { MOST_PARAMETERS } else { length.saturating_add(1) };
        self.state = State::Sequence { number, length };
        None
    }

    fn continuation(&mut self, byte: u8, mut bytes: [u8; 4], have: usize, want: usize) -> Option<Key> {
        if !(0x80..=0xbf).contains(&byte) {
            return self.ground(byte);
        }
        bytes[have] = byte;
        if have + 1 < want {
            self.state = State::Character { bytes, have: have + 1, want };
            return None;
        }
        let text = core::str::from_utf8(&bytes[..want]).ok()?;
        text.chars().next().filter(|character| !character.is_control()).map(Key::Character)
    }
}

fn cursor_key(byte: u8) -> Option<Key> {
    Some(match byte {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'F' => Key::End,
        b'H' => Key::Home,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut keys = Keys::new();
        bytes.iter().filter_map(|byte| keys.feed(*byte)).collect()
    }

    #[test]
    fn characters_of_any_length_arrive_whole() {
        assert_eq!(
            keys("aé€😀".as_bytes()),
            [Key::Character('a'), Key::Character('é'), Key::Character('€'), Key::Character('😀')]
        );
        // Broken ones are nothing, and what follows them is itself.
        assert_eq!(keys(b"\xc3a\xff\x80\xe2\x82b"), [Key::Character('a'), Key::Character('b')]);
        assert_eq!(keys(b"\xed\xa0\x80\xf4\x90\x80\x80\xc2\x85"), []);
    }

    #[test]
    fn sequences_of_all_kinds_of_terminals_mean_the_same() {
        for (bytes, key) in [
            (&b"\x1b[A"[..], Key::Up),
            (b"\x1bOB", Key::Down),
            (b"\x1b[1;5C", Key::Right),
            (b"\x1b[D", Key::Left),
            (b"\x1b[H", Key::Home),
            (b"\x1b[1~", Key::Home),
            (b"\x1b[4~", Key::End),
            (b"\x1b[3~", Key::Delete),
            (b"\x1b[3;2~", Key::Delete),
            (b"\x01", Key::Home),
            (b"\x7f", Key::Backspace),
            (b"\x08", Key::Backspace),
        ] {
            assert_eq!(keys(bytes), [key], "{bytes:?}");
        }
    }

    #[test]
    fn what_is_unknown_is_swallowed_whole() {
        assert_eq!(keys(b"\x1b[999999999999;77zx"), [Key::Character('x')]);
        assert_eq!(keys(b"\x1b[15~\x1bOPy\x1bqz"), [Key::Character('y'), Key::Character('z')]);
        assert_eq!(keys(b"\x1b[12\x03"), [Key::Interrupt]);
        assert_eq!(keys(b"\x1b\x1b[A"), [Key::Up]);
        assert_eq!(keys(b"\x00\x07\x1c"), []);
    }

    #[test]
    fn a_line_ends_once_however_it_ends() {
        assert_eq!(keys(b"\r\n"), [Key::Enter]);
        assert_eq!(keys(b"\n\n\r\r"), [Key::Enter; 4]);
        assert_eq!(keys(b"\ra\n"), [Key::Enter, Key::Character('a'), Key::Enter]);
    }
}
