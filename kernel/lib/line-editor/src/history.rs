//! The lines before, as many as fit into a piece of memory.

/// Memory for lines, in bytes.
const BYTES: usize = 2048;
/// A line is followed by this, which none contains.
const END: u8 = b'\n';

/// Lines, the latest last; the oldest go when there is no room.
#[derive(Clone, Debug)]
pub struct History {
    bytes: [u8; BYTES],
    length: usize,
}

impl Default for History {
    fn default() -> Self {
        Self::new()
    }
}

impl History {
    /// None.
    pub const fn new() -> Self {
        Self { bytes: [0; BYTES], length: 0 }
    }

    /// Adds a line, unless it is blank or was the last one already.
    pub fn add(&mut self, line: &str) {
        let line = line.trim();
        let needed = line.len() + 1;
        if line.is_empty() || line.contains('\n') || needed > BYTES || self.nth_last(0) == Some(line) {
            return;
        }
        while self.length + needed > BYTES {
            let first = self.bytes[..self.length].iter().position(|byte| *byte == END);
            let gone = first.map_or(self.length, |end| end + 1);
            self.bytes.copy_within(gone..self.length, 0);
            self.length -= gone;
        }
        self.bytes[self.length..self.length + line.len()].copy_from_slice(line.as_bytes());
        self.length += needed;
        self.bytes[self.length - 1] = END;
    }

    /// The lines, the oldest first.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &str> {
        let text =
            core::str::from_utf8(&self.bytes[..self.length]).expect("whole lines are added and removed");
        text.lines()
    }

    /// The latest but so many.
    pub fn nth_last(&self, index: usize) -> Option<&str> {
        self.lines().rev().nth(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::vec::Vec;

    #[test]
    fn repeated_and_blank_lines_are_not_kept() {
        let mut history = History::new();
        ["a", " ", "b ", "b", "", "a", "x\ny"].into_iter().for_each(|line| history.add(line));
        assert_eq!(history.lines().collect::<Vec<_>>(), ["a", "b", "a"]);
        assert_eq!((history.nth_last(1), history.nth_last(3)), (Some("b"), None));
    }

    #[test]
    fn the_oldest_go_first() {
        let mut history = History::new();
        (0..1000).for_each(|number| history.add(&format!("line é {number}")));
        assert_eq!(history.nth_last(0), Some("line é 999"));
        let kept = history.lines().count();
        assert!(kept > 100, "{kept}");
        assert_eq!(history.lines().next(), Some(format!("line é {}", 1000 - kept).as_str()));
        history.add(&"x".repeat(3000));
        assert_eq!(history.lines().count(), kept);
        history.add(&"x".repeat(2000));
        assert_eq!(history.nth_last(0).map(str::len), Some(2000));
    }
}
