//! Power cuts at any moment: what fsync acknowledged is there after e2fsck, which can repair the rest.
//!
//! A workload runs on a disk that records writes and flushes. A cut keeps everything before the last flush, and of
//! what came after a random selection of sectors: a cache may write in any order. EXT2_CUTS sets the number.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::collections::BTreeMap;

use common::*;
use ext2::{Error, NewKind, RenameMode};

/// When a path had which contents, from an fsync until something touched it again. Times are lengths of the record.
struct Promise {
    path: String,
    contents: Vec<u8>,
    from: usize,
    until: usize,
}

struct Workload {
    fs: Ext2,
    disk: Disk,
    random: Random,
    files: BTreeMap<String, Vec<u8>>,
    promises: Vec<Promise>,
    /// What all names end with.
    suffix: String,
}

impl Workload {
    /// The path is about to change.
    fn touch(&mut self, path: &str) {
        let now = self.disk.recorded();
        for promise in
            self.promises.iter_mut().filter(|promise| promise.path == path && promise.until == usize::MAX)
        {
            promise.until = now;
        }
    }

    fn promise(&mut self, path: &str) {
        let ino = self.fs.walk(path).unwrap().ino;
        self.fs.sync_inode(ino).unwrap();
        self.touch(path);
        let (from, contents) = (self.disk.recorded(), self.files[path].clone());
        self.promises.push(Promise { path: path.into(), contents, from, until: usize::MAX });
    }

    fn pick(&mut self) -> Option<String> {
        let count = self.files.len() as u64;
        let index = self.random.below(count.max(1)) as usize;
        self.files.keys().nth(index).cloned()
    }

    fn step(&mut self) {
        match self.random.below(10) {
            0..=3 => {
                let path =
                    format!("/dir{}/file{}{}", self.random.below(4), self.random.below(30), self.suffix);
                let length = self.random.below(60_000) as usize;
                let data = self.random.bytes(length);
                self.touch(&path);
                match self.fs.put(&path, &data) {
                    Ok(_) => drop(self.files.insert(path.clone(), data)),
                    Err(error) => panic!("{error:?}"),
                }
                if self.random.below(2) == 0 {
                    self.promise(&path);
                }
            }
            4 => {
                let Some(path) = self.pick() else { return };
                self.touch(&path);
                let more = self.random.bytes(20_000);
                let ino = self.fs.walk(&path).unwrap().ino;
                let contents = self.files.get_mut(&path).unwrap();
                self.fs.write_at(ino, contents.len() as u64, &more).unwrap();
                contents.extend(more);
                if self.random.below(2) == 0 {
                    self.promise(&path);
                }
            }
            5 | 6 => {
                let Some(path) = self.pick() else { return };
                self.touch(&path);
                self.fs.remove(&path).unwrap();
                self.files.remove(&path);
            }
            7 => self.rename(),
            8 => {
                // Directories come and go, so that blocks change between data, names and pointers.
                let path = format!("/dir{}/sub{}", self.random.below(4), self.random.below(5));
                match self.fs.make(&path, NewKind::Directory) {
                    Err(Error::Exists) => self.fs.remove(&path).unwrap(),
                    result => drop(result.unwrap()),
                }
            }
            _ => self.fs.sync().unwrap(),
        }
    }

    fn rename(&mut self) {
        let Some(old) = self.pick() else { return };
        let new = format!("/dir{}/moved{}{}", self.random.below(4), self.random.below(20), self.suffix);
        self.touch(&old);
        self.touch(&new);
        let (from, to) = (split(&old), split(&new));
        let (from_ino, to_ino) = (self.fs.walk(from.0).unwrap().ino, self.fs.walk(to.0).unwrap().ino);
        if let Some(unlinked) = self.fs.rename(from_ino, from.1, to_ino, to.1, RenameMode::Replace).unwrap()
            && unlinked.is_last
        {
            self.fs.drop_inode(unlinked.ino).unwrap();
        }
        let contents = self.files.remove(&old).unwrap();
        self.files.insert(new, contents);
    }
}

fn check_cuts(seed: u64, options: &[&str], cuts: usize) {
    check_cuts_named(seed, options, cuts, "");
}

