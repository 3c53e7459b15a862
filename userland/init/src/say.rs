//! Messages: one line each, starting with `init: `, on standard error.

use std::io::Write;

/// Prints one line. An unwritable console is no reason for process 1 to panic, as `eprintln!` would.
macro_rules! say {
    ($($message:tt)*) => { $crate::say::line(&format!($($message)*)) };
}
pub(crate) use say;

/// Writes the line in one call, so that lines of several processes do not mix.
pub(crate) fn line(message: &str) {
    let _ = std::io::stderr().write_all(format!("init: {message}\n").as_bytes());
}
