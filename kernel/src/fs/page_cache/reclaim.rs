//! What the cache takes, and giving it back when memory is short.

use super::{Backing, Page, PageCache, Pages};
use crate::mm;
use alloc::{
    sync::{Arc, Weak},
    vec::Vec,
};
use core::ops::ControlFlow;
use core::sync::atomic::{AtomicUsize, Ordering};
use machine::{addr::PhysAddr, mm::Frame, sync::SpinLock};

/// All caches, for reclaiming.
static CACHES: SpinLock<Vec<Weak<PageCache>>> = SpinLock::new("page-caches", Vec::new());
/// The length of `CACHES` at which dead ones are swept out.
static SWEEP_AT: AtomicUsize = AtomicUsize::new(64);
/// Where the clock's hand stands in `CACHES`.
static HAND: AtomicUsize = AtomicUsize::new(0);

static CACHED: AtomicUsize = AtomicUsize::new(0);
static IN_MEMORY: AtomicUsize = AtomicUsize::new(0);
static DIRTY: AtomicUsize = AtomicUsize::new(0);

/// Figures for /proc/meminfo, in pages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Pages of files with a disk ("Cached", less `in_memory`).
    pub(crate) cached: usize,
    /// Pages of files that live in memory ("Shmem").
    pub(crate) in_memory: usize,
    /// Pages that are newer than the disk.
    pub(crate) dirty: usize,
}

/// What the page cache takes now.
pub(crate) fn usage() -> Usage {
    Usage {
        cached: CACHED.load(Ordering::Relaxed),
        in_memory: IN_MEMORY.load(Ordering::Relaxed),
        dirty: DIRTY.load(Ordering::Relaxed),
    }
}

fn counter(backing: Backing) -> &'static AtomicUsize {
    match backing {
        Backing::Disk => &CACHED,
        Backing::Memory => &IN_MEMORY,
    }
}

pub(super) fn count(backing: Backing, pages: usize, dirty: usize) {
    counter(backing).fetch_add(pages, Ordering::Relaxed);
    DIRTY.fetch_add(dirty, Ordering::Relaxed);
}

pub(super) fn uncount(backing: Backing, pages: usize, dirty: usize) {
    counter(backing).fetch_sub(pages, Ordering::Relaxed);
    DIRTY.fetch_sub(dirty, Ordering::Relaxed);
}

pub(super) fn count_dirty(pages: usize) {
    DIRTY.fetch_add(pages, Ordering::Relaxed);
}

pub(super) fn uncount_dirty(pages: usize) {
    DIRTY.fetch_sub(pages, Ordering::Relaxed);
}

/// Makes a cache known.
pub(super) fn register(cache: &Arc<PageCache>) {
    let mut caches = CACHES.lock();
    if caches.len() >= SWEEP_AT.load(Ordering::Relaxed) {
        caches.retain(|known| known.strong_count() > 0);
        SWEEP_AT.store((caches.len() * 2).max(64), Ordering::Relaxed);
    }
    caches.push(Arc::downgrade(cache));
}

/// Frees up to `wanted` clean pages that nobody maps, least recently used first; tells how many. Does not
/// write: dirty pages are the flusher's. May be called with any lock held that is not of this module.
pub(crate) fn reclaim(wanted: usize) -> usize {
    let mut freed = 0;
    // Two rounds: the first takes away the marks of what was used since the last time.
    for _ in 0..2 {
        let known = CACHES.lock().len();
        for _ in 0..known {
            if freed >= wanted {
                return freed;
            }
            let next = {
                let caches = CACHES.lock();
                if caches.is_empty() {
                    return freed;
                }
                let at = HAND.fetch_add(1, Ordering::Relaxed) % caches.len();
                caches[at].upgrade()
            };
            if let Some(cache) = next.filter(|cache| !cache.is_memory()) {
                freed += cache.release_clean(wanted - freed);
            }
        }
    }
    freed
}

/// The same of clean pages that programs map, which get them back with their next access. May be called with
/// any sleeping lock held: programs whose address space is locked keep theirs.
pub(crate) fn reclaim_mapped(wanted: usize) -> usize {
    let mut freed = 0;
    // The first round takes away the marks, and the pages from the programs.
    for _ in 0..2 {
        let known = CACHES.lock().len();
        for at in 0..known {
            let Some(cache) = CACHES.lock().get(at).and_then(Weak::upgrade) else { continue };
            if cache.is_memory() || !cache.is_mapped() {
                continue;
            }
            cache.take_from_programs(wanted - freed);
            freed += cache.release_clean(wanted - freed);
            if freed >= wanted {
                return freed;
            }
        }
    }
    freed
}

impl Pages {
    /// Up to `wanted` clean pages that were not looked up since the last call, and have so many references: their
    /// indices, ascending, and addresses.
    fn take_unused(&mut self, wanted: usize, is_meant: fn(u32) -> bool) -> Vec<(u64, PhysAddr)> {
        let mut found = Vec::new();
        let mut look = |index, page: &mut Page| {
            if found.len() >= wanted {
                return ControlFlow::Break(());
            }
            let was_recent = core::mem::replace(&mut page.is_recent, false);
            if !was_recent && !page.is_dirty && is_meant(page.frame.reference_count()) {
                found.push((index, page.frame.address()));
            }
            ControlFlow::Continue(())
        };
        // It breaks with enough of them or comes to the end.
        let _ = self.map.visit_mut_from(0, &mut look);
        found
    }
}

impl PageCache {
    /// Unmaps up to `wanted` clean pages that were not looked up lately.
    fn take_from_programs(&self, wanted: usize) {
        let mapped = self.pages.lock().take_unused(wanted, |references| references > 1);
        let (Some(&(first, _)), Some(&(last, _))) = (mapped.first(), mapped.last()) else { return };
        let is_page = |index: u64, frame: &Frame| {
            let found = mapped.binary_search_by_key(&index, |&(index, _)| index);
            found.is_ok_and(|at| mapped[at].1 == frame.address())
        };
        mm::release_pages(self.identity(), first..last + 1, &is_page);
    }

    fn release_clean(&self, wanted: usize) -> usize {
        // A transfer holds frames of its own; what it inserts or writes is not touched here.
        let mut released = Vec::new();
        {
            let Some(mut pages) = self.pages.try_lock() else { return 0 };
            for (index, _) in pages.take_unused(wanted, |references| references == 1) {
                released.extend(pages.map.remove(index));
            }
        }
        uncount(self.store.backing(), released.len(), 0);
        released.len()
    }
}
