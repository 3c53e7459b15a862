//! Pipes and fifos: ends, blocking, atomic writes.

use std::time::{Duration, Instant};

use crate::report::{Outcome, ensure, ensure_eq, ensure_errno, or_skip, tests};
use crate::sys::files::{
    Fd, close, dup, fcntl, fstat, ioctl_int, ioctl_set_int, mknod, open, pipe, read, read_to_end, readv,
    write, writev,
};
use crate::sys::process::{self, Status, fork};
use crate::sys::signals::{self, Action};
use crate::sys::time::nanosleep;
use crate::sys::{Errno, probe};

tests! {
    bytes_come_out_in_order,
    reader_sees_the_end_when_all_writers_closed,
    reader_waits_for_a_writer,
    short_reads_leave_the_rest,
    writing_without_reader_kills,
    writing_without_reader_fails_if_ignored,
    full_pipe_waits_for_a_reader,
    nonblocking_ends_do_not_wait,
    nonblocking_can_be_switched,
    small_writes_are_whole_or_not_at_all,
    writes_of_many_writers_are_not_mixed,
    large_transfer_between_processes,
    capacity_can_be_asked_and_changed,
    waiting_bytes_are_counted,
    wrong_end_is_refused,
    pipe_is_a_fifo_for_stat,
    pipe_flags_are_set,
    vectors_go_through_pipes,
    chain_of_processes,
    signal_interrupts_a_blocked_read,
    signal_interrupts_a_blocked_write_partly,
    fifo_connects_processes,
    fifo_partner_may_be_gone_at_once,
    fifo_open_waits_for_the_other_end,
    fifo_opened_nonblocking,
    fifo_opened_for_both,
}

const SHORT: Duration = Duration::from_millis(30);

fn bytes_come_out_in_order() -> Outcome {
    let (reader, writer) = pipe(0)?;
    ensure_eq!(write(*writer, b"first ")?, 6);
    ensure_eq!(write(*writer, b"second")?, 6);
    let mut bytes = [0; 20];
    ensure_eq!(read(*reader, &mut bytes)?, 12);
    ensure_eq!(&bytes[..12], b"first second");
    ensure_eq!(write(*writer, b"")?, 0);
    Ok(())
}

fn reader_sees_the_end_when_all_writers_closed() -> Outcome {
    let (reader, writer) = pipe(0)?;
    let second = dup(*writer)?;
    write(*writer, b"rest")?;
    drop(writer);
    write(*second, b".")?;
    drop(second);
    ensure_eq!(read_to_end(*reader)?, b"rest.");
    ensure_eq!(read(*reader, &mut [0; 4])?, 0, "the end stays");
    Ok(())
}

fn reader_waits_for_a_writer() -> Outcome {
    let (reader, writer) = pipe(0)?;
    let child = fork(|| {
        let _ = nanosleep(SHORT);
        i32::from(write(*writer, b"late") != Ok(4))
    })?;
    let start = Instant::now();
    let mut bytes = [0; 8];
    ensure_eq!(read(*reader, &mut bytes)?, 4);
    ensure!(start.elapsed() >= SHORT / 2, "waited {:?} only", start.elapsed());
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}

fn short_reads_leave_the_rest() -> Outcome {
    let (reader, writer) = pipe(0)?;
    write(*writer, b"abcdef")?;
    let mut bytes = [0; 2];
    for expected in [b"ab", b"cd", b"ef"] {
        ensure_eq!(read(*reader, &mut bytes)?, 2);
        ensure_eq!(&bytes, expected);
    }
    ensure_eq!(read(*reader, &mut [])?, 0, "no bytes wanted, no waiting");
    Ok(())
}

fn writing_without_reader_kills() -> Outcome {
    let (reader, writer) = pipe(0)?;
    drop(reader);
    let child = fork(|| {
        let _ = write(*writer, b"x");
        7
    })?;
    ensure_eq!(child.wait()?, Status::Killed(libc::SIGPIPE));
    Ok(())
}

fn writing_without_reader_fails_if_ignored() -> Outcome {
    signals::act(libc::SIGPIPE, Action::Ignore, 0, &[])?;
    let (reader, writer) = pipe(0)?;
    write(*writer, b"lost")?;
    drop(reader);
    ensure_errno!(write(*writer, b"x"), EPIPE);
    signals::act(libc::SIGPIPE, Action::Record, 0, &[])?;
    ensure_errno!(write(*writer, b"x"), EPIPE);
    ensure_eq!(signals::handled(libc::SIGPIPE), 1);
    Ok(())
}

