//! Servers that lie: the answer is an error for who has asked, and nothing else.

use super::*;
use crate::fs::{
    file::OpenFlags,
    names::{Removal, remove_at},
    tests::{errno, find, open_file, read_at, write},
};
use abi::errno::Errno;
use test_macro::kernel_test;

/// All of the file, as a program reads it that opens it anew.
fn read_file(caller: &Caller) -> Result<Vec<u8>> {
    let file = open_file(caller, "file", OpenFlags::empty())?;
    let mut buffer = vec![0; SIZE + 5000];
    let mut done = 0;
    loop {
        let to = &mut crate::fs::io::Destination::kernel(&mut buffer[done..]);
        match file.read_at(done as u64, to)? {
            0 => break,
            count => done += count,
        }
    }
    buffer.truncate(done);
    Ok(buffer)
}

fn is_whole(bytes: &[u8]) -> bool {
    bytes.len() == SIZE && bytes.iter().enumerate().all(|(offset, byte)| *byte == byte_at(offset))
}

/// Has the folder used in many ways; how it goes is the server's matter.
fn use_all(caller: &Caller) {
    let _ = read_file(caller);
    let _ = names(caller, 1000);
    let _ = find(caller, "link");
    let _ = find(caller, "directory/missing");
    if let Ok(file) = open_file(caller, "file", OpenFlags::O_RDWR) {
        let _ = write(&file, b"some bytes");
        let _ = file.path().inode().sync(crate::fs::inode::SyncScope::All);
    }
    if let Some(extended) = caller.root.inode().extended() {
        let _ = extended.names();
    }
    let _ = remove_at(caller, &caller.directory, b"directory", Removal::Directory);
}

#[kernel_test]
fn an_honest_server_is_believed() {
    let share = Share::honest();
    let caller = share.caller();
    assert!(is_whole(&read_file(&caller).expect("readable")));
    assert_eq!(names(&caller, 9).expect("readable"), [&b"file"[..], b"directory", b"link"]);
    assert!(find(&caller, "link").expect("leads to the file").inode().pages().is_some());
    assert_eq!(errno(find(&caller, "directory/missing")), Some(Errno::ENOENT));
    assert_eq!(errno(share.mount()), Some(Errno::EBUSY));
}

#[kernel_test]
fn an_answer_with_a_false_frame_is_an_error_of_its_request_only() {
    let share = Share::honest();
    let caller = share.caller();
    let frames: [fn(&mut Vec<u8>); 8] = [
        // Tags of another request, and of none.
        |whole| whole[5] = whole[5].wrapping_add(1),
        |whole| whole[5..7].fill(0xff),
        // Lengths beyond what has come, of the header, shorter than it.
        |whole| whole[..4].fill(0xff),
        |whole| whole[0] = whole[0].wrapping_add(1),
        |whole| whole[..4].copy_from_slice(&7_u32.to_le_bytes()),
        |whole| whole[..4].fill(0),
        // Another type, and less than a header.
        |whole| whole[4] = 200,
        |whole| whole.truncate(3),
    ];
    for frame in frames {
        share.bend(Box::new(move |_, _, whole| frame(whole)));
        assert_eq!(errno(read_file(&caller)), Some(Errno::EIO));
        assert_eq!(errno(names(&caller, 9)), Some(Errno::EIO));
        share.bend(Box::new(|_, _, _| {}));
        assert!(is_whole(&read_file(&caller).expect("the server is honest again")));
    }
}

#[kernel_test]
fn counts_beyond_what_was_asked_for_are_refused() {
    let share = Share::honest();
    let caller = share.caller();
    for count in [u32::MAX, 1 << 31, 131_073, 300_001] {
        share.bend_body(request::READ, move |mut body| {
            body[..4].copy_from_slice(&count.to_le_bytes());
            body
        });
        assert_eq!(errno(read_file(&caller)), Some(Errno::EIO), "{count} bytes");
    }
    let file = open_file(&caller, "file", OpenFlags::O_RDWR).expect("it is there");
    share.bend_body(request::WRITE, |_| 1000_u32.to_le_bytes().to_vec());
    assert_eq!(errno(write(&file, b"ten bytes.")), Some(Errno::EIO));
    share.bend_body(request::LIST, |mut body| {
        body[..4].fill(0xff);
        body
    });
    assert_eq!(errno(names(&caller, 9)), Some(Errno::EIO));
}

#[kernel_test]
fn a_server_that_sends_little_at_a_time_is_asked_again() {
    for most in [1000_usize, 4096, 5000, 100_000] {
        let share = Share::honest();
        let caller = share.caller();
        share.bend_body(request::READ, move |mut body| {
            body.truncate(4 + most);
            let count = (body.len() - 4) as u32;
            body[..4].copy_from_slice(&count.to_le_bytes());
            body
        });
        assert!(is_whole(&read_file(&caller).expect("readable")), "{most} bytes at a time");
    }
}

#[kernel_test]
fn a_file_that_is_shorter_than_it_says_reads_as_zeros() {
    let share = Share::honest();
    let caller = share.caller();
    // The root is a directory still.
    share.bend(Box::new(|kind, _, whole| {
        if kind == request::ATTRIBUTES && whole[p9::HEADER_LENGTH + 8 + 5] == FILE as u8 {
            replace(whole, kind, &attributes(FILE, SIZE as u64 + 5000));
        }
    }));
    let bytes = read_file(&caller).expect("readable");
    assert_eq!(bytes.len(), SIZE + 5000);
    assert!(is_whole(&bytes[..SIZE]) && bytes[SIZE..].iter().all(|byte| *byte == 0));
}

