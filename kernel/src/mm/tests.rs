//! Tests of memory: what the kernel's own tables allow, and what programs get and give back.

mod memory;
mod protection;

use super::*;
use crate::sched;
use abi::{errno::Errno, mman::Prot};
use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering};
use machine::{
    addr::PAGE_SIZE,
    mm::{self, user as copy},
    upcalls::Access,
};
use test_macro::kernel_test;

const PAGE: u64 = PAGE_SIZE as u64;

fn read_write() -> Prot {
    Prot::PROT_READ | Prot::PROT_WRITE
}

fn space() -> Arc<AddressSpace> {
    AddressSpace::new(Layout::new(8 << 20, Randomization::On), Limits::default()).expect("memory for a test")
}

fn anonymous(space: &AddressSpace, pages: u64) -> u64 {
    let request = MapRequest::anonymous(Place::Anywhere(None), pages * PAGE, read_write());
    space.map(request).expect("room for a test")
}

fn shared_memory(pages: u64) -> Arc<SharedMemory> {
    SharedMemory::new(pages * PAGE, Reservation::Promised).expect("memory for a test")
}

fn byte(space: &AddressSpace, address: u64) -> u8 {
    let mut byte = [0];
    assert_eq!(space.read_remote(address, &mut byte), 1, "{address:#x} cannot be read");
    byte[0]
}

fn errno<T>(result: crate::error::Result<T>) -> Option<Errno> {
    result.err().map(|error| error.errno)
}

#[kernel_test]
fn no_kernel_page_is_writable_and_executable_or_the_programs() {
    let mut code = Vec::new();
    mm::visit_kernel_mappings(&mut |page| {
        assert!(!(page.writable && page.executable), "writable and executable: {:x?}", page.addresses);
        assert!(!page.user, "reachable by programs: {:x?}", page.addresses);
        if page.executable {
            code.push(page.physical..page.physical + (page.addresses.end - page.addresses.start));
        }
    });
    assert!(!code.is_empty());
    // The direct map must not offer a way round.
    mm::visit_kernel_mappings(&mut |page| {
        let end = page.physical + (page.addresses.end - page.addresses.start);
        let is_code = code.iter().any(|range| range.start < end && page.physical < range.end);
        assert!(!(is_code && page.writable), "code is writable at {:x?}", page.addresses);
    });
}

#[kernel_test]
fn kernel_stacks_have_guard_pages() {
    const STACKS: core::ops::Range<u64> = 0xffff_c080_0000_0000..0xffff_c100_0000_0000;
    let local = 0u8;
    let here = &raw const local as u64;
    assert!(STACKS.contains(&here), "a kernel thread's stack is at {here:#x}");
    let mut start = 0;
    let mut end = 0;
    let mut runs = 0;
    mm::visit_kernel_mappings(&mut |page| {
        if !STACKS.contains(&page.addresses.start) {
            return;
        }
        assert!(page.writable && !page.executable);
        if page.addresses.start != end {
            start = page.addresses.start;
            runs += 1;
        }
        end = page.addresses.end;
        assert!(end - start <= 31 * PAGE, "no guard page below a stack at {start:#x}");
    });
    assert!(runs > 0);
}

#[kernel_test]
fn every_frame_comes_back_from_address_spaces() {
    let round = || {
        let parent = space();
        let area = anonymous(&parent, 700);
        parent.populate(area..area + 700 * PAGE).expect("memory for a test");
        let low =
            parent.map(MapRequest::anonymous(Place::Fixed(0x40_0000), 3 * PAGE, read_write())).expect("free");
        let child = parent.fork().expect("memory for a test");
        for page in (0..700).step_by(3) {
            assert_eq!(child.write_remote(area + page * PAGE, b"child"), 5);
        }
        assert_eq!(child.write_remote(low, b"x"), 1);
        child.activate();
        parent.unmap(area + 100 * PAGE, 200 * PAGE).expect("a good range");
        drop(parent);
        drop(child);
        mm::activate_kernel();
    };
    // A CPU that the thread leaves in the middle of a round keeps the space until it switches to another one.
    sched::set_affinity(&sched::current(), 1);
    // What stays in caches settles in the first rounds.
    (0..3).for_each(|_| round());
    let before = mm::statistics();
    (0..20).for_each(|_| round());
    let after = mm::statistics();
    sched::set_affinity(&sched::current(), u64::MAX);
    assert_eq!(after.page_tables, before.page_tables, "page tables were lost");
    let lost =
        before.free as i64 - after.free as i64 - (after.kernel_heap as i64 - before.kernel_heap as i64);
    assert!(lost.abs() <= 64, "{lost} frames were lost: {before:?} {after:?}");
}

