//! The page cache: the contents of regular files in memory, one [`PageCache`] for each inode.
//!
//! read, write and mmap use the same frames, so they always agree. A page is *absent*, *clean* (as on the
//! disk) or *dirty* (newer). Dirty pages reach the disk through [`PageCache::write_back`]: by fsync and
//! unmounting, by the flusher thread after a few seconds ([`flusher`]), and by the writer himself when
//! there are too many. File systems without a disk (tmpfs) keep their contents here and nowhere else:
//! for them an absent page is a hole, and pages never become clean.
//!
//! Locks of one cache, in this order:
//! 1. `writing` (sleeping): one write, truncation or hole at a time; held over user copies.
//! 2. `writing_back` (sleeping): held while pages are on their way to the disk. Who writes to the file goes on meanwhile;
//!    who takes pages or their space away waits ([`PageCache::settle`]).
//! 3. `transfer` (sleeping): held over every other transfer between the cache and its [`PageStore`], over finding
//!    space, and over the removal of pages, so that a page is not read in while it goes. Never held over
//!    user copies, since a page fault may want it. Shared by reads past the cache, which change nothing in it.
//! 4. `pages` (spin): the map.
//!
//! The size of the file is kept here and nowhere else.

mod direct;
pub(super) mod flusher;
mod read;
mod reclaim;
mod through;
mod write;

pub(crate) use flusher::write_back_all;
#[cfg(feature = "tests")]
pub(in crate::fs) use reclaim::known_caches;
pub(crate) use reclaim::{reclaim, reclaim_mapped, usage};
pub(in crate::fs) use through::Seen;
pub(crate) use write::WritePlace;

use super::inode::Inode;
use crate::{
    error::{Error, Result},
    mm,
    sync::{Mutex, MutexGuard, RwLock, WriteGuard},
};
use abi::errno::Errno;
use alloc::sync::{Arc, Weak};
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use id_map::IdMap;
use machine::{
    addr::PAGE_SIZE,
    mm::Frame,
    sync::{Once, SpinLock},
};

/// [`PAGE_SIZE`] for file offsets.
pub(super) const PAGE: u64 = PAGE_SIZE as u64;

/// Whether contents have another home than the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backing {
    /// A disk.
    Disk,
    /// None: the cache is the file.
    Memory,
}

/// Where a cache's pages come from and go to. Called with `transfer` held, `write` with `writing_back`: so it may run beside
/// the others, which are for other pages or for more space. Never called with a spin lock.
pub(crate) trait PageStore: Send + Sync {
    /// Whether there is a disk.
    fn backing(&self) -> Backing;

    /// Fills frames with the contents of as many pages from `first` on; zeros behind the end and in holes.
    fn read(&self, first: u64, frames: &[Frame]) -> Result<()>;

    /// Writes pages from `first` on; `size` is the file's size, behind which nothing is written.
    fn write(&self, first: u64, frames: &[Frame], size: u64) -> Result<()>;

    /// Makes sure of space for a range of bytes before it becomes dirty, growing the file if need be: ENOSPC is told to
    /// the one who writes, not to nobody later. Of a [`Backing::Memory`] cache, the range is a page.
    fn reserve(&self, range: Range<u64>) -> Result<()>;

    /// The unit of transfers past the cache, in bytes.
    fn sector_size(&self) -> u64 {
        512
    }

    /// What a program's memory is a multiple of in transfers past the cache.
    fn memory_alignment(&self) -> u64 {
        512
    }

    /// Gives back the space of pages of a [`Backing::Memory`] cache.
    fn release(&self, _count: u64) {}
}

/// The cached contents of one inode.
pub(crate) struct PageCache {
    me: Weak<Self>,
    store: Arc<dyn PageStore>,
    owner: Once<Weak<dyn Inode>>,
    size: AtomicU64,
    writing: Mutex<()>,
    writing_back: Mutex<()>,
    transfer: RwLock<()>,
    pages: SpinLock<Pages>,
    /// A write-back failed; the next fsync says so.
    has_failed: AtomicBool,
    /// The file has no name left: nothing of it needs to reach the disk.
    is_abandoned: AtomicBool,
    /// `reclaim.rs` has it in its list.
    is_known: AtomicBool,
    /// The index behind the last page read, to recognise reading in sequence.
    next_read: AtomicU64,
    /// Pages that were read at once the last time.
    window: AtomicU64,
    /// How often programs have it mapped.
    mappings: AtomicUsize,
}

