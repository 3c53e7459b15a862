//! Directories whose index is broken: no name is lost, and e2fsck repairs what is left.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use common::names::*;
use common::*;
use ext2::{Error, FileSystem, MountOptions, NewKind};

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