#[kernel_test]
fn fork_copies_on_write() {
    let parent = space();
    let area = anonymous(&parent, 4);
    parent.write_remote(area, b"before");
    let child = parent.fork().expect("memory for a test");
    let grandchild = child.fork().expect("memory for a test");
    parent.write_remote(area, b"parent");
    child.write_remote(area, b"child!");
    let text = |space: &AddressSpace| {
        let mut text = [0; 6];
        space.read_remote(area, &mut text);
        text
    };
    assert_eq!((&text(&parent), &text(&child), &text(&grandchild)), (b"parent", b"child!", b"before"));
    // Pages that nobody had touched are zeros in all, and separate.
    child.write_remote(area + PAGE, b"1");
    assert_eq!((byte(&parent, area + PAGE), byte(&grandchild, area + PAGE)), (0, 0));
}

#[kernel_test]
fn shared_memory_stays_shared_over_fork() {
    let parent = space();
    let request = MapRequest::anonymous(Place::Anywhere(None), 4 * PAGE, read_write());
    let source = Some((shared_memory(3) as Arc<dyn PageSource>, 0));
    let area = parent.map(MapRequest { flags: MappingFlags::SHARED, source, ..request }).expect("room");
    let child = parent.fork().expect("memory for a test");
    child.write_remote(area + 5, b"c");
    assert_eq!(byte(&parent, area + 5), b'c');
    parent.write_remote(area + 6, b"p");
    assert_eq!(byte(&child, area + 6), b'p');
    assert_eq!(parent.handle_fault(area + 3 * PAGE, Access::Read), Err(FaultError::NoData));
}

#[kernel_test]
fn private_pages_of_a_source_are_copies() {
    let source = shared_memory(2);
    source.page(1).expect("memory for a test").write(0, b"file");
    let space = space();
    let request = MapRequest::anonymous(Place::Anywhere(None), PAGE, read_write());
    let backing = Some((source.clone() as Arc<dyn PageSource>, PAGE));
    let area = space.map(MapRequest { source: backing, ..request }).expect("room");
    assert_eq!(byte(&space, area), b'f');
    space.write_remote(area, b"mine");
    let mut text = [0; 4];
    source.page(1).expect("it is there").read(0, &mut text);
    assert_eq!((&text, byte(&space, area)), (b"file", b'm'));
}

/// A file in memory that knows which of its pages were noted as dirty.
struct TestFile {
    pages: Arc<SharedMemory>,
    size: AtomicU64,
    dirty: AtomicU64,
}

impl PageSource for TestFile {
    fn page(&self, index: u64) -> crate::error::Result<mm::Frame> {
        self.pages.page(index)
    }
    fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }
    fn mark_dirty(&self, index: u64) {
        self.dirty.fetch_or(1 << index, Ordering::Relaxed);
    }
    fn identity(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }
    fn device_and_inode(&self) -> (u64, u64) {
        (0, 0)
    }
    fn name(&self) -> Vec<u8> {
        Vec::new()
    }
}

fn map_file(space: &AddressSpace, file: &Arc<TestFile>, flags: MappingFlags) -> u64 {
    let request = MapRequest::anonymous(Place::Anywhere(None), 4 * PAGE, read_write());
    let source = Some((file.clone() as Arc<dyn PageSource>, 0));
    space.map(MapRequest { flags, source, ..request }).expect("room for a test")
}

