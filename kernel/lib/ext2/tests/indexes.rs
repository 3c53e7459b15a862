//! Directories with an index: what grows here and what was made elsewhere, with e2fsck as the judge.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::names::*;
use common::*;
use ext2::{BlockIo, Error, FileSystem, Ino, IoError, MountOptions, RenameMode};

/// Hash functions: the number in the superblock, and that of the flag for how bytes count.
const HASHES: [(u8, u8); 6] = [(1, 1), (1, 2), (2, 1), (2, 2), (0, 1), (0, 2)];

/// Sets the hash function of a new file system.
fn set_hash(disk: &Disk, hash: (u8, u8)) {
    disk.patch(1024 + 0xfc, &[hash.0]);
    disk.patch(1024 + 0x160, &[hash.1]);
}

fn grow(options: &[&str], hash: (u8, u8), count: usize) {
    let disk = make_disk(16 << 10, options);
    set_hash(&disk, hash);
    let fs = mount(&disk);
    let names = Names::new(&fs, 2);
    for index in 0..count {
        names.add(&fs, index, &name(index)).unwrap();
    }
    let all: Vec<_> = (0..count).map(name).collect();
    assert!(sorted(shown(&fs, names.dir)) == sorted(all.clone()));
    fs.unmount().unwrap();
    check(&disk);
    assert!(has_index(&disk), "{options:?} {hash:?}");

    let fs = mount(&disk);
    for (index, name) in all.iter().enumerate() {
        assert_eq!(names.find(&fs, name), Ok(names.files[index % 2]), "{index}");
    }
    assert_eq!(names.find(&fs, b"none"), Err(Error::NotFound));
    assert_eq!(names.find(&fs, b".."), Ok(Ino::ROOT));
    for name in all.iter().step_by(3) {
        assert!(!fs.unlink(names.dir, name).unwrap().is_last);
    }
    for (index, name) in all.iter().enumerate() {
        assert_eq!(names.find(&fs, name).is_ok(), index % 3 != 0, "{index}");
    }
    assert_eq!(fs.fault(), None);
    fs.unmount().unwrap();
    check(&disk);
    let fs = mount(&disk);
    for (index, name) in all.iter().enumerate().step_by(3) {
        names.add(&fs, index, name).unwrap();
    }
    assert!(sorted(shown(&fs, names.dir)) == sorted(all));
    fs.unmount().unwrap();
    check(&disk);
    assert!(has_index(&disk));
}

#[test]
fn an_index_of_small_blocks_grows_by_each_hash() {
    for hash in HASHES {
        grow(&["-t", "ext2", "-b", "1024"], hash, 6000);
    }
}

#[test]
fn an_index_of_large_blocks_grows_with_a_journal() {
    grow(&["-t", "ext3", "-b", "4096"], HASHES[0], 25_000);
}

#[test]
fn an_index_of_small_blocks_grows_with_a_journal() {
    grow(&["-t", "ext3", "-b", "1024"], HASHES[0], 25_000);
}

#[test]
fn an_index_of_large_blocks_grows_without_a_journal() {
    grow(&["-t", "ext2", "-b", "4096"], HASHES[3], 25_000);
}

/// An index that e2fsck made grows on as one of ours.
#[test]
fn indexes_made_elsewhere_grow() {
    for (options, hash) in
        [(["-t", "ext2", "-b", "1024"], HASHES[0]), (["-t", "ext3", "-b", "4096"], HASHES[2])]
    {
        let source = Scratch::new();
        std::fs::create_dir(source.path().join("dir")).unwrap();
        let mut all: Vec<Vec<u8>> = (0..3000).map(|index| format!("made elsewhere {index}").into()).collect();
        for name in &all {
            std::fs::write(source.path().join("dir").join(std::str::from_utf8(name).unwrap()), name).unwrap();
        }
        let options = [&options[..], &["-N", "8192", "-d", source.path().to_str().unwrap()]].concat();
        let disk = make_disk(32 << 10, &options);
        set_hash(&disk, hash);
        let scratch = Scratch::new();
        let path = scratch.path().join("image");
        store(&disk.copy(), &path);
        assert!(matches!(tool("e2fsck", &["-fyD", path.to_str().unwrap()]).status.code(), Some(0 | 1)));
        let disk = Disk::new(std::fs::read(&path).unwrap());
        assert!(has_index(&disk), "e2fsck -D makes indexes");
        let fs = mount(&disk);
        let dir = fs.walk("/dir").unwrap().ino;
        for name in &all {
            let found = fs.lookup(dir, name).unwrap();
            assert_eq!(found.size, name.len() as u64);
        }
        let file = fs.put("/file", b"").unwrap();
        for index in 0..20_000 {
            fs.link(file, dir, &name(index)).unwrap();
            all.push(name(index));
        }
        assert!(sorted(shown(&fs, dir)) == sorted(all));
        fs.unmount().unwrap();
        check(&disk);
        assert!(has_index(&disk), "it is kept");
    }
}

