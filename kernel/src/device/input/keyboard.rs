//! What keys do, whatever keyboard they are on.

use crate::monitor::Origin;
use crate::process::{signal::send_to_process, tree};
use crate::sysrq;
use crate::tty::screen;
use abi::signal::{SI_KERNEL, SigInfo, Signal};
use keymap::{Action, Indicators, KeyEvent, Keyboard, Keymap, Locks, code};
use machine::sync::{IrqSpinLock, Lazy};
use terminal::keys::{Key, Modifiers};

/// The state of all keyboards together, and the keymap.
struct State {
    keyboard: Keyboard,
    map: Keymap,
    /// What the lights of consoles show where a program said so (KDSETLED).
    lights: Indicators,
    /// By the index of the console; the first one's without a screen.
    consoles: [ConsoleKeys; screen::CONSOLES],
}

/// What a console has of its own.
#[derive(Clone, Copy, Default)]
struct ConsoleKeys {
    locks: Locks,
    /// The locks that a reset brings back.
    at_reset: Indicators,
    /// The lights are a program's, and do not follow the locks.
    has_own_lights: bool,
}

static STATE: Lazy<IrqSpinLock<State>> = Lazy::new(|| {
    let state = State {
        keyboard: Keyboard::default(),
        map: Keymap::default(),
        lights: Indicators::empty(),
        consoles: [ConsoleKeys::default(); screen::CONSOLES],
    };
    IrqSpinLock::new("keyboard", state)
});

impl State {
    /// What the lights are to show while this console is shown.
    fn lights_of(&self, console: usize) -> Indicators {
        let ConsoleKeys { locks, has_own_lights, .. } = self.consoles[console];
        if has_own_lights { self.lights } else { locks.indicators }
    }
}

/// Does something with the keymap; what depends on it is found out anew. Interrupts are disabled meanwhile.
pub(crate) fn with_map(act: &mut dyn FnMut(&mut Keymap)) {
    let mut state = STATE.lock();
    let State { keyboard, map, .. } = &mut *state;
    act(map);
    keyboard.count_anew(map);
}

/// Looks at the keymap. Interrupts are disabled meanwhile.
pub(crate) fn look_at_map(act: &mut dyn FnMut(&Keymap)) {
    act(&STATE.lock().map);
}

/// The locks of a console that are on, and those that a reset brings.
pub(crate) fn locks(console: usize) -> (Indicators, Indicators) {
    let ConsoleKeys { locks, at_reset, .. } = STATE.lock().consoles[console];
    (locks.indicators, at_reset)
}

/// Switches the locks of a console.
pub(super) fn set_locks(console: usize, locks: Indicators, at_reset: Indicators) {
    let keys = &mut STATE.lock().consoles[console];
    (keys.locks.indicators, keys.at_reset) = (locks, at_reset);
}

/// Has the lights show this while the console is shown, or its locks again.
pub(super) fn set_lights(console: usize, lights: Option<Indicators>) {
    let mut state = STATE.lock();
    state.consoles[console].has_own_lights = lights.is_some();
    // As on Linux, one choice serves all consoles that have one.
    state.lights = lights.unwrap_or(state.lights);
}

/// A console is as it was in the beginning.
pub(super) fn reset(console: usize) {
    let keys = &mut STATE.lock().consoles[console];
    (keys.locks, keys.has_own_lights) = (Locks::new(keys.at_reset), false);
}

/// What the lights are to show now.
pub(crate) fn lights() -> Indicators {
    STATE.lock().lights_of(screen::shown_index())
}

/// Another console is shown: which modifiers are held is found out anew.
pub(super) fn change_console() {
    let mut state = STATE.lock();
    let State { keyboard, map, .. } = &mut *state;
    keyboard.count_anew(map);
}

/// Chooses a layout by its name.
pub(super) fn set_layout(name: Option<&str>) {
    let Some(name) = name else { return };
    match Keymap::built_in(name) {
        Some(map) => STATE.lock().map = map,
        None => log::warn!("input: no keymap '{name}'; there are: {}", Names),
    }
}

struct Names;

impl core::fmt::Display for Names {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        Keymap::names().enumerate().try_for_each(|(index, name)| {
            formatter.write_str(if index == 0 { "" } else { " " })?;
            formatter.write_str(name)
        })
    }
}

/// The longest string of a function key.
pub(crate) const STRING: usize = 512;

