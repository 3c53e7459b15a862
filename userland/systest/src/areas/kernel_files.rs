//! What `/proc` tells of the kernel itself: locks on files, interrupts, free memory, slabs, where threads wait.

use crate::report::{Outcome, Stop, ensure, ensure_eq, or_skip, skip, tests};
use crate::sys::files::{self, Fd, exists, fcntl_lock, flock, fstat, get, open, read, write};
use crate::sys::process::{Status, fork, getpid};
use crate::sys::users::rules_all_users;

tests! {
    locks_on_files_are_listed,
    waiting_for_a_lock_is_listed,
    interrupts_are_counted_for_each_processor,
    free_blocks_are_counted_by_size,
    slabs_are_listed,
    waiting_place_of_a_sleeper_is_named,
}

/// The lines of a file in /proc, as words; skips the test if the file is not there.
fn lines(name: &str) -> Result<Vec<Vec<String>>, Stop> {
    if !exists(name) {
        skip!("there is no {name}");
    }
    let text = String::from_utf8_lossy(&get(name)?).into_owned();
    Ok(text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect())
}

fn new_file() -> Result<Fd, Stop> {
    Ok(open("file", libc::O_RDWR | libc::O_CREAT, 0o600)?)
}

/// The lines of /proc/locks about a file, without their numbers, and without the device (which some file systems have
/// several of).
fn locks_of(file: &Fd) -> Result<Vec<String>, Stop> {
    let inode = format!(":{}", fstat(**file)?.st_ino);
    let mut found = Vec::new();
    for words in lines("/proc/locks")? {
        let is_meant = |word: &String| word.ends_with(&inode) && word.matches(':').count() == 2;
        if words.iter().any(is_meant) {
            let words: Vec<&str> =
                words[1..].iter().filter(|word| !is_meant(word)).map(String::as_str).collect();
            found.push(words.join(" "));
        }
    }
    found.sort();
    Ok(found)
}

fn locks_on_files_are_listed() -> Outcome {
    lines("/proc/locks")?;
    let (file, me) = (new_file()?, getpid()?);
    ensure_eq!(locks_of(&file)?, [""; 0]);
    or_skip!(fcntl_lock(*file, libc::F_SETLK, libc::F_WRLCK, 10, 10), ENOSYS | EINVAL);
    or_skip!(fcntl_lock(*file, libc::F_OFD_SETLK, libc::F_RDLCK, 30, 0), EINVAL);
    flock(*file, libc::LOCK_SH)?;
    let all = [
        format!("FLOCK ADVISORY READ {me} 0 EOF"),
        "OFDLCK ADVISORY READ -1 30 EOF".to_owned(),
        format!("POSIX ADVISORY WRITE {me} 10 19"),
    ];
    ensure_eq!(locks_of(&file)?, all);
    fcntl_lock(*file, libc::F_SETLK, libc::F_UNLCK, 12, 2)?;
    flock(*file, libc::LOCK_UN)?;
    let rest = [
        "OFDLCK ADVISORY READ -1 30 EOF".to_owned(),
        format!("POSIX ADVISORY WRITE {me} 10 11"),
        format!("POSIX ADVISORY WRITE {me} 14 19"),
    ];
    ensure_eq!(locks_of(&file)?, rest);
    let again = open("file", libc::O_RDONLY, 0)?;
    drop(file);
    ensure_eq!(locks_of(&again)?, [""; 0]);
    Ok(())
}

