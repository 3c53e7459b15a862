//! The program's heap: a fixed arena, so that no allocation of ours asks the kernel for memory.
//!
//! When the kernel is told to refuse memory at random, each refusal then meets a system call that an operation
//! makes, never the language's runtime, which would abort. Blocks are powers of two with a free list each, under a
//! spin lock; nobody forks while another thread runs, so a child never finds the lock taken.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes of the arena; pages that are never touched cost nothing.
const ARENA: usize = 48 << 20;
/// log2 of the smallest and the largest block.
const SMALLEST: usize = 4;
const LARGEST: usize = 24;

#[repr(C, align(4096))]
struct Arena {
    memory: UnsafeCell<[u8; ARENA]>,
    state: UnsafeCell<State>,
    is_locked: AtomicBool,
}

struct State {
    used: usize,
    free: [*mut u8; LARGEST + 1],
}

// SAFETY: the state and the free parts of the memory are touched under the lock only.
unsafe impl Sync for Arena {}

#[global_allocator]
static HEAP: Arena = Arena {
    memory: UnsafeCell::new([0; ARENA]),
    state: UnsafeCell::new(State { used: 0, free: [null_mut(); LARGEST + 1] }),
    is_locked: AtomicBool::new(false),
};

/// log2 of the block for a layout.
fn order(layout: Layout) -> usize {
    let bytes = layout.size().max(layout.align()).max(1 << SMALLEST);
    bytes.next_power_of_two().trailing_zeros() as usize
}

impl Arena {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        while self.is_locked.swap(true, Ordering::Acquire) {
            std::thread::yield_now();
        }
        // SAFETY: the lock is held.
        let result = act(unsafe { &mut *self.state.get() });
        self.is_locked.store(false, Ordering::Release);
        result
    }

    /// A block that was never used: at a multiple of its size, up to a page.
    fn fresh(&self, state: &mut State, order: usize) -> *mut u8 {
        let start = state.used.next_multiple_of(1 << order.min(12));
        if order > LARGEST || start + (1 << order) > ARENA {
            return null_mut();
        }
        state.used = start + (1 << order);
        self.memory.get().cast::<u8>().wrapping_add(start)
    }
}

// SAFETY: blocks are disjoint, and aligned to their size up to a page; larger alignments are refused.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let order = order(layout);
        if order > LARGEST || layout.align() > 4096 {
            return null_mut();
        }
        self.with(|state| {
            let block = state.free[order];
            if block.is_null() {
                return self.fresh(state, order);
            }
            // SAFETY: a free block begins with the address of the next.
            state.free[order] = unsafe { block.cast::<*mut u8>().read() };
            block
        })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let order = order(layout);
        self.with(|state| {
            // SAFETY: the block is 16 bytes or more, aligned, and nobody's any more.
            unsafe { block.cast::<*mut u8>().write(state.free[order]) };
            state.free[order] = block;
        });
    }
}