fn check_cuts_named(seed: u64, options: &[&str], cuts: usize, suffix: &str) {
    let disk = make_disk(6 << 10, options);
    let fs = mount(&disk);
    for index in 0..4 {
        fs.make(&format!("/dir{index}"), NewKind::Directory).unwrap();
    }
    fs.sync().unwrap();
    let image = disk.copy();
    disk.record();
    let mut workload = Workload {
        fs,
        disk: disk.clone(),
        random: Random(seed),
        files: BTreeMap::new(),
        promises: Vec::new(),
        suffix: suffix.into(),
    };
    for _ in 0..400 {
        workload.step();
    }
    let events = disk.take_record();
    let Workload { mut random, promises, .. } = workload;
    let mut kept = 0;
    for _ in 0..cuts {
        let moment = random.below(events.len() as u64) as usize + 1;
        let bytes = cut(&image, &events[..moment], &mut random);
        let (repaired, said) = repair(&bytes);
        let fs = mount(&Disk::new(repaired));
        for promise in promises.iter().filter(|promise| (promise.from..promise.until).contains(&moment)) {
            let found = fs.get(&promise.path);
            assert!(
                found.as_ref() == Ok(&promise.contents),
                "seed {seed}, cut at {moment}: {} is {:?}, not {} bytes\n{said}",
                promise.path,
                found.map(|data| data.len()),
                promise.contents.len()
            );
            kept += 1;
        }
        fs.tree();
    }
    assert!(kept >= cuts, "only {kept} promises in {cuts} cuts");
}

#[test]
fn small_blocks_survive_power_cuts() {
    check_cuts(1, &["-t", "ext2", "-b", "1024"], cuts(25));
}

/// Names so long that each directory gets an index, whose leaves are split again and again.
#[test]
fn splits_survive_power_cuts() {
    check_cuts_named(4, &["-t", "ext2", "-b", "1024"], cuts(25), &"x".repeat(220));
    check_cuts_named(5, &["-t", "ext3", "-b", "1024", "-J", "size=1"], cuts(25), &"y".repeat(220));
}

/// Hardly anything but splits: names that were there at an fsync are there after any cut.
fn check_names(seed: u64, options: &[&str], cuts: usize) {
    let disk = make_disk(6 << 10, options);
    let fs = mount(&disk);
    let dir = fs.make("/dir", NewKind::Directory).unwrap();
    let file = fs.put("/file", b"of many names").unwrap();
    fs.sync().unwrap();
    let image = disk.copy();
    disk.record();
    let mut random = Random(seed);
    let name = |index: usize| format!("{index}{}", "n".repeat(100 + index % 140)).into_bytes();
    let mut promises = vec![(0, 0)];
    for index in 0..800 {
        fs.link(file, dir, &name(index)).unwrap();
        if random.below(40) == 0 {
            fs.sync_inode(dir).unwrap();
            promises.push((disk.recorded(), index + 1));
        }
    }
    let events = disk.take_record();
    for _ in 0..cuts {
        let moment = random.below(events.len() as u64) as usize + 1;
        let (repaired, said) = repair(&cut(&image, &events[..moment], &mut random));
        let fs = mount(&Disk::new(repaired));
        let (_, count) = *promises.iter().rev().find(|(since, _)| *since <= moment).unwrap();
        for index in 0..count {
            let found = fs.lookup(dir, &name(index)).map(|found| found.ino);
            assert_eq!(found, Ok(file), "seed {seed}, cut at {moment}: name {index} of {count}\n{said}");
        }
    }
}

#[test]
fn names_outlive_splits_and_power_cuts() {
    check_names(6, &["-t", "ext2", "-b", "1024"], cuts(25));
    check_names(7, &["-t", "ext2", "-b", "4096"], cuts(25));
    check_names(8, &["-t", "ext3", "-b", "1024", "-J", "size=1"], cuts(25));
}

#[test]
fn large_blocks_survive_power_cuts() {
    check_cuts(2, &["-t", "ext2", "-b", "4096"], cuts(25));
}

#[test]
fn old_revision_survives_power_cuts() {
    check_cuts(3, &["-t", "ext2", "-r", "0", "-b", "1024", "-O", "none"], cuts(25));
}
