//! Pages that are dropped, written out or counted on request: the momentary kinds of madvise, msync, mincore.

use super::{
    AddressSpace, PageSource,
    area::MappingFlags,
    space::{PAGE, addresses, note_dirty},
};
use crate::error::{Error, Result};
use abi::errno::Errno;
use alloc::{sync::Arc, vec::Vec};
use core::ops::Range;
use machine::{
    addr::VirtAddr,
    mm::{OutOfMemory, UserPageTable},
};

const GAP: Error = Error::new(Errno::ENOMEM, "something in the range is not mapped");

/// Which areas [`AddressSpace::discard`] refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Discard {
    /// Locked ones (MADV_DONTNEED).
    Unlocked,
    /// None (MADV_DONTNEED_LOCKED).
    Any,
    /// Locked ones and those with a source (MADV_FREE).
    PrivateOnly,
}

impl AddressSpace {
    /// Drops the pages of a range: private memory reads as zeros then, files are read again.
    ///
    /// # Errors
    /// EINVAL: an area that `kind` refuses. ENOMEM: something is not mapped.
    pub(crate) fn discard(&self, range: Range<u64>, kind: Discard) -> Result<()> {
        let is_refused = |mapping: &super::area::Mapping| {
            let is_locked = mapping.flags.contains(MappingFlags::LOCKED);
            match kind {
                Discard::Any => false,
                Discard::Unlocked => is_locked,
                Discard::PrivateOnly => is_locked || mapping.backing.is_some(),
            }
        };
        let mut state = self.write();
        let super::space::State { table, areas, .. } = &mut *state;
        for (area, mapping) in areas.iter_range(range.clone()) {
            if is_refused(mapping) {
                return Err(Error::new(Errno::EINVAL, "this kind of area cannot be discarded"));
            }
            let part = area.start.max(range.start)..area.end.min(range.end);
            table.unmap(addresses(&part), &mut |page, present| {
                note_dirty(mapping, page.as_u64(), area.start, present.dirty);
            });
        }
        if areas.first_gap(range).is_some() { Err(GAP) } else { Ok(()) }
    }

    /// Tells sources of shared mappings what was written through them in a range; returns the sources.
    /// The second value: something in the range is not mapped.
    pub(crate) fn collect_dirty(&self, range: Range<u64>) -> Result<(Vec<Arc<dyn PageSource>>, bool)> {
        let mut sources: Vec<Arc<dyn PageSource>> = Vec::new();
        let mut state = self.write();
        let super::space::State { table, areas, .. } = &mut *state;
        for (area, mapping) in areas.iter_range(range.clone()) {
            let Some(backing) = mapping.backing.as_ref().filter(|_| mapping.is_shared()) else { continue };
            let part = area.start.max(range.start)..area.end.min(range.end);
            table.clean(addresses(&part), &mut |page| note_dirty(mapping, page.as_u64(), area.start, true));
            if !sources.iter().any(|known| Arc::ptr_eq(known, &backing.source)) {
                sources.try_reserve(1).map_err(|_| OutOfMemory)?;
                sources.push(backing.source.clone());
            }
        }
        Ok((sources, areas.first_gap(range).is_some()))
    }

    /// msync: tells what was written in a range, and if `waiting`, sees it written out.
    ///
    /// # Errors
    /// ENOMEM: something is not mapped (the rest is done). EBUSY: a locked area was to be invalidated.
    pub(crate) fn sync(&self, range: Range<u64>, waiting: Waiting, invalidating: Invalidating) -> Result<()> {
        let is_unlocked = |mapping: &super::area::Mapping| !mapping.flags.contains(MappingFlags::LOCKED);
        if invalidating == Invalidating::Yes && !self.all_areas(range.clone(), is_unlocked) {
            return Err(Error::new(Errno::EBUSY, "a locked area cannot be invalidated"));
        }
        let (sources, has_gap) = self.collect_dirty(range)?;
        if waiting == Waiting::UntilWritten {
            for source in sources {
                source.sync()?;
            }
        }
        if has_gap { Err(GAP) } else { Ok(()) }
    }

    /// Has the pages of files in a range read in, mapped or not, as far as there is memory (MADV_WILLNEED). ENOMEM if
    /// something is not mapped.
    pub(crate) fn read_ahead(&self, range: Range<u64>) -> Result<()> {
        /// At most so much of a file at a time, as Linux does.
        const LIMIT: u64 = 512;
        let mut sources: Vec<(Arc<dyn PageSource>, Range<u64>)> = Vec::new();
        let has_gap = {
            let state = self.read();
            for (area, mapping) in state.areas.iter_range(range.clone()) {
                let start = area.start.max(range.start);
                let pages = (area.end.min(range.end) - start) / PAGE;
                if let Some((source, first)) = mapping.source_page(start - area.start) {
                    sources.try_reserve(1).map_err(|_| OutOfMemory)?;
                    sources.push((source.clone(), first..first + pages.min(LIMIT)));
                }
            }
            state.areas.first_gap(range).is_some()
        };
        for (source, pages) in sources {
            let end = pages.end.min(source.size().div_ceil(PAGE));
            // What cannot be read now will say so when it is touched.
            let _ = (pages.start..end).try_for_each(|index| source.page(index).map(drop));
        }
        if has_gap { Err(GAP) } else { Ok(()) }
    }

    /// mincore: for each page of a range, whether touching it would find it in memory. ENOMEM if something
    /// is not mapped.
    pub(crate) fn residency(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let count = ((range.end - range.start) / PAGE) as usize;
        let mut present = Vec::new();
        present.try_reserve_exact(count).map_err(|_| OutOfMemory)?;
        present.resize(count, 0);
        let state = self.read();
        if state.areas.first_gap(range.clone()).is_some() {
            return Err(GAP);
        }
        visit_pages(&state.table, &range, &mut |page| present[((page - range.start) / PAGE) as usize] = 1);
        Ok(present)
    }
}

/// Whether msync waits until the disk has everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// MS_SYNC.
    UntilWritten,
    /// MS_ASYNC.
    No,
}

/// Whether msync is to invalidate other mappings, which always agree here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invalidating {
    /// MS_INVALIDATE.
    Yes,
    /// Without it.
    No,
}

/// Calls `visit` for each page of 4 KiB of a range that is mapped.
pub(super) fn visit_pages(table: &UserPageTable, range: &Range<u64>, visit: &mut dyn FnMut(u64)) {
    table.visit(addresses(range), &mut |start: VirtAddr, present| {
        let start = start.as_u64();
        let end = (start + present.pages as u64 * PAGE).min(range.end);
        (start.max(range.start)..end).step_by(PAGE as usize).for_each(&mut *visit);
    });
}
