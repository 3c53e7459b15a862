//! The buddy allocator of physical frames.
//!
//! Blocks have 2^order frames (order 0 to 10) and begin at a multiple of their size. Free blocks of one order form a
//! doubly linked list through the frames' [`Record`]s, so the allocator needs no memory of its own; allocating splits
//! a larger block, freeing joins a block with its buddy as long as that is free too. Both take at most eleven steps.
//!
//! Frames are in two zones, low and high, so that devices with 32-bit addresses find memory; blocks never cross the
//! border. Each block's first frame carries a tag that says whether the block is free or allocated and its order:
//! that is how a double or wrong free is found. Source: Knuth, The Art of Computer Programming, vol. 1, 2.5.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "model"))]
extern crate alloc;

#[cfg(any(test, feature = "model"))]
pub mod model;
mod record;
#[cfg(test)]
mod tests;

use core::fmt;
use core::ops::Range;
pub use record::{Links, Record, Tag};

/// The greatest order: 1024 frames, 4 MiB.
pub const MAX_ORDER: usize = 10;
/// Number of orders.
pub const ORDERS: usize = MAX_ORDER + 1;

/// Where a block may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// Anywhere; high memory first.
    Any,
    /// Below the border.
    Low,
}

/// The smallest order whose blocks hold this many frames; `None` if no block does.
pub const fn order_for(frames: usize) -> Option<usize> {
    if frames > 1 << MAX_ORDER {
        return None;
    }
    Some(frames.next_power_of_two().trailing_zeros() as usize)
}

/// Why a block was not taken back. All are faults of the caller; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreeError {
    /// There is no such frame.
    OutOfRange,
    /// It is the first frame of a free block: a double free.
    AlreadyFree,
    /// It is not the first frame of an allocated block.
    NotAllocated,
    /// The block has another order, this one.
    WrongOrder(usize),
}

impl fmt::Display for FreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FreeError::OutOfRange => f.write_str("no such frame"),
            FreeError::AlreadyFree => f.write_str("frame is free already"),
            FreeError::NotAllocated => f.write_str("frame is not the first of an allocated block"),
            FreeError::WrongOrder(order) => write!(f, "block was allocated with order {order}"),
        }
    }
}

impl core::error::Error for FreeError {}

/// The free blocks of one zone.
struct FreeLists {
    heads: [u32; ORDERS],
    counts: [usize; ORDERS],
    /// Bit n: there is a free block of order n.
    present: u32,
}

impl FreeLists {
    const EMPTY: FreeLists = FreeLists { heads: [Links::NONE; ORDERS], counts: [0; ORDERS], present: 0 };

    /// The smallest order, at least `order`, of which a block is free.
    fn smallest(&self, order: usize) -> Option<usize> {
        let fitting = self.present >> order;
        if fitting == 0 { None } else { Some(order + fitting.trailing_zeros() as usize) }
    }
}

/// The allocator. Frames are named by their index in the records; frame 0 is physical address 0.
pub struct Allocator<'a, R> {
    records: &'a [R],
    /// First frame of the high zone.
    border: u32,
    low: FreeLists,
    high: FreeLists,
    free: usize,
    managed: usize,
}

impl<'a, R: Record> Allocator<'a, R> {
    /// An allocator without free frames. `border` is the first frame of high memory (2^20 for 4 GiB), rounded down to a
    /// largest block. Records beyond 2^32 - 1 frames are not used.
    pub fn new(records: &'a [R], border: u32) -> Allocator<'a, R> {
        let records = &records[..records.len().min(u32::MAX as usize)];
        let border = border & !((1 << MAX_ORDER) - 1);
        Allocator { records, border, low: FreeLists::EMPTY, high: FreeLists::EMPTY, free: 0, managed: 0 }
    }

    /// Hands over a range of frames, each at most once. What lies beyond the records is left out. Returns how many
    /// frames were taken.
    pub fn add_range(&mut self, range: Range<u32>) -> usize {
        let end = range.end.min(self.records.len() as u32);
        let mut frame = range.start;
        let mut taken = 0;
        while frame < end {
            // The largest block that begins here, ends in the range, and does not cross the border.
            let order = (frame.trailing_zeros().min((end - frame).ilog2()) as usize).min(MAX_ORDER);
            if self.record(frame).tag() == Tag::NONE {
                self.release(frame, order);
                taken += 1 << order;
            }
            frame += 1 << order;
        }
        self.managed += taken;
        taken
    }

    /// Takes a block of 2^order frames; `None` if there is none (or no such order). Returns its first frame.
    pub fn allocate(&mut self, order: usize, zone: Zone) -> Option<u32> {
        if order > MAX_ORDER {
            return None;
        }
        let in_high = match zone {
            Zone::Any => self.high.smallest(order),
            Zone::Low => None,
        };
        let found = in_high.or_else(|| self.low.smallest(order))?;
        let frame = if in_high.is_some() { self.high.heads[found] } else { self.low.heads[found] };
        self.unlink(frame, found);
        for half in (order..found).rev() {
            self.link(frame + (1 << half), half);
        }
        self.record(frame).set_tag(Tag::allocated(order));
        self.free -= 1 << order;
        Some(frame)
    }

    /// Gives back a block that [`Allocator::allocate`] returned, with its order.
    pub fn free(&mut self, frame: u32, order: usize) -> Result<(), FreeError> {
        let record = self.records.get(frame as usize).ok_or(FreeError::OutOfRange)?;
        match record.tag().allocated_order() {
            Some(allocated) if allocated == order => {}
            Some(allocated) => return Err(FreeError::WrongOrder(allocated)),
            None if record.tag().free_order().is_some() => return Err(FreeError::AlreadyFree),
            None => return Err(FreeError::NotAllocated),
        }
        self.release(frame, order);
        Ok(())
    }

    /// Turns an allocated block into single frames, each to be freed with order 0.
    pub fn split(&mut self, frame: u32, order: usize) -> Result<(), FreeError> {
        let record = self.records.get(frame as usize).ok_or(FreeError::OutOfRange)?;
        match record.tag().allocated_order() {
            Some(allocated) if allocated == order => {}
            Some(allocated) => return Err(FreeError::WrongOrder(allocated)),
            None => return Err(FreeError::NotAllocated),
        }
        for single in frame..frame + (1 << order) {
            self.record(single).set_tag(Tag::allocated(0));
        }
        Ok(())
    }

    /// Number of free frames.
    pub fn free_frames(&self) -> usize {
        self.free
    }

    /// Number of frames that were ever handed over.
    pub fn managed_frames(&self) -> usize {
        self.managed
    }

    /// Free blocks by order, of the low and of the high zone (/proc/buddyinfo).
    pub fn free_blocks(&self) -> [[usize; ORDERS]; 2] {
        [self.low.counts, self.high.counts]
    }

    /// The records.
    pub fn records(&self) -> &'a [R] {
        self.records
    }

