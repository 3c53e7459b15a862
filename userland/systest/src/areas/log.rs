//! The kernel's log: /dev/kmsg, /proc/kmsg, syslog(2); and where a process is in the kernel.

use crate::report::{Outcome, Stop, ensure, ensure_eq, ensure_errno, skip, tests};
use crate::sys::Errno;
use crate::sys::files::{self, Fd, exists, get, lseek, open, read, write};
use crate::sys::process::{self, Status, fork, syslog, syslog_buffer};
use crate::sys::time::{Wait, poll};
use crate::sys::users::{self, rules_all_users};
use std::time::Duration;

tests! {
    written_messages_are_read_as_records,
    readers_have_places_of_their_own,
    a_seek_goes_to_either_end,
    a_record_needs_room,
    news_are_polled_for,
    text_that_cannot_be_printed_is_escaped,
    syslog_shows_messages,
    syslog_refuses_nonsense,
    syslog_protects_what_others_see,
    unread_messages_can_be_taken,
    console_level_is_a_setting,
    old_style_log_file_can_be_polled,
    kernel_stack_of_a_sleeper_is_shown,
    kernel_stacks_are_large_enough,
}

/// syslog(2)'s actions.
const READ: i32 = 2;
const READ_ALL: i32 = 3;
const CLEAR: i32 = 5;
const CONSOLE_LEVEL: i32 = 8;
const SIZE_UNREAD: i32 = 9;
const SIZE_BUFFER: i32 = 10;

/// The log, open in that way, placed behind the last message; skips if this is not root's system.
fn log(flags: i32) -> Result<Fd, Stop> {
    if !rules_all_users() || !exists("/dev/kmsg") {
        skip!("needs root and /dev/kmsg");
    }
    let Ok(log) = open("/dev/kmsg", flags | libc::O_NONBLOCK, 0) else { skip!("/dev/kmsg is closed") };
    lseek(*log, 0, libc::SEEK_END)?;
    Ok(log)
}

/// A message that nobody else writes.
fn unique(what: &str) -> Result<String, Errno> {
    Ok(format!("systest: {what} {}", process::getpid()?))
}

/// Writes a message, with the newline without which Linux waits for more of the line.
fn say(log: &Fd, message: &str) -> Result<(), Stop> {
    let message = format!("{message}\n");
    ensure_eq!(write(**log, message.as_bytes())?, message.len());
    Ok(())
}

/// The next record whose text begins with `text`: its fields and its text. Other programs may write, too.
fn find(log: &Fd, text: &str) -> Result<(Vec<String>, String), Stop> {
    let mut buffer = [0; 8192];
    loop {
        let length = match read(**log, &mut buffer) {
            Err(Errno(libc::EPIPE)) => continue,
            other => other?,
        };
        let record = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let (head, rest) =
            record.split_once(';').ok_or_else(|| Stop::fail(format!("no ';' in `{record}`")))?;
        ensure!(record.ends_with('\n'), "`{record}`");
        let line = rest.lines().next().unwrap_or_default();
        if line.starts_with(text) {
            return Ok((head.split(',').map(str::to_owned).collect(), line.to_owned()));
        }
    }
}

fn written_messages_are_read_as_records() -> Outcome {
    let log = log(libc::O_RDWR)?;
    let text = unique("record")?;
    say(&log, &format!("<11>{text}"))?;
    let (fields, line) = find(&log, &text)?;
    ensure_eq!(line, text);
    // Facility "user", level "error"; a number; microseconds; "nothing special".
    ensure_eq!(fields[0], "11");
    ensure!(fields[1].parse::<u64>().is_ok() && fields[2].parse::<u64>().is_ok(), "{fields:?}");
    ensure_eq!(fields[3], "-");
    // A program cannot speak for the kernel (facility 0).
    say(&log, &format!("<3>{text} kernel"))?;
    ensure_eq!(find(&log, &text)?.0[0], "11");
    Ok(())
}

fn readers_have_places_of_their_own() -> Outcome {
    let (first, second) = (log(libc::O_RDWR)?, log(libc::O_RDONLY)?);
    let text = unique("readers")?;
    say(&first, &text)?;
    let (one, _) = find(&first, &text)?;
    let (two, _) = find(&second, &text)?;
    ensure_eq!(one, two);
    Ok(())
}

