//! What the tests share: disks in memory, images by mke2fs, and e2fsck and debugfs as judges.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of this")]
#![allow(clippy::unwrap_used, reason = "tests may panic")]

pub mod names;

use std::collections::BTreeMap;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::time::Duration;

use ext2::{
    Attributes, BlockIo, Context, Error, ExclusiveLock, FileKind, FileSystem, Ino, IoError, Locks,
    MountOptions, NewInode, NewKind, Place, SharedLock, Timestamp,
};

pub type Ext2 = FileSystem;

/// A disk in memory.
#[derive(Clone)]
pub struct Disk {
    bytes: Arc<RwLock<Vec<u8>>>,
    log: Arc<Mutex<Option<Vec<Event>>>>,
}

/// What a disk was asked to do.
#[derive(Clone)]
pub enum Event {
    Write(u64, Vec<u8>),
    Flush,
}

impl Disk {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes: Arc::new(RwLock::new(bytes)), log: Arc::default() }
    }

    pub fn copy(&self) -> Vec<u8> {
        self.bytes.read().unwrap().clone()
    }

    /// Starts to record writes and flushes.
    pub fn record(&self) {
        *self.log.lock().unwrap() = Some(Vec::new());
    }

    /// How much was recorded.
    pub fn recorded(&self) -> usize {
        self.log.lock().unwrap().as_ref().map_or(0, Vec::len)
    }

    pub fn take_record(&self) -> Vec<Event> {
        self.log.lock().unwrap().take().unwrap_or_default()
    }

    /// Changes bytes behind the file system's back.
    pub fn patch(&self, offset: usize, bytes: &[u8]) {
        self.bytes.write().unwrap()[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}

impl BlockIo for Disk {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), IoError> {
        let start = usize::try_from(offset).unwrap();
        let bytes = self.bytes.read().unwrap();
        buffer.copy_from_slice(bytes.get(start..start + buffer.len()).ok_or(IoError::OutOfRange)?);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        let start = usize::try_from(offset).unwrap();
        let mut bytes = self.bytes.write().unwrap();
        bytes.get_mut(start..start + data.len()).ok_or(IoError::OutOfRange)?.copy_from_slice(data);
        if let Some(log) = self.log.lock().unwrap().as_mut() {
            log.push(Event::Write(offset, data.to_vec()));
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), IoError> {
        if let Some(log) = self.log.lock().unwrap().as_mut() {
            log.push(Event::Flush);
        }
        Ok(())
    }

    fn size_bytes(&self) -> u64 {
        self.bytes.read().unwrap().len() as u64
    }

    /// What was forgotten must not be read again: it becomes rubbish, unless a crash is being staged.
    fn forget(&self, offset: u64, length: u64) {
        if self.log.lock().unwrap().is_none() {
            self.bytes.write().unwrap()[offset as usize..][..length as usize].fill(0xdb);
        }
    }
}

/// Locks made of those of std, which give up instead of hanging.
pub struct StdLocks;

impl Locks for StdLocks {
    fn exclusive(&self, class: &'static str) -> Box<dyn ExclusiveLock> {
        Box::new(StdLock::new(class))
    }

    fn shared(&self, class: &'static str) -> Box<dyn SharedLock> {
        Box::new(StdLock::new(class))
    }
}

struct StdLock {
    class: &'static str,
    /// How many share it; [`ALONE`]: one holds it alone.
    holders: Mutex<u32>,
    news: Condvar,
}

const ALONE: u32 = u32::MAX;

impl StdLock {
    fn new(class: &'static str) -> Self {
        Self { class, holders: Mutex::new(0), news: Condvar::new() }
    }

    /// Waits until there are as many holders as `is_meant` wants, then there are as many as `new` says.
    fn take(&self, is_meant: fn(u32) -> bool, new: fn(u32) -> u32) {
        let holders = self.holders.lock().unwrap();
        let patience = Duration::from_secs(20);
        let (mut holders, timeout) =
            self.news.wait_timeout_while(holders, patience, |holders| !is_meant(*holders)).unwrap();
        assert!(!timeout.timed_out(), "deadlock on {}", self.class);
        *holders = new(*holders);
    }

    fn give(&self, is_held: fn(u32) -> bool, new: fn(u32) -> u32) {
        let mut holders = self.holders.lock().unwrap();
        assert!(is_held(*holders), "{} is not held like this", self.class);
        *holders = new(*holders);
        self.news.notify_all();
    }
}

impl ExclusiveLock for StdLock {
    fn lock(&self, _depth: u8, _place: Place) {
        self.exclude(Location::caller());
    }

    fn unlock(&self) {
        self.end_excluding();
    }
}

impl SharedLock for StdLock {
    fn share(&self, _place: Place) {
        self.take(|holders| holders != ALONE, |holders| holders + 1);
    }

    fn end_sharing(&self) {
        self.give(|holders| holders != ALONE && holders > 0, |holders| holders - 1);
    }

    fn exclude(&self, _place: Place) {
        self.take(|holders| holders == 0, |_| ALONE);
    }

    fn end_excluding(&self) {
        self.give(|holders| holders == ALONE, |_| 0);
    }
}

/// A clock that advances a second with each look.
pub struct Ticks(AtomicI64);

impl Context for Ticks {
    fn now(&self) -> Timestamp {
        Timestamp { seconds: self.0.fetch_add(1, Ordering::Relaxed), nanoseconds: 5000 }
    }
}

pub fn clock() -> Box<dyn Context> {
    Box::new(Ticks(AtomicI64::new(1_700_000_000)))
}

/// A generator of pseudo-random numbers (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).take(length).collect()
    }
}

