//! Virtual consoles: terminals on the screen and the keyboard, of which one is shown.
//!
//! | file | what |
//! |---|---|
//! | `console.rs` | one of them: what programs write goes into a `terminal::Terminal` |
//! | `switch.rs`, `control.rs` | which one is shown, who draws; the ioctls |
//! | `keys.rs` | the ioctls of the keyboard: keymaps, modes, lights |
//! | `painter.rs` | the thread that draws the changed cells of the one that is shown |
//! | `pixels.rs`, `text.rs` | on what it draws: a screen with pixels, or VGA's text mode |
//! | `emergency.rs` | what a panic prints |
//! | `font.rs`, `palette.rs` | shapes and colours |
//!
//! Writing only changes cells in memory, so that it is fast and can be done in any context; drawing follows, a
//! hundred times a second at most. Answers of the terminal to programs are delivered by the painter too.

mod console;
mod control;
pub(crate) mod emergency;
mod font;
mod keys;
mod painter;
mod palette;
mod pixels;
mod switch;
mod text;

pub(crate) use painter::{redraw, redraw_now};
pub(crate) use switch::{KeyMode, show};

use super::{Tty, open};
use crate::device::{character, display};
use crate::error::Result;
use abi::stat::DeviceNumber;
use abi::tty::{Termios, Winsize};
use alloc::{boxed::Box, format, sync::Arc, vec::Vec};
use console::{Console, ConsoleLine};
use core::sync::atomic::{AtomicBool, Ordering};
use keymap::{KeyEvent, Motion, scan_codes};
use machine::io::VgaText;
use machine::sync::Once;
use painter::Surface;
use switch::Meta;
use terminal::Size;
use terminal::keys::{Key, Modifiers};

/// Major number of tty0, tty1, ...
const MAJOR: u32 = 4;
/// tty1 to tty6.
pub(crate) const CONSOLES: usize = 6;
/// Lines that can be scrolled back to.
const HISTORY: usize = 250;

static ALL: Once<Vec<Arc<Console>>> = Once::new();

/// Terminals are made from now on.
static IS_TIME: AtomicBool = AtomicBool::new(false);

/// Makes the virtual consoles, if there is a screen.
pub(super) fn init() -> Result<()> {
    IS_TIME.store(true, Ordering::Release);
    make()
}

/// A screen was found. If it is the first one, and the other terminals are there, it gets the virtual consoles. May sleep.
pub(crate) fn found_later() {
    if IS_TIME.load(Ordering::Acquire)
        && all().is_empty()
        && let Err(error) = make()
    {
        log::warn!("tty: no virtual consoles: {error}");
    }
}

fn make() -> Result<()> {
    let Some(surface) = surface() else { return Ok(()) };
    let size = surface.grid();
    let window = window(size, surface.size());
    let mut consoles = Vec::new();
    for number in 1..=CONSOLES {
        let console = Console::new(number - 1, size, HISTORY);
        let line = Box::new(ConsoleLine(console.clone()));
        let place = DeviceNumber::new(MAJOR, number as u32);
        let tty = Tty::new(format!("tty{number}"), place, Termios::default(), line);
        tty.set_window(window);
        console.connect(&tty);
        if number == 1 {
            // It is shown at once, and may get the log.
            console.allocate();
        }
        super::add(tty);
        consoles.push(console);
    }
    ALL.call_once(|| consoles);
    character::register(DeviceNumber::new(MAJOR, 0), "tty0", 0o620, Arc::new(open::Shown));
    painter::start(surface)
}

fn all() -> &'static [Arc<Console>] {
    ALL.get().map_or(&[], Vec::as_slice)
}

/// What there is to draw on. Panics print there from now on.
fn surface() -> Option<Box<dyn Surface>> {
    if let Some(canvas) = display::current() {
        let mut font = font::Font::new();
        emergency::prepare(emergency::Screen::pixels(canvas, &mut font));
        return Some(Box::new(pixels::PixelSurface::new(canvas.clone(), font)));
    }
    let screen = Arc::new(VgaText::find()?);
    log::info!("display: VGA text, {}x{} characters", screen.columns(), screen.rows());
    emergency::prepare(emergency::Screen::Text(screen.clone()));
    Some(Box::new(text::TextSurface::new(screen)))
}

/// The size of a console as programs are told: in cells, and in pixels.
fn window(grid: Size, (width, height): (usize, usize)) -> Winsize {
    Winsize { row: grid.rows as u16, col: grid.columns as u16, xpixel: width as u16, ypixel: height as u16 }
}

/// The index of the one that is shown, below [`CONSOLES`]; 0 without a screen.
pub(crate) fn shown_index() -> usize {
    switch::SHOWN.load(Ordering::Acquire)
}

fn shown() -> Option<&'static Arc<Console>> {
    all().get(shown_index())
}

/// The terminal that is shown: what /dev/tty0 means.
pub(crate) fn shown_tty() -> Option<Arc<Tty>> {
    shown().and_then(|console| console.tty())
}

/// Shows the next one, or the one before.
pub(crate) fn show_next(step: isize) {
    let count = all().len();
    if count > 0 {
        let next = (shown_index() + count).wrapping_add_signed(step) % count;
        show(next + 1);
    }
}

/// What the keyboard sends to the one that is shown.
pub(crate) fn key_mode() -> KeyMode {
    shown().map(|console| console.handling().keys).unwrap_or_default()
}

/// Types a character on the one that is shown.
pub(crate) fn type_character(character: char, mode: KeyMode) {
    match u8::try_from(character) {
        Ok(byte) if mode == KeyMode::Bytes => send(&[byte]),
        Err(_) if mode == KeyMode::Bytes => {}
        _ => send(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Types a character with Alt.
pub(crate) fn type_meta(byte: u8, mode: KeyMode) {
    let is_bit = shown().is_some_and(|console| console.handling().meta == Meta::Bit);
    if is_bit {
        type_character(char::from(byte | 0x80), mode);
    } else {
        send(&[0x1b, byte]);
    }
}

/// Types bytes as they are.
pub(crate) fn type_bytes(bytes: &[u8]) {
    send(bytes);
}

/// Tells of a key what a program asked for that knows keys itself.
pub(crate) fn type_raw(event: KeyEvent, mode: KeyMode) {
    let up = if event.motion == Motion::Released { 0x80 } else { 0 };
    match mode {
        KeyMode::ScanCodes => {
            let (bytes, length) = scan_codes(event.code, event.motion);
            send(&bytes[..length]);
        }
        KeyMode::KeyCodes if event.code < 0x80 => send(&[event.code as u8 | up]),
        KeyMode::KeyCodes => send(&[up, (event.code >> 7) as u8 | 0x80, event.code as u8 | 0x80]),
        _ => {}
    }
}

/// Types another key.
pub(crate) fn type_key(key: Key, modifiers: Modifiers) {
    if let Some(console) = shown() {
        send(terminal::keys::key(key, modifiers, console.modes()).bytes());
    }
}

/// Shows the one that was shown before.
pub(crate) fn show_last() {
    show(switch::LAST.load(Ordering::Acquire) + 1);
}

/// Looks at what has left the screen: so many half screens up, or down if negative.
pub(crate) fn scroll_back(half_screens: isize) {
    if let Some(console) = shown() {
        console.scroll_view(half_screens);
        painter::wake();
    }
}

fn send(bytes: &[u8]) {
    if let Some(tty) = shown_tty() {
        tty.receive(bytes);
    }
}
