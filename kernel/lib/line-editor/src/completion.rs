//! What Tab does: the rest of a word, as far as it is certain.

use crate::line::{LINE_BYTES, Line};

/// Knows what could stand in a line.
pub trait Candidates {
    /// Visits the words that could stand in the place of the last one of `before`, which is the line up to the cursor
    /// and may end with a blank; those that do not begin with it are left out by the caller.
    fn visit(&self, before: &str, visit: &mut dyn FnMut(&str));
}

/// The word that is being typed: what is behind the last blank or semicolon.
pub(crate) fn last_word(before: &str) -> &str {
    let start = before.rfind(|character: char| character.is_whitespace() || character == ';');
    start.map_or(before, |at| {
        before[at..].trim_start_matches(|first: char| first.is_whitespace() || first == ';')
    })
}

/// Calls `visit` for each candidate that fits what was typed.
pub(crate) fn visit_fitting(before: &str, candidates: &dyn Candidates, visit: &mut dyn FnMut(&str)) {
    let typed = last_word(before);
    candidates.visit(before, &mut |candidate| {
        if candidate.starts_with(typed) {
            visit(candidate);
        }
    });
}

/// How far a completion came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing fits.
    Nothing,
    /// Text was added; whether the word is whole.
    Added,
    /// Several fit, and have no more in common than what is there.
    Several,
}

/// Completes the word before the cursor: what all candidates have in common, and a blank if there is one only (unless it
/// ends with a slash).
pub(crate) fn complete(line: &mut Line, candidates: &dyn Candidates) -> Outcome {
    let mut common = [0; LINE_BYTES];
    let mut length = 0;
    let mut count = 0;
    visit_fitting(line.before(), candidates, &mut |candidate| {
        if count == 0 {
            length = candidate.len().min(LINE_BYTES);
            while !candidate.is_char_boundary(length) {
                length -= 1;
            }
            common[..length].copy_from_slice(&candidate.as_bytes()[..length]);
        } else if &common[..length] == candidate.as_bytes() {
            // The same word from another place.
            return;
        } else {
            let same = common[..length].iter().zip(candidate.as_bytes()).take_while(|(a, b)| a == b);
            length = same.count();
            while !candidate.is_char_boundary(length) {
                length -= 1;
            }
        }
        count += 1;
    });
    let Ok(common) = core::str::from_utf8(&common[..length]) else { return Outcome::Nothing };
    let typed = last_word(line.before()).len();
    match (count, common.get(typed..)) {
        (0, _) | (_, None) => Outcome::Nothing,
        (1, Some(rest)) => {
            let is_whole = line.insert(rest);
            if is_whole && !common.ends_with('/') {
                line.insert(" ");
            }
            Outcome::Added
        }
        (_, Some("")) => Outcome::Several,
        (_, Some(rest)) => {
            line.insert(rest);
            Outcome::Added
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(&'static [&'static str]);

    impl Candidates for Fixed {
        fn visit(&self, _: &str, visit: &mut dyn FnMut(&str)) {
            self.0.iter().for_each(|word| visit(word));
        }
    }

    #[track_caller]
    fn assert_completes(words: &'static [&'static str], typed: &str, outcome: Outcome, text: &str) {
        let mut line = Line::new();
        line.set(typed);
        assert_eq!(complete(&mut line, &Fixed(words)), outcome);
        assert_eq!(line.text(), text);
    }

    #[test]
    fn a_word_is_completed_as_far_as_it_is_certain() {
        let words = &["list-pci", "list-virtio", "ls", "cat"];
        assert_completes(words, "c", Outcome::Added, "cat ");
        assert_completes(words, "li", Outcome::Added, "list-");
        assert_completes(words, "list-", Outcome::Several, "list-");
        assert_completes(words, "list-v", Outcome::Added, "list-virtio ");
        assert_completes(words, "ls", Outcome::Added, "ls ");
        assert_completes(words, "x", Outcome::Nothing, "x");
        assert_completes(words, "mount 2;  ca", Outcome::Added, "mount 2;  cat ");
        assert_completes(words, "ls ", Outcome::Several, "ls ");
        assert_completes(&[], "", Outcome::Nothing, "");
        assert_completes(&["same", "same"], "sa", Outcome::Added, "same ");
    }

    #[test]
    fn directories_go_on_and_characters_stay_whole() {
        assert_completes(&["/dev/"], "ls /d", Outcome::Added, "ls /dev/");
        // These two differ in the last byte of one character.
        assert_completes(&["aé", "aè"], "", Outcome::Added, "a");
        assert_completes(&["aé", "aè"], "a", Outcome::Several, "a");
    }
}
