//! Programs that take all there is: memory, processes, threads, descriptors, files, areas. Each must end with an
//! error or killed, and leave a system that works.
//!
//! Run only when named: meant for a machine with little memory (64 MiB) that is the test's own. What is
//! expected is what Linux does there.

use std::os::fd::AsRawFd;

use crate::report::{Outcome, Stop, ensure, ensure_eq, skip, tests};
use crate::sys::files::{self, Fd, pipe};
use crate::sys::memory::{Mapping, PAGE, READ};
use crate::sys::process::{self, Child, Status, fork};
use crate::sys::{Errno, probe, signals, sockets, time, users};

tests! {
    memory_hog_is_killed_alone,
    hogs_at_once_are_all_killed,
    largest_goes_not_the_one_that_asks,
    protected_process_stays,
    memory_that_is_shared_is_counted,
    fork_bomb_meets_its_user_limit,
    fork_bomb_meets_the_systems_limit,
    thread_bomb_meets_the_systems_limit,
    full_pipes_kill_their_holders_at_most,
    full_sockets_kill_their_holders_at_most,
    event_descriptors_meet_their_limit,
    descriptor_numbers_meet_memory,
    file_larger_than_memory_is_copied,
    memory_file_system_fills_up,
    thousands_of_areas_are_borne,
    deep_directories_can_be_made_and_removed,
}

const MIB: usize = 1 << 20;
const KILLED: Status = Status::Killed(libc::SIGKILL);

/// A figure of /proc/meminfo, in bytes.
fn memory(name: &str) -> Outcome<usize> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kib.map(|kib| kib * 1024).ok_or(Stop::fail(format!("no {name} in meminfo")))
}

/// How many processes were killed for memory.
fn kills() -> Outcome<usize> {
    let text = std::fs::read_to_string("/proc/vmstat")?;
    let figure = text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok());
    figure.ok_or(Stop::fail("no oom_kill in vmstat"))
}

/// Makes a mapping's pages the process's own.
fn touch(memory: &Mapping) {
    for offset in (0..memory.length()).step_by(PAGE) {
        memory.set(offset, 1);
    }
}

/// Takes memory until there is none.
fn devour() -> i32 {
    loop {
        match Mapping::private(MIB) {
            Ok(more) => {
                touch(&more);
                std::mem::forget(more);
            }
            Err(_) => return 1,
        }
    }
}

/// A child that has `bytes` of memory, once it is there. It lives until it is killed or dropped.
fn holder(bytes: usize, adjustment: i32) -> Outcome<Child> {
    let (ready, ready_end) = pipe(0)?;
    let child = fork(|| {
        if std::fs::write("/proc/self/oom_score_adj", adjustment.to_string()).is_err() {
            return 2;
        }
        let Ok(memory) = Mapping::private(bytes) else { return 3 };
        touch(&memory);
        let _ = files::write(ready_end.raw(), b"x");
        signals::pause_forever()
    })?;
    drop(ready_end);
    ensure_eq!(files::read(ready.raw(), &mut [0])?, 1, "the child has its memory");
    Ok(child)
}

/// Whether this process still gets memory, processes, and files.
fn system_works() -> Outcome {
    let memory = Mapping::private(MIB)?;
    touch(&memory);
    ensure_eq!(fork(|| 7)?.wait()?, Status::Exited(7));
    files::put("proof", b"still there")?;
    ensure_eq!(files::get("proof")?, b"still there");
    Ok(())
}

fn memory_hog_is_killed_alone() -> Outcome {
    let bystander = holder(MIB, 0)?;
    let before = kills()?;
    ensure_eq!(fork(devour)?.wait()?, KILLED);
    ensure_eq!(kills()?, before + 1);
    ensure_eq!(bystander.try_wait()?, None);
    system_works()
}

fn hogs_at_once_are_all_killed() -> Outcome {
    let bystander = holder(MIB, 0)?;
    let hogs = (0..6).map(|_| fork(devour)).collect::<Result<Vec<_>, _>>()?;
    for hog in hogs {
        ensure_eq!(hog.wait()?, KILLED);
    }
    ensure_eq!(bystander.try_wait()?, None);
    system_works()
}