/// A folder that goes with its owner.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ext2-test-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a program of e2fsprogs.
pub fn tool(name: &str, arguments: &[&str]) -> Output {
    let places = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&places).collect();
    places.extend(["/usr/sbin".into(), "/sbin".into()]);
    let program = places.iter().map(|place| place.join(name)).find(|path| path.is_file());
    let program = program.unwrap_or_else(|| panic!("{name} is needed by this test: install e2fsprogs"));
    Command::new(program).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A new file system by mke2fs.
pub fn make_image(size_kib: u64, options: &[&str]) -> Vec<u8> {
    let scratch = Scratch::new();
    let path = scratch.path().join("image");
    let path = path.to_str().unwrap();
    let size = format!("{size_kib}k");
    let mut arguments = vec!["-q", "-F"];
    arguments.extend(options);
    arguments.extend([path, &size]);
    let output = tool("mke2fs", &arguments);
    assert!(output.status.success(), "mke2fs {options:?}: {}", text(&output));
    std::fs::read(path).unwrap()
}

pub fn make_disk(size_kib: u64, options: &[&str]) -> Disk {
    Disk::new(make_image(size_kib, options))
}

pub fn mount(disk: &Disk) -> Ext2 {
    FileSystem::mount(disk.clone(), StdLocks, clock(), MountOptions::default()).expect("a good image mounts")
}

/// Writes an image to a file, leaving out the zeros.
pub fn store(bytes: &[u8], path: &Path) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::create(path).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    for (index, chunk) in bytes.chunks(4096).enumerate() {
        if chunk.iter().any(|&byte| byte != 0) {
            file.write_all_at(chunk, index as u64 * 4096).unwrap();
        }
    }
}

/// e2fsck finds nothing wrong.
#[track_caller]
pub fn check(disk: &Disk) {
    let scratch = Scratch::new();
    let path = scratch.path().join("image");
    store(&disk.bytes.read().unwrap(), &path);
    let output = tool("e2fsck", &["-fn", path.to_str().unwrap()]);
    assert!(output.status.code() == Some(0), "e2fsck: {}", text(&output));
}

/// e2fsck repairs an image so that it then finds nothing wrong; returns the repaired image and what was said.
#[track_caller]
pub fn repair(bytes: &[u8]) -> (Vec<u8>, String) {
    let scratch = Scratch::new();
    let path = scratch.path().join("image");
    store(bytes, &path);
    let name = path.to_str().unwrap();
    let first = tool("e2fsck", &["-fy", name]);
    assert!(matches!(first.status.code(), Some(0..=3)), "e2fsck -fy: {}", text(&first));
    let second = tool("e2fsck", &["-fn", name]);
    assert!(second.status.code() == Some(0), "e2fsck -fn: {}\nbefore: {}", text(&second), text(&first));
    (std::fs::read(&path).unwrap(), text(&first))
}

/// Runs debugfs on a disk; with `Write` the disk changes.
#[track_caller]
pub fn debugfs(disk: &Disk, commands: &str) -> String {
    let scratch = Scratch::new();
    let path = scratch.path().join("image");
    let script = scratch.path().join("script");
    store(&disk.bytes.read().unwrap(), &path);
    std::fs::write(&script, commands).unwrap();
    let output = tool("debugfs", &["-w", "-f", script.to_str().unwrap(), path.to_str().unwrap()]);
    assert!(output.status.success(), "debugfs: {}", text(&output));
    *disk.bytes.write().unwrap() = std::fs::read(&path).unwrap();
    text(&output)
}

