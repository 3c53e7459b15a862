//! Open files: positions, reading, writing, truncating.

use crate::report::{Outcome, ensure, ensure_eq, ensure_errno, or_skip, tests};
use crate::sys::files::{
    self, Fd, fstat, ftruncate, get, lseek, mkdir, open, pread, put, pwrite, read, readv, sendfile,
    sendfile_from, stat, truncate, write, writev,
};
use crate::sys::process::{Status, fork};
use crate::sys::{Errno, probe};

tests! {
    appending_writes_go_to_the_end,
    appends_of_two_openers_do_not_overwrite,
    reads_stop_at_the_end,
    large_file_comes_back_intact,
    small_writes_make_a_large_file,
    writes_beyond_the_end_leave_zeros,
    sparse_file_reads_zeros_far_out,
    positioned_io_leaves_the_position,
    direct_transfers_are_aligned,
    vectored_io_gathers_and_scatters,
    seeking_in_all_ways,
    seeking_nowhere_fails,
    truncate_shrinks_and_grows,
    shrinking_and_growing_leaves_no_old_data,
    truncate_refuses_what_is_wrong,
    unlinked_file_lives_while_open,
    sizes_and_blocks_are_told,
    sendfile_copies,
    fallocate_grows,
    sync_calls_succeed,
    file_written_by_many_children_is_whole,
}

/// Flags for a new file that is open for reading and writing.
pub(super) const NEW: i32 = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;

/// A new file that is open for reading and writing.
pub(super) fn new_file(name: &str) -> Result<Fd, Errno> {
    open(name, NEW, 0o644)
}

/// Bits of `statx` that the C libraries do not all know.
const STATX_DIOALIGN: u32 = 0x2000;

fn direct_transfers_are_aligned() -> Outcome {
    const PAGE: usize = 4096;
    put("file", &pattern(2 * PAGE))?;
    let told = or_skip!(files::statx(files::CWD, "file", 0, STATX_DIOALIGN), ENOSYS);
    // File systems in memory have no direct transfers, and older kernels do not tell.
    if told.mask & STATX_DIOALIGN == 0 {
        return Ok(());
    }
    let (memory, offset) = told.direct_alignment();
    ensure!(memory.is_power_of_two() && memory <= PAGE && offset.is_power_of_two() && offset <= PAGE);
    let file = open("file", libc::O_RDWR | libc::O_DIRECT, 0)?;
    let mut buffer = vec![0; 4 * PAGE];
    let start = buffer.as_ptr().align_offset(PAGE);
    let page = &mut buffer[start..start + 2 * PAGE];
    ensure_eq!(pread(*file, &mut page[..PAGE], PAGE as i64)?, PAGE);
    ensure!(page[..PAGE] == pattern(2 * PAGE)[PAGE..], "what the file holds");
    ensure_eq!(pread(*file, &mut page[memory..memory + PAGE], 0)?, PAGE);
    ensure_errno!(pread(*file, &mut page[..offset - 1], 0), EINVAL);
    ensure_errno!(pread(*file, &mut page[..offset], offset as i64 / 2), EINVAL);
    ensure_errno!(pwrite(*file, &page[..offset - 1], 0), EINVAL);
    if memory > 1 {
        ensure_errno!(pread(*file, &mut page[memory / 2..memory / 2 + PAGE], 0), EINVAL);
        ensure_errno!(pwrite(*file, &page[memory / 2..memory / 2 + PAGE], 0), EINVAL);
        let (first, second) = page.split_at_mut(PAGE);
        ensure_errno!(readv(*file, &mut [&mut first[..offset], &mut second[1..=offset]]), EINVAL);
    }
    ensure_eq!(pread(*file, &mut page[..0], 1)?, 0);
    ensure_eq!(pread(*file, &mut page[..PAGE], 2 * PAGE as i64)?, 0);
    ensure_eq!(pwrite(*file, &page[..offset], 0)?, offset);
    Ok(())
}

/// Bytes that tell their own position.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index / 251 + index % 251) as u8).collect()
}

fn appending_writes_go_to_the_end() -> Outcome {
    put("file", b"abc")?;
    let file = open("file", libc::O_RDWR | libc::O_APPEND, 0)?;
    ensure_eq!(lseek(*file, 0, libc::SEEK_CUR)?, 0);
    write(*file, b"d")?;
    ensure_eq!(lseek(*file, 0, libc::SEEK_CUR)?, 4);
    lseek(*file, 0, libc::SEEK_SET)?;
    write(*file, b"e")?;
    ensure_eq!(get("file")?, b"abcde");
    // Linux appends even with pwrite, against POSIX and by its own manual.
    pwrite(*file, b"f", 0)?;
    ensure_eq!(get("file")?, b"abcdef");
    Ok(())
}