/// Fills a pipe until it takes no more; the bytes it took.
pub(super) fn fill(writer: &Fd) -> Result<usize, Errno> {
    fcntl(**writer, libc::F_SETFL, libc::O_NONBLOCK)?;
    let (mut total, block) = (0, [7; 4096]);
    loop {
        match write(**writer, &block) {
            Ok(count) => total += count,
            Err(Errno(libc::EAGAIN)) => break,
            Err(errno) => return Err(errno),
        }
    }
    fcntl(**writer, libc::F_SETFL, 0)?;
    Ok(total)
}

fn full_pipe_waits_for_a_reader() -> Outcome {
    let (reader, writer) = pipe(0)?;
    let capacity = fill(&writer)?;
    ensure!(capacity >= 4096, "a pipe of {capacity} bytes");
    let child = fork(|| i32::from(write(*writer, &[8; 4096]) != Ok(4096)))?;
    nanosleep(SHORT)?;
    ensure_eq!(child.try_wait()?, None, "the writer must wait");
    drop(writer);
    let content = read_to_end(*reader)?;
    ensure_eq!(content.len(), capacity + 4096);
    ensure!(content[capacity..].iter().all(|byte| *byte == 8));
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}

fn nonblocking_ends_do_not_wait() -> Outcome {
    let (reader, writer) = pipe(libc::O_NONBLOCK)?;
    ensure_errno!(read(*reader, &mut [0; 1]), EAGAIN);
    let mut taken = 0;
    let refused = loop {
        match write(*writer, &[1; 1000]) {
            Ok(count) => taken += count,
            Err(errno) => break errno,
        }
    };
    ensure_eq!(refused, Errno(libc::EAGAIN));
    // More than PIPE_BUF may be taken in part once there is some room.
    ensure_eq!(read(*reader, &mut [0; 4096])?, 4096);
    let count = write(*writer, &vec![2; 200_000])?;
    ensure!((1..200_000).contains(&count), "{count} bytes taken");
    let mut left = taken - 4096 + count;
    while left > 0 {
        left -= read(*reader, &mut [0; 4096])?;
    }
    ensure_errno!(read(*reader, &mut [0; 1]), EAGAIN);
    drop(writer);
    ensure_eq!(read(*reader, &mut [0; 1])?, 0);
    Ok(())
}

fn nonblocking_can_be_switched() -> Outcome {
    let (reader, _writer) = pipe(0)?;
    ioctl_set_int(*reader, libc::FIONBIO as u64, 1)?;
    ensure_eq!(fcntl(*reader, libc::F_GETFL, 0)? & libc::O_NONBLOCK, libc::O_NONBLOCK);
    ensure_errno!(read(*reader, &mut [0; 1]), EAGAIN);
    ioctl_set_int(*reader, libc::FIONBIO as u64, 0)?;
    ensure_eq!(fcntl(*reader, libc::F_GETFL, 0)? & libc::O_NONBLOCK, 0);
    Ok(())
}

fn small_writes_are_whole_or_not_at_all() -> Outcome {
    let (reader, writer) = pipe(0)?;
    let capacity = fill(&writer)?;
    fcntl(*writer, libc::F_SETFL, libc::O_NONBLOCK)?;
    ensure_eq!(read(*reader, &mut [0; 100])?, 100);
    ensure_errno!(write(*writer, &[9; 4096]), EAGAIN);
    let mut left = capacity - 100;
    while left > 0 {
        left -= read(*reader, &mut [0; 4096])?;
    }
    ensure_eq!(write(*writer, &[9; 4096])?, 4096);
    Ok(())
}

fn writes_of_many_writers_are_not_mixed() -> Outcome {
    let (reader, writer) = pipe(0)?;
    let children = (0..6_u8)
        .map(|number| {
            let writer = *writer;
            fork(move || i32::from((0..25).any(|_| write(writer, &[b'a' + number; 1500]) != Ok(1500))))
        })
        .collect::<Result<Vec<_>, _>>()?;
    drop(writer);
    let content = read_to_end(*reader)?;
    ensure_eq!(content.len(), 6 * 25 * 1500);
    for block in content.chunks(1500) {
        ensure!(block.iter().all(|byte| *byte == block[0]), "a mixed block");
    }
    for child in children {
        ensure_eq!(child.wait()?, Status::Exited(0));
    }
    Ok(())
}

