//! Broken images: whatever the bytes, an answer, no panic, no hang. EXT2_IMAGES sets how many of each sort are tried.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use common::*;
use ext2::{Error, FileKind, FileSystem, Ino, MountOptions, NewKind, RenameMode, Seek, XattrMode};

/// A small image with something of everything.
fn victim(options: &[&str]) -> Vec<u8> {
    let has_journal = options.contains(&"ext3");
    let disk = make_disk(if has_journal { 4096 } else { 2048 }, options);
    let fs = mount(&disk);
    for dir in ["/a", "/a/b", "/c"] {
        fs.make(dir, NewKind::Directory).unwrap();
    }
    fs.put("/a/big", &[1; 400_000]).unwrap();
    fs.put("/a/b/small", b"small").unwrap();
    fs.make("/a/link", NewKind::Symlink(b"b/small")).unwrap();
    fs.make("/a/slow", NewKind::Symlink(&[b'l'; 100])).unwrap();
    for index in 0..60 {
        fs.make(&format!("/c/with a long name, so that blocks fill {index}"), NewKind::Fifo).unwrap();
    }
    for path in ["/a/big", "/a/b", "/a/link"] {
        let ino = fs.walk(path).unwrap().ino;
        match fs.set_xattr(ino, b"security.name", path.as_bytes(), XattrMode::Any) {
            Ok(()) | Err(Error::NotSupported) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    // A journal is to have something in it.
    if has_journal {
        fs.sync().unwrap()
    } else {
        fs.unmount().unwrap()
    }
    disk.copy()
}

/// Visits everything that can be reached, with a limit for cycles.
fn walk(fs: &Ext2) -> Vec<(Ino, Vec<u8>, Ino, FileKind)> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::from([Ino::ROOT]);
    let mut todo = vec![Ino::ROOT];
    while let Some(dir) = todo.pop() {
        let mut names = Vec::new();
        let _ = fs.read_dir(dir, 0, &mut |entry| {
            names.push(entry.name.to_vec());
            if names.len() < 10_000 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        for name in names {
            let Ok(attributes) = fs.lookup(dir, &name) else { continue };
            if name == b"." || name == b".." {
                continue;
            }
            let mut buffer = [0; 3000];
            let _ = fs.read_at(attributes.ino, 0, &mut buffer);
            let _ = fs.read_at(attributes.ino, attributes.size.saturating_sub(3000), &mut buffer);
            let _ = fs.read_at(attributes.ino, attributes.size / 2, &mut buffer);
            let _ = fs.readlink(attributes.ino);
            let _ = fs.xattr_names(attributes.ino);
            let _ = fs.xattr(attributes.ino, b"security.name");
            let _ = fs.map_blocks(attributes.ino, 300, 10);
            if attributes.size < 1 << 20 {
                let _ = fs.seek(attributes.ino, 0, Seek::Hole);
            }
            if attributes.kind == FileKind::Directory && seen.insert(attributes.ino) {
                todo.push(attributes.ino);
            }
            found.push((dir, name, attributes.ino, attributes.kind));
        }
    }
    found
}

/// Changes what can be changed.
fn trample(fs: &Ext2, random: &mut Random) {
    let found = walk(fs);
    let _ = fs.create(Ino::ROOT, b"new", &new(NewKind::Directory));
    for (dir, name, ino, kind) in &found {
        let (other_dir, other_name, ..) = &found[random.below(found.len() as u64) as usize];
        let unlinked = match random.below(10) {
            8 => fs.set_xattr(*ino, b"user.new", &[3; 50], XattrMode::Any).map(|()| None),
            9 => fs.remove_xattr(*ino, b"security.name").map(|()| None),
            0 => fs.write_at(*ino, random.below(500_000), &[9; 5000]).map(|_| None),
            1 => fs.truncate(*ino, random.below(500_000)).map(|()| None),
            2 => fs.create(*dir, b"another", &new(NewKind::Directory)).map(|_| None),
            3 => fs.rename(*dir, name, *other_dir, other_name, RenameMode::Replace),
            4 => fs.rename(*dir, name, *other_dir, b"moved", RenameMode::Exchange),
            5 => fs.link(*ino, *other_dir, b"linked").map(|_| None),
            _ if *kind == FileKind::Directory => fs.rmdir(*dir, name).map(Some),
            _ => fs.unlink(*dir, name).map(Some),
        };
        if let Ok(Some(unlinked)) = unlinked
            && unlinked.is_last
        {
            let _ = fs.drop_inode(unlinked.ino);
        }
    }
    let _ = fs.sync();
    walk(fs);
    let _ = fs.unmount();
}

/// Where the metadata of the image is: what damage to it does is of interest.
fn metadata(image: &[u8]) -> Vec<usize> {
    let block_size = 1024 << image[1024 + 24];
    let in_use: Vec<usize> = image
        .chunks(block_size)
        .enumerate()
        // File contents are all ones.
        .filter(|(_, block)| block.iter().any(|&byte| byte > 1))
        .map(|(index, _)| index * block_size)
        .collect();
    in_use
}

/// Tries damaged images; true if enough of them were good enough to mount.
fn torture(options: &[&str], first_seed: u64) -> bool {
    let count =
        std::env::var("EXT2_IMAGES").map_or(250, |value| value.parse().expect("EXT2_IMAGES is a number"));
    let image = victim(options);
    let block_size = 1024usize << image[1024 + 24];
    let metadata = metadata(&image);
    let mut mounted = 0;
    for seed in first_seed..first_seed + count {
        let mut random = Random(seed);
        let mut bytes = image.clone();
        for _ in 0..1 + random.below(20) {
            let block = metadata[random.below(metadata.len() as u64) as usize];
            let offset = block + random.below(block_size as u64) as usize;
            match random.below(3) {
                0 => bytes[offset] ^= 1 << random.below(8),
                1 => bytes[offset] = random.next() as u8,
                _ => {
                    // A number that could be a block or an inode.
                    let value = random.below(2100) as u32;
                    bytes[offset & !3..][..4].copy_from_slice(&value.to_le_bytes());
                }
            }
        }
        let mount = FileSystem::mount(Disk::new(bytes), StdLocks, clock(), MountOptions::default());
        if let Ok(fs) = mount {
            trample(&fs, &mut random);
            mounted += 1;
        }
    }
    mounted > count / 4
}

#[test]
fn random_damage_to_small_blocks_is_survived() {
    assert!(torture(&["-t", "ext2", "-b", "1024", "-N", "128"], 0));
}

#[test]
fn random_damage_to_large_blocks_is_survived() {
    assert!(torture(&["-t", "ext2", "-b", "4096", "-N", "128"], 1 << 32));
}

#[test]
fn random_damage_to_old_images_is_survived() {
    assert!(torture(&["-t", "ext2", "-r", "0", "-b", "1024", "-N", "128", "-O", "none"], 2 << 32));
}

#[test]
fn random_damage_to_journaled_images_is_survived() {
    assert!(torture(&["-t", "ext3", "-b", "1024", "-N", "128"], 3 << 32));
}

#[test]
fn trees_that_contain_themselves_are_deleted_once() {
    let disk = make_disk(8192, &["-t", "ext2", "-b", "1024"]);
    let fs = mount(&disk);
    let ino = fs.put("/loop", &[1; 3_000_000]).unwrap();
    fs.unmount().unwrap();
    // The double indirect block gets itself as every pointer, and the triple points to it as well.
    let stat = debugfs(&disk, "stat /loop\n");
    let block: u32 = stat.split("(DIND):").nth(1).unwrap().split(',').next().unwrap().trim().parse().unwrap();
    disk.patch(block as usize * 1024, &block.to_le_bytes().repeat(256));
    debugfs(&disk, &format!("set_inode_field /loop block[TIND] {block}\n"));
    let fs = mount(&disk);
    let _ = fs.read_at(ino, 1 << 20, &mut [0; 100_000]);
    let unlinked = fs.unlink(Ino::ROOT, b"loop").unwrap();
    assert!(matches!(fs.drop_inode(unlinked.ino), Err(Error::Corrupt(_))));
    fs.unmount().unwrap();
    repair(&disk.copy());
}

#[test]
fn directories_in_a_cycle_are_noticed() {
    let disk = make_disk(8192, &["-t", "ext2", "-b", "1024"]);
    let fs = mount(&disk);
    fs.make("/a", NewKind::Directory).unwrap();
    fs.make("/a/b", NewKind::Directory).unwrap();
    fs.make("/z", NewKind::Directory).unwrap();
    let a = fs.walk("/a").unwrap().ino;
    let b = fs.walk("/a/b").unwrap().ino;
    let z = fs.walk("/z").unwrap().ino;
    fs.unmount().unwrap();
    debugfs(&disk, "unlink /a/..\nlink /a/b /a/..\nlink /a /a/self\nlink /a /a/b/up\n");
    let fs = mount(&disk);
    assert!(matches!(fs.lookup(Ino::ROOT, b"a"), Err(Error::Corrupt(_))));
    assert!(matches!(fs.rename(b, b"x", z, b"y", RenameMode::Replace), Err(Error::Corrupt(_))));
    assert!(matches!(fs.rmdir(a, b"self"), Err(Error::Corrupt(_))));
    assert!(fs.lookup(b, b"up").is_ok(), "its .. says so");
    let (_, said) = repair(&disk.copy());
    assert!(!said.is_empty());
}

#[test]
fn broken_orphan_lists_end() {
    let disk = make_disk(8192, &["-t", "ext2", "-b", "1024"]);
    let fs = mount(&disk);
    for index in 0..5 {
        fs.put(&format!("/{index}"), b"text").unwrap();
    }
    let inos: Vec<Ino> =
        (0..5).map(|index| fs.unlink(Ino::ROOT, format!("{index}").as_bytes()).unwrap().ino).collect();
    fs.sync().unwrap();
    drop(fs);
    let image = disk.copy();
    for next in [inos[3].get(), 1, 2, 8, 60_000, u32::MAX] {
        let disk = Disk::new(image.clone());
        debugfs(&disk, &format!("set_inode_field <{}> dtime 0x{next:x}\n", inos[0].get()));
        let fs = mount(&disk);
        assert!(fs.fault().is_some(), "{next}");
        fs.put("/works", b"still").unwrap();
        fs.unmount().unwrap();
        repair(&disk.copy());
    }
}
