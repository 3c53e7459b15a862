//! Mounting: what is refused, what is only read, and the marks in the superblock.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::*;
use ext2::{Error, ErrorPolicy, FileSystem, Ino, MountError, MountOptions, NewKind};

const SUPERBLOCK: usize = 1024;
const STATE: usize = SUPERBLOCK + 58;
const INCOMPATIBLE: usize = SUPERBLOCK + 96;
const READ_ONLY_COMPATIBLE: usize = SUPERBLOCK + 100;

fn try_mount(bytes: Vec<u8>) -> Result<Ext2, MountError> {
    FileSystem::mount(Disk::new(bytes), StdLocks, clock(), MountOptions::default())
}

fn refusal(bytes: Vec<u8>) -> MountError {
    try_mount(bytes).map(|_| ()).expect_err("must be refused")
}

#[test]
fn what_is_not_ext2_is_refused() {
    for size in [0, 1, 1024, 2047, 2048, 1 << 20] {
        assert_eq!(refusal(vec![0; size]), MountError::NotExt2);
        assert_eq!(refusal(Random(size as u64).bytes(size)), MountError::NotExt2);
    }
}

#[test]
fn impossible_superblocks_are_refused_with_a_reason() {
    let image = make_image(8192, &["-t", "ext2", "-b", "1024"]);
    let patches: &[(usize, &[u8])] = &[
        (0, &[0, 0, 0, 0]),             // inodes
        (4, &[0xff, 0xff, 0xff, 0xff]), // blocks
        (4, &[0, 0, 0, 0]),
        (20, &[0, 0, 0, 0]), // first data block
        (24, &[3, 0, 0, 0]), // block size
        (24, &[0xff, 0xff, 0xff, 0xff]),
        (32, &[0, 0, 0, 0]), // blocks per group
        (32, &[1, 0, 0, 0]),
        (32, &[0, 0, 1, 0]),
        (40, &[0, 0, 0, 0]), // inodes per group
        (40, &[0, 0, 1, 0]),
        (76, &[7, 0, 0, 0]), // revision
        (84, &[0, 0, 0, 0]), // first inode
        (84, &[0xff, 0xff, 0xff, 0xff]),
        (88, &[0, 0]), // inode size
        (88, &[129, 0]),
        (88, &[0, 16]),
    ];
    for (offset, bytes) in patches {
        let mut image = image.clone();
        image[SUPERBLOCK + offset..][..bytes.len()].copy_from_slice(bytes);
        let error = refusal(image);
        assert!(
            matches!(error, MountError::Corrupt(_) | MountError::Unsupported(_)),
            "{offset} {bytes:?}: {error:?}"
        );
    }
    assert_eq!(
        refusal(image[..4 << 20].to_vec()),
        MountError::Corrupt("file system is larger than its disk")
    );
}

#[test]
fn impossible_group_descriptors_are_refused() {
    let image = make_image(20 << 10, &["-t", "ext2", "-b", "1024"]);
    for field in 0..3 {
        for value in [0u32, 1, 2, 20 << 10, 9000, u32::MAX] {
            let mut image = image.clone();
            image[2048 + field * 4..][..4].copy_from_slice(&value.to_le_bytes());
            assert!(matches!(refusal(image), MountError::Corrupt(_)));
        }
    }
    let mut image = image;
    image.copy_within(2048..2052, 2052);
    assert!(matches!(refusal(image), MountError::Corrupt(_)));
}

#[test]
fn a_root_that_is_no_directory_is_refused() {
    let disk = make_disk(8192, &["-t", "ext2", "-b", "1024"]);
    debugfs(&disk, "set_inode_field <2> mode 0100644\n");
    assert_eq!(refusal(disk.copy()), MountError::Corrupt("root is not a directory"));
    debugfs(&disk, "clri <2>\n");
    assert!(matches!(refusal(disk.copy()), MountError::Corrupt(_)));
}

