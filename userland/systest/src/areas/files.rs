//! Open files: flags, positions, reading, writing, truncating, devices, descriptors, locks.

use crate::report::{Outcome, ensure, ensure_eq, ensure_errno, or_skip, skip, tests};
use crate::sys::files::{
    self, Fd, close, creat, dup, dup2, dup3, fcntl, fcntl_lock, flock, fstat, ftruncate, get, lseek, mkdir,
    open, pread, put, pwrite, read, read_to_end, readv, sendfile, sendfile_from, stat, symlink, truncate,
    write, writev,
};
use crate::sys::process::{Status, fork};
use crate::sys::{Errno, probe};

tests! {
    open_of_a_missing_file_fails,
    create_makes_an_empty_file,
    exclusive_create_refuses_what_is_there,
    truncating_open_empties_the_file,
    access_mode_is_kept,
    appending_writes_go_to_the_end,
    appends_of_two_openers_do_not_overwrite,
    lowest_free_number_is_given,
    directories_open_for_reading_only,
    o_directory_wants_a_directory,
    o_nofollow_wants_no_link,
    o_path_opens_nothing,
    create_through_a_dangling_link,
    unknown_open_flags_are_ignored,
    reads_stop_at_the_end,
    large_file_comes_back_intact,
    small_writes_make_a_large_file,
    writes_beyond_the_end_leave_zeros,
    sparse_file_reads_zeros_far_out,
    positioned_io_leaves_the_position,
    vectored_io_gathers_and_scatters,
    seeking_in_all_ways,
    seeking_nowhere_fails,
    truncate_shrinks_and_grows,
    shrinking_and_growing_leaves_no_old_data,
    truncate_refuses_what_is_wrong,
    unlinked_file_lives_while_open,
    sizes_and_blocks_are_told,
    two_openers_have_two_positions,
    dup_shares_position_and_flags,
    dup2_replaces_and_checks,
    dup3_marks_and_checks,
    fcntl_tells_and_sets_flags,
    fcntl_duplicates_from_a_number_on,
    sendfile_copies,
    fallocate_grows,
    sync_calls_succeed,
    null_device_is_empty_and_swallows,
    zero_device_gives_zeros,
    full_device_has_no_room,
    random_devices_give_bytes,
    own_descriptors_are_files,
    terminal_calls_refuse_files,
    record_locks_exclude_others,
    record_locks_go_with_any_close,
    whole_file_locks_exclude_others,
    hundred_files_are_open_at_once,
    close_range_closes_a_range,
    file_written_by_many_children_is_whole,
}

const NEW: i32 = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;

/// A new file that is open for reading and writing.
fn new_file(name: &str) -> Result<Fd, Errno> {
    open(name, NEW, 0o644)
}

/// Bytes that tell their own position.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index / 251 + index % 251) as u8).collect()
}

fn open_of_a_missing_file_fails() -> Outcome {
    put("file", b"")?;
    ensure_errno!(open("nothing", libc::O_RDONLY, 0), ENOENT);
    ensure_errno!(open("nothing/below", libc::O_RDWR | libc::O_CREAT, 0o644), ENOENT);
    ensure_errno!(open("file/below", libc::O_RDONLY, 0), ENOTDIR);
    ensure_errno!(open("file/", libc::O_RDONLY, 0), ENOTDIR);
    ensure_errno!(open("", libc::O_RDONLY, 0), ENOENT);
    ensure_errno!(open("new/", libc::O_RDWR | libc::O_CREAT, 0o644), EISDIR);
    Ok(())
}

fn create_makes_an_empty_file() -> Outcome {
    let file = open("file", libc::O_WRONLY | libc::O_CREAT, 0o666)?;
    let now = fstat(*file)?;
    ensure_eq!((now.st_mode, now.st_size, now.st_nlink), (libc::S_IFREG | 0o644, 0, 1));
    ensure_eq!(stat("file")?.st_ino, now.st_ino);
    put("other", b"content")?;
    drop(creat("other", 0o600)?);
    let other = stat("other")?;
    ensure_eq!((other.st_size, other.st_mode & 0o7777), (0, 0o644), "creat empties and keeps the mode");
    Ok(())
}

fn exclusive_create_refuses_what_is_there() -> Outcome {
    drop(new_file("file")?);
    ensure_errno!(new_file("file"), EEXIST);
    mkdir("directory", 0o755)?;
    ensure_errno!(new_file("directory"), EEXIST);
    symlink("nowhere", "dangling")?;
    ensure_errno!(new_file("dangling"), EEXIST);
    ensure!(!files::exists("nowhere"));
    Ok(())
}

