//! What no library makes safe: forking, memory mappings, signal handlers, timers; the only place with unsafe code.
//!
//! # Soundness
//!
//! Processes fork while they have one thread, and a child ends without returning from [`process::fork`]. Handlers
//! touch atomic numbers and make system calls only. Mappings are read and written through bounds checks.
#![allow(unsafe_code, reason = "the layer that makes system calls safe for the operations")]

pub(crate) mod heap;
pub(crate) mod memory;
pub(crate) mod process;
pub(crate) mod signals;
pub(crate) mod time;

use rustix::io::Errno;

/// The errno that the C library kept.
fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

/// The answer of a function of the C library: -1 is an error.
fn answer(value: i32) -> Result<i32, Errno> {
    if value == -1 { Err(last_errno()) } else { Ok(value) }
}