#[test]
fn unknown_incompatible_features_are_refused() {
    let mut image = make_image(8192, VARIANTS[0]);
    image[INCOMPATIBLE + 1] |= 0x10;
    assert_eq!(refusal(image), MountError::UnknownFeatures(0x1000));
    assert_eq!(refusal(make_image(16 << 10, &["-t", "ext4"])), MountError::UnknownFeatures(0x2c0));
}

#[test]
fn unknown_read_only_features_allow_reading() {
    let disk = make_disk(8192, VARIANTS[0]);
    let fs = mount(&disk);
    fs.put("/file", b"text").unwrap();
    fs.unmount().unwrap();
    disk.patch(READ_ONLY_COMPATIBLE + 1, &[0x4]);
    let before = disk.copy();
    let fs = mount(&disk);
    assert!(fs.is_read_only() && !fs.has_only_known_features());
    assert_eq!(fs.get("/file").unwrap(), b"text");
    assert_eq!(fs.put("/file", b"new"), Err(Error::ReadOnly));
    assert_eq!(fs.make_writable(), Err(Error::ReadOnly));
    fs.sync().unwrap();
    fs.unmount().unwrap();
    assert!(disk.copy() == before);
}

#[test]
fn an_ext3_image_without_open_journal_is_writable() {
    let disk = make_disk(16 << 10, &["-t", "ext3", "-b", "1024"]);
    let fs = mount(&disk);
    fs.put("/file", &[1; 100_000]).unwrap();
    fs.unmount().unwrap();
    check(&disk);
}

#[test]
fn a_read_only_mount_writes_nothing() {
    let disk = make_disk(8192, VARIANTS[0]);
    let before = disk.copy();
    let options = MountOptions { read_only: true, ..MountOptions::default() };
    let fs: Ext2 = FileSystem::mount(disk.clone(), StdLocks, clock(), options).unwrap();
    assert_eq!(fs.make("/x", NewKind::Regular), Err(Error::ReadOnly));
    assert_eq!(fs.unlink(Ino::ROOT, b"x"), Err(Error::ReadOnly));
    fs.tree();
    fs.sync().unwrap();
    fs.unmount().unwrap();
    assert!(disk.copy() == before);
}

#[test]
fn remounts_switch_between_reading_and_writing() {
    let disk = make_disk(8192, VARIANTS[0]);
    let fs = mount(&disk);
    fs.put("/open", &[1; 5000]).unwrap();
    let open = fs.unlink(Ino::ROOT, b"open").unwrap().ino;
    fs.make_read_only().unwrap();
    assert_eq!(disk.copy()[STATE] & 1, 1, "clean");
    assert_eq!(fs.put("/file", b""), Err(Error::ReadOnly));
    fs.make_writable().unwrap();
    assert_eq!(disk.copy()[STATE] & 1, 0, "in use");
    let mut buffer = [0; 5000];
    assert_eq!(fs.read_at(open, 0, &mut buffer), Ok(5000));
    fs.put("/file", b"text").unwrap();
    fs.drop_inode(open).unwrap();
    fs.unmount().unwrap();
    check(&disk);
}

#[test]
fn a_mount_in_use_is_marked_and_a_dirty_one_stays_so() {
    let disk = make_disk(8192, VARIANTS[0]);
    let fs = mount(&disk);
    assert_eq!(disk.copy()[STATE] & 1, 0);
    fs.sync().unwrap();
    drop(fs);
    let fs = mount(&disk);
    assert!(!fs.was_clean());
    fs.unmount().unwrap();
    assert_eq!(disk.copy()[STATE] & 1, 0);
    let (repaired, _) = repair(&disk.copy());
    assert!(mount(&Disk::new(repaired)).was_clean());
}