/// A key moved. Any context. Gives back the lights that are to be shown, if they changed.
pub(super) fn handle(event: KeyEvent) -> Option<Indicators> {
    let mode = screen::key_mode();
    let mut string = [0; STRING];
    let mut state = STATE.lock();
    let State { keyboard, map, consoles, .. } = &mut *state;
    let keys = &mut consoles[screen::shown_index()];
    let action = keyboard.handle(event, &mut keys.locks, map);
    let held = keyboard.modifiers();
    let mut length = 0;
    if let Some(Action::String(number)) = action
        && let Some(text) = map.string(number)
    {
        length = text.len().min(STRING);
        string[..length].copy_from_slice(&text[..length]);
    }
    let follows_locks = !keys.has_own_lights;
    drop(state);
    if !mode.is_translated() {
        screen::type_raw(event, mode);
        // Whatever a program makes of keys, these are the system's.
        return match action? {
            Action::Magic(letter) => magic(letter),
            _ => None,
        };
    }
    match action? {
        Action::Light(indicators) => return follows_locks.then_some(indicators),
        Action::Character(character) => screen::type_character(character, mode),
        Action::Meta(byte) => screen::type_meta(byte, mode),
        Action::String(_) => screen::type_bytes(&string[..length]),
        Action::Key(code) => {
            if let Some(key) = key(code) {
                screen::type_key(key, modifiers(held));
            }
        }
        Action::Console(number) => screen::show(number.into()),
        Action::NextConsole(step) => screen::show_next(step.into()),
        Action::LastConsole => screen::show_last(),
        Action::ScrollBack(halves) => screen::scroll_back(halves.into()),
        Action::Reboot => ask_init_to_reboot(),
        Action::Magic(letter) => return magic(letter),
    }
    None
}

/// Alt-SysRq and a letter, as on Linux.
fn magic(letter: char) -> Option<Indicators> {
    if let Ok(letter) = u8::try_from(letter) {
        sysrq::typed(letter, Origin::Keyboard);
    }
    None
}

/// What a simple terminal would send for a key, as far as that is one byte. Takes only locks that are free.
pub(super) fn byte_of(event: KeyEvent) -> Option<u8> {
    let mut state = STATE.try_lock()?;
    let State { keyboard, map, consoles, .. } = &mut *state;
    let action = keyboard.handle(event, &mut consoles[screen::shown_index()].locks, map)?;
    match action {
        Action::Character(character) => u8::try_from(character).ok().filter(u8::is_ascii),
        Action::Key(code::ENTER | code::KP_ENTER) => Some(b'\r'),
        Action::Key(code::TAB) => Some(b'\t'),
        Action::Key(code::BACKSPACE) => Some(0x7f),
        Action::Key(code::UP) => Some(control(b'p')),
        Action::Key(code::DOWN) => Some(control(b'n')),
        Action::Key(code::LEFT) => Some(control(b'b')),
        Action::Key(code::RIGHT) => Some(control(b'f')),
        Action::Key(code::HOME) => Some(control(b'a')),
        Action::Key(code::END) => Some(control(b'e')),
        _ => None,
    }
}

const fn control(letter: u8) -> u8 {
    letter & 0x1f
}

/// Ctrl-Alt-Del tells the first process, as on Linux.
fn ask_init_to_reboot() {
    if let Some(init) = tree::find(1) {
        // A standard signal always finds room.
        send_to_process(&init, Signal::SIGINT, SigInfo::new(Signal::SIGINT, SI_KERNEL)).unwrap_or(());
    }
}

fn modifiers(held: keymap::Modifiers) -> Modifiers {
    let mut modifiers = Modifiers::empty();
    modifiers.set(Modifiers::SHIFT, held.has_shift());
    modifiers.set(Modifiers::CONTROL, held.has_control());
    modifiers.set(Modifiers::ALT, held.contains(keymap::Modifiers::ALT));
    modifiers
}

/// The key with that code, if it types no character.
pub(crate) fn key(code: u16) -> Option<Key> {
    Some(match code {
        code::ESC => Key::Escape,
        code::BACKSPACE => Key::Backspace,
        code::TAB => Key::Tab,
        code::ENTER => Key::Enter,
        code::HOME => Key::Home,
        code::UP => Key::Up,
        code::PAGE_UP => Key::PageUp,
        code::LEFT => Key::Left,
        code::RIGHT => Key::Right,
        code::END => Key::End,
        code::DOWN => Key::Down,
        code::PAGE_DOWN => Key::PageDown,
        code::INSERT => Key::Insert,
        code::DELETE => Key::Delete,
        code::F1..=code::F10 => Key::Function((code - code::F1 + 1) as u8),
        code::F11 => Key::Function(11),
        code::F12 => Key::Function(12),
        _ => return None,
    })
}
