//! How a line falls into commands and words: `mount 2; write-to-file /a "two words"; test`.
//!
//! A word that begins with a quote, single or double, goes to the next one of its kind (or to the end of the line) and
//! may hold blanks and semicolons. Nothing fails.

/// The commands of a line: what is between semicolons, without blanks around it and without empty ones.
pub fn commands(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(line);
    core::iter::from_fn(move || {
        let text = rest?;
        let end = end_of_command(text);
        rest = text.get(end + 1..);
        Some(&text[..end])
    })
    .map(str::trim)
    .filter(|command| !command.is_empty())
}

fn end_of_command(text: &str) -> usize {
    let mut quote = None;
    let mut is_start = true;
    for (at, character) in text.char_indices() {
        match quote {
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None if character == ';' => return at,
            None if is_start && is_quote(character) => quote = Some(character),
            None => {}
        }
        is_start = quote.is_none() && character.is_whitespace();
    }
    text.len()
}

fn is_quote(character: char) -> bool {
    matches!(character, '"' | '\'')
}

/// The words of a command, one by one.
#[derive(Clone, Debug)]
pub struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    /// Those of `command`.
    pub fn new(command: &'a str) -> Self {
        Self { rest: command.trim() }
    }

    /// What has not been taken yet, as it was typed.
    pub fn rest(&self) -> &'a str {
        self.rest
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let first = self.rest.chars().next()?;
        let (word, rest) = if is_quote(first) {
            let inside = &self.rest[1..];
            inside.split_once(first).unwrap_or((inside, ""))
        } else {
            self.rest.split_once(char::is_whitespace).unwrap_or((self.rest, ""))
        };
        self.rest = rest.trim_start();
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn all(line: &str) -> Vec<Vec<&str>> {
        commands(line).map(|command| Words::new(command).collect()).collect()
    }

    #[test]
    fn the_line_of_the_first_system_falls_into_its_commands() {
        assert_eq!(
            all("mount 2; write-framebuffer hello!; exec 20 /bin/primes 15000; test"),
            [
                &["mount", "2"][..],
                &["write-framebuffer", "hello!"],
                &["exec", "20", "/bin/primes", "15000"],
                &["test"]
            ]
        );
    }

    #[test]
    fn quotes_keep_blanks_and_semicolons() {
        assert_eq!(all("a \"b;  c\" 'd\"'; e"), [&["a", "b;  c", "d\""][..], &["e"]]);
        assert_eq!(all("it's; fine"), [["it's"], ["fine"]]);
        assert_eq!(all("a 'open; end"), [["a", "open; end"]]);
        assert_eq!(all("\"\" x"), [["", "x"]]);
    }

    #[test]
    fn nothing_is_no_command() {
        assert!(all("").is_empty());
        assert!(all(" ; ;;\t").is_empty());
        assert_eq!(all(";é;"), [["é"]]);
        assert_eq!(Words::new(" one  two  three ").next(), Some("one"));
        let mut words = Words::new("one  two  three ");
        words.next();
        assert_eq!(words.rest(), "two  three");
    }
}
