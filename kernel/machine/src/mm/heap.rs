//! The kernel heap, behind Rust's `alloc`.
//!
//! | size | from |
//! |---|---|
//! | up to 2 KiB | a size class (`slab`) in the direct map |
//! | up to 32 KiB | a block of frames in the direct map; if none is free, the virtual area (`large`) |
//! | more | the virtual area; if that fails, a block of frames |
//!
//! When frames are short, the kernel is asked for some, if the caller may sleep ([`heap_is_short`](crate::upcalls::Upcalls::heap_is_short)): before the last
//! ones are taken, which are left for those who may not.
//!
//! Where an object came from is seen from its address. In debug builds, small objects are guarded: see [`check`].
//!
//! # Soundness
//! `dealloc` gets the layout that `alloc` got, so both choose the same class, number of pages or order.

#[cfg(debug_assertions)]
pub(super) mod check;

use super::{
    OutOfMemory,
    allocator::{self, Owner},
    large, layout,
    slab::{self, ClassId},
};
use crate::{
    addr::{PAGE_SIZE, PhysAddr},
    sync::may_sleep,
    upcalls,
};
use core::{
    alloc::{GlobalAlloc, Layout},
    ptr,
};
use frames::Zone;

/// Objects of more frames are not worth contiguous memory.
const CONTIGUOUS_MAX: usize = 8;

/// What an object of a layout needs of its class: in debug builds there is a guard behind it.
#[cfg(debug_assertions)]
const GUARD: usize = check::GUARD;
#[cfg(not(debug_assertions))]
const GUARD: usize = 0;

/// The class that holds a layout; `None` if it takes whole frames.
fn class_of(layout: Layout) -> Option<ClassId> {
    ClassId::for_layout(layout.size().checked_add(GUARD)?, layout.align())
}

fn pages_of(layout: Layout) -> usize {
    layout.size().max(1).div_ceil(PAGE_SIZE)
}

fn allocate_small(class: ClassId, size: usize) -> Result<*mut u8, OutOfMemory> {
    let object = match slab::allocate_at_hand(class) {
        Some(object) => object,
        None => with_frames(1, || slab::allocate(class))?,
    };
    #[cfg(debug_assertions)]
    // SAFETY: the object was just allocated, and has the size of its class.
    unsafe {
        check::begin(class, object, size)
    };
    #[cfg(not(debug_assertions))]
    let _ = size;
    Ok(object)
}

/// # Safety
/// The object must have come from [`allocate_small`] with this class and size, and be unused.
unsafe fn free_small(class: ClassId, object: *mut u8, size: usize) {
    #[cfg(debug_assertions)]
    // SAFETY: by the caller's word; what is not so is found.
    unsafe {
        check::end(class, object, size)
    };
    #[cfg(not(debug_assertions))]
    let _ = size;
    // SAFETY: by the caller's word.
    unsafe { slab::free(class, object) };
}

/// Calls `allocate`, which takes about so many frames; asks the kernel for some when they are short.
fn with_frames<T>(frames: usize, allocate: impl Fn() -> Result<T, OutOfMemory>) -> Result<T, OutOfMemory> {
    if allocator::is_short_of(frames) {
        ask_for(frames);
    }
    loop {
        let result = allocate();
        if result.is_ok() || !ask_for(frames) {
            return result;
        }
    }
}

/// Has the kernel give frames back, if the caller can wait for that. `false`: there are none to be had.
#[cold]
fn ask_for(frames: usize) -> bool {
    may_sleep() && upcalls::registered().is_some_and(|kernel| kernel.heap_is_short(frames))
}

fn allocate_frames(layout: Layout) -> Result<*mut u8, OutOfMemory> {
    with_frames(pages_of(layout), || try_allocate_frames(layout))
}

fn try_allocate_frames(layout: Layout) -> Result<*mut u8, OutOfMemory> {
    let pages = pages_of(layout);
    if pages > CONTIGUOUS_MAX && layout.align() <= PAGE_SIZE {
        large::allocate(pages).or_else(|_| allocate_contiguous(layout))
    } else if layout.align() <= PAGE_SIZE && pages > 1 {
        allocate_contiguous(layout).or_else(|_| large::allocate(pages))
    } else {
        allocate_contiguous(layout)
    }
}

/// The order of the block for a large layout (no block has the largest); blocks are aligned to their size.
fn order_of(layout: Layout) -> usize {
    let frames = layout.size().max(layout.align()).div_ceil(PAGE_SIZE);
    frames::order_for(frames).unwrap_or(usize::MAX)
}

fn allocate_contiguous(layout: Layout) -> Result<*mut u8, OutOfMemory> {
    let order = order_of(layout);
    if order > frames::MAX_ORDER {
        return Err(OutOfMemory);
    }
    let frame = allocator::allocate(Owner::Heap, order, Zone::Any)?;
    Ok(layout::direct(allocator::address_of(frame)))
}

fn free_frames(object: *mut u8, layout: Layout) {
    if large::contains(object) {
        return large::free(object, pages_of(layout));
    }
    let start = PhysAddr::new(object.addr() as u64 - layout::DIRECT_MAP);
    allocator::free(Owner::Heap, allocator::frame_at(start), order_of(layout));
}

/// Gives back what is kept at hand.
pub(super) fn trim() {
    slab::trim();
}

struct KernelHeap;

// SAFETY: see `# Soundness` above; failure is null. What panics is a fault of the kernel that has done its harm already,
// and the kernel does not unwind.
unsafe impl GlobalAlloc for KernelHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let memory = match class_of(layout) {
            Some(class) => allocate_small(class, layout.size()),
            None => allocate_frames(layout),
        };
        memory.unwrap_or(ptr::null_mut())
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        match class_of(layout) {
            // SAFETY: `memory` came from `alloc` with this layout, so from this class.
            Some(class) => unsafe { free_small(class, memory, layout.size()) },
            None => free_frames(memory, layout),
        }
    }
}

#[global_allocator]
static GLOBAL: KernelHeap = KernelHeap;
