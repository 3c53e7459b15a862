//! Changing what areas allow and how they behave: mprotect, mlock, and the permanent kinds of madvise.

use super::{
    AddressSpace,
    area::{Mapping, MappingFlags, PERMISSIONS},
    map::{clip, rounded},
    space::{State, addresses},
};
use crate::{
    error::{Error, Result},
    process::{credentials::capability, try_current},
};
use abi::{errno::Errno, mman::Prot};
use core::{ops::Range, sync::atomic::Ordering};

const GAP: Error = Error::new(Errno::ENOMEM, "something in the range is not mapped");

impl AddressSpace {
    /// Changes the permissions of a range of whole pages. As on Linux, areas below one that cannot be
    /// changed are changed all the same.
    ///
    /// # Errors
    /// ENOMEM: something is not mapped. EACCES: the file was not opened for that.
    pub(crate) fn protect(&self, range: Range<u64>, protection: Prot) -> Result<()> {
        let protection = protection & PERMISSIONS;
        let mut state = self.write();
        let (mut end, mut outcome) = state.mapped_part(&range);
        let refused = state
            .areas
            .iter_range(range.start..end)
            .find(|(_, mapping)| !mapping.allowed.contains(protection));
        if let Some((area, _)) = refused {
            end = area.start;
            outcome = Err(Error::new(Errno::EACCES, "the file was not opened for that"));
        }
        if end > range.start {
            state.check_count(2)?;
            self.charge_stores(&mut state, range.start..end, protection)?;
            state.areas.update(range.start..end, |_, mapping| {
                mapping.protection = protection;
                mapping.flags.set(
                    MappingFlags::ACCOUNTED,
                    mapping.is_accountable() || mapping.flags.contains(MappingFlags::ACCOUNTED),
                );
            })?;
            let flags = super::area::page_flags(protection) - machine::mm::PageFlags::WRITE;
            state.table.protect(addresses(&(range.start..end)), flags);
        }
        outcome
    }

    /// Promises memory for what becomes writable in a range. ENOMEM if that may not be, or beyond RLIMIT_DATA.
    fn charge_stores(&self, state: &mut State, range: Range<u64>, protection: Prot) -> Result<()> {
        let (mut data, mut promised) = (0, 0);
        for (area, mapping) in state.areas.iter_range(range.clone()) {
            let length = area.end.min(range.end) - area.start.max(range.start);
            let new = Mapping { protection, ..mapping.clone() };
            data += if new.is_data() && !mapping.is_data() { length } else { 0 };
            let is_new = new.is_accountable() && !mapping.flags.contains(MappingFlags::ACCOUNTED);
            promised += if is_new { length } else { 0 };
        }
        let limit = self.limits.data.load(Ordering::Relaxed);
        if data > 0 && limit != u64::MAX && state.data_bytes().saturating_add(data) > limit {
            return Err(Error::new(Errno::ENOMEM, "RLIMIT_DATA"));
        }
        let page = super::space::PAGE;
        let mapped = state.areas.mapped_bytes() / page;
        state.promise.grow(promised / page, mapped)
    }

    /// The start of the growing area that contains an address (PROT_GROWSDOWN). EINVAL if it is none, ENOMEM if
    /// nothing is there.
    pub(crate) fn growing_start(&self, address: u64) -> Result<u64> {
        let state = self.read();
        let (area, mapping) = state.areas.find(address).ok_or(GAP)?;
        if mapping.flags.contains(MappingFlags::GROWS_DOWN) {
            Ok(area.start)
        } else {
            Err(Error::new(Errno::EINVAL, "this area does not grow down"))
        }
    }

    /// Sets and clears flags of a range of whole pages. ENOMEM if something is not mapped; the rest is changed.
    pub(crate) fn change_flags(
        &self,
        range: Range<u64>,
        set: MappingFlags,
        clear: MappingFlags,
    ) -> Result<()> {
        let mut state = self.write();
        state.check_count(2)?;
        state.areas.update(range.clone(), |_, mapping| mapping.flags = (mapping.flags - clear) | set)?;
        if state.areas.first_gap(range).is_some() { Err(GAP) } else { Ok(()) }
    }

    /// A child will find zeros in a range (MADV_WIPEONFORK). EINVAL if it is not private memory without a file.
    pub(crate) fn wipe_on_fork(&self, range: Range<u64>) -> Result<()> {
        if !self.all_areas(range.clone(), |mapping| mapping.backing.is_none()) {
            return Err(Error::new(Errno::EINVAL, "only private memory can be wiped"));
        }
        self.change_flags(range, MappingFlags::WIPE_ON_FORK, MappingFlags::empty())
    }

