//! The journal: after a cut at any moment the file system is exactly what it was between two operations, not before
//! the last one that a sync acknowledged; e2fsck and this crate recover the same, and nothing is left to repair.
//!
//! EXT2_CUTS sets the number of cuts.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::*;
use ext2::{Error, FileSystem, Ino, MountOptions, NewKind, RenameMode, XattrMode};

const SMALL: &[&str] = &["-t", "ext3", "-b", "1024"];
const LARGE: &[&str] = &["-t", "ext3", "-b", "4096"];

/// What can be seen of a file system: paths, each with contents and one attribute. Directories have none.
type Tree = BTreeMap<String, Option<(Arc<Vec<u8>>, Vec<u8>)>>;

/// The state of the file system from a length of the record on.
struct State {
    since: usize,
    tree: Tree,
}

struct Workload {
    fs: Ext2,
    disk: Disk,
    random: Random,
    tree: Tree,
    states: Vec<State>,
    /// Lengths of the record at which a sync came back, each with the number of the state that it acknowledged.
    acknowledged: Vec<(usize, usize)>,
}

impl Workload {
    fn new(options: &[&str], size_kib: u64, seed: u64) -> (Self, Vec<u8>) {
        let disk = make_disk(size_kib, options);
        let fs = mount(&disk);
        assert!(fs.has_journal());
        let mut tree = Tree::new();
        for index in 0..4 {
            fs.make(&format!("/dir{index}"), NewKind::Directory).unwrap();
            tree.insert(format!("/dir{index}"), None);
        }
        fs.sync().unwrap();
        let image = disk.copy();
        disk.record();
        let states = vec![State { since: 0, tree: tree.clone() }];
        let random = Random(seed);
        (Self { fs, disk, random, tree, states, acknowledged: vec![(0, 0)] }, image)
    }

    fn pick(&mut self) -> Option<String> {
        let files: Vec<&String> =
            self.tree.iter().filter(|(_, file)| file.is_some()).map(|(path, _)| path).collect();
        let index = self.random.below(files.len().max(1) as u64) as usize;
        files.get(index).map(|path| path.to_string())
    }

    /// An operation is done.
    fn note(&mut self) {
        // What it wrote may show before it came back.
        let since = self.disk.recorded();
        self.states.push(State { since, tree: self.tree.clone() });
    }

    fn new_path(&mut self) -> String {
        let name = "n".repeat(self.random.below(40) as usize);
        format!("/dir{}/file{}{name}", self.random.below(4), self.random.below(40))
    }

    fn step(&mut self) {
        match self.random.below(12) {
            0..=2 => self.create(),
            3 | 4 => self.append(),
            5 | 6 => self.remove(),
            7 => self.rename(),
            8 => self.set_attribute(),
            9 => self.change_directory(),
            _ => self.sync(),
        }
    }

    fn create(&mut self) {
        let path = self.new_path();
        if self.tree.contains_key(&path) {
            return;
        }
        self.fs.make(&path, NewKind::Regular).unwrap();
        self.tree.insert(path.clone(), Some((Arc::default(), Vec::new())));
        self.note();
        self.append_to(&path);
    }

    fn append(&mut self) {
        if let Some(path) = self.pick() {
            self.append_to(&path);
        }
    }

    fn append_to(&mut self, path: &str) {
        let length = self.random.below(40_000) as usize + 1;
        let data = self.random.bytes(length);
        let ino = self.fs.walk(path).unwrap().ino;
        let Some(Some((contents, _))) = self.tree.get_mut(path) else { return };
        let contents = Arc::make_mut(contents);
        assert_eq!(self.fs.write_at(ino, contents.len() as u64, &data).unwrap(), data.len());
        contents.extend(data);
        self.note();
    }

    fn remove(&mut self) {
        let Some(path) = self.pick() else { return };
        self.fs.remove(&path).unwrap();
        self.tree.remove(&path);
        self.note();
    }

