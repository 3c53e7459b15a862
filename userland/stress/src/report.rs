//! What an operation answers. The macros that check results are the crate `checking`'s.
//!
//! An operation is done, failed, or refused: the system said that it has no memory (or no room for one more
//! process). A refusal is allowed where the caller said so (`--refusals`), and ends the operation.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use checking::Failure;
use rustix::io::Errno;

/// The answer of an operation; `?` turns an unexpected error into a failure.
pub(crate) type Outcome<T = ()> = Result<T, Stop>;

/// Why an operation did not get to its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A result is wrong.
    Fail(String),
    /// The system has no memory for it.
    Refused,
    /// A child has reported a failure already.
    Told,
}

impl Stop {
    /// The other side is gone too early: it was refused memory, where that is allowed.
    #[track_caller]
    pub(crate) fn left(who: &str) -> Self {
        if HAS_REFUSALS.load(Ordering::Relaxed) { Stop::Refused } else { Stop::fail(format!("{who} left")) }
    }

    #[track_caller]
    pub(crate) fn fail(why: impl fmt::Display) -> Self {
        Failure::new(why).into()
    }
}

/// Whether the system may refuse memory, so that a process may leave others in the middle of their work.
static HAS_REFUSALS: AtomicBool = AtomicBool::new(false);

/// Allows refusals, before there are workers.
pub(crate) fn allow_refusals() {
    HAS_REFUSALS.store(true, Ordering::Relaxed);
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Fail(failure.into_text())
    }
}

impl From<Errno> for Stop {
    #[track_caller]
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOMEM => Stop::Refused,
            Errno::PIPE | Errno::CONNRESET => Stop::left("the other side"),
            _ => Stop::fail(format!("unexpected {errno}")),
        }
    }
}

impl From<std::io::Error> for Stop {
    #[track_caller]
    fn from(error: std::io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(errno) => Stop::from(errno),
            None => Stop::fail(format!("unexpected error: {error}")),
        }
    }
}

pub(crate) use checking::{ensure, ensure_eq};

/// Fails unless the bytes are those expected; tells the first difference.
#[track_caller]
pub(crate) fn same_bytes(what: &str, seen: &[u8], expected: &[u8]) -> Outcome {
    if seen == expected {
        return Ok(());
    }
    if expected.starts_with(seen) {
        return Err(Stop::left(what));
    }
    let at = seen.iter().zip(expected).position(|(seen, expected)| seen != expected);
    Err(Stop::fail(match at {
        Some(at) => {
            format!("{what}: byte {at} of {} is {:#x}, expected {:#x}", seen.len(), seen[at], expected[at])
        }
        None => format!("{what}: {} bytes, expected {}", seen.len(), expected.len()),
    }))
}
