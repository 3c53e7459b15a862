//! The operations, one file for each kind of work, and the table of them.
//!
//! An operation gets random numbers and an empty directory, does something to the kernel, and checks each
//! result against what must come out. It leaves nothing behind: processes, mappings and descriptors end with it.

mod descriptors;
pub(crate) mod exec;
mod files;
mod fork;
mod futex;
mod kill;
mod map;
mod migrate;
mod pipes;
mod polling;
mod priority;
mod sessions;
mod shared_files;
mod signals;
mod sleep;
mod sockets;
mod terminal;
mod threads;
mod timers;
mod waiting;

use crate::report::{Outcome, Stop};
use crate::worker::Context;

/// One kind of work.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// How often it is chosen, against the others.
    pub(crate) weight: usize,
    pub(crate) run: fn(&mut Context<'_>) -> Outcome,
}

#[rustfmt::skip]
pub(crate) const ALL: &[Operation] = &[
    Operation { name: "fork", weight: 10, run: fork::run, about: "trees of processes that share memory copy-on-write" },
    Operation { name: "exec", weight: 3, run: exec::run, about: "other programs with arguments, environment and descriptors" },
    Operation { name: "threads", weight: 8, run: threads::run, about: "threads that count together; processes that end while threads run" },
    Operation { name: "map", weight: 10, run: map::run, about: "map, unmap, protect, move and forget pages, against a model" },
    Operation { name: "signals", weight: 10, run: signals::run, about: "handlers, masks and queues, with counts" },
    Operation { name: "migrate", weight: 8, run: migrate::run, about: "from CPU to CPU, in the middle of arithmetic" },
    Operation { name: "priority", weight: 4, run: priority::run, about: "nice values and policies" },
    Operation { name: "sleep", weight: 8, run: sleep::run, about: "sleeps of all kinds, never too short" },
    Operation { name: "pipes", weight: 8, run: pipes::run, about: "data through one or more pipes" },
    Operation { name: "sockets", weight: 8, run: sockets::run, about: "streams and messages through socket pairs" },
    Operation { name: "polling", weight: 8, run: polling::run, about: "ping-pong over eventfd, pipes, epoll and poll" },
    Operation { name: "futex", weight: 10, run: futex::run, about: "ping-pong and locks on futexes, between processes and threads" },
    Operation { name: "files", weight: 10, run: files::run, about: "files written, cut, renamed, mapped, synced, against a model" },
    Operation { name: "shared", weight: 4, run: shared_files::run, about: "a file that processes write and map at a time" },
    Operation { name: "terminal", weight: 6, run: terminal::run, about: "pseudo-terminals: lines, echo, hang-up" },
    Operation { name: "timers", weight: 6, run: timers::run, about: "timer descriptors and interval timers" },
    Operation { name: "waiting", weight: 10, run: waiting::run, about: "children that end while they are waited for" },
    Operation { name: "sessions", weight: 8, run: sessions::run, about: "sessions, groups, stops and orphans" },
    Operation { name: "descriptors", weight: 6, run: descriptors::run, about: "descriptors duplicated, closed and passed on" },
    Operation { name: "kill", weight: 8, run: kill::run, about: "processes killed in the middle of whatever they do" },
];

const _: () = assert!(ALL.len() <= crate::board::MAX_OPERATIONS);

/// Tells the watchdog that the operation has got here.
macro_rules! mark {
    ($context:expr) => {
        $context.slot.mark(line!())
    };
}
use mark;

/// Writes everything.
fn write_all(fd: impl std::os::fd::AsFd, mut bytes: &[u8]) -> Result<(), rustix::io::Errno> {
    while !bytes.is_empty() {
        let count = rustix::io::retry_on_intr(|| rustix::io::write(fd.as_fd(), bytes))?;
        bytes = &bytes[count..];
    }
    Ok(())
}

/// Fills the buffer; what the peer has sent before it closed, if that is less.
fn read_full(fd: impl std::os::fd::AsFd, buffer: &mut [u8]) -> Result<usize, rustix::io::Errno> {
    let mut filled = 0;
    while filled < buffer.len() {
        match rustix::io::retry_on_intr(|| rustix::io::read(fd.as_fd(), &mut buffer[filled..]))? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

/// Fills the buffer, or says that the peer has left.
#[track_caller]
fn read_exact(fd: impl std::os::fd::AsFd, buffer: &mut [u8]) -> Outcome {
    let count = read_full(fd, buffer)?;
    if count == buffer.len() { Ok(()) } else { Err(Stop::left("the other process")) }
}
