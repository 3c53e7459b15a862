//! The measurements, one row and one function each. Preparations are not timed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Instant;

use crate::workplace::{AlignedBlock, BLOCK, PIECE, Random, Workplace, forget, open_direct, pattern, rate};

/// Something to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measurement {
    pub(crate) name: &'static str,
    /// What the rate counts.
    pub(crate) unit: &'static str,
    pub(crate) about: &'static str,
    /// Does it; returns the rate.
    pub(crate) run: fn(&Workplace) -> io::Result<f64>,
}

/// All, in the order in which they are done.
#[rustfmt::skip]
pub(crate) const ALL: &[Measurement] = &[
    Measurement { name: "write", unit: "MiB/s", about: "a new file in order, 128 KiB at once, with fsync in the end", run: write },
    Measurement { name: "read", unit: "MiB/s", about: "a file in order from the disk, 128 KiB at once", run: read },
    Measurement { name: "read-cached", unit: "MiB/s", about: "the same from memory", run: read_cached },
    Measurement { name: "random-1", unit: "reads/s", about: "4 KiB at random past the cache, one at a time", run: random_1 },
    Measurement { name: "random-16", unit: "reads/s", about: "the same from 16 threads", run: random_16 },
    Measurement { name: "random-cached", unit: "reads/s", about: "4 KiB at random from memory", run: random_cached },
    Measurement { name: "fsync", unit: "calls/s", about: "4 KiB at the end of a file and fsync", run: fsync },
    Measurement { name: "create", unit: "files/s", about: "new files of 1 KiB in one folder", run: create },
    Measurement { name: "stat", unit: "calls/s", about: "one of 1000 files in a folder, by its path", run: stat },
    Measurement { name: "open", unit: "calls/s", about: "the same, opened and closed", run: open },
    Measurement { name: "list", unit: "names/s", about: "a folder of 1000 files, read again and again", run: list },
    Measurement { name: "delete", unit: "files/s", about: "as many files as `create` makes", run: delete },
];

/// What `create` and `delete` count, and how many names `stat`, `open` and `list` find.
const FILES: usize = 4000;
const NAMES: usize = 1000;
/// At most so many random reads of each kind.
const READS: usize = 4000;

const MIB: usize = 1 << 20;

fn write(place: &Workplace) -> io::Result<f64> {
    let pieces: Vec<Vec<u8>> = (0..251).map(pattern).collect();
    let path = place.path("written");
    let begun = Instant::now();
    let mut file = File::create(&path)?;
    for piece in pieces.iter().cycle().take(place.size / PIECE) {
        file.write_all(piece)?;
    }
    file.sync_all()?;
    let rate = rate(place.size / MIB, begun);
    fs::remove_file(path)?;
    Ok(rate)
}

/// Reads the large file once; fails if it has not what was written.
fn read_once(file: &File, size: usize) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    for (index, at) in (0..size).step_by(PIECE).enumerate() {
        file.read_exact_at(&mut piece, at as u64)?;
        // One byte of each page: looking at all would be measured too.
        if piece.iter().step_by(BLOCK).any(|&byte| byte != (index % 251) as u8) {
            return Err(io::Error::other(format!("wrong bytes behind byte {at}")));
        }
    }
    Ok(())
}

fn read(place: &Workplace) -> io::Result<f64> {
    let file = File::open(place.large_file()?)?;
    forget(&file)?;
    let begun = Instant::now();
    read_once(&file, place.size)?;
    Ok(rate(place.size / MIB, begun))
}

fn read_cached(place: &Workplace) -> io::Result<f64> {
    let file = File::open(place.large_file()?)?;
    read_once(&file, place.size)?;
    let times = place.count(8);
    let begun = Instant::now();
    for _ in 0..times {
        read_once(&file, place.size)?;
    }
    Ok(rate(place.size / MIB * times, begun))
}

/// Reads blocks at random, so many; fails if one is not of this file.
fn read_at_random(file: &File, size: usize, seed: usize, count: usize) -> io::Result<()> {
    let mut random = Random::new(seed as u64 + 1);
    let mut block = AlignedBlock::new();
    for _ in 0..count {
        let at = random.below(size / BLOCK) * BLOCK;
        file.read_exact_at(block.bytes(), at as u64)?;
        if block.bytes()[0] != (at / PIECE % 251) as u8 {
            return Err(io::Error::other(format!("wrong bytes at byte {at}")));
        }
    }
    Ok(())
}

fn random_1(place: &Workplace) -> io::Result<f64> {
    let file = open_direct(&place.large_file()?)?;
    let count = place.count(READS);
    let begun = Instant::now();
    read_at_random(&file, place.size, 1, count)?;
    Ok(rate(count, begun))
}

