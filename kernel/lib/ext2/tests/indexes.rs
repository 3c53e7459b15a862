//! Directories with an index: what grows here, what was made elsewhere, and what is broken, with e2fsck as the judge.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::*;
use ext2::{BlockIo, Error, FileSystem, Ino, IoError, MountOptions, NewKind, RenameMode};

/// Hash functions: the number in the superblock, and that of the flag for how bytes count.
const HASHES: [(u8, u8); 6] = [(1, 1), (1, 2), (2, 1), (2, 2), (0, 1), (0, 2)];

/// Sets the hash function of a new file system.
fn set_hash(disk: &Disk, hash: (u8, u8)) {
    disk.patch(1024 + 0xfc, &[hash.0]);
    disk.patch(1024 + 0x160, &[hash.1]);
}

/// Names as links to files that take turns, so that a million needs few inodes.
struct Names {
    dir: Ino,
    files: Vec<Ino>,
}

impl Names {
    fn new(fs: &Ext2, files: usize) -> Self {
        let dir = fs.make("/dir", NewKind::Directory).unwrap();
        let files = (0..files).map(|index| fs.put(&format!("/file{index}"), b"").unwrap()).collect();
        Self { dir, files }
    }

    fn add(&self, fs: &Ext2, number: usize, name: &[u8]) -> Result<(), Error> {
        fs.link(self.files[number % self.files.len()], self.dir, name).map(|_| ())
    }

    fn find(&self, fs: &Ext2, name: &[u8]) -> Result<Ino, Error> {
        fs.lookup(self.dir, name).map(|found| found.ino)
    }
}

/// What a walk of a directory shows, `.` and `..` apart, in its order.
fn shown(fs: &Ext2, dir: Ino) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    let mut visit = |entry: ext2::DirEntry<'_>| {
        names.push(entry.name.to_vec());
        ControlFlow::Continue(())
    };
    fs.read_dir(dir, 0, &mut visit).unwrap();
    assert_eq!(names[..2], [b".".to_vec(), b"..".to_vec()]);
    names.split_off(2)
}

fn sorted(mut names: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    names.sort();
    names
}

/// Names of many lengths, some with bytes above 127.
fn name(index: usize) -> Vec<u8> {
    let odd = if index.is_multiple_of(3) { "äß日" } else { "" };
    format!("{index}{odd}{}", "n".repeat(index % 7 * 3)).into_bytes()
}

fn has_index(disk: &Disk) -> bool {
    debugfs(disk, "htree_dump /dir\n").contains("Root node dump")
}

