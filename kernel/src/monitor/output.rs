//! What commands write to: a console, page by page.

use super::console::Console;
use core::fmt::{self, Write as _};
use line_editor::{Answer, Keys, Pager};

/// Rows of a terminal that does not tell.
const USUAL_ROWS: usize = 24;

/// What stands under a full page. It is wiped out again.
const QUESTION: &str = "-- more: space, enter, a: all, q: quit --";

/// Whether long output stops at the end of each page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paging {
    /// It does, for a terminal of so many rows; 0: as many as it has.
    On(usize),
    /// It does not.
    Off,
}

/// The writer of a command. It fails once somebody has enough: Ctrl-C, or q at the end of a page.
pub(super) struct Output<'a> {
    console: &'a dyn Console,
    pager: Pager,
    is_over: bool,
}

impl<'a> Output<'a> {
    /// For one command.
    pub(super) fn new(console: &'a dyn Console, paging: Paging) -> Self {
        let (rows, columns) = console.size();
        let rows = match paging {
            Paging::Off => 0,
            Paging::On(0) if rows == 0 => USUAL_ROWS,
            Paging::On(0) => rows,
            Paging::On(wanted) => wanted,
        };
        Self { console, pager: Pager::new(rows, columns), is_over: false }
    }

    fn is_over(&mut self) -> bool {
        self.is_over |= self.console.is_interrupted();
        self.is_over
    }

    /// At the end of a page.
    fn ask(&mut self) {
        self.console.write(QUESTION);
        let mut keys = Keys::new();
        let answer = loop {
            let Some(byte) = self.console.read() else { break Answer::All };
            if let Some(answer) = keys.feed(byte).and_then(Answer::of) {
                break answer;
            }
        };
        self.console.write("\r\x1b[K");
        self.is_over = answer == Answer::Stop;
        self.pager.go_on(answer);
    }
}

/// So many bytes of what a statement prints reach the console at once, if no line ends before: messages of others come
/// in between lines then, not in between words.
const LINE: usize = 256;

/// Gathers a line for an [`Output`].
struct Line<'a, 'b> {
    output: &'a mut Output<'b>,
    text: [u8; LINE],
    length: usize,
}

impl Line<'_, '_> {
    fn flush(&mut self) -> fmt::Result {
        let text = core::str::from_utf8(&self.text[..self.length]).map_err(|_| fmt::Error)?;
        self.length = 0;
        self.output.write_str(text)
    }
}

impl fmt::Write for Line<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive('\n') {
            if part.len() > LINE - self.length {
                self.flush()?;
            }
            if part.len() > LINE {
                self.output.write_str(part)?;
                continue;
            }
            self.text[self.length..self.length + part.len()].copy_from_slice(part.as_bytes());
            self.length += part.len();
            if part.ends_with('\n') {
                self.flush()?;
            }
        }
        Ok(())
    }
}

impl fmt::Write for Output<'_> {
    /// One statement's text, line by line.
    fn write_fmt(&mut self, arguments: fmt::Arguments<'_>) -> fmt::Result {
        let mut line = Line { output: self, text: [0; LINE], length: 0 };
        line.write_fmt(arguments)?;
        line.flush()
    }

    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while !rest.is_empty() {
            if self.is_over() {
                return Err(fmt::Error);
            }
            if self.pager.is_full() {
                self.ask();
                continue;
            }
            let (now, later) = rest.split_at(self.pager.fit(rest));
            self.console.write(now);
            rest = later;
        }
        Ok(())
    }
}