#[test]
fn a_fault_is_marked_and_ends_writing_if_the_policy_says_so() {
    for policy in [ErrorPolicy::Continue, ErrorPolicy::ReadOnly] {
        let disk = make_disk(8192, &["-t", "ext2", "-b", "1024"]);
        let fs = mount(&disk);
        fs.put("/bad", &[1; 100_000]).unwrap();
        fs.put("/good", b"good").unwrap();
        fs.unmount().unwrap();
        debugfs(&disk, "set_inode_field /bad block[IND] 3\n");
        let options = MountOptions { errors: Some(policy), ..MountOptions::default() };
        let fs: Ext2 = FileSystem::mount(disk.clone(), StdLocks, clock(), options).unwrap();
        let ino = fs.walk("/bad").unwrap().ino;
        let reason = "block pointer into the group metadata";
        assert_eq!(fs.read_at(ino, 50_000, &mut [0; 10]), Err(Error::Corrupt(reason)));
        assert_eq!(fs.fault(), Some(reason));
        assert_eq!(disk.copy()[STATE], 2);
        assert_eq!(fs.get("/good").unwrap(), b"good");
        assert_eq!(fs.put("/new", b"").is_ok(), policy == ErrorPolicy::Continue);
        fs.unmount().unwrap();
        assert_eq!(disk.copy()[STATE], 2);
        repair(&disk.copy());
    }
}

#[test]
fn policy_comes_from_the_superblock() {
    let disk = make_disk(8192, &["-t", "ext2", "-b", "1024", "-e", "remount-ro"]);
    let fs = mount(&disk);
    fs.put("/bad", &[1; 100_000]).unwrap();
    fs.unmount().unwrap();
    debugfs(&disk, "set_inode_field /bad block[IND] 99999999\n");
    let fs = mount(&disk);
    assert!(fs.get("/bad").is_err_and_corrupt());
    assert!(fs.is_read_only());
}

trait IsCorrupt {
    fn is_err_and_corrupt(&self) -> bool;
}

impl<T> IsCorrupt for Result<T, Error> {
    fn is_err_and_corrupt(&self) -> bool {
        matches!(self, Err(Error::Corrupt(_)))
    }
}

#[test]
fn the_superblock_says_where_it_was_mounted() {
    let disk = make_disk(8192, VARIANTS[1]);
    let fs = mount(&disk);
    fs.note_place(b"/mnt/disk");
    fs.unmount().unwrap();
    check(&disk);
    assert!(debugfs(&disk, "stats\n").contains("Last mounted on:          /mnt/disk\n"));
    fs.note_place(b"/elsewhere");
    assert!(debugfs(&disk, "stats\n").contains("/mnt/disk\n"), "unmounted");
    let fs = mount(&disk);
    fs.note_place(&[b'x'; 100]);
    fs.unmount().unwrap();
    assert!(debugfs(&disk, "stats\n").contains(&format!("{}\n", "x".repeat(63))));
}

/// Counts what it is told.
#[derive(Clone, Default)]
struct Witness(std::sync::Arc<std::sync::Mutex<Vec<(&'static str, ErrorPolicy)>>>);

impl ext2::Context for Witness {
    fn now(&self) -> ext2::Timestamp {
        ext2::Timestamp::default()
    }

    fn note_fault(&self, reason: &'static str, policy: ErrorPolicy) {
        self.0.lock().unwrap().push((reason, policy));
    }
}

#[test]
fn the_first_fault_is_reported_with_its_consequence() {
    for (policy, is_read_only) in [(ErrorPolicy::Continue, false), (ErrorPolicy::ReadOnly, true)] {
        let disk = make_disk(8192, VARIANTS[1]);
        let fs = mount(&disk);
        fs.put("/a", b"x").unwrap();
        fs.unmount().unwrap();
        debugfs(&disk, "set_inode_field /a mode 0070644\n");
        let witness = Witness::default();
        let options = MountOptions { errors: Some(policy), ..MountOptions::default() };
        let fs = FileSystem::mount(disk.clone(), StdLocks, Box::new(witness.clone()), options).unwrap();
        let fs: Ext2 = fs;
        for _ in 0..2 {
            assert!(matches!(fs.walk("/a"), Err(Error::Corrupt(_))));
        }
        assert_eq!(*witness.0.lock().unwrap(), [("inode of no known kind", policy)]);
        assert_eq!(fs.is_read_only(), is_read_only);
    }
}
