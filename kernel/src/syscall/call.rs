//! One system call in progress: who calls, and typed access to the argument registers.

use crate::error::{Error, Restart, Result};
use crate::process::Process;
use crate::sched::Thread;
use alloc::boxed::Box;
use alloc::sync::Arc;
use machine::user::UserContext;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A system call in progress.
pub(crate) struct Call<'a> {
    /// The argument registers, `rdi rsi rdx r10 r8 r9`.
    pub(crate) arguments: [u64; 6],
    /// The thread that calls; it is the current one.
    pub(crate) thread: &'a Arc<Thread>,
    /// Its registers. `rax` still holds the number; the result overwrites it when the function returns, so a call
    /// that sets registers itself (sigreturn, execve) returns what `rax` is to hold.
    pub(crate) context: &'a mut UserContext,
}

impl<'a> Call<'a> {
    /// Argument `index` (0 to 5) as it stands in the register.
    pub(crate) fn arg(&self, index: usize) -> u64 {
        self.arguments[index]
    }

    /// An `int`: the low half of the register; programs leave garbage in the upper half.
    pub(crate) fn int(&self, index: usize) -> i32 {
        self.arg(index) as i32
    }

    /// An `unsigned int`.
    pub(crate) fn uint(&self, index: usize) -> u32 {
        self.arg(index) as u32
    }

    /// A `long`.
    pub(crate) fn long(&self, index: usize) -> i64 {
        self.arg(index) as i64
    }

    /// A `size_t`.
    pub(crate) fn size(&self, index: usize) -> usize {
        self.arg(index) as usize
    }

    /// Copies in what an address argument points to.
    ///
    /// # Errors
    /// EFAULT.
    pub(crate) fn read<T: FromBytes + IntoBytes>(&self, index: usize) -> Result<T> {
        read(self.arg(index))
    }

    /// Copies in what an address argument points to, `None` for NULL.
    ///
    /// # Errors
    /// EFAULT.
    pub(crate) fn read_optional<T: FromBytes + IntoBytes>(&self, index: usize) -> Result<Option<T>> {
        self.address(index).map(read).transpose()
    }

    /// Copies out to where an address argument points.
    ///
    /// # Errors
    /// EFAULT.
    pub(crate) fn write<T: IntoBytes + Immutable>(&self, index: usize, value: &T) -> Result<()> {
        Ok(machine::mm::user::copy_to(self.arg(index), value.as_bytes())?)
    }

    /// Copies out to where an address argument points, unless it is NULL.
    ///
    /// # Errors
    /// EFAULT.
    pub(crate) fn write_optional<T: IntoBytes + Immutable>(&self, index: usize, value: &T) -> Result<()> {
        if self.address(index).is_some() { self.write(index, value) } else { Ok(()) }
    }

    /// Notes how `restart_syscall` is to go on, if `error` says that a signal ended the call; returns the error to
    /// answer with.
    pub(crate) fn resume_later(
        &self,
        error: Error,
        resume: impl FnOnce(&mut Call<'_>) -> Result<u64> + Send + 'static,
    ) -> Error {
        match (error.restart, self.thread.user()) {
            (Some(_), Some(user)) => {
                user.set_restart(Box::new(resume));
                error.restarting(Some(Restart::Resume))
            }
            _ => error,
        }
    }

    /// A file descriptor, valid or not.
    pub(crate) fn fd(&self, index: usize) -> i32 {
        self.int(index)
    }

    /// A user address, `None` for NULL.
    pub(crate) fn address(&self, index: usize) -> Option<u64> {
        Some(self.arg(index)).filter(|&address| address != 0)
    }

    /// The process that calls.
    pub(crate) fn process(&self) -> &'a Arc<Process> {
        self.thread.process().expect("only threads of a process make system calls")
    }
}

fn read<T: FromBytes + IntoBytes>(address: u64) -> Result<T> {
    let mut value = T::new_zeroed();
    machine::mm::user::copy_from(value.as_mut_bytes(), address)?;
    Ok(value)
}
