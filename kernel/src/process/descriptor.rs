//! Process descriptors: files that stand for a process, and for no other that later has its number. Source: pidfd_open(2).

use super::Process;
use crate::error::{Error, Result};
use crate::fs::anonymous;
use crate::fs::fd::OnExec;
use crate::fs::file::{File, FileOperations, OpenFlags, Seeking};
use crate::fs::poll::PollTable;
use abi::errno::Errno;
use abi::poll::PollEvents;
use alloc::sync::Arc;

/// The file's operations.
pub(crate) struct ProcessFile {
    process: Arc<Process>,
}

impl FileOperations for ProcessFile {
    fn seeking(&self) -> Seeking {
        Seeking::Stream
    }

    /// It becomes readable when the process has ended, though there is nothing to read.
    fn poll(&self, _file: &File, table: &mut PollTable<'_>) -> PollEvents {
        table.watch(&self.process.exit_event);
        if self.process.has_ended() {
            PollEvents::POLLIN | PollEvents::POLLRDNORM
        } else {
            PollEvents::empty()
        }
    }
}

/// Gives `owner` a descriptor of `process`. `flags` may hold O_NONBLOCK.
///
/// # Errors
/// EMFILE.
pub(crate) fn install(owner: &Process, process: Arc<Process>, flags: OpenFlags) -> Result<i32> {
    let operations = Arc::new(ProcessFile { process });
    let file = anonymous::open("[pidfd]", operations, flags | OpenFlags::O_RDWR);
    owner.files().install(file, OnExec::Close)
}

/// The process that a descriptor of `owner` stands for, and the file.
///
/// # Errors
/// EBADF if it is no process descriptor.
pub(crate) fn find(owner: &Process, descriptor: i32) -> Result<(Arc<Process>, Arc<File>)> {
    let file = owner.files().get(descriptor)?;
    let operations = file.operations_as::<ProcessFile>();
    let process = operations.ok_or(Error::new(Errno::EBADF, "not a process descriptor"))?.process.clone();
    Ok((process, file))
}
