//! What CPUs have cached of page tables: who has which root loaded, and the flushes.
//!
//! The rule: a frame or a table is released only after every CPU that may have cached a way to it
//! has been told to forget. The functions here are the only place that knows how.

use crate::{
    addr::PAGE_SIZE,
    cpu::{self, MAX_CPUS},
};
use core::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};
use x86_64::{
    VirtAddr,
    instructions::tlb,
    registers::control::{Cr4, Cr4Flags},
};

/// Above so many pages, everything is flushed.
const SINGLE_PAGES_MAX: u64 = 32;

/// A set of CPUs, changed by each for itself.
pub(super) struct CpuSet([AtomicU64; MAX_CPUS.div_ceil(64)]);

impl CpuSet {
    pub(super) const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; MAX_CPUS.div_ceil(64)])
    }

    pub(super) fn insert(&self, cpu: usize) {
        self.0[cpu / 64].fetch_or(1 << (cpu % 64), Ordering::SeqCst);
    }

    pub(super) fn remove(&self, cpu: usize) {
        self.0[cpu / 64].fetch_and(!(1 << (cpu % 64)), Ordering::SeqCst);
    }

    pub(super) fn contains(&self, cpu: usize) -> bool {
        self.0[cpu / 64].load(Ordering::SeqCst) & 1 << (cpu % 64) != 0
    }

    /// The first 64, as a mask: all there are.
    fn mask(&self) -> u64 {
        const { assert!(MAX_CPUS <= 64) };
        self.0[0].load(Ordering::SeqCst)
    }
}

/// Flushes a range of user addresses on the CPUs of `loaded`; when it returns, none of them uses
/// what the tables said before.
pub(super) fn flush_user(loaded: &CpuSet, range: Range<u64>) {
    let _here = cpu::disable_preemption();
    let this = cpu::current_id();
    if loaded.contains(this) {
        flush_local(&range);
    }
    cpu::shootdown::request(loaded.mask(), &range, false);
}

/// Flushes a range of kernel addresses on all CPUs.
pub(super) fn flush_kernel(range: Range<u64>) {
    let _here = cpu::disable_preemption();
    flush_local_global(&range);
    cpu::shootdown::request(u64::MAX, &range, true);
}

/// Flushes what this CPU has cached of a range: another CPU asked for it.
pub(crate) fn flush_here(range: &Range<u64>, kernel: bool) {
    if kernel { flush_local_global(range) } else { flush_local(range) }
}

fn pages(range: &Range<u64>) -> u64 {
    (range.end - range.start) / PAGE_SIZE as u64
}

/// Flushes user entries of this CPU.
fn flush_local(range: &Range<u64>) {
    if pages(range) <= SINGLE_PAGES_MAX {
        for page in range.clone().step_by(PAGE_SIZE) {
            tlb::flush(VirtAddr::new(page));
        }
    } else {
        tlb::flush_all();
    }
}

/// Flushes kernel entries of this CPU, which are global.
fn flush_local_global(range: &Range<u64>) {
    if pages(range) <= SINGLE_PAGES_MAX {
        for page in range.clone().step_by(PAGE_SIZE) {
            tlb::flush(VirtAddr::new(page));
        }
        return;
    }
    let flags = Cr4::read();
    // SAFETY: clearing PGE for a moment flushes all entries and changes nothing else.
    unsafe { Cr4::write(flags - Cr4Flags::PAGE_GLOBAL) };
    // SAFETY: the value that was there.
    unsafe { Cr4::write(flags) };
}