fn largest_goes_not_the_one_that_asks() -> Outcome {
    let available = memory("MemAvailable")?;
    let largest = holder(available / 2, 0)?;
    let asking = holder(available / 3 * 2, -500)?;
    ensure_eq!(largest.wait()?, KILLED);
    ensure_eq!(asking.try_wait()?, None);
    drop(asking);
    system_works()
}

fn protected_process_stays() -> Outcome {
    let protected = holder(memory("MemAvailable")? / 2, -1000)?;
    ensure_eq!(files::get(&format!("/proc/{}/oom_score", protected.pid()))?, b"0\n");
    ensure_eq!(fork(devour)?.wait()?, KILLED);
    ensure_eq!(protected.try_wait()?, None);
    system_works()
}

fn memory_that_is_shared_is_counted() -> Outcome {
    let hog = fork(|| {
        loop {
            match Mapping::shared(MIB) {
                Ok(more) => {
                    touch(&more);
                    std::mem::forget(more);
                }
                Err(_) => return 1,
            }
        }
    })?;
    ensure_eq!(hog.wait()?, KILLED);
    system_works()
}

/// Forks, and lets the children fork, until no fork succeeds any more; each failure is a byte for `failures`.
fn multiply(failures: &Fd) -> i32 {
    loop {
        // The child goes on with this loop as well.
        match probe(libc::SYS_fork, &[]) {
            Ok(_) => {}
            Err(Errno(errno)) => {
                let _ = files::write(failures.raw(), &[errno as u8]);
                return signals::pause_forever();
            }
        }
    }
}

/// Starts a bomb in a session of its own, waits for `enough` of its processes to fail, and ends all of it. Answers
/// the errors of fork.
fn explode(enough: usize, prepare: impl FnOnce() -> bool) -> Outcome<Vec<u8>> {
    let (failures, failures_end) = pipe(0)?;
    let bomb = fork(|| {
        // Its processes are hardly smaller than this one, which has to end them: they go first when memory is short.
        let goes_first = files::put("/proc/self/oom_score_adj", b"1000").is_ok();
        let is_prepared = goes_first && process::setsid().is_ok() && prepare();
        if is_prepared { multiply(&failures_end) } else { 1 }
    })?;
    drop(failures_end);
    let mut errors = vec![0; enough];
    let mut count = 0;
    while count < enough {
        match files::read(failures.raw(), &mut errors[count..])? {
            0 => break,
            more => count += more,
        }
    }
    errors.truncate(count);
    // A fork may be under way while the group is killed: once more until nobody is left.
    loop {
        match signals::kill(-bomb.pid(), libc::SIGKILL) {
            Ok(()) => {}
            Err(Errno(libc::ESRCH)) => break,
            Err(errno) => return Err(errno.into()),
        }
        let _ = bomb.try_wait();
        let _ = process::sched_yield();
    }
    bomb.forget();
    Ok(errors)
}

fn fork_bomb_meets_its_user_limit() -> Outcome {
    const USER: u32 = 4711;
    const PROCESSES: u64 = 20;
    if !users::rules_all_users() {
        skip!("takes root to become another user");
    }
    let errors = explode(PROCESSES as usize, || {
        process::setrlimit(libc::RLIMIT_NPROC as u32, (PROCESSES, PROCESSES)).is_ok()
            && users::setresuid(USER, USER, USER).is_ok()
    })?;
    ensure_eq!(errors, vec![libc::EAGAIN as u8; PROCESSES as usize]);
    system_works()
}

fn fork_bomb_meets_the_systems_limit() -> Outcome {
    let errors = explode(40, || true)?;
    ensure!(!errors.is_empty(), "somebody was refused a process");
    ensure!(errors.iter().all(|&errno| errno == libc::EAGAIN as u8 || errno == libc::ENOMEM as u8));
    system_works()
}

fn thread_bomb_meets_the_systems_limit() -> Outcome {
    let bomb = fork(|| {
        let mut count = 0;
        while std::thread::Builder::new().stack_size(16 * 1024).spawn(signals::pause_forever).is_ok() {
            count += 1;
        }
        // A small machine has room for some dozens, none for 32,768.
        if (20..32_768).contains(&count) { 0 } else { 1 }
    })?;
    let status = bomb.wait()?;
    ensure!(status == Status::Exited(0) || status == KILLED, "{status}");
    system_works()
}

