//! Directories: growth, order, cursors, hash trees made elsewhere.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use common::*;
use ext2::{Error, Ino, NewKind};

#[test]
fn thousands_of_names_come_and_go() {
    for options in [VARIANTS[1], VARIANTS[4]] {
        let disk = make_disk(32 << 10, &[options, &["-N", "8192"]].concat());
        let fs = mount(&disk);
        let dir = fs.make("/dir", NewKind::Directory).unwrap();
        let name = |index: usize| format!("name-{index}-{}", "x".repeat(index % 40));
        for index in 0..5000 {
            fs.make(&format!("/dir/{}", name(index)), NewKind::Regular).unwrap();
        }
        assert_eq!(fs.list("/dir").unwrap().len(), 5000);
        for index in (0..5000).step_by(2) {
            fs.remove(&format!("/dir/{}", name(index))).unwrap();
        }
        fs.unmount().unwrap();
        check(&disk);
        let fs = mount(&disk);
        let size = fs.read_inode(dir).unwrap().size;
        for index in 0..5000 {
            let found = fs.lookup(dir, name(index).as_bytes());
            assert_eq!(found.is_ok(), index % 2 == 1, "{index}");
        }
        for index in (0..5000).step_by(2) {
            fs.make(&format!("/dir/{}", name(index)), NewKind::Regular).unwrap();
        }
        let now = fs.read_inode(dir).unwrap().size;
        // In an index, a name's place is the room in one leaf.
        assert!(now <= size + size / 4, "the room is used again: {size} bytes, then {now}");
        assert_eq!(fs.rmdir(Ino::ROOT, b"dir"), Err(Error::NotEmpty));
        for index in 0..5000 {
            fs.remove(&format!("/dir/{}", name(index))).unwrap();
        }
        fs.remove("/dir").unwrap();
        fs.unmount().unwrap();
        check(&disk);
    }
}

#[test]
fn cursors_stay_good_while_names_change() {
    let disk = make_disk(8192, VARIANTS[1]);
    let fs = mount(&disk);
    let dir = fs.make("/dir", NewKind::Directory).unwrap();
    for index in 0..200 {
        fs.make(&format!("/dir/stays{index}"), NewKind::Fifo).unwrap();
        fs.make(&format!("/dir/goes{index}"), NewKind::Fifo).unwrap();
    }
    let mut seen = Vec::new();
    let mut cursor = 0;
    for round in 0.. {
        let before = seen.len();
        cursor = fs
            .read_dir(dir, cursor, &mut |entry| {
                if seen.len() == before + 3 {
                    return ControlFlow::Break(());
                }
                seen.push(String::from_utf8(entry.name.to_vec()).unwrap());
                ControlFlow::Continue(())
            })
            .unwrap();
        if seen.len() == before {
            break;
        }
        if round < 200 {
            fs.remove(&format!("/dir/goes{round}")).unwrap();
            fs.make(&format!("/dir/new{round}"), NewKind::Fifo).unwrap();
        }
    }
    for index in 0..200 {
        let name = format!("stays{index}");
        assert_eq!(seen.iter().filter(|seen| **seen == name).count(), 1, "{name}");
    }
    fs.unmount().unwrap();
    check(&disk);
}

#[test]
fn hash_trees_made_elsewhere_are_read_and_kept_right() {
    let source = Scratch::new();
    let names: BTreeSet<String> = (0..2000).map(|index| format!("file number {index}")).collect();
    for name in &names {
        std::fs::write(source.path().join(name), name).unwrap();
    }
    let scratch = Scratch::new();
    let path = scratch.path().join("image");
    let options = ["-t", "ext2", "-b", "1024", "-N", "4096", "-d", source.path().to_str().unwrap()];
    store(&make_image(16 << 10, &options), &path);
    // e2fsck -D builds the trees.
    let output = tool("e2fsck", &["-fyD", path.to_str().unwrap()]);
    assert!(matches!(output.status.code(), Some(0 | 1)));
    let disk = Disk::new(std::fs::read(&path).unwrap());
    assert!(debugfs(&disk, "htree_dump /\n").contains("Root node dump"), "the image has a tree");
    let fs = mount(&disk);
    let listed: BTreeSet<String> =
        fs.list("/").unwrap().into_iter().filter(|name| name != "lost+found").collect();
    assert_eq!(listed, names);
    for name in names.iter().take(500) {
        assert_eq!(fs.get(&format!("/{name}")).unwrap(), name.as_bytes());
    }
    for name in names.iter().step_by(3) {
        fs.remove(&format!("/{name}")).unwrap();
    }
    fs.unmount().unwrap();
    check(&disk);
    assert!(debugfs(&disk, "htree_dump /\n").contains("Root node dump"), "removals keep the tree");
    let fs = mount(&disk);
    for name in names.iter().step_by(3) {
        fs.put(&format!("/{name}"), b"again").unwrap();
    }
    fs.unmount().unwrap();
    check(&disk);
    assert!(debugfs(&disk, "htree_dump /\n").contains("Root node dump"), "insertions keep the tree");
}

