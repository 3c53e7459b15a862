//! Terminals: line editing, echo, signals from keys, job control, window size.

use std::time::Duration;

use crate::report::{Outcome, Stop, ensure, ensure_eq, ensure_errno, or_skip, tests};
use crate::sys::files::{Fd, fcntl, ioctl_int, open, read, write};
use crate::sys::process::{self, Status, fork};
use crate::sys::signals::{self, Action};
use crate::sys::terminal::{
    control, foreground, modes, open_pair, session, set_foreground, set_modes, set_window, window,
};
use crate::sys::time::{Wait, nanosleep, poll};

tests! {
    default_modes_are_those_of_a_shell,
    typed_line_arrives_whole,
    unfinished_line_does_not_arrive,
    input_is_echoed,
    erase_and_kill_edit_the_line,
    end_of_file_key_ends_a_read,
    lines_are_read_one_by_one,
    short_reads_leave_the_rest_of_the_line,
    raw_input_arrives_at_once,
    raw_input_with_time_limit,
    output_newlines_get_a_return,
    modes_are_kept,
    window_size_is_kept_and_told,
    session_leader_gets_a_controlling_terminal,
    interrupt_key_reaches_the_foreground,
    suspend_key_stops_the_foreground,
    background_reader_is_stopped,
    background_writer_may_write,
    foreground_can_be_changed,
    hangup_of_the_terminal_reaches_the_leader,
    closed_terminal_ends_the_other_side,
    poll_tells_about_lines,
    waiting_bytes_are_counted,
    dev_tty_is_the_controlling_terminal,
    terminal_calls_check,
}

/// A new pair, or a skipped test where there are no pseudo-terminals.
fn pair() -> Result<(Fd, Fd), Stop> {
    Ok(or_skip!(open_pair(), ENOENT | ENOSYS | ENXIO | ENODEV | ENOTTY))
}

/// Reads from a descriptor until the text has come, or for five seconds.
fn expect(fd: i32, wanted: &[u8]) -> Outcome {
    let mut seen = Vec::new();
    while seen.len() < wanted.len() {
        if poll(&mut [Wait::readable(fd)], Duration::from_secs(5))? == 0 {
            break;
        }
        let mut bytes = [0; 256];
        let count = read(fd, &mut bytes)?;
        seen.extend_from_slice(&bytes[..count]);
    }
    ensure_eq!(String::from_utf8_lossy(&seen), String::from_utf8_lossy(wanted));
    Ok(())
}

/// Whether nothing can be read for a moment.
fn is_silent(fd: i32) -> Result<bool, crate::sys::Errno> {
    Ok(poll(&mut [Wait::readable(fd)], Duration::from_millis(30))? == 0)
}

fn without_echo(slave: &Fd) -> Outcome {
    let mut now = modes(**slave)?;
    now.local &= !(libc::ECHO as u32);
    Ok(set_modes(**slave, &now)?)
}

fn raw(slave: &Fd, least: u8, tenths: u8) -> Outcome {
    let mut now = modes(**slave)?;
    now.local &= !(libc::ECHO | libc::ICANON | libc::ISIG) as u32;
    now.input &= !(libc::ICRNL | libc::IXON) as u32;
    now.characters[libc::VMIN] = least;
    now.characters[libc::VTIME] = tenths;
    Ok(set_modes(**slave, &now)?)
}

fn default_modes_are_those_of_a_shell() -> Outcome {
    let (_master, slave) = pair()?;
    let now = modes(*slave)?;
    let local = (libc::ICANON | libc::ECHO | libc::ISIG | libc::IEXTEN | libc::ECHOE | libc::ECHOK) as u32;
    ensure_eq!(now.local & local, local);
    ensure_eq!(now.input & libc::ICRNL as u32, libc::ICRNL as u32);
    ensure_eq!(now.output & (libc::OPOST | libc::ONLCR) as u32, (libc::OPOST | libc::ONLCR) as u32);
    let keys = [libc::VINTR, libc::VQUIT, libc::VERASE, libc::VKILL, libc::VEOF, libc::VSUSP];
    ensure_eq!(keys.map(|key| now.characters[key]), [3, 28, 127, 21, 4, 26]);
    Ok(())
}

fn typed_line_arrives_whole() -> Outcome {
    let (master, slave) = pair()?;
    without_echo(&slave)?;
    write(*master, b"one")?;
    write(*master, b" line\r")?;
    expect(*slave, b"one line\n")
}

