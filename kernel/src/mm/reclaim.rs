//! Memory for programs: when there is none, caches give some back first, and then a process is killed.
//!
//! There are two ways to get here. [`balance`] is called where no lock is held, at the beginning of a system call
//! and of a page fault: when few frames are free, it takes them from all caches, writes to disks what is newer than
//! they are, and takes pages of files from the programs that map them. So deep inside the kernel, where locks are held,
//! there is memory as a rule; if not, [`retry`] does what can be done there: it takes what is clean and used by nobody,
//! and waits for the process that is killed; [`refill_heap`] does so for the kernel's heap, wherever it runs short. A
//! wait that lasts too long (the dying process may want a lock of the caller) ends in ENOMEM, or, for a page fault, in
//! another attempt from the beginning.

use crate::{
    block,
    clock::SECOND_NS,
    fault_injection,
    fs::{dentry_cache, page_cache},
    process::oom::{self, Relief},
    sched,
    sync::Mutex,
};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use machine::mm::{self, Frame, OutOfMemory};

/// How many pages are asked back at a time.
const BATCH: usize = 64;
/// How long an allocation waits for a process that dies: where no lock is held, and where one may be.
const PATIENCE_NS: u64 = 2 * SECOND_NS;
const PATIENCE_WITH_LOCKS_NS: u64 = SECOND_NS / 2;

/// Figures for /proc/vmstat.
static RECLAIMED: AtomicU64 = AtomicU64::new(0);
static STALLS: AtomicU64 = AtomicU64::new(0);

/// Frames that caches have given back when memory was short, and how often somebody had to wait for it.
pub(crate) fn counts() -> (u64, u64) {
    (RECLAIMED.load(Ordering::Relaxed), STALLS.load(Ordering::Relaxed))
}

/// Calls `allocate` until it succeeds or there is no hope. May sleep; the caller may hold sleeping locks.
pub(crate) fn retry<T>(mut allocate: impl FnMut() -> Result<T, OutOfMemory>) -> Result<T, OutOfMemory> {
    fault_injection::pages()?;
    if let Ok(value) = allocate() {
        return Ok(value);
    }
    STALLS.fetch_add(1, Ordering::Relaxed);
    let thread = sched::try_current();
    let _reclaiming = thread.as_ref().map(|thread| thread.begin_reclaim());
    let deadline = machine::time::monotonic_ns() + PATIENCE_WITH_LOCKS_NS;
    loop {
        let freed = release(BATCH);
        if let Ok(value) = allocate() {
            return Ok(value);
        }
        if freed == 0 && release_mapped() == 0 {
            let now = machine::time::monotonic_ns();
            let relief = oom::relieve(mm::watermarks().min + 1, deadline.saturating_sub(now));
            if now >= deadline || relief != Relief::Waited {
                return allocate();
            }
        }
    }
}

/// The kernel's heap is short of so many frames, in a thread that may sleep and may hold sleeping locks: takes some from
/// the caches, and has a process killed before nothing is left for those who may not sleep. `false`: there is nothing to be had.
pub(crate) fn refill_heap(frames: usize) -> bool {
    let Some(thread) = sched::try_current() else { return false };
    // For what can never be had nobody is to lose anything. What is done here needs some of the heap, too.
    if frames > mm::statistics().total / 2 {
        return false;
    }
    let Some(_reclaiming) = thread.begin_reclaim() else { return false };
    if !is_exhausted(mm::free_frames()) {
        STALLS.fetch_add(1, Ordering::Relaxed);
        if release(frames.max(BATCH)) > 0 || release_mapped() > 0 {
            return true;
        }
        note_exhaustion();
    }
    let needed = mm::watermarks().min / 4;
    mm::free_frames() < needed
        && sched::wait::inside_condition(|| oom::relieve(needed, PATIENCE_WITH_LOCKS_NS)) == Relief::Waited
}

/// A frame with unspecified contents. May sleep.
pub(crate) fn allocate() -> Result<Frame, OutOfMemory> {
    retry(Frame::allocate)
}

/// A frame of zeros. May sleep.
pub(crate) fn allocate_zeroed() -> Result<Frame, OutOfMemory> {
    retry(Frame::allocate_zeroed)
}

/// Takes what is clean and used by nobody from the caches, without waiting for any lock; tells how many frames came.
fn release(frames: usize) -> usize {
    let mut freed = page_cache::reclaim(frames);
    if freed < frames {
        freed += block::reclaim(frames - freed);
    }
    if freed == 0 {
        sched::shrink();
        freed = mm::shrink();
    }
    RECLAIMED.fetch_add(freed as u64, Ordering::Relaxed);
    freed
}

