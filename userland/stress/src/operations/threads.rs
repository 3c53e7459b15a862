//! Threads: counting together under a lock and without, thread-local storage, and processes that end while
//! their threads run.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::thread::{Builder, JoinHandle};

use super::mark;
use crate::random::Random;
use crate::report::{Outcome, Stop, ensure, ensure_eq};
use crate::sys::process::{self, Status};
use crate::worker::Context;

/// Starts a thread; a system without room for it refuses.
pub(super) fn start<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> Outcome<JoinHandle<T>> {
    let builder = Builder::new().stack_size(64 * 1024);
    builder.spawn(body).map_err(|error| match error.raw_os_error() {
        Some(libc::EAGAIN | libc::ENOMEM) => Stop::Refused,
        _ => Stop::from(error),
    })
}

pub(crate) fn run(context: &mut Context<'_>) -> Outcome {
    // In a child: if a thread cannot be started, the others end with the process.
    let mut random = context.random.fork();
    mark!(context);
    match random.below(3) {
        0 => process::spawn(|| count_together(&mut random))?.join(),
        1 => process::spawn(|| pass_around(&mut random))?.join(),
        _ => end_among_threads(&mut random),
    }
}

thread_local! {
    static OWN: Cell<u64> = const { Cell::new(0) };
}

fn count_together(random: &mut Random) -> Outcome {
    let count = random.within(1..=8);
    let rounds = random.within(1..=500) as u64;
    let (free, locked) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(0_u64)));
    let mut threads = Vec::new();
    for _ in 0..count {
        let (free, locked) = (free.clone(), locked.clone());
        threads.push(start(move || {
            for _ in 0..rounds {
                free.fetch_add(1, SeqCst);
                OWN.set(OWN.get() + 1);
                let Ok(mut guard) = locked.lock() else { return 0 };
                let before = *guard;
                std::hint::spin_loop();
                *guard = before + 1;
            }
            OWN.get()
        })?);
    }
    for thread in threads {
        ensure_eq!(
            thread.join().map_err(|_| Stop::fail("a thread panicked"))?,
            rounds,
            "a thread's own count"
        );
    }
    ensure_eq!(free.load(SeqCst), count as u64 * rounds, "the atomic count");
    ensure_eq!(
        *locked.lock().map_err(|_| Stop::fail("poisoned"))?,
        count as u64 * rounds,
        "the locked count"
    );
    Ok(())
}

/// A token goes round, each thread waits for its turn.
fn pass_around(random: &mut Random) -> Outcome {
    let count = random.within(2..=6) as u64;
    let turns = random.within(1..=60) as u64 * count;
    let state = Arc::new((Mutex::new(0_u64), Condvar::new()));
    let barrier = Arc::new(Barrier::new(1));
    barrier.wait();
    let mut threads = Vec::new();
    for me in 0..count {
        let state = state.clone();
        threads.push(start(move || {
            let (turn, changed) = &*state;
            let mut taken = 0_u64;
            loop {
                let Ok(guard) = turn.lock() else { return taken };
                let waited = changed.wait_while(guard, |turn| *turn < turns && *turn % count != me);
                let Ok(mut guard) = waited else { return taken };
                if *guard >= turns {
                    return taken;
                }
                *guard += 1;
                taken += 1;
                changed.notify_all();
            }
        })?);
    }
    for thread in threads {
        let taken = thread.join().map_err(|_| Stop::fail("a thread panicked"))?;
        ensure_eq!(taken, turns / count, "a thread's turns");
    }
    Ok(())
}

/// A process ends (by its first thread, or another one) while its threads run, sleep and wait.
fn end_among_threads(random: &mut Random) -> Outcome {
    let code = random.below(100) as i32;
    let count = random.within(1..=6);
    let pause = random.below(300);
    let ends_elsewhere = random.once_in(2);
    let child = process::fork(|| {
        let lock = Arc::new(Mutex::new(()));
        let held = lock.clone();
        let _held = held.lock();
        for me in 0..count {
            let lock = lock.clone();
            drop(start(move || match me % 3 {
                0 => loop {
                    std::hint::spin_loop();
                },
                1 => std::thread::sleep(std::time::Duration::from_secs(1000)),
                _ => drop(lock.lock()),
            })?);
        }
        if ends_elsewhere {
            drop(start(move || process::exit(code))?);
            loop {
                std::thread::yield_now();
            }
        }
        for _ in 0..pause {
            std::hint::spin_loop();
        }
        Ok(code)
    })?;
    let status = child.wait()?;
    ensure!(matches!(status, Status::Exited(_)), "the process ended: {status:?}");
    ensure_eq!(status.code()?, code, "the process's exit status");
    Ok(())
}
