//! Large objects of the kernel heap: single frames, mapped one behind the other in a virtual area, so that they need no
//! contiguous memory.
//!
//! The area has a part for each size, a power of two of pages; a part is cut into slots of twice that size, whose upper half
//! stays unmapped: an access beyond an object's last page is a fault. A bit for each slot says whether it is in
//! use. A slot that was given back is used again only after all CPUs have forgotten its pages: these flushes are
//! done for many slots at a time.
//!
//! # Soundness
//! A slot belongs to one object from the moment its bit is set until it is unmapped, and nobody gets it again before
//! the flush.

use super::{
    OutOfMemory,
    allocator::{self, Owner},
    entry::EntryFlags,
    kernel_table, layout, tlb,
};
use crate::{addr::PAGE_SIZE, sync::IrqSpinLock};
use frames::Zone;

const PAGE: u64 = PAGE_SIZE as u64;
/// Sizes from 1 to 2^14 pages (64 MiB).
const SIZES: usize = 15;
/// What each size has of the area.
const PART: u64 = layout::AREA_SIZE / 16;
/// The most objects of one size.
const SLOTS: usize = 2048;
const WORDS: usize = SLOTS / 64;
/// So many given-back slots are flushed together.
const FLUSH_AT: usize = 32;

/// Frames that all objects together could have.
pub(super) const AREA_FRAMES: usize = (layout::AREA_SIZE / PAGE) as usize;

struct Part {
    /// Bit n: slot n is in use, or was and is not flushed yet.
    taken: [u64; WORDS],
    /// Bit n: slot n waits for the flush.
    waits: [u64; WORDS],
}

struct Parts {
    parts: [Part; SIZES],
    /// How many slots wait.
    waiting: usize,
}

static PARTS: IrqSpinLock<Parts> = IrqSpinLock::new(
    "heap slots",
    Parts { parts: [const { Part { taken: [0; WORDS], waits: [0; WORDS] } }; SIZES], waiting: 0 },
);

/// How many slots of a size there are: as many as its part has room for.
const fn slots(order: usize) -> usize {
    let fitting = PART / (PAGE << (order + 1));
    if fitting < SLOTS as u64 { fitting as usize } else { SLOTS }
}

fn order_of(pages: usize) -> Option<usize> {
    let order = pages.next_power_of_two().trailing_zeros() as usize;
    (pages > 0 && order < SIZES).then_some(order)
}

fn address(order: usize, slot: usize) -> u64 {
    layout::HEAP_AREA + order as u64 * PART + slot as u64 * (PAGE << (order + 1))
}

impl Parts {
    fn take(&mut self, order: usize) -> Option<usize> {
        let part = &mut self.parts[order];
        let words = part.taken.iter_mut().enumerate();
        let (index, word) = words.into_iter().find(|(_, word)| **word != u64::MAX)?;
        let bit = word.trailing_ones() as usize;
        let slot = index * 64 + bit;
        (slot < slots(order)).then(|| {
            *word |= 1 << bit;
            slot
        })
    }

    /// Makes all CPUs forget what was unmapped; then the slots are free.
    fn flush(&mut self) {
        tlb::flush_kernel(layout::HEAP_AREA..layout::HEAP_AREA + layout::AREA_SIZE);
        for part in &mut self.parts {
            for (taken, waits) in part.taken.iter_mut().zip(&mut part.waits) {
                *taken &= !core::mem::take(waits);
            }
        }
        self.waiting = 0;
    }
}

/// Whether an object lies in the area.
pub(super) fn contains(object: *mut u8) -> bool {
    (layout::HEAP_AREA..layout::HEAP_AREA + layout::AREA_SIZE).contains(&(object.addr() as u64))
}

/// Memory of so many pages, aligned to a page, with unspecified contents.
pub(super) fn allocate(pages: usize) -> Result<*mut u8, OutOfMemory> {
    let order = order_of(pages).ok_or(OutOfMemory)?;
    // More than there is fails before it takes all there is.
    if allocator::free_frames() < pages + allocator::watermarks().min / 2 {
        return Err(OutOfMemory);
    }
    let slot = {
        let mut parts = PARTS.lock();
        parts.take(order).or_else(|| {
            parts.flush();
            parts.take(order)
        })
    };
    let start = address(order, slot.ok_or(OutOfMemory)?);
    for page in 0..pages {
        if let Err(error) = map(start + page as u64 * PAGE) {
            free(start as *mut u8, page);
            return Err(error);
        }
    }
    Ok(start as *mut u8)
}

fn map(page: u64) -> Result<(), OutOfMemory> {
    let frame = allocator::allocate(Owner::Virtual, 0, Zone::Any)?;
    let flags = EntryFlags::PRESENT | EntryFlags::WRITABLE | EntryFlags::NO_EXECUTE | EntryFlags::GLOBAL;
    kernel_table::map(page, allocator::address_of(frame), flags)
        .inspect_err(|_| allocator::free(Owner::Virtual, frame, 0))
}

/// Takes memory back that [`allocate`] gave for so many pages. (After a failure, fewer may be mapped.)
pub(super) fn free(object: *mut u8, pages: usize) {
    let start = object.addr() as u64;
    let order = ((start - layout::HEAP_AREA) / PART) as usize;
    let slot = ((start - layout::HEAP_AREA) % PART / (PAGE << (order + 1))) as usize;
    assert!(start == address(order, slot), "heap: {object:p} is not the beginning of a large object");
    for page in 0..pages as u64 {
        let unmapped = kernel_table::unmap(start + page * PAGE);
        let frame = unmapped.unwrap_or_else(|| panic!("heap: double free of a large object at {object:p}"));
        // A CPU that has not forgotten the page yet could reach the frame only through the freed object.
        allocator::free(Owner::Virtual, allocator::frame_at(frame), 0);
    }
    let mut parts = PARTS.lock();
    parts.parts[order].waits[slot / 64] |= 1 << (slot % 64);
    parts.waiting += 1;
    if parts.waiting >= FLUSH_AT {
        parts.flush();
    }
}
