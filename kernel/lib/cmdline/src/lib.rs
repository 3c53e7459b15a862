//! The kernel's command line, taken apart: `root=/dev/vda2 quiet init="/bin/sh -l" monitor="help; mem"`.
//!
//! Words stand between blanks; double or single quotes keep blanks in a word, wherever they stand, and are removed. A
//! word is `key=value` or a `key` alone; `-` and `_` in keys are the same, as on Linux. After a word `--` everything
//! is for the first program. Nothing fails: an unclosed quote ends with the line.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::borrow::Cow;
use alloc::string::String;

/// A word of the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// What stands before the `=`, or the whole word.
    pub key: Cow<'a, str>,
    /// What stands behind the first `=`.
    pub value: Option<Cow<'a, str>>,
}

impl Parameter<'_> {
    /// Whether this is the parameter of that name.
    pub fn is(&self, name: &str) -> bool {
        let same = |byte: u8| if byte == b'-' { b'_' } else { byte };
        self.key.len() == name.len() && self.key.bytes().zip(name.bytes()).all(|(a, b)| same(a) == same(b))
    }

    /// The value as a switch: `on`, `1`, `yes`, `y`, `true`, or no value at all mean on; `off`, `0`, `no`, `n`, `false`
    /// mean off; anything else means nothing.
    pub fn as_switch(&self) -> Option<bool> {
        match self.value.as_deref() {
            None | Some("on" | "1" | "yes" | "y" | "true") => Some(true),
            Some("off" | "0" | "no" | "n" | "false") => Some(false),
            Some(_) => None,
        }
    }

    /// The value as a number: decimal, or hexadecimal after `0x`, with K, M or G for units of 2^10, 2^20, 2^30.
    pub fn as_number(&self) -> Option<u64> {
        let text = self.value.as_deref()?;
        let (digits, shift) = match text.as_bytes().last()? {
            b'k' | b'K' => (&text[..text.len() - 1], 10),
            b'm' | b'M' => (&text[..text.len() - 1], 20),
            b'g' | b'G' => (&text[..text.len() - 1], 30),
            _ => (text, 0),
        };
        let number = match digits.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16),
            None => digits.parse(),
        };
        number.ok()?.checked_mul(1 << shift)
    }

    /// The parts of the value between semicolons, without blanks around them and without empty ones.
    pub fn as_list(&self) -> impl Iterator<Item = &str> {
        let value = self.value.as_deref().unwrap_or("");
        value.split(';').map(str::trim).filter(|part| !part.is_empty())
    }
}

/// Takes the words of a line one by one.
#[derive(Clone, Debug)]
pub struct Words<'a> {
    rest: &'a str,
}

/// The words of a line, quotes removed.
pub fn words(line: &str) -> Words<'_> {
    Words { rest: line }
}

impl<'a> Iterator for Words<'a> {
    type Item = Cow<'a, str>;

    fn next(&mut self) -> Option<Cow<'a, str>> {
        let text = self.rest.trim_start_matches(is_blank);
        if text.is_empty() {
            self.rest = text;
            return None;
        }
        let mut quote = None;
        let end = text.char_indices().find(|&(_, char)| {
            match quote {
                Some(open) if char == open => quote = None,
                Some(_) => {}
                None if char == '"' || char == '\'' => quote = Some(char),
                None => return is_blank(char),
            }
            false
        });
        let (word, rest) = text.split_at(end.map_or(text.len(), |(at, _)| at));
        self.rest = rest;
        Some(without_quotes(word))
    }
}

/// The parameters for the kernel: all words before `--`.
pub fn parameters(line: &str) -> impl Iterator<Item = Parameter<'_>> {
    words(line).take_while(|word| word != "--").map(parse)
}

/// The words for the first program: all behind `--`.
pub fn init_arguments(line: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let mut words = words(line);
    let _ = words.by_ref().find(|word| word == "--");
    words
}

/// The last parameter of that name: later ones win.
pub fn find<'a>(line: &'a str, name: &str) -> Option<Parameter<'a>> {
    parameters(line).filter(|parameter| parameter.is(name)).last()
}

