//! From scan codes to what they mean.

use keymap::{
    Action, Decoder, Indicators, KeyEvent, Keyboard, Keymap, Locks, Motion, Symbol, code, kind, scan_codes,
};

/// Types scan codes and gives back what comes of them.
fn typed(layout: &str, bytes: &[u8]) -> Vec<Action> {
    let map = Keymap::built_in(layout).expect("a layout");
    let (mut decoder, mut keyboard, mut locks) = (Decoder::new(), Keyboard::default(), Locks::default());
    bytes
        .iter()
        .filter_map(|&byte| decoder.decode(byte))
        .filter_map(|event| keyboard.handle(event, &mut locks, &map))
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
    let (mut decoder, mut keyboard, mut locks) = (Decoder::new(), Keyboard::default(), Locks::default());
    let maps: Vec<_> = Keymap::names().map(|name| Keymap::built_in(name).expect("listed")).collect();
    for first in 0..=255 {
        for second in 0..=255 {
            for byte in [first, second] {
                if let Some(event) = decoder.decode(byte) {
                    keyboard.handle(event, &mut locks, &maps[usize::from(first) % maps.len()]);
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
    assert_eq!(map.symbol(0, 30), Some(Symbol::new(kind::LETTER, b'a')));
    assert_eq!(map.symbol(99, 30), None);
    map.set_symbol(0, 30, Symbol::of('ж')).unwrap();
    map.set_symbol(99, 31, Symbol::new(kind::FUNCTION, 5)).unwrap();
    assert_eq!(map.symbol(0, 30).and_then(Symbol::unicode), Some('ж'));
    assert_eq!((map.symbol(99, 0), map.symbol(99, 30)), (Some(Symbol::ALLOCATED), Some(Symbol::HOLE)));
    map.remove_table(99);
    map.remove_table(0);
    assert_eq!((map.symbol(99, 31), map.symbol(0, 999)), (None, Some(Symbol::HOLE)));
    assert!(Keymap::built_in("nowhere").is_none());
}

/// The numbers that dumpkeys shows.
#[test]
fn symbols_have_linux_numbers() {
    let map = Keymap::built_in("de").expect("a layout");
    let number = |table, code| map.symbol(table, code).expect("there are sixteen tables").0;
    // adiaeresis, Adiaeresis, euro, dead_circumflex, braceleft.
    assert_eq!(
        [number(0, 40), number(1, 40), number(2, 18), number(0, 41), number(2, 8)],
        [0xbe4, 0xbc4, 0xd0ac, 0x402, 0x7b]
    );
    let map = Keymap::default();
    let number = |table, code| map.symbol(table, code).expect("there are sixteen tables").0;
    // Control_c, Meta_c, Meta_Control_c, Boot, Return, Shift, Control, Alt, AltGr.
    assert_eq!([number(4, 46), number(8, 46), number(12, 46), number(12, 111)], [0x003, 0x863, 0x803, 0x20c]);
    assert_eq!(
        [number(0, 28), number(0, 42), number(0, 29), number(0, 56), number(0, 100)],
        [0x201, 0x700, 0x702, 0x703, 0x701]
    );
    // F1, F13, F25, Console_1, Up, KP_7, Find, Scroll_Backward, Caps_Lock, VoidSymbol.
    assert_eq!([number(0, 59), number(1, 59), number(4, 59), number(8, 59)], [0x100, 0x10c, 0x122, 0x500]);
    assert_eq!([number(0, 103), number(0, 71), number(0, 102), number(1, 104)], [0x603, 0x307, 0x114, 0x20b]);
    assert_eq!([number(0, 58), number(0, 200)], [0x207, 0x200]);
    assert!(Symbol(0x0213).is_valid() && !Symbol(0x0214).is_valid() && !Symbol(0x0709).is_valid());
}

#[test]
fn strings_meta_and_modifiers_that_stay() {
    let mut map = Keymap::default();
    map.set_string(0, b"hello".to_vec());
    map.set_symbol(0, 58, Symbol::new(kind::LOCK, 0)).unwrap();
    map.set_symbol(1, 58, Symbol::new(kind::LOCK, 0)).unwrap();
    map.set_symbol(0, 87, Symbol::new(kind::SHIFT_LOCK, 0)).unwrap();
    map.set_symbol(1, 87, Symbol::new(kind::SHIFT_LOCK, 0)).unwrap();
    map.set_symbol(0, 88, Symbol::new(kind::SPECIAL, 14)).unwrap();
    let (mut keyboard, mut locks) = (Keyboard::default(), Locks::default());
    let mut press = |code: u16| {
        let down = keyboard.handle(KeyEvent { code, motion: Motion::Pressed }, &mut locks, &map);
        (down, keyboard.handle(KeyEvent { code, motion: Motion::Released }, &mut locks, &map)).0
    };
    assert_eq!(press(code::F1), Some(Action::String(0)));
    assert_eq!(press(code::F1 + 1), Some(Action::Key(code::F1 + 1)));
    // A lock, and off again.
    assert_eq!(
        (press(58), press(30), press(58), press(30)),
        (None, Some(Action::Character('A')), None, Some(Action::Character('a')))
    );
    // A modifier for the next key.
    assert_eq!(
        (press(87), press(30), press(30)),
        (None, Some(Action::Character('A')), Some(Action::Character('a')))
    );
    // Compose, accent, letter.
    assert_eq!((press(88), press(40), press(18)), (None, None, Some(Action::Character('é'))));
    assert_eq!(typed("us", &[0x38, 0x1e]), [Action::Meta(b'a')]);
    assert_eq!(typed("us", &[0x1d, 0x2e]), [Action::Character('\x03')]);
    // Alt and 6, 5 on the keypad.
    assert_eq!(typed("us", &[0x38, 0x4d, 0xcd, 0x4c, 0xcc, 0xb8]), [Action::Character('A')]);
    // Both Shifts: one goes up, the other holds.
    assert_eq!(text("us", &[0x2a, 0x36, 0xaa, 0x1e, 0xb6, 0x1e]), "Aa");
}

#[test]
fn scan_codes_can_mean_other_keys() {
    let mut decoder = Decoder::new();
    assert_eq!(
        (decoder.code(0x1e), decoder.code(0xc8), decoder.code(0x7f)),
        (Some(30), Some(code::UP), None)
    );
    assert!(decoder.set_code(0x1e, 48) && decoder.set_code(0xc8, 30));
    assert!(!decoder.set_code(256, 1) && !decoder.set_code(0, 256));
    assert_eq!(decoder.decode(0x1e), Some(KeyEvent { code: 48, motion: Motion::Pressed }));
    assert_eq!(decoder.decode(0xe0).or_else(|| decoder.decode(0x48)).map(|event| event.code), Some(30));
    assert!(decoder.set_code(0x1e, 0));
    assert_eq!(decoder.code(0x1e), Some(30));
    // There and back.
    for key in 1..256 {
        let (bytes, length) = scan_codes(key, Motion::Pressed);
        let mut decoder = Decoder::new();
        let event = bytes[..length].iter().filter_map(|byte| decoder.decode(*byte)).next();
        assert_eq!(event.map(|event| event.code), (length > 0).then_some(key), "{key}");
    }
}

#[test]
fn layouts_are_complete() {
    for name in Keymap::names() {
        let map = Keymap::built_in(name).expect("listed");
        for table in 0..2 {
            for code in (2..=13).chain(16..=27).chain(30..=40).chain(43..=53) {
                assert_ne!(map.symbol(table, code), Some(Symbol::HOLE), "{name}: table {table}, key {code}");
            }
        }
    }
}

#[test]
fn locks_are_those_of_whoever_has_the_keyboard() {
    let map = Keymap::default();
    let (mut keyboard, mut first, mut second) =
        (Keyboard::default(), Locks::default(), Locks::new(Indicators::NUM_LOCK));
    let mut press = |code, locks: &mut Locks| {
        let down = keyboard.handle(KeyEvent { code, motion: Motion::Pressed }, locks, &map);
        (down, keyboard.handle(KeyEvent { code, motion: Motion::Released }, locks, &map)).0
    };
    assert_eq!(press(code::CAPS_LOCK, &mut first), Some(Action::Light(Indicators::CAPS_LOCK)));
    assert_eq!(press(30, &mut first), Some(Action::Character('A')));
    assert_eq!(press(30, &mut second), Some(Action::Character('a')));
    assert_eq!(press(code::KP_7, &mut first), Some(Action::Key(code::HOME)));
    assert_eq!(press(code::KP_7, &mut second), Some(Action::Character('7')));
    assert_eq!((first.indicators, second.indicators), (Indicators::CAPS_LOCK, Indicators::NUM_LOCK));
}