fn unfinished_line_does_not_arrive() -> Outcome {
    let (master, slave) = pair()?;
    without_echo(&slave)?;
    write(*master, b"not finished")?;
    ensure!(is_silent(*slave)?);
    write(*master, b"\n")?;
    expect(*slave, b"not finished\n")
}

fn input_is_echoed() -> Outcome {
    let (master, slave) = pair()?;
    write(*master, b"ab\x01\n")?;
    expect(*master, b"ab^A\r\n")?;
    expect(*slave, b"ab\x01\n")
}

fn erase_and_kill_edit_the_line() -> Outcome {
    let (master, slave) = pair()?;
    write(*master, b"helpp\x7f\n")?;
    expect(*master, b"helpp\x08 \x08\r\n")?;
    expect(*slave, b"help\n")?;
    without_echo(&slave)?;
    write(*master, b"\x7f\x7fwrong\x15right\n")?;
    expect(*slave, b"right\n")?;
    write(*master, b"two words\x17one\n")?;
    expect(*slave, b"two one\n")?;
    write(*master, b"literal \x16\x7f\n")?;
    expect(*slave, b"literal \x7f\n")
}

fn end_of_file_key_ends_a_read() -> Outcome {
    let (master, slave) = pair()?;
    without_echo(&slave)?;
    write(*master, b"partial\x04")?;
    expect(*slave, b"partial")?;
    write(*master, b"\x04")?;
    ensure_eq!(read(*slave, &mut [0; 8])?, 0);
    write(*master, b"after\n")?;
    expect(*slave, b"after\n")
}

fn lines_are_read_one_by_one() -> Outcome {
    let (master, slave) = pair()?;
    without_echo(&slave)?;
    write(*master, b"first\nsecond\n")?;
    let mut bytes = [0; 64];
    ensure_eq!(read(*slave, &mut bytes)?, 6);
    ensure_eq!(&bytes[..6], b"first\n");
    ensure_eq!(read(*slave, &mut bytes)?, 7);
    Ok(())
}

fn short_reads_leave_the_rest_of_the_line() -> Outcome {
    let (master, slave) = pair()?;
    without_echo(&slave)?;
    write(*master, b"abcdef\n")?;
    let mut bytes = [0; 4];
    ensure_eq!(read(*slave, &mut bytes)?, 4);
    ensure_eq!(read(*slave, &mut bytes)?, 3);
    ensure_eq!(&bytes[..3], b"ef\n");
    Ok(())
}

fn raw_input_arrives_at_once() -> Outcome {
    let (master, slave) = pair()?;
    raw(&slave, 1, 0)?;
    write(*master, b"a\r\x03")?;
    expect(*slave, b"a\r\x03")?;
    ensure!(is_silent(*master)?, "no echo");
    Ok(())
}

fn raw_input_with_time_limit() -> Outcome {
    let (master, slave) = pair()?;
    raw(&slave, 0, 0)?;
    ensure_eq!(read(*slave, &mut [0; 4])?, 0, "MIN 0, TIME 0: what is there");
    raw(&slave, 0, 1)?;
    let start = std::time::Instant::now();
    ensure_eq!(read(*slave, &mut [0; 4])?, 0);
    ensure!(start.elapsed() >= Duration::from_millis(90), "TIME 1 is a tenth of a second");
    write(*master, b"x")?;
    ensure_eq!(read(*slave, &mut [0; 4])?, 1);
    fcntl(*slave, libc::F_SETFL, libc::O_NONBLOCK)?;
    raw(&slave, 1, 0)?;
    ensure_errno!(read(*slave, &mut [0; 4]), EAGAIN);
    Ok(())
}

fn output_newlines_get_a_return() -> Outcome {
    let (master, slave) = pair()?;
    ensure_eq!(write(*slave, b"a\nb\n")?, 4);
    expect(*master, b"a\r\nb\r\n")?;
    let mut now = modes(*slave)?;
    now.output &= !(libc::OPOST as u32);
    set_modes(*slave, &now)?;
    write(*slave, b"a\nb\n")?;
    expect(*master, b"a\nb\n")
}

fn modes_are_kept() -> Outcome {
    let (_master, slave) = pair()?;
    let mut now = modes(*slave)?;
    now.characters[libc::VINTR] = b'x';
    now.local ^= libc::TOSTOP as u32;
    set_modes(*slave, &now)?;
    let seen = modes(*slave)?;
    ensure_eq!((seen.characters[libc::VINTR], seen.local), (b'x', now.local));
    Ok(())
}