fn a_seek_goes_to_either_end() -> Outcome {
    let log = log(libc::O_RDWR)?;
    let text = unique("seek")?;
    say(&log, &text)?;
    let (last, _) = find(&log, &text)?;
    ensure_eq!(lseek(*log, 0, libc::SEEK_SET)?, 0);
    let (first, _) = find(&log, "")?;
    let number = |fields: &[String]| fields[1].parse::<u64>().unwrap_or_default();
    ensure!(number(&first) < number(&last), "{first:?} {last:?}");
    ensure_eq!(lseek(*log, 0, libc::SEEK_END)?, 0);
    say(&log, &format!("{text} again"))?;
    ensure!(number(&find(&log, "")?.0) > number(&last));
    ensure_errno!(lseek(*log, 1, libc::SEEK_SET), ESPIPE);
    ensure_errno!(lseek(*log, 0, libc::SEEK_CUR), EINVAL);
    Ok(())
}

fn a_record_needs_room() -> Outcome {
    let log = log(libc::O_RDWR)?;
    let text = unique("room")?;
    say(&log, &text)?;
    ensure_errno!(read(*log, &mut [0; 8]), EINVAL);
    // It is gone, as on Linux.
    say(&log, &format!("{text} again"))?;
    ensure_eq!(find(&log, &text)?.1, format!("{text} again"));
    ensure_errno!(write(*log, &[b'x'; 5000]), EINVAL);
    Ok(())
}

fn news_are_polled_for() -> Outcome {
    let log = log(libc::O_RDWR)?;
    let text = unique("poll")?;
    let child = fork(|| {
        let Ok(log) = open("/dev/kmsg", libc::O_WRONLY, 0) else { return 1 };
        i32::from(say(&log, &text).is_err())
    })?;
    let mut waits = [Wait::readable(*log)];
    ensure_eq!(poll(&mut waits, Duration::from_secs(10))?, 1);
    ensure!(waits[0].found & libc::POLLIN != 0);
    ensure_eq!(child.wait()?, Status::Exited(0));
    ensure_eq!(find(&log, &text)?.1, text);
    Ok(())
}

fn text_that_cannot_be_printed_is_escaped() -> Outcome {
    let log = log(libc::O_RDWR)?;
    let text = unique("escape")?;
    say(&log, &format!("{text} a\tb\\c"))?;
    ensure_eq!(find(&log, &text)?.1, format!("{text} a\\x09b\\x5cc"));
    Ok(())
}

fn syslog_shows_messages() -> Outcome {
    let log = log(libc::O_RDWR)?;
    let text = unique("syslog")?;
    say(&log, &format!("<13>{text}"))?;
    let size = syslog(SIZE_BUFFER, 0)?;
    ensure!(size >= 4096, "{size}");
    let all = String::from_utf8_lossy(&syslog_buffer(READ_ALL, size)?).into_owned();
    let line = all.lines().find(|line| line.ends_with(&text)).unwrap_or_default();
    ensure!(line.starts_with("<13>["), "`{line}`");
    // The newest that fit.
    let short = String::from_utf8_lossy(&syslog_buffer(READ_ALL, 200)?).into_owned();
    ensure!(short.len() <= 200 && all.ends_with(short.as_str()), "`{short}`");
    Ok(())
}

fn syslog_refuses_nonsense() -> Outcome {
    log(libc::O_RDONLY)?;
    ensure_errno!(syslog(99, 0), EINVAL);
    ensure_errno!(syslog(READ_ALL, 100), EINVAL);
    ensure_errno!(syslog(READ_ALL, -1), EINVAL);
    ensure_errno!(syslog(CONSOLE_LEVEL, 0), EINVAL);
    ensure_errno!(syslog(CONSOLE_LEVEL, 9), EINVAL);
    Ok(())
}

