//! Tests of the allocator, the last one against a model that knows each frame.

extern crate std;
use super::*;
use core::cell::Cell;
use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

struct TestRecord {
    links: Cell<Links>,
    tag: Cell<Tag>,
}

impl Record for TestRecord {
    fn links(&self) -> Links {
        self.links.get()
    }
    fn set_links(&self, links: Links) {
        self.links.set(links);
    }
    fn tag(&self) -> Tag {
        self.tag.get()
    }
    fn set_tag(&self, tag: Tag) {
        self.tag.set(tag);
    }
}

fn records(count: usize) -> Vec<TestRecord> {
    (0..count).map(|_| TestRecord { links: Cell::new(Links::from_bits(0)), tag: Cell::default() }).collect()
}

#[test]
fn ranges_become_the_largest_blocks() {
    let records = records(4096);
    let mut frames = Allocator::new(&records, 2048);
    assert_eq!(frames.add_range(1..1030), 1029);
    assert_eq!(frames.add_range(2048..5000), 2048);
    frames.check().unwrap();
    // 1, 2-3, 4-7, ..., 512-1023, 1024-1027, 1028-1029
    assert_eq!(frames.free_blocks()[0], [1, 2, 2, 1, 1, 1, 1, 1, 1, 1, 0]);
    assert_eq!(frames.free_blocks()[1][MAX_ORDER], 2);
    assert_eq!((frames.free_frames(), frames.managed_frames()), (3077, 3077));
}

#[test]
fn high_memory_is_taken_first_and_low_only_when_asked() {
    let records = records(4096);
    let mut frames = Allocator::new(&records, 2048);
    frames.add_range(0..4096);
    assert!(frames.allocate(0, Zone::Any).unwrap() >= 2048);
    assert!(frames.allocate(10, Zone::Low).unwrap() < 2048);
    assert!(frames.allocate(10, Zone::Any).unwrap() >= 2048);
    assert!(frames.allocate(10, Zone::Any).unwrap() < 2048);
    assert_eq!(frames.allocate(10, Zone::Any), None);
    assert_eq!(frames.allocate(0, Zone::Low), None);
    assert_eq!(frames.allocate(11, Zone::Any), None);
    frames.check().unwrap();
}

#[test]
fn wrong_frees_are_refused_and_change_nothing() {
    let records = records(1024);
    let mut frames = Allocator::new(&records, 0);
    frames.add_range(0..1024);
    let block = frames.allocate(3, Zone::Any).unwrap();
    assert_eq!(frames.free(block, 2), Err(FreeError::WrongOrder(3)));
    assert_eq!(frames.free(block + 1, 0), Err(FreeError::NotAllocated));
    assert_eq!(frames.free(5000, 0), Err(FreeError::OutOfRange));
    assert_eq!(frames.free(block, 3), Ok(()));
    assert_eq!(frames.free(block, 3), Err(FreeError::AlreadyFree));
    frames.check().unwrap();
    assert_eq!(frames.free_blocks()[1][MAX_ORDER], 1);
}

#[test]
fn split_blocks_are_freed_frame_by_frame() {
    let records = records(1024);
    let mut frames = Allocator::new(&records, 0);
    frames.add_range(0..1024);
    let block = frames.allocate(4, Zone::Any).unwrap();
    frames.split(block, 4).unwrap();
    assert_eq!(frames.free(block, 4), Err(FreeError::WrongOrder(0)));
    for frame in block..block + 16 {
        frames.free(frame, 0).unwrap();
    }
    frames.check().unwrap();
    assert_eq!(frames.free_blocks()[1][MAX_ORDER], 1);
}

#[test]
fn orders_hold_the_frames_asked_for() {
    assert_eq!(
        (order_for(0), order_for(1), order_for(2), order_for(3)),
        (Some(0), Some(0), Some(1), Some(2))
    );
    assert_eq!((order_for(1024), order_for(1025), order_for(usize::MAX)), (Some(10), None, None));
}

/// Random allocations and frees: no frame is given out twice, none is lost, and at the end all blocks are joined again.
#[test]
fn random_use_agrees_with_a_model() {
    const FRAMES: usize = 20_000;
    for seed in 1..=20u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let records = records(FRAMES);
        let mut frames = Allocator::new(&records, 8192);
        let ranges = [3..700, 1024..9000, 9001..9002, 10_000..19_999];
        let managed: usize = ranges.iter().cloned().map(|range| frames.add_range(range)).sum();
        let pristine = frames.free_blocks();
        let mut taken = vec![false; FRAMES];
        let mut blocks: BTreeMap<u32, usize> = BTreeMap::new();
        for step in 0..20_000 {
            // Phases of growing and shrinking.
            let grows = step / 2000 % 2 == 0;
            if random(10) < if grows { 7 } else { 3 } || blocks.is_empty() {
                let most = random(12) + 1;
                let order = random(most) as usize;
                let zone = if random(4) == 0 { Zone::Low } else { Zone::Any };
                let Some(frame) = frames.allocate(order, zone) else { continue };
                assert!(frame % (1 << order) == 0 && (zone == Zone::Any || frame < 8192));
                for index in frame..frame + (1 << order) {
                    assert!(ranges.iter().any(|range| range.contains(&index)));
                    assert!(!core::mem::replace(&mut taken[index as usize], true), "frame given out twice");
                }
                blocks.insert(frame, order);
            } else {
                let at = random(FRAMES as u64) as u32;
                let Some((&frame, &order)) = blocks.range(at..).next() else { continue };
                assert_eq!(frames.free(frame, order), Ok(()));
                taken[frame as usize..(frame as usize) + (1 << order)].fill(false);
                blocks.remove(&frame);
            }
            assert_eq!(frames.free_frames(), managed - taken.iter().filter(|taken| **taken).count());
            if step % 500 == 0 {
                frames.check().unwrap();
            }
        }
        for (frame, order) in blocks {
            frames.free(frame, order).unwrap();
        }
        frames.check().unwrap();
        assert_eq!(frames.free_blocks(), pristine);
    }
}
