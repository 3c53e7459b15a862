//! The clock of the file systems.

use abi::time::Timespec;

/// The time of day, as coarse as the clock allows.
pub(crate) fn now() -> Timespec {
    crate::clock::realtime()
}
