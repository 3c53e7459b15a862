//! A line of text with a cursor, in memory of a fixed size.

/// The longest line, in bytes.
pub const LINE_BYTES: usize = 512;

/// Text, and a place in it between two characters.
#[derive(Clone, Debug)]
pub struct Line {
    bytes: [u8; LINE_BYTES],
    length: usize,
    /// In bytes, at the boundary of a character.
    cursor: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}

impl Line {
    /// Nothing.
    pub const fn new() -> Self {
        Self { bytes: [0; LINE_BYTES], length: 0, cursor: 0 }
    }

    /// All of it.
    pub fn text(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.length])
            .expect("only whole characters are put in and taken out")
    }

    /// What is left of the cursor.
    pub fn before(&self) -> &str {
        &self.text()[..self.cursor]
    }

    /// What is right of it.
    pub fn after(&self) -> &str {
        &self.text()[self.cursor..]
    }

    /// Another text, as much of it as there is room for; the cursor is at its end.
    pub fn set(&mut self, text: &str) {
        self.length = 0;
        self.cursor = 0;
        self.insert(text);
    }

    /// Puts text in at the cursor; whole characters, as many as there is room for. Whether all of it was.
    pub fn insert(&mut self, text: &str) -> bool {
        let room = LINE_BYTES - self.length;
        let mut count = text.len().min(room);
        while !text.is_char_boundary(count) {
            count -= 1;
        }
        self.bytes.copy_within(self.cursor..self.length, self.cursor + count);
        self.bytes[self.cursor..self.cursor + count].copy_from_slice(&text.as_bytes()[..count]);
        self.length += count;
        self.cursor += count;
        count == text.len()
    }

    /// Takes out so many bytes left of the cursor, which must be whole characters.
    fn take(&mut self, count: usize) {
        self.bytes.copy_within(self.cursor..self.length, self.cursor - count);
        self.length -= count;
        self.cursor -= count;
    }

    /// Deletes the character to the left. Whether there was one.
    pub fn delete_left(&mut self) -> bool {
        let count = self.before().chars().next_back().map_or(0, char::len_utf8);
        self.take(count);
        count > 0
    }

    /// Deletes the character to the right. Whether there was one.
    pub fn delete_right(&mut self) -> bool {
        self.go_right() && self.delete_left()
    }

    /// Deletes all to the left.
    pub fn delete_to_start(&mut self) {
        self.take(self.cursor);
    }

    /// Deletes all to the right.
    pub fn delete_to_end(&mut self) {
        self.length = self.cursor;
    }

    /// Deletes the word to the left, and the blanks between it and the cursor.
    pub fn delete_word(&mut self) {
        let kept = self
            .before()
            .trim_end()
            .rfind(char::is_whitespace)
            .map_or(0, |blank| blank + self.before()[blank..].chars().next().map_or(0, char::len_utf8));
        self.take(self.cursor - kept);
    }

    /// One character to the left. Whether there was one.
    pub fn go_left(&mut self) -> bool {
        let count = self.before().chars().next_back().map_or(0, char::len_utf8);
        self.cursor -= count;
        count > 0
    }

    /// One character to the right. Whether there was one.
    pub fn go_right(&mut self) -> bool {
        let count = self.after().chars().next().map_or(0, char::len_utf8);
        self.cursor += count;
        count > 0
    }

    /// To the beginning.
    pub fn go_to_start(&mut self) {
        self.cursor = 0;
    }

    /// To the end.
    pub fn go_to_end(&mut self) {
        self.cursor = self.length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(before: &str, after: &str) -> Line {
        let mut line = Line::new();
        line.set(after);
        line.go_to_start();
        line.insert(before);
        line
    }

    #[track_caller]
    fn assert_is(line: &Line, before: &str, after: &str) {
        assert_eq!((line.before(), line.after()), (before, after));
    }

    #[test]
    fn editing_keeps_characters_whole() {
        let mut edited = line("aé", "€b");
        assert!(edited.delete_left() && edited.delete_right());
        assert_is(&edited, "a", "b");
        assert!(edited.go_right() && !edited.go_right());
        assert_is(&edited, "ab", "");
        assert!(!edited.delete_right());
        edited.insert("ü");
        assert!(edited.go_left() && edited.go_left() && edited.go_left() && !edited.go_left());
        assert!(!edited.delete_left());
        assert_is(&edited, "", "abü");
    }

    #[test]
    fn words_go_with_the_blanks_behind_them() {
        let mut edited = line("block read  vda  ", "x");
        edited.delete_word();
        assert_is(&edited, "block read  ", "x");
        edited.delete_word();
        edited.delete_word();
        assert_is(&edited, "", "x");
        edited.delete_word();
        assert_is(&edited, "", "x");
        let mut ends = line("ab", "cd");
        ends.delete_to_end();
        assert_is(&ends, "ab", "");
        ends.delete_to_start();
        assert_is(&ends, "", "");
    }

    #[test]
    fn a_full_line_takes_no_half_characters() {
        let mut full = Line::new();
        for _ in 0..LINE_BYTES - 1 {
            assert!(full.insert("x"));
        }
        assert!(!full.insert("é"));
        assert_eq!(full.text().len(), LINE_BYTES - 1);
        assert!(full.insert("y") && !full.insert("z"));
        full.set(core::str::from_utf8(&[b'a'; 2 * LINE_BYTES]).expect("ASCII"));
        assert_eq!(full.text().len(), LINE_BYTES);
    }
}