fn window_size_is_kept_and_told() -> Outcome {
    let (master, slave) = pair()?;
    set_window(*master, (50, 132))?;
    ensure_eq!((window(*slave)?, window(*master)?), ((50, 132), (50, 132)));
    in_session(&slave, |slave| {
        signals::act(libc::SIGWINCH, Action::Record, 0, &[])?;
        let before = signals::block(libc::SIGWINCH)?;
        set_window(slave, (40, 100))?;
        let _ = signals::suspend(before);
        Ok(signals::handled(libc::SIGWINCH) == 1 && window(slave)? == (40, 100))
    })
}

/// Runs `body` in a child that leads a session with this controlling terminal; it answers whether all is well.
fn in_session(slave: &Fd, body: impl FnOnce(i32) -> Result<bool, crate::sys::Errno>) -> Outcome {
    let number = slave.raw();
    let child = fork(|| {
        let prepared = process::setsid().and_then(|_| control(number));
        match prepared.and_then(|()| body(number)) {
            Ok(true) => 0,
            Ok(false) => 1,
            Err(errno) => 2 + errno.0,
        }
    })?;
    match child.wait()? {
        Status::Exited(0) => Ok(()),
        Status::Exited(1) => Err(Stop::fail("not as expected")),
        Status::Exited(code) => Err(Stop::fail(format!("unexpected {}", crate::sys::Errno(code - 2)))),
        other => Err(Stop::fail(other)),
    }
}

fn session_leader_gets_a_controlling_terminal() -> Outcome {
    let (_master, slave) = pair()?;
    ensure_errno!(foreground(*slave), ENOTTY);
    in_session(&slave, |slave| {
        let me = process::getpid()?;
        Ok(foreground(slave)? == me && session(slave)? == me)
    })
}

fn interrupt_key_reaches_the_foreground() -> Outcome {
    let (master, slave) = pair()?;
    for (key, signal, echo) in [(3, libc::SIGINT, &b"^C"[..]), (28, libc::SIGQUIT, &b"^\\"[..])] {
        let master = *master;
        in_session(&slave, |slave| {
            let child = fork(|| {
                let _ = signals::pause();
                0
            })?;
            process::setpgid(child.pid(), child.pid())?;
            set_foreground(slave, child.pid())?;
            write(master, &[key])?;
            Ok(child.wait()? == Status::Killed(signal))
        })?;
        expect(master, echo)?;
    }
    Ok(())
}

fn suspend_key_stops_the_foreground() -> Outcome {
    let (master, slave) = pair()?;
    in_session(&slave, |slave| {
        let child = fork(|| {
            let _ = signals::pause();
            0
        })?;
        process::setpgid(child.pid(), child.pid())?;
        set_foreground(slave, child.pid())?;
        write(*master, &[26])?;
        Ok(child.wait_for(libc::WUNTRACED)? == Status::Stopped(libc::SIGTSTP))
    })
}

fn background_reader_is_stopped() -> Outcome {
    let (_master, slave) = pair()?;
    in_session(&slave, |slave| {
        let child = fork(|| {
            let _ = process::setpgid(0, 0);
            i32::from(read(slave, &mut [0; 4]).is_err())
        })?;
        Ok(child.wait_for(libc::WUNTRACED)? == Status::Stopped(libc::SIGTTIN))
    })?;
    in_session(&pair()?.1, |slave| {
        // One that ignores the signal gets an error instead.
        let child = fork(|| {
            let _ = process::setpgid(0, 0);
            let _ = signals::act(libc::SIGTTIN, Action::Ignore, 0, &[]);
            i32::from(read(slave, &mut [0; 4]) != Err(crate::sys::Errno(libc::EIO)))
        })?;
        Ok(child.wait_for(libc::WUNTRACED)? == Status::Exited(0))
    })
}

fn background_writer_may_write() -> Outcome {
    let (master, slave) = pair()?;
    in_session(&slave, |slave| {
        let write_in_background = || {
            fork(|| {
                let _ = process::setpgid(0, 0);
                i32::from(write(slave, b"x") != Ok(1))
            })
        };
        let is_allowed = write_in_background()?.wait_for(libc::WUNTRACED)? == Status::Exited(0);
        let mut now = modes(slave)?;
        now.local |= libc::TOSTOP as u32;
        set_modes(slave, &now)?;
        let child = write_in_background()?;
        Ok(is_allowed && child.wait_for(libc::WUNTRACED)? == Status::Stopped(libc::SIGTTOU))
    })?;
    expect(*master, b"x")
}

