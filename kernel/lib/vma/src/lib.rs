//! The areas of an address space: which ranges are mapped, and as what.
//!
//! Areas do not overlap; they are ordered by address and lie in page-aligned ranges. What an area is, is the caller's
//! [`Payload`], which knows how to split and when two neighbours are one. Neighbours that can be one are merged, so the
//! list is as short as Linux's /proc/PID/maps. An area may ask for a gap below it ([`Payload::gap_below`]): that keeps
//! new mappings away from a stack that still grows.
//!
//! Ranges come from system calls: all arithmetic is checked.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::fmt;
use core::ops::{ControlFlow, Range};
use id_map::IdMap;

/// Granularity of areas.
pub const PAGE_SIZE: u64 = 4096;

/// What an area is.
pub trait Payload: Clone {
    /// The payload of the part that begins `offset` bytes behind the start: a file offset moves along.
    #[must_use]
    fn split_at(&self, offset: u64) -> Self;

    /// Whether this area, of `len` bytes, and the one directly behind it are one.
    fn can_merge(&self, len: u64, next: &Self) -> bool;

    /// Bytes below the area in which nothing new is placed.
    fn gap_below(&self) -> u64 {
        0
    }
}

/// An area, or a piece of one that was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area<T> {
    /// Its addresses.
    pub range: Range<u64>,
    /// What it is.
    pub payload: T,
}

/// What is wrong with a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeError {
    /// It is empty, its ends are not page-aligned, or it ends before it begins.
    Invalid,
    /// It leaves the address space.
    OutOfRange,
    /// Something is mapped there.
    Occupied,
    /// Nothing is mapped there.
    NotMapped,
}

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RangeError::Invalid => "range is empty or not page-aligned",
            RangeError::OutOfRange => "range leaves the address space",
            RangeError::Occupied => "range is mapped already",
            RangeError::NotMapped => "range is not mapped",
        })
    }
}

impl core::error::Error for RangeError {}

/// The page-aligned range that holds `len` bytes from `start`, as `mmap` and its relatives count; `None` if it
/// overflows, is empty, or `start` is not page-aligned.
pub fn page_range(start: u64, len: u64) -> Option<Range<u64>> {
    let len = len.checked_next_multiple_of(PAGE_SIZE)?;
    let end = start.checked_add(len)?;
    (start.is_multiple_of(PAGE_SIZE) && len > 0).then_some(start..end)
}

/// Where a new area may be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Bytes, a multiple of the page size.
    pub len: u64,
    /// Alignment of the start, a power of two, at least the page size.
    pub align: u64,
    /// Taken if it is free, whatever the window.
    pub hint: Option<u64>,
    /// Where to look otherwise, from the top.
    pub window: Range<u64>,
}

/// The areas of one address space, by start address.
#[derive(Clone, Debug)]
pub struct AreaMap<T> {
    bounds: Range<u64>,
    areas: IdMap<u64, (u64, T)>,
    mapped: u64,
}

impl<T: Payload> AreaMap<T> {
    /// No areas; all will lie within `bounds`.
    pub const fn new(bounds: Range<u64>) -> AreaMap<T> {
        AreaMap { bounds, areas: IdMap::new(), mapped: 0 }
    }

    /// The addresses that areas may have.
    pub fn bounds(&self) -> Range<u64> {
        self.bounds.clone()
    }

    /// Number of areas.
    pub fn len(&self) -> usize {
        self.areas.len()
    }

    /// Whether there is no area.
    pub fn is_empty(&self) -> bool {
        self.areas.is_empty()
    }

    /// Bytes in all areas (VmSize).
    pub fn mapped_bytes(&self) -> u64 {
        self.mapped
    }

    /// The area that contains an address.
    pub fn find(&self, address: u64) -> Option<(Range<u64>, &T)> {
        let (start, (end, payload)) = self.areas.iter_to(address).next_back()?;
        (*end > address).then_some((start..*end, payload))
    }

