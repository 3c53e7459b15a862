//! The supervisor: starts the workers, watches over them, and judges the run.
//!
//! A worker that stays in one step for too long is not waited for: what it and its descendants wait for is
//! reported, and the run has failed.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal, WaitOptions, kill_process};

use crate::board::Board;
use crate::leaks;
use crate::operations;
use crate::options::Options;
use crate::report::{Outcome, Stop};
use crate::sys::process::{self, Child, Status};
use crate::sys::signals;
use crate::{report, sys, worker};

/// How often it looks.
const GLANCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// A worker's process, and when it was last seen to get on.
struct Watched {
    number: usize,
    child: Child,
    step: u64,
    since: Instant,
    status: Option<Status>,
    /// The status has not been judged.
    is_news: bool,
}

/// Does the whole run; `Ok` if nothing was wrong.
pub(crate) fn run(options: &Options) -> Outcome {
    // Whatever loses its parent comes to this process, and is found at the end.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    print(&format!("stress: seed {}, {} workers, {:?}", options.seed, options.jobs, options.duration));
    if options.has_refusals {
        report::allow_refusals();
    }
    if !options.counts_leaks {
        return round(options);
    }
    // What the kernel makes on first use, or keeps at hand, is no leak: two rounds of the same work.
    let half = Options { duration: options.duration / 2, ..clone(options) };
    round(&half)?;
    let before = leaks::counts()?;
    round(&half)?;
    leaks::compare(&before)
}

fn clone(options: &Options) -> Options {
    Options { operations: options.operations.clone(), directories: options.directories.clone(), ..*options }
}

/// Starts workers and waits for their end.
fn round(options: &Options) -> Outcome {
    let board = sys::memory::shared_board()?;
    let (reports, report_end) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let report_end = &report_end;
    let numbers = match options.replay {
        Some((worker, _)) => worker..worker + 1,
        None => 0..options.jobs,
    };
    let mut workers = Vec::new();
    for number in numbers {
        let child = process::fork(|| {
            // Whoever started this may ignore them, as a shell does for what runs in the background.
            for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
                signals::act(signal, signals::Action::Default)?;
            }
            worker::set_reports(report_end.try_clone()?);
            Ok(worker::run(number, board, options))
        })?;
        workers.push(Watched { number, child, step: 0, since: Instant::now(), status: None, is_news: false });
    }
    let deadline = Instant::now() + options.duration;
    let mut faults = Vec::new();
    while workers.iter().any(|worker| worker.status.is_none()) {
        if Instant::now() >= deadline {
            board.is_over.store(true, SeqCst);
        }
        faults.extend(read_report(reports.as_fd())?);
        reap(&mut workers)?;
        for worker in &mut workers {
            faults.extend(look_after(worker, board, options));
        }
        if !faults.is_empty() {
            break;
        }
    }
    drop(workers); // kills those that are left
    while let Some(report) = read_report(reports.as_fd())? {
        faults.push(report);
    }
    end_orphans()?;
    summary(board);
    if faults.is_empty() {
        return Ok(());
    }
    Err(Stop::Fail(format!(
        "{}\nrepeat with: stress --seed {} --jobs {}",
        faults.join("\n"),
        options.seed,
        options.jobs
    )))
}

/// What a worker has reported, if anything.
fn read_report(reports: std::os::fd::BorrowedFd<'_>) -> Outcome<Option<String>> {
    let mut ready = [PollFd::new(&reports, PollFlags::IN)];
    match poll(&mut ready, Some(&GLANCE)) {
        Ok(0) | Err(Errno::INTR) => return Ok(None),
        Ok(_) => {}
        Err(errno) => return Err(errno.into()),
    }
    let mut buffer = [0; 4096];
    let count = rustix::io::read(reports, &mut buffer)?;
    Ok(Some(String::from_utf8_lossy(&buffer[..count]).trim_end().to_owned()))
}

