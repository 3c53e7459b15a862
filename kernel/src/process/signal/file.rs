//! Files that signals are read from (signalfd). Source: signalfd(2).
//!
//! The file holds a set of signals only: whose signals they are is the business of whoever reads or polls.

use super::{pending_set, take_pending};
use crate::error::Result;
use crate::fs::file::{File, FileOperations, Seeking};
use crate::fs::io::Destination;
use crate::fs::poll::PollTable;
use crate::sched;
use abi::errno::Errno;
use abi::event::SignalfdSiginfo;
use abi::poll::PollEvents;
use abi::signal::{SigInfo, SigSet};
use machine::sync::SpinLock;
use zerocopy::IntoBytes;

/// The file's operations.
pub(crate) struct SignalFile {
    wanted: SpinLock<SigSet>,
}

impl SignalFile {
    /// A file for these signals.
    pub(crate) fn new(wanted: SigSet) -> SignalFile {
        SignalFile { wanted: SpinLock::new("signalfd", wanted.difference(SigSet::UNBLOCKABLE)) }
    }

    /// Replaces the set.
    pub(crate) fn set_wanted(&self, wanted: SigSet) {
        *self.wanted.lock() = wanted.difference(SigSet::UNBLOCKABLE);
    }

    fn wanted(&self) -> SigSet {
        *self.wanted.lock()
    }

    fn take(&self) -> Option<SigInfo> {
        take_pending(&sched::current(), self.wanted()).map(|(_, info)| info)
    }
}

impl FileOperations for SignalFile {
    fn read(&self, file: &File, _offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        const LENGTH: usize = size_of::<SignalfdSiginfo>();
        if to.remaining() < LENGTH {
            return Err(Errno::EINVAL.into());
        }
        let mut next = match self.take() {
            Some(info) => info,
            None if file.is_nonblocking() => return Err(Errno::EAGAIN.into()),
            None => {
                let process = crate::process::current();
                process.signal_event.wait_interruptible(|| self.take(), None)?
            }
        };
        let mut done = 0;
        loop {
            let written = to.write(SignalfdSiginfo::new(&next).as_bytes())?;
            if written < LENGTH {
                return if done > 0 { Ok(done) } else { Err(Errno::EFAULT.into()) };
            }
            done += LENGTH;
            if to.remaining() < LENGTH {
                return Ok(done);
            }
            match self.take() {
                Some(info) => next = info,
                None => return Ok(done),
            }
        }
    }

    fn seeking(&self) -> Seeking {
        Seeking::Stream
    }

    fn poll(&self, _file: &File, table: &mut PollTable<'_>) -> PollEvents {
        let thread = sched::current();
        let Some(process) = thread.process() else { return PollEvents::empty() };
        table.watch(&process.signal_event);
        let is_ready = !pending_set(&thread).intersection(self.wanted()).is_empty();
        if is_ready { PollEvents::POLLIN | PollEvents::POLLRDNORM } else { PollEvents::empty() }
    }
}