fn truncating_open_empties_the_file() -> Outcome {
    put("file", b"0123456789")?;
    drop(open("file", libc::O_WRONLY, 0)?);
    ensure_eq!(stat("file")?.st_size, 10);
    let reader = open("file", libc::O_RDONLY, 0)?;
    drop(open("file", libc::O_WRONLY | libc::O_TRUNC, 0)?);
    ensure_eq!(stat("file")?.st_size, 0);
    ensure_eq!(read(*reader, &mut [0; 4])?, 0);
    Ok(())
}

fn access_mode_is_kept() -> Outcome {
    put("file", b"abc")?;
    let (reader, writer) = (open("file", libc::O_RDONLY, 0)?, open("file", libc::O_WRONLY, 0)?);
    ensure_errno!(write(*reader, b"x"), EBADF);
    ensure_errno!(pwrite(*reader, b"x", 0), EBADF);
    ensure_errno!(read(*writer, &mut [0; 4]), EBADF);
    ensure_errno!(ftruncate(*reader, 0), EINVAL);
    // The permission of a new file counts for later opens only.
    let own = open("none", NEW, 0)?;
    ensure_eq!(write(*own, b"x")?, 1);
    Ok(())
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

fn lowest_free_number_is_given() -> Outcome {
    let fds: Vec<Fd> = (0..4).map(|_| open("/dev/null", libc::O_RDONLY, 0)).collect::<Result<_, _>>()?;
    let numbers: Vec<i32> = fds.iter().map(Fd::raw).collect();
    close(numbers[1])?;
    ensure_eq!(*dup(numbers[0])?, numbers[1]);
    let again = open("/dev/null", libc::O_RDONLY, 0)?;
    ensure_eq!(*again, numbers[1]);
    std::mem::forget(again); // `fds` closes that number
    Ok(())
}

fn directories_open_for_reading_only() -> Outcome {
    mkdir("directory", 0o755)?;
    let directory = open("directory", libc::O_RDONLY, 0)?;
    ensure_errno!(read(*directory, &mut [0; 4]), EISDIR);
    ensure_errno!(open("directory", libc::O_WRONLY, 0), EISDIR);
    ensure_errno!(open("directory", libc::O_RDWR, 0), EISDIR);
    ensure_errno!(open("directory", libc::O_RDONLY | libc::O_CREAT, 0o644), EISDIR);
    ensure_errno!(open("directory", libc::O_RDONLY | libc::O_TRUNC, 0), EISDIR);
    ensure_errno!(write(*directory, b"x"), EBADF);
    Ok(())
}

fn o_directory_wants_a_directory() -> Outcome {
    put("file", b"")?;
    symlink("directory", "link")?;
    mkdir("directory", 0o755)?;
    ensure_errno!(open("file", libc::O_RDONLY | libc::O_DIRECTORY, 0), ENOTDIR);
    drop(open("directory", libc::O_RDONLY | libc::O_DIRECTORY, 0)?);
    drop(open("link", libc::O_RDONLY | libc::O_DIRECTORY, 0)?);
    ensure_errno!(open("link", libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0), ENOTDIR);
    Ok(())
}

fn o_nofollow_wants_no_link() -> Outcome {
    put("file", b"x")?;
    symlink("file", "link")?;
    ensure_errno!(open("link", libc::O_RDONLY | libc::O_NOFOLLOW, 0), ELOOP);
    mkdir("directory", 0o755)?;
    put("directory/inner", b"y")?;
    symlink("directory", "way")?;
    ensure_eq!(read_to_end(*open("way/inner", libc::O_RDONLY | libc::O_NOFOLLOW, 0)?)?, b"y");
    Ok(())
}

fn o_path_opens_nothing() -> Outcome {
    put("file", b"x")?;
    symlink("file", "link")?;
    let handle = open("file", libc::O_PATH, 0)?;
    ensure_errno!(read(*handle, &mut [0; 1]), EBADF);
    ensure_errno!(write(*handle, b"x"), EBADF);
    ensure_errno!(lseek(*handle, 0, libc::SEEK_SET), EBADF);
    ensure_eq!(fstat(*handle)?.st_size, 1);
    let link = open("link", libc::O_PATH | libc::O_NOFOLLOW, 0)?;
    ensure_eq!(fstat(*link)?.st_mode & libc::S_IFMT, libc::S_IFLNK);
    mkdir("directory", 0o755)?;
    put("directory/inner", b"y")?;
    let directory = open("directory", libc::O_PATH | libc::O_DIRECTORY, 0)?;
    ensure_eq!(read_to_end(*files::openat(*directory, "inner", libc::O_RDONLY, 0)?)?, b"y");
    Ok(())
}

fn create_through_a_dangling_link() -> Outcome {
    symlink("target", "link")?;
    put("link", b"through")?;
    ensure_eq!(get("target")?, b"through");
    Ok(())
}

fn unknown_open_flags_are_ignored() -> Outcome {
    let file = open("file", NEW | 1 << 28, 0o644)?;
    ensure_eq!(fcntl(*file, libc::F_GETFL, 0)? & 1 << 28, 0);
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

fn two_openers_have_two_positions() -> Outcome {
    put("file", b"abcd")?;
    let (first, second) = (open("file", libc::O_RDONLY, 0)?, open("file", libc::O_RDONLY, 0)?);
    read(*first, &mut [0; 3])?;
    ensure_eq!(lseek(*second, 0, libc::SEEK_CUR)?, 0);
    Ok(())
}

fn dup_shares_position_and_flags() -> Outcome {
    put("file", b"abcd")?;
    let first = open("file", libc::O_RDWR | libc::O_CLOEXEC, 0)?;
    let second = dup(*first)?;
    read(*first, &mut [0; 3])?;
    ensure_eq!(lseek(*second, 0, libc::SEEK_CUR)?, 3);
    ensure_eq!(fcntl(*second, libc::F_GETFD, 0)?, 0);
    ensure_eq!(fcntl(*first, libc::F_GETFD, 0)?, libc::FD_CLOEXEC);
    fcntl(*second, libc::F_SETFL, libc::O_APPEND)?;
    ensure_eq!(fcntl(*first, libc::F_GETFL, 0)? & libc::O_APPEND, libc::O_APPEND);
    drop(first);
    ensure_eq!(read_to_end(*second)?, b"d");
    Ok(())
}

fn dup2_replaces_and_checks() -> Outcome {
    put("file", b"abcd")?;
    let (file, target) = (open("file", libc::O_RDONLY, 0)?, open("/dev/null", libc::O_RDONLY, 0)?);
    ensure_eq!(dup2(*file, *target)?, *target);
    ensure_eq!(read_to_end(*target)?, b"abcd");
    ensure_eq!(dup2(*file, *file)?, *file);
    ensure_eq!(dup2(*file, 77)?, 77);
    close(77)?;
    ensure_errno!(dup2(99, *target), EBADF);
    ensure_errno!(dup2(99, 99), EBADF);
    ensure_errno!(dup2(*file, -1), EBADF);
    ensure_errno!(dup2(*file, 1 << 30), EBADF);
    Ok(())
}

fn dup3_marks_and_checks() -> Outcome {
    let file = open("/dev/null", libc::O_RDONLY, 0)?;
    ensure_eq!(dup3(*file, 77, libc::O_CLOEXEC)?, 77);
    ensure_eq!(fcntl(77, libc::F_GETFD, 0)?, libc::FD_CLOEXEC);
    close(77)?;
    ensure_errno!(dup3(*file, *file, 0), EINVAL);
    ensure_errno!(dup3(*file, 77, libc::O_APPEND), EINVAL);
    Ok(())
}

fn fcntl_tells_and_sets_flags() -> Outcome {
    let file = open("file", NEW | libc::O_APPEND, 0o644)?;
    let flags = fcntl(*file, libc::F_GETFL, 0)?;
    ensure_eq!(flags & (libc::O_ACCMODE | libc::O_APPEND | libc::O_NONBLOCK), libc::O_RDWR | libc::O_APPEND);
    ensure_eq!(flags & (libc::O_CREAT | libc::O_EXCL), 0, "flags of the open itself are not kept");
    fcntl(*file, libc::F_SETFL, libc::O_NONBLOCK | libc::O_WRONLY)?;
    let flags = fcntl(*file, libc::F_GETFL, 0)?;
    ensure_eq!(
        flags & (libc::O_ACCMODE | libc::O_APPEND | libc::O_NONBLOCK),
        libc::O_RDWR | libc::O_NONBLOCK
    );
    fcntl(*file, libc::F_SETFD, libc::FD_CLOEXEC)?;
    ensure_eq!(fcntl(*file, libc::F_GETFD, 0)?, libc::FD_CLOEXEC);
    fcntl(*file, libc::F_SETFD, 0)?;
    ensure_eq!(fcntl(*file, libc::F_GETFD, 0)?, 0);
    ensure_errno!(fcntl(*file, 0x7777, 0), EINVAL);
    Ok(())
}

fn fcntl_duplicates_from_a_number_on() -> Outcome {
    let file = open("/dev/null", libc::O_RDONLY, 0)?;
    let copy = Fd::own(fcntl(*file, libc::F_DUPFD, 60)? as usize);
    ensure_eq!(*copy, 60);
    let next = Fd::own(fcntl(*file, libc::F_DUPFD_CLOEXEC, 60)? as usize);
    ensure_eq!((*next, fcntl(*next, libc::F_GETFD, 0)?), (61, libc::FD_CLOEXEC));
    ensure_errno!(fcntl(*file, libc::F_DUPFD, -1), EINVAL);
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
    let file = new_file("file")?;
    write(*file, b"abc")?;
    or_skip!(files::fallocate(*file, 0, 0, 10_000), ENOSYS | EOPNOTSUPP);
    ensure_eq!(fstat(*file)?.st_size, 10_000);
    files::fallocate(*file, libc::FALLOC_FL_KEEP_SIZE, 0, 20_000)?;
    ensure_eq!(fstat(*file)?.st_size, 10_000);
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

fn device(name: &str) -> Result<Fd, Errno> {
    open(name, libc::O_RDWR, 0)
}

fn null_device_is_empty_and_swallows() -> Outcome {
    let null = device("/dev/null")?;
    ensure_eq!(read(*null, &mut [0; 4])?, 0);
    ensure_eq!(write(*null, &[1; 10_000])?, 10_000);
    let stat = fstat(*null)?;
    ensure_eq!(stat.st_mode & libc::S_IFMT, libc::S_IFCHR);
    ensure_eq!(stat.st_rdev, libc::makedev(1, 3));
    ensure_eq!(lseek(*null, 5, libc::SEEK_SET)?, 0);
    Ok(())
}

fn zero_device_gives_zeros() -> Outcome {
    let zero = device("/dev/zero")?;
    let mut bytes = vec![1; 9000];
    ensure_eq!(read(*zero, &mut bytes)?, 9000);
    ensure!(bytes.iter().all(|byte| *byte == 0));
    ensure_eq!(write(*zero, b"abc")?, 3);
    ensure_eq!(fstat(*zero)?.st_rdev, libc::makedev(1, 5));
    Ok(())
}

fn full_device_has_no_room() -> Outcome {
    let full = device("/dev/full")?;
    ensure_errno!(write(*full, b"x"), ENOSPC);
    let mut bytes = [1; 16];
    ensure_eq!(read(*full, &mut bytes)?, 16);
    ensure_eq!(bytes, [0; 16]);
    Ok(())
}

fn random_devices_give_bytes() -> Outcome {
    for name in ["/dev/urandom", "/dev/random"] {
        let random = device(name)?;
        let (mut first, mut second) = ([0; 64], [0; 64]);
        ensure_eq!(read(*random, &mut first)?, 64, "{name}");
        ensure_eq!(read(*random, &mut second)?, 64, "{name}");
        ensure!(first != second && first != [0; 64], "{name}");
        ensure_eq!(write(*random, b"stir")?, 4, "{name}");
    }
    Ok(())
}

fn own_descriptors_are_files() -> Outcome {
    let (reader, writer) = files::pipe(0)?;
    if !files::exists("/dev/fd") {
        skip!("no /dev/fd");
    }
    let again = open(&format!("/dev/fd/{}", *writer), libc::O_WRONLY, 0)?;
    write(*again, b"x")?;
    let mut bytes = [0; 4];
    ensure_eq!(read(*reader, &mut bytes)?, 1);
    ensure_errno!(open("/dev/fd/999", libc::O_RDONLY, 0), ENOENT);
    Ok(())
}

fn terminal_calls_refuse_files() -> Outcome {
    let file = new_file("file")?;
    ensure_errno!(crate::sys::terminal::modes(*file), ENOTTY);
    ensure_errno!(crate::sys::terminal::window(*file), ENOTTY);
    ensure_errno!(crate::sys::terminal::modes(*device("/dev/null")?), ENOTTY);
    ensure_errno!(files::ioctl_int(*file, 0xdead_beef), ENOTTY);
    ensure_errno!(crate::sys::terminal::modes(99), EBADF);
    Ok(())
}

/// Runs `body` in a child and wants it to answer 0.
fn in_child(body: impl FnOnce() -> bool) -> Result<bool, Errno> {
    Ok(fork(|| i32::from(!body()))?.wait()? == Status::Exited(0))
}

fn record_locks_exclude_others() -> Outcome {
    let file = new_file("file")?;
    or_skip!(fcntl_lock(*file, libc::F_SETLK, libc::F_WRLCK, 10, 10), ENOSYS | EINVAL);
    ensure!(in_child(|| {
        let Ok(file) = open("file", libc::O_RDWR, 0) else { return false };
        let busy = Err(Errno(libc::EAGAIN));
        let lock = |kind, start, length| fcntl_lock(*file, libc::F_SETLK, kind, start, length).map(drop);
        lock(libc::F_WRLCK, 15, 1) == busy
            && lock(libc::F_RDLCK, 0, 0) == busy
            && lock(libc::F_WRLCK, 0, 10).is_ok()
            && lock(libc::F_WRLCK, 20, 0).is_ok()
    })?);
    let me = crate::sys::process::getpid()?;
    ensure!(in_child(|| {
        let Ok(file) = open("file", libc::O_RDWR, 0) else { return false };
        let found = fcntl_lock(*file, libc::F_GETLK, libc::F_RDLCK, 0, 0);
        found.is_ok_and(|lock| {
            (lock.l_pid, i32::from(lock.l_type), lock.l_start, lock.l_len) == (me, libc::F_WRLCK, 10, 10)
        })
    })?);
    fcntl_lock(*file, libc::F_SETLK, libc::F_UNLCK, 12, 2)?;
    ensure!(in_child(|| {
        let Ok(file) = open("file", libc::O_RDWR, 0) else { return false };
        fcntl_lock(*file, libc::F_SETLK, libc::F_WRLCK, 12, 2).is_ok()
            && fcntl_lock(*file, libc::F_SETLK, libc::F_WRLCK, 11, 1).is_err()
    })?);
    Ok(())
}

fn record_locks_go_with_any_close() -> Outcome {
    let file = new_file("file")?;
    or_skip!(fcntl_lock(*file, libc::F_SETLK, libc::F_WRLCK, 0, 0), ENOSYS | EINVAL);
    drop(open("file", libc::O_RDONLY, 0)?);
    ensure!(in_child(|| {
        let Ok(file) = open("file", libc::O_RDWR, 0) else { return false };
        fcntl_lock(*file, libc::F_SETLK, libc::F_WRLCK, 0, 0).is_ok()
    })?);
    fcntl_lock(*file, libc::F_SETLK, libc::F_WRLCK, 0, 0)?;
    Ok(())
}

fn whole_file_locks_exclude_others() -> Outcome {
    let file = new_file("file")?;
    or_skip!(flock(*file, libc::LOCK_EX), ENOSYS);
    let other = open("file", libc::O_RDWR, 0)?;
    ensure_errno!(flock(*other, libc::LOCK_SH | libc::LOCK_NB), EAGAIN);
    flock(*file, libc::LOCK_SH)?;
    flock(*other, libc::LOCK_SH | libc::LOCK_NB)?;
    ensure_errno!(flock(*other, libc::LOCK_EX | libc::LOCK_NB), EAGAIN);
    drop(file);
    flock(*other, libc::LOCK_EX | libc::LOCK_NB)?;
    flock(*other, libc::LOCK_UN)?;
    ensure_errno!(flock(*other, 0), EINVAL);
    Ok(())
}

fn hundred_files_are_open_at_once() -> Outcome {
    let files: Vec<Fd> =
        (0..100).map(|number| new_file(&format!("file-{number}"))).collect::<Result<_, _>>()?;
    for (number, file) in files.iter().enumerate() {
        write(**file, number.to_string().as_bytes())?;
    }
    for number in 0..100 {
        ensure_eq!(get(&format!("file-{number}"))?, number.to_string().into_bytes());
    }
    ensure_eq!(files::list(".")?.len(), 100);
    Ok(())
}

fn close_range_closes_a_range() -> Outcome {
    let file = open("/dev/null", libc::O_RDONLY, 0)?;
    for number in 60..70 {
        dup2(*file, number)?;
    }
    or_skip!(probe(libc::SYS_close_range, &[62, 64, 0]), ENOSYS);
    for number in 60..70 {
        ensure_eq!(
            fcntl(number, libc::F_GETFD, 0).is_ok(),
            !(62..=64).contains(&number),
            "descriptor {number}"
        );
    }
    probe(libc::SYS_close_range, &[65, 65, libc::CLOSE_RANGE_CLOEXEC as usize])?;
    ensure_eq!(fcntl(65, libc::F_GETFD, 0)?, libc::FD_CLOEXEC);
    probe(libc::SYS_close_range, &[60, u32::MAX as usize, 0])?;
    ensure_errno!(fcntl(69, libc::F_GETFD, 0), EBADF);
    ensure_errno!(probe(libc::SYS_close_range, &[5, 4, 0]), EINVAL);
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