    /// Whether a condition holds for every area of a range.
    pub(super) fn all_areas(&self, range: Range<u64>, mut holds: impl FnMut(&Mapping) -> bool) -> bool {
        self.read().areas.iter_range(range).all(|(_, mapping)| holds(mapping))
    }

    /// Keeps a range in memory, and brings it there if `filled`.
    ///
    /// # Errors
    /// ENOMEM: something is not mapped, or RLIMIT_MEMLOCK. EPERM: that limit is 0.
    pub(crate) fn lock_pages(&self, range: Range<u64>, filling: Filling) -> Result<()> {
        let more = {
            let state = self.read();
            let inside = |area: &Range<u64>| area.end.min(range.end) - area.start.max(range.start);
            let new = state.areas.iter_range(range.clone());
            let new = new.filter(|(_, mapping)| !mapping.flags.contains(MappingFlags::LOCKED));
            let more: u64 = new.map(|(area, _)| inside(&area)).sum();
            state.locked_bytes() + more
        };
        self.check_locked(more)?;
        let outcome = self.change_flags(range.clone(), MappingFlags::LOCKED, MappingFlags::empty());
        if filling == Filling::Now {
            self.populate(range).map_err(|_| Error::new(Errno::EAGAIN, "not all pages can be had"))?;
        }
        outcome
    }

    fn check_locked(&self, bytes: u64) -> Result<()> {
        match self.lock_limit() {
            0 => Err(Error::new(Errno::EPERM, "RLIMIT_MEMLOCK is 0")),
            limit if bytes > limit => Err(Error::new(Errno::ENOMEM, "RLIMIT_MEMLOCK")),
            _ => Ok(()),
        }
    }

    /// RLIMIT_MEMLOCK, if it holds for the caller.
    pub(super) fn lock_limit(&self) -> u64 {
        let is_privileged =
            try_current().is_none_or(|process| process.credentials().has(capability::IPC_LOCK));
        if is_privileged { u64::MAX } else { self.limits.locked.load(Ordering::Relaxed) }
    }

    /// mlockall and munlockall: what is mapped now, and what will be.
    pub(crate) fn lock_all(&self, now: Option<Filling>, future: bool) -> Result<()> {
        let locked = MappingFlags::LOCKED;
        if now.is_some() {
            let mapped = self.read().areas.mapped_bytes();
            self.check_locked(mapped)?;
        }
        let bounds = {
            let mut state = self.write();
            state.default_flags.set(locked, future);
            let bounds = state.areas.bounds();
            let (set, clear) = match (now, future) {
                (Some(_), _) => (locked, MappingFlags::empty()),
                (None, false) => (MappingFlags::empty(), locked),
                (None, true) => return Ok(()),
            };
            state.areas.update(bounds.clone(), |_, mapping| mapping.flags = (mapping.flags - clear) | set)?;
            bounds
        };
        if now == Some(Filling::Now) {
            // As on Linux, what cannot be had is no error here.
            let _ = self.populate(bounds);
        }
        Ok(())
    }
}

/// When locked pages come into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filling {
    /// At once.
    Now,
    /// When they are touched.
    OnFault,
}

impl State {
    /// Where the part of a range that is mapped without a gap ends, and ENOMEM if that is not all of it.
    fn mapped_part(&self, range: &Range<u64>) -> (u64, Result<()>) {
        match self.areas.first_gap(range.clone()) {
            Some(gap) => (gap, Err(GAP)),
            None => (range.end, Ok(())),
        }
    }
}

/// The whole pages that `address .. address + length` touches, as mlock counts. EINVAL if it overflows;
/// `None`: nothing.
pub(crate) fn touched_pages(address: u64, length: u64) -> Result<Option<Range<u64>>> {
    let page = super::space::PAGE;
    let overflow = Error::new(Errno::EINVAL, "the range overflows");
    if length == 0 {
        return Ok(None);
    }
    let start = address & !(page - 1);
    let end =
        address.checked_add(length).and_then(|end| end.checked_next_multiple_of(page)).ok_or(overflow)?;
    if end > machine::addr::USER_END {
        return Err(GAP);
    }
    clip(start..end).filter(|range| range.start == start).map(Some).ok_or(GAP)
}

/// A range as mprotect, madvise and msync count: it starts at a page; an empty one is `None`. EINVAL if it does
/// not start at a page, ENOMEM if it leaves the address space.
pub(crate) fn page_range(address: u64, length: u64) -> Result<Option<Range<u64>>> {
    if !address.is_multiple_of(super::space::PAGE) {
        return Err(Error::new(Errno::EINVAL, "the address is not page-aligned"));
    }
    if length == 0 {
        return Ok(None);
    }
    let length = rounded(length)?;
    let end = address.checked_add(length).filter(|end| *end <= machine::addr::USER_END).ok_or(GAP)?;
    clip(address..end).filter(|range| range.start == address).map(Some).ok_or(GAP)
}
