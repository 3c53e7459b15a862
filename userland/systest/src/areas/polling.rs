//! Waiting for descriptors with poll and select.

use std::time::{Duration, Instant};

use crate::report::{Outcome, ensure, ensure_eq, ensure_errno, or_skip, skip, tests};
use crate::sys::files::{Fd, close, open, pipe, read, write};
use crate::sys::process::{Status, fork};
use crate::sys::signals::{self, Action};
use crate::sys::time::{Wait, eventfd, nanosleep, poll, poll_forever, ppoll, select};
use crate::sys::{Errno, probe};

use super::pipes::{fill, nagging_child};

tests! {
    poll_tells_readable_and_writable,
    poll_tells_hangup_and_error,
    poll_refuses_and_skips_descriptors,
    poll_keeps_its_time_limit,
    poll_wakes_when_bytes_come,
    poll_counts_descriptors,
    files_are_always_ready,
    poll_is_interrupted_by_a_handler,
    ppoll_changes_the_mask_while_waiting,
    select_tells_readable_and_writable,
    select_keeps_its_time_limit,
    select_refuses_what_is_wrong,
    event_counter_counts,
}

const SHORT: Duration = Duration::from_millis(30);

/// What poll finds on one descriptor without waiting.
fn found(fd: i32, events: i16) -> Result<i16, Errno> {
    let mut waits = [Wait::new(fd, events)];
    poll(&mut waits, Duration::ZERO)?;
    Ok(waits[0].found)
}

fn poll_tells_readable_and_writable() -> Outcome {
    let (reader, writer) = pipe(0)?;
    ensure_eq!(found(*reader, libc::POLLIN)?, 0);
    ensure_eq!(found(*writer, libc::POLLOUT)?, libc::POLLOUT);
    write(*writer, b"x")?;
    ensure_eq!(found(*reader, libc::POLLIN | libc::POLLOUT)?, libc::POLLIN);
    ensure_eq!(found(*reader, 0)?, 0);
    read(*reader, &mut [0; 1])?;
    fill(&writer)?;
    ensure_eq!(found(*writer, libc::POLLOUT)?, 0);
    // Room for PIPE_BUF makes it writable again.
    read(*reader, &mut [0; 4096])?;
    ensure_eq!(found(*writer, libc::POLLOUT)?, libc::POLLOUT);
    Ok(())
}

fn poll_tells_hangup_and_error() -> Outcome {
    let (reader, writer) = pipe(0)?;
    write(*writer, b"x")?;
    drop(writer);
    ensure_eq!(found(*reader, libc::POLLIN)?, libc::POLLIN | libc::POLLHUP);
    read(*reader, &mut [0; 1])?;
    ensure_eq!(found(*reader, libc::POLLIN)?, libc::POLLHUP);
    ensure_eq!(found(*reader, 0)?, libc::POLLHUP);
    let (reader, writer) = pipe(0)?;
    drop(reader);
    ensure_eq!(found(*writer, 0)?, libc::POLLERR);
    ensure_eq!(found(*writer, libc::POLLOUT)?, libc::POLLOUT | libc::POLLERR);
    Ok(())
}

fn poll_refuses_and_skips_descriptors() -> Outcome {
    let mut waits = [Wait::readable(99), Wait::readable(-1)];
    ensure_eq!(poll(&mut waits, Duration::from_secs(5))?, 1);
    ensure_eq!((waits[0].found, waits[1].found), (libc::POLLNVAL, 0));
    ensure_eq!(poll(&mut waits[1..], Duration::ZERO)?, 0);
    ensure_errno!(probe(libc::SYS_poll, &[0, 1 << 30, 0]), EINVAL);
    Ok(())
}

fn poll_keeps_its_time_limit() -> Outcome {
    let (reader, _writer) = pipe(0)?;
    for limit in [1, 20, 50].map(Duration::from_millis) {
        let start = Instant::now();
        ensure_eq!(poll(&mut [Wait::readable(*reader)], limit)?, 0);
        ensure!(start.elapsed() >= limit, "{limit:?} took {:?}", start.elapsed());
        let start = Instant::now();
        ensure_eq!(poll(&mut [], limit)?, 0);
        ensure!(start.elapsed() >= limit, "{limit:?} for nothing took {:?}", start.elapsed());
    }
    Ok(())
}

fn poll_wakes_when_bytes_come() -> Outcome {
    let (reader, writer) = pipe(0)?;
    let child = fork(|| {
        let _ = nanosleep(SHORT);
        i32::from(write(*writer, b"x") != Ok(1))
    })?;
    ensure_eq!(poll_forever(&mut [Wait::readable(*reader)])?, 1);
    ensure_eq!(child.wait()?, Status::Exited(0));
    read(*reader, &mut [0; 1])?;
    let number = *writer;
    let child = fork(move || {
        let _ = nanosleep(SHORT);
        i32::from(close(number).is_err())
    })?;
    drop(writer);
    let mut waits = [Wait::readable(*reader)];
    ensure_eq!(poll(&mut waits, Duration::from_secs(10))?, 1);
    ensure_eq!(waits[0].found, libc::POLLHUP);
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}