    /// Makes a block free, joined with its buddies.
    fn release(&mut self, mut frame: u32, mut order: usize) {
        self.free += 1 << order;
        while order < MAX_ORDER {
            let buddy = frame ^ (1 << order);
            let is_free = self
                .records
                .get(buddy as usize)
                .is_some_and(|record| record.tag().free_order() == Some(order));
            if !is_free {
                break;
            }
            self.unlink(buddy, order);
            self.record(frame.max(buddy)).set_tag(Tag::NONE);
            frame = frame.min(buddy);
            order += 1;
        }
        self.link(frame, order);
    }

    /// Puts a block in front of its list and tags it free.
    fn link(&mut self, frame: u32, order: usize) {
        let lists = self.lists(frame);
        let next = core::mem::replace(&mut lists.heads[order], frame);
        lists.counts[order] += 1;
        lists.present |= 1 << order;
        if next != Links::NONE {
            let links = self.record(next).links();
            self.record(next).set_links(Links { previous: frame, ..links });
        }
        self.record(frame).set_links(Links { next, previous: Links::NONE });
        self.record(frame).set_tag(Tag::free(order));
    }

    /// Takes a free block out of its list; its tag becomes stale.
    fn unlink(&mut self, frame: u32, order: usize) {
        let Links { next, previous } = self.record(frame).links();
        if next != Links::NONE {
            let links = self.record(next).links();
            self.record(next).set_links(Links { previous, ..links });
        }
        if previous != Links::NONE {
            let links = self.record(previous).links();
            self.record(previous).set_links(Links { next, ..links });
        }
        let lists = self.lists(frame);
        if previous == Links::NONE {
            lists.heads[order] = next;
        }
        lists.counts[order] -= 1;
        if lists.counts[order] == 0 {
            lists.present &= !(1 << order);
        }
    }

    fn lists(&mut self, frame: u32) -> &mut FreeLists {
        if frame < self.border { &mut self.low } else { &mut self.high }
    }

    fn record(&self, frame: u32) -> &'a R {
        &self.records[frame as usize]
    }

    /// Walks all lists and tells what is wrong with them; for tests. Takes time in the number of free blocks.
    pub fn check(&self) -> Result<(), &'static str> {
        let mut free = 0;
        for (lists, is_low) in [(&self.low, true), (&self.high, false)] {
            for order in 0..ORDERS {
                let (mut frame, mut previous, mut count) = (lists.heads[order], Links::NONE, 0);
                while frame != Links::NONE {
                    let record =
                        self.records.get(frame as usize).ok_or("link to a frame that does not exist")?;
                    if record.tag() != Tag::free(order) {
                        return Err("block in a list is not tagged free with the list's order");
                    }
                    if record.links().previous != previous {
                        return Err("links do not agree");
                    }
                    if frame % (1 << order) != 0 {
                        return Err("block is not aligned");
                    }
                    if (frame < self.border) != is_low {
                        return Err("block is in the wrong zone");
                    }
                    count += 1;
                    if count > lists.counts[order] {
                        return Err("list is longer than its count, or a circle");
                    }
                    (previous, frame) = (frame, record.links().next);
                }
                if count != lists.counts[order] || (count != 0) != (lists.present >> order & 1 != 0) {
                    return Err("count does not match the list");
                }
                free += count << order;
            }
        }
        if free == self.free { Ok(()) } else { Err("number of free frames is wrong") }
    }
}
