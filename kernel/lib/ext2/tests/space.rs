//! Full disks, and inodes without names.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::*;
use ext2::{BlockFinder, Error, FileSystem, FreeSpace, Ino, Mapping, MountOptions, NewKind, Request, Run};

#[test]
fn a_full_disk_refuses_and_leaks_nothing() {
    for options in VARIANTS {
        let disk = make_disk(4096, options);
        let fs = mount(&disk);
        let before = fs.statistics();
        let ino = fs.make("/file", NewKind::Regular).unwrap();
        let mut size = 0;
        loop {
            match fs.write_at(ino, size, &[size as u8; 10_000]) {
                Ok(length) => size += length as u64,
                Err(error) => break assert_eq!(error, Error::NoSpace),
            }
        }
        assert_eq!(fs.read_inode(ino).unwrap().size, size);
        assert_eq!(fs.statistics().free_blocks, 0);
        assert_eq!(fs.make("/dir", NewKind::Directory), Err(Error::NoSpace));
        assert_eq!(fs.make("/link", NewKind::Symlink(&[b'x'; 500])), Err(Error::NoSpace));
        fs.make("/empty", NewKind::Regular).unwrap();
        fs.unmount().unwrap();
        check(&disk);
        let fs = mount(&disk);
        assert_eq!(fs.read_inode(ino).unwrap().size, size);
        fs.remove("/file").unwrap();
        fs.remove("/empty").unwrap();
        assert_eq!(fs.statistics(), before);
        // The freed blocks still wait for a sync; whoever needs them gets them nevertheless.
        fs.put("/again", &vec![1; size as usize]).unwrap();
        fs.unmount().unwrap();
        check(&disk);
    }
}

