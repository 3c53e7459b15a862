//! Address spaces of programs, page faults, user memory.
//!
//! | file | question |
//! |---|---|
//! | `space`, `area` | what an address space is made of |
//! | `layout` | where things go in it |
//! | `map`, `remap`, `protect`, `advise` | what mmap, brk, mremap, mprotect, madvise, ... do |
//! | `commit` | how much memory may be promised |
//! | `fault` | what happens when a program touches a page |
//! | `huge` | which private memory gets pages of 2 MiB |
//! | `source` | where pages of files and of shared memory come from |
//! | `reverse` | what happens to mapped pages when a file is cut or written out |
//! | `reclaim` | what happens when there is no frame left |
//! | `user` | how system calls read and write a program's memory |
//! | `remote`, `report` | how others see a program's memory |

mod advise;
mod area;
pub(crate) mod commit;
mod fault;
#[cfg(feature = "tests")]
mod frame_tests;
mod huge;
mod layout;
mod map;
mod protect;
mod reclaim;
mod remap;
mod remote;
mod report;
mod reverse;
mod source;
mod space;
#[cfg(feature = "tests")]
mod tests;
pub(crate) mod user;

pub(crate) use advise::{Discard, Invalidating, Waiting};
pub(crate) use area::{MappingFlags, PERMISSIONS};
pub(crate) use fault::{FaultError, kernel_access};
pub(crate) use huge::{HugePolicy, huge_policy, set_huge_policy};
pub(crate) use layout::{Layout, RANDOMIZE_VA_SPACE, Randomization, USER_START};
pub(crate) use map::{MapRequest, Place};
pub(crate) use protect::{Filling, page_range, touched_pages};
pub(crate) use reclaim::{
    allocate, allocate_zeroed, balance, balance_with_locks, counts as reclaim_counts, drop_caches,
    reclaimable_frames, refill_heap, release_unused, wait_for_memory,
};
pub(crate) use remap::{Moving, OldRange};
pub(crate) use report::{AreaReport, Detail, PageFigures, PageMapping};
pub(crate) use reverse::{collect_stores, forget_pages, has_writer, release_pages};
pub(crate) use source::{PageSource, Reservation, SharedMemory};
pub(crate) use space::{AREAS_MAX, AddressSpace, Footprint, Limits, ProgramRecord};

use crate::{error::Result, sched};

/// Starts what works for memory in the background.
///
/// # Errors
/// ENOMEM.
pub(crate) fn init(_threads: &sched::Ready) -> Result<()> {
    reverse::start()
}
