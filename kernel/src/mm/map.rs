//! Adding and removing areas: mmap, munmap, and the heap (brk).

use super::{
    AddressSpace, PageSource,
    area::{Backing, Mapping, MappingFlags, PERMISSIONS},
    commit::{self, Overcommit},
    layout::USER_START,
    space::{PAGE, State},
};
use crate::error::{Error, Result};
use abi::{errno::Errno, mman::Prot};
use alloc::sync::Arc;
use core::{ops::Range, sync::atomic::Ordering};
use machine::addr::USER_END;
use vma::Placement;

/// Where a new mapping goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Anywhere; at the address if it is free.
    Anywhere(Option<u64>),
    /// Below 2 GiB (MAP_32BIT).
    Low,
    /// There, in place of what is there.
    Fixed(u64),
    /// There, if nothing is there: EEXIST.
    FixedNew(u64),
}

/// A new mapping.
pub(crate) struct MapRequest {
    /// Where it goes.
    pub(crate) place: Place,
    /// Its length in bytes, rounded up to pages.
    pub(crate) length: u64,
    /// Permissions.
    pub(crate) protection: Prot,
    /// The most that mprotect may give later.
    pub(crate) allowed: Prot,
    /// How it behaves.
    pub(crate) flags: MappingFlags,
    /// Where its pages come from, and where in that it starts (bytes, page-aligned); `None`: private zeros.
    pub(crate) source: Option<(Arc<dyn PageSource>, u64)>,
}

impl MapRequest {
    /// Private memory that starts as zeros.
    pub(crate) fn anonymous(place: Place, length: u64, protection: Prot) -> Self {
        Self { place, length, protection, allowed: PERMISSIONS, flags: MappingFlags::empty(), source: None }
    }
}

impl AddressSpace {
    /// Maps something; returns where.
    ///
    /// # Errors
    /// EINVAL: a length of 0, or an address that is not page-aligned. ENOMEM: no room, or a limit. EEXIST: see
    /// [`Place::FixedNew`]. EPERM: below the first address that programs may use. EOVERFLOW: beyond the largest offset.
    pub(crate) fn map(&self, request: MapRequest) -> Result<u64> {
        let length = rounded(request.length)?;
        if let Some((_, offset)) = &request.source {
            offset.checked_add(length).ok_or(Error::new(Errno::EOVERFLOW, "beyond the largest offset"))?;
        }
        let mut state = self.write();
        let mut flags = request.flags | state.default_flags;
        if commit::overcommit() == Overcommit::Strict {
            flags -= MappingFlags::NO_RESERVE;
        }
        let mut mapping = Mapping {
            protection: request.protection & PERMISSIONS,
            allowed: request.allowed,
            flags,
            backing: request.source.map(|(source, offset)| Backing { source, offset }),
        };
        let (start, pieces);
        match request.place {
            Place::Fixed(address) => {
                let range = fixed_range(address, length)?;
                self.check_limits(&state, length, &mapping)?;
                pieces = state.remove(range.clone())?;
                start = range.start;
            }
            Place::FixedNew(address) => {
                let range = fixed_range(address, length)?;
                if !state.areas.is_free(range.clone()) {
                    return Err(Error::new(Errno::EEXIST, "something is mapped there"));
                }
                self.check_limits(&state, length, &mapping)?;
                (start, pieces) = (range.start, alloc::vec::Vec::new());
            }
            Place::Anywhere(_) | Place::Low => {
                self.check_limits(&state, length, &mapping)?;
                start = self.find_place(&state, request.place, length, &mapping)?;
                pieces = alloc::vec::Vec::new();
            }
        }
        let is_locked = flags.contains(MappingFlags::LOCKED);
        state.check_count(2)?;
        state.charge(&mut mapping, length)?;
        state.areas.insert(start..start + length, mapping)?;
        drop(state);
        // Files that are no longer mapped may be closed by this, which may sleep.
        drop(pieces);
        if is_locked {
            // Like Linux, a mapping stands even if it cannot be filled.
            let _ = self.populate(start..start + length);
        }
        Ok(start)
    }

    /// A free place for `length` bytes.
    pub(super) fn find_place(
        &self,
        state: &State,
        place: Place,
        length: u64,
        mapping: &Mapping,
    ) -> Result<u64> {
        const LOW_END: u64 = 0x8000_0000;
        let no_room = Error::new(Errno::ENOMEM, "no free range is long enough");
        // A stack needs room to grow and the gap below it.
        let length = length.checked_add(vma::Payload::gap_below(mapping)).ok_or(no_room)?;
        let (hint, window) = match place {
            Place::Low => (None, 0x4000_0000..LOW_END),
            Place::Anywhere(hint) => (hint.map(|hint| hint & !(PAGE - 1)), USER_START..self.layout().map_top),
            Place::Fixed(_) | Place::FixedNew(_) => (None, 0..0),
        };
        let placement = Placement { len: length, align: PAGE, hint, window };
        let found = state.areas.find_free(&placement).or_else(|| {
            // The usual window is full: what is left above it will do.
            let window = if place == Place::Low { USER_START..LOW_END } else { USER_START..USER_END };
            state.areas.find_free(&Placement { hint: None, window, ..placement })
        });
        found.map(|start| start + vma::Payload::gap_below(mapping)).ok_or(no_room)
    }

