//! Tests of the block cache on a RAM disk, and of whatever disk the machine has.

use super::registry::{self, Kind};
use super::{BlockDevice, Disk, ram_disk::RamDisk};
use crate::sched;
use abi::errno::Errno;
use abi::stat::DeviceNumber;
use alloc::{string::String, sync::Arc, vec, vec::Vec};
use core::sync::atomic::{AtomicUsize, Ordering};
use machine::addr::PAGE_SIZE;
use machine::mm::Frame;
use test_macro::kernel_test;

/// 40 blocks of 512 bytes, each full of its number: the last cached block is a part of a page.
static CONTENTS: [[u8; 512]; 40] = {
    let mut contents = [[0; 512]; 40];
    let mut block = 0;
    while block < 40 {
        contents[block] = [block as u8; 512];
        block += 1;
    }
    contents
};

fn disk() -> Arc<Disk> {
    let device = Arc::new(RamDisk::new(CONTENTS.as_flattened()));
    Disk::whole(String::from("test"), DeviceNumber::new(1, 255), device, None)
}

fn on_disk(disk: &Disk, block: u64) -> u8 {
    let mut buffer = [0; 512];
    disk.read(block * 512, &mut buffer).expect("the block is on the disk");
    assert!(buffer.iter().all(|byte| *byte == buffer[0]), "block {block} is mixed");
    buffer[0]
}

#[kernel_test]
fn cached_writes_are_seen_at_once_and_reach_the_disk_later() {
    let disk = disk();
    let cache = disk.cache();
    let mut buffer = [0; 1024];
    cache.read(39 * 512, &mut buffer[..512]).expect("the last block");
    assert_eq!(buffer[0], 39);
    cache.write(700, &[0xee; 1000]).expect("in the middle of blocks");
    cache.read(600, &mut buffer).expect("what was written");
    assert_eq!((buffer[99], buffer[100], buffer[1023]), (1, 0xee, 0xee));
    assert_eq!((on_disk(&disk, 1), on_disk(&disk, 2)), (1, 2));
    assert!(cache.is_dirty());
    cache.flush().expect("a RAM disk takes everything");
    assert!(!cache.is_dirty());
    assert_eq!(on_disk(&disk, 2), 0xee);
    cache.shrink(0);
    cache.read(600, &mut buffer).expect("from the disk again");
    assert_eq!((buffer[99], buffer[100]), (1, 0xee));
}

#[kernel_test]
fn forgotten_sectors_are_not_written() {
    let disk = disk();
    let cache = disk.cache();
    cache.write(0, &[0xaa; 4 * 512]).expect("four blocks");
    cache.forget(512, 1024);
    cache.flush().expect("a RAM disk takes everything");
    assert_eq!([0, 1, 2, 3].map(|block| on_disk(&disk, block)), [0xaa, 1, 2, 0xaa]);
    let mut buffer = [0; 512];
    cache.read(512, &mut buffer).expect("from the disk");
    assert_eq!(buffer[0], 1);
}

#[kernel_test]
fn direct_transfers_and_the_cache_agree() {
    let disk = disk();
    let cache = disk.cache();
    let mut buffer = [0; 512];
    let frame = Frame::allocate_zeroed().expect("one frame");
    let frames = core::slice::from_ref(&frame);
    cache.write(512, &[0xbb; 512]).expect("one block");
    cache.read_frames(0, frames).expect("past the cache");
    frame.read(512, &mut buffer);
    assert_eq!(buffer[0], 0xbb);
    frame.write(512, &[0xcc; 512]);
    cache.write_frames(0, frames).expect("past the cache");
    cache.read(512, &mut buffer).expect("through the cache");
    assert_eq!((buffer[0], on_disk(&disk, 1), on_disk(&disk, 2)), (0xcc, 0xcc, 2));
}

#[kernel_test]
fn long_reads_mix_what_is_cached_and_what_is_not() {
    let disk = disk();
    let cache = disk.cache();
    cache.write(9 * 512, &[0xdd; 512]).expect("one block");
    let mut buffer = vec![0; 39 * 512];
    cache.read(512, &mut buffer).expect("nearly the whole disk");
    for (block, bytes) in (1..).zip(buffer.chunks(512)) {
        let expected = if block == 9 { 0xdd } else { block };
        assert!(bytes.iter().all(|byte| *byte == expected), "block {block}");
    }
}

