//! Counts that must be after a run what they were before: tasks, open files, page tables, stacks, heap, free memory.
//!
//! They are the whole system's, from /proc, so they mean something only where nothing else runs. Caches are dropped
//! first (/proc/sys/vm/drop_caches). What is freed a little later (ended threads, delayed work) gets some time.

use std::fmt;
use std::time::{Duration, Instant};

use crate::report::{Outcome, Stop};
use crate::supervisor::print;

/// How long to wait for counts to come back.
const PATIENCE: Duration = Duration::from_secs(10);
/// KiB by which memory may differ: stacks and tables for stacks that the kernel keeps, free lists, and our own texts.
const SLACK_KIB: u64 = 256;

/// What is counted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Counts {
    tasks: u64,
    files: u64,
    page_tables: u64,
    stacks: u64,
    heap: u64,
    free: u64,
    /// Kilobytes of the page cache that cannot be dropped.
    cached: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} tasks, {} files, KiB: {} page tables, {} stacks, {} heap, {} free, {} cached",
            self.tasks, self.files, self.page_tables, self.stacks, self.heap, self.free, self.cached
        )
    }
}

impl Counts {
    /// Whether nothing is left over beside `before`.
    fn is_settled(&self, before: &Counts) -> bool {
        let free = self.free + self.cached + SLACK_KIB >= before.free + before.cached;
        self.tasks <= before.tasks
            && self.files <= before.files
            && self.page_tables + self.stacks <= before.page_tables + before.stacks + SLACK_KIB
            && self.heap <= before.heap + SLACK_KIB
            && free
    }
}

fn read(path: &str) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|error| Stop::fail(format!("{path}: {error}")))
}

/// The counts now, caches dropped.
pub(crate) fn counts() -> Outcome<Counts> {
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
    Ok(Counts {
        tasks: tasks.ok_or_else(|| missing("tasks"))?,
        files: files.ok_or_else(|| missing("files"))?,
        page_tables: row("PageTables")?,
        stacks: row("KernelStack")?,
        heap: row("Slab")?,
        free: row("MemFree")?,
        cached: row("Cached")?,
    })
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
