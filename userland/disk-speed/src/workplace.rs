//! Where measurements work: a folder that goes away in the end, and the sizes that they share.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::Advice;

/// What transfers in order move at once, in bytes.
pub(crate) const PIECE: usize = 128 << 10;
/// What random reads move at once, in bytes. Also how the memory for direct transfers is aligned.
pub(crate) const BLOCK: usize = 4096;

/// A folder for one run, and how much is to be done there.
pub(crate) struct Workplace {
    folder: PathBuf,
    /// Bytes in the large file.
    pub(crate) size: usize,
    percent: usize,
}

impl Workplace {
    /// Makes a folder below `parent`.
    ///
    /// # Errors
    /// What making the folder says.
    pub(crate) fn new(parent: &Path, mib: usize, percent: usize) -> io::Result<Workplace> {
        let folder = parent.join(format!("disk-speed.{}", std::process::id()));
        fs::create_dir(&folder)?;
        Ok(Workplace { folder, size: mib << 20, percent })
    }

    /// A share of `usual` operations, at least one.
    pub(crate) fn count(&self, usual: usize) -> usize {
        (usual * self.percent / 100).max(1)
    }

    /// A place in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A new folder, or the one that an earlier measurement left.
    pub(crate) fn folder(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// The large file, made on the first call, all of it on the disk.
    pub(crate) fn large_file(&self) -> io::Result<PathBuf> {
        let path = self.path("large");
        if fs::metadata(&path).is_ok_and(|found| found.len() == self.size as u64) {
            return Ok(path);
        }
        let file = File::create(&path)?;
        for (index, at) in (0..self.size).step_by(PIECE).enumerate() {
            file.write_all_at(&pattern(index), at as u64)?;
        }
        file.sync_all()?;
        Ok(path)
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("disk-speed: {} stays: {error}", self.folder.display());
        }
    }
}

/// What the large file has at its `index`-th piece.
pub(crate) fn pattern(index: usize) -> Vec<u8> {
    vec![(index % 251) as u8; PIECE]
}

/// How often a second something is done if `amount` of it took the time since `begun`.
pub(crate) fn rate(amount: usize, begun: Instant) -> f64 {
    amount as f64 / begun.elapsed().as_secs_f64().max(1e-9)
}

/// Has the system forget what it keeps of the file in memory.
pub(crate) fn forget(file: &File) -> io::Result<()> {
    Ok(rustix::fs::fadvise(file, 0, None, Advice::DontNeed)?)
}

/// Opens for reads that go past the system's cache.
pub(crate) fn open_direct(path: &Path) -> io::Result<File> {
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(path);
    opened.map_err(|error| io::Error::new(error.kind(), format!("no direct reads here: {error}")))
}

/// A block of memory that direct reads accept.
pub(crate) struct AlignedBlock(Vec<u8>);

impl AlignedBlock {
    pub(crate) fn new() -> AlignedBlock {
        AlignedBlock(vec![0; 2 * BLOCK])
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        let start = self.0.as_ptr().align_offset(BLOCK);
        &mut self.0[start..start + BLOCK]
    }
}

/// Random numbers that are the same in each run (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    /// `seed` is not 0.
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) as usize % bound
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A folder for one test, as workplaces of one process have the same name.
    pub(crate) struct Parent(pub(crate) PathBuf);

    impl Parent {
        pub(crate) fn new(name: &str) -> Parent {
            let path = std::env::temp_dir().join(format!("disk-speed-{name}.{}", std::process::id()));
            fs::create_dir(&path).expect("a folder");
            Parent(path)
        }
    }

    impl Drop for Parent {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                fs::remove_dir(&self.0).expect("it is empty");
            }
        }
    }

    #[test]
    fn blocks_for_direct_reads_are_aligned() {
        let mut block = AlignedBlock::new();
        assert_eq!((block.bytes().as_ptr() as usize % BLOCK, block.bytes().len()), (0, BLOCK));
    }

    #[test]
    fn random_numbers_reach_all_of_their_range() {
        let mut random = Random::new(1);
        let mut seen = [false; 64];
        for _ in 0..2000 {
            seen[random.below(64)] = true;
        }
        assert!(seen.iter().all(|&is_seen| is_seen));
    }

    #[test]
    fn folder_is_gone_afterwards() {
        let parent = Parent::new("gone");
        let place = Workplace::new(&parent.0, 1, 100).expect("a folder");
        let large = place.large_file().expect("a file");
        assert_eq!(fs::metadata(&large).expect("it is there").len(), 1 << 20);
        drop(place);
        assert!(fs::metadata(large).is_err());
    }
}
