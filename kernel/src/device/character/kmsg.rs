//! /dev/kmsg: the kernel's log, one record a read; what is written becomes a message.
//!
//! A record is `PRIORITY,SEQUENCE,MICROSECONDS,-,caller=CPU;TEXT` and a newline; bytes of the text that cannot be
//! printed are written as `\xHH`. Each open file has its own place; lseek(2) moves it to the oldest message (SEEK_SET), the
//! last "clear" (SEEK_DATA) or behind the newest (SEEK_END). Source: Linux's Documentation/ABI/testing/dev-kmsg.

use super::CharacterDevice;
use crate::error::{Error, Result};
use crate::fs::file::{File, FileOperations, OpenFlags, Seeking};
use crate::fs::io::{Destination, Source};
use crate::fs::poll::PollTable;
use crate::log::{self, RateLimit, Reader};
use abi::errno::Errno;
use abi::misc::{SEEK_DATA, SEEK_END, SEEK_SET};
use abi::poll::PollEvents;
use abi::stat::DeviceNumber;
use alloc::{format, string::String, sync::Arc, vec};
use core::fmt::Write;
use machine::sync::IrqSpinLock;

/// Facility "user", which a program's messages get if they claim the kernel's.
const FACILITY_USER: u8 = 1 << 3;

struct Kmsg;

struct OpenKmsg {
    reader: IrqSpinLock<Reader>,
    limit: RateLimit,
}

/// Adds the device.
pub(super) fn register() {
    super::register(DeviceNumber::new(1, 11), "kmsg", 0o644, Arc::new(Kmsg));
}

impl CharacterDevice for Kmsg {
    fn open(&self, _flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        let reader = IrqSpinLock::new("kmsg", Reader::at_oldest());
        Ok(Arc::new(OpenKmsg { reader, limit: RateLimit::new("kmsg") }))
    }
}

impl OpenKmsg {
    /// The next record as text, and the place behind it; `None`: there is none yet.
    ///
    /// # Errors
    /// EPIPE: it is gone; the next read gives what is the oldest by then.
    fn next(&self, room: usize) -> Result<Option<String>> {
        let mut reader = self.reader.lock();
        let mut ahead = reader.clone();
        let mut buffer = [0; log::MAX_MESSAGE];
        let Some((record, text)) = ahead.next(&mut buffer) else { return Ok(None) };
        if record.sequence != reader.sequence() {
            *reader = Reader::at_oldest();
            return Err(Error::new(Errno::EPIPE, "messages were lost"));
        }
        let microseconds = record.header.time_ns / 1000;
        let mut line = format!(
            "{},{},{microseconds},-,caller=C{};",
            record.header.priority, record.sequence, record.header.cpu
        );
        escape(text, &mut line);
        // As on Linux, a record that finds no room is gone as well.
        *reader = ahead;
        if room < line.len() {
            return Err(Error::new(Errno::EINVAL, "the buffer is too small for the message"));
        }
        Ok(Some(line))
    }
}

impl FileOperations for OpenKmsg {
    fn read(&self, file: &File, _offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        let room = to.remaining();
        let line = match self.next(room)? {
            Some(line) => line,
            None if file.is_nonblocking() => return Err(Errno::EAGAIN.into()),
            None => log::NEWS.wait_interruptible(|| self.next(room).transpose(), None)??,
        };
        to.write(line.as_bytes())
    }

    fn seeking(&self) -> Seeking {
        Seeking::Nowhere
    }

    fn seek(&self, offset: i64, whence: u32) -> Option<Result<u64>> {
        if offset != 0 {
            return Some(Err(Errno::ESPIPE.into()));
        }
        let place = match whence {
            SEEK_SET => Reader::at_oldest(),
            SEEK_DATA => Reader::at_cleared(),
            SEEK_END => Reader::at_newest(),
            _ => return Some(Err(Errno::EINVAL.into())),
        };
        *self.reader.lock() = place;
        Some(Ok(0))
    }

    fn write(&self, _file: &File, _offset: &mut u64, from: &mut Source<'_>) -> Result<usize> {
        let length = from.remaining();
        if length > log::MAX_MESSAGE {
            return Err(Error::new(Errno::EINVAL, "the message is too long"));
        }
        let mut text = vec![0; length];
        let moved = from.read(&mut text)?;
        if self.limit.admits() {
            let (priority, text) = split_priority(&text[..moved], log::levels().message);
            log::append(priority, text.trim_ascii_end());
        }
        Ok(moved)
    }

    fn poll(&self, _file: &File, table: &mut PollTable<'_>) -> PollEvents {
        table.watch(&log::NEWS);
        let reader = self.reader.lock().clone();
        let mut events = PollEvents::POLLOUT | PollEvents::POLLWRNORM;
        events.set(PollEvents::POLLIN | PollEvents::POLLRDNORM, reader.has_next());
        events.set(PollEvents::POLLERR | PollEvents::POLLPRI, reader.is_overtaken());
        events
    }
}

/// Takes `<N>` off the front: facility and level. A program cannot speak as the kernel.
fn split_priority(text: &[u8], default_level: u8) -> (u8, &[u8]) {
    let parse = || {
        let rest = text.strip_prefix(b"<")?;
        let end = rest.iter().position(|byte| *byte == b'>')?;
        let number: u8 = core::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
        Some((number, &rest[end + 1..]))
    };
    let (priority, text) = parse().unwrap_or((default_level, text));
    (if priority < 8 { FACILITY_USER | priority } else { priority }, text)
}

/// The text as Linux shows it: what cannot be printed (newlines too) as `\xHH`.
fn escape(text: &[u8], line: &mut String) {
    for &byte in text {
        match byte {
            b' '..=b'~' if byte != b'\\' => line.push(char::from(byte)),
            // Writing to a string does not fail.
            _ => drop(write!(line, "\\x{byte:02x}")),
        }
    }
    line.push('\n');
}
