//! What commands write to: a console, page by page.

use super::console::Console;
use core::fmt;
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

impl fmt::Write for Output<'_> {
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
