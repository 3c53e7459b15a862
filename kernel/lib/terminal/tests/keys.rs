//! What keys send, as xterm's do.

use terminal::Modes;
use terminal::keys::{Key, Modifiers, key};

#[test]
fn keys_send_sequences() {
    let (none, normal) = (Modifiers::empty(), Modes::default());
    for (typed, modifiers, modes, expected) in [
        (Key::Up, none, normal, "\x1b[A"),
        (Key::Up, none, Modes::CURSOR_KEYS, "\x1bOA"),
        (Key::Left, Modifiers::CONTROL, Modes::CURSOR_KEYS, "\x1b[1;5D"),
        (Key::Home, none, normal, "\x1b[H"),
        (Key::Delete, none, normal, "\x1b[3~"),
        (Key::PageUp, Modifiers::SHIFT, normal, "\x1b[5;2~"),
        (Key::Backspace, none, normal, "\x7f"),
        (Key::Backspace, Modifiers::CONTROL, normal, "\x08"),
        (Key::Tab, Modifiers::SHIFT, normal, "\x1b[Z"),
        (Key::Enter, none, Modes::NEW_LINE, "\r\n"),
        (Key::Enter, Modifiers::ALT, normal, "\x1b\r"),
        (Key::Function(1), none, normal, "\x1bOP"),
        (Key::Function(4), Modifiers::SHIFT, normal, "\x1b[1;2S"),
        (Key::Function(5), none, normal, "\x1b[15~"),
        (Key::Function(6), none, normal, "\x1b[17~"),
        (Key::Function(10), none, normal, "\x1b[21~"),
        (Key::Function(11), none, normal, "\x1b[23~"),
        (Key::Function(12), Modifiers::all(), normal, "\x1b[24;8~"),
        (Key::Function(13), none, normal, ""),
    ] {
        assert_eq!(key(typed, modifiers, modes).bytes(), expected.as_bytes(), "{typed:?} {modifiers:?}");
    }
}
