//! The page cache: what is written is read, holes, sizes.

use super::{create_file, empty_tree, open_file, read_at, write};
use crate::{
    error::Result,
    fs::{
        file::{Extent, OpenFlags},
        io::{Destination, Source},
        page_cache::{Backing, PageCache, PageStore, WritePlace, known_caches, reclaim},
    },
};
use alloc::{collections::BTreeSet, sync::Arc, vec::Vec};
use core::ops::Range;
use machine::{addr::PAGE_SIZE, mm::Frame, sync::SpinLock};
use test_macro::kernel_test;

#[kernel_test]
fn reads_writes_and_mappings_share_their_pages() {
    let caller = empty_tree();
    let file = create_file(&caller, "file");
    assert_eq!(write(&file, b"hello").expect("writable"), 5);
    let source = file.operations().map(&file).expect("mappable");
    let frame = source.page(0).expect("within the file");
    let mut seen = [0; 5];
    frame.read(0, &mut seen);
    assert_eq!(&seen, b"hello");
    frame.write(0, b"J");
    source.mark_dirty(0);
    assert_eq!(read_at(&file, 0, 10), b"Jello");
    assert!(source.page(1).is_err(), "behind the end");
}

#[kernel_test]
fn holes_read_as_zeros_and_take_no_space() {
    let caller = empty_tree();
    let file = create_file(&caller, "sparse");
    let end = 10 * PAGE_SIZE as u64;
    file.write_at(end, &mut Source::kernel(b"x")).expect("writable");
    assert_eq!(file.inode().metadata().size, end + 1);
    assert_eq!(file.inode().metadata().blocks, 8);
    assert_eq!(read_at(&file, 5, 100), [0; 100]);
    let seek = |offset, wanted| file.operations().seek_extent(&file, offset, wanted).ok();
    assert_eq!(seek(0, Extent::Data), Some(end));
    assert_eq!(seek(0, Extent::Hole), Some(0));
    assert_eq!(seek(end, Extent::Hole), Some(end + 1));
    assert_eq!(seek(end + 1, Extent::Data), None);
}

#[kernel_test]
fn what_is_cut_off_does_not_come_back() {
    let caller = empty_tree();
    let file = create_file(&caller, "cut");
    let bytes = alloc::vec![7; 3 * PAGE_SIZE];
    assert_eq!(write(&file, &bytes).expect("writable"), bytes.len());
    file.inode().truncate(100).expect("shrinks");
    file.inode().truncate(bytes.len() as u64).expect("grows");
    assert_eq!(read_at(&file, 0, 100), [7; 100]);
    assert!(read_at(&file, 100, bytes.len()).iter().all(|&byte| byte == 0));
    file.inode().punch_hole(10, 20).expect("within a page");
    assert_eq!(read_at(&file, 0, 40)[..40], [[7; 10].as_slice(), &[0; 20], &[7; 10]].concat());
}

#[kernel_test]
fn appending_goes_to_the_end_whatever_the_offset() {
    let caller = empty_tree();
    let file = create_file(&caller, "log");
    write(&file, b"one\n").expect("writable");
    let appender = open_file(&caller, "log", OpenFlags::O_WRONLY | OpenFlags::O_APPEND).expect("exists");
    write(&file, b"two\n").expect("writable");
    write(&appender, b"three\n").expect("writable");
    appender.write_at(0, &mut Source::kernel(b"four\n")).expect("writable");
    assert_eq!(read_at(&file, 0, 100), b"one\ntwo\nthree\nfour\n");
}

#[kernel_test]
fn space_comes_back_when_a_file_goes() {
    let caller = empty_tree();
    let statistics = || caller.root.mount.super_block().file_system.statistics().expect("tmpfs");
    let before = statistics();
    let file = create_file(&caller, "big");
    write(&file, &alloc::vec![1; 50 * PAGE_SIZE]).expect("writable");
    assert_eq!(before.blocks_free - statistics().blocks_free, 50);
    let pages: Arc<PageCache> = file.inode().pages().expect("regular").clone();
    assert_eq!(pages.resident_pages(), 50);
    drop((pages, file));
    let remove = crate::fs::names::Removal::File;
    crate::fs::names::remove_at(&caller, &caller.root, b"big", remove).expect("exists");
    assert_eq!(statistics().blocks_free, before.blocks_free);
    assert_eq!(statistics().files_free, before.files_free);
}

