//! Huge pages, promises, side-by-side faults, and that nothing is lost.

use super::{PAGE, anonymous, byte, errno, read_write, shared_memory, space};
use crate::{
    mm::{
        AREAS_MAX, AddressSpace, Detail, Discard, Filling, MapRequest, MappingFlags, Moving, OldRange,
        PageSource, Place,
        commit::{self, Overcommit},
        reverse,
    },
    sched,
};
use abi::{errno::Errno, mman::Prot};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use machine::{mm, upcalls::Access};
use test_macro::kernel_test;

const HUGE: u64 = 2 << 20;

/// Private memory for `count` huge pages, which it asks for; the first one's address.
fn huge_area(space: &AddressSpace, count: u64) -> u64 {
    let start = anonymous(space, (count + 1) * HUGE / PAGE).next_multiple_of(HUGE);
    space
        .change_flags(start..start + count * HUGE, MappingFlags::HUGE, MappingFlags::empty())
        .expect("mapped");
    start
}

/// Fills each page of a range with a number of its own.
fn number_pages(space: &AddressSpace, start: u64, pages: u64) {
    for page in 0..pages {
        assert_eq!(space.write_remote(start + page * PAGE, &(page as u32).to_le_bytes()), 4);
    }
}

fn has_number(space: &AddressSpace, address: u64, number: u64) -> bool {
    let mut bytes = [0; 4];
    space.read_remote(address, &mut bytes) == 4 && u32::from_le_bytes(bytes) == number as u32
}

#[kernel_test]
fn a_store_gets_a_huge_page_and_a_part_can_go() {
    let (space, before) = (space(), mm::huge_pages());
    let area = huge_area(&space, 2);
    space.handle_fault(area + 5 * PAGE, Access::Write).expect("memory for a test");
    assert_eq!((space.usage().resident, space.fault_counts().0), (HUGE, 1));
    number_pages(&space, area, 2 * HUGE / PAGE);
    assert_eq!((space.usage().resident, mm::huge_pages() - before), (2 * HUGE, 2));
    space.unmap(area + 7 * PAGE, 2 * PAGE).expect("mapped");
    space.discard(area + HUGE..area + HUGE + PAGE, Discard::Unlocked).expect("mapped");
    assert_eq!((space.usage().resident, mm::huge_pages() - before), (2 * HUGE - 3 * PAGE, 0));
    for page in (0..2 * HUGE / PAGE).filter(|page| ![7, 8, 512].contains(page)) {
        assert!(has_number(&space, area + page * PAGE, page), "page {page}");
    }
    space.discard(area + HUGE..area + 2 * HUGE, Discard::Unlocked).expect("mapped");
    space.write_remote(area + HUGE, b"again");
    assert_eq!(mm::huge_pages() - before, 1, "an empty stretch gets a huge page again");
}

#[kernel_test]
fn huge_pages_save_faults_and_time() {
    const COUNT: u64 = 8;
    /// Faults and nanoseconds of the faults that a sweep of stores takes, and of giving all back.
    fn sweep(flags: MappingFlags, size: u64) -> (u64, u64) {
        let space = space();
        let area = anonymous(&space, (COUNT + 1) * HUGE / PAGE).next_multiple_of(HUGE);
        let range = area..area + COUNT * HUGE;
        space.change_flags(range.clone(), flags, MappingFlags::empty()).expect("mapped");
        let start = machine::time::monotonic_ns();
        for page in range.step_by(size as usize) {
            space.handle_fault(page, Access::Write).expect("memory for a test");
        }
        assert_eq!(space.usage().resident, COUNT * HUGE, "no other page would fault");
        let faults = space.fault_counts().0;
        drop(space);
        (faults, machine::time::monotonic_ns() - start)
    }
    let (small, small_ns) = sweep(MappingFlags::NO_HUGE, PAGE);
    let (huge, huge_ns) = sweep(MappingFlags::HUGE, HUGE);
    log::info!(
        "mm: {COUNT} huge pages: {huge} faults instead of {small}, {}% of the time",
        huge_ns * 100 / small_ns.max(1)
    );
    assert_eq!((small, huge), (COUNT * HUGE / PAGE, COUNT));
}

#[kernel_test]
fn huge_pages_move_whole_or_in_parts() {
    let (space, before) = (space(), mm::huge_pages());
    let (area, target) = (huge_area(&space, 2), huge_area(&space, 3));
    number_pages(&space, area, 2 * HUGE / PAGE);
    let to = space.remap(area, HUGE, HUGE, Moving::To(target), OldRange::Unmapped).expect("room");
    assert_eq!(mm::huge_pages() - before, 2, "a huge page that moves by its size stays one");
    let other = target + HUGE + 3 * PAGE;
    space.remap(area + HUGE, HUGE, HUGE, Moving::To(other), OldRange::Unmapped).expect("room");
    assert_eq!(mm::huge_pages() - before, 1);
    for page in 0..HUGE / PAGE {
        assert!(has_number(&space, to + page * PAGE, page), "page {page}");
        assert!(has_number(&space, other + page * PAGE, page + 512), "page {page} behind");
    }
    drop(space);
    assert_eq!(mm::huge_pages(), before);
}