#[test]
fn impossible_names_are_refused() {
    let disk = make_disk(8192, VARIANTS[0]);
    let fs = mount(&disk);
    let make = |name: &[u8]| fs.create(Ino::ROOT, name, &new(NewKind::Regular)).map(|_| ());
    assert_eq!(make(b""), Err(Error::InvalidArgument));
    assert_eq!(make(b"."), Err(Error::InvalidArgument));
    assert_eq!(make(b"a/b"), Err(Error::InvalidArgument));
    assert_eq!(make(b"a\0b"), Err(Error::InvalidArgument));
    assert_eq!(make(&[b'n'; 256]), Err(Error::NameTooLong));
    assert_eq!(make(&[b'n'; 255]), Ok(()));
    assert_eq!(make(b"\xff\xfe not text"), Ok(()));
    assert_eq!(make(b"\xff\xfe not text"), Err(Error::Exists));
    let file = fs.walk("/lost+found").unwrap();
    assert_eq!(fs.lookup(file.ino, b"..").unwrap().ino, Ino::ROOT);
    fs.put("/file", b"").unwrap();
    assert_eq!(fs.lookup(fs.walk("/file").unwrap().ino, b"x"), Err(Error::NotDirectory));
    assert_eq!(fs.rmdir(Ino::ROOT, b"."), Err(Error::InvalidArgument));
    assert_eq!(fs.rmdir(Ino::ROOT, b".."), Err(Error::NotEmpty));
    fs.unmount().unwrap();
    check(&disk);
}

#[test]
fn deep_trees_work() {
    let disk = make_disk(16 << 10, VARIANTS[1]);
    let fs = mount(&disk);
    let mut path = String::new();
    for depth in 0..300 {
        path = format!("{path}/d{depth}");
        fs.make(&path, NewKind::Directory).unwrap();
    }
    fs.put(&format!("{path}/leaf"), b"deep").unwrap();
    let top = fs.walk("/d0").unwrap().ino;
    let bottom = fs.walk(&path).unwrap().ino;
    let into_itself = fs.rename(Ino::ROOT, b"d0", bottom, b"loop", ext2::RenameMode::Replace);
    assert_eq!(into_itself, Err(Error::InvalidArgument));
    assert_eq!(fs.rename(top, b"d1", Ino::ROOT, b"moved", ext2::RenameMode::Replace), Ok(None));
    assert_eq!(fs.get(&format!("/moved{}/leaf", &path["/d0/d1".len()..])).unwrap(), b"deep");
    fs.unmount().unwrap();
    check(&disk);
}

#[test]
fn link_counts_have_a_limit() {
    let disk = make_disk(64 << 10, &["-t", "ext2", "-b", "1024", "-N", "33000"]);
    let fs = mount(&disk);
    let ino = fs.put("/file", b"").unwrap();
    let dir = fs.make("/dir", NewKind::Directory).unwrap();
    for index in 1..32000 {
        fs.link(ino, dir, format!("{index}").as_bytes()).unwrap();
    }
    assert_eq!(fs.link(ino, dir, b"one too many"), Err(Error::TooManyLinks));
    assert_eq!(fs.read_inode(ino).unwrap().links, 32000);
    fs.unmount().unwrap();
    check(&disk);
}
