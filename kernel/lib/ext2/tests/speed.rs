//! How fast the crate itself is, on a disk in memory: `cargo test --release -p ext2 --test speed -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::time::Instant;

use common::*;
use ext2::NewKind;

fn report(what: &str, count: usize, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!("{what:40} {:12.0}/s", count as f64 / seconds);
}

#[test]
#[ignore = "measures, and proves nothing"]
fn measure() {
    let disk = make_disk(512 << 10, &["-t", "ext2", "-b", "4096", "-N", "200000"]);
    let fs = mount(&disk);
    let ino = fs.make("/file", NewKind::Regular).unwrap();
    let mib = 256;
    for block in [4096, 65536, 1 << 20] {
        let data = vec![1; block];
        fs.truncate(ino, 0).unwrap();
        fs.sync().unwrap();
        let start = Instant::now();
        for offset in (0..mib << 20).step_by(block) {
            fs.write_at(ino, offset, &data).unwrap();
        }
        fs.sync().unwrap();
        report(&format!("MiB written by {block}"), mib as usize, start);
        let mut data = data;
        let start = Instant::now();
        for offset in (0..mib << 20).step_by(block) {
            fs.read_at(ino, offset, &mut data).unwrap();
        }
        report(&format!("MiB read by {block}"), mib as usize, start);
    }
    let mut random = Random(1);
    let start = Instant::now();
    for _ in 0..200_000 {
        fs.read_at(ino, random.below(mib << 8) << 12, &mut [0; 4096]).unwrap();
    }
    report("random reads of 4096", 200_000, start);
    fs.remove("/file").unwrap();

    let count = 100_000;
    let dir = fs.make("/dir", NewKind::Directory).unwrap();
    let start = Instant::now();
    for index in 0..count {
        fs.create(dir, format!("file{index}").as_bytes(), &new(NewKind::Regular)).unwrap();
    }
    report("creations in one directory", count, start);
    let start = Instant::now();
    for index in 0..count {
        fs.lookup(dir, format!("file{index}").as_bytes()).unwrap();
    }
    report("lookups", count, start);
    let start = Instant::now();
    assert_eq!(fs.list("/dir").unwrap().len(), count);
    report("names listed", count, start);
    let start = Instant::now();
    for index in 0..count {
        let unlinked = fs.unlink(dir, format!("file{index}").as_bytes()).unwrap();
        fs.drop_inode(unlinked.ino).unwrap();
    }
    report("deletions", count, start);
    let small = fs.make("/small", NewKind::Directory).unwrap();
    let start = Instant::now();
    for _ in 0..count {
        let ino = fs.create(small, b"name", &new(NewKind::Regular)).unwrap().ino;
        fs.write_at(ino, 0, b"contents").unwrap();
        let unlinked = fs.unlink(small, b"name").unwrap();
        fs.drop_inode(unlinked.ino).unwrap();
    }
    report("create+write+delete", count, start);
}
