//! Descriptors: duplicates, flags, locks, and how many there may be.

use crate::report::{Outcome, ensure, ensure_eq, ensure_errno, or_skip, skip, tests};
use crate::sys::files::{
    self, Fd, close, dup, dup2, dup3, fcntl, fcntl_lock, flock, get, lseek, open, put, read, read_to_end,
    write,
};
use crate::sys::process::{Status, fork};
use crate::sys::{Errno, probe};

tests! {
    lowest_free_number_is_given,
    two_openers_have_two_positions,
    dup_shares_position_and_flags,
    dup2_replaces_and_checks,
    dup3_marks_and_checks,
    fcntl_tells_and_sets_flags,
    fcntl_duplicates_from_a_number_on,
    own_descriptors_are_files,
    record_locks_exclude_others,
    record_locks_go_with_any_close,
    whole_file_locks_exclude_others,
    hundred_files_are_open_at_once,
    close_range_closes_a_range,
}

const NEW: i32 = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;

/// A new file that is open for reading and writing.
fn new_file(name: &str) -> Result<Fd, Errno> {
    open(name, NEW, 0o644)
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