/// Takes the ends of workers, and of processes that lost their parent: it was killed in the middle of its work.
fn reap(workers: &mut [Watched]) -> Outcome {
    loop {
        match process::wait(None, WaitOptions::NOHANG) {
            Ok(None) | Err(Errno::CHILD) => return Ok(()),
            Ok(Some((pid, status))) => {
                if let Some(worker) = workers.iter_mut().find(|worker| worker.child.pid() == pid) {
                    worker.child.forget();
                    worker.status = Some(status);
                    worker.is_news = true;
                }
            }
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// What is wrong with a worker, if anything: how it ended, or that it stands still.
fn look_after(worker: &mut Watched, board: &Board, options: &Options) -> Option<String> {
    if worker.status.is_some() && !std::mem::take(&mut worker.is_news) {
        return None;
    }
    let slot = &board.slots[worker.number];
    let step = slot.step.load(SeqCst);
    let name = operations::ALL[slot.operation.load(SeqCst) as usize].name;
    match worker.status {
        Some(Status::Exited(0)) => return None,
        // It has told why.
        Some(Status::Exited(1)) => return Some(format!("worker {} gave up", worker.number)),
        Some(status) => {
            return Some(format!("worker {}, step {step}, {name}: {status:?}", worker.number));
        }
        None => {}
    }
    if step != worker.step {
        (worker.step, worker.since) = (step, Instant::now());
    }
    if worker.since.elapsed() < options.limit {
        return None;
    }
    let line = slot.line.load(SeqCst);
    let mut report = format!(
        "worker {}, step {step}, {name}: stands still since {} s, after line {line}\n",
        worker.number,
        worker.since.elapsed().as_secs()
    );
    report.push_str(&describe_all());
    // The kernel's own list of what waits, where there is one.
    let _ = std::fs::write("/proc/sysrq-trigger", "w");
    Some(report)
}

/// A process as /proc shows it.
struct Shown {
    pid: i32,
    parent: i32,
}

/// All processes, from /proc.
fn processes() -> Vec<Shown> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
        Some(Shown { pid, parent })
    })
    .collect()
}

/// What each thread of our descendants does, a line each.
fn describe_all() -> String {
    let mut text = String::new();
    let all = processes();
    let mut ours = vec![std::process::id() as i32];
    let mut index = 0;
    while index < ours.len() {
        let parent = ours[index];
        ours.extend(all.iter().filter(|process| process.parent == parent).map(|process| process.pid));
        index += 1;
    }
    for pid in ours.into_iter().skip(1) {
        let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for thread in threads.flatten() {
            let read = |name: &str| {
                std::fs::read_to_string(thread.path().join(name)).unwrap_or_default().trim().to_owned()
            };
            let stat = read("stat");
            let fields: Vec<&str> =
                stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ').take(4).collect();
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "  {pid}/{}: state, parent, group, session {}; waits in {} {}",
                thread.file_name().to_string_lossy(),
                fields.join(" "),
                read("wchan"),
                read("syscall"),
            );
        }
    }
    text
}

/// Ends processes that lost their parent and are still busy.
fn end_orphans() -> Outcome {
    let own = std::process::id() as i32;
    loop {
        // Whoever is killed may leave children, which come to us then.
        for process in processes().iter().filter(|process| process.parent == own) {
            if let Some(pid) = Pid::from_raw(process.pid) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        match process::wait(None, WaitOptions::empty()) {
            Ok(_) => {}
            Err(Errno::CHILD) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// How often each operation was done.
fn summary(board: &Board) {
    let mut text = String::from("stress:");
    let mut total = 0;
    for (index, operation) in operations::ALL.iter().enumerate() {
        let (done, refused) = (board.done[index].load(SeqCst), board.refused[index].load(SeqCst));
        total += done;
        if done != 0 {
            // Writing to a string does not fail.
            let _ = write!(text, " {} {done}", operation.name);
        }
        if refused != 0 {
            let _ = write!(text, " ({refused} refused)");
        }
    }
    let signals: u64 = board.slots.iter().map(|slot| slot.received.load(SeqCst)).sum();
    print(&format!("{text}; {total} operations, {signals} signals between workers"));
}

/// Prints a line.
pub(crate) fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