fn appends_of_two_openers_do_not_overwrite() -> Outcome {
    let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT;
    let (first, second) = (open("file", flags, 0o644)?, open("file", flags, 0o644)?);
    for _ in 0..3 {
        write(*first, b"one.")?;
        write(*second, b"two.")?;
    }
    ensure_eq!(get("file")?, b"one.two.one.two.one.two.");
    Ok(())
}

fn reads_stop_at_the_end() -> Outcome {
    put("file", b"0123456789")?;
    let file = open("file", libc::O_RDONLY, 0)?;
    let mut bytes = [0xff; 8];
    ensure_eq!(read(*file, &mut bytes)?, 8);
    ensure_eq!(bytes, *b"01234567");
    ensure_eq!(read(*file, &mut bytes)?, 2);
    ensure_eq!(bytes, *b"89234567", "bytes behind the end stay");
    ensure_eq!(read(*file, &mut bytes)?, 0);
    ensure_eq!(read(*file, &mut [])?, 0);
    lseek(*file, 100, libc::SEEK_SET)?;
    ensure_eq!(read(*file, &mut bytes)?, 0);
    Ok(())
}

fn large_file_comes_back_intact() -> Outcome {
    // Beyond the direct and the single indirect blocks of ext2 with blocks of 1 KiB.
    let content = pattern(700_001);
    put("file", &content)?;
    ensure_eq!(stat("file")?.st_size, 700_001);
    ensure!(get("file")? == content);
    let file = open("file", libc::O_RDONLY, 0)?;
    let mut bytes = [0; 100];
    for offset in [0, 1, 4095, 4096, 12 * 1024 - 50, 12 * 4096 - 50, 268 * 1024 - 50, 699_901] {
        ensure_eq!(pread(*file, &mut bytes, offset as i64)?, 100);
        ensure!(bytes == content[offset..offset + 100], "at {offset}");
    }
    ensure_eq!(pread(*file, &mut bytes, 699_951)?, 50);
    Ok(())
}

fn small_writes_make_a_large_file() -> Outcome {
    let content = pattern(30_000);
    let file = new_file("file")?;
    for piece in content.chunks(77) {
        ensure_eq!(write(*file, piece)?, piece.len());
    }
    ensure!(get("file")? == content);
    // Overwriting across block borders.
    for (offset, length) in [(0, 1), (4000, 200), (4096, 4096), (12_287, 2), (29_999, 1)] {
        let bytes = vec![0xee; length];
        ensure_eq!(pwrite(*file, &bytes, offset as i64)?, length);
        let seen = get("file")?;
        ensure!(seen[offset..offset + length] == bytes && seen.len() == 30_000, "at {offset}");
        pwrite(*file, &content[offset..offset + length], offset as i64)?;
    }
    ensure!(get("file")? == content);
    Ok(())
}

fn writes_beyond_the_end_leave_zeros() -> Outcome {
    let file = new_file("file")?;
    write(*file, b"start")?;
    lseek(*file, 10_000, libc::SEEK_SET)?;
    write(*file, b"end")?;
    let content = get("file")?;
    ensure_eq!(content.len(), 10_003);
    ensure!(content.starts_with(b"start") && content.ends_with(b"end"));
    ensure!(content[5..10_000].iter().all(|byte| *byte == 0));
    Ok(())
}

fn sparse_file_reads_zeros_far_out() -> Outcome {
    let file = new_file("file")?;
    let far = 50 << 20;
    ensure_eq!(pwrite(*file, b"far", far)?, 3);
    ensure_eq!(fstat(*file)?.st_size, far + 3);
    let mut bytes = [1; 64];
    for offset in [0, 60_000, 5 << 20, far - 64] {
        ensure_eq!(pread(*file, &mut bytes, offset)?, 64);
        ensure_eq!(bytes, [0; 64], "at {offset}");
    }
    ensure_eq!(pread(*file, &mut bytes, far)?, 3);
    Ok(())
}

fn positioned_io_leaves_the_position() -> Outcome {
    let file = new_file("file")?;
    write(*file, b"0123456789")?;
    lseek(*file, 3, libc::SEEK_SET)?;
    let mut bytes = [0; 2];
    ensure_eq!(pread(*file, &mut bytes, 7)?, 2);
    ensure_eq!(bytes, *b"78");
    ensure_eq!(pwrite(*file, b"X", 0)?, 1);
    ensure_eq!(lseek(*file, 0, libc::SEEK_CUR)?, 3);
    ensure_errno!(pread(*file, &mut bytes, -1), EINVAL);
    ensure_errno!(pwrite(*file, b"x", -1), EINVAL);
    Ok(())
}

