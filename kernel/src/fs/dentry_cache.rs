//! The cache of dentries: keeps recently used names, positive and negative, from being forgotten.
//!
//! A queue with a second chance (clock): a dentry that was used since it last came to the front goes to
//! the back, any other is let go. The number is bounded, and memory pressure shrinks it. A dentry knows its place in
//! the queue, so that a name that is removed leaves at once: its inode's space must not wait for that.

use super::dentry::Dentry;
use crate::config;
use abi::stat::DeviceNumber;
use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::Ordering;
use id_map::IdMap;
use machine::sync::SpinLock;

static QUEUE: SpinLock<Queue> = SpinLock::new("dentry-cache", Queue { entries: IdMap::new(), next: 1 });

struct Queue {
    /// In the order in which they came to the back.
    entries: IdMap<u64, Arc<Dentry>>,
    next: u64,
}

impl Queue {
    fn push(&mut self, dentry: Arc<Dentry>) {
        dentry.cache_place.store(self.next, Ordering::Relaxed);
        self.entries.insert(self.next, dentry);
        self.next += 1;
    }

    /// Takes `count` entries out, those that were not used for longest.
    fn evict(&mut self, count: usize) -> Vec<Arc<Dentry>> {
        let mut released = Vec::new();
        // Two rounds at most: the first clears every mark.
        for _ in 0..2 * self.entries.len() {
            if released.len() >= count {
                break;
            }
            let Some((_, dentry)) = self.entries.pop_first() else { break };
            if dentry.is_recent.swap(false, Ordering::Relaxed) {
                self.push(dentry);
            } else {
                dentry.cache_place.store(0, Ordering::Relaxed);
                released.push(dentry);
            }
        }
        released
    }
}

// Dentries are never dropped under the lock: that may drop an inode, which may write to its disk.

/// Takes a new dentry in, letting an old one go if there are too many.
pub(super) fn insert(dentry: &Arc<Dentry>) {
    let mut queue = QUEUE.lock();
    queue.push(dentry.clone());
    let excess = queue.entries.len().saturating_sub(config::DENTRY_CACHE_ENTRIES);
    let released = queue.evict(excess);
    drop(queue);
    drop(released);
}

/// Marks a dentry as used.
pub(super) fn touch(dentry: &Dentry) {
    if !dentry.is_recent.load(Ordering::Relaxed) {
        dentry.is_recent.store(true, Ordering::Relaxed);
    }
}

/// The name is gone.
pub(super) fn remove(dentry: &Dentry) {
    let mut queue = QUEUE.lock();
    let place = dentry.cache_place.swap(0, Ordering::Relaxed);
    let removed = queue.entries.remove(place);
    drop(queue);
    drop(removed);
}

/// Lets `count` entries go; tells how many went.
pub(crate) fn shrink(count: usize) -> usize {
    let released = QUEUE.lock().evict(count);
    released.len()
}

/// Forgets the names of a file system that is being unmounted.
pub(super) fn forget_device(device: DeviceNumber) {
    let mut queue = QUEUE.lock();
    let places: Vec<u64> =
        queue.entries.iter().filter(|(_, d)| d.device() == device).map(|(place, _)| place).collect();
    let released: Vec<Arc<Dentry>> = places.iter().filter_map(|place| queue.entries.remove(*place)).collect();
    drop(queue);
    drop(released);
}

/// How many it holds.
pub(crate) fn size() -> usize {
    QUEUE.lock().entries.len()
}
