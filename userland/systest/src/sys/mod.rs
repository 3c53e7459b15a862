//! The thin layer over the system calls, and the only place with unsafe code.
//!
//! Calls are made by number, past the C library, so that both C libraries and both kernels are asked the
//! same. Errors are errnos. What needs the C library's knowledge (fork, signal handlers, threads) uses it.
//!
//! # Soundness
//!
//! Wrappers pass pointers only to buffers they borrow for the length of the call, with the true length.
//! [`probe`] passes numbers that the tests choose, addresses among them: it is for calls that must fail, or that take
//! no addresses; a test program may take that liberty, other programs must not. Forked children run safe code of a
//! process with one thread, and end without returning.
#![allow(unsafe_code, reason = "the layer that makes system calls safe for the tests")]

pub(crate) mod clock;
pub(crate) mod faults;
pub(crate) mod files;
pub(crate) mod inotify;
pub(crate) mod memory;
pub(crate) mod process;
pub(crate) mod registers;
pub(crate) mod schedule;
pub(crate) mod signals;
pub(crate) mod sockets;
pub(crate) mod terminal;
pub(crate) mod time;
pub(crate) mod users;
pub(crate) mod xattrs;

use std::arch::asm;
use std::ffi::{CStr, CString};
use std::fmt;

/// An error number as the kernel answers it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

pub(crate) type Result<T> = std::result::Result<T, Errno>;

impl fmt::Display for Errno {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "errno {} ({})", self.0, std::io::Error::from_raw_os_error(self.0))
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// One system call.
///
/// # Safety
/// Arguments that the call takes as addresses must be valid for what it does with them.
unsafe fn raw(number: i64, arguments: &[usize]) -> Result<usize> {
    let argument = |index: usize| arguments.get(index).copied().unwrap_or(0);
    let answer: isize;
    // SAFETY: the instruction changes the registers named here and what the caller answers for.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => answer,
            in("rdi") argument(0), in("rsi") argument(1), in("rdx") argument(2),
            in("r10") argument(3), in("r8") argument(4), in("r9") argument(5),
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    match answer {
        -4095..0 => Err(Errno(-answer as i32)),
        _ => Ok(answer as usize),
    }
}

/// A call whose arguments are numbers or addresses nobody uses; see the module's head.
pub(crate) fn probe(number: i64, arguments: &[usize]) -> Result<usize> {
    // SAFETY: tests choose arguments that make the call fail or that are no addresses.
    unsafe { raw(number, arguments) }
}

/// A call whose arguments are numbers and live buffers of the caller.
macro_rules! call {
    ($name:ident $(, $argument:expr)* $(,)?) => {
        // A match, because temporaries among the arguments must live until the call is over.
        match [$($crate::sys::Argument::register($argument)),*] {
            // SAFETY: the wrapper passes numbers, and pointers to what it borrows, with the true length.
            arguments => unsafe { $crate::sys::raw(libc::$name, &arguments) },
        }
    };
}
use call;

/// What fits into a register of a system call.
trait Argument {
    fn register(self) -> usize;
}

macro_rules! argument {
    ($($kind:ty => |$value:ident| $register:expr;)*) => {
        $(impl Argument for $kind {
            fn register(self) -> usize {
                let $value = self;
                $register
            }
        })*
    };
}

argument! {
    i32 => |value| value as isize as usize;
    u32 => |value| value as usize;
    i64 => |value| value as usize;
    u64 => |value| value as usize;
    usize => |value| value;
    &CStr => |value| value.as_ptr() as usize;
    &CString => |value| value.as_ptr() as usize;
}

impl<T> Argument for *const T {
    fn register(self) -> usize {
        self as usize
    }
}

impl<T> Argument for *mut T {
    fn register(self) -> usize {
        self as usize
    }
}

/// A path as the kernel wants it.
fn path(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Errno(libc::EINVAL))
}
