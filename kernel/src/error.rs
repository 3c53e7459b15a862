//! The one error type of the kernel: what Linux answers, and why.

use abi::errno::Errno;
use core::fmt;

/// A failure as a system call reports it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Error {
    /// What the program sees.
    pub(crate) errno: Errno,
    /// What a person wants to know; empty where the number says it all.
    pub(crate) context: &'static str,
    /// For EINTR: how the system call goes on, if nobody wants to see the EINTR.
    pub(crate) restart: Option<Restart>,
}

/// How a system call that a signal ended goes on after the signal (Linux's internal ERESTART numbers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restart {
    /// It is made again in any case (ERESTARTNOINTR).
    Always,
    /// Again, unless a handler without `SA_RESTART` ran (ERESTARTSYS).
    UnlessHandlerForbids,
    /// Again, unless a handler ran (ERESTARTNOHAND).
    WithoutHandler,
    /// By `restart_syscall` with what the thread has noted down, unless a handler ran (ERESTART_RESTARTBLOCK).
    Resume,
}

/// The result of everything that can fail on behalf of a program.
pub(crate) type Result<T> = core::result::Result<T, Error>;

impl Error {
    /// An error with its reason.
    pub(crate) const fn new(errno: Errno, context: &'static str) -> Self {
        Self { errno, context, restart: None }
    }

    /// A signal ended a wait: EINTR, unless the call can be made again.
    pub(crate) const fn interrupted() -> Self {
        Self { errno: Errno::EINTR, context: "a signal came", restart: Some(Restart::UnlessHandlerForbids) }
    }

    /// The same error with another way to go on, if it is one of a wait that a signal ended.
    pub(crate) const fn restarting(self, restart: Option<Restart>) -> Self {
        match self.restart {
            Some(_) => Self { restart, ..self },
            None => self,
        }
    }
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        Self::new(errno, "")
    }
}

impl From<machine::mm::OutOfMemory> for Error {
    fn from(_: machine::mm::OutOfMemory) -> Self {
        Self::new(Errno::ENOMEM, "out of memory")
    }
}

impl From<machine::mm::user::Fault> for Error {
    fn from(_: machine::mm::user::Fault) -> Self {
        Self::new(Errno::EFAULT, "bad user address")
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.context.is_empty() {
            write!(f, "{:?}", self.errno)
        } else {
            write!(f, "{:?} ({})", self.errno, self.context)
        }
    }
}
