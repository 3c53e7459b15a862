//! Answers to what programs ask.

use crate::Host;
use crate::modes::Modes;
use crate::screen::Screen;
use core::fmt::{self, Write};

/// The longest answer, in bytes.
const LONGEST: usize = 48;

/// An answer under construction; what does not fit is cut.
struct Answer {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Write for Answer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.length..self.length + text.len()).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length += text.len();
        Ok(())
    }
}

fn answer(host: &mut impl Host, arguments: fmt::Arguments<'_>) {
    let mut answer = Answer { bytes: [0; LONGEST], length: 0 };
    if answer.write_fmt(arguments).is_ok() {
        host.reply(&answer.bytes[..answer.length]);
    }
}

/// DA1: a VT420 with colours (22), selective erase (6) and technical characters (15).
pub(crate) fn device_attributes(host: &mut impl Host) {
    answer(host, format_args!("\x1b[?64;6;15;22c"));
}

/// DA2: a VT420, version 0.
pub(crate) fn secondary_attributes(host: &mut impl Host) {
    answer(host, format_args!("\x1b[>41;0;0c"));
}

/// DSR: 5 asks for the state, 6 for the place of the cursor.
pub(crate) fn status(host: &mut impl Host, screen: &Screen, what: u16) {
    let position = screen.addressed();
    match what {
        5 => answer(host, format_args!("\x1b[0n")),
        6 => answer(host, format_args!("\x1b[{};{}R", position.row + 1, position.column + 1)),
        _ => {}
    }
}

/// DECXCPR: the place of the cursor with the page.
pub(crate) fn private_status(host: &mut impl Host, screen: &Screen, what: u16) {
    if what == 6 {
        let position = screen.addressed();
        answer(host, format_args!("\x1b[?{};{};1R", position.row + 1, position.column + 1));
    }
}

/// Whose number a mode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModeKind {
    /// ECMA-48.
    Standard,
    /// DEC, xterm.
    Private,
}

/// DECRQM: 1 set, 2 reset, 0 unknown.
pub(crate) fn mode(host: &mut impl Host, screen: &Screen, number: u16, kind: ModeKind) {
    let (mode, mark) = match kind {
        ModeKind::Standard => (Modes::standard(number), ""),
        ModeKind::Private if matches!(number, 47 | 1047 | 1049) => (Some(Modes::ALTERNATE), "?"),
        ModeKind::Private => (Modes::private(number), "?"),
    };
    let state = match mode {
        None => 0,
        Some(mode) if screen.modes.contains(mode) => 1,
        Some(_) => 2,
    };
    answer(host, format_args!("\x1b[{mark}{number};{state}$y"));
}

/// XTWINOPS: the size in characters (18, 19).
pub(crate) fn window(host: &mut impl Host, screen: &Screen, what: u16) {
    let size = screen.size();
    match what {
        18 => answer(host, format_args!("\x1b[8;{};{}t", size.rows, size.columns)),
        19 => answer(host, format_args!("\x1b[9;{};{}t", size.rows, size.columns)),
        _ => {}
    }
}