#[kernel_test]
fn files_hear_of_stores_and_take_pages_away() {
    let file = Arc::new(TestFile {
        pages: shared_memory(4),
        size: AtomicU64::new(4 * PAGE),
        dirty: AtomicU64::new(0),
    });
    let dirty = || file.dirty.swap(0, Ordering::Relaxed);
    let space = space();
    let shared = map_file(&space, &file, MappingFlags::SHARED);
    let private = map_file(&space, &file, MappingFlags::empty());
    assert_eq!((byte(&space, shared), byte(&space, private), dirty()), (0, 0, 0));
    space.write_remote(shared + PAGE, b"s");
    space.write_remote(private + 2 * PAGE, b"p");
    assert_eq!(dirty(), 0b10, "a store to a shared page, and to no other");
    space.write_remote(shared + PAGE, b"t");
    assert_eq!(dirty(), 0, "the page is writable already");
    collect_stores(file.identity());
    space.write_remote(shared + PAGE, b"u");
    assert_eq!(dirty(), 0b10, "after a collection stores are noticed again");
    file.size.store(PAGE, Ordering::Relaxed);
    forget_pages(file.identity(), 1..u64::MAX);
    assert_eq!(space.handle_fault(shared + PAGE, Access::Read), Err(FaultError::NoData));
    assert_eq!(space.handle_fault(private + 2 * PAGE, Access::Read), Err(FaultError::NoData));
    assert_eq!(byte(&space, shared), 0);
}

#[kernel_test]
fn permissions_are_kept_and_pages_survive_them() {
    let space = space();
    let area = anonymous(&space, 3);
    space.write_remote(area + PAGE, b"kept");
    space.protect(area + PAGE..area + 2 * PAGE, Prot::empty()).expect("mapped");
    assert_eq!(space.handle_fault(area + PAGE, Access::Read), Err(FaultError::NotAllowed));
    space.protect(area + PAGE..area + 2 * PAGE, Prot::PROT_READ).expect("mapped");
    assert_eq!(byte(&space, area + PAGE), b'k');
    assert_eq!(space.handle_fault(area + PAGE, Access::Write), Err(FaultError::NotAllowed));
    assert_eq!(space.handle_fault(area + PAGE, Access::Execute), Err(FaultError::NotAllowed));
    space.protect(area..area + 3 * PAGE, read_write()).expect("mapped");
    assert_eq!(space.write_remote(area + PAGE, b"K"), 1);
    assert_eq!(space.areas(Detail::Areas).expect("memory").len(), 1, "areas that are alike are one");
    assert_eq!(space.handle_fault(area + 3 * PAGE, Access::Read), Err(FaultError::NotMapped));
    let beyond = space.protect(area..area + 4 * PAGE, Prot::PROT_READ);
    assert_eq!(errno(beyond), Some(Errno::ENOMEM));
    assert_eq!(
        space.handle_fault(area, Access::Write),
        Err(FaultError::NotAllowed),
        "the part before the gap changed"
    );
}

#[kernel_test]
fn areas_grow_shrink_and_move_with_their_pages() {
    let space = space();
    let area = anonymous(&space, 4);
    space.write_remote(area, b"first");
    space.write_remote(area + 3 * PAGE, b"last");
    let moved = space.remap(area, 4 * PAGE, 1000 * PAGE, Moving::Anywhere, OldRange::Unmapped).expect("room");
    assert_eq!(
        (byte(&space, moved), byte(&space, moved + 3 * PAGE), byte(&space, moved + 4 * PAGE)),
        (b'f', b'l', 0)
    );
    if moved != area {
        assert_eq!(space.handle_fault(area, Access::Read), Err(FaultError::NotMapped));
    }
    let back =
        space.remap(moved, 1000 * PAGE, 2 * PAGE, Moving::No, OldRange::Unmapped).expect("shrinking works");
    assert_eq!(back, moved);
    assert_eq!(space.handle_fault(moved + 2 * PAGE, Access::Read), Err(FaultError::NotMapped));
    let target = anonymous(&space, 8) + 4 * PAGE;
    let fixed = space.remap(moved, 2 * PAGE, 2 * PAGE, Moving::To(target), OldRange::Kept).expect("room");
    assert_eq!((fixed, byte(&space, target), byte(&space, moved)), (target, b'f', 0));
    let missing = space.remap(0x7000_0000, PAGE, PAGE, Moving::Anywhere, OldRange::Unmapped);
    assert_eq!(errno(missing), Some(Errno::EFAULT));
}

