//! Where things go in a new address space, and how much of that is chance.
//!
//! From the top: the stack, room for it to grow, the mmap area downwards; from the bottom: a
//! position-independent program at two thirds of the space, the heap behind it. Amounts of chance, in bits of
//! pages: 28 for mappings and programs as on Linux, 28 for the stack too (Linux: 22), 13 for the heap as on Linux.

use crate::device::random;
use core::sync::atomic::{AtomicU64, Ordering};
use machine::addr::{PAGE_SIZE, USER_END};

const PAGE: u64 = PAGE_SIZE as u64;
const MIB: u64 = 1 << 20;

/// First address that programs may map (Linux's mmap_min_addr).
pub(crate) const USER_START: u64 = 0x1_0000;
/// Where position-independent programs go, before chance.
const PROGRAM_BASE: u64 = (USER_END / 3 * 2) & !(PAGE - 1);
const MAP_BITS: u32 = 28;
const STACK_BITS: u32 = 28;
const HEAP_SPAN: u64 = 32 * MIB;

/// kernel.randomize_va_space: 0: all is fixed (as with the parameter `norandmaps`); 1: all but the heap is left to
/// chance; 2: all is.
pub(crate) static RANDOMIZE_VA_SPACE: AtomicU64 = AtomicU64::new(2);

/// What of the addresses is left to chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Randomization {
    /// All.
    On,
    /// All but the distance from the program to the heap.
    FixedHeap,
    /// Nothing.
    Off,
}

impl Randomization {
    /// What a new program gets if its personality does not forbid it.
    pub(crate) fn current() -> Self {
        match RANDOMIZE_VA_SPACE.load(Ordering::Relaxed) {
            0 => Randomization::Off,
            1 => Randomization::FixedHeap,
            _ => Randomization::On,
        }
    }
}

/// The places of an address space.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Mappings are placed below this.
    pub(crate) map_top: u64,
    /// The stack ends here.
    pub(crate) stack_top: u64,
    /// Position-independent programs start here.
    pub(crate) program_base: u64,
    /// The heap starts this much behind the program.
    pub(crate) heap_gap: u64,
}

impl Layout {
    /// Leaves room for a stack of `stack_limit` bytes (within reason).
    pub(crate) fn new(stack_limit: u64, randomization: Randomization) -> Self {
        let below = |limit: u64| match randomization {
            Randomization::On | Randomization::FixedHeap => random::number() % limit * PAGE,
            Randomization::Off => 0,
        };
        let pages = |bits: u32| below(1 << bits);
        let stack_span = ((1 << STACK_BITS) - 1) * PAGE;
        let gap = stack_limit.saturating_add(super::area::STACK_GUARD_GAP).saturating_add(stack_span);
        let gap = gap.clamp(128 * MIB, USER_END / 6 * 5).next_multiple_of(PAGE);
        Self {
            map_top: USER_END - gap - pages(MAP_BITS),
            stack_top: USER_END - pages(STACK_BITS),
            program_base: PROGRAM_BASE + pages(MAP_BITS),
            heap_gap: if randomization == Randomization::On { below(HEAP_SPAN / PAGE) } else { 0 },
        }
    }
}
