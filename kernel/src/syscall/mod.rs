//! System calls: the table, and the functions by family.
//!
//! Every call has the same shape, [`Function`]: it takes a [`Call`], which names the calling thread and carries
//! the six argument registers, and answers a number or an [`Error`]. [`table`] lists them all on
//! one page; the functions stand in one file per family. [`dispatch`] is the only way in: it runs on the
//! caller's kernel stack with interrupts enabled and may sleep.
//!
//! Rules for the functions: arguments are claims by a program, so conversions are checked and addresses go
//! through `mm::user`; what Linux answers is the reference; a wait that a signal ends returns the error that the
//! wait queue gave (it says how the call restarts), never an EINTR of its own.

mod at;
mod attribute;
mod call;
mod control;
mod descriptor;
mod directory;
mod event;
mod execute;
mod file;
mod futex;
mod identity;
mod memory;
mod message;
mod mount;
mod open;
mod pidfd;
mod poll;
mod process;
mod process_memory;
mod schedule;
mod signal;
mod socket;
mod socket_option;
mod system;
mod table;
mod time;
mod timex;
mod transfer;
mod xattr;

pub(crate) use call::Call;
pub(crate) use table::name_of;

use crate::error::{Error, Restart, Result};
use crate::mm;
use crate::sched::Thread;
use abi::errno::Errno;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};
use machine::user::UserContext;

/// What every system call looks like.
pub(crate) type Function = fn(&mut Call<'_>) -> Result<u64>;

/// Runs the call that `context` asks for and puts the answer into its `rax`.
///
/// Returns how the call wants to be restarted, if a signal ended it; then `rax` holds -EINTR, and
/// `process::signal` decides when it delivers.
pub(crate) fn dispatch(context: &mut UserContext, thread: &Arc<Thread>) -> Option<Restart> {
    let number = context.rax;
    let Some(function) = table::lookup(number) else {
        report_unknown(number);
        context.rax = Errno::ENOSYS.to_return() as u64;
        return None;
    };
    mm::balance();
    let arguments = context.syscall_arguments();
    let mut call = Call { arguments, thread, context };
    match function(&mut call) {
        Ok(value) => {
            context.rax = value;
            None
        }
        Err(Error { errno, restart, .. }) => {
            context.rax = errno.to_return() as u64;
            restart
        }
    }
}

/// Logs a call that this kernel does not have, once for each number.
fn report_unknown(number: u64) {
    const LIMIT: usize = 512;
    static SEEN: [AtomicU64; LIMIT / 64] = [const { AtomicU64::new(0) }; LIMIT / 64];
    let Some(word) = usize::try_from(number).ok().and_then(|n| SEEN.get(n / 64)) else { return };
    let bit = 1u64 << (number % 64);
    if word.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
        log::info!("syscall: {} (number {number}) is not implemented", name_of(number).unwrap_or("?"));
    }
}
