//! Signals that file operations send to who caused them: SIGPIPE, SIGXFSZ.

use crate::{process::signal, sched};
use abi::signal::{SI_KERNEL, SigInfo, Signal};

/// Sends a signal to the current thread; kernel threads take none.
pub(crate) fn send_to_current(name: Signal) {
    // Standard signals always find room.
    let _ = signal::send_to_thread(&sched::current(), name, SigInfo::new(name, SI_KERNEL));
}
