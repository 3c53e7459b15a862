//! Tests of the allocator, the last ones against a model that knows each block.

extern crate std;
use super::*;
use crate::model::{Broken, Memory};
use core::cell::Cell;
use std::string::String;
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

fn memory() -> Memory {
    Memory { ranges: vec![3..700, 1024..9000, 9001..9002, 10_000..19_999], border: 8192 }
}

fn attempt<'a>(
    memory: &'a Memory,
    steps: &[model::Step],
    records: &'a [TestRecord],
    is_broken: bool,
) -> Result<(), (usize, String)> {
    let mut frames = Allocator::new(records, memory.border);
    memory.ranges.iter().cloned().for_each(|range| {
        frames.add_range(range);
    });
    let pristine = frames.free_blocks();
    if is_broken {
        return model::run(memory, &mut Broken::new(frames), steps);
    }
    model::run(memory, &mut frames, steps)?;
    assert_eq!(frames.free_blocks(), pristine, "all blocks are joined again");
    Ok(())
}

#[test]
fn random_use_agrees_with_a_model() {
    let memory = memory();
    let outcome = model::search(1..21, 20_000, &mut |steps| attempt(&memory, steps, &records(20_000), false));
    assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
}

#[test]
fn a_broken_allocator_is_found_and_the_steps_are_few() {
    let memory = memory();
    let found = model::search(1..21, 5_000, &mut |steps| attempt(&memory, steps, &records(20_000), true));
    let example = found.expect_err("the fault must be found");
    assert!(example.steps.len() <= 4, "{} steps: {example}", example.steps.len());
}