/// A disk that counts what it is asked for: pages of each read and each write.
struct CountingDisk {
    reads: SpinLock<Vec<usize>>,
    writes: SpinLock<Vec<usize>>,
}

impl PageStore for CountingDisk {
    fn backing(&self) -> Backing {
        Backing::Disk
    }

    fn read(&self, first: u64, frames: &[Frame]) -> Result<()> {
        self.reads.lock().push(frames.len());
        (first..).zip(frames).for_each(|(index, frame)| frame.write(0, &[index as u8; PAGE_SIZE]));
        Ok(())
    }

    fn write(&self, _first: u64, frames: &[Frame], _size: u64) -> Result<()> {
        self.writes.lock().push(frames.len());
        Ok(())
    }

    fn reserve(&self, _range: Range<u64>) -> Result<()> {
        Ok(())
    }
}

#[kernel_test]
fn a_file_costs_few_transfers() {
    const PAGES: usize = 300;
    let none = || SpinLock::new("counted", Vec::new());
    let disk = Arc::new(CountingDisk { reads: none(), writes: none() });
    let cache = PageCache::new(disk.clone(), (PAGES * PAGE_SIZE) as u64);
    let mut buffer = alloc::vec![0; 1000];
    let mut read_all = || {
        let mut offset = 0;
        while cache.read(&mut offset, &mut Destination::kernel(&mut buffer)).expect("all can be read") > 0 {}
        core::mem::take(&mut *disk.reads.lock())
    };
    assert_eq!(read_all(), [4, 8, 16, 32, 64, 128, 48], "each twice as far ahead, up to the end");
    assert_eq!(read_all(), [0; 0], "all of it is in memory");
    let mut offset = 0;
    while offset < (PAGES * PAGE_SIZE) as u64 {
        let written = cache.write(&mut offset, &mut Source::kernel(&[7; 1000]), WritePlace::Offset, u64::MAX);
        assert!(written.is_ok_and(|written| written > 0));
    }
    assert_eq!(*disk.writes.lock(), [0; 0], "that can wait");
    cache.write_back().expect("all can be written");
    // The last write went over the end of the last page.
    assert_eq!(core::mem::take(&mut *disk.writes.lock()), [256, 45], "as much as goes at a time");
    cache.write_back().expect("nothing is to be written");
    assert_eq!(*disk.writes.lock(), [0; 0]);
}

#[kernel_test]
fn who_looks_for_memory_passes_by_files_without_pages() {
    const FILES: usize = 200;
    let none = || SpinLock::new("counted", Vec::new());
    let disk = Arc::new(CountingDisk { reads: none(), writes: none() });
    let read = |cache: &Arc<PageCache>| {
        let mut byte = [1];
        cache.read(&mut 0, &mut Destination::kernel(&mut byte)).expect("all can be read");
        assert_eq!((cache.resident_pages(), byte), (1, [0]));
    };
    reclaim(usize::MAX);
    let before = known_caches();
    let caches: Vec<_> = (0..FILES).map(|_| PageCache::new(disk.clone(), 1)).collect();
    assert!(known_caches() < before + FILES, "none of them has a page");
    for _ in 0..2 {
        caches.iter().for_each(read);
        assert!(known_caches() >= FILES);
        assert!(reclaim(usize::MAX) >= FILES);
        assert!(caches.iter().all(|cache| cache.resident_pages() == 0));
        assert!(known_caches() < before + FILES, "they have none any more");
    }
    caches.iter().for_each(read);
    drop(caches);
    reclaim(usize::MAX);
    assert!(known_caches() < before + FILES, "they are gone");
}