#[kernel_test]
fn the_heap_grows_and_gives_back() {
    let space = space();
    space.set_heap_start(0x100_0000);
    assert_eq!(space.set_break(0), 0x100_0000);
    assert_eq!(space.set_break(0x100_5123), 0x100_5123);
    space.write_remote(0x100_5000, b"end");
    assert_eq!(space.set_break(0x100_1000), 0x100_1000);
    assert_eq!(space.handle_fault(0x100_5000, Access::Read), Err(FaultError::NotMapped));
    assert_eq!(space.set_break(0x100_6000), 0x100_6000);
    assert_eq!(byte(&space, 0x100_5000), 0, "old contents came back");
    assert_eq!(space.set_break(u64::MAX), 0x100_6000);
    space.limits.data.store(8 * PAGE, Ordering::Relaxed);
    assert_eq!(space.set_break(0x110_0000), 0x100_6000, "RLIMIT_DATA");
}

#[kernel_test]
fn stacks_grow_to_their_limit_and_keep_a_gap() {
    let space = space();
    let top = 0x7000_0000_0000;
    let request = MapRequest::anonymous(Place::FixedNew(top - 4 * PAGE), 4 * PAGE, read_write());
    space.map(MapRequest { flags: MappingFlags::GROWS_DOWN, ..request }).expect("room");
    assert_eq!(space.handle_fault(top - 64 * PAGE, Access::Write), Ok(()));
    assert_eq!(space.usage().stack, 64 * PAGE);
    let limit = space.limits.stack.load(Ordering::Relaxed);
    assert_eq!(space.handle_fault(top - limit - 1, Access::Write), Err(FaultError::NotMapped));
    let below = top - 600 * PAGE;
    space.map(MapRequest::anonymous(Place::FixedNew(below), PAGE, read_write())).expect("room");
    assert_eq!(
        space.handle_fault(below + 2 * PAGE, Access::Write),
        Err(FaultError::NotMapped),
        "the gap is gone"
    );
    assert_eq!(space.handle_fault(below + 300 * PAGE, Access::Write), Ok(()));
}

#[kernel_test]
fn bad_requests_get_linux_errors() {
    let space = space();
    let at = |place, length| errno(space.map(MapRequest::anonymous(place, length, read_write())));
    assert_eq!(at(Place::Anywhere(None), 0), Some(Errno::EINVAL));
    assert_eq!(at(Place::Anywhere(None), u64::MAX), Some(Errno::ENOMEM));
    assert_eq!(at(Place::Anywhere(None), 1 << 46), Some(Errno::ENOMEM));
    assert_eq!(at(Place::Fixed(0x1234_5678), PAGE), Some(Errno::EINVAL));
    assert_eq!(at(Place::Fixed(0), PAGE), Some(Errno::EPERM));
    assert_eq!(at(Place::Fixed(machine::addr::USER_END), PAGE), Some(Errno::ENOMEM));
    let area = anonymous(&space, 1);
    assert_eq!(at(Place::FixedNew(area), PAGE), Some(Errno::EEXIST));
    assert_eq!(errno(space.unmap(area + 1, PAGE)), Some(Errno::EINVAL));
    assert_eq!(errno(space.unmap(area, 0)), Some(Errno::EINVAL));
    assert_eq!(errno(space.unmap(0, machine::addr::USER_END)), None);
    assert!(space.areas(Detail::Areas).expect("memory").is_empty());
    space.limits.address_space.store(4 * PAGE, Ordering::Relaxed);
    assert_eq!(at(Place::Anywhere(None), 5 * PAGE), Some(Errno::ENOMEM));
}

#[kernel_test]
fn discarded_pages_read_as_zeros() {
    let space = space();
    let area = anonymous(&space, 2);
    space.write_remote(area, b"old");
    space.discard(area..area + 2 * PAGE, Discard::Unlocked).expect("mapped");
    assert_eq!((byte(&space, area), space.usage().resident), (0, 0));
    space.lock_pages(area..area + 2 * PAGE, Filling::Now).expect("below the limit");
    assert_eq!(space.usage().resident, 2 * PAGE);
    assert_eq!(errno(space.discard(area..area + PAGE, Discard::Unlocked)), Some(Errno::EINVAL));
    assert_eq!(space.residency(area..area + 2 * PAGE).expect("mapped"), [1, 1]);
}