#[kernel_test]
fn what_is_not_on_the_disk_is_refused() {
    let disk = disk();
    let mut buffer = [0; 512];
    assert_eq!(disk.read(40 * 512, &mut buffer).map_err(|e| e.errno), Err(Errno::EIO));
    assert_eq!(disk.read(u64::MAX - 511, &mut buffer).map_err(|e| e.errno), Err(Errno::EIO));
    assert_eq!(disk.read(1, &mut buffer).map_err(|e| e.errno), Err(Errno::EINVAL));
    assert_eq!(disk.cache().read(40 * 512 - 1, &mut buffer[..2]).map_err(|e| e.errno), Err(Errno::EIO));
    assert_eq!(disk.cache().write(u64::MAX, &buffer).map_err(|e| e.errno), Err(Errno::EIO));
}

#[kernel_test]
fn a_disk_has_one_owner() {
    let disk = disk();
    let claim = disk.claim().expect("nobody has it");
    assert_eq!(disk.claim().err().map(|e| e.errno), Some(Errno::EBUSY));
    drop(claim);
    assert!(disk.claim().is_ok());
}

/// The first disk that is no RAM disk, if the machine has one.
fn hardware() -> Option<Arc<Disk>> {
    registry::all().into_iter().find(|disk| disk.number().major != 1)
}

#[kernel_test]
fn many_threads_read_a_disk_at_once() {
    let Some(disk) = hardware() else { return };
    let length = disk.size_bytes().min(1 << 20) as usize / PAGE_SIZE * PAGE_SIZE;
    let mut expected = vec![0; length];
    disk.read(0, &mut expected).expect("the beginning of the disk");
    let expected = Arc::new(expected);
    static DONE: AtomicUsize = AtomicUsize::new(0);
    DONE.store(0, Ordering::Release);
    for thread in 0..8_usize {
        let (disk, expected) = (disk.clone(), expected.clone());
        let body = move || {
            for round in 0..50 {
                let page = (thread * 31 + round * 17) % (expected.len() / PAGE_SIZE);
                let frame = Frame::allocate_zeroed().expect("one frame");
                disk.read_frames((page * PAGE_SIZE) as u64, core::slice::from_ref(&frame)).expect("a page");
                let mut bytes = vec![0; PAGE_SIZE];
                frame.read(0, &mut bytes);
                if bytes != expected[page * PAGE_SIZE..][..PAGE_SIZE] {
                    return;
                }
            }
            DONE.fetch_add(1, Ordering::AcqRel);
        };
        sched::spawn("disk-reader", body).expect("a thread");
    }
    let deadline = machine::time::monotonic_ns() + 30_000_000_000;
    while DONE.load(Ordering::Acquire) < 8 {
        assert!(
            machine::time::monotonic_ns() < deadline,
            "{} threads of 8 read the right bytes",
            DONE.load(Ordering::Acquire)
        );
        sched::sleep_until(machine::time::monotonic_ns() + 1_000_000);
    }
}

#[kernel_test]
fn frames_and_buffers_see_the_same_disk() {
    let Some(disk) = hardware() else { return };
    let count = (disk.size_bytes().min(512 << 10) as usize / PAGE_SIZE).min(100);
    let frames: Vec<Frame> = (0..count).map(|_| Frame::allocate_zeroed().expect("a frame")).collect();
    disk.read_frames(0, &frames).expect("the beginning of the disk");
    let mut bytes = vec![0; count * PAGE_SIZE];
    disk.read(0, &mut bytes).expect("the same");
    for (frame, expected) in frames.iter().zip(bytes.chunks(PAGE_SIZE)) {
        let mut page = vec![0; PAGE_SIZE];
        frame.read(0, &mut page);
        assert!(page == expected);
    }
}

#[kernel_test]
fn disks_are_found_by_name_and_number() {
    for disk in registry::all() {
        let found = registry::find(disk.name()).expect("by its name");
        assert!(Arc::ptr_eq(&found, &disk));
        let path = alloc::format!("/dev/{}", disk.name());
        assert!(Arc::ptr_eq(&registry::resolve(&path).expect("by its path"), &disk));
        let number = alloc::format!("{}:{}", disk.number().major, disk.number().minor);
        assert!(Arc::ptr_eq(&registry::resolve(&number).expect("by its number"), &disk));
    }
    assert_eq!(registry::resolve("/dev/nope").err().map(|e| e.errno), Some(Errno::ENODEV));
    assert!(RamDisk::new(&[0; 700]).size_bytes() == 512 && Kind::Ram != Kind::Virtio);
}