fn vectored_io_gathers_and_scatters() -> Outcome {
    let file = new_file("file")?;
    ensure_eq!(writev(*file, &[b"ab", b"", b"cdef", b"g"])?, 7);
    ensure_eq!(get("file")?, b"abcdefg");
    lseek(*file, 0, libc::SEEK_SET)?;
    let (mut first, mut second, mut third) = ([0; 3], [0; 3], [0xff; 3]);
    ensure_eq!(readv(*file, &mut [&mut first, &mut second, &mut third])?, 7);
    ensure_eq!((first, second, third), (*b"abc", *b"def", [b'g', 0xff, 0xff]));
    ensure_eq!(writev(*file, &[])?, 0);
    ensure_errno!(probe(libc::SYS_writev, &[*file as usize, 0, 1025]), EINVAL);
    ensure_errno!(probe(libc::SYS_readv, &[*file as usize, 0, usize::MAX]), EINVAL);
    Ok(())
}

fn seeking_in_all_ways() -> Outcome {
    put("file", b"0123456789")?;
    let file = open("file", libc::O_RDONLY, 0)?;
    ensure_eq!(lseek(*file, 4, libc::SEEK_SET)?, 4);
    ensure_eq!(lseek(*file, 3, libc::SEEK_CUR)?, 7);
    ensure_eq!(lseek(*file, -7, libc::SEEK_CUR)?, 0);
    ensure_eq!(lseek(*file, -1, libc::SEEK_END)?, 9);
    ensure_eq!(lseek(*file, 1 << 30, libc::SEEK_END)?, (1 << 30) + 10);
    ensure_eq!(stat("file")?.st_size, 10, "seeking does not grow the file");
    Ok(())
}

fn seeking_nowhere_fails() -> Outcome {
    put("file", b"0123456789")?;
    let file = open("file", libc::O_RDONLY, 0)?;
    lseek(*file, 5, libc::SEEK_SET)?;
    ensure_errno!(lseek(*file, -1, libc::SEEK_SET), EINVAL);
    ensure_errno!(lseek(*file, -6, libc::SEEK_CUR), EINVAL);
    ensure_errno!(lseek(*file, 0, 77), EINVAL);
    ensure_errno!(lseek(*file, i64::MAX, libc::SEEK_END), EINVAL | EOVERFLOW);
    ensure_eq!(lseek(*file, 0, libc::SEEK_CUR)?, 5);
    let (reader, _writer) = files::pipe(0)?;
    ensure_errno!(lseek(*reader, 0, libc::SEEK_CUR), ESPIPE);
    ensure_errno!(pread(*reader, &mut [0; 1], 0), ESPIPE);
    Ok(())
}

fn truncate_shrinks_and_grows() -> Outcome {
    put("file", b"0123456789")?;
    truncate("file", 4)?;
    ensure_eq!(get("file")?, b"0123");
    truncate("file", 8)?;
    ensure_eq!(get("file")?, b"0123\0\0\0\0");
    let file = open("file", libc::O_RDWR, 0)?;
    lseek(*file, 6, libc::SEEK_SET)?;
    ftruncate(*file, 2)?;
    ensure_eq!(lseek(*file, 0, libc::SEEK_CUR)?, 6, "the position stays");
    write(*file, b"z")?;
    ensure_eq!(get("file")?, b"01\0\0\0\0z");
    ftruncate(*file, 0)?;
    ensure_eq!(fstat(*file)?.st_size, 0);
    Ok(())
}

fn shrinking_and_growing_leaves_no_old_data() -> Outcome {
    put("file", &[0xaa; 20_000])?;
    for length in [4097, 4096, 4095, 1] {
        truncate("file", length)?;
        truncate("file", 20_000)?;
        let content = get("file")?;
        ensure!(content[..length as usize].iter().all(|byte| *byte == 0xaa), "kept at {length}");
        ensure!(content[length as usize..].iter().all(|byte| *byte == 0), "old data behind {length}");
        put("file", &[0xaa; 20_000])?;
    }
    Ok(())
}

fn truncate_refuses_what_is_wrong() -> Outcome {
    put("file", b"x")?;
    mkdir("directory", 0o755)?;
    ensure_errno!(truncate("file", -1), EINVAL);
    ensure_errno!(truncate("nothing", 0), ENOENT);
    ensure_errno!(truncate("directory", 0), EISDIR);
    ensure_errno!(ftruncate(*open("/dev/null", libc::O_WRONLY, 0)?, 0), EINVAL);
    let (_reader, writer) = files::pipe(0)?;
    ensure_errno!(ftruncate(*writer, 0), EINVAL);
    Ok(())
}

