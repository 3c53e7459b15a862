//! mremap: areas that grow, shrink and move, their pages with them.

use super::{
    AddressSpace,
    area::{Mapping, MappingFlags},
    map::{MapRequest, Place, rounded, user_range},
    reclaim,
    space::{PAGE, State, addresses},
};
use crate::error::{Error, Result};
use abi::errno::Errno;
use core::ops::Range;
use machine::addr::VirtAddr;
use vma::Payload;

/// Whether and where an area may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moving {
    /// It stays.
    No,
    /// It may, to anywhere (MREMAP_MAYMOVE).
    Anywhere,
    /// It does, to there, in place of what is there (MREMAP_FIXED).
    To(u64),
}

/// What becomes of the old range when an area moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OldRange {
    /// It goes.
    Unmapped,
    /// It stays, without its pages (MREMAP_DONTUNMAP).
    Kept,
}

impl AddressSpace {
    /// Resizes the mapping at `address` and possibly moves it; returns where it is then.
    ///
    /// # Errors
    /// EFAULT: the old range is not one area. EINVAL: ranges that make no sense. ENOMEM: no room, or a limit.
    pub(crate) fn remap(
        &self,
        address: u64,
        old: u64,
        new: u64,
        moving: Moving,
        kept: OldRange,
    ) -> Result<u64> {
        let new = rounded(new)?;
        let old = if old == 0 { 0 } else { rounded(old)? };
        let source = user_range(address, old)?;
        if let Moving::To(target) = moving {
            let target = user_range(target, new)?;
            if target.start < source.end && source.start < target.end {
                return Err(Error::new(Errno::EINVAL, "the new range overlaps the old one"));
            }
            self.unmap(target.start, new)?;
        }
        let mut state = self.write();
        let mapping = state.one_area(&source)?;
        if old == 0 && !mapping.is_shared() {
            return Err(Error::new(Errno::EINVAL, "only a shared mapping can be duplicated"));
        }
        if new < old {
            let pieces = state.remove(source.start + new..source.end)?;
            drop(pieces);
        }
        let source = source.start..source.start + old.min(new);
        let is_staying = !matches!(moving, Moving::To(_)) && kept == OldRange::Unmapped && old > 0;
        if is_staying && new <= old {
            return Ok(address);
        }
        if is_staying && self.grow_in_place(&mut state, &source, new, &mapping).is_ok() {
            let is_locked = mapping.flags.contains(MappingFlags::LOCKED);
            drop(state);
            if is_locked {
                let _ = self.populate(source.end..source.start + new);
            }
            return Ok(address);
        }
        if moving == Moving::No {
            return Err(Error::new(Errno::ENOMEM, "no room to grow, and it may not move"));
        }
        self.relocate(&mut state, source, new, &mapping, moving, kept)
    }

    /// Has a part of a shared mapping show another part of its source, from the page `first` on (remap_file_pages(2)).
    ///
    /// # Errors
    /// EINVAL: the range is not part of one shared mapping of something. ENOMEM: too many areas.
    pub(crate) fn show_other_pages(&self, address: u64, length: u64, first: u64) -> Result<()> {
        let no_such = Error::new(Errno::EINVAL, "not one shared mapping");
        let range = user_range(address, length)?;
        let mapping = self.read().one_area(&range).map_err(|_| no_such)?;
        let source = mapping.backing.as_ref().filter(|_| mapping.is_shared()).ok_or(no_such)?.source.clone();
        let offset = first.checked_mul(PAGE).ok_or(no_such)?;
        self.map(MapRequest {
            place: Place::Fixed(address),
            length,
            protection: mapping.protection,
            allowed: mapping.allowed,
            flags: mapping.flags,
            source: Some((source, offset)),
        })?;
        Ok(())
    }

    fn grow_in_place(
        &self,
        state: &mut State,
        source: &Range<u64>,
        new: u64,
        mapping: &Mapping,
    ) -> Result<()> {
        let end =
            source.start.checked_add(new).ok_or(Error::new(Errno::ENOMEM, "beyond the address space"))?;
        self.check_limits(state, end - source.end, mapping)?;
        state.check_count(1)?;
        if !state.areas.is_free(source.end..end) {
            return Err(Error::new(Errno::ENOMEM, "something is in the way"));
        }
        state.promise_copy(mapping, end - source.end)?;
        state.areas.insert(source.end..end, mapping.split_at(source.end - source.start))?;
        Ok(())
    }

    fn relocate(
        &self,
        state: &mut State,
        source: Range<u64>,
        new: u64,
        mapping: &Mapping,
        moving: Moving,
        kept: OldRange,
    ) -> Result<u64> {
        let grown = if kept == OldRange::Kept { new } else { new - (source.end - source.start) };
        self.check_limits(state, grown, mapping)?;
        state.check_count(3)?;
        let target = match moving {
            Moving::To(target) => target,
            _ => self.find_place(state, Place::Anywhere(None), new, mapping)?,
        };
        state.promise_copy(mapping, grown)?;
        if kept == OldRange::Unmapped && mapping.flags.contains(MappingFlags::ACCOUNTED) {
            // Given back with the old range.
            state.promise.grow_for_move((new - grown) / PAGE);
        }
        state.areas.insert(target..target + new, mapping.clone())?;
        if source.is_empty() {
            return Ok(target);
        }
        let table = &mut state.table;
        // What was moved before memory ran out is moved back, for which there is room.
        let moved = reclaim::retry(|| table.move_pages(addresses(&source), VirtAddr::new(target)));
        if let Err(error) = moved {
            let there = target..target + (source.end - source.start);
            let _ = table.move_pages(addresses(&there), VirtAddr::new(source.start));
            let pieces = state.remove(target..target + new)?;
            drop(pieces);
            return Err(error.into());
        }
        if kept == OldRange::Unmapped {
            let pieces = state.remove(source)?;
            drop(pieces);
        }
        Ok(target)
    }
}

impl State {
    /// Promises memory for more of an area, if that is promised.
    fn promise_copy(&mut self, mapping: &Mapping, length: u64) -> Result<()> {
        if !mapping.flags.contains(MappingFlags::ACCOUNTED) {
            return Ok(());
        }
        self.promise.grow(length / PAGE, self.areas.mapped_bytes() / PAGE)
    }

    /// What a range is, if it lies in one area; at least one page of it is looked at.
    fn one_area(&self, range: &Range<u64>) -> Result<Mapping> {
        let missing = Error::new(Errno::EFAULT, "the old range is not one area");
        let (area, mapping) = self.areas.find(range.start).ok_or(missing)?;
        if range.end.max(range.start + PAGE) > area.end {
            return Err(missing);
        }
        Ok(mapping.split_at(range.start - area.start))
    }
}