/// Takes up to so many frames that are clean and used by nobody from the caches, for what can do without them. Sleeps not.
pub(crate) fn release_unused(frames: usize) {
    release(frames);
}

/// Frames that caches hold and that are no newer than a disk: with those that are free, what programs can have.
pub(crate) fn reclaimable_frames() -> usize {
    let (files, blocks) = (page_cache::usage(), block::cache_usage());
    (files.cached + blocks.cached).saturating_sub(files.dirty + blocks.dirty)
}

/// Gives back all that can be had again (/proc/sys/vm/drop_caches): pages of files and blocks of disks that are clean and
/// not in use, and what the allocators keep at hand.
pub(crate) fn drop_caches() {
    page_cache::reclaim(usize::MAX);
    block::reclaim(usize::MAX);
    sched::shrink();
    mm::shrink();
}

/// One thread at a time takes from the caches.
static BALANCING: Mutex<()> = Mutex::new("memory balance", ());
/// How many frames were free when nothing more could be taken; it is not tried again until there are fewer, or some time has passed.
static EXHAUSTED_AT: AtomicUsize = AtomicUsize::new(0);
static EXHAUSTED_UNTIL_NS: AtomicU64 = AtomicU64::new(0);
/// For so long.
const PAUSE_NS: u64 = SECOND_NS / 10;

/// Sees to it that enough frames are free. To be called without any lock.
#[inline]
pub(crate) fn balance() {
    if mm::free_frames() < mm::watermarks().low {
        balance_slowly();
    }
}

/// The same for whoever holds locks of a file and goes on for long: caches give back what is clean, also what programs map.
pub(crate) fn balance_with_locks() {
    let limits = mm::watermarks();
    if mm::free_frames() >= limits.low {
        return;
    }
    while mm::free_frames() < limits.high && (release(BATCH) > 0 || release_mapped() > 0) {}
}

/// Takes pages from programs that map them. The last ones of programs that run would be back at once: these stay.
fn release_mapped() -> usize {
    if page_cache::usage().cached > mm::watermarks().min { page_cache::reclaim_mapped(BATCH) } else { 0 }
}

/// Whether it is of no use to look for more in the caches.
fn is_exhausted(free: usize) -> bool {
    free >= EXHAUSTED_AT.load(Ordering::Relaxed).min(mm::watermarks().min)
        && machine::time::monotonic_ns() < EXHAUSTED_UNTIL_NS.load(Ordering::Relaxed)
}

/// The caches had nothing to give.
fn note_exhaustion() {
    EXHAUSTED_AT.store(mm::free_frames(), Ordering::Relaxed);
    EXHAUSTED_UNTIL_NS.store(machine::time::monotonic_ns() + PAUSE_NS, Ordering::Relaxed);
}

#[cold]
fn balance_slowly() {
    let limits = mm::watermarks();
    let thread = sched::try_current();
    if is_exhausted(mm::free_frames()) || thread.as_ref().is_some_and(|thread| thread.is_killed()) {
        return;
    }
    let _reclaiming = thread.as_ref().map(|thread| thread.begin_reclaim());
    STALLS.fetch_add(1, Ordering::Relaxed);
    // Who finds another at it goes on with what there is.
    if let Some(_balancing) = BALANCING.try_lock() {
        // What others take meanwhile is not this thread's to replace for ever.
        for _ in 0..2 * limits.high / BATCH + 1 {
            if mm::free_frames() >= limits.high {
                break;
            }
            if release(BATCH) == 0 && release_with_locks() == 0 {
                note_exhaustion();
                break;
            }
        }
    }
    // What the kernel itself holds for programs (pipes, sockets, stacks) has no page fault that would notice.
    if mm::free_frames() < limits.min / 2 {
        oom::relieve(limits.min / 2, PATIENCE_NS);
    }
}

/// Takes what needs locks: names and the files that only they keep, pages that programs map, pages that
/// are newer than the disk.
fn release_with_locks() -> usize {
    let before = mm::free_frames();
    dentry_cache::shrink(BATCH);
    let mut freed = mm::free_frames().saturating_sub(before);
    // If there are none, it is a process that has to go.
    if freed == 0 {
        freed = release_mapped();
    }
    if freed == 0 && page_cache::write_back_all() > 0 {
        freed = release(BATCH);
    }
    freed
}

/// A page fault found no memory: waits for some. `false`: there will be none.
pub(crate) fn wait_for_memory() -> bool {
    balance();
    oom::relieve(mm::watermarks().min + 1, PATIENCE_NS) != Relief::Nobody
}
