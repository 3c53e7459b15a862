//! /dev/kmsg: the kernel's log, one record a read; what is written becomes a message.
//!
//! A record is `PRIORITY,SEQUENCE,MICROSECONDS,-;TEXT` and a newline; bytes of the text that cannot be printed
//! are written as `\xHH`. Each open file has its own place. Source: Linux's
//! Documentation/ABI/testing/dev-kmsg.

use super::CharacterDevice;
use crate::error::{Error, Result};
use crate::fs::file::{File, FileOperations, OpenFlags, Seeking};
use crate::fs::io::{Destination, Source};
use crate::fs::poll::PollTable;
use crate::log::{self, Reader};
use crate::sync::Mutex;
use abi::errno::Errno;
use abi::poll::PollEvents;
use abi::stat::DeviceNumber;
use alloc::{format, string::String, sync::Arc, vec};
use core::fmt::Write;

/// Facility "user", which a program's messages get if they claim the kernel's.
const FACILITY_USER: u8 = 1 << 3;
/// Level of a message that does not tell one: a warning.
const DEFAULT_LEVEL: u8 = 4;

struct Kmsg;

struct OpenKmsg {
    reader: Mutex<Reader>,
}

/// Adds the device.
pub(super) fn register() {
    super::register(DeviceNumber::new(1, 11), "kmsg", 0o644, Arc::new(Kmsg));
}

impl CharacterDevice for Kmsg {
    fn open(&self, _flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        Ok(Arc::new(OpenKmsg { reader: Mutex::new("kmsg", Reader::at_oldest()) }))
    }
}

impl FileOperations for OpenKmsg {
    fn read(&self, file: &File, _offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        let mut reader = self.reader.lock();
        if !reader.has_next() {
            if file.is_nonblocking() {
                return Err(Errno::EAGAIN.into());
            }
            log::NEWS.wait_interruptible(|| reader.has_next().then_some(()), None)?;
        }
        let expected = reader.sequence();
        let before = reader.clone();
        let mut buffer = [0; log::MAX_MESSAGE];
        let Some((record, text)) = reader.next(&mut buffer) else { return Err(Errno::EAGAIN.into()) };
        if record.sequence != expected {
            // The next read gives what is the oldest by then.
            *reader = Reader::at_oldest();
            return Err(Error::new(Errno::EPIPE, "messages were lost"));
        }
        let microseconds = record.header.time_ns / 1000;
        let mut line = format!("{},{},{microseconds},-;", record.header.priority, record.sequence);
        escape(text, &mut line);
        if to.remaining() < line.len() {
            *reader = before;
            return Err(Error::new(Errno::EINVAL, "the buffer is too small for the message"));
        }
        to.write(line.as_bytes())
    }

    fn seeking(&self) -> Seeking {
        Seeking::Nowhere
    }

    fn write(&self, _file: &File, _offset: &mut u64, from: &mut Source<'_>) -> Result<usize> {
        let length = from.remaining();
        if length > log::MAX_MESSAGE {
            return Err(Error::new(Errno::EINVAL, "the message is too long"));
        }
        let mut text = vec![0; length];
        let moved = from.read(&mut text)?;
        let (priority, text) = split_priority(&text[..moved]);
        log::append(priority, text.trim_ascii_end());
        Ok(moved)
    }

    fn poll(&self, _file: &File, table: &mut PollTable<'_>) -> PollEvents {
        table.watch(&log::NEWS);
        let mut events = PollEvents::POLLOUT | PollEvents::POLLWRNORM;
        events.set(PollEvents::POLLIN | PollEvents::POLLRDNORM, self.reader.lock().has_next());
        events
    }
}

/// Takes `<N>` off the front: facility and level. A program cannot speak as the kernel.
fn split_priority(text: &[u8]) -> (u8, &[u8]) {
    let parse = || {
        let rest = text.strip_prefix(b"<")?;
        let end = rest.iter().position(|byte| *byte == b'>')?;
        let number: u8 = core::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
        Some((number, &rest[end + 1..]))
    };
    let (priority, text) = parse().unwrap_or((DEFAULT_LEVEL, text));
    (if priority < 8 { FACILITY_USER | priority } else { priority }, text)
}

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
