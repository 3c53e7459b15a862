//! kmsg: the log as text, each byte given to one reader only. For syslog daemons of the old kind; the new kind reads
//! /dev/kmsg. Source: proc_kmsg(5).

use crate::{
    error::{Error, Result},
    fs::{
        file::{File, FileOperations, Seeking},
        io::{Destination, Source},
        poll::PollTable,
    },
    log::{NEWS, syslog},
    process::{credentials::capability, try_current},
};
use abi::{errno::Errno, poll::PollEvents};
use alloc::sync::Arc;

/// The most that a read takes at once.
const CHUNK: usize = 16 * 1024;

struct OpenKmsg;

/// What it does when it is open.
pub(super) fn open((): &()) -> Arc<dyn FileOperations> {
    Arc::new(OpenKmsg)
}

/// Reading takes messages away from others: for root alone, however the file was opened.
fn check_access() -> Result<()> {
    let is_allowed = try_current().is_none_or(|current| {
        let credentials = current.credentials();
        credentials.has(capability::SYSLOG) || credentials.has(capability::SYS_ADMIN)
    });
    if is_allowed { Ok(()) } else { Err(Errno::EPERM.into()) }
}

impl FileOperations for OpenKmsg {
    fn read(&self, file: &File, _offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        check_access()?;
        let limit = to.remaining().min(CHUNK);
        if limit == 0 {
            return Ok(0);
        }
        let text = if file.is_nonblocking() { syslog::try_take(limit) } else { syslog::take(limit)? };
        if text.is_empty() {
            return Err(Errno::EAGAIN.into());
        }
        to.write(&text)
    }

    fn write(&self, _file: &File, _offset: &mut u64, _from: &mut Source<'_>) -> Result<usize> {
        Err(Error::new(Errno::EIO, "this file is for reading"))
    }

    fn seeking(&self) -> Seeking {
        Seeking::Stream
    }

    fn poll(&self, _file: &File, table: &mut PollTable<'_>) -> PollEvents {
        table.watch(&NEWS);
        let mut events = PollEvents::empty();
        events.set(PollEvents::POLLIN | PollEvents::POLLRDNORM, syslog::has_untaken());
        events
    }
}
