//! A line, its history and its completion on a terminal.
//!
//! What is longer than the terminal is wide is shown in part, around the cursor. Newlines are written as `\n` alone.

use crate::completion::{Candidates, Outcome, complete, visit_fitting};
use crate::history::History;
use crate::keys::{Key, Keys};
use crate::line::Line;
use core::fmt::{self, Write};

/// What a byte has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The line is still being edited.
    Editing,
    /// The line is done: [`Editor::line`].
    Line,
    /// It was given up.
    Interrupt,
    /// Nothing was typed but the end of input.
    EndOfFile,
}

/// Edits lines, one after the other: [`begin`](Self::begin), then [`feed`](Self::feed) until it says something.
#[derive(Clone, Debug)]
pub struct Editor {
    prompt: &'static str,
    columns: usize,
    keys: Keys,
    line: Line,
    /// The first character that is in view.
    first: usize,
    history: History,
    /// How many lines back in the history; 0: the new line.
    back: usize,
    /// The new line, while another one is looked at.
    draft: Line,
}

impl Editor {
    /// With a prompt of characters that are one column wide.
    pub const fn new(prompt: &'static str) -> Self {
        Self {
            prompt,
            columns: 80,
            keys: Keys::new(),
            line: Line::new(),
            first: 0,
            history: History::new(),
            back: 0,
            draft: Line::new(),
        }
    }

    /// How wide the terminal is; 0: unknown.
    pub fn set_columns(&mut self, columns: usize) {
        // Room for the prompt and some characters.
        self.columns = if columns == 0 { 80 } else { columns.max(self.prompt.len() + 8) };
    }

    /// The line as it is, or was when it was done.
    pub fn line(&self) -> &str {
        self.line.text()
    }

    /// The lines before.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The key of a byte, for questions between lines.
    pub fn key(&mut self, byte: u8) -> Option<Key> {
        self.keys.feed(byte)
    }

    /// Shows the prompt of a new line.
    ///
    /// # Errors
    /// What `out` says, here and below.
    pub fn begin(&mut self, out: &mut dyn Write) -> fmt::Result {
        self.line.set("");
        self.first = 0;
        self.back = 0;
        self.show(out)
    }

    /// Takes a byte from the terminal.
    ///
    /// # Errors
    /// See [`begin`](Self::begin).
    pub fn feed(
        &mut self,
        byte: u8,
        out: &mut dyn Write,
        candidates: &dyn Candidates,
    ) -> Result<Event, fmt::Error> {
        let Some(key) = self.keys.feed(byte) else { return Ok(Event::Editing) };
        match key {
            Key::Character(character) => self.type_character(character, out)?,
            Key::Backspace => self.backspace(out)?,
            Key::Tab => self.complete(out, candidates)?,
            Key::Enter => {
                out.write_char('\n')?;
                self.history.add(self.line.text());
                return Ok(Event::Line);
            }
            Key::Interrupt => {
                out.write_str("^C\n")?;
                return Ok(Event::Interrupt);
            }
            Key::EndOfFile if self.line.text().is_empty() => {
                out.write_char('\n')?;
                return Ok(Event::EndOfFile);
            }
            _ => {
                self.edit(key);
                self.show(out)?;
            }
        }
        Ok(Event::Editing)
    }

    /// The keys after which all is shown anew.
    fn edit(&mut self, key: Key) {
        match key {
            Key::Left => _ = self.line.go_left(),
            Key::Right => _ = self.line.go_right(),
            Key::Home => self.line.go_to_start(),
            Key::End => self.line.go_to_end(),
            Key::Delete | Key::EndOfFile => _ = self.line.delete_right(),
            Key::KillToEnd => self.line.delete_to_end(),
            Key::KillToStart => self.line.delete_to_start(),
            Key::KillWord => self.line.delete_word(),
            Key::Up => self.look_back(self.back + 1),
            Key::Down => self.look_back(self.back.saturating_sub(1)),
            _ => {}
        }
    }

    /// Puts a line of the history into the place of the present one.
    fn look_back(&mut self, back: usize) {
        if back == self.back {
            return;
        }
        if self.back == 0 {
            self.draft = self.line.clone();
        }
        match back.checked_sub(1).map(|index| self.history.nth_last(index)) {
            None => self.line = self.draft.clone(),
            Some(Some(line)) => self.line.set(line),
            // There is nothing older.
            Some(None) => return,
        }
        self.back = back;
    }

    fn type_character(&mut self, character: char, out: &mut dyn Write) -> fmt::Result {
        if !self.line.insert(character.encode_utf8(&mut [0; 4])) {
            return out.write_char('\x07');
        }
        if self.is_simple() { out.write_char(character) } else { self.show(out) }
    }