/// Whether the index of /dir has nodes below its root.
fn is_deep(disk: &Disk) -> bool {
    !debugfs(disk, "htree_dump /dir\n").contains("Indirect levels: 0")
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

/// A file system whose /dir has an index of two levels, and where the blocks of that lie: the root first.
fn indexed(options: &[&str], count: usize) -> (Vec<u8>, Vec<usize>) {
    let disk = make_disk(8 << 10, options);
    let fs = mount(&disk);
    let names = Names::new(&fs, 1);
    (0..count).for_each(|index| names.add(&fs, 0, &name(index)).unwrap());
    fs.unmount().unwrap();
    check(&disk);
    assert!(is_deep(&disk));
    let blocks: Vec<usize> = debugfs(&disk, "blocks /dir\n")
        .lines()
        .find(|line| line.starts_with(|first: char| first.is_ascii_digit()))
        .unwrap()
        .split_whitespace()
        .map(|block| block.parse().unwrap())
        .collect();
    let bytes = disk.copy();
    let is_node = |&block: &usize| {
        let block = &bytes[block * 1024..][..1024];
        // A single entry without inode, and behind it as many places as fit.
        block[..6] == [0, 0, 0, 0, 0, 4] && block[8..10] == [127, 0]
    };
    let mut tree = vec![blocks[0]];
    tree.extend(blocks.into_iter().filter(is_node));
    assert!(tree.len() > 2, "{tree:?}");
    (bytes, tree)
}

const DEEP: [&str; 6] = ["-t", "ext2", "-b", "1024", "-N", "64"];

#[test]
fn broken_indexes_are_reported_and_done_without() {
    let (image, tree) = indexed(&DEEP, 6000);
    let (root, node) = (tree[0] * 1024, tree[1] * 1024);
    let far = 1_000_000u32.to_le_bytes();
    for (what, offset, bytes) in [
        ("reserved", root + 24, &[1][..]),
        ("hash", root + 28, &[9]),
        ("length of the information", root + 29, &[12]),
        ("levels", root + 30, &[2]),
        ("unknown flag", root + 31, &[1]),
        ("limit", root + 32, &[0]),
        ("no places", root + 34, &[0, 0]),
        ("too many places", root + 34, &[200, 0]),
        ("pointer outside", root + 36, &far),
        ("pointer to the root", root + 36, &[0, 0, 0, 0]),
        ("nodes are leaves", root + 36, &[1, 0, 0, 0]),
        ("limit of a node", node + 8, &[9]),
        ("no places in a node", node + 10, &[0, 0]),
        ("pointer of a node outside", node + 12, &far),
        ("order of a node", node + 16, &[0xff; 4]),
    ] {
        let disk = Disk::new(image.clone());
        disk.patch(offset, bytes);
        let fs = mount(&disk);
        let dir = fs.walk("/dir").unwrap().ino;
        for index in 0..6000 {
            assert!(fs.lookup(dir, &name(index)).is_ok(), "{what}: {index}");
        }
        assert!(fs.fault().is_some_and(|fault| fault.contains("index")), "{what}: {:?}", fs.fault());
        assert_eq!(shown(&fs, dir).len(), 6000, "{what}");
        let file = fs.walk("/file0").unwrap().ino;
        for index in 6000..7000 {
            fs.link(file, dir, &name(index)).unwrap();
        }
        assert_eq!(shown(&fs, dir).len(), 7000, "{what}");
        fs.unmount().unwrap();
        let (repaired, _) = repair(&disk.copy());
        let fs = mount(&Disk::new(repaired));
        for index in 0..7000 {
            assert!(fs.lookup(dir, &name(index)).is_ok(), "{what}: {index} after e2fsck");
        }
    }
}

#[test]
fn broken_indexes_end_writing_where_that_is_asked_for() {
    let (image, tree) = indexed(&DEEP, 6000);
    let disk = Disk::new(image);
    disk.patch(tree[0] * 1024 + 28, &[9]);
    let options = MountOptions { errors: Some(ext2::ErrorPolicy::ReadOnly), ..MountOptions::default() };
    let fs = FileSystem::mount(disk.clone(), StdLocks, clock(), options).unwrap();
    let dir = fs.walk("/dir").unwrap().ino;
    assert_eq!(fs.create(dir, b"new", &new(NewKind::Fifo)).map(|_| ()), Err(Error::ReadOnly));
    assert!(fs.is_read_only());
    assert!(fs.lookup(dir, &name(1)).is_ok());
}

/// Whatever the bytes of an index, no panic, no loop, and no name lost. A tenth of EXT2_IMAGES are tried.
#[test]
fn random_damage_to_indexes_is_survived() {
    let count = std::env::var("EXT2_IMAGES").map_or(100, |value| value.parse::<u64>().unwrap() / 10);
    let (image, tree) = indexed(&DEEP, 4500);
    let mut faults = 0;
    for seed in 0..count {
        let mut random = Random(seed);
        let disk = Disk::new(image.clone());
        for _ in 0..1 + random.below(4) {
            let block = tree[random.below(tree.len() as u64) as usize] * 1024;
            let offset = block + random.below(1024) as usize;
            match random.below(3) {
                0 => disk.patch(offset, &[random.next() as u8]),
                1 => disk.patch(offset & !3, &(random.below(600) as u32).to_le_bytes()),
                _ => disk.patch(offset & !3, &(random.next() as u32).to_le_bytes()),
            }
        }
        let fs = mount(&disk);
        let Ok(dir) = fs.walk("/dir").map(|found| found.ino) else { continue };
        let Ok(file) = fs.walk("/file0").map(|found| found.ino) else { continue };
        let mut model: BTreeSet<Vec<u8>> = (0..4500).map(name).collect();
        for step in 0..400 {
            let old = name(random.below(4500) as usize);
            if fs.unlink(dir, &old).is_ok() {
                model.remove(&old);
            }
            let new = format!("new {step} {}", "x".repeat(random.below(200) as usize)).into_bytes();
            if fs.link(file, dir, &new).is_ok() {
                model.insert(new);
            }
        }
        let mut left = 20_000;
        let _ = fs.read_dir(dir, 0, &mut |_| {
            left -= 1;
            assert!(left > 0, "seed {seed}: the walk has no end");
            ControlFlow::Continue(())
        });
        faults += u32::from(fs.fault().is_some());
        let _ = fs.unmount();
        let (repaired, said) = repair(&disk.copy());
        let fs = mount(&Disk::new(repaired));
        let left: BTreeSet<_> = shown(&fs, dir).into_iter().collect();
        // Damage to . and .. can make e2fsck take the whole block for lost; names are never in that of the root.
        assert!(left == model, "seed {seed}: {} names, not {}\n{said}", left.len(), model.len());
    }
    assert!(u64::from(faults) > count / 4, "{faults} of {count} were noticed");
}