#[kernel_test]
fn huge_pages_are_shared_by_fork_and_copied_in_parts() {
    let (parent, before) = (space(), mm::huge_pages());
    let area = huge_area(&parent, 1);
    number_pages(&parent, area, HUGE / PAGE);
    let child = parent.fork().expect("memory for a test");
    assert_eq!(mm::huge_pages() - before, 2);
    child.write_remote(area + 3 * PAGE, b"mine");
    assert_eq!(mm::huge_pages() - before, 1, "the child's is in parts");
    assert!(has_number(&parent, area + 3 * PAGE, 3) && has_number(&child, area + 4 * PAGE, 4));
    drop(child);
    parent.write_remote(area + 9 * PAGE, b"mine");
    assert_eq!(mm::huge_pages() - before, 1, "nobody else has it, so it stays whole");
    assert_eq!(parent.usage().resident, HUGE);
}

#[kernel_test]
fn a_huge_page_is_protected_in_parts() {
    let space = space();
    let area = huge_area(&space, 1);
    number_pages(&space, area, HUGE / PAGE);
    let middle = area + 100 * PAGE;
    space.protect(middle..middle + PAGE, Prot::empty()).expect("mapped");
    assert!(space.handle_fault(middle, Access::Read).is_err());
    space.protect(area..area + HUGE, Prot::empty()).expect("mapped");
    assert!(space.handle_fault(area, Access::Read).is_err());
    space.protect(area..area + HUGE, read_write()).expect("mapped");
    assert!((0..HUGE / PAGE).all(|page| has_number(&space, area + page * PAGE, page)));
}

#[kernel_test]
fn threads_of_a_process_fault_side_by_side() {
    const PAGES: u64 = 256;
    const THREADS: usize = 4;
    static DONE: AtomicUsize = AtomicUsize::new(0);
    static MAY_BEGIN: AtomicBool = AtomicBool::new(false);
    let space = space();
    let area = anonymous(&space, PAGES);
    for number in 0..THREADS {
        let space: Arc<AddressSpace> = space.clone();
        let body = move || {
            while !MAY_BEGIN.load(Ordering::Acquire) {
                sched::yield_now();
            }
            for page in 0..PAGES {
                let address = area + page * PAGE;
                // All threads want all pages, in different orders; each stores a byte of its own.
                let address = if number % 2 == 0 { address } else { area + (PAGES - 1 - page) * PAGE };
                space.write_remote(address + number as u64, &[number as u8 + 1]);
            }
            drop(space);
            DONE.fetch_add(1, Ordering::Release);
        };
        sched::spawn("fault test", body).expect("memory for a test");
    }
    // The threads' stacks have theirs by now.
    let tables = mm::statistics().page_tables;
    MAY_BEGIN.store(true, Ordering::Release);
    while DONE.load(Ordering::Acquire) < THREADS {
        sched::yield_now();
    }
    for page in 0..PAGES {
        let mut bytes = [0; THREADS];
        space.read_remote(area + page * PAGE, &mut bytes);
        assert_eq!(bytes, [1, 2, 3, 4], "page {page}");
    }
    assert_eq!(space.usage().resident, PAGES * PAGE, "each page came once");
    assert!(mm::statistics().page_tables <= tables + 4, "tables were lost in races");
}

#[kernel_test]
fn promises_are_kept_to_the_limit() {
    let promised = commit::promised_pages();
    let space = space();
    let area = anonymous(&space, 100);
    assert_eq!(commit::promised_pages() - promised, 100);
    let child = space.fork().expect("memory for a test");
    assert_eq!(commit::promised_pages() - promised, 200);
    drop(child);
    space.protect(area..area + 10 * PAGE, Prot::PROT_READ).expect("mapped");
    assert_eq!(commit::promised_pages() - promised, 100, "a promise lasts as long as the area");
    space.unmap(area, 30 * PAGE).expect("mapped");
    let area = area + 30 * PAGE;
    let moved = space.remap(area, 70 * PAGE, 170 * PAGE, Moving::Anywhere, OldRange::Unmapped).expect("room");
    assert_eq!(commit::promised_pages() - promised, 170);
    let readable = MapRequest::anonymous(Place::Anywhere(None), 50 * PAGE, Prot::PROT_READ);
    let readable = space.map(readable).expect("room");
    assert_eq!(commit::promised_pages() - promised, 170);
    space.protect(readable..readable + 20 * PAGE, read_write()).expect("mapped");
    assert_eq!(commit::promised_pages() - promised, 190);
    let refused = |pages: u64| {
        let request = MapRequest::anonymous(Place::Anywhere(None), pages * PAGE, read_write());
        errno(space.map(request)) == Some(Errno::ENOMEM)
    };
    let total = mm::statistics().total as u64;
    assert!(refused(total + 1) && !refused(total - 1), "more than there is memory");
    commit::set_overcommit(Overcommit::Strict);
    let room = commit::limit_pages() * 31 / 32;
    let refused_in_strict = refused(room);
    commit::set_overcommit(Overcommit::Always);
    let refused_always = refused(total + 1);
    commit::set_overcommit(Overcommit::Heuristic);
    assert!(refused_in_strict && !refused_always);
    assert_eq!(byte(&space, moved), 0);
    drop(space);
    assert_eq!(commit::promised_pages(), promised);
}