/// A directory that mke2fs filled has no index, and gets none: it is searched as it is.
#[test]
fn large_directories_without_index_stay_so() {
    let source = Scratch::new();
    std::fs::create_dir(source.path().join("dir")).unwrap();
    for index in 0..500 {
        std::fs::write(source.path().join(format!("dir/file number {index}")), b"").unwrap();
    }
    let disk = make_disk(8192, &["-t", "ext2", "-b", "1024", "-d", source.path().to_str().unwrap()]);
    let fs = mount(&disk);
    let dir = fs.walk("/dir").unwrap().ino;
    for index in 0..500 {
        fs.link(fs.walk("/dir/file number 0").unwrap().ino, dir, &name(index)).unwrap();
    }
    assert_eq!(shown(&fs, dir).len(), 1000);
    fs.unmount().unwrap();
    check(&disk);
    assert!(!has_index(&disk));
}

/// The legacy hash of a name, of which the last two bytes are still open: the last two values of its state.
fn legacy(name: &[u8]) -> (u32, u32) {
    name.iter().fold((0x12a3_fe2d, 0x37ab_e8f9), |(last, before): (u32, u32), &byte| {
        let next = before.wrapping_add(last ^ u32::from(byte).wrapping_mul(7_152_373));
        (if next >> 31 == 1 { next.wrapping_sub(0x7fff_ffff) } else { next }, last)
    })
}

/// Long names that all have the legacy hash of the first.
fn colliding_names(count: usize) -> Vec<Vec<u8>> {
    const FACTOR: u32 = 7_152_373;
    // Newton's method: each step doubles the bits that are right.
    let inverse = (0..5).fold(FACTOR, |x: u32, _| x.wrapping_mul(2u32.wrapping_sub(FACTOR.wrapping_mul(x))));
    assert_eq!(inverse.wrapping_mul(FACTOR), 1);
    let stem = "c".repeat(200);
    let first = format!("{stem}first").into_bytes();
    let target = legacy(&first).0;
    let mut names = vec![first];
    for prefix in 0u64.. {
        if names.len() == count {
            break;
        }
        let mut name = format!("{stem}{prefix:x}").into_bytes();
        let (last, before) = legacy(&name);
        'found: for second in (1..128u8).filter(|&byte| byte != b'/') {
            for wanted in [target, target.wrapping_add(0x7fff_ffff)] {
                let middle = wanted.wrapping_sub(last) ^ u32::from(second).wrapping_mul(FACTOR);
                for middle in [middle, middle.wrapping_add(0x7fff_ffff)] {
                    let byte = (middle.wrapping_sub(before) ^ last).wrapping_mul(inverse);
                    if (1..128).contains(&byte) && byte != u32::from(b'/') {
                        let end = name.len();
                        name.extend([byte as u8, second]);
                        if legacy(&name).0 == target {
                            names.push(name.clone());
                            break 'found;
                        }
                        name.truncate(end);
                    }
                }
            }
        }
    }
    names
}