#[kernel_test]
fn direct_reads_come_from_the_disk_and_stay_nowhere() {
    const PAGES: usize = 10;
    let none = || SpinLock::new("counted", Vec::new());
    let disk = Arc::new(CountingDisk { reads: none(), writes: none() });
    let cache = PageCache::new(disk.clone(), (PAGES * PAGE_SIZE) as u64 - 100);
    let written = cache.write(&mut 0, &mut Source::kernel(&[7; PAGE_SIZE]), WritePlace::Offset, u64::MAX);
    assert_eq!(written.ok(), Some(PAGE_SIZE));
    let (mut buffer, mut offset) = (alloc::vec![0; PAGES * PAGE_SIZE], 512);
    let read = cache.read_direct(&mut offset, &mut Destination::kernel(&mut buffer));
    assert_eq!(read.ok(), Some(PAGES * PAGE_SIZE - 100 - 512));
    assert_eq!(offset, (PAGES * PAGE_SIZE - 100) as u64);
    assert_eq!(*disk.writes.lock(), [1], "what was newer in memory goes first");
    assert_eq!(*disk.reads.lock(), [PAGES]);
    assert!((512..offset as usize).zip(&buffer).all(|(at, &byte)| usize::from(byte) == at / PAGE_SIZE));
    assert_eq!(cache.resident_pages(), 1);
    cache.drop_clean(0..u64::MAX);
    assert_eq!(cache.resident_pages(), 0);
    let errors = [(1, 512), (512, 1), (0, PAGE_SIZE)]
        .map(|(at, length)| cache.check_direct(at, length, &|_, _| true).is_err());
    assert_eq!(errors, [true, true, false]);
    let memory_at = |place: u64| move |address: u64, _: u64| place.is_multiple_of(address);
    assert!(cache.check_direct(0, PAGE_SIZE, &memory_at(256)).is_err());
    assert!(cache.check_direct(0, PAGE_SIZE, &memory_at(1024)).is_ok());
    assert!(cache.check_direct(1, 0, &memory_at(1)).is_ok(), "nothing is asked for");
}

/// A disk whose free blocks are full of old data, with a file that is all hole.
struct UsedDisk(SpinLock<BTreeSet<u64>>);

impl PageStore for UsedDisk {
    fn backing(&self) -> Backing {
        Backing::Disk
    }

    fn read(&self, first: u64, frames: &[Frame]) -> Result<()> {
        for (index, frame) in (first..).zip(frames) {
            frame.clear(0..PAGE_SIZE);
            if self.0.lock().contains(&index) {
                frame.write(0, &[0xa3; PAGE_SIZE]);
            }
        }
        Ok(())
    }

    fn write(&self, _first: u64, _frames: &[Frame], _size: u64) -> Result<()> {
        Ok(())
    }

    fn reserve(&self, range: Range<u64>) -> Result<()> {
        let page = PAGE_SIZE as u64;
        self.0.lock().extend(range.start / page..range.end.div_ceil(page));
        Ok(())
    }
}

#[kernel_test]
fn a_hole_that_is_written_to_shows_nothing_old() {
    let cache =
        PageCache::new(Arc::new(UsedDisk(SpinLock::new("test", BTreeSet::new()))), 3 * PAGE_SIZE as u64);
    let mut offset = PAGE_SIZE as u64 + 100;
    let written = cache.write(&mut offset, &mut Source::kernel(b"new"), WritePlace::Offset, u64::MAX);
    assert_eq!(written.ok(), Some(3));
    let mut seen = alloc::vec![1; PAGE_SIZE];
    let read = cache.read(&mut (PAGE_SIZE as u64), &mut Destination::kernel(&mut seen));
    assert_eq!(read.ok(), Some(PAGE_SIZE));
    assert_eq!(&seen[100..103], b"new");
    assert!(seen[..100].iter().chain(&seen[103..]).all(|&byte| byte == 0), "the rest of the hole");
}