    /// The area that contains an address, or else the next one above.
    pub fn find_at_or_above(&self, address: u64) -> Option<(Range<u64>, &T)> {
        self.find(address).or_else(|| {
            let (start, (end, payload)) = self.areas.iter_from(address).next()?;
            Some((start..*end, payload))
        })
    }

    /// All areas in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Range<u64>, &T)> {
        self.areas.iter().map(|(start, (end, payload))| (start..*end, payload))
    }

    /// The areas that lie in a range, even in part, in order.
    pub fn iter_range(&self, range: Range<u64>) -> impl Iterator<Item = (Range<u64>, &T)> {
        let first = self.find(range.start).map_or(range.start, |(area, _)| area.start);
        self.areas
            .iter_range(first..range.end.max(first))
            .map(|(start, (end, payload))| (start..*end, payload))
    }

    /// The first address of the range that is not mapped.
    pub fn first_gap(&self, range: Range<u64>) -> Option<u64> {
        let mut address = range.start;
        while address < range.end {
            match self.find(address) {
                Some((area, _)) => address = area.end,
                None => return Some(address),
            }
        }
        None
    }

    /// Whether nothing is mapped in a range.
    pub fn is_free(&self, range: Range<u64>) -> bool {
        self.iter_range(range).next().is_none()
    }

    /// Adds an area where nothing is.
    pub fn insert(&mut self, range: Range<u64>, payload: T) -> Result<(), RangeError> {
        self.check(&range)?;
        if !self.is_free(range.clone()) {
            return Err(RangeError::Occupied);
        }
        self.mapped += range.end - range.start;
        self.areas.insert(range.start, (range.end, payload));
        self.merge(range);
        Ok(())
    }

    /// Adds an area and removes what was there; returns the pieces.
    pub fn replace(&mut self, range: Range<u64>, payload: T) -> Result<Vec<Area<T>>, RangeError> {
        let removed = self.remove(range.clone())?;
        self.insert(range, payload)?;
        Ok(removed)
    }

    /// Removes all that is in a range and returns the pieces in order; nothing there is no error.
    pub fn remove(&mut self, range: Range<u64>) -> Result<Vec<Area<T>>, RangeError> {
        self.check(&range)?;
        self.cut(&range);
        let mut removed = Vec::new();
        while let Some((start, _)) = self.areas.iter_range(range.clone()).next() {
            let Some((end, payload)) = self.areas.remove(start) else { break };
            self.mapped -= end - start;
            removed.push(Area { range: start..end, payload });
        }
        Ok(removed)
    }

    /// Changes the payload of all that is in a range; areas are split at its ends and merged afterwards. What is not
    /// mapped is left out: [`AreaMap::first_gap`] tells.
    pub fn update(
        &mut self,
        range: Range<u64>,
        mut change: impl FnMut(Range<u64>, &mut T),
    ) -> Result<(), RangeError> {
        self.check(&range)?;
        self.cut(&range);
        let mut change_next = |start, (end, payload): &mut (u64, T)| {
            if start >= range.end {
                return ControlFlow::Break(());
            }
            change(start..*end, payload);
            ControlFlow::Continue(())
        };
        // It breaks at the end of the range or comes to that of the map.
        let _ = self.areas.visit_mut_from(range.start, &mut change_next);
        self.merge(range);
        Ok(())
    }

    /// Moves the start of an area down, as a stack does; the payload stays. Fails if something is in the way or would
    /// come closer than the area's gap.
    pub fn grow_down(&mut self, start: u64, new_start: u64) -> Result<(), RangeError> {
        self.check(&(new_start..start))?;
        let (_, payload) = self.areas.get(start).ok_or(RangeError::NotMapped)?;
        let floor = new_start.saturating_sub(payload.gap_below());
        if !self.is_free(floor..start) {
            return Err(RangeError::Occupied);
        }
        let area = self.areas.remove(start).ok_or(RangeError::NotMapped)?;
        self.areas.insert(new_start, area);
        self.mapped += start - new_start;
        self.merge(new_start..start);
        Ok(())
    }

    /// A free range for a new area: at the hint if that is free, else the highest one in the window. The lowest bytes
    /// of an area's gap stay free.
    pub fn find_free(&self, placement: &Placement) -> Option<u64> {
        let Placement { len, align, hint, ref window } = *placement;
        if len == 0 || !len.is_multiple_of(PAGE_SIZE) || !align.is_power_of_two() || align < PAGE_SIZE {
            return None;
        }
        let at_hint = hint.filter(|&start| start.is_multiple_of(align) && self.is_free_for_new(start, len));
        if at_hint.is_some() {
            return at_hint;
        }
        let floor = window.start.max(self.bounds.start);
        let mut ceiling = window.end.min(self.bounds.end);
        if let Some((start, (_, above))) = self.areas.iter_from(ceiling).next() {
            ceiling = ceiling.min(start.saturating_sub(above.gap_below()));
        }
        for (start, (end, payload)) in self.areas.iter_range(0..ceiling).rev() {
            if let Some(found) = fit_below(ceiling, len, align).filter(|&found| found >= floor.max(*end)) {
                return Some(found);
            }
            ceiling = ceiling.min(start.saturating_sub(payload.gap_below()));
            if ceiling <= floor {
                return None;
            }
        }
        fit_below(ceiling, len, align).filter(|&found| found >= floor)
    }

    /// Whether a new area fits here, gaps of what lies above included.
    fn is_free_for_new(&self, start: u64, len: u64) -> bool {
        let Some(end) = start.checked_add(len) else { return false };
        if self.check(&(start..end)).is_err() || !self.is_free(start..end) {
            return false;
        }
        match self.areas.iter_from(end).next() {
            Some((above, (_, payload))) => end <= above.saturating_sub(payload.gap_below()),
            None => true,
        }
    }

    fn check(&self, range: &Range<u64>) -> Result<(), RangeError> {
        let is_aligned = range.start.is_multiple_of(PAGE_SIZE) && range.end.is_multiple_of(PAGE_SIZE);
        if range.start >= range.end || !is_aligned {
            return Err(RangeError::Invalid);
        }
        let is_inside = range.start >= self.bounds.start && range.end <= self.bounds.end;
        if is_inside { Ok(()) } else { Err(RangeError::OutOfRange) }
    }

    /// Splits the areas that contain the ends of a range, so that the range consists of whole areas.
    fn cut(&mut self, range: &Range<u64>) {
        for at in [range.start, range.end] {
            let Some((start, _)) = self.areas.iter_range(0..at).next_back() else { continue };
            if let Some((end, payload)) = self.areas.get_mut(start).filter(|(end, _)| *end > at) {
                let upper = (*end, payload.split_at(at - start));
                *end = at;
                self.areas.insert(at, upper);
            }
        }
    }

    /// Merges the areas of a range with each other and with their neighbours.
    fn merge(&mut self, range: Range<u64>) {
        let first = self.areas.iter_range(0..range.start).next_back().map_or(range.start, |(start, _)| start);
        let mut at = first;
        while let Some((start, (end, payload))) = self.areas.iter_from(at).next() {
            if start > range.end {
                return;
            }
            let end = *end;
            let is_same = self.areas.get(end).is_some_and(|(_, next)| payload.can_merge(end - start, next));
            if !is_same {
                at = end;
                continue;
            }
            let next_end = self.areas.remove(end).map_or(end, |(next_end, _)| next_end);
            if let Some((end, _)) = self.areas.get_mut(start) {
                *end = next_end;
            }
            at = start;
        }
    }
}

/// The highest aligned start with `len` bytes below the ceiling.
fn fit_below(ceiling: u64, len: u64, align: u64) -> Option<u64> {
    Some(ceiling.checked_sub(len)? & !(align - 1))
}
