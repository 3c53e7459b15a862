//! A worker: one process that does one random operation after the other.
//!
//! What a step does follows from the seed, the worker's number and the step's number alone, so that one step can be
//! repeated (`--replay`). Workers queue signals for each other all the time; each counts what it got.

use std::cell::Cell;
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use rustix::io::Errno;

use crate::board::{Board, Slot};
use crate::operations::{self, Operation};
use crate::options::Options;
use crate::random::Random;
use crate::report::{Outcome, Stop, ensure_eq};
use crate::sys::{process, signals};

/// What an operation has to work with.
pub(crate) struct Context<'a> {
    pub(crate) random: Random,
    pub(crate) options: &'a Options,
    /// An empty directory of this step's own.
    pub(crate) directory: PathBuf,
    pub(crate) slot: &'static Slot,
}

/// Where reports go: a pipe to the supervisor.
static REPORTS: OnceLock<OwnedFd> = OnceLock::new();

thread_local! {
    /// What is being done, for the head of a report.
    static PRESENT: Cell<(usize, u64, &'static str)> = const { Cell::new((0, 0, "start")) };
}

/// Keeps the pipe to the supervisor.
pub(crate) fn set_reports(pipe: OwnedFd) {
    let _ = REPORTS.set(pipe);
}

/// Reports a failure to the supervisor, at once and in one piece.
pub(crate) fn tell(why: &str) {
    let (worker, step, name) = PRESENT.get();
    let line = format!("worker {worker}, step {step}, {name}: {}\n", why.replace('\n', " "));
    if let Some(pipe) = REPORTS.get() {
        let _ = rustix::io::retry_on_intr(|| rustix::io::write(pipe.as_fd(), line.as_bytes()));
    }
}

/// The body of a worker's process: its exit status.
pub(crate) fn run(me: usize, board: &'static Board, options: &Options) -> i32 {
    std::panic::set_hook(Box::new(|panic| tell(&format!("panicked: {panic}"))));
    let outcome = prepare(me, board, options)
        .and_then(|()| work(me, board, options))
        .and_then(|()| settle_mail(board, &board.slots[me], options));
    match outcome {
        Ok(()) => 0,
        Err(Stop::Told) => 1,
        Err(Stop::Refused) => {
            tell("the system has no memory");
            1
        }
        Err(Stop::Fail(why)) => {
            tell(&why);
            1
        }
    }
}

fn prepare(me: usize, board: &'static Board, options: &Options) -> Outcome {
    // Its own session, so that no signal for a group of one worker reaches another.
    rustix::process::setsid()?;
    let slot = &board.slots[me];
    signals::receive_mail(slot)?;
    slot.pid.store(rustix::process::getpid().as_raw_nonzero().get(), SeqCst);
    if options.injects {
        fs::OpenOptions::new().write(true).open("/proc/self/make-it-fail")?.write_all(b"1")?;
    }
    Ok(())
}

fn work(me: usize, board: &'static Board, options: &Options) -> Outcome {
    let slot = &board.slots[me];
    if let Some((_, step)) = options.replay {
        return one_step(me, step, board, options);
    }
    for step in 1..=options.steps {
        if board.is_over.load(SeqCst) {
            break;
        }
        one_step(me, step, board, options)?;
        send_mail(me, step, board, options)?;
        slot.mark(line!());
    }
    Ok(())
}

fn one_step(me: usize, step: u64, board: &'static Board, options: &Options) -> Outcome {
    let slot = &board.slots[me];
    let mut random = Random::new(&[options.seed, me as u64, step]);
    let index = choose(&mut random, &options.operations);
    let operation = &operations::ALL[index];
    PRESENT.set((me, step, operation.name));
    slot.operation.store(index as u32, SeqCst);
    slot.mark(0);
    slot.step.store(step, SeqCst);
    let place = &options.directories[me % options.directories.len()];
    let directory = place.join(format!("stress.{}.{me}.{step}", rustix::process::getpid().as_raw_nonzero()));
    let mut context = Context { random, options, directory, slot };
    match attempt(operation, &mut context) {
        Err(Stop::Refused) if options.has_refusals => {
            board.refused[index].fetch_add(1, SeqCst);
        }
        Err(Stop::Refused) => return Err(Stop::fail("the system has no memory for it")),
        Err(stop) => return Err(stop),
        Ok(()) => {}
    }
    board.done[index].fetch_add(1, SeqCst);
    Ok(())
}

/// Does it, and checks that it left no child behind.
fn attempt(operation: &Operation, context: &mut Context<'_>) -> Outcome {
    let outcome = (operation.run)(context);
    // More than once, for that may be refused, too.
    if !(0..1000).any(|_| is_removed(&context.directory)) {
        return outcome.and(Err(Stop::fail(format!("{} stays", context.directory.display()))));
    }
    match process::wait(None, rustix::process::WaitOptions::NOHANG) {
        Err(Errno::CHILD) => outcome,
        left if outcome.is_ok() => Err(Stop::fail(format!("children are left: {left:?}"))),
        _ => outcome,
    }
}

/// Removes what a step has made under its name: a directory, or a file whose maker was killed.
fn is_removed(path: &Path) -> bool {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    removed.map_or_else(|error| error.kind() == ErrorKind::NotFound, |()| true)
}

fn choose(random: &mut Random, among: &[usize]) -> usize {
    let total: usize = among.iter().map(|index| operations::ALL[*index].weight).sum();
    let mut draw = random.below(total);
    for index in among {
        let weight = operations::ALL[*index].weight;
        if draw < weight {
            return *index;
        }
        draw -= weight;
    }
    among[0]
}

/// Queues a few signals for another worker, and counts those that the system took.
fn send_mail(me: usize, step: u64, board: &'static Board, options: &Options) -> Outcome {
    let mut random = Random::new(&[options.seed, me as u64, step, 1]);
    for _ in 0..random.below(4) {
        let slot = &board.slots[random.below(options.jobs)];
        let value = random.next() >> 32;
        let pid = slot.pid.load(SeqCst);
        if pid == 0 {
            continue;
        }
        match signals::queue(pid, signals::mail_signal(), value) {
            Ok(()) => {
                slot.sent_sum.fetch_add(value, SeqCst);
                slot.sent.fetch_add(1, SeqCst);
            }
            // Its queue is full, or it has ended early, which the supervisor reports.
            Err(Errno::AGAIN | Errno::SRCH) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// When all workers have ended their work: all signals that were queued for this one have come, and no other.
fn settle_mail(board: &'static Board, slot: &Slot, options: &Options) -> Outcome {
    slot.mark(line!());
    board.resting.fetch_add(1, SeqCst);
    let workers = if options.replay.is_some() { 1 } else { options.jobs as u32 };
    while board.resting.load(SeqCst) < workers {
        std::thread::sleep(Duration::from_millis(1));
        // Whoever waits for the others does not stand still.
        slot.step.fetch_add(1, SeqCst);
    }
    // A signal is handled before the call that sent it, or any later call of the receiver, returns.
    rustix::thread::sched_yield();
    ensure_eq!(slot.received.load(SeqCst), slot.sent.load(SeqCst), "signals queued by others");
    ensure_eq!(slot.received_sum.load(SeqCst), slot.sent_sum.load(SeqCst), "the sum of their values");
    Ok(())
}
