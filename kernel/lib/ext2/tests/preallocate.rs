//! What lay on the disk before is never seen in a file, also after a power cut; and what was promised can be had.
//!
//! EXT2_CUTS sets the number of cuts.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::collections::BTreeMap;

use common::*;
use ext2::{Error, IoError, Mapping, NewKind, Run};

const OLD: u8 = 0xee;
const NEW: u8 = 7;

/// A disk on which every block that is free has been something else.
fn make_used_disk(size_kib: u64, options: &[&str]) -> Disk {
    let disk = make_disk(size_kib, options);
    // A disk that records keeps what the file system forgets.
    disk.record();
    let fs = mount(&disk);
    let ino = fs.make("/old", NewKind::Regular).unwrap();
    let mut size = 0;
    while let Ok(length) = fs.write_at(ino, size, &[OLD; 50_000]) {
        size += length as u64;
    }
    fs.remove("/old").unwrap();
    fs.unmount().unwrap();
    disk
}

fn fill_with(disk: &Disk, block_size: usize, byte: u8) -> impl FnMut(Run) -> Result<(), IoError> {
    move |run| {
        let bytes = vec![byte; run.length as usize * block_size];
        ext2::BlockIo::write_data(disk, u64::from(run.start) * block_size as u64, &bytes)
    }
}

#[test]
fn preallocated_space_is_zero() {
    for options in VARIANTS {
        let disk = make_used_disk(8192, options);
        let fs = mount(&disk);
        let block_size = fs.statistics().block_size as usize;
        let ino = fs.put("/file", &[NEW; 5000]).unwrap();
        let blocks = 300;
        assert_eq!(fs.preallocate(ino, 0..blocks), Err(Error::InvalidArgument), "{options:?}");
        fs.truncate(ino, blocks * block_size as u64).unwrap();
        fs.preallocate(ino, 0..blocks).unwrap();
        let mut next = 0;
        while next < blocks {
            let Mapping::Data(run) = fs.map_blocks(ino, next, u32::MAX).unwrap() else { panic!("a hole") };
            next += u64::from(run.length);
        }
        let contents = fs.get("/file").unwrap();
        assert!(contents[..5000].iter().all(|&byte| byte == NEW));
        assert!(contents[5000..].iter().all(|&byte| byte == 0), "{options:?}");
        fs.unmount().unwrap();
        check(&disk);
    }
}

#[test]
fn blocks_that_cannot_be_filled_are_given_back() {
    let disk = make_used_disk(4096, VARIANTS[1]);
    let fs = mount(&disk);
    let ino = fs.make("/file", NewKind::Regular).unwrap();
    fs.truncate(ino, 2 << 20).unwrap();
    let before = (fs.statistics(), fs.read_inode(ino).unwrap().sectors);
    // Where a single, a double and two more indirect blocks are missing.
    for block in [0, 12, 12 + 256, 1500] {
        let failure = fs.fill_blocks(ino, block, 10, &mut |_| Err(IoError::Device));
        assert_eq!(failure, Err(Error::Io(IoError::Device)));
        assert!(matches!(fs.map_blocks(ino, block, 10), Ok(Mapping::Hole(_))));
    }
    assert_eq!((fs.statistics(), fs.read_inode(ino).unwrap().sectors), before);
    fs.unmount().unwrap();
    check(&disk);
}

