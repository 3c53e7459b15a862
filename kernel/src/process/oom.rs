//! Out of memory: when no cache has anything left to give, one process is killed.
//!
//! The victim is the process with the largest [`badness`]: the frames that go free with it, moved by its
//! oom_score_adj. The first process and those with an adjustment of -1000 are never chosen. Whoever shares the victim's
//! memory dies with it. There is one victim at a time: until it has given its memory back, or has taken
//! [`VICTIM_TIME_NS`] to do so, nobody else is chosen and all who need memory wait for it.
//!
//! What a host has had in a balloon is asked back before anybody is killed.
//!
//! A victim needs no memory of its own to die: its allocations fail at once, so that it leaves the system calls that
//! it is in, and what the kernel allocates for its end comes from the kernel's reserve.
//!
//! Source: proc_pid_oom_score(5), proc_pid_oom_score_adj(5); the lines in the log are worded as Linux words them.

use super::{Process, tree};
use crate::device::virtio::balloon;
use crate::mm::Footprint;
use crate::{clock, sched, sync::Mutex};
use abi::wait::WaitStatus;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};
use machine::{addr::PAGE_SIZE, mm};

/// An oom_score_adj with which a process is never chosen.
const NEVER: i64 = -1000;
/// How long a victim may take before another is chosen.
const VICTIM_TIME_NS: u64 = 5 * clock::SECOND_NS;
/// Frames of a thread's kernel stack and of what belongs to it.
const FRAMES_OF_THREAD: usize = 9;
/// Descriptors whose files take about a frame.
const FILES_OF_FRAME: usize = 8;
const KIB: usize = PAGE_SIZE / 1024;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relief {
    /// The caller is to end itself: it shall do without memory.
    Dying,
    /// Memory has come back, or may have.
    Waited,
    /// Nobody may be killed.
    Nobody,
}

struct Victim {
    process: Arc<Process>,
    until_ns: u64,
}

impl Victim {
    fn has_given_back(&self) -> bool {
        self.process.has_ended()
    }
}

static VICTIM: Mutex<Option<Victim>> = Mutex::new("oom killer", None);
/// How many processes were killed (/proc/vmstat).
static KILLS: AtomicU64 = AtomicU64::new(0);

/// How many processes were killed for memory.
pub(crate) fn kills() -> u64 {
    KILLS.load(Ordering::Relaxed)
}

/// Kills a process, or waits for the one that was killed last, for `patience_ns` at most. To be called when nothing can be
/// reclaimed; `needed` frames must be free then.
pub(crate) fn relieve(needed: usize, patience_ns: u64) -> Relief {
    let current = super::try_current();
    if sched::try_current().is_some_and(|thread| thread.is_killed()) {
        return Relief::Dying;
    }
    let deadline = clock::monotonic_ns().saturating_add(patience_ns);
    let Some(victim) = find_victim(current.as_deref(), needed) else { return Relief::Nobody };
    let Ok(victim) = victim else { return Relief::Waited };
    if current.is_some_and(|current| Arc::ptr_eq(&current, &victim)) {
        return Relief::Dying;
    }
    let is_gone = || victim.has_ended().then_some(());
    // Time over is an answer too: the caller looks again whether there is memory.
    victim.exit_event.wait_killable(is_gone, Some(deadline)).unwrap_or(());
    Relief::Waited
}

/// The kernel touched memory of the current process for which there is none: waits for some. `false`: the
/// access shall fail, since the process is dying.
pub(crate) fn relieve_copy() -> bool {
    match relieve(mm::watermarks().min + 1, VICTIM_TIME_NS) {
        Relief::Waited => true,
        Relief::Dying => false,
        Relief::Nobody => {
            end_current();
            false
        }
    }
}

/// Nobody else can be killed: the current process goes, whoever it is.
pub(super) fn end_current() {
    let Some(process) = super::try_current() else { return };
    log::error!(
        "Out of memory and no killable processes: ending process {} ({})",
        process.pid(),
        process.name()
    );
    process.end(KILLED);
}

/// How the killed end.
const KILLED: WaitStatus = WaitStatus::Signaled { signal: abi::signal::Signal::SIGKILL, core: false };

/// There is memory again.
struct Enough;

