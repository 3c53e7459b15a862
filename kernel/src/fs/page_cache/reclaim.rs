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

/// The caches that have had a page since the clock last came by, for reclaiming: of the files that are known most may have
/// none, and each page that is looked for would cost a walk over those. Caches that live in memory are not among them.
static CACHES: SpinLock<Caches> =
    SpinLock::new("page-caches", Caches { known: Vec::new(), sweep_at: SWEEP_START, hand: 0 });
const SWEEP_START: usize = 64;

struct Caches {
    /// In no order.
    known: Vec<Weak<PageCache>>,
    /// The length of `known` at which dead ones are swept out.
    sweep_at: usize,
    /// Where the clock's hand stands in `known`.
    hand: usize,
}

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

impl Caches {
    /// The cache that the clock's hand points to, and its place; it moves on. `None` in its place: that one is gone.
    fn next(&mut self) -> Option<(usize, Option<Arc<PageCache>>)> {
        let at = if self.hand < self.known.len() { self.hand } else { 0 };
        let cache = self.known.get(at)?.upgrade();
        match &cache {
            Some(_) => self.hand = at + 1,
            None => self.remove(at),
        }
        Some((at, cache))
    }

    /// Forgets what is at a place; the hand points to what comes there instead.
    fn remove(&mut self, at: usize) {
        self.known.swap_remove(at);
        self.hand = at;
    }
}

/// Makes a cache known that has got a page.
pub(super) fn register(cache: &PageCache) {
    if cache.is_memory()
        || cache.is_known.load(Ordering::Relaxed)
        || cache.is_known.swap(true, Ordering::AcqRel)
    {
        return;
    }
    let mut caches = CACHES.lock();
    if caches.known.len() >= caches.sweep_at {
        caches.known.retain(|known| known.strong_count() > 0);
        caches.sweep_at = (caches.known.len() * 2).max(SWEEP_START);
    }
    caches.known.push(cache.me.clone());
}

/// Forgets a cache without pages, which was seen at this place.
fn forget_empty(at: usize, cache: &PageCache) {
    {
        let mut caches = CACHES.lock();
        if !caches.known.get(at).is_some_and(|known| core::ptr::eq(known.as_ptr(), cache)) {
            // Others have taken some out meanwhile; the hand will come by again.
            return;
        }
        caches.remove(at);
        cache.is_known.swap(false, Ordering::AcqRel);
    }
    // A page may just have come that was seen neither before nor by who put it in.
    if !cache.is_empty() {
        register(cache);
    }
}

/// Frees up to `wanted` clean pages that nobody maps, least recently used first; tells how many. Does not
/// write: dirty pages are the flusher's. May be called with any lock held that is not of this module.
pub(crate) fn reclaim(wanted: usize) -> usize {
    let mut freed = 0;
    // Two rounds: the first takes away the marks of what was used since the last time.
    for _ in 0..2 {
        let known = CACHES.lock().known.len();
        for _ in 0..known {
            if freed >= wanted {
                return freed;
            }
            let next = CACHES.lock().next();
            let Some((at, cache)) = next else { return freed };
            let Some(cache) = cache else { continue };
            freed += cache.release_clean(wanted - freed);
            if cache.is_empty() {
                forget_empty(at, &cache);
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
        let known = CACHES.lock().known.len();
        for at in 0..known {
            let Some(cache) = CACHES.lock().known.get(at).and_then(Weak::upgrade) else { continue };
            if !cache.is_mapped() {
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

/// How many caches the clock goes by.
#[cfg(feature = "tests")]
pub(in crate::fs) fn known_caches() -> usize {
    CACHES.lock().known.len()
}

impl PageCache {
    /// Whether there is no page in it, as far as can be told without waiting.
    fn is_empty(&self) -> bool {
        self.pages.try_lock().is_some_and(|pages| pages.map.is_empty())
    }
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
