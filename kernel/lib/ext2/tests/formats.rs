//! Every format variant that mke2fs makes: what is written is there afterwards, here and for the host's tools.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::*;
use ext2::{DeviceNumber, Error, FileKind, NewKind, SetAttributes, Timestamp};

#[test]
fn empty_image_mounts_and_unmounts_clean() {
    for options in VARIANTS {
        let disk = make_disk(8192, options);
        let fs = mount(&disk);
        assert!(fs.was_clean() && !fs.is_read_only());
        assert_eq!(fs.list("/").unwrap(), ["lost+found"]);
        fs.unmount().unwrap();
        check(&disk);
    }
}

#[test]
fn all_kinds_of_inodes_survive_a_remount() {
    for options in VARIANTS {
        let disk = make_disk(8192, options);
        let fs = mount(&disk);
        let long_target = vec![b't'; 800];
        let device = DeviceNumber { major: 259, minor: 70000 };
        fs.make("/dir", NewKind::Directory).unwrap();
        fs.put("/dir/file", b"hello").unwrap();
        fs.make("/dir/short", NewKind::Symlink(b"file")).unwrap();
        fs.make("/dir/limit", NewKind::Symlink(&[b'x'; 59])).unwrap();
        fs.make("/dir/above", NewKind::Symlink(&[b'x'; 60])).unwrap();
        fs.make("/dir/long", NewKind::Symlink(&long_target)).unwrap();
        fs.make("/tty", NewKind::CharDevice(DeviceNumber { major: 4, minor: 1 })).unwrap();
        fs.make("/disk", NewKind::BlockDevice(device)).unwrap();
        fs.make("/pipe", NewKind::Fifo).unwrap();
        fs.make("/socket", NewKind::Socket).unwrap();
        let before = fs.tree();
        fs.unmount().unwrap();
        check(&disk);
        let fs = mount(&disk);
        assert!(fs.was_clean());
        assert_eq!(fs.tree(), before);
        assert_eq!(fs.walk("/disk").unwrap().device, Some(device));
        assert_eq!(fs.tree()["/dir/long"], (FileKind::Symlink, long_target));
        assert_eq!(fs.tree()["/dir/file"].1, b"hello");
    }
}

#[test]
fn attributes_survive_a_remount() {
    for options in VARIANTS {
        let disk = make_disk(8192, options);
        let fs = mount(&disk);
        let ino = fs.put("/file", b"x").unwrap();
        let time = Timestamp { seconds: 1_800_000_000, nanoseconds: 123_456_789 };
        let changes = SetAttributes {
            permissions: Some(0o6751),
            uid: Some(70_001),
            gid: Some(80_002),
            accessed: Some(time),
            modified: Some(time),
            flags: None,
        };
        let set = fs.set_attributes(ino, &changes).unwrap();
        fs.unmount().unwrap();
        check(&disk);
        let fs = mount(&disk);
        let read = fs.walk("/file").unwrap();
        assert_eq!((read.permissions, read.uid, read.gid), (0o6751, 70_001, 80_002));
        assert_eq!(read.modified.seconds, time.seconds);
        if read.created.is_some() {
            assert_eq!(read, set);
            assert_eq!((read.accessed, read.modified), (time, time));
        }
    }
}

#[test]
fn default_image_has_nanoseconds() {
    let disk = make_disk(8192, VARIANTS[0]);
    let fs = mount(&disk);
    fs.put("/file", b"x").unwrap();
    let created = fs.walk("/file").unwrap().created.expect("inodes of 256 bytes hold the creation time");
    assert_eq!(created.nanoseconds, 5000);
}

#[test]
fn host_tools_read_what_was_written() {
    let disk = make_disk(32 << 10, VARIANTS[1]);
    let fs = mount(&disk);
    let mut random = Random(1);
    let contents = [random.bytes(5), random.bytes(300_000), random.bytes(12 * 1024), random.bytes(3_000_001)];
    fs.make("/dir", NewKind::Directory).unwrap();
    for (index, data) in contents.iter().enumerate() {
        fs.put(&format!("/dir/file{index}"), data).unwrap();
    }
    fs.make("/dir/link", NewKind::Symlink(b"file0")).unwrap();
    fs.unmount().unwrap();
    check(&disk);
    let out = Scratch::new();
    debugfs(&disk, &format!("rdump /dir {}\n", out.path().display()));
    for (index, data) in contents.iter().enumerate() {
        assert!(std::fs::read(out.path().join(format!("dir/file{index}"))).unwrap() == *data);
    }
    assert_eq!(std::fs::read_link(out.path().join("dir/link")).unwrap().to_str(), Some("file0"));
}

#[test]
fn what_the_host_wrote_is_read() {
    let source = Scratch::new();
    let mut random = Random(2);
    let big = random.bytes(2_000_000);
    std::fs::create_dir(source.path().join("sub")).unwrap();
    std::fs::write(source.path().join("sub/big"), &big).unwrap();
    std::os::unix::fs::symlink("sub/big", source.path().join("link")).unwrap();
    let folder = source.path().to_str().unwrap();
    for options in VARIANTS {
        let mut options = options.to_vec();
        options.extend(["-d", folder]);
        let disk = make_disk(16 << 10, &options);
        let fs = mount(&disk);
        assert!(fs.get("/sub/big").unwrap() == big);
        assert_eq!(fs.readlink(fs.walk("/link").unwrap().ino).unwrap(), b"sub/big");
        fs.remove("/sub/big").unwrap();
        fs.put("/sub/new", &big).unwrap();
        fs.unmount().unwrap();
        check(&disk);
    }
}

#[test]
fn deleting_everything_restores_the_counts() {
    for options in VARIANTS {
        let disk = make_disk(16 << 10, options);
        let fs = mount(&disk);
        let before = fs.statistics();
        fs.make("/d", NewKind::Directory).unwrap();
        for index in 0..50 {
            fs.put(&format!("/d/{index}"), &vec![1; index * 3000]).unwrap();
        }
        assert_ne!(fs.statistics(), before);
        for index in 0..50 {
            fs.remove(&format!("/d/{index}")).unwrap();
        }
        fs.remove("/d").unwrap();
        assert_eq!(fs.statistics(), before);
        fs.unmount().unwrap();
        assert_eq!(fs.statistics(), before);
        check(&disk);
        assert_eq!(fs.put("/late", b""), Err(Error::ReadOnly));
    }
}

#[test]
fn foreign_attribute_blocks_live_and_die_with_their_inode() {
    let disk = make_disk(8192, VARIANTS[5]);
    let fs = mount(&disk);
    let before = fs.statistics().free_blocks;
    fs.put("/file", b"some").unwrap();
    fs.make("/short", NewKind::Symlink(b"target")).unwrap();
    fs.unmount().unwrap();
    debugfs(&disk, "ea_set /file user.name value\nea_set /short trusted.name value\n");
    check(&disk);
    let fs = mount(&disk);
    assert_eq!(fs.readlink(fs.walk("/short").unwrap().ino).unwrap(), b"target");
    fs.put("/file", &[7; 100_000]).unwrap();
    fs.unmount().unwrap();
    check(&disk);
    assert!(debugfs(&disk, "ea_get /file user.name\n").contains("value"));
    let fs = mount(&disk);
    fs.remove("/file").unwrap();
    fs.remove("/short").unwrap();
    fs.unmount().unwrap();
    check(&disk);
    assert_eq!(fs.statistics().free_blocks, before);
}