fn unlinked_file_lives_while_open() -> Outcome {
    let file = new_file("file")?;
    write(*file, b"still there")?;
    files::unlink("file")?;
    ensure!(!files::exists("file"));
    ensure_eq!(fstat(*file)?.st_nlink, 0);
    let mut bytes = [0; 32];
    ensure_eq!(pread(*file, &mut bytes, 0)?, 11);
    ensure_eq!(write(*file, b"!")?, 1);
    let second = new_file("file")?;
    ensure!(fstat(*second)?.st_ino != fstat(*file)?.st_ino);
    Ok(())
}

fn sizes_and_blocks_are_told() -> Outcome {
    let file = new_file("file")?;
    ensure_eq!(fstat(*file)?.st_blocks, 0);
    write(*file, &[1; 8192])?;
    files::fsync(*file)?;
    let now = fstat(*file)?;
    ensure_eq!(now.st_size, 8192);
    ensure!(now.st_blksize >= 512, "blocks of {} bytes", now.st_blksize);
    ensure!(now.st_blocks >= 16, "{} blocks of 512 bytes for 8192", now.st_blocks);
    ftruncate(*file, 0)?;
    ensure_eq!(fstat(*file)?.st_blocks, 0);
    Ok(())
}

fn sendfile_copies() -> Outcome {
    let content = pattern(10_000);
    put("from", &content)?;
    let (input, output) = (open("from", libc::O_RDONLY, 0)?, new_file("to")?);
    ensure_eq!(or_skip!(sendfile(*output, *input, 4000), ENOSYS), 4000);
    ensure_eq!(lseek(*input, 0, libc::SEEK_CUR)?, 4000);
    let mut offset = 4000;
    ensure_eq!(sendfile_from(*output, *input, &mut offset, 100_000)?, 6000);
    ensure_eq!((offset, lseek(*input, 0, libc::SEEK_CUR)?), (10_000, 4000));
    ensure!(get("to")? == content);
    ensure_eq!(sendfile_from(*output, *input, &mut offset, 1)?, 0);
    let (reader, writer) = files::pipe(0)?;
    lseek(*input, 0, libc::SEEK_SET)?;
    ensure_eq!(sendfile(*writer, *input, 500)?, 500);
    let mut bytes = [0; 500];
    ensure_eq!(read(*reader, &mut bytes)?, 500);
    ensure!(bytes == content[..500]);
    Ok(())
}

fn fallocate_grows() -> Outcome {
    // So that there are blocks which held something else before.
    put("old", &[0xee; 300_000])?;
    files::sync()?;
    files::unlink("old")?;
    files::sync()?;
    let file = new_file("file")?;
    write(*file, b"abc")?;
    or_skip!(files::fallocate(*file, 0, 0, 200_000), ENOSYS | EOPNOTSUPP);
    let after = fstat(*file)?;
    ensure_eq!(after.st_size, 200_000);
    ensure!(after.st_blocks >= 200_000 / 512);
    // Where a file's blocks are listed one by one, none can lie behind its end.
    match files::fallocate(*file, libc::FALLOC_FL_KEEP_SIZE, 0, 220_000) {
        Ok(()) | Err(Errno(libc::EOPNOTSUPP)) => {}
        Err(error) => return Err(error.into()),
    }
    files::fallocate(*file, libc::FALLOC_FL_KEEP_SIZE, 1000, 100_000)?;
    ensure_eq!(fstat(*file)?.st_size, 200_000);
    let content = get("file")?;
    ensure!(content.starts_with(b"abc") && content[3..].iter().all(|byte| *byte == 0));
    ensure_errno!(files::fallocate(*file, 0, -1, 10), EINVAL);
    ensure_errno!(files::fallocate(*file, 0, 0, 0), EINVAL);
    Ok(())
}

fn sync_calls_succeed() -> Outcome {
    let file = new_file("file")?;
    write(*file, b"x")?;
    files::fsync(*file)?;
    files::fdatasync(*file)?;
    files::fsync(*open(".", libc::O_RDONLY, 0)?)?;
    files::sync()?;
    let (reader, _writer) = files::pipe(0)?;
    ensure_errno!(files::fsync(*reader), EINVAL);
    Ok(())
}

fn file_written_by_many_children_is_whole() -> Outcome {
    let file = open("file", NEW | libc::O_APPEND, 0o644)?;
    let children = (0..8_u8)
        .map(|number| {
            let file = *file;
            fork(move || {
                let line = [vec![b'a' + number; 99], vec![b'\n']].concat();
                i32::from((0..20).any(|_| write(file, &line) != Ok(100)))
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    for child in children {
        ensure_eq!(child.wait()?, Status::Exited(0));
    }
    let content = get("file")?;
    ensure_eq!(content.len(), 8 * 20 * 100);
    for line in content.chunks(100) {
        ensure!(line[99] == b'\n' && line[..99].iter().all(|byte| *byte == line[0]), "a torn line");
    }
    Ok(())
}
