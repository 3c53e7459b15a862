//! Memory runs short: an operation that finds none fails as long as it has changed nothing, and waits from then on, as
//! commits do. So whatever failed, e2fsck finds nothing wrong after the unmount.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::*;
use ext2::{BlockIo, Error, FileSystem, Ino, IoError, MountOptions, NewKind, Patience, RenameMode};

thread_local! {
    static PATIENCE: Cell<Patience> = const { Cell::new(Patience::Never) };
}

/// A disk for whose transfers there is no memory, now and then.
#[derive(Clone)]
struct Short {
    disk: Disk,
    /// One of so many transfers fails; 0: none.
    share: Arc<AtomicU64>,
    count: Arc<AtomicU64>,
    waited: Arc<AtomicU64>,
}

impl Short {
    fn new(disk: Disk) -> Self {
        Self { disk, share: Arc::default(), count: Arc::default(), waited: Arc::default() }
    }

    fn allocate(&self) -> Result<(), IoError> {
        let share = self.share.load(Ordering::Relaxed);
        let chance = Random(self.count.fetch_add(1, Ordering::Relaxed)).next();
        let is_short = share != 0 && chance.is_multiple_of(share);
        if is_short && self.patience() == Patience::Always {
            self.waited.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        if is_short { Err(IoError::OutOfMemory) } else { Ok(()) }
    }
}

impl BlockIo for Short {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), IoError> {
        self.allocate()?;
        self.disk.read(offset, buffer)
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        self.allocate()?;
        self.disk.write(offset, data)
    }

    fn flush(&self) -> Result<(), IoError> {
        self.disk.flush()
    }

    fn size_bytes(&self) -> u64 {
        self.disk.size_bytes()
    }

    fn forget(&self, offset: u64, length: u64) {
        self.disk.forget(offset, length);
    }

    fn patience(&self) -> Patience {
        PATIENCE.get()
    }

    fn set_patience(&self, patience: Patience) {
        PATIENCE.set(patience);
    }
}

type Fs = FileSystem;

const NO_MEMORY: Error = Error::Io(IoError::OutOfMemory);

/// The inode of a path, if the path is there.
fn walk(fs: &Fs, path: &str) -> Result<Ino, Error> {
    let mut names = path.split('/').filter(|name| !name.is_empty());
    names.try_fold(Ino::ROOT, |dir, name| Ok(fs.lookup(dir, name.as_bytes())?.ino))
}

fn path(random: &mut Random) -> String {
    format!("/dir{}/{}{}", random.below(3), "name".repeat(random.below(30) as usize), random.below(30))
}

fn step(fs: &Fs, random: &mut Random) -> Result<(), Error> {
    let path = path(random);
    let (dir, name) = split(&path);
    let dir = walk(fs, dir)?;
    match random.below(10) {
        0..=2 => fs.create(dir, name, &new(NewKind::Regular)).map(drop),
        3 => fs.create(dir, name, &new(NewKind::Directory)).map(drop),
        4 => fs.create(dir, name, &new(NewKind::Symlink(&[b'x'; 100]))).map(drop),
        5 => {
            let length = random.below(60_000) as usize;
            let data = random.bytes(length);
            fs.write_at(walk(fs, &path)?, random.below(400_000), &data).map(drop)
        }
        6 => fs.truncate(walk(fs, &path)?, random.below(200_000)),
        7 => {
            let unlinked = match fs.unlink(dir, name) {
                Err(Error::IsDirectory) => fs.rmdir(dir, name),
                result => result,
            }?;
            if unlinked.is_last { fs.drop_inode(unlinked.ino) } else { Ok(()) }
        }
        8 => {
            let other = format!("/dir{}/other{}", random.below(3), random.below(9));
            let (other_dir, other_name) = split(&other);
            let replaced = fs.rename(dir, name, walk(fs, other_dir)?, other_name, RenameMode::Replace)?;
            replaced
                .filter(|unlinked| unlinked.is_last)
                .map_or(Ok(()), |unlinked| fs.drop_inode(unlinked.ino))
        }
        _ => fs.sync(),
    }
}

/// Tells how many operations found no memory, and how often something waited.
fn run(seed: u64, options: &[&str]) -> (usize, u64) {
    let short = Short::new(make_disk(8 << 10, options));
    let fs: Fs = FileSystem::mount(short.clone(), StdLocks, clock(), MountOptions::default()).unwrap();
    for index in 0..3 {
        fs.create(Ino::ROOT, format!("dir{index}").as_bytes(), &new(NewKind::Directory)).unwrap();
    }
    let (mut random, mut failed) = (Random(seed), 0);
    for _ in 0..600 {
        short.share.store(12, Ordering::Relaxed);
        let result = step(&fs, &mut random);
        short.share.store(0, Ordering::Relaxed);
        failed += usize::from(result == Err(NO_MEMORY));
        assert_eq!(PATIENCE.get(), Patience::Never);
        assert!(!fs.is_read_only(), "seed {seed} {options:?}: it was given up");
        assert_eq!(fs.fault(), None, "seed {seed} {options:?}");
    }
    fs.unmount().unwrap();
    check(&short.disk);
    (failed, short.waited.load(Ordering::Relaxed))
}

#[test]
fn what_finds_no_memory_fails_and_breaks_nothing() {
    for (seed, options) in VARIANTS.iter().enumerate() {
        let (failed, waited) = run(seed as u64, options);
        assert!(failed > 20, "{options:?}: only {failed} operations found no memory");
        assert!(waited > 20, "{options:?}: only {waited} transfers waited");
    }
}