/// Starts processes that all fill as many files as they can, by `fill`, until it answers an error.
fn hoard(fill: fn() -> Errno) -> Outcome {
    let bystander = holder(MIB, 0)?;
    let hogs = (0..4)
        .map(|_| {
            fork(|| match fill() {
                Errno(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS) => 0,
                Errno(other) => other,
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    for hog in hogs {
        let status = hog.wait()?;
        ensure!(status == Status::Exited(0) || status == KILLED, "a hog {status}");
    }
    ensure_eq!(bystander.try_wait()?, None);
    system_works()
}

/// Writes to a descriptor until it takes nothing any more; an error other than that.
fn stuff(fd: i32) -> Result<(), Errno> {
    let bytes = [0x55; 4096];
    loop {
        match files::write(fd, &bytes) {
            Ok(_) => {}
            Err(Errno(libc::EAGAIN)) => return Ok(()),
            Err(errno) => return Err(errno),
        }
    }
}

fn fill_pipes() -> Errno {
    loop {
        let outcome = pipe(libc::O_NONBLOCK).and_then(|(reader, writer)| {
            stuff(writer.raw())?;
            std::mem::forget((reader, writer));
            Ok(())
        });
        if let Err(errno) = outcome {
            return errno;
        }
    }
}

fn full_pipes_kill_their_holders_at_most() -> Outcome {
    hoard(fill_pipes)
}

fn fill_sockets() -> Errno {
    loop {
        let outcome =
            sockets::socketpair(libc::SOCK_STREAM | libc::SOCK_NONBLOCK).and_then(|(one, other)| {
                stuff(one.raw())?;
                stuff(other.raw())?;
                std::mem::forget((one, other));
                Ok(())
            });
        if let Err(errno) = outcome {
            return errno;
        }
    }
}

fn full_sockets_kill_their_holders_at_most() -> Outcome {
    hoard(fill_sockets)
}

fn make_event_descriptors() -> Errno {
    let raised = process::setrlimit(libc::RLIMIT_NOFILE as u32, (4096, 4096));
    if let Err(errno) = raised {
        return errno;
    }
    loop {
        let Ok(poll) = probe(libc::SYS_epoll_create1, &[0]) else { return Errno(libc::EMFILE) };
        match time::eventfd(1, libc::EFD_NONBLOCK) {
            Ok(event) => {
                let mut interest = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 1 };
                let address = std::ptr::from_mut(&mut interest).addr();
                let arguments = [poll, libc::EPOLL_CTL_ADD as usize, event.raw() as usize, address];
                if let Err(errno) = probe(libc::SYS_epoll_ctl, &arguments) {
                    return errno;
                }
                std::mem::forget(event);
            }
            Err(errno) => return errno,
        }
    }
}

fn event_descriptors_meet_their_limit() -> Outcome {
    hoard(make_event_descriptors)
}

fn descriptor_numbers_meet_memory() -> Outcome {
    const NUMBERS: u64 = 1 << 20;
    let raised = process::setrlimit(libc::RLIMIT_NOFILE as u32, (NUMBERS, NUMBERS));
    if raised.is_err() {
        skip!("takes root to raise the limit");
    }
    // A table for a million descriptors: there is memory for it, or there is none.
    let hogs = (0..8)
        .map(|_| {
            fork(|| match files::dup2(1, NUMBERS as i32 - 1) {
                Ok(_) => i32::from(
                    fork(|| 0).and_then(|child| child.wait()).is_ok_and(|end| end != Status::Exited(0)),
                ),
                Err(Errno(libc::ENOMEM)) => 0,
                Err(Errno(other)) => other,
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    for hog in hogs {
        let status = hog.wait()?;
        ensure!(status == Status::Exited(0) || status == KILLED, "a hog {status}");
    }
    system_works()
}

fn file_larger_than_memory_is_copied() -> Outcome {
    const CHUNK: usize = 64 * 1024;
    let room = files::statfs("/root")?;
    let room = room.free as usize * room.block_size as usize;
    let size = (memory("MemTotal")? * 5 / 4).min(room / 2 - MIB) / CHUNK * CHUNK;
    ensure!(size >= 8 * MIB, "only {size} bytes of room on the disk");
    let before = kills()?;
    let chunk =
        |at: usize| -> Vec<u8> { (0..CHUNK).map(|byte| (byte / 251 + at / CHUNK * 7) as u8).collect() };
    let outcome = (|| -> Outcome {
        let original = files::open("/root/systest.large", libc::O_RDWR | libc::O_CREAT, 0o600)?;
        for at in (0..size).step_by(CHUNK) {
            ensure_eq!(files::write(original.raw(), &chunk(at))?, CHUNK);
        }
        files::lseek(original.raw(), 0, libc::SEEK_SET)?;
        let copy = files::open("/root/systest.copy", libc::O_RDWR | libc::O_CREAT, 0o600)?;
        let mut buffer = vec![0; CHUNK];
        while files::read(original.raw(), &mut buffer)? == CHUNK {
            ensure_eq!(files::write(copy.raw(), &buffer)?, CHUNK);
        }
        let is_whole = |buffer: &mut Vec<u8>| -> Outcome {
            for at in (0..size).step_by(CHUNK) {
                ensure_eq!(files::pread(copy.raw(), buffer, at as i64)?, CHUNK);
                ensure!(*buffer == chunk(at), "the copy differs in the chunk at {at}");
            }
            Ok(())
        };
        is_whole(&mut buffer)?;
        // In one call, whose two sides take twice as much.
        files::ftruncate(copy.raw(), 0)?;
        files::lseek(copy.raw(), 0, libc::SEEK_SET)?;
        let source = Mapping::of_file(original.raw(), size, READ, libc::MAP_SHARED)?;
        ensure_eq!(source.write_to(copy.raw(), 0, size)?, size);
        drop(source);
        is_whole(&mut buffer)?;
        // And by a mapping, whose pages go and come back.
        let mapped = Mapping::of_file(copy.raw(), size, READ, libc::MAP_SHARED)?;
        for at in (0..size).step_by(CHUNK) {
            ensure_eq!(mapped.get(at + 1000), chunk(at)[1000]);
        }
        Ok(())
    })();
    let _ = files::unlink("/root/systest.large");
    let _ = files::unlink("/root/systest.copy");
    outcome?;
    ensure_eq!(kills()?, before, "nobody was killed for it");
    system_works()
}

fn memory_file_system_fills_up() -> Outcome {
    let before = kills()?;
    let file = std::fs::File::create("filler")?;
    let chunk = vec![1; 256 * 1024];
    let errno = loop {
        if let Err(errno) = files::write(file.as_raw_fd(), &chunk) {
            break errno;
        }
    };
    ensure_eq!(errno, Errno(libc::ENOSPC));
    ensure_eq!(fork(|| 7)?.wait()?, Status::Exited(7), "while it is full");
    files::unlink("filler")?;
    drop(file);
    ensure_eq!(kills()?, before, "nobody was killed for it");
    system_works()
}

fn thousands_of_areas_are_borne() -> Outcome {
    let hog = fork(|| {
        const PAGES: usize = 8_000;
        let Ok(memory) = Mapping::private(PAGES * PAGE) else { return 1 };
        // Neighbours that differ do not stay one area.
        for page in (0..PAGES).step_by(2) {
            match memory.protect(page * PAGE, PAGE, READ) {
                Ok(()) => {}
                Err(Errno(errno)) => return errno,
            }
        }
        0
    })?;
    let status = hog.wait()?;
    ensure!(status == Status::Exited(0) || status == KILLED, "{status}");
    system_works()
}

fn deep_directories_can_be_made_and_removed() -> Outcome {
    const DEPTH: usize = 3000;
    for _ in 0..DEPTH {
        files::mkdir("d", 0o700)?;
        files::chdir("d")?;
    }
    ensure!(files::getcwd(64 * 1024).is_err(), "a path longer than PATH_MAX has no name");
    for _ in 0..DEPTH {
        files::chdir("..")?;
        files::rmdir("d")?;
    }
    system_works()
}
