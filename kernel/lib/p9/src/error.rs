//! What can go wrong.

use core::fmt;

/// A message that cannot be sent, or an answer that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// A string of a request is longer than the protocol can say (65,535 bytes).
    TooLong,
    /// The server breaks the protocol: what it did.
    Broken(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("a string is too long for 9P"),
            Self::Broken(what) => write!(f, "the 9P server breaks the protocol: {what}"),
        }
    }
}

impl core::error::Error for Error {}
