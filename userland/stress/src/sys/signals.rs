//! Signals: handlers that count, masks, queues.

use std::mem::zeroed;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use rustix::io::Errno;

use super::{answer, last_errno};
use crate::board::Slot;

/// The signal that workers queue for each other.
pub(crate) fn mail_signal() -> i32 {
    libc::SIGRTMIN() + 1
}

/// Signals by number.
const COUNT: usize = 65;

/// How often the handler ran in this process, by signal.
static HANDLED: [AtomicU64; COUNT] = [const { AtomicU64::new(0) }; COUNT];
/// Where the signals of other workers are counted.
static MAIL_BOX: AtomicPtr<Slot> = AtomicPtr::new(std::ptr::null_mut());

extern "C" fn count(signal: i32, _info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    HANDLED[signal as usize % COUNT].fetch_add(1, SeqCst);
}

extern "C" fn take_mail(_signal: i32, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: `receive_mail` stored the address of a slot that lives for ever.
    let slot = unsafe { &*MAIL_BOX.load(SeqCst) };
    // SAFETY: the kernel passes the address of a live record.
    let info = unsafe { &*info };
    // SAFETY: a signal that was queued has a value.
    let value = unsafe { info.si_value() }.sival_ptr as u64;
    slot.received_sum.fetch_add(value, SeqCst);
    slot.received.fetch_add(1, SeqCst);
}

/// How often the counting handler ran for a signal in this process.
pub(crate) fn handled(signal: i32) -> u64 {
    HANDLED[signal as usize].load(SeqCst)
}

/// Forgets the counts, in a fresh child.
pub(crate) fn forget_counts() {
    for count in &HANDLED {
        count.store(0, SeqCst);
    }
}

/// What to do on a signal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    Default,
    Ignore,
    Count,
    /// Calls that wait are ended by the handler.
    CountAndInterrupt,
}

/// Installs an action.
pub(crate) fn act(signal: i32, action: Action) -> Result<(), Errno> {
    let handler = count as *const () as usize;
    match action {
        Action::Default => install(signal, libc::SIG_DFL, 0),
        Action::Ignore => install(signal, libc::SIG_IGN, 0),
        Action::Count => install(signal, handler, libc::SA_SIGINFO | libc::SA_RESTART),
        Action::CountAndInterrupt => install(signal, handler, libc::SA_SIGINFO),
    }
}

/// Takes what other workers queue for the owner of a slot.
pub(crate) fn receive_mail(slot: &'static Slot) -> Result<(), Errno> {
    MAIL_BOX.store(std::ptr::from_ref(slot).cast_mut(), SeqCst);
    install(mail_signal(), take_mail as *const () as usize, libc::SA_SIGINFO | libc::SA_RESTART)
}

fn install(signal: i32, handler: usize, flags: i32) -> Result<(), Errno> {
    // SAFETY: all fields are numbers, no handler at first.
    let mut action: libc::sigaction = unsafe { zeroed() };
    (action.sa_sigaction, action.sa_flags) = (handler, flags);
    // SAFETY: the handlers above touch atomic numbers only.
    answer(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) }).map(drop)
}

/// Sends a signal with a value.
///
/// # Errors
/// AGAIN: the receiver's queue is full. SRCH: there is no such process.
pub(crate) fn queue(pid: i32, signal: i32, value: u64) -> Result<(), Errno> {
    let value = libc::sigval { sival_ptr: value as usize as *mut libc::c_void };
    // SAFETY: passes numbers.
    answer(unsafe { libc::sigqueue(pid, signal, value) }).map(drop)
}

/// Sends a signal to this thread; it is handled before the call returns, unless blocked.
pub(crate) fn raise(signal: i32) -> Result<(), Errno> {
    // SAFETY: passes a number.
    answer(unsafe { libc::raise(signal) }).map(drop)
}

fn set_of(signals: &[i32]) -> libc::sigset_t {
    // SAFETY: the set is made of numbers.
    let mut set: libc::sigset_t = unsafe { zeroed() };
    // SAFETY: a live object.
    unsafe { libc::sigemptyset(&raw mut set) };
    for signal in signals {
        // SAFETY: a live object; the library refuses numbers out of range.
        unsafe { libc::sigaddset(&raw mut set, *signal) };
    }
    set
}

/// How a mask is changed.
#[derive(Clone, Copy)]
pub(crate) enum Change {
    Block,
    Unblock,
}

/// Blocks or unblocks signals for this thread.
pub(crate) fn mask(change: Change, signals: &[i32]) -> Result<(), Errno> {
    let how = match change {
        Change::Block => libc::SIG_BLOCK,
        Change::Unblock => libc::SIG_UNBLOCK,
    };
    let set = set_of(signals);
    // SAFETY: live objects.
    match unsafe { libc::pthread_sigmask(how, &raw const set, std::ptr::null_mut()) } {
        0 => Ok(()),
        errno => Err(Errno::from_raw_os_error(errno)),
    }
}

/// Takes a blocked signal of these, or waits for one: number, sender and value. `None`: the time is over.
pub(crate) fn take(signals: &[i32], limit: Duration) -> Result<Option<(i32, i32, u64)>, Errno> {
    let set = set_of(signals);
    let deadline = std::time::Instant::now() + limit;
    loop {
        let rest = super::time::timespec(deadline.saturating_duration_since(std::time::Instant::now()));
        // SAFETY: all fields are numbers or addresses that nobody follows.
        let mut info: libc::siginfo_t = unsafe { zeroed() };
        // SAFETY: live objects.
        let signal = unsafe { libc::sigtimedwait(&raw const set, &raw mut info, &raw const rest) };
        if signal == -1 {
            match last_errno() {
                Errno::INTR => continue,
                Errno::AGAIN => return Ok(None),
                errno => return Err(errno),
            }
        }
        // SAFETY: filled in for signals that processes send.
        let pid = unsafe { info.si_pid() };
        // SAFETY: as above.
        let value = unsafe { info.si_value() }.sival_ptr as u64;
        return Ok(Some((signal, pid, value)));
    }
}

/// Waits until a handler has run.
pub(crate) fn pause() {
    // SAFETY: waits.
    unsafe { libc::pause() };
}

/// Unblocks all signals but these until a handler has run; the mask is as before then.
pub(crate) fn suspend_except(blocked: &[i32]) {
    let set = set_of(blocked);
    // SAFETY: a live object.
    unsafe { libc::sigsuspend(&raw const set) };
}