#[test]
fn names_that_find_no_room_leave_no_trace() {
    let disk = make_disk(2048, &["-t", "ext2", "-b", "1024", "-N", "1024"]);
    let fs = mount(&disk);
    let dir = fs.make("/dir", NewKind::Directory).unwrap();
    let ino = fs.put("/dir/fill", b"").unwrap();
    let mut size = 0;
    while let Ok(length) = fs.write_at(ino, size, &[1; 1024]) {
        size += length as u64;
    }
    let mut made = 0;
    let error = loop {
        match fs.create(dir, format!("{made:0200}").as_bytes(), &new(NewKind::Fifo)) {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, Error::NoSpace);
    assert_eq!(fs.list("/dir").unwrap().len(), made + 1);
    let moved = fs.rename(dir, b"fill", dir, &[b'y'; 255], ext2::RenameMode::Replace);
    assert_eq!(moved, Err(Error::NoSpace));
    assert_eq!(fs.link(ino, dir, &[b'y'; 255]), Err(Error::NoSpace));
    assert_eq!(fs.read_inode(ino).unwrap().links, 1);
    fs.unmount().unwrap();
    check(&disk);
}

#[test]
fn inodes_run_out_and_come_back() {
    let disk = make_disk(4096, &["-t", "ext2", "-b", "1024", "-N", "64"]);
    let fs = mount(&disk);
    let before = fs.statistics();
    for round in 0..3 {
        let mut made = 0;
        let error = loop {
            match fs.make(&format!("/{round}-{made}"), NewKind::Regular) {
                Ok(_) => made += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error, Error::NoSpace);
        assert_eq!(made, before.free_inodes);
        for index in 0..made {
            fs.remove(&format!("/{round}-{index}")).unwrap();
        }
    }
    assert_eq!(fs.statistics().free_inodes, before.free_inodes);
    fs.unmount().unwrap();
    check(&disk);
}

struct OrdinaryUser(Box<dyn ext2::Context>);

impl ext2::Context for OrdinaryUser {
    fn now(&self) -> ext2::Timestamp {
        self.0.now()
    }

    fn may_use_reserved_blocks(&self) -> bool {
        false
    }
}

#[test]
fn the_last_blocks_are_for_root() {
    let disk = make_disk(8192, &["-t", "ext2", "-b", "1024", "-m", "10"]);
    let context = Box::new(OrdinaryUser(clock()));
    let fs: Ext2 = FileSystem::mount(disk.clone(), StdLocks, context, MountOptions::default()).unwrap();
    let ino = fs.make("/file", NewKind::Regular).unwrap();
    let mut size = 0;
    while let Ok(length) = fs.write_at(ino, size, &[1; 1024]) {
        size += length as u64;
    }
    let left = fs.statistics();
    assert_eq!(left.available_blocks, 0);
    assert!((819..=822).contains(&left.free_blocks), "{}", left.free_blocks);
    fs.unmount().unwrap();
    check(&disk);
}

/// The strategy with the least sense: the first free block of the disk.
struct FirstFit;

impl BlockFinder for FirstFit {
    fn find(&self, space: &mut dyn FreeSpace, _: Request) -> Result<Option<Run>, Error> {
        for group in 0..space.group_count() {
            let (start, length) = (space.group_start(group), space.group_length(group));
            let bits = space.bitmap(group)?;
            if let Some(bit) = (0..length).find(|&bit| bits[bit as usize / 8] & 1 << (bit % 8) == 0) {
                return Ok(Some(Run { start: start + bit, length: 1 }));
            }
        }
        Ok(None)
    }
}

#[test]
fn another_block_finder_can_be_put_in() {
    let disk = make_disk(4096, VARIANTS[1]);
    let options = MountOptions { finder: Some(Box::new(FirstFit)), ..MountOptions::default() };
    let fs: Ext2 = FileSystem::mount(disk.clone(), StdLocks, clock(), options).unwrap();
    fs.put("/file", &[3; 100_000]).unwrap();
    fs.unmount().unwrap();
    check(&disk);
}

#[test]
fn an_open_file_outlives_its_name() {
    let disk = make_disk(8192, VARIANTS[0]);
    let fs = mount(&disk);
    let before = fs.statistics();
    let ino = fs.put("/file", &[5; 50_000]).unwrap();
    let unlinked = fs.unlink(Ino::ROOT, b"file").unwrap();
    assert!(unlinked.is_last);
    fs.sync().unwrap();
    let mut buffer = vec![0; 50_000];
    assert_eq!(fs.read_at(ino, 0, &mut buffer), Ok(50_000));
    assert_eq!(fs.write_at(ino, 50_000, &[6; 50_000]), Ok(50_000));
    fs.drop_inode(ino).unwrap();
    assert_eq!(fs.read_inode(ino), Err(Error::NotFound));
    assert_eq!(fs.write_at(ino, 0, b"x"), Err(Error::NotFound));
    assert_eq!(fs.statistics(), before);
    fs.unmount().unwrap();
    check(&disk);
}

#[test]
fn orphans_of_a_crash_are_deleted_by_the_next_mount() {
    for options in VARIANTS {
        let disk = make_disk(8192, options);
        let fs = mount(&disk);
        let before = fs.statistics();
        for index in 0..10 {
            let path = format!("/{index}");
            fs.put(&path, &vec![1; index * 10_000]).unwrap();
        }
        fs.make("/dir", NewKind::Directory).unwrap();
        let removed: Vec<Ino> =
            (0..10).map(|index| fs.unlink(Ino::ROOT, format!("{index}").as_bytes()).unwrap().ino).collect();
        let dir = fs.rmdir(Ino::ROOT, b"dir").unwrap();
        assert_eq!(fs.create(dir.ino, b"x", &new(NewKind::Fifo)).map(|_| ()), Err(Error::NotFound));
        // Some from the middle and both ends of the list go properly.
        for index in [0, 4, 9] {
            fs.drop_inode(removed[index]).unwrap();
        }
        fs.sync().unwrap();
        drop(fs);
        let (repaired, said) = repair(&disk.copy());
        assert!(said.contains("orphaned inode") && !said.contains("zero dtime"), "{said}");
        check(&Disk::new(repaired));
        let fs = mount(&disk);
        assert_eq!(fs.was_clean(), fs.has_journal());
        assert_eq!(fs.statistics(), before);
        assert_eq!(fs.fault(), None);
        fs.unmount().unwrap();
        // Without a journal it was not clean before, so it does not become clean; but nothing is wrong with it.
        let (_, said) = repair(&disk.copy());
        assert!(!said.contains("orphan") && !said.contains("Fix? yes"), "{said}");
    }
}

#[test]
fn unmounting_deletes_what_is_still_open() {
    let disk = make_disk(8192, VARIANTS[0]);
    let fs = mount(&disk);
    fs.put("/file", &[1; 10_000]).unwrap();
    let _ = fs.unlink(Ino::ROOT, b"file").unwrap();
    fs.unmount().unwrap();
    check(&disk);
}

#[test]
fn freed_blocks_are_not_overwritten_before_the_disk_knows() {
    let disk = make_disk(4096, VARIANTS[1]);
    let fs = mount(&disk);
    let ino = fs.put("/old", &[1; 1_000_000]).unwrap();
    fs.sync().unwrap();
    let mut places = Vec::new();
    let mut file_block = 0;
    while let Mapping::Data(run) = fs.map_blocks(ino, file_block, u32::MAX).unwrap() {
        places.push(u64::from(run.start) * 1024..u64::from(run.end()) * 1024);
        file_block += u64::from(run.length);
    }
    disk.record();
    fs.remove("/old").unwrap();
    fs.put("/new", &[2; 1_500_000]).unwrap();
    let overwrites = |event: &Event| match event {
        Event::Write(offset, data) => {
            places.iter().any(|place| place.start < offset + data.len() as u64 && *offset < place.end)
        }
        Event::Flush => false,
    };
    let events = disk.take_record();
    assert!(!events.iter().any(overwrites));
    disk.record();
    fs.put("/more", &[3; 1_500_000]).unwrap();
    let events = disk.take_record();
    let first = events.iter().position(overwrites).expect("there is no other room");
    assert!(events[..first].iter().any(|event| matches!(event, Event::Flush)));
    fs.unmount().unwrap();
    check(&disk);
}

#[test]
fn a_nameless_file_can_get_a_name() {
    let disk = make_disk(8192, VARIANTS[0]);
    let fs = mount(&disk);
    let named = fs.create_unnamed(Ino::ROOT, &new(NewKind::Regular)).unwrap().ino;
    let lost = fs.create_unnamed(Ino::ROOT, &new(NewKind::Regular)).unwrap().ino;
    fs.write_at(named, 0, b"text").unwrap();
    fs.write_at(lost, 0, b"text").unwrap();
    fs.link(named, Ino::ROOT, b"name").unwrap();
    fs.drop_inode(named).unwrap();
    fs.drop_inode(lost).unwrap();
    assert_eq!(fs.get("/name").unwrap(), b"text");
    fs.unmount().unwrap();
    check(&disk);
}