fn large_transfer_between_processes() -> Outcome {
    let (reader, writer) = pipe(0)?;
    let content: Vec<u8> = (0..1_000_000_u32).map(|number| (number * 7 / 3) as u8).collect();
    let child = fork(|| {
        let mut rest = content.as_slice();
        while !rest.is_empty() {
            match write(*writer, &rest[..rest.len().min(70_001)]) {
                Ok(count) => rest = &rest[count..],
                Err(_) => return 1,
            }
        }
        0
    })?;
    drop(writer);
    ensure!(read_to_end(*reader)? == content);
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}

fn capacity_can_be_asked_and_changed() -> Outcome {
    let (reader, writer) = pipe(0)?;
    let capacity = or_skip!(fcntl(*writer, libc::F_GETPIPE_SZ, 0), EINVAL);
    ensure_eq!(fill(&writer)?, capacity as usize);
    let mut left = capacity as usize;
    while left > 0 {
        left -= read(*reader, &mut [0; 4096])?;
    }
    ensure_eq!(fcntl(*reader, libc::F_SETPIPE_SZ, 8192)?, 8192);
    ensure_eq!(fill(&writer)?, 8192);
    ensure_errno!(fcntl(*reader, libc::F_SETPIPE_SZ, 4096), EBUSY);
    Ok(())
}

fn waiting_bytes_are_counted() -> Outcome {
    let (reader, writer) = pipe(0)?;
    ensure_eq!(ioctl_int(*reader, libc::FIONREAD as u64)?, 0);
    write(*writer, &[0; 123])?;
    ensure_eq!(ioctl_int(*reader, libc::FIONREAD as u64)?, 123);
    read(*reader, &mut [0; 23])?;
    ensure_eq!(ioctl_int(*reader, libc::FIONREAD as u64)?, 100);
    Ok(())
}

fn wrong_end_is_refused() -> Outcome {
    let (reader, writer) = pipe(0)?;
    ensure_errno!(write(*reader, b"x"), EBADF);
    ensure_errno!(read(*writer, &mut [0; 1]), EBADF);
    Ok(())
}

fn pipe_is_a_fifo_for_stat() -> Outcome {
    let (reader, writer) = pipe(0)?;
    let (one, other) = (fstat(*reader)?, fstat(*writer)?);
    ensure_eq!(one.st_mode & libc::S_IFMT, libc::S_IFIFO);
    ensure_eq!((one.st_ino, one.st_dev), (other.st_ino, other.st_dev));
    Ok(())
}

fn pipe_flags_are_set() -> Outcome {
    let (reader, writer) = pipe(libc::O_CLOEXEC | libc::O_NONBLOCK)?;
    for (end, access) in [(&reader, libc::O_RDONLY), (&writer, libc::O_WRONLY)] {
        ensure_eq!(fcntl(**end, libc::F_GETFD, 0)?, libc::FD_CLOEXEC);
        let flags = fcntl(**end, libc::F_GETFL, 0)? & (libc::O_ACCMODE | libc::O_NONBLOCK);
        ensure_eq!(flags, access | libc::O_NONBLOCK);
    }
    ensure_errno!(pipe(libc::O_APPEND), EINVAL);
    ensure_errno!(probe(libc::SYS_pipe, &[8]), EFAULT);
    let (again, _) = pipe(0)?;
    ensure!(*again < 40, "a failed pipe() leaves no descriptors behind");
    Ok(())
}

fn vectors_go_through_pipes() -> Outcome {
    let (reader, writer) = pipe(0)?;
    ensure_eq!(writev(*writer, &[b"ab", b"cde"])?, 5);
    let (mut first, mut second) = ([0; 3], [0; 9]);
    ensure_eq!(readv(*reader, &mut [&mut first, &mut second])?, 5);
    ensure_eq!((&first, &second[..2]), (b"abc", &b"de"[..]));
    Ok(())
}

fn chain_of_processes() -> Outcome {
    // Ten processes hand a block on, each adding one to every byte.
    let (mut input, first_writer) = pipe(0)?;
    let mut children = Vec::new();
    for _ in 0..10 {
        let (next_input, output) = pipe(0)?;
        let first_writer = *first_writer;
        children.push(fork(|| {
            let _ = close(first_writer);
            let Ok(mut content) = read_to_end(*input) else { return 1 };
            content.iter_mut().for_each(|byte| *byte += 1);
            i32::from(write(*output, &content) != Ok(content.len()))
        })?);
        input = next_input;
    }
    write(*first_writer, &[0, 50, 100])?;
    drop(first_writer);
    ensure_eq!(read_to_end(*input)?, vec![10, 60, 110]);
    for child in children {
        ensure_eq!(child.wait()?, Status::Exited(0));
    }
    Ok(())
}