#[kernel_test]
fn sizes_at_the_end_of_numbers_are_refused_or_borne() {
    for (size, is_good) in
        [(u64::MAX, false), (1 << 63, false), (i64::MAX as u64, true), (i64::MAX as u64 - 4095, true)]
    {
        let share = Share::honest();
        let caller = share.caller();
        share.bend(Box::new(move |kind, _, whole| {
            if kind == request::ATTRIBUTES && whole[p9::HEADER_LENGTH + 8 + 5] == FILE as u8 {
                replace(whole, kind, &attributes(FILE, size));
            }
        }));
        let file = open_file(&caller, "file", OpenFlags::O_RDWR | OpenFlags::O_APPEND);
        assert_eq!(file.is_ok(), is_good, "{size:#x}");
        if let Ok(file) = file {
            assert_eq!(read_at(&file, size - 5, 100), [0; 5]);
            // There is no room behind it, or the server has none.
            assert_eq!(errno(write(&file, &[1; 8192])), Some(Errno::EFBIG));
        }
    }
    let share = Share::honest();
    let caller = share.caller();
    share.bend_body(request::SPACE, |body| vec![0xff; body.len()]);
    assert!(caller.root.mount.super_block().file_system.statistics().is_ok());
}

#[kernel_test]
fn names_that_are_none_are_refused() {
    let long = [b'x'; 256];
    let names_of_none: [&'static [u8]; 5] = [b"a/b", b"/", b"", b"nul\0", b"../../etc"];
    let share = Share::honest();
    let caller = share.caller();
    for name in names_of_none.into_iter().map(<[u8]>::to_vec).chain([long.to_vec()]) {
        share.bend_body(request::LIST, move |_| listing(&[entry(FILE, 1, b"good"), entry(FILE, 2, &name)]));
        assert_eq!(errno(names(&caller, 9)), Some(Errno::EIO));
    }
    // These are not shown twice.
    share.bend_body(request::LIST, |_| {
        listing(&[entry(ROOT, 1, b"."), entry(ROOT, 2, b".."), entry(FILE, 0, b"x")])
    });
    assert_eq!(names(&caller, 1).expect("there is a name"), [b"x"]);
    for target in [&b""[..], b"with\0nul", &[b'x'; 4096]] {
        let mut body = (target.len() as u16).to_le_bytes().to_vec();
        body.extend(target);
        share.bend_body(request::READ_LINK, move |_| body.clone());
        assert_eq!(errno(find(&caller, "link")), Some(Errno::EIO));
    }
}

#[kernel_test]
fn a_listing_without_end_ends_for_who_has_enough() {
    let share = Share::honest();
    let caller = share.caller();
    // The same place again and again.
    share.bend_body(request::LIST, |_| listing(&[entry(FILE, 0, b"again")]));
    assert_eq!(errno(names(&caller, usize::MAX)), Some(Errno::EIO));
    // In a circle.
    let mut turn = 0;
    share.bend_body(request::LIST, move |_| {
        turn = (turn + 1) % 3;
        listing(&[entry(FILE, turn + 1, b"again")])
    });
    assert_eq!(names(&caller, 1000).expect("as many as are wanted").len(), 1000);
    // Beyond what a program can seek to.
    share.bend_body(request::LIST, |_| listing(&[entry(FILE, u64::MAX, b"far")]));
    assert_eq!(errno(names(&caller, 1)), Some(Errno::EOVERFLOW));
}

#[kernel_test]
fn a_directory_inside_itself_is_not_entered() {
    let share = Share::honest();
    let caller = share.caller();
    // Every name is the root.
    share.bend(Box::new(|kind, body, whole| {
        if kind == request::WALK && body[8] > 0 {
            replace(whole, kind, &[&[1, 0], &*qid(ROOT)].concat());
        }
        if kind == request::ATTRIBUTES {
            replace(whole, kind, &attributes(ROOT, 0));
        }
    }));
    assert_eq!(errno(find(&caller, "directory")), Some(Errno::ELOOP));
    assert_eq!(errno(find(&caller, "directory/directory")), Some(Errno::ELOOP));
    // Both locks would be one.
    let removed = remove_at(&caller, &caller.directory, b"directory", Removal::Directory);
    assert_eq!(errno(removed), Some(Errno::ELOOP));
}

#[kernel_test]
fn whatever_is_answered_the_kernel_goes_on() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for _ in 0..100 {
        let share = Share::honest();
        let caller = share.caller();
        share.bend(Box::new(move |_, _, whole| {
            match random() % 4 {
                // Some bytes, at the beginning mostly: there are the lengths.
                0 => {
                    for _ in 0..=random() % 4 {
                        let at = random() as usize % whole.len().min(64);
                        whole[at] = random() as u8;
                    }
                }
                1 => whole.truncate(random() as usize % (whole.len() + 1)),
                2 => whole.extend((0..random() % 40).map(|number| number as u8)),
                _ => {}
            }
        }));
        use_all(&caller);
        assert!(!share.device.is_reset(), "the device itself did what it should");
    }
}
