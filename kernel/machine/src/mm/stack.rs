//! Kernel stacks: mapped pages between pages that are never mapped.
//!
//! The stack area is cut into slots. A stack takes the upper pages of a slot; the pages below it are
//! marked as guard pages, so running over the end is a fault, and the report says whose stack it was: the lowest
//! marker below the stack carries a note with the owner. A few stacks are kept for the next task that wants one,
//! mapped as they are.
//!
//! An unused stack is filled with one word, [`PAINT`]; how far up that is still so tells how much of it was ever used.
//!
//! # Soundness
//! A slot belongs to one `KernelStack` until it is dropped and unmapped everywhere. Paint is laid on stacks that nobody
//! has; whoever looks at it on another's stack reads mapped words, volatile, and believes little.

use super::{
    OutOfMemory,
    allocator::{self, Owner},
    entry::EntryFlags,
    kernel_table, layout, tlb,
};
use crate::{
    addr::{PAGE_SIZE, PhysAddr, VirtAddr},
    sync::IrqSpinLock,
};
use core::ops::Range;
use frames::Zone;
use paging::PageKind;

const PAGE: u64 = PAGE_SIZE as u64;
/// Pages of a slot.
const SLOT_PAGES: u64 = 32;
const SLOT: u64 = SLOT_PAGES * PAGE;
/// The largest stack: the rest of the slot is guard.
pub(crate) const MAX_PAGES: usize = SLOT_PAGES as usize - 1;
/// How many unused stacks are kept mapped.
const CACHED: usize = 16;
/// As many slots as there may be tasks and some more.
const MAX_SLOTS: usize = 1 << 17;

struct Slots {
    /// Slots from here on were never used.
    next: u32,
    /// Slots to use again, unmapped.
    free: alloc::vec::Vec<u32>,
    /// Stacks to use again.
    cache: [Option<Memory>; CACHED],
}

static SLOTS: IrqSpinLock<Slots> = IrqSpinLock::new(
    "kernel stacks",
    Slots { next: 0, free: alloc::vec::Vec::new(), cache: [const { None }; CACHED] },
);

/// What no code is likely to leave at the lowest end of what it used.
const PAINT: u64 = 0x5a5a_c0de_7ac4_5a5a;

/// A slot and its mapped pages.
struct Memory {
    slot: u32,
    pages: u32,
}

impl Memory {
    fn range(&self) -> Range<u64> {
        let end = layout::STACK_AREA + (u64::from(self.slot) + 1) * SLOT;
        end - u64::from(self.pages) * PAGE..end
    }

    /// Bytes from the top down to the lowest word that is not paint.
    fn used(&self) -> usize {
        let range = self.range();
        // SAFETY: a word of the stack, see Soundness.
        let is_paint = |address: &u64| unsafe { (*address as *const u64).read_volatile() } == PAINT;
        let clean = range.clone().step_by(size_of::<u64>()).take_while(is_paint).count();
        (range.end - range.start) as usize - clean * size_of::<u64>()
    }

    /// Paints the upper `used` bytes.
    fn paint(&self, used: usize) {
        let end = self.range().end;
        for address in (end - used as u64..end).step_by(size_of::<u64>()) {
            // SAFETY: a word of a stack that nobody has, see Soundness.
            unsafe { (address as *mut u64).write(PAINT) };
        }
    }

    /// The whole slot, where guard pages are marked.
    fn slot_range(slot: u32) -> Range<u64> {
        let start = layout::STACK_AREA + u64::from(slot) * SLOT;
        start..start + SLOT
    }

    /// Maps one page more, below those that are there.
    fn grow(&mut self) -> Result<(), OutOfMemory> {
        let address = allocator::allocate(Owner::Stack, 0, Zone::Any).map(allocator::address_of)?;
        let page = self.range().start - PAGE;
        let flags = EntryFlags::PRESENT | EntryFlags::WRITABLE | EntryFlags::NO_EXECUTE | EntryFlags::GLOBAL;
        if let Err(error) = kernel_table::map(page, address, flags) {
            allocator::free(Owner::Stack, allocator::frame_at(address), 0);
            return Err(error);
        }
        self.pages += 1;
        Ok(())
    }

