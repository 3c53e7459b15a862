//! Frames and heap, inside the kernel: the search for a difference between the allocator and its model, which the host
//! runs as well, and what the machine's own allocators keep.

use crate::error::Result as KernelResult;
use crate::fs::page_cache::{Backing, PageCache, PageStore};
use alloc::{boxed::Box, format, string::String, sync::Arc, vec::Vec};
use core::ops::Range;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use frames::{
    Allocator, Links, Tag,
    model::{self, Broken, Counterexample, Memory, Step},
};
use machine::{
    addr::PAGE_SIZE,
    mm::{self, DmaBuffer, Frame, Owner},
};
use test_macro::kernel_test;

/// Copies of all lengths up to a few words of the loop and of the string instruction, between all alignments.
#[kernel_test]
fn copies_move_all_their_bytes_and_no_others() {
    let source: Vec<u8> = (0..700_u32).map(|index| (index * 31 % 251) as u8 + 1).collect();
    for length in 0..600 {
        for (from, to) in [(0, 0), (1, 0), (0, 1), (3, 6), (7, 5)] {
            let mut copy = [0; 640];
            copy[to..to + length].copy_from_slice(&source[from..from + length]);
            assert_eq!(
                copy[to..to + length],
                source[from..from + length],
                "{length} bytes from {from} to {to}"
            );
            let others = copy[..to].iter().chain(&copy[to + length..]);
            assert!(others.copied().all(|byte| byte == 0), "{length} bytes from {from} to {to}");
        }
    }
}

#[derive(Default)]
struct Record {
    links: AtomicU64,
    tag: AtomicU8,
}