#[test]
fn names_of_one_hash_fill_several_leaves() {
    let same = colliding_names(24);
    for options in [["-t", "ext2", "-b", "1024"], ["-t", "ext3", "-b", "1024"]] {
        let disk = make_disk(8 << 10, &options);
        set_hash(&disk, HASHES[5]);
        let fs = mount(&disk);
        let names = Names::new(&fs, 1);
        let others: Vec<_> = (0..2000).map(name).collect();
        for (index, name) in others.iter().enumerate() {
            names.add(&fs, 0, name).unwrap();
            if index % 50 == 0
                && let Some(name) = same.get(index / 50)
            {
                names.add(&fs, 0, name).unwrap();
            }
        }
        assert!(same.iter().chain(&others).all(|name| names.find(&fs, name).is_ok()));
        let all = sorted(same.iter().chain(&others).cloned().collect());
        assert!(sorted(shown(&fs, names.dir)) == all);
        // In pieces of one name.
        let (mut cursor, mut pieces) = (0, Vec::new());
        loop {
            let mut seen = None;
            let mut visit = |entry: ext2::DirEntry<'_>| match seen {
                None => {
                    seen = Some((entry.name.to_vec(), entry.next));
                    ControlFlow::Continue(())
                }
                Some(_) => ControlFlow::Break(()),
            };
            fs.read_dir(names.dir, cursor, &mut visit).unwrap();
            let Some((name, next)) = seen else { break };
            pieces.push(name);
            cursor = next;
        }
        assert!(sorted(pieces.split_off(2)) == all);
        fs.unmount().unwrap();
        check(&disk);
        let dump = debugfs(&disk, "htree_dump /dir\n");
        let marked = dump.lines().filter(|line| {
            let hash =
                line.trim_start().strip_prefix("Entry #").and_then(|rest| rest.split("Hash 0x").nth(1));
            hash.is_some_and(|hash| {
                let digits: String = hash.chars().take_while(char::is_ascii_hexdigit).collect();
                u32::from_str_radix(&digits, 16).unwrap() % 2 == 1
            })
        });
        assert!(marked.count() >= 4, "leaves of 4 names each, all of one hash: {dump}");
        let fs = mount(&disk);
        for name in same.iter().step_by(2) {
            assert!(!fs.unlink(names.dir, name).unwrap().is_last);
        }
        for (index, name) in same.iter().enumerate() {
            assert_eq!(names.find(&fs, name).is_ok(), index % 2 == 1, "{index}");
        }
        fs.unmount().unwrap();
        check(&disk);
    }
}

/// The largest index: two levels, and three with large_dir.
#[test]
fn full_indexes_take_no_more() {
    let long = |index: usize| format!("{index:0>255}").into_bytes();
    let fill = |features: &str, limit: usize| {
        let disk = make_disk(40 << 10, &["-t", "ext2", "-b", "1024", "-N", "64", "-O", features]);
        let fs = mount(&disk);
        let names = Names::new(&fs, 3);
        let full = (0..limit).find(|&index| {
            let added = names.add(&fs, index, &long(index));
            assert!(matches!(added, Ok(()) | Err(Error::NoSpace)), "{added:?}");
            added.is_err()
        });
        let count = full.unwrap_or(limit);
        assert_eq!(shown(&fs, names.dir).len(), count);
        assert!((0..count).step_by(97).all(|index| names.find(&fs, &long(index)).is_ok()));
        assert!(fs.statistics().free_blocks > 1000, "there is space for more");
        fs.unmount().unwrap();
        check(&disk);
        full
    };
    let full = fill("dir_index", 100_000).expect("two levels have an end");
    // 124 * 127 leaves, and at least one name in each.
    assert!(full > 14_000, "{full}");
    assert_eq!(fill("dir_index,large_dir", full + 2000), None);
}

/// A disk that counts what is read of it.
#[derive(Clone)]
struct Counting {
    disk: Disk,
    reads: Arc<AtomicU64>,
}

impl BlockIo for Counting {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), IoError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.disk.read(offset, buffer)
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        self.disk.write(offset, data)
    }

    fn flush(&self) -> Result<(), IoError> {
        self.disk.flush()
    }

    fn size_bytes(&self) -> u64 {
        self.disk.size_bytes()
    }
}

