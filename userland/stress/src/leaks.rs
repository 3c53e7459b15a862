//! Counts that must be after a run what they were before: tasks, open files, and each kind of memory.
//!
//! They are the whole system's, from /proc, so they mean something only where nothing else runs. Caches are first written
//! (sync(2)) and then dropped (/proc/sys/vm/drop_caches). Every frame of memory is in one of the counts: what is missing
//! is found in one that has grown. What is freed a little later (ended threads, delayed work) gets some time.

use std::fmt;
use std::time::{Duration, Instant};

use crate::report::{Outcome, Stop};
use crate::supervisor::print;

/// How long to wait for counts to come back.
const PATIENCE: Duration = Duration::from_secs(10);
/// KiB by which memory may differ: stacks and tables for stacks that the kernel keeps, free lists, and our own texts.
const SLACK_KIB: u64 = 256;

/// What is counted; memory in KiB.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Counts {
    tasks: u64,
    files: u64,
    free: u64,
    /// Pages of files and blocks of disks that cannot be dropped: programs map them, or a file system holds them.
    cached: u64,
    /// Files that live in memory, and memory that processes share.
    shared: u64,
    /// Programs' own memory.
    anonymous: u64,
    page_tables: u64,
    stacks: u64,
    /// The kernel's heap: small objects, and those in the virtual area.
    heap: u64,
    /// What nothing of the above has: devices' buffers.
    others: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} tasks, {} files, KiB: {} free, {} cached, {} shared, {} anonymous, {} page tables, {} stacks, {} heap, {} others",
            self.tasks,
            self.files,
            self.free,
            self.cached,
            self.shared,
            self.anonymous,
            self.page_tables,
            self.stacks,
            self.heap,
            self.others
        )
    }
}

impl Counts {
    /// Whether nothing is left over beside `before`: of no kind, and not a little of each either.
    fn is_settled(&self, before: &Counts) -> bool {
        let kinds: [fn(&Counts) -> u64; 6] = [
            |counts| counts.cached,
            |counts| counts.shared,
            |counts| counts.anonymous,
            |counts| counts.page_tables + counts.stacks,
            |counts| counts.heap,
            |counts| counts.others,
        ];
        self.tasks <= before.tasks
            && self.files <= before.files
            && kinds.iter().all(|count| count(self) <= count(before) + SLACK_KIB)
            && self.free + self.cached + SLACK_KIB >= before.free + before.cached
    }
}

fn read(path: &str) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|error| Stop::fail(format!("{path}: {error}")))
}

/// The counts now, caches written and dropped.
pub(crate) fn counts() -> Outcome<Counts> {
    // What is newer than the disk would stay, wherever it is kept.
    rustix::fs::sync();
    std::fs::write("/proc/sys/vm/drop_caches", "3")?;
    let missing = |what: &str| Stop::fail(format!("/proc does not tell {what}"));
    let load = read("/proc/loadavg")?;
    let tasks = load.split(['/', ' ']).nth(4).and_then(|word| word.parse().ok());
    let files = read("/proc/sys/fs/file-nr")?;
    let files = files.split_whitespace().next().and_then(|word| word.parse().ok());
    let memory = read("/proc/meminfo")?;
    let row = |name: &str| {
        let line = memory.lines().find(|line| line.split(':').next() == Some(name));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).ok_or_else(|| missing(name))
    };
    let shared: u64 = row("Shmem")?;
    // Linux counts among the cached pages those of files that live in memory.
    let cached = row("Buffers")? + row("Cached")?.saturating_sub(shared);
    let mut counts = Counts {
        tasks: tasks.ok_or_else(|| missing("tasks"))?,
        files: files.ok_or_else(|| missing("files"))?,
        free: row("MemFree")?,
        cached,
        shared,
        anonymous: row("AnonPages")?,
        page_tables: row("PageTables")?,
        stacks: row("KernelStack")?,
        heap: row("Slab")? + row("VmallocUsed")?,
        others: 0,
    };
    let known =
        counts.free + cached + shared + counts.anonymous + counts.page_tables + counts.stacks + counts.heap;
    counts.others = row("MemTotal")?.saturating_sub(known);
    Ok(counts)
}

/// Waits until the counts are those of `before`, or reports the difference.
pub(crate) fn compare(before: &Counts) -> Outcome {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let after = counts()?;
        if after.is_settled(before) {
            print(&format!("stress: before: {before}\nstress: after: {after}"));
            return Ok(());
        }
        if Instant::now() >= deadline {
            let memory = read("/proc/meminfo")?;
            return Err(Stop::fail(format!("something leaks\nbefore: {before}\nafter:  {after}\n{memory}")));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