fn foreground_can_be_changed() -> Outcome {
    let (_master, slave) = pair()?;
    in_session(&slave, |slave| {
        let child = fork(|| {
            let _ = signals::pause();
            0
        })?;
        process::setpgid(child.pid(), child.pid())?;
        set_foreground(slave, child.pid())?;
        let is_changed = foreground(slave)? == child.pid();
        // From the background it takes an ignored SIGTTOU; an orphaned group like this one gets an error without.
        let is_refused = set_foreground(slave, process::getpgrp()?) == Err(crate::sys::Errno(libc::ENOTTY));
        signals::act(libc::SIGTTOU, Action::Ignore, 0, &[])?;
        let is_checked = set_foreground(slave, 0x3fff_fffe) == Err(crate::sys::Errno(libc::ESRCH))
            && set_foreground(slave, -1) == Err(crate::sys::Errno(libc::EINVAL));
        set_foreground(slave, process::getpgrp()?)?;
        Ok(is_changed && is_refused && is_checked && foreground(slave)? == process::getpid()?)
    })
}

fn hangup_of_the_terminal_reaches_the_leader() -> Outcome {
    let (master, slave) = pair()?;
    let (ready, ready_end) = crate::sys::files::pipe(0)?;
    let child = fork(|| {
        let _ = crate::sys::files::close(*master);
        let prepared = process::setsid().and_then(|_| control(*slave));
        let _ = write(*ready_end, b"r");
        if prepared.is_err() {
            return 1;
        }
        let _ = signals::pause();
        2
    })?;
    ensure_eq!(read(*ready, &mut [0])?, 1);
    drop(master);
    ensure_eq!(child.wait()?, Status::Killed(libc::SIGHUP));
    Ok(())
}

fn closed_terminal_ends_the_other_side() -> Outcome {
    let (master, slave) = pair()?;
    write(*slave, b"last words")?;
    drop(slave);
    expect(*master, b"last words")?;
    ensure_errno!(read(*master, &mut [0; 4]), EIO);
    let (master, slave) = pair()?;
    drop(master);
    ensure_eq!(read(*slave, &mut [0; 4])?, 0);
    ensure_errno!(write(*slave, b"x"), EIO);
    Ok(())
}

fn poll_tells_about_lines() -> Outcome {
    let (master, slave) = pair()?;
    without_echo(&slave)?;
    ensure!(is_silent(*slave)? && is_silent(*master)?);
    write(*slave, b"x")?;
    ensure_eq!(poll(&mut [Wait::readable(*master)], Duration::from_secs(5))?, 1);
    let mut waits = [Wait::new(*slave, libc::POLLOUT)];
    ensure_eq!(poll(&mut waits, Duration::from_secs(5))?, 1);
    drop(master);
    let mut waits = [Wait::readable(*slave)];
    poll(&mut waits, Duration::ZERO)?;
    ensure_eq!(waits[0].found & libc::POLLHUP, libc::POLLHUP);
    Ok(())
}

fn waiting_bytes_are_counted() -> Outcome {
    let (master, slave) = pair()?;
    raw(&slave, 1, 0)?;
    write(*master, b"abc")?;
    nanosleep(Duration::from_millis(10))?;
    ensure_eq!(ioctl_int(*slave, libc::FIONREAD as u64)?, 3);
    Ok(())
}

fn dev_tty_is_the_controlling_terminal() -> Outcome {
    // This process leads a session without a terminal.
    ensure_errno!(open("/dev/tty", libc::O_RDWR, 0), ENXIO);
    let (master, slave) = pair()?;
    in_session(&slave, |_| {
        let tty = open("/dev/tty", libc::O_RDWR, 0)?;
        Ok(write(*tty, b"by name")? == 7 && foreground(*tty)? == process::getpid()?)
    })?;
    expect(*master, b"by name")
}

fn terminal_calls_check() -> Outcome {
    let (_master, slave) = pair()?;
    ensure_errno!(ioctl_int(*slave, 0xdead_beef), ENOTTY | EINVAL);
    ensure_errno!(crate::sys::probe(libc::SYS_ioctl, &[*slave as usize, libc::TCGETS as usize, 8]), EFAULT);
    ensure_errno!(crate::sys::files::lseek(*slave, 0, libc::SEEK_CUR), ESPIPE);
    ensure_errno!(session(*slave), ENOTTY);
    Ok(())
}