/// However many names there are, another is made and found with a few blocks read.
#[test]
fn creating_reads_a_few_blocks_however_many_names_there_are() {
    for options in [["-t", "ext2", "-b", "1024"], ["-t", "ext2", "-b", "4096"]] {
        let disk = make_disk(16 << 10, &options);
        let counting = Counting { disk, reads: Arc::default() };
        let fs = FileSystem::mount(counting.clone(), StdLocks, clock(), MountOptions::default()).unwrap();
        let names = Names::new(&fs, 4);
        let mut counts = Vec::new();
        for thousand in 0..100 {
            let before = counting.reads.load(Ordering::Relaxed);
            for index in thousand * 1000..(thousand + 1) * 1000 {
                names.add(&fs, index, format!("file number {index}").as_bytes()).unwrap();
            }
            counts.push(counting.reads.load(Ordering::Relaxed) - before);
        }
        let (first, last, most) = (counts[0], counts[99], *counts.iter().max().unwrap());
        println!(
            "{options:?}: blocks read by each 1000 of 100,000 creations: {first} at first, {last} at last, {most} at most"
        );
        // Root, node and leaf, to look for the name and to add it, and indirect blocks of the map on the way to each.
        assert!(most <= 14_000, "{counts:?}");
        let before = counting.reads.load(Ordering::Relaxed);
        for index in (0..100_000).step_by(100) {
            names.find(&fs, format!("file number {index}").as_bytes()).unwrap();
        }
        assert!(counting.reads.load(Ordering::Relaxed) - before <= 8000);
        fs.unmount().unwrap();
        check(&counting.disk);
    }
}

/// A walk that stops after each name has each block read once, also beside another one, and shows nothing that has gone.
#[test]
fn walks_that_stop_often_read_each_block_once() {
    for features in ["^dir_index", "dir_index"] {
        let disk = make_disk(8 << 10, &["-t", "ext2", "-b", "1024", "-O", features]);
        let counting = Counting { disk, reads: Arc::default() };
        let fs = FileSystem::mount(counting.clone(), StdLocks, clock(), MountOptions::default()).unwrap();
        let names = Names::new(&fs, 1);
        (0..1000).for_each(|index| names.add(&fs, 0, &name(index)).unwrap());
        let blocks = fs.walk("/dir").unwrap().size >> 10;
        let next = |cursor: u64| {
            let mut seen = None;
            let mut visit = |entry: ext2::DirEntry<'_>| match seen {
                None => {
                    seen = Some((entry.name.to_vec(), entry.next));
                    ControlFlow::Continue(())
                }
                Some(_) => ControlFlow::Break(()),
            };
            fs.read_dir(names.dir, cursor, &mut visit).unwrap();
            seen
        };
        let before = counting.reads.load(Ordering::Relaxed);
        let (mut count, mut cursors) = (0, [0, 0]);
        while let (Some(one), Some(other)) = (next(cursors[0]), next(cursors[1])) {
            assert_eq!(one, other);
            cursors = [one.1, other.1];
            count += 1;
        }
        assert_eq!(count, 1002);
        let reads = counting.reads.load(Ordering::Relaxed) - before;
        // With an index, its nodes too, and the indirect block of the map.
        assert!(reads <= 2 * 4 * blocks, "{reads} reads for two walks through {blocks} blocks");

        let mut left = BTreeSet::from_iter(shown(&fs, names.dir));
        left.extend([b".".to_vec(), b"..".to_vec()]);
        let mut cursor = 0;
        while let Some((seen, after)) = next(cursor) {
            assert!(left.remove(&seen), "{seen:?} has gone, or was shown");
            // The one that comes next goes.
            if let Some((gone, _)) = next(after).filter(|_| left.len() % 3 == 0) {
                assert!(!fs.unlink(names.dir, &gone).unwrap().is_last);
                left.remove(&gone);
            }
            cursor = after;
        }
        assert!(left.is_empty(), "{left:?}");
        fs.unmount().unwrap();
        check(&counting.disk);
    }
}

