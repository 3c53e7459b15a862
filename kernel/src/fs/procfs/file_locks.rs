//! locks: the locks on files that are held, each with those who wait for it. Source: proc_locks(5).

use crate::{
    error::Result,
    fs::lock::{self, Api, LockKind, Owner, Record, Report},
};
use alloc::{string::String, vec::Vec};
use core::fmt::{self, Write};

/// locks.
pub(super) fn locks((): &()) -> Result<Vec<u8>> {
    let mut text = String::new();
    for (number, report) in (1..).zip(lock::all()) {
        // Writing to a string does not fail.
        let _ = write_lock(&mut text, number, &report);
    }
    Ok(text.into_bytes())
}

fn write_lock(text: &mut String, number: usize, report: &Report) -> fmt::Result {
    write!(text, "{number}: ")?;
    write_record(text, report, &report.held)?;
    report.waiting.iter().try_for_each(|wanted| {
        write!(text, "{number}: -> ")?;
        write_record(text, report, wanted)
    })
}

fn write_record(text: &mut String, report: &Report, record: &Record) -> fmt::Result {
    let api = match (report.api, record.owner) {
        (Api::Flock, _) => "FLOCK ",
        (Api::Record, Owner::Process(_)) => "POSIX ",
        (Api::Record, Owner::Description(_)) => "OFDLCK",
    };
    let kind = match record.kind {
        LockKind::Shared => "READ",
        LockKind::Exclusive => "WRITE",
    };
    let (device, inode) = (report.device, report.inode);
    write!(
        text,
        "{api} ADVISORY  {kind} {} {:02x}:{:02x}:{inode} {} ",
        record.pid, device.major, device.minor, record.start
    )?;
    match record.last {
        u64::MAX => text.write_str("EOF\n"),
        last => writeln!(text, "{last}"),
    }
}
