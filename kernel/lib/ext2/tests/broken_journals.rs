//! Journals with damage: refused, or survived.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::*;
use ext2::{FileSystem, MountError, MountOptions};

const SMALL: &[&str] = &["-t", "ext3", "-b", "1024"];

#[test]
fn broken_journals_are_refused() {
    let disk = make_disk(12 << 10, SMALL);
    let fs = mount(&disk);
    fs.put("/file", b"x").unwrap();
    fs.sync().unwrap();
    let image = disk.copy();
    let stat = debugfs(&disk, "stat <8>\n");
    let block: usize = stat
        .split("(0")
        .nth(1)
        .unwrap()
        .split(':')
        .nth(1)
        .unwrap()
        .split(['-', ','])
        .next()
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let start = block * 1024;
    assert_eq!(image[start..start + 4], 0xc03b_3998u32.to_be_bytes());
    // Magic number, kind, block size, length, first, start, incompatible features.
    for (field, value) in
        [(0, 1u32), (4, 3), (12, 4096), (16, 4), (16, u32::MAX), (20, 0), (28, u32::MAX), (40, 8)]
    {
        let mut bytes = image.clone();
        bytes[start + field..start + field + 4].copy_from_slice(&value.to_be_bytes());
        let result: Result<Ext2, MountError> =
            FileSystem::mount(Disk::new(bytes), StdLocks, clock(), MountOptions::default());
        assert!(
            matches!(result, Err(MountError::Corrupt(_) | MountError::Unsupported(_))),
            "field {field}: {:?}",
            result.map(|_| ())
        );
    }
}

#[test]
fn random_damage_to_the_log_is_survived() {
    let disk = make_disk(12 << 10, SMALL);
    let fs = mount(&disk);
    for index in 0..50 {
        fs.put(&format!("/{index}"), &[1; 5000]).unwrap();
    }
    fs.sync().unwrap();
    let image = disk.copy();
    let log = image.windows(4).position(|bytes| bytes == 0xc03b_3998u32.to_be_bytes()).unwrap();
    for seed in 0..200 {
        let mut random = Random(seed);
        let mut bytes = image.clone();
        for _ in 0..1 + random.below(20) {
            let offset = log + 1024 + random.below(100 * 1024) as usize;
            bytes[offset] = random.next() as u8;
        }
        let mounted: Result<Ext2, MountError> =
            FileSystem::mount(Disk::new(bytes), StdLocks, clock(), MountOptions::default());
        if let Ok(fs) = mounted {
            let _ = fs.list("/");
            let _ = fs.put("/new", b"x");
            let _ = fs.unmount();
        }
    }
}
