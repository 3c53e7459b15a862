//! Contents of files: all heights of the block map, holes, sizes, truncation, contiguity.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::*;
use ext2::{Error, Ino, Mapping, NewKind, Run, Seek};

/// What a large file contains at an offset.
fn pattern(offset: u64, length: usize) -> Vec<u8> {
    (0..length as u64).map(|index| (((offset + index) * 0x9e37_79b9) >> 13) as u8).collect()
}

#[test]
fn large_file_reaches_triple_indirect_blocks() {
    let disk = make_disk(100 << 10, &["-t", "ext2", "-b", "1024"]);
    let fs = mount(&disk);
    let free = fs.statistics().free_blocks;
    let size = 80 << 20;
    let ino = fs.make("/big", NewKind::Regular).unwrap();
    let chunk = 123_457;
    for offset in (0..size).step_by(chunk) {
        let length = chunk.min((size - offset) as usize);
        assert_eq!(fs.write_at(ino, offset, &pattern(offset, length)).unwrap(), length);
    }
    fs.unmount().unwrap();
    check(&disk);
    let fs = mount(&disk);
    let mut buffer = vec![0; 1 << 20];
    for offset in (0..size).step_by(buffer.len()) {
        let length = fs.read_at(ino, offset, &mut buffer).unwrap();
        assert!(buffer[..length] == pattern(offset, length), "at {offset}");
    }
    for keep in [70 << 20, (67 << 20) + 17, 300_000, 13_000, 12 * 1024, 5000, 0] {
        fs.truncate(ino, keep).unwrap();
        assert!(fs.get("/big").unwrap() == pattern(0, keep as usize));
        fs.sync().unwrap();
    }
    fs.unmount().unwrap();
    check(&disk);
    assert_eq!(fs.statistics().free_blocks, free);
}

#[test]
fn sparse_writes_at_every_height_leave_holes() {
    for options in [VARIANTS[1], VARIANTS[3], VARIANTS[4]] {
        let disk = make_disk(16 << 10, options);
        let fs = mount(&disk);
        let free = fs.statistics().free_blocks;
        let ino = fs.make("/sparse", NewKind::Regular).unwrap();
        let is_old = options.contains(&"0");
        let places: &[u64] = if is_old {
            &[5000, 20_000, 500_000, 100 << 20]
        } else {
            &[5000, 20_000, 500_000, 100 << 20, 5 << 30]
        };
        for &place in places.iter().rev() {
            assert_eq!(fs.write_at(ino, place, b"here").unwrap(), 4);
        }
        fs.unmount().unwrap();
        check(&disk);
        let fs = mount(&disk);
        let size = fs.read_inode(ino).unwrap().size;
        assert_eq!(size, places.last().unwrap() + 4);
        let mut position = 0;
        for &place in places {
            let data = fs.seek(ino, position, Seek::Data).unwrap().unwrap();
            let hole = fs.seek(ino, data, Seek::Hole).unwrap().unwrap();
            assert!(data <= place && hole >= place + 4 && hole - data <= 4096);
            let mut buffer = vec![1; (hole - data) as usize];
            let length = fs.read_at(ino, data, &mut buffer).unwrap();
            let mut expected = vec![0; length];
            expected[(place - data) as usize..][..4].copy_from_slice(b"here");
            assert!(buffer[..length] == expected);
            position = hole;
        }
        assert_eq!(fs.seek(ino, position, Seek::Data).unwrap(), None);
        assert_eq!(fs.seek(ino, size, Seek::Hole).unwrap(), None);
        assert!(fs.read_inode(ino).unwrap().sectors < 100);
        fs.truncate(ino, 0).unwrap();
        fs.unmount().unwrap();
        check(&disk);
        assert_eq!(fs.statistics().free_blocks, free);
    }
}

#[test]
fn sizes_beyond_the_limits_are_refused() {
    let disk = make_disk(8192, VARIANTS[4]);
    let fs = mount(&disk);
    let ino = fs.make("/old", NewKind::Regular).unwrap();
    assert_eq!(fs.truncate(ino, 1 << 31), Err(Error::FileTooLarge));
    assert_eq!(fs.write_at(ino, (1 << 31) - 1, b"x"), Err(Error::FileTooLarge));
    assert_eq!(fs.write_at(ino, (1 << 31) - 2, b"xx"), Ok(1));
    fs.unmount().unwrap();
    check(&disk);

    let disk = make_disk(8192, VARIANTS[1]);
    let fs = mount(&disk);
    let ino = fs.make("/new", NewKind::Regular).unwrap();
    assert_eq!(fs.write_at(ino, u64::MAX - 1, b"xx"), Err(Error::FileTooLarge));
    let limit = (12 + 256 + 256 * 256 + 256 * 256 * 256) * 1024;
    assert_eq!(fs.truncate(ino, limit + 1), Err(Error::FileTooLarge));
    assert_eq!(fs.write_at(ino, limit - 1, b"xx"), Ok(1));
    assert_eq!(fs.read_inode(ino).unwrap().size, limit);
    fs.unmount().unwrap();
    check(&disk);
}