/// The process that is dying, or a new victim; `None`: nobody may be killed.
fn find_victim(
    current: Option<&Process>,
    needed: usize,
) -> Option<core::result::Result<Arc<Process>, Enough>> {
    let mut slot = VICTIM.lock();
    if mm::free_frames() >= needed {
        return Some(Err(Enough));
    }
    let now = clock::monotonic_ns();
    if let Some(victim) = slot.as_ref().filter(|victim| !victim.has_given_back() && now < victim.until_ns) {
        return Some(Ok(victim.process.clone()));
    }
    if balloon::give_back(needed) {
        return Some(Err(Enough));
    }
    let process = worst()?;
    report(current, &process);
    kill(&process);
    let old = slot.replace(Victim { process: process.clone(), until_ns: now + VICTIM_TIME_NS });
    drop(slot);
    drop(old);
    Some(Ok(process))
}

/// Calls `visit` with all processes that have memory; allocates nothing.
fn for_each(mut visit: impl FnMut(Arc<Process>)) {
    let mut pid = 0;
    while let Some(process) = tree::next_after(pid) {
        pid = process.pid();
        if process.try_address_space().is_some() {
            visit(process);
        }
    }
}

/// The process that is to go.
fn worst() -> Option<Arc<Process>> {
    let mut worst: Option<(i64, Arc<Process>)> = None;
    for_each(|process| {
        let Some(points) = badness(&process) else { return };
        // Who is dying already, and was given his time, is not chosen again.
        if !process.is_ending() && worst.as_ref().is_none_or(|(most, _)| points > *most) {
            worst = Some((points, process));
        }
    });
    worst.map(|(_, process)| process)
}

/// What the system wins with a process's end, in frames and adjusted; `None`: it is never chosen.
fn badness(process: &Process) -> Option<i64> {
    let adjustment = i64::from(process.oom_score_adj());
    if process.is_init() || adjustment == NEVER {
        return None;
    }
    let footprint = process.try_address_space()?.footprint();
    let threads = process.thread_count() * FRAMES_OF_THREAD;
    let files = process.try_files().map_or(0, |files| {
        let (count, bytes) = files.memory();
        count / FILES_OF_FRAME + bytes / PAGE_SIZE
    });
    let frames = footprint.resident + footprint.page_tables + threads + files;
    // A process that shares everything still counts: it must be possible to choose somebody.
    Some((frames as i64 + adjustment * mm::statistics().total as i64 / 1000).max(1))
}

/// /proc/PID/oom_score: 0 (never) to 2000; 667 is a process that has nothing.
pub(crate) fn score(process: &Process) -> i64 {
    let total = (mm::statistics().total as i64).max(1);
    badness(process).map_or(0, |points| ((1000 + points * 1000 / total) * 2 / 3).clamp(0, 2000))
}

fn report(current: Option<&Process>, victim: &Process) {
    let (name, adjustment) = match current {
        Some(process) => (process.name(), process.oom_score_adj()),
        None => (sched::try_current().map(|thread| thread.name()).unwrap_or_default(), 0),
    };
    let memory = mm::statistics();
    let cache = crate::fs::page_cache::usage();
    log::warn!("{name} invoked oom-killer: order=0, oom_score_adj={adjustment}");
    log::warn!(
        "Mem-Info: total:{}kB free:{}kB min:{}kB cached:{}kB shmem:{}kB dirty:{}kB slab:{}kB stacks:{}kB pagetables:{}kB",
        memory.total * KIB,
        memory.free * KIB,
        mm::watermarks().min * KIB,
        cache.cached * KIB,
        cache.in_memory * KIB,
        cache.dirty * KIB,
        memory.kernel_heap * KIB,
        memory.kernel_stacks * KIB,
        memory.page_tables * KIB,
    );
    let Footprint { mapped, resident, shared, page_tables } =
        victim.try_address_space().map_or(Footprint::default(), |space| space.footprint());
    log::error!(
        "Out of memory: Killed process {} ({}) total-vm:{}kB, anon-rss:{}kB, file-rss:{}kB, shmem-rss:0kB, UID:{} \
         pgtables:{}kB oom_score_adj:{}",
        victim.pid(),
        victim.name(),
        mapped * KIB,
        resident.saturating_sub(shared) * KIB,
        shared * KIB,
        victim.credentials().uid,
        page_tables * KIB,
        victim.oom_score_adj(),
    );
}

/// Ends a process and all who share its memory.
fn kill(victim: &Arc<Process>) {
    KILLS.fetch_add(1, Ordering::Relaxed);
    let Some(space) = victim.try_address_space() else { return };
    for_each(|process| {
        let shares = process.try_address_space().is_some_and(|other| Arc::ptr_eq(&other, &space));
        if shares && !process.is_init() {
            process.end(KILLED);
        }
    });
    // The memory goes with the last who has it, and that must not be the killer.
    drop(space);
}
