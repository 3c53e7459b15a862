//! What a command is given, and what can be wrong with it.

use crate::error::Error;
use core::fmt;
use line_editor::Words;

/// Why a command did not do what it should.
#[derive(Debug)]
pub(super) enum Failure {
    /// An argument is missing, or one that must be of a few words is another.
    Usage,
    /// An argument is not what it should be: what it stands for, itself, why.
    Invalid(&'static str, WordCopy, &'static str),
    /// There are more arguments than the command takes.
    TooMany,
    /// It was tried and failed.
    Error(&'static str, Error),
    /// It cannot be done, and why.
    Refused(&'static str),
    /// Somebody has seen enough.
    Stopped,
    /// No failure: the monitor is to be left.
    Leave,
}

impl From<fmt::Error> for Failure {
    fn from(_: fmt::Error) -> Self {
        Failure::Stopped
    }
}

/// What a command ends with.
pub(super) type Outcome = Result<(), Failure>;

/// Says what was tried when an error came.
pub(super) trait While<T> {
    /// The failure of having tried `what`.
    fn trying(self, what: &'static str) -> Result<T, Failure>;
}

impl<T> While<T> for crate::error::Result<T> {
    fn trying(self, what: &'static str) -> Result<T, Failure> {
        self.map_err(|error| Failure::Error(what, error))
    }
}

/// The beginning of a word, kept for a message.
#[derive(Clone, Copy)]
pub(super) struct WordCopy {
    bytes: [u8; 32],
    length: usize,
    is_cut: bool,
}

impl WordCopy {
    fn new(word: &str) -> Self {
        let mut bytes = [0; 32];
        let mut length = word.len().min(bytes.len());
        while !word.is_char_boundary(length) {
            length -= 1;
        }
        bytes[..length].copy_from_slice(&word.as_bytes()[..length]);
        Self { bytes, length, is_cut: length < word.len() }
    }
}

impl fmt::Display for WordCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = core::str::from_utf8(&self.bytes[..self.length]).unwrap_or("?");
        write!(f, "'{text}{}'", if self.is_cut { "..." } else { "" })
    }
}

impl fmt::Debug for WordCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The words behind a command's name.
pub(super) struct Arguments<'a>(Words<'a>);

impl<'a> Arguments<'a> {
    pub(super) fn new(words: Words<'a>) -> Self {
        Self(words)
    }

    /// A word that must be there.
    pub(super) fn word(&mut self) -> Result<&'a str, Failure> {
        self.0.next().ok_or(Failure::Usage)
    }

    /// A word that may be there.
    pub(super) fn optional(&mut self) -> Option<&'a str> {
        self.0.next()
    }

    /// A number that must be there, see [`parse_number`]. `what` is for the message.
    pub(super) fn number<T: TryFrom<u64>>(&mut self, what: &'static str) -> Result<T, Failure> {
        number(what, self.word()?)
    }

    /// A number that may be there.
    pub(super) fn optional_number<T: TryFrom<u64>>(
        &mut self,
        what: &'static str,
    ) -> Result<Option<T>, Failure> {
        self.0.next().map(|word| number(what, word)).transpose()
    }

    /// All that is left, as it was typed.
    pub(super) fn rest(&mut self) -> &'a str {
        let rest = self.0.rest();
        self.0 = Words::new("");
        rest
    }

    /// All words that are left.
    pub(super) fn words(&mut self) -> impl Iterator<Item = &'a str> {
        core::mem::replace(&mut self.0, Words::new(""))
    }

    /// Nothing more may follow.
    pub(super) fn end(&mut self) -> Outcome {
        if self.0.next().is_some() { Err(Failure::TooMany) } else { Ok(()) }
    }
}

/// The failure of an argument that is not what it should be.
pub(super) fn invalid(what: &'static str, word: &str, why: &'static str) -> Failure {
    Failure::Invalid(what, WordCopy::new(word), why)
}

fn number<T: TryFrom<u64>>(what: &'static str, word: &str) -> Result<T, Failure> {
    let value = parse_number(word).map_err(|why| invalid(what, word, why))?;
    T::try_from(value).map_err(|_| invalid(what, word, "it is too large"))
}

/// A number of up to 64 bits: decimal, or hexadecimal behind `0x`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse_number(word: &str) -> Result<u64, &'static str> {
    use core::num::IntErrorKind::{NegOverflow, PosOverflow};
    // The library takes a sign; there is none here.
    let is_digit = |radix| move |digit: char| digit.is_digit(radix);
    let (digits, radix) = match word.strip_prefix("0x") {
        Some(hexadecimal) => (hexadecimal, 16),
        None => (word, 10),
    };
    if digits.is_empty() || !digits.chars().all(is_digit(radix)) {
        return Err("it is not a number");
    }
    u64::from_str_radix(digits, radix).map_err(|error| match error.kind() {
        PosOverflow | NegOverflow => "it is too large",
        _ => "it is not a number",
    })
}
