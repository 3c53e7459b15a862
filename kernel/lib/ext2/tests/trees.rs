//! Large trees: what this crate writes, debugfs reads byte for byte, and the other way round.
//!
//! EXT2_TREE_FILES sets how many files (usually 3,000; 100,000 is the number to be proud of) and EXT2_TREE_MIB how
//! large the one sparse file is (usually 64 MiB; 3072 are 3 GiB).

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

use common::*;
use ext2::{Attributes, FileKind, Ino, NewKind};

/// Names that some program would trip over.
const ODD_NAMES: [&[u8]; 9] = [
    b"with blank",
    b"-leading-dash",
    b"...",
    b"new\nline",
    b"tab\there",
    b"\xc3\xa4\xc3\xb6\xc3\xbc",
    b"\xff\xfe\x01 no text",
    b"'quotes\" and $(more) \\",
    &[b'n'; 255],
];

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |value| value.parse().expect("a number"))
}

/// Where a sparse file of `mib` MiB has data, each a few bytes.
fn islands(mib: u64) -> Vec<(u64, Vec<u8>)> {
    let end = mib << 20;
    let mut random = Random(77);
    let mut islands: Vec<(u64, Vec<u8>)> =
        (0..50).map(|index| (index * (end / 50) + random.below(1 << 18), random.bytes(3000))).collect();
    islands.push((end - 100, random.bytes(100)));
    islands
}

/// What a file of the tree holds.
fn contents(index: u64) -> Vec<u8> {
    let mut random = Random(index);
    let length = match index % 50 {
        0 => random.below(100_000),
        1..=10 => random.below(6000),
        _ => random.below(200),
    };
    random.bytes(length as usize)
}

/// The directory of a file: wide at the top, and one branch that goes deep.
fn folder(index: u64) -> String {
    if index.is_multiple_of(20) {
        (0..index / 20 % 60).map(|depth| format!("/d{depth}")).collect()
    } else {
        format!("/w{}", index % 7)
    }
}

fn make_image_for(files: u64, mib: u64) -> Disk {
    let kib = (files * 8 + 40_000 + (mib << 10) / 256).next_multiple_of(1024);
    let inodes = (files + 1000).to_string();
    make_disk(kib, &["-t", "ext3", "-b", "4096", "-m", "0", "-N", &inodes])
}

#[test]
fn the_host_reads_a_tree_written_here() {
    let (files, mib) = (setting("EXT2_TREE_FILES", 3000), setting("EXT2_TREE_MIB", 64));
    let disk = make_image_for(files, mib);
    let fs = mount(&disk);
    let mut folders: BTreeMap<String, Ino> = BTreeMap::from([(String::new(), Ino::ROOT)]);
    for index in 0..files {
        let path = folder(index);
        let mut place = String::new();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let parent = folders[&place];
            place = format!("{place}/{name}");
            folders
                .entry(place.clone())
                .or_insert_with(|| fs.create(parent, name.as_bytes(), &new(NewKind::Directory)).unwrap().ino);
        }
        let ino =
            fs.create(folders[&path], format!("f{index}").as_bytes(), &new(NewKind::Regular)).unwrap().ino;
        let data = contents(index);
        assert_eq!(fs.write_at(ino, 0, &data).unwrap(), data.len());
    }
    let odd = fs.make("/odd", NewKind::Directory).unwrap();
    for name in ODD_NAMES {
        let ino = fs.create(odd, name, &new(NewKind::Regular)).unwrap().ino;
        fs.write_at(ino, 0, name).unwrap();
    }
    let sparse = fs.make("/sparse", NewKind::Regular).unwrap();
    for (offset, data) in islands(mib) {
        fs.write_at(sparse, offset, &data).unwrap();
    }
    fs.unmount().unwrap();
    check(&disk);
    let out = Scratch::new();
    debugfs(&disk, &format!("rdump / {}\n", out.path().display()));
    for index in 0..files {
        let path = out.path().join(format!("{}/f{index}", folder(index)).trim_start_matches('/'));
        assert!(std::fs::read(&path).unwrap() == contents(index), "{}", path.display());
    }
    let names = |path: &Path| std::fs::read_dir(path).unwrap().count();
    assert_eq!(names(&out.path().join("odd")), ODD_NAMES.len());
    for name in ODD_NAMES {
        let path = out.path().join("odd").join(std::ffi::OsStr::from_bytes(name));
        assert_eq!(std::fs::read(path).unwrap(), name);
    }
    let sparse = std::fs::File::open(out.path().join("sparse")).unwrap();
    assert_eq!(sparse.metadata().unwrap().len(), mib << 20);
    let mut position = 0;
    for (offset, data) in islands(mib) {
        let mut buffer = vec![1; data.len()];
        sparse.read_exact_at(&mut buffer, offset).unwrap();
        assert!(buffer == data, "at {offset}");
        let hole = (offset - position).min(1 << 16) as usize;
        let mut buffer = vec![1; hole];
        sparse.read_exact_at(&mut buffer, offset - hole as u64).unwrap();
        assert!(buffer.iter().all(|&byte| byte == 0), "before {offset}");
        position = offset + data.len() as u64;
    }
}

