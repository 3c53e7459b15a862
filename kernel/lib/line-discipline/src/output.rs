//! Treating output: newlines, tabs, and in which column the cursor is.

use crate::Sink;
use abi::tty::{InputFlags, OutputFlags, Termios};

/// A tab leads to the next multiple of this column.
const TAB: usize = 8;

/// Where the cursor is.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    /// Column of the cursor.
    pub(crate) column: usize,
    /// Column in which the line that is being typed began.
    pub(crate) line_column: usize,
}

/// Whether it is a control character.
pub(crate) fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

/// Whether it is a byte inside a character, if the terminal speaks UTF-8.
pub(crate) fn is_continuation(termios: &Termios, byte: u8) -> bool {
    termios.input().contains(InputFlags::IUTF8) && byte & 0xc0 == 0x80
}

/// A small letter of Latin-1 as a capital; in Linux even those that have none.
fn to_upper(byte: u8) -> u8 {
    if byte.is_ascii_lowercase() || byte >= 0xdf && byte != 0xf7 { byte - 0x20 } else { byte }
}

/// A capital letter of Latin-1 as a small one.
pub(crate) fn to_lower(byte: u8) -> u8 {
    if byte.is_ascii_uppercase() || (0xc0..0xdf).contains(&byte) && byte != 0xd7 { byte + 0x20 } else { byte }
}

impl Output {
    pub(crate) const fn new() -> Output {
        Output { column: 0, line_column: 0 }
    }

    /// How many bytes a byte becomes.
    pub(crate) fn cost(&self, termios: &Termios, byte: u8) -> usize {
        let flags = termios.output();
        if !flags.contains(OutputFlags::OPOST) {
            return 1;
        }
        match byte {
            b'\n' if flags.contains(OutputFlags::ONLCR) => 2,
            b'\r' if flags.contains(OutputFlags::ONOCR) && self.column == 0 => 0,
            b'\t' if flags.contains(OutputFlags::TABDLY) => TAB - self.column % TAB,
            _ => 1,
        }
    }

    /// Treats a byte.
    pub(crate) fn put(&mut self, termios: &Termios, byte: u8, sink: &mut dyn Sink) {
        let flags = termios.output();
        if !flags.contains(OutputFlags::OPOST) {
            return sink.put(byte);
        }
        match byte {
            b'\n' => self.put_newline(flags, sink),
            b'\r' => self.put_return(flags, sink),
            b'\t' => {
                let spaces = TAB - self.column % TAB;
                self.column += spaces;
                if flags.contains(OutputFlags::TABDLY) {
                    (0..spaces).for_each(|_| sink.put(b' '));
                } else {
                    sink.put(b'\t');
                }
            }
            8 => {
                self.column = self.column.saturating_sub(1);
                sink.put(8);
            }
            _ => {
                if !is_control(byte) && !is_continuation(termios, byte) {
                    self.column += 1;
                }
                sink.put(if flags.contains(OutputFlags::OLCUC) { to_upper(byte) } else { byte });
            }
        }
    }

    fn put_newline(&mut self, flags: OutputFlags, sink: &mut dyn Sink) {
        if flags.intersects(OutputFlags::ONLRET | OutputFlags::ONLCR) {
            self.column = 0;
        }
        self.line_column = self.column;
        if flags.contains(OutputFlags::ONLCR) {
            sink.put(b'\r');
        }
        sink.put(b'\n');
    }

    fn put_return(&mut self, flags: OutputFlags, sink: &mut dyn Sink) {
        if flags.contains(OutputFlags::ONOCR) && self.column == 0 {
            return;
        }
        if flags.contains(OutputFlags::OCRNL) {
            if flags.contains(OutputFlags::ONLRET) {
                (self.column, self.line_column) = (0, 0);
            }
            return sink.put(b'\n');
        }
        (self.column, self.line_column) = (0, 0);
        sink.put(b'\r');
    }
}
