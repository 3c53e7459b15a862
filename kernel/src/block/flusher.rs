//! Writes changed blocks back after a while, so that a crash costs seconds of work at most.

use super::{Priority, cache::BlockCache};
use crate::error::Result;
use crate::sched;
use alloc::{sync::Arc, sync::Weak, vec::Vec};
use machine::sync::SpinLock;
use machine::time;

/// How long a change stays in memory at most.
const PERIOD_NS: u64 = 5_000_000_000;

static CACHES: SpinLock<Vec<Weak<BlockCache>>> = SpinLock::new("block caches", Vec::new());

/// Has a cache written back from time to time, as long as it exists.
pub(super) fn register(cache: &Arc<BlockCache>) {
    let mut caches = CACHES.lock();
    caches.retain(|cache| cache.strong_count() != 0);
    caches.push(Arc::downgrade(cache));
}

/// All caches, at this moment.
pub(super) fn caches() -> Vec<Arc<BlockCache>> {
    CACHES.lock().iter().filter_map(Weak::upgrade).collect()
}

/// Starts the thread.
pub(super) fn start() -> Result<()> {
    sched::spawn("block-flush", run).map(drop)
}

fn run() {
    loop {
        sched::sleep_until(time::monotonic_ns() + PERIOD_NS);
        for cache in caches().iter().filter(|cache| cache.is_dirty()) {
            if let Err(error) = cache.write_back(0..u64::MAX, Priority::Background) {
                log::error!("block: {}: writing back failed: {error}", cache.disk().name());
            }
        }
    }
}
