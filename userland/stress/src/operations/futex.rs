//! Futexes: ping-pong and locks, between processes over shared memory and between threads. A wake-up that is lost
//! stops the game, which the watchdog sees.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex::{self, Flags};

use super::{mark, sleep, threads};
use crate::random::Random;
use crate::report::{Outcome, Stop, ensure, ensure_eq};
use crate::sys::memory::{Mapping, PAGE};
use crate::sys::process;
use crate::worker::Context;

pub(crate) fn run(context: &mut Context<'_>) -> Outcome {
    let mut random = context.random.fork();
    mark!(context);
    match random.below(4) {
        0 => ping_pong(&mut random),
        1 => lock(&mut random),
        2 => process::spawn(|| between_threads(&mut random))?.join(),
        _ => wake_counts(&mut random),
    }
}

/// Waits while the word has a value; a time limit, if any, only makes it look again.
fn wait(word: &AtomicU32, value: u32, flags: Flags, limit: Option<Duration>) -> Outcome {
    let limit = limit.map(sleep::timespec);
    match futex::wait(word, flags, value, limit.as_ref()) {
        Ok(()) | Err(Errno::AGAIN | Errno::INTR) => Ok(()),
        Err(Errno::TIMEDOUT) if limit.is_some() => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Makes the word go from `from` to `from + 1` each time that it is this player's turn.
fn play(word: &AtomicU32, me: u32, end: u32, flags: Flags, random: &mut Random) -> Outcome {
    loop {
        let value = word.load(SeqCst);
        if value >= end {
            return Ok(());
        }
        if value % 2 == me {
            word.store(value + 1, SeqCst);
            futex::wake(word, flags, 1)?;
        } else {
            let limit = random.once_in(8).then(|| Duration::from_micros(random.below(3000) as u64));
            wait(word, value, flags, limit)?;
        }
    }
}

fn ping_pong(random: &mut Random) -> Outcome {
    let shared = Mapping::shared(PAGE)?;
    let word = shared.word(random.below(1024));
    let end = random.within(2..=300) as u32;
    let mut own = random.fork();
    let child = process::spawn(|| {
        let outcome = play(word, 1, end, Flags::empty(), &mut own);
        if outcome.is_err() {
            // Ends the game for the other, too.
            word.store(u32::MAX, SeqCst);
            futex::wake(word, Flags::empty(), 1)?;
        }
        outcome
    })?;
    play(word, 0, end, Flags::empty(), random)?;
    child.join()
}

fn between_threads(random: &mut Random) -> Outcome {
    let word = Arc::new(AtomicU32::new(0));
    let end = random.within(2..=300) as u32;
    let (mut own, theirs) = (random.fork(), word.clone());
    let thread = threads::start(move || play(&theirs, 1, end, Flags::PRIVATE, &mut own))?;
    play(&word, 0, end, Flags::PRIVATE, random)?;
    thread.join().map_err(|_| Stop::fail("a thread panicked"))?
}

/// The classic lock: 0 free, 1 taken, 2 taken and waited for (Drepper, "Futexes are tricky").
fn lock(random: &mut Random) -> Outcome {
    let shared = Mapping::shared(PAGE)?;
    let (word, count) = (shared.word(0), shared.word(64));
    let processes = random.within(2..=6);
    let rounds = random.within(1..=100) as u32;
    let mut children = Vec::new();
    for _ in 0..processes {
        children.push(process::spawn(|| {
            for _ in 0..rounds {
                if word.compare_exchange(0, 1, SeqCst, SeqCst).is_err() {
                    while word.swap(2, SeqCst) != 0 {
                        wait(word, 2, Flags::empty(), None)?;
                    }
                }
                let before = count.load(SeqCst);
                if before % 7 == 0 {
                    rustix::thread::sched_yield();
                }
                count.store(before + 1, SeqCst);
                if word.swap(0, SeqCst) == 2 {
                    futex::wake(word, Flags::empty(), 1)?;
                }
            }
            Ok(())
        })?);
    }
    children.iter().try_for_each(process::Child::join)?;
    ensure_eq!(count.load(SeqCst), processes as u32 * rounds, "turns under the lock");
    Ok(())
}

/// `wake` tells how many it woke; together that is all who waited.
fn wake_counts(random: &mut Random) -> Outcome {
    let shared = Mapping::shared(PAGE)?;
    let (word, arrived) = (shared.word(0), shared.word(16));
    let sleepers = random.within(1..=6);
    let mut children = Vec::new();
    for _ in 0..sleepers {
        children.push(process::spawn(|| {
            arrived.fetch_add(1, SeqCst);
            while word.load(SeqCst) == 0 {
                wait(word, 0, Flags::empty(), None)?;
            }
            Ok(())
        })?);
    }
    if random.once_in(2) {
        while (arrived.load(SeqCst) as usize) < sleepers {
            rustix::thread::sched_yield();
        }
    }
    word.store(1, SeqCst);
    let mut woken = 0;
    loop {
        match futex::wake(word, Flags::empty(), 1)? {
            0 => break,
            count => woken += count,
        }
    }
    ensure!(woken <= sleepers, "{woken} woken of {sleepers}");
    children.iter().try_for_each(process::Child::join)
}
