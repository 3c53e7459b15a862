//! From a file to the address spaces that map it: pages that were cut off must go from all of them, and before
//! pages are written out, later stores must be made to be noticed.
//!
//! The file system calls these with its own locks held, which are taken before an address space's. So the last
//! reference to an address space must not be dropped here, as that may end files: when a program ends meanwhile, its
//! memory is left in [`GRAVE`] to a thread that has no locks.

use super::{
    AddressSpace,
    area::MappingFlags,
    space::{PAGE, State, addresses, note_dirty},
};
use crate::{
    error::Result,
    sched::{self, wait::WaitQueue},
};
use alloc::{
    sync::{Arc, Weak},
    vec::Vec,
};
use core::ops::Range;
use machine::{addr::VirtAddr, mm::Frame, sync::SpinLock};

static SPACES: SpinLock<Spaces> = SpinLock::new("address spaces", Spaces { all: Vec::new(), sweep_at: 64 });
static GRAVE: SpinLock<Vec<AddressSpace>> = SpinLock::new("dead address spaces", Vec::new());
static BURIED: WaitQueue = WaitQueue::named("dead address spaces");

struct Spaces {
    all: Vec<Weak<AddressSpace>>,
    /// The length of `all` at which dead ones are swept out.
    sweep_at: usize,
}

/// Starts the thread that empties the grave.
///
/// # Errors
/// ENOMEM.
pub(super) fn start() -> Result<()> {
    sched::spawn("address-spaces", || {
        loop {
            let dead = BURIED.wait_for_work(|| GRAVE.lock().pop());
            drop(dead);
        }
    })
    .map(drop)
}

/// Makes an address space known.
pub(super) fn register(space: &Arc<AddressSpace>) {
    let mut spaces = SPACES.lock();
    if spaces.all.len() >= spaces.sweep_at {
        spaces.all.retain(|known| known.strong_count() > 0);
        spaces.sweep_at = (spaces.all.len() * 2).max(64);
    }
    spaces.all.push(Arc::downgrade(space));
}

/// Calls `visit` with every address space.
pub(super) fn for_each(mut visit: impl FnMut(&AddressSpace)) {
    let spaces: Vec<_> = SPACES.lock().all.iter().filter_map(Weak::upgrade).collect();
    for space in spaces {
        visit(&space);
        if let Some(last) = Arc::into_inner(space) {
            GRAVE.lock().push(last);
            BURIED.wake_one();
        }
    }
}

/// The file `identity` has lost these pages: nobody finds them any more, private copies included. (They are of the
/// file as it was.)
pub(crate) fn forget_pages(identity: usize, pages: Range<u64>) {
    for_each(|space| {
        let mut state = space.write();
        state.withdrawals += 1;
        for_each_part(&mut state, identity, &pages, |state, part| {
            state.table.unmap(addresses(&part), &mut |_, _| ());
        });
    });
}

/// Takes pages of the file `identity` out of all page tables, where they are mapped as they are: they come back
/// with the next access. Private copies stay. `is_page` tells whether a frame is that of a page.
pub(crate) fn release_pages(identity: usize, pages: Range<u64>, is_page: &dyn Fn(u64, &Frame) -> bool) {
    for_each(|space| {
        let Some(mut state) = space.try_write() else { return };
        state.withdrawals += 1;
        for_each_part(&mut state, identity, &pages, |state, part| {
            let State { table, areas, .. } = state;
            let Some((area, mapping)) = areas.find(part.start) else { return };
            if mapping.flags.contains(MappingFlags::LOCKED) {
                return;
            }
            for page in part.step_by(PAGE as usize) {
                let Some((_, index)) = mapping.source_page(page - area.start) else { continue };
                let known = table.query(VirtAddr::new(page));
                if known.is_some_and(|known| is_page(index, &known.frame)) {
                    table.unmap(addresses(&(page..page + PAGE)), &mut |_, found| {
                        note_dirty(mapping, page, area.start, found.dirty);
                    });
                }
            }
        });
    });
}

/// Whether somebody maps the file `identity` shared and may store to it, now or after mprotect.
pub(crate) fn has_writer(identity: usize) -> bool {
    let mut found = false;
    for_each(|space| {
        let state = space.read();
        found |= state.areas.iter().any(|(_, mapping)| {
            let is_of_file =
                mapping.backing.as_ref().is_some_and(|backing| backing.source.identity() == identity);
            is_of_file && mapping.is_shared() && mapping.allowed.contains(abi::mman::Prot::PROT_WRITE)
        });
    });
    found
}

/// Notes what programs have stored to the file `identity`, and has the next stores noticed.
pub(crate) fn collect_stores(identity: usize) {
    for_each(|space| {
        let mut state = space.write();
        state.withdrawals += 1;
        for_each_part(&mut state, identity, &(0..u64::MAX / PAGE), |state, part| {
            let State { table, areas, .. } = state;
            let Some((area, mapping)) = areas.find(part.start) else { return };
            if mapping.is_shared() {
                table.clean(addresses(&part), &mut |page| {
                    note_dirty(mapping, page.as_u64(), area.start, true)
                });
            }
        });
    });
}

/// Calls `visit` with the addresses at which pages of a file are mapped, one part of an area at a time.
fn for_each_part(
    state: &mut State,
    identity: usize,
    pages: &Range<u64>,
    mut visit: impl FnMut(&mut State, Range<u64>),
) {
    let mut parts = Vec::new();
    for (area, mapping) in state.areas.iter() {
        let Some(backing) = mapping.backing.as_ref().filter(|backing| backing.source.identity() == identity)
        else {
            continue;
        };
        let first = backing.offset / PAGE;
        let count = (area.end - area.start) / PAGE;
        let from = pages.start.saturating_sub(first).min(count);
        let to = pages.end.saturating_sub(first).min(count);
        if from < to {
            parts.push(area.start + from * PAGE..area.start + to * PAGE);
        }
    }
    parts.into_iter().for_each(|part| visit(state, part));
}