fn waiting_for_a_lock_is_listed() -> Outcome {
    lines("/proc/locks")?;
    let (file, me) = (new_file()?, getpid()?);
    let other = open("file", libc::O_RDWR, 0)?;
    or_skip!(flock(*file, libc::LOCK_EX), ENOSYS);
    let flocks = fork(|| i32::from(flock(*other, libc::LOCK_EX).is_err()))?;
    or_skip!(fcntl_lock(*file, libc::F_SETLK, libc::F_WRLCK, 0, 1), ENOSYS | EINVAL);
    let records = fork(|| i32::from(fcntl_lock(*other, libc::F_SETLKW, libc::F_RDLCK, 0, 9).is_err()))?;
    let all = [
        format!("-> FLOCK ADVISORY WRITE {} 0 EOF", flocks.pid()),
        format!("-> POSIX ADVISORY READ {} 0 8", records.pid()),
        format!("FLOCK ADVISORY WRITE {me} 0 EOF"),
        format!("POSIX ADVISORY WRITE {me} 0 0"),
    ];
    // Until both wait.
    let seen = loop {
        let seen = locks_of(&file)?;
        if seen.len() == all.len() {
            break seen;
        }
        std::thread::yield_now();
    };
    ensure_eq!(seen, all);
    flock(*file, libc::LOCK_UN)?;
    fcntl_lock(*file, libc::F_SETLK, libc::F_UNLCK, 0, 0)?;
    ensure_eq!(flocks.wait()?, Status::Exited(0));
    ensure_eq!(records.wait()?, Status::Exited(0));
    drop(other);
    ensure_eq!(locks_of(&file)?, [""; 0]);
    Ok(())
}

fn interrupts_are_counted_for_each_processor() -> Outcome {
    let lines = lines("/proc/interrupts")?;
    let processors = lines[0].len();
    ensure!(lines[0].iter().all(|word| word.starts_with("CPU")), "{:?}", lines[0]);
    let timer = lines.iter().find(|words| words[0] == "LOC:");
    let Some(timer) = timer else { return Err(Stop::fail("no line about the local timer".to_owned())) };
    let counts: Vec<u64> = timer[1..].iter().map_while(|word| word.parse().ok()).collect();
    ensure_eq!(counts.len(), processors);
    ensure!(counts.iter().sum::<u64>() > 0, "{timer:?}");
    ensure_eq!(timer[1 + processors..].join(" "), "Local timer interrupts");
    Ok(())
}

fn free_blocks_are_counted_by_size() -> Outcome {
    let zones = lines("/proc/buddyinfo")?;
    ensure!(!zones.is_empty());
    let mut free = 0;
    for words in &zones {
        ensure_eq!((words[0].as_str(), words[2].as_str()), ("Node", "zone"));
        let counts: Vec<u64> = words[4..].iter().map_while(|word| word.parse().ok()).collect();
        ensure_eq!(counts.len(), 11, "{words:?}");
        free += counts.iter().enumerate().map(|(order, count)| count << order).sum::<u64>();
    }
    ensure!(free > 0);
    Ok(())
}

fn slabs_are_listed() -> Outcome {
    if !rules_all_users() {
        skip!("needs root");
    }
    let slabs = lines("/proc/slabinfo")?;
    ensure_eq!(slabs[0].join(" "), "slabinfo - version: 2.1");
    ensure!(slabs.len() > 2, "{} lines", slabs.len());
    for words in &slabs[2..] {
        let number = |index: usize| words.get(index).and_then(|word| word.parse::<u64>().ok());
        let objects = (number(1), number(2), number(3));
        ensure!(matches!(objects, (Some(active), Some(all), Some(1..)) if active <= all), "{words:?}");
        ensure!(words.contains(&"slabdata".to_owned()), "{words:?}");
    }
    Ok(())
}

fn waiting_place_of_a_sleeper_is_named() -> Outcome {
    if !rules_all_users() || !exists("/proc/self/wchan") {
        skip!("needs root and /proc/PID/wchan");
    }
    ensure_eq!(get("/proc/self/wchan")?, b"0");
    let (end, other_end) = files::pipe(0)?;
    let child = fork(|| i32::from(read(*end, &mut [0; 1]) != Ok(1)))?;
    let name = format!("/proc/{}/wchan", child.pid());
    // Until it sleeps.
    let place = loop {
        let place = String::from_utf8_lossy(&get(&name)?).into_owned();
        if place != "0" {
            break place;
        }
        std::thread::yield_now();
    };
    ensure!(place.contains("pipe"), "{place}");
    write(*other_end, b"x")?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}