fn poll_counts_descriptors() -> Outcome {
    let pipes: Vec<(Fd, Fd)> = (0..10).map(|_| pipe(0)).collect::<Result<_, _>>()?;
    for (_, writer) in pipes.iter().step_by(3) {
        write(**writer, b"x")?;
    }
    let mut waits: Vec<Wait> = pipes.iter().map(|(reader, _)| Wait::readable(**reader)).collect();
    ensure_eq!(poll(&mut waits, Duration::from_secs(10))?, 4);
    for (index, wait) in waits.iter().enumerate() {
        ensure_eq!(wait.found != 0, index % 3 == 0, "pipe {index}");
    }
    Ok(())
}

fn files_are_always_ready() -> Outcome {
    let file = open("file", libc::O_RDWR | libc::O_CREAT, 0o644)?;
    let both = libc::POLLIN | libc::POLLOUT;
    ensure_eq!(found(*file, both)?, both);
    ensure_eq!(found(*open(".", libc::O_RDONLY, 0)?, libc::POLLIN)?, libc::POLLIN);
    ensure_eq!(found(*open("/dev/null", libc::O_RDWR, 0)?, both)?, both);
    ensure_eq!(found(*open("/dev/zero", libc::O_RDWR, 0)?, both)?, both);
    Ok(())
}

fn poll_is_interrupted_by_a_handler() -> Outcome {
    let (reader, _writer) = pipe(0)?;
    // Even with SA_RESTART.
    signals::act(libc::SIGUSR1, Action::Record, libc::SA_RESTART, &[])?;
    let _nagger = nagging_child(libc::SIGUSR1)?;
    ensure_errno!(poll(&mut [Wait::readable(*reader)], Duration::from_secs(15)), EINTR);
    ensure_errno!(select(1 << *reader, 0, Some(Duration::from_secs(15))), EINTR);
    Ok(())
}

fn ppoll_changes_the_mask_while_waiting() -> Outcome {
    let (reader, _writer) = pipe(0)?;
    signals::act(libc::SIGUSR1, Action::Record, 0, &[])?;
    let before = signals::block(libc::SIGUSR1)?;
    signals::raise(libc::SIGUSR1)?;
    ensure_eq!(signals::handled(libc::SIGUSR1), 0);
    let answer = ppoll(&mut [Wait::readable(*reader)], Some(Duration::from_secs(15)), before);
    if answer.is_err_and(|errno| errno.0 == libc::ENOSYS) {
        skip!("no ppoll");
    }
    ensure_errno!(answer, EINTR);
    ensure_eq!(signals::handled(libc::SIGUSR1), 1);
    ensure_eq!(signals::mask()?, signals::set_of(libc::SIGUSR1));
    ensure_eq!(ppoll(&mut [Wait::readable(*reader)], Some(Duration::from_millis(5)), 0)?, 0);
    Ok(())
}

fn select_tells_readable_and_writable() -> Outcome {
    let (reader, writer) = pipe(0)?;
    let (input, output) = (1 << *reader, 1 << *writer);
    let (count, read_set, write_set, _) = select(input, output, Some(Duration::ZERO))?;
    ensure_eq!((count, read_set, write_set), (1, 0, output));
    write(*writer, b"x")?;
    let (count, read_set, write_set, _) = select(input, output, None)?;
    ensure_eq!((count, read_set, write_set), (2, input, output));
    drop(writer);
    read(*reader, &mut [0; 1])?;
    let (count, read_set, _, _) = select(input, 0, None)?;
    ensure_eq!((count, read_set), (1, input), "the end is readable");
    Ok(())
}

fn select_keeps_its_time_limit() -> Outcome {
    let (reader, writer) = pipe(0)?;
    let start = Instant::now();
    let limit = Duration::from_millis(40);
    let (count, read_set, _, left) = select(1 << *reader, 0, Some(limit))?;
    ensure_eq!((count, read_set, left), (0, 0, Duration::ZERO));
    ensure!(start.elapsed() >= limit, "took {:?}", start.elapsed());
    write(*writer, b"x")?;
    let (_, _, _, left) = select(1 << *reader, 0, Some(Duration::from_secs(100)))?;
    ensure!(left > Duration::from_secs(50), "Linux tells what is left of the limit");
    Ok(())
}

fn select_refuses_what_is_wrong() -> Outcome {
    ensure_errno!(select(1 << 50, 0, Some(Duration::ZERO)), EBADF);
    ensure_errno!(probe(libc::SYS_select, &[usize::MAX, 0, 0, 0, 0]), EINVAL);
    ensure_errno!(probe(libc::SYS_select, &[64, 8, 0, 0, 0]), EFAULT);
    Ok(())
}

fn event_counter_counts() -> Outcome {
    let event = or_skip!(eventfd(3, libc::EFD_NONBLOCK), ENOSYS);
    let mut bytes = [0; 8];
    ensure_eq!(read(*event, &mut bytes)?, 8);
    ensure_eq!(u64::from_le_bytes(bytes), 3);
    ensure_errno!(read(*event, &mut bytes), EAGAIN);
    write(*event, &5_u64.to_le_bytes())?;
    write(*event, &6_u64.to_le_bytes())?;
    ensure_eq!(found(*event, libc::POLLIN)?, libc::POLLIN);
    read(*event, &mut bytes)?;
    ensure_eq!(u64::from_le_bytes(bytes), 11);
    ensure_errno!(write(*event, &u64::MAX.to_le_bytes()), EINVAL);
    ensure_errno!(read(*event, &mut [0; 4]), EINVAL);
    Ok(())
}