#[kernel_test]
fn locked_areas_are_filled_when_they_grow() {
    let space = space();
    let area = anonymous(&space, 4);
    space.lock_pages(area..area + 4 * PAGE, Filling::Now).expect("below the limit");
    let moved = space.remap(area, 4 * PAGE, 64 * PAGE, Moving::Anywhere, OldRange::Unmapped).expect("room");
    assert_eq!(space.residency(moved..moved + 64 * PAGE).expect("mapped"), [1; 64]);
    assert_eq!(space.usage().locked, 64 * PAGE);
}

#[kernel_test]
fn areas_are_limited_in_number() {
    let space = space();
    let limit = AREAS_MAX.swap(8, Ordering::Relaxed);
    let mut made = 0;
    let outcome = loop {
        let request = MapRequest::anonymous(Place::FixedNew(0x10_0000 + made * 2 * PAGE), PAGE, read_write());
        match space.map(request) {
            Ok(_) => made += 1,
            Err(error) => break error.errno,
        }
    };
    let area = anonymous_split(&space);
    AREAS_MAX.store(limit, Ordering::Relaxed);
    assert_eq!((made, outcome), (7, Errno::ENOMEM), "a mapping may split another one, so one is kept back");
    assert_eq!(area, Some(Errno::ENOMEM));
}

/// Tries to split an area by protecting its middle.
fn anonymous_split(space: &AddressSpace) -> Option<Errno> {
    let first =
        space.areas(Detail::Areas).expect("memory").first().map(|area| area.range.start).expect("an area");
    errno(space.protect(first..first + PAGE, Prot::PROT_READ))
}

#[kernel_test]
fn bad_addresses_of_programs_are_explained() {
    let space = space();
    let top = 0x7000_0000_0000;
    let request = MapRequest::anonymous(Place::FixedNew(top - 4 * PAGE), 4 * PAGE, read_write());
    space.map(MapRequest { flags: MappingFlags::GROWS_DOWN, ..request }).expect("room");
    let area = anonymous(&space, 3);
    space.protect(area + PAGE..area + 2 * PAGE, Prot::empty()).expect("mapped");
    for (address, words) in [
        (8, "a null pointer"),
        (u64::MAX, "not a program's address"),
        (area + PAGE, "a guard area (PROT_NONE)"),
        (area, "an area that does not allow that"),
        (top - 1, "the stack, which does not allow that"),
        (top - (9 << 20), "below the stack, which is at its limit"),
        (area - PAGE, "nothing is mapped there"),
    ] {
        assert_eq!(space.explain(address), words, "{address:#x}");
    }
}

#[kernel_test]
fn ten_thousand_address_spaces_leave_nothing_behind() {
    const ROUNDS: usize = 5_000;
    let round = |number: u64| {
        let parent = space();
        let area = anonymous(&parent, 16);
        parent.write_remote(area + number % 16 * PAGE, b"parent");
        let child = parent.fork().expect("memory for a test");
        child.write_remote(area + number % 16 * PAGE, b"child");
        if number.is_multiple_of(64) {
            let huge = huge_area(&child, 1);
            child.write_remote(huge, b"huge");
            drop(child.fork());
            child.unmap(huge + 3 * PAGE, PAGE).expect("mapped");
        }
    };
    // The kernel's own heap and caches reach the size that they need.
    (0..128).for_each(round);
    let before = mm::statistics();
    (0..ROUNDS as u64).for_each(round);
    let after = mm::statistics();
    assert_eq!(after.page_tables, before.page_tables, "page tables");
    let lost = (before.free + before.kernel_heap).saturating_sub(after.free + after.kernel_heap);
    assert!(lost <= 16, "{lost} frames of {ROUNDS} address spaces and their children are missing");
}

#[kernel_test]
fn what_ends_while_a_file_looks_for_its_pages_is_freed() {
    let (space, memory) = (space(), shared_memory(1));
    let request = MapRequest::anonymous(Place::Anywhere(None), PAGE, read_write());
    let source = Some((memory.clone() as Arc<dyn PageSource>, 0));
    space.map(MapRequest { flags: MappingFlags::SHARED, source, ..request }).expect("room for a test");
    let (identity, known) = (Arc::as_ptr(&space), Arc::downgrade(&memory));
    drop(memory);
    let mut last = Some(space);
    reverse::for_each(|visited| {
        if core::ptr::eq(visited, identity) {
            last = None;
        }
    });
    assert!(last.is_none(), "it was not visited");
    let deadline = machine::time::monotonic_ns() + 10_000_000_000;
    while known.strong_count() > 0 {
        assert!(machine::time::monotonic_ns() < deadline, "what it mapped is still held");
        sched::sleep_until(machine::time::monotonic_ns() + 1_000_000);
    }
}