    fn rename(&mut self) {
        let Some(old) = self.pick() else { return };
        let new = if self.random.below(2) == 0 { self.new_path() } else { self.pick().unwrap() };
        if old == new {
            return;
        }
        let (from, to) = (split(&old), split(&new));
        let (from_ino, to_ino) = (self.fs.walk(from.0).unwrap().ino, self.fs.walk(to.0).unwrap().ino);
        if let Some(unlinked) = self.fs.rename(from_ino, from.1, to_ino, to.1, RenameMode::Replace).unwrap()
            && unlinked.is_last
        {
            self.fs.drop_inode(unlinked.ino).unwrap();
        }
        let file = self.tree.remove(&old).unwrap();
        self.tree.insert(new, file);
        self.note();
    }

    fn set_attribute(&mut self) {
        let Some(path) = self.pick() else { return };
        let value = vec![self.random.below(4) as u8; self.random.below(200) as usize + 1];
        let ino = self.fs.walk(&path).unwrap().ino;
        self.fs.set_xattr(ino, b"user.a", &value, XattrMode::Any).unwrap();
        if let Some(Some((_, attribute))) = self.tree.get_mut(&path) {
            *attribute = value;
        }
        self.note();
    }

    fn change_directory(&mut self) {
        // Directories come and go, so that blocks change between data, names and pointers.
        let path = format!("/dir{}/sub{}", self.random.below(4), self.random.below(5));
        match self.fs.make(&path, NewKind::Directory) {
            Err(Error::Exists) => {
                self.fs.remove(&path).unwrap();
                self.tree.remove(&path);
            }
            result => {
                result.unwrap();
                self.tree.insert(path, None);
            }
        }
        self.note();
    }

    fn sync(&mut self) {
        if self.random.below(3) == 0 {
            self.fs.sync().unwrap();
        } else {
            self.fs.sync_inode(Ino::ROOT).unwrap();
        }
        self.acknowledged.push((self.disk.recorded(), self.states.len() - 1));
    }
}

/// What can be seen.
fn tree(fs: &Ext2) -> Tree {
    let mut tree = Tree::new();
    for (path, (kind, contents)) in fs.tree() {
        if path == "/lost+found" {
            continue;
        }
        let attribute = fs.xattr(fs.walk(&path).unwrap().ino, b"user.a").unwrap_or_default();
        let file = (kind == ext2::FileKind::Regular).then(|| (Arc::new(contents), attribute));
        tree.insert(path, file);
    }
    tree
}

/// e2fsck recovers the journal and then has nothing to repair; returns what it left.
fn recover(bytes: &[u8]) -> Vec<u8> {
    let (repaired, said) = repair(bytes);
    assert!(!said.contains("? yes"), "e2fsck had to repair: {said}");
    repaired
}

fn check_cuts(seed: u64, options: &[&str], size_kib: u64, cuts: usize) {
    let (mut workload, image) = Workload::new(options, size_kib, seed);
    for _ in 0..600 {
        workload.step();
    }
    let events = workload.disk.take_record();
    let Workload { mut random, states, acknowledged, .. } = workload;
    let mut at_work = 0;
    for number in 0..cuts {
        let moment = random.below(events.len() as u64) as usize + 1;
        let bytes = cut(&image, &events[..moment], &mut random);
        let place = format!("seed {seed}, cut {number} at {moment} of {}", events.len());
        let disk = Disk::new(bytes.clone());
        let fs = mount(&disk);
        assert!(fs.was_clean() && !fs.is_read_only(), "{place}");
        let found = tree(&fs);
        let first = acknowledged.iter().rev().find(|(since, _)| *since <= moment).unwrap().1;
        // The operation under way may have been committed, too: those that begin before the cut.
        let last = states
            .iter()
            .skip(1)
            .position(|state| state.since > moment)
            .map_or(states.len(), |index| index + 2);
        let candidates = &states[first..last.min(states.len())];
        assert!(
            candidates.iter().any(|state| state.tree == found),
            "{place}: no state from {first} on looks like this: {:?}",
            found.keys().collect::<Vec<_>>()
        );
        fs.put("/after", b"the cut").unwrap();
        fs.unmount().unwrap();
        check(&disk);
        let fs = mount(&Disk::new(recover(&bytes)));
        assert!(tree(&fs) == found, "{place}: e2fsck recovers something else");
        at_work += usize::from(candidates.len() > 1);
    }
    assert!(at_work * 2 > cuts, "only {at_work} of {cuts} cuts came between syncs");
}

