//! Pseudo-terminals: lines and echo, raw bytes, and the hang-up when the other side goes.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, Winsize, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use super::{mark, read_full, write_all};
use crate::random::Random;
use crate::report::{Outcome, Stop, ensure, ensure_eq, same_bytes};
use crate::sys::process;
use crate::sys::signals::{self, Action};
use crate::worker::Context;

pub(crate) fn run(context: &mut Context<'_>) -> Outcome {
    mark!(context);
    match context.random.below(3) {
        0 => lines(&mut context.random),
        1 => raw(&mut context.random),
        _ => hang_up(&mut context.random),
    }
}

/// The controlling side and the name of the other.
fn terminal() -> Outcome<(OwnedFd, std::ffi::CString)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    Ok((master, name))
}

fn open(name: &std::ffi::CStr) -> Result<OwnedFd, Errno> {
    rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
}

/// A terminal whose other side is gone has no more bytes.
fn gone(errno: Errno) -> Result<usize, Errno> {
    if errno == Errno::IO { Ok(0) } else { Err(errno) }
}

/// A child reads lines and answers them; echo and answers come back.
fn lines(random: &mut Random) -> Outcome {
    let (master, name) = terminal()?;
    let slave = open(&name)?;
    let count = random.within(1..=10);
    let child = process::spawn_without(&[&master], || {
        for _ in 0..count {
            let mut line = [0; 200];
            let length = rustix::io::retry_on_intr(|| rustix::io::read(&slave, &mut line))?;
            if length == 0 {
                return Err(Stop::left("the terminal"));
            }
            ensure!(line[length - 1] == b'\n', "a line: {:?}", &line[..length]);
            write_all(&slave, &line[..length])?;
        }
        Ok(())
    })?;
    // Only the child has it now: if it ends early, so does the conversation.
    drop(slave);
    let outcome = converse(random, &master, count);
    drop(master);
    child.join()?;
    outcome
}

fn converse(random: &mut Random, master: &OwnedFd, count: usize) -> Outcome {
    for _ in 0..count {
        let length = random.within(1..=80);
        let line: Vec<u8> = (0..length).map(|_| b'a' + random.below(26) as u8).collect();
        write_all(master, &[&line[..], b"\n"].concat())?;
        let expected = [&line[..], b"\r\n", &line[..], b"\r\n"].concat();
        let mut seen = vec![0; expected.len()];
        let count = read_full(master, &mut seen).or_else(gone)?;
        seen.truncate(count);
        same_bytes("echo and answer", &seen, &expected)?;
    }
    Ok(())
}

/// All bytes go through unchanged, in both directions.
fn raw(random: &mut Random) -> Outcome {
    let (master, name) = terminal()?;
    let slave = open(&name)?;
    let mut settings = tcgetattr(&slave)?;
    settings.make_raw();
    tcsetattr(&slave, OptionalActions::Now, &settings)?;
    let size = Winsize { ws_row: random.below(100) as u16, ws_col: 7, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&master, size)?;
    ensure_eq!(tcgetwinsize(&slave)?.ws_row, size.ws_row, "the number of rows");
    let length = random.within(1..=20_000);
    let bytes = random.bytes(length);
    let child = process::spawn_without(&[&master], || write_all(&slave, &bytes).map_err(Into::into))?;
    drop(slave);
    let mut seen = vec![0; length];
    let count = read_full(&master, &mut seen).or_else(gone)?;
    seen.truncate(count);
    child.join()?;
    same_bytes("raw bytes", &seen, &bytes)
}

/// A session on a terminal: who leads it gets SIGHUP when the terminal goes, and reads the end.
fn hang_up(random: &mut Random) -> Outcome {
    let (master, name) = terminal()?;
    let (ready, ready_end) = rustix::pipe::pipe()?;
    let waits_by_read = random.once_in(2);
    let child = process::spawn_without(&[&master, &ready], || {
        if waits_by_read {
            signals::act(libc::SIGHUP, Action::Ignore)?;
        } else {
            signals::act(libc::SIGHUP, Action::Default)?;
        }
        rustix::process::setsid()?;
        let slave = open(&name)?;
        rustix::process::ioctl_tiocsctty(&slave)?;
        write_all(&ready_end, &[1])?;
        if !waits_by_read {
            loop {
                signals::pause();
            }
        }
        let end = rustix::io::retry_on_intr(|| rustix::io::read(&slave, &mut [0; 8]));
        ensure!(matches!(end, Ok(0) | Err(Errno::IO)), "reading from a terminal that is gone: {end:?}");
        Ok(())
    })?;
    drop(ready_end);
    let mut byte = [0];
    let is_ready = read_full(&ready, &mut byte)? == 1;
    drop(master);
    if waits_by_read || !is_ready {
        return child.join();
    }
    child.expect_killed(libc::SIGHUP)
}