    fn backspace(&mut self, out: &mut dyn Write) -> fmt::Result {
        let was_simple = self.is_simple();
        match self.line.delete_left() {
            false => out.write_char('\x07'),
            true if was_simple && self.is_simple() => out.write_str("\x08 \x08"),
            true => self.show(out),
        }
    }

    fn complete(&mut self, out: &mut dyn Write, candidates: &dyn Candidates) -> fmt::Result {
        match complete(&mut self.line, candidates) {
            Outcome::Nothing => out.write_char('\x07'),
            Outcome::Added => self.show(out),
            Outcome::Several => {
                out.write_char('\n')?;
                self.list(out, candidates)?;
                self.show(out)
            }
        }
    }

    /// Writes what could stand at the cursor.
    fn list(&self, out: &mut dyn Write, candidates: &dyn Candidates) -> fmt::Result {
        let mut column = 0;
        let mut outcome = Ok(());
        visit_fitting(self.line.before(), candidates, &mut |candidate| {
            let width = candidate.chars().count() + 2;
            if column > 0 && column + width > self.columns {
                outcome = outcome.and_then(|()| out.write_char('\n'));
                column = 0;
            }
            column += width;
            outcome = outcome.and_then(|()| write!(out, "{candidate}  "));
        });
        outcome.and_then(|()| out.write_char('\n'))
    }

    /// Columns for text: the last one is left free, since terminals differ in what they do there.
    fn room(&self) -> usize {
        self.columns.saturating_sub(self.prompt.len() + 1).max(1)
    }

    /// Whether the cursor is at the end, and in view without moving that.
    fn is_simple(&self) -> bool {
        let end = self.line.text().chars().count();
        self.line.after().is_empty() && (self.first..=self.first + self.room()).contains(&end)
    }

