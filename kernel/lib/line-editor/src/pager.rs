//! Output page by page: where the next page begins on a terminal of a certain size.

use crate::keys::Key;

/// Counts rows.
#[derive(Clone, Debug)]
pub struct Pager {
    /// Rows of a page; 0: it has no end.
    rows: usize,
    columns: usize,
    /// Rows that may still be begun.
    left: usize,
    column: usize,
    /// The row is whole, but the newline that ends it has not come.
    is_escape: bool,
}

/// What somebody wants at the end of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Another page.
    Page,
    /// Another line.
    Line,
    /// All of the rest.
    All,
    /// Nothing more.
    Stop,
}

impl Answer {
    /// What a key means there; `None`: nothing.
    pub fn of(key: Key) -> Option<Answer> {
        Some(match key {
            Key::Character(' ' | 'f') => Answer::Page,
            Key::Enter | Key::Down | Key::Character('j') => Answer::Line,
            Key::Character('a' | 'G') => Answer::All,
            Key::Character('q' | 'Q') | Key::Interrupt | Key::EndOfFile => Answer::Stop,
            _ => return None,
        })
    }
}

impl Pager {
    /// For a terminal of so many rows (0: no paging) and columns. The last row is for the question.
    pub const fn new(rows: usize, columns: usize) -> Self {
        let rows = if rows == 0 { 0 } else { rows.saturating_sub(1) };
        let rows_at_least = if rows == 0 { 0 } else { rows };
        let columns = if columns == 0 { 80 } else { columns };
        Self { rows: rows_at_least, columns, left: rows_at_least, column: 0, is_escape: false }
    }

    /// Whether the page is full: ask before more is printed.
    pub fn is_full(&self) -> bool {
        self.rows > 0 && self.left == 0
    }

    /// How many bytes of `text` belong to this page. They are counted as printed.
    pub fn fit(&mut self, text: &str) -> usize {
        if self.rows == 0 {
            return text.len();
        }
        for (at, character) in text.char_indices() {
            if self.left == 0 {
                return at;
            }
            self.count(character);
        }
        text.len()
    }

    fn count(&mut self, character: char) {
        match character {
            // Colours take no room.
            '\x1b' => self.is_escape = true,
            _ if self.is_escape => self.is_escape = !character.is_ascii_alphabetic(),
            '\n' => {
                self.left -= 1;
                self.column = 0;
            }
            '\r' => self.column = 0,
            _ => {
                self.column += 1;
                if self.column > self.columns {
                    self.left -= 1;
                    self.column = 1;
                }
            }
        }
    }

    /// Goes on as was answered, but for [`Answer::Stop`], which is the caller's.
    pub fn go_on(&mut self, answer: Answer) {
        match answer {
            Answer::Page => self.left = self.rows,
            Answer::Line => self.left = 1,
            Answer::All => self.rows = 0,
            Answer::Stop => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    /// The pages of a text, all answered by the same.
    fn pages(text: &str, mut pager: Pager, answer: Answer) -> Vec<String> {
        let mut pages = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if pager.is_full() {
                pager.go_on(answer);
            }
            let count = pager.fit(rest);
            assert!(count > 0, "no progress");
            pages.push(String::from(&rest[..count]));
            rest = &rest[count..];
        }
        pages
    }

    #[test]
    fn a_page_has_a_row_less_than_the_terminal() {
        assert_eq!(pages("a\nb\nc\nd\ne\n", Pager::new(3, 80), Answer::Page), ["a\nb\n", "c\nd\n", "e\n"]);
        assert_eq!(pages("a\nb\nc\nd\n", Pager::new(3, 80), Answer::Line), ["a\nb\n", "c\n", "d\n"]);
        assert_eq!(pages("a\nb\nc\nd\ne\n", Pager::new(3, 80), Answer::All), ["a\nb\n", "c\nd\ne\n"]);
    }

    #[test]
    fn long_lines_take_several_rows_and_colours_none() {
        assert_eq!(pages("0123456789\n", Pager::new(3, 4), Answer::Page), ["012345678", "9\n"]);
        assert_eq!(pages("\x1b[1;32mabc\x1b[m\n\x1b[mx\n", Pager::new(2, 3), Answer::Page).len(), 2);
        // A line that fills the row exactly is one row.
        assert_eq!(pages("abc\nabc\nabc\n", Pager::new(3, 3), Answer::Page).len(), 2);
    }

    #[test]
    fn odd_terminals_page_or_do_not_but_go_on() {
        assert_eq!(pages("a\nb\n", Pager::new(0, 0), Answer::Stop), ["a\nb\n"]);
        assert_eq!(pages("a\nb\n", Pager::new(1, 0), Answer::Stop), ["a\nb\n"]);
        assert_eq!(pages("a\nb\n", Pager::new(2, 1), Answer::Page), ["a\n", "b\n"]);
        assert_eq!(Answer::of(Key::Character('x')), None);
        assert_eq!(Answer::of(Key::Interrupt), Some(Answer::Stop));
    }
}
