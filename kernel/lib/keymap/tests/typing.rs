//! From scan codes to what they mean.

use keymap::{Action, Decoder, Indicators, KeyEvent, Keyboard, Keymap, Motion, Symbol, code};

/// Types scan codes and gives back what comes of them.
fn typed(layout: &str, bytes: &[u8]) -> Vec<Action> {
    let map = Keymap::built_in(layout).expect("a layout");
    let (mut decoder, mut keyboard) = (Decoder::new(), Keyboard::default());
    bytes
        .iter()
        .filter_map(|&byte| decoder.decode(byte))
        .filter_map(|event| keyboard.handle(event, &map))
        .collect()
}

fn text(layout: &str, bytes: &[u8]) -> String {
    let character = |action| match action {
        Action::Character(character) => Some(character),
        _ => None,
    };
    typed(layout, bytes).into_iter().filter_map(character).collect()
}

const SHIFT: u8 = 0x2a;
const ALT_GR: [u8; 2] = [0xe0, 0x38];
const UP: u8 = 0x80;

#[test]
fn bytes_become_events() {
    let mut decoder = Decoder::new();
    let mut decode = |bytes: &[u8]| bytes.iter().filter_map(|&byte| decoder.decode(byte)).last();
    let event = |code, motion| Some(KeyEvent { code, motion });
    assert_eq!(decode(&[0x1e]), event(30, Motion::Pressed));
    assert_eq!(decode(&[0x1e]), event(30, Motion::Repeated));
    assert_eq!(decode(&[0x9e]), event(30, Motion::Released));
    assert_eq!(decode(&[0xe0, 0x48]), event(code::UP, Motion::Pressed));
    assert_eq!(decode(&[0xe0, 0xc8]), event(code::UP, Motion::Released));
    assert_eq!(decode(&[0xe1, 0x1d, 0x45]), event(code::PAUSE, Motion::Pressed));
    assert_eq!(decode(&[0xe1, 0x9d, 0xc5]), event(code::PAUSE, Motion::Released));
    // Shifts that the keyboard invents, and bytes of no key.
    assert_eq!(decode(&[0xe0, 0x2a, 0x00, 0x7f, 0xff]), None);
}

#[test]
fn every_byte_sequence_is_survived() {
    let (mut decoder, mut keyboard) = (Decoder::new(), Keyboard::default());
    let maps: Vec<_> = Keymap::names().map(|name| Keymap::built_in(name).expect("listed")).collect();
    for first in 0..=255 {
        for second in 0..=255 {
            for byte in [first, second] {
                if let Some(event) = decoder.decode(byte) {
                    keyboard.handle(event, &maps[usize::from(first) % maps.len()]);
                }
            }
        }
    }
}

#[test]
fn levels() {
    assert_eq!(text("us", &[0x1e, 0x02, 0x39, 0x2b, 0x35]), "a1 \\/");
    assert_eq!(text("us", &[SHIFT, 0x1e, 0x03, SHIFT | UP, 0x03]), "A@2");
    assert_eq!(text("de", &[0x15, 0x2c, SHIFT, 0x03, 0x0c]), "zy\"?");
    assert_eq!(text("de", &[ALT_GR[0], ALT_GR[1], 0x10, 0x12, 0x08, 0x0b]), "@€{}");
    assert_eq!(text("fr", &[0x10, 0x1e, 0x27, 0x32, 0x03]), "aqm,é");
    assert_eq!(text("uk", &[SHIFT, 0x04, 0x28]), "£@");
    assert_eq!(text("dvorak", &[0x23, 0x12, 0x19, 0x19, 0x1f]), "d.llo");
    // Without a third level AltGr changes nothing.
    assert_eq!(text("us", &[ALT_GR[0], ALT_GR[1], 0x1e]), "a");
}

#[test]
fn caps_lock_is_for_letters() {
    assert_eq!(text("us", &[0x3a, 0xba, 0x1e, 0x02, SHIFT, 0x1e, 0x02]), "A1a!");
    assert_eq!(text("de", &[0x3a, 0xba, 0x28, 0x0c]), "Äß");
    assert_eq!(typed("us", &[0x3a, 0xba, 0x3a]).last(), Some(&Action::Light(Indicators::empty())));
}

#[test]
fn dead_keys() {
    // Circumflex then a, e; twice; then a letter that has none.
    assert_eq!(text("de", &[0x29, 0x1e, 0x29, 0x12]), "âê");
    assert_eq!(text("de", &[0x29, 0x29, 0x29, 0x39, 0x29, 0x25]), "^^k");
    assert_eq!(text("fr", &[SHIFT, 0x1a, SHIFT | UP, 0x12]), "ë");
}

#[test]
fn keypad() {
    assert_eq!(
        typed("us", &[0x47, 0x37, 0x4a]),
        [Action::Key(code::HOME), Action::Character('*'), Action::Character('-')]
    );
    assert_eq!(text("us", &[0x45, 0xc5, 0x47, 0x53, 0x52]), "7.0");
    assert_eq!(typed("us", &[0xe0, 0x1c]), [Action::Key(code::ENTER)]);
}

#[test]
fn combinations_for_the_system() {
    assert_eq!(typed("us", &[0x38, 0x3c]), [Action::Console(2)]);
    assert_eq!(typed("us", &[0x38, 0xe0, 0x4d]), [Action::NextConsole(1)]);
    assert_eq!(typed("us", &[0x1d, 0x38, 0xe0, 0x53]), [Action::Reboot]);
    assert_eq!(typed("us", &[SHIFT, 0xe0, 0x49]), [Action::ScrollBack(1)]);
    assert_eq!(typed("us", &[0x38, 0xe0, 0x37, 0x14, 0x14]), [Action::Magic('t')]);
    assert_eq!(typed("us", &[0x38, 0x54, 0x30]), [Action::Magic('b')]);
    assert_eq!(typed("us", &[0x3b, 0x58]), [Action::Key(code::F1), Action::Key(code::F12)]);
}

#[test]
fn keymaps_can_be_changed() {
    let mut map = Keymap::default();
    assert!(map.set_symbol(0, 30, Symbol::Character('ж')));
    assert!(!map.set_symbol(4, 30, Symbol::Nothing) && !map.set_symbol(0, 128, Symbol::Nothing));
    assert_eq!(map.symbol(0, 30), Symbol::Character('ж'));
    assert_eq!(map.symbol(9, 999), Symbol::Nothing);
    assert!(Keymap::built_in("nowhere").is_none());
}

#[test]
fn layouts_are_complete() {
    for name in Keymap::names() {
        let map = Keymap::built_in(name).expect("listed");
        for level in 0..2 {
            for code in (2..=13).chain(16..=27).chain(30..=40).chain(43..=53) {
                assert_ne!(map.symbol(level, code), Symbol::Nothing, "{name}: level {level}, key {code}");
            }
        }
    }
}
