//! Directories of many names, for the tests of their indexes.

use std::ops::ControlFlow;

use super::*;

/// Names as links to files that take turns, so that a million needs few inodes.
pub struct Names {
    pub dir: Ino,
    pub files: Vec<Ino>,
}

impl Names {
    pub fn new(fs: &Ext2, files: usize) -> Self {
        let dir = fs.make("/dir", NewKind::Directory).unwrap();
        let files = (0..files).map(|index| fs.put(&format!("/file{index}"), b"").unwrap()).collect();
        Self { dir, files }
    }

    pub fn add(&self, fs: &Ext2, number: usize, name: &[u8]) -> Result<(), Error> {
        fs.link(self.files[number % self.files.len()], self.dir, name).map(|_| ())
    }

    pub fn find(&self, fs: &Ext2, name: &[u8]) -> Result<Ino, Error> {
        fs.lookup(self.dir, name).map(|found| found.ino)
    }
}

/// What a walk of a directory shows, `.` and `..` apart, in its order.
pub fn shown(fs: &Ext2, dir: Ino) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    let mut visit = |entry: ext2::DirEntry<'_>| {
        names.push(entry.name.to_vec());
        ControlFlow::Continue(())
    };
    fs.read_dir(dir, 0, &mut visit).unwrap();
    assert_eq!(names[..2], [b".".to_vec(), b"..".to_vec()]);
    names.split_off(2)
}

pub fn sorted(mut names: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    names.sort();
    names
}

/// Names of many lengths, some with bytes above 127.
pub fn name(index: usize) -> Vec<u8> {
    let odd = if index.is_multiple_of(3) { "äß日" } else { "" };
    format!("{index}{odd}{}", "n".repeat(index % 7 * 3)).into_bytes()
}

pub fn has_index(disk: &Disk) -> bool {
    debugfs(disk, "htree_dump /dir\n").contains("Root node dump")
}

/// Whether the index of /dir has nodes below its root.
pub fn is_deep(disk: &Disk) -> bool {
    !debugfs(disk, "htree_dump /dir\n").contains("Indirect levels: 0")
}