#[kernel_test]
fn memory_that_is_only_read_is_everybodys_zeros() {
    let space = space();
    let area = anonymous(&space, 8);
    let resident = || space.usage().resident / PAGE;
    (0..8).for_each(|page| assert_eq!(byte(&space, area + page * PAGE), 0));
    assert_eq!((resident(), space.residency(area..area + 8 * PAGE).expect("mapped")), (0, [1; 8].to_vec()));
    // The permission to write leads to memory of its own, whenever it came.
    space.protect(area..area + 8 * PAGE, Prot::PROT_READ).expect("mapped");
    space.protect(area..area + 8 * PAGE, read_write()).expect("mapped");
    space.write_remote(area + PAGE, b"own");
    assert_eq!((resident(), byte(&space, area + PAGE), byte(&space, area)), (1, b'o', 0));
    let child = space.fork().expect("memory for a test");
    child.write_remote(area + 2 * PAGE, b"child");
    assert_eq!((child.usage().resident / PAGE, resident()), (2, 1));
    assert_eq!(byte(&space, area + 2 * PAGE), 0);
    space.unmap(area, 2 * PAGE).expect("mapped");
    assert_eq!((resident(), child.usage().resident / PAGE), (0, 2));
    let mut bytes = [1; 16];
    machine::mm::Frame::zeros().expect("it is there").read(1000, &mut bytes);
    assert_eq!(bytes, [0; 16]);
}

#[kernel_test]
fn user_copies_survive_faults_and_count_exactly() {
    let space = space();
    let area = anonymous(&space, 2);
    space.populate(area..area + 2 * PAGE).expect("memory for a test");
    let end = area + 2 * PAGE;
    // No other thread may take this CPU's address space away meanwhile.
    copy::without_faults(|| {
        space.activate();
        check_copies(area, end);
        mm::activate_kernel();
    });
}

fn check_copies(area: u64, end: u64) {
    assert_eq!(copy::copy_to(end - 5, b"hello"), Ok(()));
    assert_eq!(copy::copy_to(end - 5, b"hello!"), Err(copy::Fault));
    assert_eq!(copy::copy_to_partial(end - 5, b"hello, world, and all the rest of it"), 5);
    let mut buffer = [0; 64];
    assert_eq!(copy::copy_from_partial(&mut buffer, end - 5), 5);
    assert_eq!(copy::copy_from_partial(&mut buffer, end - 37), 37);
    assert_eq!(copy::copy_from(&mut buffer, end - 64), Ok(()));
    assert_eq!(&buffer[59..], b"hello");
    assert_eq!(copy::copy_string_from(&mut buffer, end - 5), Err(copy::Fault), "a string without an end");
    assert_eq!(copy::copy_to(end - 1, b"\0"), Ok(()));
    assert_eq!(copy::copy_string_from(&mut buffer, end - 5), Ok(4));
    let text = b"all of the words\0 ";
    let place = end - text.len() as u64;
    assert_eq!(copy::copy_to(place, text), Ok(()));
    for (start, wanted) in (0..=16).flat_map(|start| (0..24).map(move |wanted| (start, wanted))) {
        let expected = &text[start..16][..wanted.min(16 - start)];
        let read = copy::copy_string_from(&mut buffer[..wanted], place + start as u64);
        assert_eq!(
            (read, &buffer[..expected.len()]),
            (Ok(expected.len()), expected),
            "{wanted} from {start}"
        );
    }
    assert_eq!(copy::copy_string_from(&mut buffer[..1], end - 1), Ok(1), "no NUL, and no need of one");
    assert_eq!(copy::clear(end - 16, 16), Ok(()));
    assert_eq!(copy::clear(end - 16, 17), Err(copy::Fault));
    assert_eq!(copy::compare_exchange_u32(area, 0, 7), Ok(0));
    assert_eq!((copy::load_u32(area), copy::load_u32(end)), (Ok(7), Err(copy::Fault)));
    assert_eq!(copy::compare_exchange_u32(end, 0, 7), Err(copy::Fault));
    for bad in [0, 8, machine::addr::USER_END, 0xffff_8000_0010_0000, u64::MAX - 3] {
        assert_eq!(copy::copy_from(&mut buffer, bad), Err(copy::Fault), "{bad:#x}");
        assert_eq!(copy::copy_to_partial(bad, b"x"), 0, "{bad:#x}");
    }
}