fn syslog_protects_what_others_see() -> Outcome {
    log(libc::O_RDONLY)?;
    let child = fork(|| {
        if users::setuid(1000).is_err() {
            return 1;
        }
        let refused = [(READ, 10), (CLEAR, 0), (CONSOLE_LEVEL, 7)];
        let is_refused = |&(action, length): &(i32, i32)| syslog(action, length) == Err(Errno(libc::EPERM));
        if !refused.iter().all(is_refused) {
            return 2;
        }
        i32::from(open("/dev/kmsg", libc::O_WRONLY, 0).is_ok()) * 3
    })?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}

fn unread_messages_can_be_taken() -> Outcome {
    let log = log(libc::O_RDWR)?;
    say(&log, &unique("unread")?)?;
    let before = syslog(SIZE_UNREAD, 0)?;
    if before == 0 {
        skip!("a daemon reads the log");
    }
    let some = syslog_buffer(READ, 5000)?;
    ensure!(!some.is_empty() && some.len() <= 5000);
    let after = syslog(SIZE_UNREAD, 0)?;
    ensure!(after < before, "{before} {after}");
    Ok(())
}

fn console_level_is_a_setting() -> Outcome {
    const SETTING: &str = "/proc/sys/kernel/printk";
    log(libc::O_RDONLY)?;
    let before = get(SETTING)?;
    let numbers = |text: &[u8]| -> Vec<i32> {
        let text = String::from_utf8_lossy(text).into_owned();
        text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
    };
    let old = numbers(&before);
    ensure_eq!(old.len(), 4);
    let Ok(file) = open(SETTING, libc::O_WRONLY, 0) else { skip!("the setting is closed") };
    // It is put back whatever comes.
    let outcome = (|| -> Outcome {
        syslog(CONSOLE_LEVEL, 3)?;
        ensure_eq!(numbers(&get(SETTING)?)[0], 3);
        write(*file, b"5\n")?;
        ensure_eq!(numbers(&get(SETTING)?), [5, old[1], old[2], old[3]]);
        Ok(())
    })();
    let file = open(SETTING, libc::O_WRONLY, 0)?;
    write(*file, &before)?;
    outcome?;
    ensure_eq!(numbers(&get(SETTING)?), old);
    Ok(())
}

fn old_style_log_file_can_be_polled() -> Outcome {
    let log = log(libc::O_RDWR)?;
    let Ok(file) = open("/proc/kmsg", libc::O_RDONLY | libc::O_NONBLOCK, 0) else {
        skip!("/proc/kmsg is closed")
    };
    say(&log, &unique("proc")?)?;
    let mut waits = [Wait::readable(*file)];
    ensure_eq!(poll(&mut waits, Duration::from_secs(10))?, 1);
    let mut buffer = [0; 4096];
    // Until nothing is left.
    let mut total = 0;
    loop {
        match read(*file, &mut buffer) {
            Ok(length) => total += length,
            Err(Errno(libc::EAGAIN)) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    ensure!(total > 0);
    Ok(())
}

fn kernel_stack_of_a_sleeper_is_shown() -> Outcome {
    if !rules_all_users() || !exists("/proc/self/stack") {
        skip!("needs root and /proc/PID/stack");
    }
    let (end, other_end) = files::pipe(0)?;
    let child = fork(|| i32::from(read(*end, &mut [0; 1]) != Ok(1)))?;
    let name = format!("/proc/{}/stack", child.pid());
    // Until it sleeps.
    let text = loop {
        let text = String::from_utf8_lossy(&get(&name)?).into_owned();
        if text.contains("pipe") {
            break text;
        }
        std::thread::yield_now();
    };
    ensure!(text.lines().all(|line| line.starts_with("[<0>] ") && line.contains("+0x")), "{text}");
    write(*other_end, b"x")?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}

/// After all the other tests: no system call came near the end of its stack.
fn kernel_stacks_are_large_enough() -> Outcome {
    const DEEPEST: &str = "/proc/sys/kernel/stack_deepest";
    if !exists(DEEPEST) {
        skip!("needs {DEEPEST}");
    }
    let text = String::from_utf8_lossy(&get(DEEPEST)?).into_owned();
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    ensure!(numbers.len() >= 2 && numbers[0] * 4 <= numbers[1] * 3, "more than three quarters: {text}");
    Ok(())
}
