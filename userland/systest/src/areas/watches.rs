//! Watching files with inotify.

use std::time::Duration;

use super::attributes::as_user;
use crate::report::{Outcome, Stop, ensure, ensure_eq, ensure_errno, or_skip, skip, tests};
use crate::sys::files::{
    Fd, chmod, close, get, ioctl_int, link, list, mkdir, mknod, open, put, read, readlink, rename, renameat2,
    rmdir, symlink, truncate, unlink, utimensat, write,
};
use crate::sys::inotify::{Event, add, init, parse, remove};
use crate::sys::process::{Status, fork};
use crate::sys::time::{Wait, poll};
use crate::sys::xattrs;

tests! {
    uses_of_a_file_are_told,
    names_are_told,
    moves_are_tied_by_cookies,
    exchanges_are_two_moves,
    attributes_are_told,
    watches_of_a_removed_file_end,
    removed_files_are_told_by_name_until_closed,
    watches_can_be_changed_and_ended,
    a_watch_can_be_for_one_event,
    links_can_be_watched_themselves,
    repeated_events_are_one,
    lost_events_are_told,
    reading_waits_and_takes_what_fits,
    wrong_arguments_are_refused,
    watching_needs_the_right_to_read,
    limits_are_in_proc,
}

/// Everything that waits in an instance; it does not wait itself.
fn events(fd: &Fd) -> Outcome<Vec<Event>> {
    let mut all = Vec::new();
    let mut buffer = [0; 65536];
    loop {
        match read(**fd, &mut buffer) {
            Ok(count) => all.extend(parse(&buffer[..count])),
            Err(errno) if errno.0 == libc::EAGAIN => return Ok(all),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// What happened, to which name.
fn told(fd: &Fd) -> Outcome<Vec<(u32, String)>> {
    Ok(events(fd)?.into_iter().map(|event| (event.mask, event.name)).collect())
}

/// A list of what should have been told.
fn wanted(list: &[(u32, &str)]) -> Vec<(u32, String)> {
    list.iter().map(|(mask, name)| (*mask, (*name).to_owned())).collect()
}

/// An instance that does not wait, and a watch.
fn watching(name: &str, mask: u32) -> Outcome<(Fd, i32)> {
    let fd = or_skip!(init(libc::IN_NONBLOCK | libc::IN_CLOEXEC), ENOSYS);
    let watch = add(*fd, name, mask)?;
    Ok((fd, watch))
}

use libc::{
    IN_ACCESS, IN_ALL_EVENTS, IN_ATTRIB, IN_CLOSE_NOWRITE, IN_CLOSE_WRITE, IN_CREATE, IN_DELETE,
    IN_DELETE_SELF, IN_DONT_FOLLOW, IN_EXCL_UNLINK, IN_IGNORED, IN_ISDIR, IN_MASK_ADD, IN_MASK_CREATE,
    IN_MODIFY, IN_MOVE_SELF, IN_MOVED_FROM, IN_MOVED_TO, IN_ONESHOT, IN_ONLYDIR, IN_OPEN, IN_Q_OVERFLOW,
};

fn uses_of_a_file_are_told() -> Outcome {
    mkdir("d", 0o755)?;
    put("d/file", b"contents")?;
    let (fd, directory) = watching("d", IN_ALL_EVENTS)?;
    let file_watch = add(*fd, "d/file", IN_ALL_EVENTS)?;
    ensure!(directory > 0 && file_watch > directory, "{directory} {file_watch}");
    get("d/file")?;
    let both = |mask| {
        let event = |watch, name: &str| Event { watch, mask, cookie: 0, name: name.to_owned() };
        [event(directory, "file"), event(file_watch, "")]
    };
    ensure_eq!(events(&fd)?, [both(IN_OPEN), both(IN_ACCESS), both(IN_CLOSE_NOWRITE)].concat());
    let file = open("d/file", libc::O_WRONLY, 0)?;
    write(*file, b"x")?;
    drop(file);
    ensure_eq!(events(&fd)?, [both(IN_OPEN), both(IN_MODIFY), both(IN_CLOSE_WRITE)].concat());
    truncate("d/file", 3)?;
    ensure_eq!(events(&fd)?, both(IN_MODIFY));
    // Emptied by opening: in which order the two are told has changed in Linux.
    drop(open("d/file", libc::O_WRONLY | libc::O_TRUNC, 0)?);
    let mut all = events(&fd)?;
    all.sort_by_key(|event| (event.mask, event.watch));
    ensure_eq!(all, [both(IN_MODIFY), both(IN_CLOSE_WRITE), both(IN_OPEN)].concat());
    drop(open("d/file", libc::O_PATH, 0)?);
    let nothing: [Event; 0] = [];
    ensure_eq!(events(&fd)?, nothing, "O_PATH opens nothing");
    Ok(())
}

fn names_are_told() -> Outcome {
    mkdir("d", 0o755)?;
    let (fd, _) = watching("d", IN_CREATE | IN_DELETE | IN_ONLYDIR)?;
    put("d/file", b"")?;
    mkdir("d/sub", 0o755)?;
    symlink("nowhere", "d/symlink")?;
    mknod("d/fifo", libc::S_IFIFO | 0o600, 0)?;
    link("d/file", "d/other")?;
    put("d/sub/deeper", b"")?;
    let made = ["file", "sub", "symlink", "fifo", "other"];
    let mask = |kind, name: &str| if name == "sub" { kind | IN_ISDIR } else { kind };
    ensure_eq!(told(&fd)?, made.map(|name| (mask(IN_CREATE, name), name.to_owned())));
    unlink("d/sub/deeper")?;
    for name in ["file", "symlink", "fifo", "other"] {
        unlink(&format!("d/{name}"))?;
    }
    rmdir("d/sub")?;
    let gone = ["file", "symlink", "fifo", "other", "sub"];
    ensure_eq!(told(&fd)?, gone.map(|name| (mask(IN_DELETE, name), name.to_owned())));
    drop(open("d/file", libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL, 0o600)?);
    ensure_errno!(mkdir("d/file", 0o755), EEXIST);
    ensure_errno!(unlink("d/nothing"), ENOENT);
    ensure_eq!(told(&fd)?, wanted(&[(IN_CREATE, "file")]), "what fails is not told");
    Ok(())
}

fn moves_are_tied_by_cookies() -> Outcome {
    mkdir("from", 0o755)?;
    mkdir("to", 0o755)?;
    put("from/file", b"")?;
    put("to/old", b"")?;
    let (fd, from) = watching("from", IN_ALL_EVENTS)?;
    let to = add(*fd, "to", IN_ALL_EVENTS)?;
    let file = add(*fd, "from/file", IN_MOVE_SELF)?;
    let old = add(*fd, "to/old", IN_ATTRIB | IN_DELETE_SELF)?;
    rename("from/file", "to/old")?;
    let all = events(&fd)?;
    let cookie = all.first().map_or(0, |event| event.cookie);
    ensure!(cookie != 0, "{all:?}");
    let event = |watch, mask, cookie, name: &str| Event { watch, mask, cookie, name: name.to_owned() };
    ensure_eq!(
        all,
        [
            event(from, IN_MOVED_FROM, cookie, "file"),
            event(to, IN_MOVED_TO, cookie, "old"),
            event(old, IN_ATTRIB, 0, ""),
            event(file, IN_MOVE_SELF, 0, ""),
            event(old, IN_DELETE_SELF, 0, ""),
            event(old, IN_IGNORED, 0, ""),
        ]
    );
    mkdir("from/sub", 0o755)?;
    rename("from/sub", "from/moved")?;
    let all = events(&fd)?;
    ensure_eq!(all.len(), 3, "{all:?}");
    ensure_eq!(all[1].mask, IN_MOVED_FROM | IN_ISDIR);
    ensure_eq!(all[2].mask, IN_MOVED_TO | IN_ISDIR);
    ensure!(all[1].cookie == all[2].cookie && all[1].cookie != cookie, "{all:?}");
    Ok(())
}

fn exchanges_are_two_moves() -> Outcome {
    mkdir("d", 0o755)?;
    put("d/file", b"")?;
    mkdir("d/sub", 0o755)?;
    let (fd, _) = watching("d", IN_ALL_EVENTS)?;
    or_skip!(renameat2("d/file", "d/sub", libc::RENAME_EXCHANGE), EINVAL);
    let all = events(&fd)?;
    let short: Vec<(u32, &str)> = all.iter().map(|event| (event.mask, event.name.as_str())).collect();
    ensure_eq!(
        short,
        [
            (IN_MOVED_FROM, "file"),
            (IN_MOVED_TO, "sub"),
            (IN_MOVED_FROM | IN_ISDIR, "sub"),
            (IN_MOVED_TO | IN_ISDIR, "file"),
        ]
    );
    ensure!(all[0].cookie == all[1].cookie && all[2].cookie == all[3].cookie, "{all:?}");
    ensure!(all[0].cookie != all[2].cookie, "{all:?}");
    Ok(())
}

fn attributes_are_told() -> Outcome {
    put("file", b"")?;
    let (fd, _) = watching("file", IN_ALL_EVENTS)?;
    chmod("file", 0o600)?;
    ensure_eq!(told(&fd)?, wanted(&[(IN_ATTRIB, "")]));
    link("file", "other")?;
    ensure_eq!(told(&fd)?, wanted(&[(IN_ATTRIB, "")]), "the number of names");
    unlink("other")?;
    ensure_eq!(told(&fd)?, wanted(&[(IN_ATTRIB, "")]));
    utimensat("file", None, 0)?;
    ensure_eq!(told(&fd)?, wanted(&[(IN_ATTRIB, "")]), "both times");
    let (omitted, given) = ((0, libc::UTIME_OMIT as i64), (1000, 0));
    utimensat("file", Some([given, omitted]), 0)?;
    utimensat("file", Some([omitted, given]), 0)?;
    ensure_eq!(told(&fd)?, wanted(&[(IN_ACCESS, ""), (IN_MODIFY, "")]), "one time looks like a use");
    match xattrs::set("file", "user.one", b"value", 0) {
        Ok(()) => ensure_eq!(told(&fd)?, wanted(&[(IN_ATTRIB, "")])),
        Err(errno) => ensure_eq!(errno.0, libc::EOPNOTSUPP),
    }
    Ok(())
}

fn watches_of_a_removed_file_end() -> Outcome {
    put("file", b"")?;
    let (fd, watch) = watching("file", IN_DELETE_SELF)?;
    let file = open("file", libc::O_RDONLY, 0)?;
    unlink("file")?;
    ensure_eq!(told(&fd)?, [], "it is still open");
    drop(file);
    ensure_eq!(told(&fd)?, wanted(&[(IN_DELETE_SELF, ""), (IN_IGNORED, "")]));
    ensure_errno!(remove(*fd, watch), EINVAL);
    mkdir("d", 0o755)?;
    mkdir("d/sub", 0o755)?;
    add(*fd, "d", IN_ALL_EVENTS)?;
    add(*fd, "d/sub", IN_DELETE_SELF)?;
    rmdir("d/sub")?;
    let all = told(&fd)?;
    ensure_eq!(all.len(), 3, "{all:?}");
    ensure_eq!(all[0].0 & !IN_ISDIR, IN_DELETE_SELF);
    ensure_eq!(all[1], (IN_IGNORED, String::new()));
    ensure_eq!(all[2], (IN_DELETE | IN_ISDIR, "sub".to_owned()));
    put("one", b"")?;
    link("one", "two")?;
    add(*fd, "one", IN_DELETE_SELF)?;
    unlink("one")?;
    ensure_eq!(told(&fd)?, [], "it has another name");
    unlink("two")?;
    ensure_eq!(told(&fd)?, wanted(&[(IN_DELETE_SELF, ""), (IN_IGNORED, "")]));
    Ok(())
}

fn removed_files_are_told_by_name_until_closed() -> Outcome {
    mkdir("d", 0o755)?;
    put("d/file", b"contents")?;
    let (all, _) = watching("d", IN_ALL_EVENTS)?;
    let (named, _) = watching("d", IN_ALL_EVENTS | IN_EXCL_UNLINK)?;
    let file = open("d/file", libc::O_RDONLY, 0)?;
    unlink("d/file")?;
    let before = wanted(&[(IN_OPEN, "file"), (IN_DELETE, "file")]);
    ensure_eq!(told(&all)?, before);
    ensure_eq!(told(&named)?, before);
    read(*file, &mut [0; 8])?;
    drop(file);
    ensure_eq!(told(&all)?, wanted(&[(IN_ACCESS, "file"), (IN_CLOSE_NOWRITE, "file")]));
    ensure_eq!(told(&named)?, []);
    Ok(())
}

fn watches_can_be_changed_and_ended() -> Outcome {
    put("file", b"contents")?;
    let (fd, watch) = watching("file", IN_OPEN)?;
    ensure_errno!(add(*fd, "file", IN_OPEN | IN_MASK_CREATE), EEXIST);
    ensure_eq!(add(*fd, "file", IN_CLOSE_NOWRITE | IN_MASK_ADD)?, watch);
    get("file")?;
    ensure_eq!(told(&fd)?, wanted(&[(IN_OPEN, ""), (IN_CLOSE_NOWRITE, "")]));
    ensure_eq!(add(*fd, "./file", IN_ACCESS)?, watch, "it is the same file");
    get("file")?;
    ensure_eq!(told(&fd)?, wanted(&[(IN_ACCESS, "")]));
    remove(*fd, watch)?;
    get("file")?;
    ensure_eq!(told(&fd)?, wanted(&[(IN_IGNORED, "")]));
    ensure_errno!(remove(*fd, watch), EINVAL);
    ensure!(add(*fd, "file", IN_OPEN)? > watch, "numbers are not used again at once");
    Ok(())
}

fn a_watch_can_be_for_one_event() -> Outcome {
    put("file", b"contents")?;
    let (fd, watch) = watching("file", IN_OPEN | IN_ONESHOT)?;
    get("file")?;
    get("file")?;
    ensure_eq!(told(&fd)?, wanted(&[(IN_OPEN, ""), (IN_IGNORED, "")]));
    ensure_errno!(remove(*fd, watch), EINVAL);
    Ok(())
}

fn links_can_be_watched_themselves() -> Outcome {
    put("file", b"contents")?;
    symlink("file", "link")?;
    let (fd, followed) = watching("link", IN_OPEN | IN_DELETE_SELF)?;
    let itself = add(*fd, "link", IN_OPEN | IN_DELETE_SELF | IN_DONT_FOLLOW)?;
    ensure!(itself != followed, "they are two");
    get("link")?;
    readlink("link")?;
    unlink("link")?;
    let all: Vec<(i32, u32)> = events(&fd)?.iter().map(|event| (event.watch, event.mask)).collect();
    ensure_eq!(all, [(followed, IN_OPEN), (itself, IN_DELETE_SELF), (itself, IN_IGNORED)]);
    Ok(())
}

fn repeated_events_are_one() -> Outcome {
    put("file", b"contents")?;
    let (fd, _) = watching("file", IN_ACCESS | IN_MODIFY)?;
    let file = open("file", libc::O_RDWR, 0)?;
    for _ in 0..3 {
        read(*file, &mut [0; 1])?;
    }
    write(*file, b"x")?;
    read(*file, &mut [0; 1])?;
    ensure_eq!(told(&fd)?, wanted(&[(IN_ACCESS, ""), (IN_MODIFY, ""), (IN_ACCESS, "")]));
    Ok(())
}

fn lost_events_are_told() -> Outcome {
    let limit = get("/proc/sys/fs/inotify/max_queued_events")?;
    let limit: usize = String::from_utf8_lossy(&limit).trim().parse().unwrap_or(usize::MAX);
    if limit > 100_000 {
        skip!("as many as {limit} events may wait");
    }
    put("file", b"")?;
    let (fd, _) = watching("file", IN_OPEN | IN_CLOSE_NOWRITE)?;
    let open_and_close = || open("file", libc::O_RDONLY, 0).map(drop);
    // Nothing that a disk would have to hear of.
    for _ in 0..limit / 2 + 10 {
        open_and_close()?;
    }
    let all = events(&fd)?;
    ensure_eq!(all.len(), limit + 1);
    let overflow = Event { watch: -1, mask: IN_Q_OVERFLOW, cookie: 0, name: String::new() };
    ensure_eq!(all.last(), Some(&overflow));
    open_and_close()?;
    ensure_eq!(told(&fd)?, wanted(&[(IN_OPEN, ""), (IN_CLOSE_NOWRITE, "")]), "there is room again");
    Ok(())
}

fn reading_waits_and_takes_what_fits() -> Outcome {
    mkdir("d", 0o755)?;
    let fd = or_skip!(init(0), ENOSYS);
    add(*fd, "d", IN_CREATE)?;
    let mut waits = [Wait::readable(*fd)];
    ensure_eq!(poll(&mut waits, Duration::ZERO)?, 0);
    ensure_eq!(ioctl_int(*fd, libc::FIONREAD as u64)?, 0);
    let child = fork(|| match put("d/a-name-of-20-letters", b"").and_then(|()| put("d/b", b"")) {
        Ok(()) => 0,
        Err(_) => 1,
    })?;
    let mut buffer = [0; 64];
    let count = read(*fd, &mut buffer[..48])?;
    ensure_eq!(count, 48, "a header and a name of up to 32 bytes");
    ensure_eq!(parse(&buffer[..count])[0].name, "a-name-of-20-letters");
    ensure_eq!(child.wait()?, Status::Exited(0));
    ensure_eq!(poll(&mut waits, Duration::ZERO)?, 1);
    ensure_eq!(waits[0].found, libc::POLLIN);
    ensure_eq!(ioctl_int(*fd, libc::FIONREAD as u64)?, 32);
    ensure_errno!(read(*fd, &mut buffer[..31]), EINVAL);
    ensure_eq!(read(*fd, &mut buffer)?, 32);
    ensure_errno!(write(*fd, b"x"), EBADF);
    Ok(())
}

fn wrong_arguments_are_refused() -> Outcome {
    put("file", b"")?;
    let (fd, _) = watching("file", IN_OPEN)?;
    ensure_errno!(init(1), EINVAL);
    ensure_errno!(add(*fd, "nothing", IN_OPEN), ENOENT);
    ensure_errno!(add(*fd, "file", IN_OPEN | IN_ONLYDIR), ENOTDIR);
    ensure_errno!(add(*fd, "file", 0), EINVAL);
    ensure_errno!(add(*fd, "file", 0x1000), EINVAL);
    ensure_errno!(add(*fd, "file", IN_OPEN | IN_MASK_ADD | IN_MASK_CREATE), EINVAL);
    ensure_errno!(add(99, "file", IN_OPEN), EBADF);
    let file = open("file", libc::O_RDONLY, 0)?;
    ensure_errno!(add(*file, "file", IN_OPEN), EINVAL);
    ensure_errno!(remove(*file, 1), EINVAL);
    ensure_errno!(remove(*fd, 99), EINVAL);
    ensure_eq!(readlink(&format!("/proc/self/fd/{}", *fd))?, "anon_inode:inotify");
    let number = *fd;
    drop(fd);
    ensure_errno!(close(number), EBADF);
    Ok(())
}

fn watching_needs_the_right_to_read() -> Outcome {
    chmod(".", 0o755)?;
    put("file", b"")?;
    chmod("file", 0o600)?;
    let (fd, _) = watching(".", IN_OPEN)?;
    ensure_eq!(as_user(1234, || add(*fd, "file", IN_OPEN).map(drop))?, libc::EACCES);
    chmod("file", 0o644)?;
    ensure_eq!(as_user(1234, || add(*fd, "file", IN_OPEN).map(drop))?, 0);
    Ok(())
}

fn limits_are_in_proc() -> Outcome {
    let names = list("/proc/sys/fs/inotify")?;
    ensure_eq!(names, ["max_queued_events", "max_user_instances", "max_user_watches"]);
    let limit = get("/proc/sys/fs/inotify/max_user_instances")?;
    let limit: usize = String::from_utf8_lossy(&limit).trim().parse().map_err(Stop::fail)?;
    if limit > 1000 {
        skip!("as many as {limit} instances may be open");
    }
    let mut open = Vec::new();
    while open.len() <= limit {
        match init(libc::IN_CLOEXEC) {
            Ok(fd) => open.push(fd),
            Err(errno) => {
                ensure_eq!(errno.0, libc::EMFILE);
                break;
            }
        }
    }
    ensure!(open.len() <= limit, "more than {limit}");
    drop(open);
    init(0)?;
    Ok(())
}
