//! The root directory of procfs.

#[cfg(debug_assertions)]
use super::locks;
use super::{
    activity, file_locks, irq, kmsg, mounts, network, process, resources, settings, system,
    table::{Row, RowKind, Table, rows, text},
    terminals, timers, zones,
};
use crate::{
    error::Result,
    fs::{
        inode::FileKind,
        synthetic::{Directory, Item},
    },
    process::{tree, try_current},
    sched,
};
use abi::errno::Errno;
use alloc::{format, vec::Vec};

/// The text of a file of the root directory that is one, for those who have no file system: the kernel's monitor.
///
/// # Errors
/// ENOENT; what making the text says.
pub(crate) fn text_of(name: &str) -> Result<Vec<u8>> {
    match ROWS.iter().find(|row| row.name == name).map(|row| &row.kind) {
        Some(RowKind::Text(show)) => show(&()),
        _ => Err(Errno::ENOENT.into()),
    }
}

/// Everything but the processes.
const ROWS: &[Row<()>] = &[
    Row { name: "self", mode: 0o777, kind: RowKind::Link(self_link) },
    Row { name: "thread-self", mode: 0o777, kind: RowKind::Link(thread_self_link) },
    Row { name: "mounts", mode: 0o777, kind: RowKind::Link(|()| Ok(b"self/mounts".to_vec())) },
    Row { name: "net", mode: 0o777, kind: RowKind::Link(|()| Ok(b"self/net".to_vec())) },
    text("buddyinfo", zones::buddyinfo),
    rows("bus", &[rows("input", &[text("devices", system::input_devices)])]),
    text("cmdline", system::command_line),
    text("consoles", terminals::consoles),
    text("cpuinfo", system::cpuinfo),
    text("devices", system::devices),
    text("diskstats", system::diskstats),
    text("fb", system::framebuffers),
    text("filesystems", mounts::filesystems),
    text("interrupts", irq::interrupts),
    text("iomem", resources::memory),
    text("ioports", resources::ports),
    Row { name: "irq", mode: 0o555, kind: RowKind::Directory(irq::directory) },
    Row { name: "kmsg", mode: 0o400, kind: RowKind::File(kmsg::open) },
    text("loadavg", activity::loadavg),
    #[cfg(debug_assertions)]
    text("lockdep", locks::classes),
    #[cfg(debug_assertions)]
    text("lockdep_stats", locks::statistics),
    text("locks", file_locks::locks),
    text("meminfo", system::meminfo),
    text("partitions", system::partitions),
    text("schedstat", activity::schedstat),
    Row { name: "slabinfo", mode: 0o400, kind: RowKind::Text(zones::slabinfo) },
    text("stat", activity::stat),
    text("swaps", system::swaps),
    Row { name: "timer_list", mode: 0o400, kind: RowKind::Text(timers::timer_list) },
    text("uptime", activity::uptime),
    text("version", system::version),
    text("vmstat", system::vmstat),
    text("zoneinfo", zones::zoneinfo),
    rows("sys", settings::ROWS),
    rows(
        "tty",
        &[
            text("drivers", terminals::drivers),
            text("ldiscs", terminals::disciplines),
            rows("driver", &[text("serial", terminals::serial)]),
        ],
    ),
    Row { name: "sysrq-trigger", mode: 0o200, kind: RowKind::Setting(|()| Ok(Vec::new()), trigger) },
];

/// The rows of net/, for processes.
pub(super) const NETWORK: &[Row<process::Target>] = network::ROWS;

/// The root directory.
pub(super) struct Root {
    table: Table<()>,
}

/// Cursors of processes: this and the pid.
const PROCESSES: u64 = 1 << 20;

impl Root {
    /// The root directory.
    pub(super) fn new() -> Self {
        Self { table: Table { rows: ROWS, subject: () } }
    }
}

impl Directory for Root {
    fn lookup(&self, name: &[u8]) -> Result<Item> {
        match parse_number(name) {
            Some(pid) => process::directory(pid),
            None => self.table.lookup(name),
        }
    }

    fn list(&self, from: u64, visit: &mut dyn FnMut(u64, &[u8], FileKind) -> bool) {
        let mut goes_on = true;
        self.table.list(from, &mut |cursor, name, kind| {
            goes_on = visit(cursor, name, kind);
            goes_on
        });
        let mut pid = i32::try_from(from.saturating_sub(PROCESSES)).unwrap_or(i32::MAX) - 1;
        while goes_on && let Some(next) = tree::next_after(pid.max(0)) {
            pid = next.pid();
            goes_on = visit(PROCESSES + pid as u64, format!("{pid}").as_bytes(), FileKind::Directory);
        }
    }

    fn subdirectories(&self) -> u32 {
        self.table.subdirectories()
    }
}

/// A decimal number without leading zeros, as pids and descriptors are written.
pub(super) fn parse_number(name: &[u8]) -> Option<i32> {
    let is_plain = name == b"0" || (name.first()? != &b'0' && name.iter().all(u8::is_ascii_digit));
    if !is_plain {
        return None;
    }
    core::str::from_utf8(name).ok()?.parse().ok()
}

/// sysrq-trigger: the first letter counts.
fn trigger((): &(), text: &[u8]) -> Result<()> {
    if let Some(letter) = text.first() {
        crate::sysrq::run(*letter);
    }
    Ok(())
}

fn self_link((): &()) -> Result<Vec<u8>> {
    let process = try_current().ok_or(Errno::ENOENT)?;
    Ok(format!("{}", process.pid()).into_bytes())
}

fn thread_self_link((): &()) -> Result<Vec<u8>> {
    let process = try_current().ok_or(Errno::ENOENT)?;
    let thread = sched::current();
    let tid = thread.user().ok_or(Errno::ENOENT)?.tid();
    Ok(format!("{}/task/{tid}", process.pid()).into_bytes())
}
