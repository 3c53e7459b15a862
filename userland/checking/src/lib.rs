//! Checks of results, for the programs that test: what is not so ends the function with an error that says what was found,
//! what was expected, and where.
//!
//! The macros return a [`Failure`], turned into the error type of the function that they stand in (`From<Failure>`).

use std::fmt;
use std::panic::Location;

/// Something is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    /// What is wrong; the caller's place in the source is added.
    #[track_caller]
    pub fn new(why: impl fmt::Display) -> Failure {
        let at = Location::caller();
        let file = at.file().rsplit('/').next().unwrap_or_default();
        Failure(format!("{why} ({file}:{})", at.line()))
    }

    /// The whole message.
    pub fn into_text(self) -> String {
        self.0
    }
}

/// The optional remark behind an [`ensure_eq!`].
pub fn note(remark: &[String]) -> String {
    remark.iter().map(|text| format!("; {text}")).collect()
}

/// Fails unless the condition holds.
#[macro_export]
macro_rules! ensure {
    ($condition:expr) => {{
        let holds: bool = $condition;
        if !holds {
            return Err($crate::Failure::new(concat!("not so: ", stringify!($condition))).into());
        }
    }};
    ($condition:expr, $($message:tt)+) => {{
        let holds: bool = $condition;
        if !holds {
            return Err($crate::Failure::new(format!($($message)+)).into());
        }
    }};
}

/// Fails unless both are equal.
#[macro_export]
macro_rules! ensure_eq {
    ($left:expr, $right:expr $(, $($message:tt)+)?) => {{
        let (left, right) = (&$left, &$right);
        if left != right {
            return Err($crate::Failure::new(format!(
                "{} is {left:?}, expected {right:?}{}",
                stringify!($left),
                $crate::note(&[$(format!($($message)+))?]),
            )).into());
        }
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_say_what_and_where() {
        let check = |number: u32| -> Result<(), Failure> {
            ensure!(number < 10);
            ensure!(number < 9, "{number} is too large");
            ensure_eq!(number, 3, "of {}", "three");
            Ok(())
        };
        let says = |number| check(number).map_err(Failure::into_text);
        assert_eq!(says(3), Ok(()));
        let line = line!() - 7;
        assert_eq!(says(10), Err(format!("not so: number < 10 (lib.rs:{line})")));
        assert_eq!(says(9), Err(format!("9 is too large (lib.rs:{})", line + 1)));
        assert_eq!(says(2), Err(format!("number is 2, expected 3; of three (lib.rs:{})", line + 2)));
    }
}