#[test]
fn small_blocks_are_recovered_after_power_cuts() {
    check_cuts(1, SMALL, 12 << 10, cuts(25));
}

#[test]
fn large_blocks_are_recovered_after_power_cuts() {
    check_cuts(2, LARGE, 24 << 10, cuts(25));
}

/// Is set when this is dropped, by a panic too.
struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What is written for want of memory beside a commit is in it, or waits for the next one whole.
#[test]
fn work_beside_commits_is_in_them_whole() {
    let disk = make_disk(64 << 10, &["-t", "ext3", "-b", "1024"]);
    let fs = mount(&disk);
    let synced = fs.make("/synced", NewKind::Regular).unwrap();
    let rounds = cuts(25);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _end = AtEnd(&is_over);
        for thread in 0..4u64 {
            let (fs, is_over) = (&fs, &is_over);
            scope.spawn(move || {
                let mut random = Random(thread);
                fs.make(&format!("/t{thread}"), NewKind::Directory).unwrap();
                for step in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    let dir = format!("/t{thread}/{}", step % 100);
                    if step >= 100 {
                        fs.remove(&format!("{dir}/file")).unwrap();
                        fs.remove(&dir).unwrap();
                    }
                    fs.make(&dir, NewKind::Directory).unwrap();
                    let length = random.below(5_000) as usize;
                    fs.put(&format!("{dir}/file"), &random.bytes(length)).unwrap();
                }
            });
        }
        for _ in 0..rounds {
            fs.sync_inode(synced).unwrap();
            // As a computer leaves it whose disk has no cache.
            recover(&disk.copy());
        }
    });
    fs.unmount().unwrap();
    check(&disk);
}

#[test]
fn a_clean_journal_is_empty() {
    for options in [SMALL, LARGE] {
        let disk = make_disk(24 << 10, options);
        let fs = mount(&disk);
        fs.put("/file", &[1; 100_000]).unwrap();
        fs.sync().unwrap();
        assert!(debugfs(&disk, "stats\n").contains("needs_recovery"), "in use");
        let fs = mount(&disk);
        assert_eq!(fs.get("/file").unwrap(), [1; 100_000]);
        fs.unmount().unwrap();
        check(&disk);
        assert!(!debugfs(&disk, "stats\n").contains("needs_recovery"));
        let fs = mount(&disk);
        fs.make_read_only().unwrap();
        check(&disk);
        fs.make_writable().unwrap();
        fs.put("/file", b"again").unwrap();
        fs.unmount().unwrap();
        check(&disk);
    }
}

#[test]
fn reading_alone_changes_nothing_and_sees_what_the_journal_holds() {
    let disk = make_disk(12 << 10, SMALL);
    let fs = mount(&disk);
    fs.sync().unwrap();
    disk.record();
    let image = disk.copy();
    fs.put("/file", b"in the journal").unwrap();
    fs.sync().unwrap();
    let events = disk.take_record();
    // Everything up to the last flush, and none of what was written in place after it.
    let flushed = events.iter().rposition(|event| matches!(event, Event::Flush)).unwrap();
    let mut bytes = image.clone();
    for event in &events[..flushed] {
        if let Event::Write(offset, data) = event {
            bytes[*offset as usize..][..data.len()].copy_from_slice(data);
        }
    }
    let disk = Disk::new(bytes.clone());
    let options = MountOptions { read_only: true, ..MountOptions::default() };
    let fs: Ext2 = FileSystem::mount(disk.clone(), StdLocks, clock(), options).unwrap();
    assert_eq!(fs.get("/file").unwrap(), b"in the journal");
    assert_eq!(fs.put("/other", b""), Err(Error::ReadOnly));
    fs.unmount().unwrap();
    assert!(disk.copy() == bytes);
    fs.make_writable().unwrap();
    fs.put("/other", b"more").unwrap();
    fs.unmount().unwrap();
    check(&disk);
    assert_eq!(mount(&disk).get("/file").unwrap(), b"in the journal");
}

