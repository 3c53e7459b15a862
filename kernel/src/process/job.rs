//! Process groups and sessions, as the system calls change them. Source: setpgid(2), setsid(2).

use super::{Process, tree};
use crate::error::{Error, Result};
use abi::errno::Errno;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

/// Makes a process the leader of a new session and a new group (setsid); answers its id.
///
/// # Errors
/// EPERM if it leads a group already.
pub(crate) fn start_session(process: &Arc<Process>) -> Result<u64> {
    tree::set_session(process)?;
    Ok(process.pid() as u64)
}

/// Moves `process` into a group (setpgid), for `caller`: itself, or a child that has not executed a program yet.
///
/// # Errors
/// ESRCH for somebody else's process, EACCES for a child after execve, EPERM across sessions and for leaders.
pub(crate) fn move_to_group(caller: &Arc<Process>, process: &Arc<Process>, group: i32) -> Result<u64> {
    if process.pid() != caller.pid() {
        if process.parent_id() != caller.pid() {
            return Err(Errno::ESRCH.into());
        }
        if process.session_id() != caller.session_id() {
            return Err(Error::new(Errno::EPERM, "the child has a session of its own"));
        }
        if process.flags.has_executed.load(Ordering::Relaxed) {
            return Err(Error::new(Errno::EACCES, "the child has executed a program"));
        }
    }
    tree::set_group(process, group)?;
    Ok(0)
}