    /// Writes the prompt and what is in view, and puts the cursor in its place. A cursor that leaves the view is in the
    /// middle of the next one.
    fn show(&mut self, out: &mut dyn Write) -> fmt::Result {
        let (cursor, room) = (self.line.before().chars().count(), self.room());
        if cursor <= room / 2 {
            self.first = 0;
        } else if !(self.first..=self.first + room).contains(&cursor) {
            self.first = cursor - room / 2;
        }
        write!(out, "\r{}", self.prompt)?;
        self.line.text().chars().skip(self.first).take(room).try_for_each(|shown| out.write_char(shown))?;
        out.write_str("\x1b[K")?;
        if !self.line.after().is_empty() {
            let column = self.prompt.len() + cursor - self.first;
            write!(out, "\r\x1b[{column}C")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;
    use std::{format, vec};

    /// A terminal that knows what the editor writes.
    struct Screen {
        rows: Vec<Vec<char>>,
        column: usize,
        bells: usize,
        escape: Option<String>,
    }

    impl Screen {
        fn last(&self) -> String {
            let last: String = self.rows.last().expect("there is a row").iter().collect();
            String::from(last.trim_end())
        }
    }

    impl Write for Screen {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for character in text.chars() {
                let row = self.rows.last_mut().expect("there is a row");
                if let Some(mut sequence) = self.escape.take() {
                    match character {
                        'K' => row.truncate(self.column),
                        'C' => self.column += sequence[1..].parse::<usize>().expect("a number"),
                        _ => {
                            sequence.push(character);
                            self.escape = Some(sequence);
                        }
                    }
                    continue;
                }
                match character {
                    '\x1b' => self.escape = Some(String::new()),
                    '\r' => self.column = 0,
                    '\n' => {
                        self.rows.push(Vec::new());
                        self.column = 0;
                    }
                    '\x07' => self.bells += 1,
                    '\x08' => self.column -= 1,
                    _ => {
                        if self.column == row.len() {
                            row.push(character);
                        } else {
                            row[self.column] = character;
                        }
                        self.column += 1;
                        assert!(self.column < 40, "the line reaches the edge of the terminal");
                    }
                }
            }
            Ok(())
        }
    }

    struct Commands;

    impl Candidates for Commands {
        fn visit(&self, before: &str, visit: &mut dyn FnMut(&str)) {
            if before.contains(' ') {
                visit("argument");
            } else {
                ["list-pci", "list-virtio", "exit"].into_iter().for_each(visit);
            }
        }
    }

    struct Typist {
        editor: Editor,
        screen: Screen,
    }

    impl Typist {
        fn new() -> Self {
            let mut editor = Editor::new("> ");
            editor.set_columns(40);
            let mut screen = Screen { rows: vec![Vec::new()], column: 0, bells: 0, escape: None };
            editor.begin(&mut screen).expect("a screen takes all");
            Self { editor, screen }
        }

        fn type_bytes(&mut self, bytes: &[u8]) -> Event {
            let mut last = Event::Editing;
            for byte in bytes {
                last = self.editor.feed(*byte, &mut self.screen, &Commands).expect("a screen takes all");
                if last != Event::Editing {
                    self.editor.begin(&mut self.screen).expect("a screen takes all");
                }
            }
            last
        }

        /// Types, and what is on the screen and in the line then; `|` is the cursor.
        fn shows(&mut self, bytes: &[u8], wanted: &str) {
            self.type_bytes(bytes);
            assert_eq!(self.screen.last(), format!("> {}", wanted.replace('|', "")).trim_end(), "{bytes:?}");
            let cursor = wanted.chars().position(|shown| shown == '|').expect("a cursor is wanted");
            assert_eq!(self.screen.column, 2 + cursor, "{bytes:?}");
        }
    }

    #[test]
    fn the_screen_shows_what_is_typed_and_changed() {
        let mut typist = Typist::new();
        typist.shows(b"hello", "hello|");
        typist.shows(b"\x7f\x7f", "hel|");
        typist.shows(b"\x1b[D\x1b[DX", "hX|el");
        typist.shows(b"\x1b[3~", "hX|l");
        typist.shows(b"\x01Y\x05Z", "YhXlZ|");
        typist.shows("é".as_bytes(), "YhXlZé|");
        typist.shows(b"\x1b[D\x0b", "YhXlZ|");
        typist.shows(b" word \x17", "YhXlZ |");
        typist.shows(b"\x15", "|");
        assert_eq!(typist.screen.bells, 0);
        typist.shows(b"\x7f", "|");
        assert_eq!(typist.screen.bells, 1);
    }

    #[test]
    fn a_long_line_is_shown_around_the_cursor() {
        let mut typist = Typist::new();
        let text: Vec<u8> = (0..100u8).map(|number| b'a' + number % 26).collect();
        typist.type_bytes(&text);
        assert_eq!(typist.editor.line().len(), 100);
        let part = |range: core::ops::Range<usize>| core::str::from_utf8(&text[range]).expect("ASCII");
        // 37 fit; each time that the edge is passed, the view moves so that the cursor is in its middle.
        typist.shows(b"", &format!("{}|", part(80..100)));
        typist.shows(b"\x01", &format!("|{}", part(0..37)));
        typist.shows(b"\x05\x7f", &format!("{}|", part(82..99)));
        typist.shows(b"\x02", &format!("{}|{}", part(82..98), part(98..99)));
    }

    #[test]
    fn earlier_lines_come_back_and_the_draft_is_kept() {
        let mut typist = Typist::new();
        assert_eq!(typist.type_bytes(b"one\r"), Event::Line);
        typist.type_bytes(b"two\rdraft");
        typist.shows(b"\x1b[A", "two|");
        typist.shows(b"\x10\x1b[A\x1b[A", "one|");
        typist.shows(b"\x1b[B", "two|");
        typist.shows(b"\x1b[B\x0e", "draft|");
    }

    #[test]
    fn tab_completes_or_lists() {
        let mut typist = Typist::new();
        typist.shows(b"e\t", "exit |");
        typist.shows(b"\t", "exit argument |");
        typist.shows(b"\x15li\t", "list-|");
        let rows = typist.screen.rows.len();
        typist.shows(b"\t", "list-|");
        let listed: String = typist.screen.rows[rows].iter().collect();
        assert_eq!(listed.trim_end(), "list-pci  list-virtio");
        let bells = typist.screen.bells;
        typist.shows(b"\x15zz\t", "zz|");
        assert_eq!(typist.screen.bells, bells + 1);
    }

    #[test]
    fn lines_end_in_all_their_ways() {
        let mut typist = Typist::new();
        assert_eq!(typist.type_bytes(b"abc\x03"), Event::Interrupt);
        assert_eq!(typist.type_bytes(b"\x04"), Event::EndOfFile);
        assert_eq!(typist.type_bytes(b"ab\x01\x04"), Event::Editing);
        assert_eq!(typist.editor.line(), "b");
    }

    /// Whatever comes, the editor lives, and screen and line agree.
    #[test]
    fn any_bytes_do_no_harm() {
        let mut state = 1u64;
        let mut typist = Typist::new();
        for _ in 0..200_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let byte = (state >> 56) as u8;
            // Mostly keys, so that lines come to be.
            let byte = if state >> 33 & 7 == 0 {
                byte
            } else {
                b"abc \t\x1b[ACD\x7f\x15\x04\xc3\xa9~3"[byte as usize % 17]
            };
            // Ctrl-C writes behind the line, over the edge.
            typist.type_bytes(if byte == 3 { b"\r" } else { core::slice::from_ref(&byte) });
        }
        typist.type_bytes(b"\x1bx\x15\x0c");
        typist.shows(b"done", "done|");
    }
}