#[test]
fn what_is_promised_can_be_had() {
    for (seed, options) in VARIANTS.into_iter().enumerate() {
        let disk = make_disk(4096, options);
        let fs = mount(&disk);
        let block_size = fs.statistics().block_size as usize;
        let ino = fs.make("/file", NewKind::Regular).unwrap();
        let size = 60 << 20;
        fs.truncate(ino, size).unwrap();
        let mut random = Random(seed as u64);
        let mut promises: BTreeMap<u64, u32> = BTreeMap::new();
        let before = fs.statistics().free_blocks;
        let error = loop {
            // Lone blocks far apart, and some side by side.
            let first = random.below(size / block_size as u64 - 8);
            let last = first + 1 + random.below(2) * random.below(8);
            let error = (first..last).find_map(|block| {
                if promises.contains_key(&block) {
                    return None;
                }
                let neighbour = promises.range(..block).next_back().map(|(&block, _)| block);
                match fs.promise_blocks(ino, block..block + 1, neighbour) {
                    Ok(cost) => {
                        promises.insert(block, cost);
                        None
                    }
                    Err(error) => Some(error),
                }
            });
            if let Some(error) = error {
                break error;
            }
        };
        assert_eq!(error, Error::NoSpace);
        let promised: u32 = promises.values().sum();
        assert_eq!(fs.statistics().free_blocks, before - u64::from(promised));
        // Others get nothing of it.
        let other = fs.make("/other", NewKind::Regular).unwrap();
        let mut taken = 0;
        while let Ok(length) = fs.write_at(other, taken, &vec![1; block_size]) {
            taken += length as u64;
        }
        assert!(taken <= 4 * block_size as u64, "{taken} bytes");
        for (&block, &cost) in &promises {
            fs.fill_blocks(ino, block, 1, &mut fill_with(&disk, block_size, NEW)).unwrap();
            fs.end_promise(cost);
        }
        for &block in promises.keys() {
            let mut byte = [0];
            fs.read_at(ino, block * block_size as u64, &mut byte).unwrap();
            assert_eq!(byte, [NEW]);
        }
        fs.unmount().unwrap();
        check(&disk);
    }
}

/// A file system with and one without a journal under preallocation; with a journal, also under allocation by a page
/// cache, whose contents are ordered before the file has them.
fn check_cuts(seed: u64, options: &[&str]) {
    let disk = make_used_disk(6 << 10, options);
    drop(disk.take_record());
    let fs = mount(&disk);
    let block_size = fs.statistics().block_size as usize;
    let blocks = 200;
    let image = disk.copy();
    disk.record();
    let mut random = Random(seed);
    for number in 0..40 {
        let path = format!("/file{}", number % 8);
        let ino = fs.put(&path, &[]).unwrap();
        fs.truncate(ino, blocks * block_size as u64).unwrap();
        for _ in 0..4 {
            let first = random.below(blocks - 20);
            let last = first + 1 + random.below(20);
            if fs.has_journal() && random.below(2) == 0 {
                let cost = fs.promise_blocks(ino, first..last, None).unwrap();
                let mut next = first;
                while next < last {
                    let mut fill = fill_with(&disk, block_size, NEW);
                    next +=
                        u64::from(fs.fill_blocks(ino, next, (last - next) as u32, &mut fill).unwrap().length);
                }
                fs.end_promise(cost);
            } else {
                fs.preallocate(ino, first..last).unwrap();
            }
            match random.below(3) {
                0 => fs.sync_inode(ino).unwrap(),
                1 => fs.sync().unwrap(),
                _ => {}
            }
        }
        if random.below(3) == 0 {
            fs.remove(&path).unwrap();
        }
    }
    let events = disk.take_record();
    let mut seen = 0;
    for _ in 0..cuts(25) {
        let moment = random.below(events.len() as u64) as usize + 1;
        let (repaired, said) = repair(&cut(&image, &events[..moment], &mut random));
        let fs = mount(&Disk::new(repaired));
        for (path, (_, contents)) in fs.tree().iter().filter(|(path, _)| path.starts_with("/file")) {
            let old = contents.iter().position(|&byte| byte != 0 && byte != NEW);
            assert_eq!(old, None, "seed {seed}, cut at {moment}, {path} shows old bytes\n{said}");
            seen += 1;
        }
    }
    assert!(seen > 50, "only {seen} files were seen");
}

#[test]
fn no_cut_shows_what_lay_in_preallocated_space() {
    check_cuts(1, &["-t", "ext2", "-b", "1024"]);
    check_cuts(2, &["-t", "ext2", "-b", "4096"]);
}

#[test]
fn with_a_journal_no_cut_shows_what_lay_on_the_disk() {
    check_cuts(3, &["-t", "ext3", "-b", "1024"]);
    check_cuts(4, &["-t", "ext3", "-b", "4096"]);
}
