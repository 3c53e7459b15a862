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
mod inotify;
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
use crate::log::RateLimit;
use crate::mm;
use crate::sched::Thread;
use abi::errno::Errno;
use alloc::sync::Arc;
use machine::sync::IrqSpinLock;
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
        report_unknown(number, thread);
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

/// Logs a call that this kernel does not have, once for each number and program (by its name).
fn report_unknown(number: u64, thread: &Thread) {
    static LIMIT: RateLimit = RateLimit::new("unknown system calls");
    /// What was reported, the latest in the place of the earliest.
    static SEEN: IrqSpinLock<([u64; 128], usize)> = IrqSpinLock::new("unknown system calls", ([0; 128], 0));
    let name = thread.name();
    // FNV-1a; two programs with the same value cost one line.
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    let hash = name.bytes().chain(number.to_le_bytes()).fold(0xcbf2_9ce4_8422_2325, mix);
    {
        let (seen, next) = &mut *SEEN.lock();
        if seen.contains(&hash) {
            return;
        }
        seen[*next] = hash;
        *next = (*next + 1) % seen.len();
    }
    let call = name_of(number).unwrap_or("?");
    LIMIT.log(
        log::Level::Info,
        format_args!("syscall: {name} wants {call} (number {number}), which is not there"),
    );
}