/// How many pages are taken out before others get the lock.
const PAGES_AT_ONCE: usize = 128;

#[derive(Default)]
struct Pages {
    map: IdMap<u64, Page>,
    dirty: usize,
    /// No page before this one is dirty.
    first_dirty: u64,
    /// How many pages are on their way to the disk, which count as clean.
    in_flight: usize,
}

impl Pages {
    /// Whether something may be newer than the disk.
    fn are_newer(&self) -> bool {
        self.dirty > 0 || self.in_flight > 0
    }

    /// One more page is dirty. Tells whether it is the only one.
    fn count_dirty(&mut self, index: u64) -> bool {
        self.first_dirty = if self.dirty == 0 { index } else { self.first_dirty.min(index) };
        self.dirty += 1;
        self.dirty == 1
    }
}

struct Page {
    frame: Frame,
    is_dirty: bool,
    is_recent: bool,
    /// How often it could not be written since it was the last time.
    failures: u8,
}

impl Page {
    /// A clean one.
    fn new(frame: Frame) -> Self {
        Self { frame, is_dirty: false, is_recent: true, failures: 0 }
    }
}

impl PageCache {
    /// The cache of a file of `size` bytes. [`set_owner`](Self::set_owner) must follow if there is a disk.
    pub(crate) fn new(store: Arc<dyn PageStore>, size: u64) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            store,
            owner: Once::new(),
            size: AtomicU64::new(size),
            writing: Mutex::new("page-cache-writing", ()),
            writing_back: Mutex::new("page-cache-writing-back", ()),
            transfer: RwLock::new("page-cache-transfer", ()),
            pages: SpinLock::new("page-cache-pages", Pages::default()),
            has_failed: AtomicBool::new(false),
            is_abandoned: AtomicBool::new(false),
            is_known: AtomicBool::new(false),
            next_read: AtomicU64::new(0),
            window: AtomicU64::new(0),
            mappings: AtomicUsize::new(0),
        })
    }

    /// Names the inode that is kept alive while there are dirty pages.
    pub(crate) fn set_owner(&self, owner: Weak<dyn Inode>) {
        self.owner.call_once(|| owner);
    }

    /// The size of the file in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    /// Number of pages that are in memory.
    pub(crate) fn resident_pages(&self) -> u64 {
        self.pages.lock().map.len() as u64
    }

    fn is_memory(&self) -> bool {
        self.store.backing() == Backing::Memory
    }

    /// A page that is in the cache.
    pub(super) fn cached(&self, index: u64) -> Option<Frame> {
        let mut pages = self.pages.lock();
        let page = pages.map.get_mut(index)?;
        page.is_recent = true;
        Some(page.frame.clone())
    }

    /// Whether something may be newer than the disk.
    fn may_be_dirty(&self) -> bool {
        self.is_mapped() || self.pages.lock().are_newer()
    }

    /// Whether a page of a range is in memory that is newer than the disk.
    fn is_newer(&self, range: Range<u64>) -> bool {
        let pages = self.pages.lock();
        pages.in_flight > 0 || pages.dirty > 0 && pages.map.iter_range(range).any(|(_, page)| page.is_dirty)
    }

    /// Returns when nothing is on its way to the disk or from it, and keeps that so.
    fn settle(&self) -> (MutexGuard<'_, ()>, WriteGuard<'_, ()>) {
        (self.writing_back.lock(), self.transfer.write())
    }

    /// Whether a page is newer than the disk.
    fn is_dirty(&self, index: u64) -> bool {
        self.pages.lock().map.get(index).is_some_and(|page| page.is_dirty)
    }

    /// Puts a clean page in; one that is there already stays. `transfer` is held.
    fn insert(&self, index: u64, frame: Frame) -> Frame {
        let mut pages = self.pages.lock();
        if let Some(known) = pages.map.get(index) {
            return known.frame.clone();
        }
        let kept = frame.clone();
        pages.map.insert(index, Page::new(frame));
        drop(pages);
        self.note_new(1, 0);
        kept
    }

    /// Notes that a page is newer than the disk. Does not sleep.
    pub(crate) fn mark_dirty(&self, index: u64) {
        if self.is_memory() {
            return;
        }
        let is_first = {
            let mut pages = self.pages.lock();
            let Some(page) = pages.map.get_mut(index) else { return };
            if page.is_dirty {
                return;
            }
            page.is_dirty = true;
            pages.count_dirty(index)
        };
        reclaim::count_dirty(1);
        if is_first {
            self.need_flusher();
        }
    }

    /// Puts pages in that are newer than the disk, from `first` on. What is there already gets their contents. `transfer` is
    /// held.
    fn insert_dirty(&self, first: u64, frames: &[Frame]) {
        let (mut new, mut newly_dirty, mut has_first) = (0, 0, false);
        {
            let mut pages = self.pages.lock();
            for (index, frame) in (first..).zip(frames) {
                if !pages.map.contains_key(index) {
                    pages.map.insert(index, Page::new(frame.clone()));
                    new += 1;
                }
                let page = pages.map.get_mut(index).expect("it is there, or was just put in");
                // Somebody may have read it in meanwhile.
                if page.frame.address() != frame.address() {
                    page.frame.copy_from(frame);
                }
                if !page.is_dirty {
                    page.is_dirty = true;
                    newly_dirty += 1;
                    has_first |= pages.count_dirty(index);
                }
            }
        }
        self.note_new(new, newly_dirty);
        if has_first {
            self.need_flusher();
        }
    }

    /// So many pages came in, and so many are newly dirty.
    fn note_new(&self, pages: usize, dirty: usize) {
        reclaim::count(self.store.backing(), pages, dirty);
        reclaim::register(self);
    }

    /// There is something for the flusher to do.
    fn need_flusher(&self) {
        if !self.is_abandoned.load(Ordering::Acquire) {
            self.join_flusher();
        }
    }

    fn join_flusher(&self) {
        if let Some(owner) = self.owner.get().and_then(Weak::upgrade) {
            flusher::add(&owner);
        }
    }

    /// The file lost its last name: what is dirty goes nowhere any more.
    pub(crate) fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::Release);
        if let Some(owner) = self.owner.get().and_then(Weak::upgrade) {
            flusher::remove(&owner);
        }
    }

    /// The file is mapped by programs once more.
    pub(super) fn count_mapping(&self) {
        self.mappings.fetch_add(1, Ordering::AcqRel);
    }

    /// The file is mapped once less.
    pub(super) fn uncount_mapping(&self) {
        self.mappings.fetch_sub(1, Ordering::AcqRel);
    }

    fn is_mapped(&self) -> bool {
        self.mappings.load(Ordering::Acquire) > 0
    }

    /// What `mm` knows the cache by.
    pub(crate) fn identity(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }

    /// A program is about to store to a page through a mapping.
    pub(super) fn prepare_store(&self, index: u64) -> Result<()> {
        let start = index.saturating_mul(PAGE);
        if !self.is_memory() {
            let _transfer = self.transfer.write();
            let end = self.size().min(start.saturating_add(PAGE));
            if start < end {
                self.store.reserve(start..end)?;
            }
            // Who reads past the cache sees that the new space has no contents yet.
            self.mark_dirty(index);
        }
        Ok(())
    }

    /// Changes the size of the file. `resize_store` does it on the disk, with no transfer under way.
    pub(crate) fn resize(&self, size: u64, resize_store: impl FnOnce() -> Result<()>) -> Result<()> {
        let outcome = self.resize_unmapped(size, resize_store);
        if self.is_mapped() {
            mm::forget_pages(self.identity(), self.size().div_ceil(PAGE)..u64::MAX);
        }
        outcome
    }

    fn resize_unmapped(&self, size: u64, resize_store: impl FnOnce() -> Result<()>) -> Result<()> {
        let _writing = self.writing.lock();
        let _settled = self.settle();
        if size >= self.size() {
            resize_store()?;
            self.clear_behind_end();
            self.size.store(size, Ordering::Release);
            return Ok(());
        }
        self.size.store(size, Ordering::Release);
        self.remove_pages(size.div_ceil(PAGE)..u64::MAX);
        self.clear_in_page(size..size.next_multiple_of(PAGE));
        resize_store()
    }

    /// Makes whole pages of a range absent and clears the parts of others; `punch_store` does it on the disk.
    pub(crate) fn punch_hole(
        &self,
        offset: u64,
        length: u64,
        punch_store: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let _writing = self.writing.lock();
        let _settled = self.settle();
        let end = offset.checked_add(length).ok_or(Error::new(Errno::EFBIG, "beyond the largest offset"))?;
        let (first, last) = (offset.div_ceil(PAGE), end / PAGE);
        punch_store()?;
        if first > last {
            self.clear_in_page(offset..end);
        } else {
            self.clear_in_page(offset..first * PAGE);
            self.remove_pages(first..last);
            self.clear_in_page(last * PAGE..end);
            if self.is_mapped() {
                mm::forget_pages(self.identity(), first..last);
            }
        }
        Ok(())
    }

    /// Sets the size after space was allocated behind the end (fallocate).
    pub(crate) fn grow_to(&self, size: u64) {
        self.size.fetch_max(size, Ordering::AcqRel);
    }

    /// The file is about to grow: what a program stored through a mapping behind the end does not count.
    fn clear_behind_end(&self) {
        let size = self.size();
        let within = (size % PAGE) as usize;
        if within != 0
            && let Some(frame) = self.cached(size / PAGE)
        {
            frame.clear(within..PAGE_SIZE);
        }
    }

    /// Zeroes a range within one page, if the page is here.
    fn clear_in_page(&self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let index = range.start / PAGE;
        if let Some(frame) = self.cached(index) {
            frame.clear((range.start - index * PAGE) as usize..(range.end - index * PAGE) as usize);
            self.mark_dirty(index);
        }
    }

    /// Forgets pages, dirty or not. `transfer` is held.
    fn remove_pages(&self, range: Range<u64>) {
        let (mut count, mut dirty) = (0, 0);
        loop {
            let (some, some_dirty) = if range.start == 0 && range.end == u64::MAX {
                self.remove_all()
            } else {
                self.remove_some(&range)
            };
            if some == 0 {
                break;
            }
            count += some;
            dirty += some_dirty;
        }
        reclaim::uncount(self.store.backing(), count, dirty);
        if self.is_memory() && count > 0 {
            self.store.release(count as u64);
        }
    }

    /// Removes all pages. How many there were, and how many of them dirty.
    fn remove_all(&self) -> (usize, usize) {
        let mut pages = self.pages.lock();
        let dirty = core::mem::take(&mut pages.dirty);
        let all = core::mem::take(&mut pages.map);
        drop(pages);
        (all.len(), dirty)
    }

    /// Removes as many pages of a range as one holds the lock for. How many those are, and how many of them dirty.
    fn remove_some(&self, range: &Range<u64>) -> (usize, usize) {
        // They go when the lock is gone, and without a vector, since there may be no memory but theirs.
        let mut removed = [const { None }; PAGES_AT_ONCE];
        let (mut count, mut dirty) = (0, 0);
        let mut pages = self.pages.lock();
        for place in &mut removed {
            let Some((index, _)) = pages.map.iter_range(range.clone()).next() else {
                break;
            };
            let page = pages.map.remove(index).expect("it was just seen");
            dirty += usize::from(page.is_dirty);
            count += 1;
            *place = Some(page);
        }
        pages.dirty -= dirty;
        drop(pages);
        (count, dirty)
    }

    /// The first offset from `offset` on that is cached (`true`) or not: data and holes of tmpfs.
    pub(crate) fn seek_cached(&self, offset: u64, wanted: super::file::Extent) -> Option<u64> {
        use super::file::Extent;
        let size = self.size();
        if offset >= size {
            return None;
        }
        let first = offset / PAGE;
        let pages = self.pages.lock();
        match wanted {
            Extent::Data => {
                let index = pages.map.iter_from(first).next()?.0;
                let start = offset.max(index * PAGE);
                (start < size).then_some(start)
            }
            Extent::Hole => {
                let mut index = first;
                while pages.map.contains_key(index) {
                    index += 1;
                }
                Some(offset.max(index * PAGE).min(size))
            }
        }
    }
}

impl Drop for PageCache {
    fn drop(&mut self) {
        self.remove_pages(0..u64::MAX);
    }
}