pub fn new(kind: NewKind<'_>) -> NewInode<'_> {
    let permissions = if kind == NewKind::Directory { 0o755 } else { 0o644 };
    NewInode { kind, permissions, uid: 0, gid: 0 }
}

/// Operations by path, for brevity.
pub trait ByPath {
    fn walk(&self, path: &str) -> Result<Attributes, Error>;
    fn make(&self, path: &str, kind: NewKind<'_>) -> Result<Ino, Error>;
    fn put(&self, path: &str, data: &[u8]) -> Result<Ino, Error>;
    fn get(&self, path: &str) -> Result<Vec<u8>, Error>;
    fn remove(&self, path: &str) -> Result<(), Error>;
    fn list(&self, path: &str) -> Result<Vec<String>, Error>;
    /// All files below a directory, by path, with kind and contents or target.
    fn tree(&self) -> BTreeMap<String, (FileKind, Vec<u8>)>;
}

pub fn split(path: &str) -> (&str, &[u8]) {
    let (dir, name) = path.rsplit_once('/').expect("paths are absolute");
    (dir, name.as_bytes())
}

impl ByPath for Ext2 {
    fn walk(&self, path: &str) -> Result<Attributes, Error> {
        let mut names = path.split('/').filter(|name| !name.is_empty());
        names.try_fold(self.read_inode(Ino::ROOT)?, |dir, name| self.lookup(dir.ino, name.as_bytes()))
    }

    fn make(&self, path: &str, kind: NewKind<'_>) -> Result<Ino, Error> {
        let (dir, name) = split(path);
        Ok(self.create(self.walk(dir)?.ino, name, &new(kind))?.ino)
    }

    fn put(&self, path: &str, data: &[u8]) -> Result<Ino, Error> {
        let ino = match self.make(path, NewKind::Regular) {
            Err(Error::Exists) => {
                let ino = self.walk(path)?.ino;
                self.truncate(ino, 0)?;
                ino
            }
            result => result?,
        };
        let mut done = 0;
        while done < data.len() {
            done += self.write_at(ino, done as u64, &data[done..])?;
        }
        Ok(ino)
    }

    fn get(&self, path: &str) -> Result<Vec<u8>, Error> {
        let attributes = self.walk(path)?;
        let mut data = vec![0x5a; attributes.size as usize];
        assert_eq!(self.read_at(attributes.ino, 0, &mut data)?, data.len());
        Ok(data)
    }

    fn remove(&self, path: &str) -> Result<(), Error> {
        let (dir, name) = split(path);
        let dir = self.walk(dir)?.ino;
        let unlinked = match self.unlink(dir, name) {
            Err(Error::IsDirectory) => self.rmdir(dir, name),
            result => result,
        }?;
        if unlinked.is_last { self.drop_inode(unlinked.ino) } else { Ok(()) }
    }

    fn list(&self, path: &str) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        self.read_dir(self.walk(path)?.ino, 0, &mut |entry| {
            names.push(String::from_utf8_lossy(entry.name).into_owned());
            std::ops::ControlFlow::Continue(())
        })?;
        names.retain(|name| name != "." && name != "..");
        names.sort();
        Ok(names)
    }

    fn tree(&self) -> BTreeMap<String, (FileKind, Vec<u8>)> {
        let mut tree = BTreeMap::new();
        let mut todo = vec![String::new()];
        while let Some(dir) = todo.pop() {
            for name in self.list(&dir).unwrap() {
                let path = format!("{dir}/{name}");
                let attributes = self.walk(&path).unwrap();
                let contents = match attributes.kind {
                    FileKind::Regular => self.get(&path).unwrap(),
                    FileKind::Symlink => self.readlink(attributes.ino).unwrap(),
                    _ => Vec::new(),
                };
                if attributes.kind == FileKind::Directory {
                    todo.push(path.clone());
                }
                tree.insert(path, (attributes.kind, contents));
            }
        }
        tree
    }
}

/// What the disk holds after a cut at the end of a record: all that was written before the last flush, and of the
/// rest a random selection of sectors, for a cache may write in any order.
pub fn cut(image: &[u8], events: &[Event], random: &mut Random) -> Vec<u8> {
    let mut bytes = image.to_vec();
    let flushed = events.iter().rposition(|event| matches!(event, Event::Flush)).unwrap_or(0);
    // Sometimes nearly all, sometimes nearly nothing gets through.
    let share = random.below(11);
    for (index, event) in events.iter().enumerate() {
        let Event::Write(offset, data) = event else { continue };
        let mut start = 0;
        while start < data.len() {
            let position = *offset as usize + start;
            let end = data.len().min(start + 512 - position % 512);
            if index < flushed || random.below(10) < share {
                bytes[position..position + end - start].copy_from_slice(&data[start..end]);
            }
            start = end;
        }
    }
    bytes
}

/// How many cuts a test makes: EXT2_CUTS, else `usual`.
pub fn cuts(usual: usize) -> usize {
    std::env::var("EXT2_CUTS").map_or(usual, |value| value.parse().expect("EXT2_CUTS is a number"))
}

/// The kinds of file systems that every test of the format runs on.
pub const VARIANTS: [&[&str]; 9] = [
    &["-t", "ext2"],
    &["-t", "ext2", "-b", "1024"],
    &["-t", "ext2", "-b", "2048"],
    &["-t", "ext2", "-b", "4096"],
    &["-t", "ext2", "-r", "0", "-b", "1024", "-O", "none"],
    &["-t", "ext2", "-b", "1024", "-I", "128", "-O", "^dir_index,^filetype,^resize_inode"],
    &["-t", "ext2", "-b", "1024", "-g", "1024", "-O", "meta_bg,^resize_inode"],
    &["-t", "ext3", "-b", "1024"],
    &["-t", "ext3", "-b", "4096"],
];