#[test]
fn bytes_behind_the_end_stay_zero() {
    for options in VARIANTS {
        let disk = make_disk(8192, options);
        let fs = mount(&disk);
        let ino = fs.put("/file", &[0xff; 3000]).unwrap();
        fs.truncate(ino, 100).unwrap();
        fs.truncate(ino, 2000).unwrap();
        fs.write_at(ino, 2500, b"end").unwrap();
        let mut expected = vec![0; 2503];
        expected[..100].fill(0xff);
        expected[2500..].copy_from_slice(b"end");
        assert!(fs.get("/file").unwrap() == expected);
        fs.unmount().unwrap();
        check(&disk);
    }
}

#[test]
fn rubbish_behind_the_end_does_not_show_when_the_file_grows() {
    let disk = make_disk(8192, &["-t", "ext2", "-b", "4096"]);
    let fs = mount(&disk);
    let ino = fs.put("/file", &[1; 1000]).unwrap();
    let Mapping::Data(run) = fs.map_blocks(ino, 0, 1).unwrap() else { panic!("the file has a block") };
    fs.unmount().unwrap();
    disk.patch(run.start as usize * 4096 + 1000, &[0xee; 3096]);
    let fs = mount(&disk);
    fs.write_at(ino, 1000, b"next").unwrap();
    fs.truncate(ino, 2000).unwrap();
    fs.write_at(ino, 3000, b"end").unwrap();
    let contents = fs.get("/file").unwrap();
    assert!(contents[1004..3000].iter().all(|&byte| byte == 0));
}

#[test]
fn reads_stop_at_the_end() {
    let disk = make_disk(8192, VARIANTS[0]);
    let fs = mount(&disk);
    let ino = fs.put("/file", b"0123456789").unwrap();
    let mut buffer = [0; 100];
    assert_eq!(fs.read_at(ino, 7, &mut buffer), Ok(3));
    assert_eq!(&buffer[..3], b"789");
    assert_eq!(fs.read_at(ino, 10, &mut buffer), Ok(0));
    assert_eq!(fs.read_at(ino, u64::MAX, &mut buffer), Ok(0));
    assert_eq!(fs.read_at(Ino::ROOT, 0, &mut buffer), Err(Error::IsDirectory));
    assert_eq!(fs.write_at(Ino::ROOT, 0, b"x"), Err(Error::IsDirectory));
    assert_eq!(fs.truncate(Ino::ROOT, 0), Err(Error::IsDirectory));
}

/// The runs that a file is made of.
fn runs(fs: &Ext2, ino: Ino) -> Vec<Run> {
    let blocks = fs.read_inode(ino).unwrap().size.div_ceil(u64::from(fs.statistics().block_size));
    let mut runs: Vec<Run> = Vec::new();
    let mut file_block = 0;
    while file_block < blocks {
        match fs.map_blocks(ino, file_block, u32::MAX).unwrap() {
            Mapping::Data(run) => {
                file_block += u64::from(run.length);
                match runs.last_mut() {
                    // Between two runs that touch but for an indirect block or two, the disk does not seek.
                    Some(last) if run.start >= last.end() && run.start <= last.end() + 2 => {
                        last.length = run.end() - last.start;
                    }
                    _ => runs.push(run),
                }
            }
            Mapping::Hole(length) => file_block += length,
        }
    }
    runs
}

#[test]
fn files_that_grow_side_by_side_stay_contiguous() {
    let disk = make_disk(64 << 10, &["-t", "ext2", "-b", "4096"]);
    let fs = mount(&disk);
    let files: Vec<Ino> =
        (0..4).map(|index| fs.make(&format!("/{index}"), NewKind::Regular).unwrap()).collect();
    for step in 0..512 {
        for &ino in &files {
            fs.write_at(ino, step * 4096, &[step as u8; 4096]).unwrap();
        }
    }
    for &ino in &files {
        let runs = runs(&fs, ino);
        assert!(runs.len() <= 512 / 64 + 2, "{} runs", runs.len());
    }
    fs.unmount().unwrap();
    check(&disk);
}

#[test]
fn a_lone_file_is_one_run() {
    let disk = make_disk(64 << 10, &["-t", "ext2", "-b", "4096"]);
    let fs = mount(&disk);
    let ino = fs.put("/file", &vec![1; 20 << 20]).unwrap();
    assert!(runs(&fs, ino).len() <= 2, "{:?}", runs(&fs, ino));
}

#[test]
fn page_cache_can_allocate_and_map_itself() {
    let disk = make_disk(8192, &["-t", "ext2", "-b", "1024"]);
    let fs = mount(&disk);
    let ino = fs.make("/file", NewKind::Regular).unwrap();
    let mut fill = |run: Run| {
        disk.patch(run.start as usize * 1024, &vec![7; run.length as usize * 1024]);
        Ok(())
    };
    assert_eq!(fs.fill_blocks(ino, 0, 4, &mut fill), Err(Error::InvalidArgument));
    fs.truncate(ino, 10_000).unwrap();
    assert!(matches!(fs.map_blocks(ino, 0, 10), Ok(Mapping::Hole(10))));
    let cost = fs.promise_blocks(ino, 4..10, None).unwrap();
    let run = fs.fill_blocks(ino, 4, 100, &mut fill).unwrap();
    fs.end_promise(cost);
    assert_eq!(run.length, 6);
    assert_eq!(fs.map_blocks(ino, 4, 100), Ok(Mapping::Data(run)));
    assert_eq!(fs.get("/file").unwrap()[4096..], [7; 10_000 - 4096]);
    fs.truncate(ino, 9999).unwrap();
    fs.unmount().unwrap();
    check(&disk);
}