    /// Unmaps all pages and gives frames and slot back.
    fn release(self) {
        let range = self.range();
        let mut frames = [None::<PhysAddr>; MAX_PAGES];
        for (frame, page) in frames.iter_mut().zip(range.clone().step_by(PAGE_SIZE)) {
            *frame = kernel_table::unmap_to(page, PageKind::Guard);
        }
        tlb::flush_kernel(range);
        for address in frames.into_iter().flatten() {
            allocator::free(Owner::Stack, allocator::frame_at(address), 0);
        }
        let mut slots = SLOTS.lock();
        // A slot that the list cannot take is lost, which the area can bear.
        if slots.free.try_reserve(1).is_ok() {
            slots.free.push(self.slot);
        }
    }
}

/// A stack in the stack area, with unmapped pages below it.
pub(crate) struct KernelStack {
    memory: Option<Memory>,
}

impl KernelStack {
    /// A painted stack of `pages` pages (1 to [`MAX_PAGES`]).
    pub(crate) fn allocate(pages: usize) -> Result<KernelStack, OutOfMemory> {
        assert!((1..=MAX_PAGES).contains(&pages), "a kernel stack of {pages} pages does not fit its slot");
        let mut slots = SLOTS.lock();
        let fits =
            |cached: &Option<Memory>| cached.as_ref().is_some_and(|memory| memory.pages as usize == pages);
        if let Some(position) = slots.cache.iter().position(fits) {
            return Ok(KernelStack { memory: slots.cache[position].take() });
        }
        let (slot, is_new) = match slots.free.pop() {
            Some(slot) => (slot, false),
            None if slots.next as usize == MAX_SLOTS => return Err(OutOfMemory),
            None => {
                slots.next += 1;
                (slots.next - 1, true)
            }
        };
        drop(slots);
        if is_new {
            // A slot whose pages cannot be marked is lost, which the area can bear.
            Memory::slot_range(slot)
                .step_by(PAGE_SIZE)
                .try_for_each(|page| kernel_table::mark(page, PageKind::Guard))?;
        }
        let mut memory = Memory { slot, pages: 0 };
        for _ in 0..pages {
            if let Err(error) = memory.grow() {
                memory.release();
                return Err(error);
            }
        }
        memory.paint(pages * PAGE_SIZE);
        Ok(KernelStack { memory: Some(memory) })
    }

    /// Its addresses; a stack pointer starts at the end.
    pub(crate) fn range(&self) -> Range<u64> {
        self.memory.as_ref().expect("only drop takes it").range()
    }

    /// Bytes of it that were ever used, from the top.
    pub(crate) fn used(&self) -> usize {
        self.memory.as_ref().expect("only drop takes it").used()
    }

    /// Notes whose it is, for the report of an overflow.
    pub(crate) fn set_owner(&self, owner: u64) {
        kernel_table::set_note(self.range().start - PAGE, owner);
    }
}

/// Unmaps the stacks that wait for a task; tells how many frames came back.
pub(super) fn trim() -> usize {
    let mut frames = 0;
    for position in 0..CACHED {
        let cached = SLOTS.lock().cache[position].take();
        if let Some(memory) = cached {
            frames += memory.pages as usize;
            memory.release();
        }
    }
    frames
}

impl Drop for KernelStack {
    fn drop(&mut self) {
        let Some(memory) = self.memory.take() else { return };
        memory.paint(memory.used());
        let mut slots = SLOTS.lock();
        match slots.cache.iter().position(Option::is_none) {
            Some(position) => slots.cache[position] = Some(memory),
            None => {
                drop(slots);
                memory.release();
            }
        }
    }
}

/// Whose stack an address lies below, if it lies in the guard pages of a slot: what [`KernelStack::set_owner`] said last,
/// 0 before that. Takes no lock (for fault reports).
pub(super) fn guarded_owner(address: VirtAddr) -> Option<u64> {
    let inside =
        address.as_u64().checked_sub(layout::STACK_AREA).filter(|inside| *inside < layout::AREA_SIZE)?;
    let mut owner = None;
    let slot = (inside / SLOT) as u32;
    for page in (address.as_u64() & !(PAGE - 1)..Memory::slot_range(slot).end).step_by(PAGE_SIZE) {
        let entry = kernel_table::entry_at(VirtAddr::new(page));
        if !entry.is_marker() {
            break;
        }
        owner = Some(entry.note());
    }
    owner
}