#[test]
fn orphans_are_deleted_after_a_cut() {
    let disk = make_disk(12 << 10, SMALL);
    let fs = mount(&disk);
    let before = fs.statistics();
    fs.put("/open", &[1; 500_000]).unwrap();
    let _ = fs.unlink(Ino::ROOT, b"open").unwrap();
    fs.sync().unwrap();
    let cut = disk.copy();
    let (_, said) = repair(&cut);
    assert!(said.contains("Clearing orphaned inode") && !said.contains("? yes"), "{said}");
    let fs = mount(&Disk::new(cut));
    assert_eq!(fs.statistics().free_inodes, before.free_inodes);
    assert_eq!(fs.statistics().free_blocks, before.free_blocks);
}

#[test]
fn large_transactions_fit_the_log() {
    // More files than the log has room for are made and deleted without a sync.
    let disk = make_disk(64 << 10, &[SMALL, &["-J", "size=1", "-N", "4000"]].concat());
    let fs = mount(&disk);
    for index in 0..3000 {
        fs.put(&format!("/{index}"), &[index as u8; 3000]).unwrap();
    }
    let data = vec![7; 20_000_000];
    fs.put("/big", &data).unwrap();
    for index in 0..3000 {
        fs.remove(&format!("/{index}")).unwrap();
    }
    fs.sync().unwrap();
    recover(&disk.copy());
    assert!(fs.get("/big").unwrap() == data);
    fs.unmount().unwrap();
    check(&disk);
}

#[test]
fn a_sync_of_a_file_writes_little_in_place() {
    let disk = make_disk(24 << 10, &[SMALL, &["-J", "size=1"]].concat());
    let fs = mount(&disk);
    fs.put("/file", b"").unwrap();
    fs.sync().unwrap();
    let ino = fs.walk("/file").unwrap().ino;
    let map = debugfs(&disk, "imap /file\n");
    let block = map.split("located at block ").nth(1).unwrap().split(',').next().unwrap();
    let place = block.parse::<u64>().unwrap() * 1024;
    let is_inode = |event: &Event| match event {
        Event::Write(offset, data) => (*offset..offset + data.len() as u64).contains(&place),
        Event::Flush => false,
    };
    let mut in_place = 0;
    let mut contents = Vec::new();
    for round in 0..300 {
        disk.record();
        let data = [round as u8; 1000];
        assert_eq!(fs.write_at(ino, contents.len() as u64, &data).unwrap(), data.len());
        contents.extend(data);
        fs.sync_inode(ino).unwrap();
        let events = disk.take_record();
        let flushes = events.iter().filter(|event| matches!(event, Event::Flush)).count();
        assert_eq!(flushes, 2, "one for the copies, one for the commit");
        in_place += usize::from(events.iter().any(is_inode));
    }
    // The log has 1024 blocks, a transaction a handful.
    assert!((1..20).contains(&in_place), "the log begins anew when it is half full, not {in_place} times");
    let image = disk.copy();
    for bytes in [recover(&image), image] {
        assert!(mount(&Disk::new(bytes)).get("/file").unwrap() == contents);
    }
    disk.record();
    fs.sync().unwrap();
    assert!(disk.take_record().iter().any(is_inode), "nobody waits: it goes in place");
}

#[test]
fn blocks_that_look_like_the_journals_own_survive() {
    let disk = make_disk(12 << 10, SMALL);
    let fs = mount(&disk);
    fs.sync().unwrap();
    disk.record();
    let image = disk.copy();
    let target = [&0xc03b_3998u32.to_be_bytes()[..], &[b'x'; 100]].concat();
    fs.make("/link", NewKind::Symlink(&target)).unwrap();
    fs.sync().unwrap();
    let events = disk.take_record();
    let flushed = events.iter().rposition(|event| matches!(event, Event::Flush)).unwrap();
    let bytes = cut(&image, &events[..=flushed], &mut Random(0));
    for bytes in [recover(&bytes), bytes] {
        let fs = mount(&Disk::new(bytes));
        assert_eq!(fs.readlink(fs.walk("/link").unwrap().ino).unwrap(), target);
    }
}