/// Compares a directory of the host with one of the image.
fn compare(fs: &Ext2, dir: Ino, path: &Path) -> u64 {
    let mut seen = 0;
    for entry in std::fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        let found: Attributes = fs
            .lookup(dir, entry.file_name().as_bytes())
            .unwrap_or_else(|error| panic!("{}: {error:?}", entry.path().display()));
        if entry.file_type().unwrap().is_dir() {
            assert_eq!(found.kind, FileKind::Directory);
            seen += compare(fs, found.ino, &entry.path());
            continue;
        }
        let file = std::fs::File::open(entry.path()).unwrap();
        assert_eq!(found.size, file.metadata().unwrap().len());
        // Of the sparse file only where it has data, and what is just before.
        let parts: Vec<(u64, usize)> = if found.size > 10 << 20 {
            islands(found.size >> 20)
                .iter()
                .map(|(offset, data)| (offset.saturating_sub(5000), data.len() + 5000))
                .collect()
        } else {
            vec![(0, found.size as usize)]
        };
        for (offset, length) in parts {
            let length = length.min((found.size - offset) as usize);
            let (mut here, mut there) = (vec![1; length], vec![2; length]);
            assert_eq!(fs.read_at(found.ino, offset, &mut here).unwrap(), length);
            file.read_exact_at(&mut there, offset).unwrap();
            assert!(here == there, "{} at {offset}", entry.path().display());
        }
        seen += 1;
    }
    seen
}

#[test]
fn a_tree_written_by_the_host_is_read_here() {
    let (files, mib) = (setting("EXT2_TREE_FILES", 3000), setting("EXT2_TREE_MIB", 64));
    let source = Scratch::new();
    for index in 0..files {
        let folder = source.path().join(folder(index).trim_start_matches('/'));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("f{index}")), contents(index)).unwrap();
    }
    std::fs::create_dir(source.path().join("odd")).unwrap();
    for name in ODD_NAMES {
        std::fs::write(source.path().join("odd").join(std::ffi::OsStr::from_bytes(name)), name).unwrap();
    }
    let sparse = std::fs::File::create(source.path().join("sparse")).unwrap();
    for (offset, data) in islands(mib) {
        sparse.write_all_at(&data, offset).unwrap();
    }
    let kib = (files * 8 + 40_000 + (mib << 10) / 256).next_multiple_of(1024);
    let inodes = (files + 1000).to_string();
    let folder = source.path().to_str().unwrap();
    let disk = make_disk(kib, &["-t", "ext2", "-b", "4096", "-m", "0", "-N", &inodes, "-d", folder]);
    let fs = mount(&disk);
    assert_eq!(compare(&fs, Ino::ROOT, source.path()), files + ODD_NAMES.len() as u64 + 1);
    assert_eq!(fs.fault(), None);
    fs.unmount().unwrap();
    check(&disk);
}