impl frames::Record for Record {
    fn links(&self) -> Links {
        Links::from_bits(self.links.load(Ordering::Relaxed))
    }
    fn set_links(&self, links: Links) {
        self.links.store(links.to_bits(), Ordering::Relaxed);
    }
    fn tag(&self) -> Tag {
        Tag::from_bits(self.tag.load(Ordering::Relaxed))
    }
    fn set_tag(&self, tag: Tag) {
        self.tag.store(tag.to_bits(), Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Soundness {
    Sound,
    Broken,
}

fn search(soundness: Soundness) -> Result<(), Counterexample> {
    let memory = Memory { ranges: [3..700, 1024..3000, 3001..3002].to_vec(), border: 2048 };
    model::search(1..5, 2_000, &mut |steps: &[Step]| -> Result<(), (usize, String)> {
        let records: Vec<Record> = (0..3072).map(|_| Record::default()).collect();
        let mut allocator = Allocator::new(&records, memory.border);
        for range in &memory.ranges {
            allocator.add_range(range.clone());
        }
        match soundness {
            Soundness::Sound => model::run(&memory, &mut allocator, steps),
            Soundness::Broken => model::run(&memory, &mut Broken::new(allocator), steps),
        }
    })
}

#[kernel_test]
fn the_allocator_agrees_with_its_model() {
    if let Err(example) = search(Soundness::Sound) {
        panic!("{example}");
    }
}

#[kernel_test]
fn a_broken_allocator_is_found_with_a_counterexample() {
    let example = search(Soundness::Broken).expect_err("the fault must be found");
    log::info!("mm: the broken allocator: {example}");
    assert!(example.steps.len() <= 4, "the counterexample is not short: {example}");
    assert!(matches!(example.steps[..], [.., Step::Allocate(0, _)]), "{example}");
    assert!(format!("{example}").contains("Allocate"));
}

/// What the system has, with nothing at hand anywhere.
fn settled() -> mm::MemoryStatistics {
    mm::shrink();
    mm::statistics()
}

#[kernel_test]
fn owners_are_counted() {
    let before = settled();
    let frames: Vec<Frame> = (0..100).map(|_| Frame::allocate().expect("there is memory")).collect();
    let device = DmaBuffer::allocate(10 * PAGE_SIZE).expect("there is memory");
    assert!(device.address().as_u64() < 4 << 30, "devices reach it");
    let between = mm::statistics();
    assert!(between.program >= before.program + 100);
    assert_eq!(between.device, before.device + 16);
    drop((frames, device));
    let after = settled();
    assert_eq!(after.device, before.device);
    assert!(after.program <= before.program + 8, "{before:?}, then {after:?}");
    const { assert!(mm::RECORD_BYTES <= 16) };
    const { assert!(Owner::Nobody as u8 == 0, "zeroed records are nobody's") };
}

#[kernel_test]
fn zones_add_up() {
    let zones: Vec<_> = mm::zones().collect();
    let managed: usize = zones.iter().map(|zone| zone.managed).sum();
    assert_eq!(managed, mm::statistics().total);
    for zone in zones {
        let free: usize = zone.free_blocks.iter().enumerate().map(|(order, count)| count << order).sum();
        assert!(free <= zone.managed, "{zone:?}");
    }
}

#[kernel_test]
fn large_objects_come_from_the_virtual_area_and_go_back() {
    const BYTES: usize = 300 * 1024;
    let before = mm::statistics().kernel_virtual;
    for round in 0..100_u64 {
        let mut object = alloc::vec![0_u8; BYTES];
        assert_eq!(mm::statistics().kernel_virtual, before + BYTES.div_ceil(PAGE_SIZE));
        for (page, byte) in object.iter_mut().step_by(PAGE_SIZE).enumerate() {
            assert_eq!(*byte, 0, "page {page} is zeroed");
            *byte = (round as u8) ^ (page as u8);
        }
        for (page, byte) in object.iter().step_by(PAGE_SIZE).enumerate() {
            assert_eq!(*byte, (round as u8) ^ (page as u8));
        }
    }
    assert_eq!(mm::statistics().kernel_virtual, before);
}

#[kernel_test]
fn more_than_there_is_fails() {
    let mut bytes: Vec<u8> = Vec::new();
    assert!(bytes.try_reserve_exact(mm::statistics().total * PAGE_SIZE).is_err());
    assert!(bytes.try_reserve_exact(isize::MAX as usize).is_err());
}

/// A file of zeros, which can be read again at any time.
struct Zeros;

impl PageStore for Zeros {
    fn backing(&self) -> Backing {
        Backing::Disk
    }

    fn read(&self, _first: u64, frames: &[Frame]) -> KernelResult<()> {
        frames.iter().for_each(|frame| frame.write(0, &[0; PAGE_SIZE]));
        Ok(())
    }

    fn write(&self, _first: u64, _frames: &[Frame], _size: u64) -> KernelResult<()> {
        unreachable!("nothing of it changes")
    }

    fn reserve(&self, _range: Range<u64>) -> KernelResult<()> {
        unreachable!("nothing of it changes")
    }
}

/// Calls `allocate`, which is to take so many pages, when caches have these and nobody else has any.
fn with_all_in_caches(pages: usize, allocate: impl FnOnce()) {
    let cache = PageCache::new(Arc::new(Zeros), (2 * pages * PAGE_SIZE) as u64);
    (0..2 * pages as u64).for_each(|index| drop(cache.page(index).expect("there is memory")));
    let mut hoard = Vec::with_capacity(mm::statistics().total);
    while let Ok(frame) = Frame::allocate() {
        hoard.push(frame);
    }
    let before = cache.resident_pages();
    assert!(mm::free_frames() < pages && before >= pages as u64);
    allocate();
    assert!(cache.resident_pages() < before);
}

#[kernel_test]
fn the_heap_takes_what_caches_hold() {
    let pages = mm::watermarks().min + 256;
    with_all_in_caches(pages, || {
        let mut bytes: Vec<u8> = Vec::new();
        bytes.try_reserve_exact(pages * PAGE_SIZE).expect("caches have as much");
    });
    with_all_in_caches(pages, || {
        let objects: Vec<Box<[u8; 1024]>> = (0..4 * pages).map(|_| Box::new([7; 1024])).collect();
        assert!(objects.iter().all(|object| object[1023] == 7));
    });
}

#[kernel_test]
fn slabs_count_their_objects() {
    const OBJECTS: usize = 500;
    let in_use = || {
        let class = mm::slab_statistics().find(|class| class.object_size == 384);
        let class = class.expect("there is such a class");
        assert!(class.in_use + class.at_hand <= class.slabs * class.objects_per_slab, "{class:?}");
        class.in_use
    };
    let mut objects: Vec<Box<[u8; 300]>> = Vec::with_capacity(OBJECTS);
    let before = in_use();
    objects.extend((0..OBJECTS).map(|_| Box::new([1; 300])));
    // Others may allocate meanwhile, but not by the hundred.
    assert!(in_use() >= before + OBJECTS * 9 / 10);
    drop(objects);
    mm::shrink();
    assert!(in_use() <= before + OBJECTS / 10);
}

#[cfg(debug_assertions)]
mod provoked {
    use machine::mm::{HeapFault, provoke};
    use test_macro::kernel_test;

    #[kernel_test(should_panic)]
    fn a_double_free_is_caught() {
        provoke(HeapFault::DoubleFree);
    }

    #[kernel_test(should_panic)]
    fn an_overrun_is_caught() {
        provoke(HeapFault::Overrun);
    }

    #[kernel_test(should_panic)]
    fn a_write_after_free_is_caught() {
        provoke(HeapFault::UseAfterFree);
    }
}

#[kernel_test]
fn the_boot_loaders_memory_is_given_back_and_nothing_else() {
    use machine::boot::MemoryKind;
    let (given_back, managed) = mm::frames_of_kind(MemoryKind::BootLoader);
    assert_eq!(managed, given_back);
    // QEMU's own loader leaves what it has in the first 64 KiB, which nobody gets.
    let protocol = crate::init::boot_info().expect("it has started").protocol;
    assert!(given_back > 0 || protocol == "pvh", "{protocol} has left nothing?");
    // What is in use for ever: the image and modules, ACPI's tables, the firmware's.
    for kind in [MemoryKind::Kernel, MemoryKind::AcpiReclaimable, MemoryKind::AcpiNvs, MemoryKind::Reserved] {
        assert_eq!(mm::frames_of_kind(kind).1, 0, "{kind:?}");
    }
    // The first page tables and the frames' records are not the allocator's.
    let (usable, managed) = mm::frames_of_kind(MemoryKind::Usable);
    assert!(managed < usable);
    assert_eq!(mm::statistics().total, managed + given_back);
}