/// Whoever reads a directory sees each name that is there all the time once, however often leaves are split meanwhile.
#[test]
fn walks_see_every_name_while_leaves_are_split() {
    for options in [["-t", "ext2", "-b", "1024"], ["-t", "ext3", "-b", "1024"]] {
        let disk = make_disk(8 << 10, &options);
        let fs = mount(&disk);
        let names = Names::new(&fs, 1);
        let stays = |index: usize| format!("stays {index}").into_bytes();
        let mut random = Random(11);
        // It begins with a single block.
        let mut staying = 20;
        (0..staying).for_each(|index| names.add(&fs, 0, &stays(index)).unwrap());
        for round in 0..6 {
            let mut seen = BTreeMap::<Vec<u8>, usize>::new();
            let (mut cursor, mut step) = (0, 0);
            loop {
                let (before, mut left) = (cursor, 1 + random.below(9));
                let mut visit = |entry: ext2::DirEntry<'_>| {
                    if left == 0 {
                        return ControlFlow::Break(());
                    }
                    left -= 1;
                    *seen.entry(entry.name.to_vec()).or_default() += 1;
                    cursor = entry.next;
                    ControlFlow::Continue(())
                };
                fs.read_dir(names.dir, before, &mut visit).unwrap();
                if cursor == before {
                    break;
                }
                for _ in 0..8 {
                    let name = format!("{round} comes {step} {}", "x".repeat(random.below(200) as usize));
                    names.add(&fs, 0, name.as_bytes()).unwrap();
                    if random.below(2) == 0 {
                        assert!(!fs.unlink(names.dir, name.as_bytes()).unwrap().is_last);
                    }
                    step += 1;
                }
                assert!(step < 20_000, "the walk comes to an end");
            }
            for index in 0..staying {
                assert_eq!(seen.get(&stays(index)), Some(&1), "round {round}, {index}");
            }
            (staying..staying + 50).for_each(|index| names.add(&fs, 0, &stays(index)).unwrap());
            staying += 50;
        }
        fs.unmount().unwrap();
        check(&disk);
    }
}

/// Random operations in one directory, against a set.
#[test]
fn an_index_agrees_with_a_model() {
    for (seed, options) in [["-t", "ext2", "-b", "1024"], ["-t", "ext3", "-b", "1024"]].iter().enumerate() {
        for hash in [HASHES[0], HASHES[4]] {
            let disk = make_disk(8 << 10, options);
            set_hash(&disk, hash);
            let mut fs = mount(&disk);
            let names = Names::new(&fs, 1);
            let mut model = BTreeSet::<Vec<u8>>::new();
            let mut random = Random(seed as u64);
            for step in 0..12_000u64 {
                let number = random.below(3000);
                let name = format!("{number:x}{}", "m".repeat((number * 7919 % 180) as usize)).into_bytes();
                let is_there = model.contains(&name);
                // In waves: the directory grows and shrinks.
                let shrinks = step / 2000 % 2 == 1;
                match random.below(10) {
                    0 => {
                        let new = [&name[..], b" moved"].concat();
                        let renamed = fs.rename(names.dir, &name, names.dir, &new, RenameMode::KeepExisting);
                        match (is_there, model.contains(&new)) {
                            (false, _) => assert_eq!(renamed, Err(Error::NotFound)),
                            (true, true) => assert_eq!(renamed, Err(Error::Exists)),
                            (true, false) => {
                                assert_eq!(renamed, Ok(None));
                                model.remove(&name);
                                model.insert(new);
                            }
                        }
                    }
                    1..=3 => assert_eq!(names.find(&fs, &name).is_ok(), is_there),
                    choice if (choice < 5) != shrinks => match fs.unlink(names.dir, &name) {
                        Ok(_) => assert!(model.remove(&name)),
                        Err(error) => assert!(error == Error::NotFound && !is_there),
                    },
                    _ => match names.add(&fs, 0, &name) {
                        Ok(()) => assert!(model.insert(name)),
                        Err(error) => assert!(error == Error::Exists && is_there),
                    },
                }
                if step % 2000 == 1999 {
                    assert!(sorted(shown(&fs, names.dir)) == Vec::from_iter(model.iter().cloned()));
                    assert_eq!(fs.fault(), None);
                    fs.unmount().unwrap();
                    check(&disk);
                    fs = mount(&disk);
                }
            }
            fs.unmount().unwrap();
            assert!(has_index(&disk));
        }
    }
}
