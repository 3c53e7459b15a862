//! The flusher: a kernel thread that writes dirty pages to their disks a few seconds after they were written, or as soon
//! as there are many.

use super::{PageCache, reclaim};
use crate::{
    config,
    error::Result,
    fs::{inode::Inode, mount},
    sched::{self, wait::WaitQueue},
};
use abi::stat::DeviceNumber;
use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering};
use id_map::IdMap;
use machine::sync::{Lazy, SpinLock};

/// Inodes with dirty pages, by address. They are kept alive until the pages are written.
static DIRTY: SpinLock<IdMap<usize, Arc<dyn Inode>>> = SpinLock::new("dirty-inodes", IdMap::new());

/// Where the thread waits.
static WORK: WaitQueue = WaitQueue::named("flusher");

fn key(inode: &Arc<dyn Inode>) -> usize {
    Arc::as_ptr(inode).cast::<()>().addr()
}

/// An inode has its first dirty page, or a change of its own that is not on the disk.
pub(in crate::fs) fn add(inode: &Arc<dyn Inode>) {
    let known = DIRTY.lock().insert(key(inode), inode.clone());
    drop(known);
}

/// An inode needs no write-back any more.
pub(in crate::fs) fn remove(inode: &Arc<dyn Inode>) {
    let removed = DIRTY.lock().remove(key(inode));
    drop(removed);
}

/// A file system is unmounted: its inodes are written by now, and need not be kept alive.
pub(in crate::fs) fn forget_device(device: DeviceNumber) {
    let known: Vec<Arc<dyn Inode>> = DIRTY.lock().values().cloned().collect();
    known.iter().filter(|inode| inode.metadata().device == device).for_each(remove);
}

/// Starts the thread.
pub(in crate::fs) fn start() -> Result<()> {
    sched::spawn("flusher", run)?;
    Ok(())
}

fn run() {
    let next = || machine::time::monotonic_ns() + config::FLUSH_INTERVAL_NS;
    let mut deadline = next();
    // Not again before its time if it did not help: what is dirty may be what cannot be written.
    let mut may_begin_early = true;
    loop {
        let is_much = || (may_begin_early && reclaim::usage().dirty > *DIRTY_LIMIT / 2).then_some(());
        if WORK.wait_for_work_until(deadline, is_much).is_ok() {
            write_pages();
            may_begin_early = reclaim::usage().dirty <= *DIRTY_LIMIT / 2;
        } else {
            flush();
            (deadline, may_begin_early) = (next(), true);
        }
    }
}

/// Writes everything that is dirty now, to be called without any lock; tells how many pages there were.
pub(crate) fn write_back_all() -> usize {
    let before = reclaim::usage().dirty;
    if before > 0 || !DIRTY.lock().is_empty() {
        flush();
    }
    before
}

/// Writes everything that is dirty now: the pages file by file, then what the file systems changed besides.
fn flush() {
    /// A disk that is gone fails each time until it is unmounted; that is said once.
    static HAS_FAILED: AtomicBool = AtomicBool::new(false);
    write_pages();
    let outcome = mount::sync_all();
    let was_failing = HAS_FAILED.swap(outcome.is_err(), Ordering::Relaxed);
    if let Err(error) = outcome
        && !was_failing
    {
        log::warn!("fs: write-back: {error}");
    }
}

fn write_pages() {
    let inodes = core::mem::take(&mut *DIRTY.lock());
    for inode in inodes.into_values() {
        if let Err(error) = inode.pages().map_or(Ok(()), |pages| pages.write_back()) {
            log::warn!("fs: write-back of inode {}: {error}", inode.metadata().number);
            // Once more later; fsync reports it.
            add(&inode);
        }
    }
}

/// How many pages may be dirty: a part of memory, within bounds.
static DIRTY_LIMIT: Lazy<usize> =
    Lazy::new(|| (machine::mm::statistics().total / 8).min(config::MAXIMUM_DIRTY_PAGES));

/// Has the flusher begin when half of what may be dirty is, and makes a writer wait for the disk when too much is.
pub(super) fn throttle(cache: &PageCache) {
    let dirty = reclaim::usage().dirty;
    if dirty > *DIRTY_LIMIT / 2 {
        WORK.wake_one();
    }
    if !cache.is_memory() && dirty > *DIRTY_LIMIT {
        // An error is kept for fsync.
        let _ = cache.write_back_until(&|| reclaim::usage().dirty <= *DIRTY_LIMIT);
    }
}