/// A child that sends this process a signal after a moment, and again every moment until it is dropped.
pub(super) fn nagging_child(signal: i32) -> Result<process::Child, Errno> {
    let me = process::getpid()?;
    fork(move || {
        loop {
            let _ = nanosleep(SHORT);
            if signals::kill(me, signal).is_err() {
                return 0;
            }
        }
    })
}

fn signal_interrupts_a_blocked_read() -> Outcome {
    let (reader, writer) = pipe(0)?;
    signals::act(libc::SIGUSR1, Action::Record, 0, &[])?;
    let _nagger = nagging_child(libc::SIGUSR1)?;
    ensure_errno!(read(*reader, &mut [0; 1]), EINTR);
    ensure!(signals::handled(libc::SIGUSR1) >= 1);
    signals::act(libc::SIGUSR1, Action::Record, libc::SA_RESTART, &[])?;
    let child = fork(|| {
        let _ = nanosleep(SHORT * 4);
        i32::from(write(*writer, b"x") != Ok(1))
    })?;
    ensure_eq!(read(*reader, &mut [0; 1])?, 1, "with SA_RESTART the read goes on");
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}

fn signal_interrupts_a_blocked_write_partly() -> Outcome {
    let (_reader, writer) = pipe(0)?;
    signals::act(libc::SIGUSR1, Action::Record, 0, &[])?;
    let _nagger = nagging_child(libc::SIGUSR1)?;
    let count = write(*writer, &vec![0; 1 << 20])?;
    ensure!((1..1 << 20).contains(&count), "{count} bytes written");
    ensure_errno!(write(*writer, &[0; 4096]), EINTR);
    Ok(())
}

fn make_fifo() -> Result<(), Errno> {
    mknod("fifo", libc::S_IFIFO | 0o644, 0)
}

fn fifo_connects_processes() -> Outcome {
    make_fifo()?;
    let child = fork(|| {
        let Ok(writer) = open("fifo", libc::O_WRONLY, 0) else { return 1 };
        i32::from(write(*writer, b"by name") != Ok(7))
    })?;
    let reader = open("fifo", libc::O_RDONLY, 0)?;
    ensure_eq!(read_to_end(*reader)?, b"by name");
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}

/// Two loops that meet in a FIFO: whoever waits to open it must hear of a partner that is gone again already.
fn fifo_partner_may_be_gone_at_once() -> Outcome {
    const ROUNDS: usize = 1000;
    make_fifo()?;
    // The next round begins when the reader has closed: what is written to a FIFO without readers is lost.
    let (go, ready) = pipe(0)?;
    let child = fork(|| {
        let write_one = |_| {
            let written = open("fifo", libc::O_WRONLY, 0).and_then(|writer| write(*writer, b"x"))?;
            read(*go, &mut [0; 1]).map(|_| written)
        };
        i32::from((0..ROUNDS).map(write_one).any(|outcome| outcome != Ok(1)))
    })?;
    for _ in 0..ROUNDS {
        let reader = open("fifo", libc::O_RDONLY, 0)?;
        ensure_eq!(read_to_end(*reader)?, b"x");
        drop(reader);
        write(*ready, b"!")?;
    }
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}

fn fifo_open_waits_for_the_other_end() -> Outcome {
    make_fifo()?;
    let child = fork(|| i32::from(open("fifo", libc::O_WRONLY, 0).is_err()))?;
    nanosleep(SHORT)?;
    ensure_eq!(child.try_wait()?, None);
    drop(open("fifo", libc::O_RDONLY, 0)?);
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}

fn fifo_opened_nonblocking() -> Outcome {
    make_fifo()?;
    ensure_errno!(open("fifo", libc::O_WRONLY | libc::O_NONBLOCK, 0), ENXIO);
    let reader = open("fifo", libc::O_RDONLY | libc::O_NONBLOCK, 0)?;
    ensure_eq!(read(*reader, &mut [0; 1])?, 0, "no writer yet is the end");
    let writer = open("fifo", libc::O_WRONLY | libc::O_NONBLOCK, 0)?;
    ensure_errno!(read(*reader, &mut [0; 1]), EAGAIN);
    write(*writer, b"x")?;
    ensure_eq!(read(*reader, &mut [0; 4])?, 1);
    Ok(())
}

fn fifo_opened_for_both() -> Outcome {
    make_fifo()?;
    let both = open("fifo", libc::O_RDWR, 0)?;
    write(*both, b"self")?;
    let mut bytes = [0; 8];
    ensure_eq!(read(*both, &mut bytes)?, 4);
    Ok(())
}