    /// ENOMEM if `length` bytes more are beyond a limit.
    pub(super) fn check_limits(&self, state: &State, length: u64, mapping: &Mapping) -> Result<()> {
        let is_over = |limit: u64, used: u64| limit != u64::MAX && used.saturating_add(length) > limit;
        if is_over(self.limits.address_space.load(Ordering::Relaxed), state.areas.mapped_bytes()) {
            return Err(Error::new(Errno::ENOMEM, "RLIMIT_AS"));
        }
        let data_limit = self.limits.data.load(Ordering::Relaxed);
        if mapping.is_data() && data_limit != u64::MAX && is_over(data_limit, state.data_bytes()) {
            return Err(Error::new(Errno::ENOMEM, "RLIMIT_DATA"));
        }
        if mapping.flags.contains(MappingFlags::LOCKED) {
            match self.lock_limit() {
                0 => return Err(Error::new(Errno::EPERM, "RLIMIT_MEMLOCK is 0")),
                limit if is_over(limit, state.locked_bytes()) => {
                    return Err(Error::new(Errno::EAGAIN, "RLIMIT_MEMLOCK"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes whatever is mapped in a range; nothing there is no error.
    ///
    /// # Errors
    /// EINVAL: the address is not page-aligned, the length is 0, or the range leaves the address space.
    pub(crate) fn unmap(&self, address: u64, length: u64) -> Result<()> {
        let length = rounded(length).map_err(|_| Error::new(Errno::EINVAL, "no such range"))?;
        let range = user_range(address, length)?;
        let Some(range) = clip(range) else { return Ok(()) };
        let pieces = self.write().remove(range)?;
        drop(pieces);
        Ok(())
    }

    /// Puts the heap behind the program; its break is at `start`.
    pub(crate) fn set_heap_start(&self, start: u64) {
        self.write().heap = start..start;
    }

    /// Moves the end of the heap (brk): returns where it is then, which is where it was if that
    /// cannot be done.
    pub(crate) fn set_break(&self, wanted: u64) -> u64 {
        let mut state = self.write();
        let heap = state.heap.clone();
        if wanted < heap.start || wanted > USER_END {
            return heap.end;
        }
        let (old_end, new_end) = (heap.end.next_multiple_of(PAGE), wanted.next_multiple_of(PAGE));
        if new_end < old_end {
            match state.remove(new_end..old_end) {
                Ok(pieces) => drop(pieces),
                Err(_) => return heap.end,
            }
        } else if new_end > old_end && self.grow_heap(&mut state, old_end..new_end).is_err() {
            return heap.end;
        }
        state.heap.end = wanted;
        wanted
    }

    fn grow_heap(&self, state: &mut State, range: Range<u64>) -> Result<()> {
        let mut mapping = Mapping {
            protection: Prot::PROT_READ | Prot::PROT_WRITE,
            allowed: PERMISSIONS,
            flags: state.default_flags,
            backing: None,
        };
        self.check_limits(state, range.end - range.start, &mapping)?;
        state.check_count(1)?;
        // Keep a page free above, and what a stack there wants to itself.
        let above = state.areas.find_at_or_above(range.start);
        if let Some((area, other)) = above
            && area.start < range.end.saturating_add(vma::Payload::gap_below(other).max(PAGE))
        {
            return Err(Error::new(Errno::ENOMEM, "something is in the way"));
        }
        state.charge(&mut mapping, range.end - range.start)?;
        state.areas.insert(range, mapping)?;
        Ok(())
    }
}

impl State {
    /// Promises the memory of an area that is about to be made.
    pub(super) fn charge(&mut self, mapping: &mut Mapping, length: u64) -> Result<()> {
        if mapping.is_accountable() {
            self.promise.grow(length / PAGE, self.areas.mapped_bytes() / PAGE)?;
            mapping.flags |= MappingFlags::ACCOUNTED;
        }
        Ok(())
    }

    pub(super) fn data_bytes(&self) -> u64 {
        self.sum(Mapping::is_data)
    }

    pub(super) fn locked_bytes(&self) -> u64 {
        self.sum(|mapping| mapping.flags.contains(MappingFlags::LOCKED))
    }

    fn sum(&self, counts: impl Fn(&Mapping) -> bool) -> u64 {
        let counted = self.areas.iter().filter(|(_, mapping)| counts(mapping));
        counted.map(|(range, _)| range.end - range.start).sum()
    }
}

/// A length in whole pages. EINVAL for 0, ENOMEM for what no address space holds.
pub(super) fn rounded(length: u64) -> Result<u64> {
    if length == 0 {
        return Err(Error::new(Errno::EINVAL, "a length of 0"));
    }
    let length = length.checked_next_multiple_of(PAGE).filter(|length| *length <= USER_END);
    length.ok_or(Error::new(Errno::ENOMEM, "longer than the address space"))
}

/// A range of whole pages that a program names. EINVAL if it is not aligned or leaves the address space.
pub(super) fn user_range(address: u64, length: u64) -> Result<Range<u64>> {
    let end = address.checked_add(length).filter(|end| *end <= USER_END);
    match end {
        Some(end) if address.is_multiple_of(PAGE) => Ok(address..end),
        _ => Err(Error::new(Errno::EINVAL, "no page-aligned range of user addresses")),
    }
}

/// The part of a range in which something can be mapped.
pub(super) fn clip(range: Range<u64>) -> Option<Range<u64>> {
    let start = range.start.max(USER_START);
    (start < range.end).then_some(start..range.end)
}

fn fixed_range(address: u64, length: u64) -> Result<Range<u64>> {
    if !address.is_multiple_of(PAGE) {
        return Err(Error::new(Errno::EINVAL, "the address is not page-aligned"));
    }
    let end = address.checked_add(length).filter(|end| *end <= USER_END);
    let end = end.ok_or(Error::new(Errno::ENOMEM, "range leaves the address space"))?;
    if address < USER_START {
        return Err(Error::new(Errno::EPERM, "below mmap_min_addr"));
    }
    Ok(address..end)
}
