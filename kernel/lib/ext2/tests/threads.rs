//! Several threads at once: no deadlock, no lost update, a consistent disk.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::*;
use ext2::{Error, Ino, NewKind, RenameMode};

#[test]
fn threads_work_side_by_side() {
    let disk = make_disk(64 << 10, &["-t", "ext2", "-b", "1024"]);
    let fs = mount(&disk);
    let shared = fs.make("/shared", NewKind::Regular).unwrap();
    for index in 0..4 {
        fs.make(&format!("/d{index}"), NewKind::Directory).unwrap();
    }
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let fs = &fs;
            scope.spawn(move || {
                let mut random = Random(thread);
                for step in 0..150 {
                    let path = format!("/d{}/t{thread}-{step}", random.below(4));
                    let length = random.below(30_000) as usize;
                    let data = random.bytes(length);
                    fs.put(&path, &data).unwrap();
                    assert!(fs.get(&path).unwrap() == data);
                    fs.write_at(shared, (thread * 150 + step) * 100, &[thread as u8 + 1; 100]).unwrap();
                    if step % 3 == 0 {
                        fs.remove(&path).unwrap();
                    }
                    if step % 40 == 0 {
                        fs.sync().unwrap();
                    }
                }
            });
        }
    });
    let contents = fs.get("/shared").unwrap();
    assert_eq!(contents.len(), 60_000);
    for (index, bytes) in contents.chunks(15_000).enumerate() {
        assert!(bytes.iter().all(|&byte| byte == index as u8 + 1));
    }
    fs.unmount().unwrap();
    check(&disk);
}

#[test]
fn directories_move_about_without_deadlock() {
    let disk = make_disk(16 << 10, &["-t", "ext2", "-b", "1024"]);
    let fs = mount(&disk);
    let mut dirs = vec![Ino::ROOT];
    for index in 0..6 {
        dirs.push(fs.make(&format!("/d{index}"), NewKind::Directory).unwrap());
    }
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let (fs, dirs) = (&fs, &dirs);
            scope.spawn(move || {
                let mut random = Random(100 + thread);
                for _ in 0..2000 {
                    let (from, to) = (dirs[random.below(7) as usize], dirs[random.below(7) as usize]);
                    let name = |random: &mut Random| format!("d{}", random.below(6)).into_bytes();
                    let (old, new_name) = (name(&mut random), name(&mut random));
                    let outcome = match random.below(5) {
                        0 => fs.rename(from, &old, to, &new_name, RenameMode::Exchange).map(|_| ()),
                        1 => fs.lookup(from, &old).map(|_| ()),
                        2 => match fs.create(from, b"temporary", &new(NewKind::Directory)) {
                            Ok(_) | Err(Error::Exists) => {
                                fs.rmdir(from, b"temporary").and_then(|unlinked| fs.drop_inode(unlinked.ino))
                            }
                            Err(error) => Err(error),
                        },
                        _ => fs.rename(from, &old, to, &new_name, RenameMode::KeepExisting).map(|_| ()),
                    };
                    let is_expected = matches!(
                        outcome,
                        Ok(())
                            | Err(Error::NotFound | Error::Exists | Error::InvalidArgument | Error::NotEmpty)
                    );
                    assert!(is_expected, "{outcome:?}");
                }
            });
        }
    });
    assert_eq!(fs.fault(), None);
    let directories = fs.tree().len();
    assert_eq!(directories, 7 + fs.tree().keys().filter(|path| path.ends_with("temporary")).count());
    fs.unmount().unwrap();
    check(&disk);
}