fn random_16(place: &Workplace) -> io::Result<f64> {
    const THREADS: usize = 16;
    let file = open_direct(&place.large_file()?)?;
    let each = place.count(2 * READS / THREADS);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let read = |seed| {
            let file = &file;
            scope.spawn(move || read_at_random(file, place.size, seed, each))
        };
        let threads: Vec<_> = (0..THREADS).map(read).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("reading does not panic"))
    })?;
    Ok(rate(each * THREADS, begun))
}

fn random_cached(place: &Workplace) -> io::Result<f64> {
    let file = File::open(place.large_file()?)?;
    read_once(&file, place.size)?;
    let count = place.count(20 * READS);
    let begun = Instant::now();
    read_at_random(&file, place.size, 1, count)?;
    Ok(rate(count, begun))
}

fn fsync(place: &Workplace) -> io::Result<f64> {
    let count = place.count(500);
    let mut file = OpenOptions::new().append(true).create(true).open(place.path("synced"))?;
    file.sync_all()?;
    let begun = Instant::now();
    for _ in 0..count {
        file.write_all(&[7; BLOCK])?;
        file.sync_all()?;
    }
    Ok(rate(count, begun))
}

/// The names of so many files in a folder.
fn names(folder: &str, place: &Workplace, count: usize) -> io::Result<Vec<PathBuf>> {
    let folder = place.folder(folder)?;
    Ok((0..count).map(|number| folder.join(format!("file-{number:06}"))).collect())
}

fn make_files(paths: &[PathBuf]) -> io::Result<()> {
    paths.iter().try_for_each(|path| File::create(path)?.write_all(&[7; 1024]))
}

fn create(place: &Workplace) -> io::Result<f64> {
    let paths = names("created", place, place.count(FILES))?;
    paths.iter().filter(|path| path.exists()).try_for_each(fs::remove_file)?;
    let begun = Instant::now();
    make_files(&paths)?;
    Ok(rate(paths.len(), begun))
}

fn delete(place: &Workplace) -> io::Result<f64> {
    let paths = names("created", place, place.count(FILES))?;
    if !paths.iter().all(|path| path.exists()) {
        make_files(&paths)?;
    }
    let begun = Instant::now();
    paths.iter().try_for_each(fs::remove_file)?;
    Ok(rate(paths.len(), begun))
}

/// The files that `stat`, `open` and `list` find.
fn files(place: &Workplace) -> io::Result<Vec<PathBuf>> {
    let paths = names("files", place, NAMES)?;
    if !paths.iter().all(|path| path.exists()) {
        make_files(&paths)?;
    }
    Ok(paths)
}

fn stat(place: &Workplace) -> io::Result<f64> {
    let paths = files(place)?;
    let count = place.count(100_000);
    let begun = Instant::now();
    for path in paths.iter().cycle().take(count) {
        fs::metadata(path)?;
    }
    Ok(rate(count, begun))
}

fn open(place: &Workplace) -> io::Result<f64> {
    let paths = files(place)?;
    let count = place.count(50_000);
    let begun = Instant::now();
    for path in paths.iter().cycle().take(count) {
        File::open(path)?;
    }
    Ok(rate(count, begun))
}

fn list(place: &Workplace) -> io::Result<f64> {
    files(place)?;
    let folder = place.folder("files")?;
    let times = place.count(100);
    let begun = Instant::now();
    for _ in 0..times {
        let found = fs::read_dir(&folder)?.try_fold(0, |count, entry| entry.map(|_| count + 1))?;
        if found != NAMES {
            return Err(io::Error::other(format!("{found} names instead of {NAMES}")));
        }
    }
    Ok(rate(NAMES * times, begun))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workplace::tests::Parent;

    #[test]
    fn every_measurement_ends_with_a_rate_wherever_it_comes_in_the_order() {
        let parent = Parent::new("order");
        for order in [ALL.to_vec(), ALL.iter().rev().copied().collect()] {
            let place = Workplace::new(&parent.0, 1, 1).expect("a folder");
            for Measurement { name, run, .. } in order {
                match run(&place) {
                    Ok(rate) => assert!(rate > 0.0 && rate.is_finite(), "{name}: {rate}"),
                    // A file system in memory may know no direct reads.
                    Err(error) => {
                        assert!(error.to_string().starts_with("no direct reads"), "{name}: {error}")
                    }
                }
            }
        }
    }

    #[test]
    fn reading_notices_wrong_bytes() {
        let parent = Parent::new("wrong");
        let place = Workplace::new(&parent.0, 1, 1).expect("a folder");
        let path = place.large_file().expect("a file");
        let file = OpenOptions::new().read(true).write(true).open(path).expect("it is there");
        assert!(read_once(&file, place.size).is_ok());
        file.write_all_at(&[250], 7 * BLOCK as u64).expect("it can be written");
        assert!(read_once(&file, place.size).is_err());
    }
}
