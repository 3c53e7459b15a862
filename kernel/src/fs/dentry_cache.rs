//! The cache of dentries: keeps recently used names, positive and negative, from being forgotten.
//!
//! A queue with a second chance (clock): a dentry that was used since it last came to the front goes to
//! the back, any other is let go. The number is bounded, and memory pressure shrinks it.

use super::dentry::Dentry;
use crate::config;
use abi::stat::DeviceNumber;
use alloc::{collections::VecDeque, sync::Arc, vec::Vec};
use core::sync::atomic::Ordering;
use machine::sync::SpinLock;

static QUEUE: SpinLock<VecDeque<Arc<Dentry>>> = SpinLock::new("dentry-cache", VecDeque::new());

/// Takes a new dentry in, letting an old one go if there are too many.
pub(super) fn insert(dentry: &Arc<Dentry>) {
    let mut released = Vec::new();
    {
        let mut queue = QUEUE.lock();
        queue.push_back(dentry.clone());
        if queue.len() > config::DENTRY_CACHE_ENTRIES {
            evict(&mut queue, 1, &mut released);
        }
    }
    // Dentries are dropped only here: that may drop an inode, which may write to its disk.
    drop(released);
}

/// Marks a dentry as used.
pub(super) fn touch(dentry: &Dentry) {
    if !dentry.is_recent.load(Ordering::Relaxed) {
        dentry.is_recent.store(true, Ordering::Relaxed);
    }
}

/// Lets `count` entries go; tells how many went.
pub(crate) fn shrink(count: usize) -> usize {
    let mut released = Vec::new();
    evict(&mut QUEUE.lock(), count, &mut released);
    released.len()
}

/// Forgets the names of a file system that is being unmounted.
pub(super) fn forget_device(device: DeviceNumber) {
    let (kept, released): (VecDeque<_>, VecDeque<_>) = {
        let mut queue = QUEUE.lock();
        core::mem::take(&mut *queue).into_iter().partition(|dentry| dentry.device() != device)
    };
    // Whatever was cached meanwhile stays behind what was there before.
    let mut queue = QUEUE.lock();
    let newer = core::mem::replace(&mut *queue, kept);
    queue.extend(newer);
    drop(queue);
    drop(released);
}

fn evict(queue: &mut VecDeque<Arc<Dentry>>, count: usize, released: &mut Vec<Arc<Dentry>>) {
    // Two rounds at most: the first clears every mark.
    for _ in 0..2 * queue.len() {
        if released.len() >= count {
            return;
        }
        let Some(dentry) = queue.pop_front() else { return };
        let is_wanted = dentry.is_recent.swap(false, Ordering::Relaxed) && !dentry.is_detached();
        if is_wanted {
            queue.push_back(dentry);
        } else {
            released.push(dentry);
        }
    }
}

/// How many it holds.
pub(crate) fn size() -> usize {
    QUEUE.lock().len()
}