/// Where the first parameter for the kernel stands that `is_wanted`: so many bytes into the line.
pub fn position(line: &str, mut is_wanted: impl FnMut(&Parameter<'_>) -> bool) -> Option<usize> {
    let mut words = words(line);
    loop {
        let start = line.len() - words.rest.trim_start_matches(is_blank).len();
        let word = words.next().filter(|word| word != "--")?;
        if is_wanted(&parse(word)) {
            return Some(start);
        }
    }
}

fn parse(word: Cow<'_, str>) -> Parameter<'_> {
    match word {
        Cow::Borrowed(word) => match word.split_once('=') {
            Some((key, value)) => Parameter { key: key.into(), value: Some(value.into()) },
            None => Parameter { key: word.into(), value: None },
        },
        Cow::Owned(word) => match word.split_once('=') {
            Some((key, value)) => {
                Parameter { key: String::from(key).into(), value: Some(String::from(value).into()) }
            }
            None => Parameter { key: word.into(), value: None },
        },
    }
}

/// A word without the quotes that are not inside other quotes.
fn without_quotes(word: &str) -> Cow<'_, str> {
    if !word.contains(['"', '\'']) {
        return word.into();
    }
    let mut quote = None;
    let keep = |char: &char| match quote {
        Some(open) if *char == open => {
            quote = None;
            false
        }
        None if *char == '"' || *char == '\'' => {
            quote = Some(*char);
            false
        }
        _ => true,
    };
    word.chars().filter(keep).collect::<String>().into()
}

fn is_blank(char: char) -> bool {
    char.is_ascii_whitespace() || char == '\0'
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn all(line: &str) -> Vec<String> {
        words(line).map(Cow::into_owned).collect()
    }

    #[test]
    fn a_word_is_found_where_it_stands() {
        let line = " root=/dev/vda  'quiet' mount 2; mount -- ls";
        assert_eq!(
            position(line, |word| word.is("mount")).map(|at| &line[at..]),
            Some("mount 2; mount -- ls")
        );
        assert_eq!(position(line, |word| word.is("quiet")), Some(16));
        assert_eq!(position(line, |word| word.is("ls")), None);
        assert_eq!(position("", |_| true), None);
    }

    #[test]
    fn quotes_keep_words_together() {
        assert_eq!(all("  a  b=c\td\n"), ["a", "b=c", "d"]);
        assert_eq!(all(r#"x="1 2" "y=3 4" 'a "b" c'"#), ["x=1 2", "y=3 4", r#"a "b" c"#]);
        assert_eq!(all(r#"a"b c"d"#), ["ab cd"]);
        assert_eq!(all(r#"open="never closed "#), ["open=never closed "]);
        assert_eq!(all(r#""" x"#), ["", "x"]);
        assert_eq!(all("   "), [""; 0]);
    }

    #[test]
    fn parameters_are_found_by_name() {
        let line = "root=/dev/vda log-level=3 quiet root=/dev/vdb a=b=c -- root=/x --";
        assert_eq!(find(line, "root").unwrap().value.as_deref(), Some("/dev/vdb"));
        assert_eq!(find(line, "log_level").unwrap().as_number(), Some(3));
        assert_eq!(find(line, "quiet").unwrap().value, None);
        assert_eq!(find(line, "a").unwrap().value.as_deref(), Some("b=c"));
        assert_eq!(find(line, "missing"), None);
        assert_eq!(init_arguments(line).collect::<Vec<_>>(), ["root=/x", "--"]);
        assert_eq!(init_arguments("a b").count(), 0);
    }

    #[test]
    fn values_have_types() {
        let number = |text: &str| find(text, "n").unwrap().as_number();
        assert_eq!((number("n=0x10"), number("n=4K"), number("n=2g")), (Some(16), Some(4096), Some(2 << 30)));
        assert_eq!((number("n="), number("n"), number("n=K"), number("n=-1")), (None, None, None, None));
        assert_eq!((number("n=99999999999G"), number("n=1x")), (None, None));
        let switch = |text: &str| find(text, "s").unwrap().as_switch();
        assert_eq!((switch("s"), switch("s=off"), switch("s=2")), (Some(true), Some(false), None));
        let parameter = find(r#"m="help; mem ;; ps -a;""#, "m").unwrap();
        assert_eq!(parameter.as_list().collect::<Vec<_>>(), ["help", "mem", "ps -a"]);
    }

    #[test]
    fn any_text_is_taken_apart() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..20_000 {
            let mut line = String::new();
            for _ in 0..24 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                line.push(['a', '=', ' ', '"', '\'', ';', '-', 'ü', '\0', '0'][(state % 10) as usize]);
            }
            for parameter in parameters(&line) {
                parameter.as_number();
                parameter.as_switch();
                assert!(parameter.as_list().all(|part| !part.is_empty()));
            }
            init_arguments(&line).count();
        }
    }
}
