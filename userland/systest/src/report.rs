//! What a test answers, and the macros that make the answers (the plain checks are the crate `checking`'s).
//!
//! A test returns [`Outcome`]: done, failed, or skipped because this system lacks what it needs. Each
//! failure names its source line.

use std::fmt;

use checking::Failure;

use crate::sys::Errno;

/// The answer of a test; `?` turns an unexpected error into a failure.
pub(crate) type Outcome<T = ()> = Result<T, Stop>;

/// Why a test did not get to its end.
#[derive(Debug)]
pub(crate) enum Stop {
    Fail(String),
    Skip(String),
}

impl Stop {
    #[track_caller]
    pub(crate) fn fail(why: impl fmt::Display) -> Self {
        Failure::new(why).into()
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Fail(failure.into_text())
    }
}

impl From<Errno> for Stop {
    #[track_caller]
    fn from(errno: Errno) -> Self {
        Stop::fail(format!("unexpected {errno}"))
    }
}

impl From<std::io::Error> for Stop {
    #[track_caller]
    fn from(error: std::io::Error) -> Self {
        Stop::fail(format!("unexpected error: {error}"))
    }
}

/// A test and the name it is called by.
pub(crate) struct Test {
    pub(crate) name: &'static str,
    pub(crate) run: fn() -> Outcome,
}

/// The table of an area: its functions, in the order of running.
macro_rules! tests {
    ($($function:ident),* $(,)?) => {
        pub(crate) const TESTS: &[$crate::report::Test] =
            &[$($crate::report::Test { name: stringify!($function), run: $function }),*];
    };
}

/// Fails unless the call fails with this errno (or one of these).
macro_rules! ensure_errno {
    ($call:expr, $($errno:ident)|+) => {
        match $call {
            Err(errno) if $(errno.0 == libc::$errno)||+ => {}
            Err(errno) => {
                return Err($crate::report::Stop::fail(format!(
                    "{} gave {errno}, expected {}", stringify!($call), stringify!($($errno)|+)
                )));
            }
            Ok(value) => {
                return Err($crate::report::Stop::fail(format!(
                    "{} succeeded with {value:?}, expected {}", stringify!($call), stringify!($($errno)|+)
                )));
            }
        }
    };
}

/// Ends the test as skipped.
macro_rules! skip {
    ($($message:tt)+) => { return Err($crate::report::Stop::Skip(format!($($message)+))) };
}

/// Takes the value of a call, or skips the test when this system has no such call or file system.
macro_rules! or_skip {
    ($call:expr, $($errno:ident)|+) => {
        match $call {
            Ok(value) => value,
            Err(errno) if $(errno.0 == libc::$errno)||+ => $crate::report::skip!("{}: {errno}", stringify!($call)),
            Err(errno) => return Err(errno.into()),
        }
    };
}

pub(crate) use checking::{ensure, ensure_eq};
pub(crate) use {ensure_errno, or_skip, skip, tests};
