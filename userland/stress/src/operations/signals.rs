//! Signals: handlers, masks and queues in one process and between two, with counts.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use rustix::process::Signal;

use super::mark;
use crate::random::Random;
use crate::report::{Outcome, Stop, ensure, ensure_eq};
use crate::sys::memory::{Mapping, PAGE};
use crate::sys::process;
use crate::sys::signals::{self, Action, Change, act, handled, mask, queue, raise, take};
use crate::worker::Context;

/// More than any wait here takes; what ends a wait that nothing ended.
const LONG: Duration = Duration::from_secs(30);

pub(crate) fn run(context: &mut Context<'_>) -> Outcome {
    let mut random = context.random.fork();
    mark!(context);
    match random.below(4) {
        // In a child, so that handlers and masks end with it.
        0 => process::spawn(|| merge_and_queue(&mut random))?.join(),
        1 => process::spawn(|| interrupt_waits(&mut random))?.join(),
        2 => flood(&mut random),
        _ => ping_pong(&mut random),
    }
}

/// Blocked ordinary signals merge into one, real-time signals queue up in order.
fn merge_and_queue(random: &mut Random) -> Outcome {
    signals::forget_counts();
    let (plain, real) = (libc::SIGUSR1, libc::SIGRTMIN() + 3);
    act(plain, Action::Count)?;
    mask(Change::Block, &[plain, real])?;
    let times = random.within(1..=5);
    for _ in 0..times {
        raise(plain)?;
    }
    ensure_eq!(handled(plain), 0, "a blocked signal");
    mask(Change::Unblock, &[plain])?;
    ensure_eq!(handled(plain), 1, "a signal that was blocked");
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let values: Vec<u64> = (0..random.within(1..=20)).map(|_| random.next() >> 20).collect();
    for value in &values {
        queue(own, real, *value)?;
    }
    for value in &values {
        ensure_eq!(take(&[real], LONG)?, Some((real, own, *value)), "signals in order");
    }
    ensure_eq!(take(&[real, plain], Duration::ZERO)?, None, "a signal that nobody sent");
    Ok(())
}

/// Handlers that end waits: the signal is never lost between looking and waiting.
fn interrupt_waits(random: &mut Random) -> Outcome {
    signals::forget_counts();
    let signal = libc::SIGUSR2;
    for signal in [signal, libc::SIGCHLD] {
        act(signal, Action::CountAndInterrupt)?;
        mask(Change::Block, &[signal])?;
    }
    let rounds = random.within(1..=20) as u64;
    let parent = rustix::process::getpid();
    let pauses: Vec<usize> = (0..rounds).map(|_| random.below(2000)).collect();
    let (reader, writer) = rustix::pipe::pipe()?;
    let child = process::spawn(|| {
        for pause in &pauses {
            for _ in 0..*pause {
                std::hint::spin_loop();
            }
            rustix::process::kill_process(parent, Signal::USR2)?;
            super::read_exact(&reader, &mut [0])?;
        }
        Ok(())
    })?;
    for round in 1..=rounds {
        while handled(signal) < round {
            signals::suspend_except(&[]);
            if handled(libc::SIGCHLD) != 0 && handled(signal) < round {
                child.join()?;
                ensure!(false, "the child ended in round {round}");
            }
        }
        ensure_eq!(handled(signal), round, "signals that ended a wait");
        super::write_all(&writer, &[1])?;
    }
    child.join()
}

/// A process gets many signals while it works; each real-time one is handled once.
fn flood(random: &mut Random) -> Outcome {
    let signal = libc::SIGRTMIN() + 4;
    let count = random.within(1..=150) as u32;
    let shared = Mapping::shared(PAGE)?;
    let child = process::spawn(|| {
        signals::forget_counts();
        act(signal, Action::Count)?;
        shared.word(0).store(1, SeqCst);
        let mut sum = 0_u64;
        while handled(signal) < u64::from(shared.word(1).load(SeqCst)) || shared.word(2).load(SeqCst) == 0 {
            // System calls and arithmetic in turn, to be hit in both.
            for step in 0..200_u64 {
                sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(step));
            }
            let _ = rustix::process::getppid();
        }
        ensure_eq!(handled(signal), u64::from(shared.word(1).load(SeqCst)), "signals handled");
        Ok(())
    })?;
    while shared.word(0).load(SeqCst) == 0 {
        if let Some(status) = child.change(rustix::process::WaitOptions::NOHANG)? {
            status.code()?;
            ensure!(false, "the child ended before it began: {status:?}");
        }
        rustix::thread::sched_yield();
    }
    for value in 0..count {
        match queue(child.pid().as_raw_nonzero().get(), signal, u64::from(value)) {
            Ok(()) => {
                shared.word(1).fetch_add(1, SeqCst);
            }
            Err(rustix::io::Errno::AGAIN) => rustix::thread::sched_yield(),
            Err(errno) => return Err(errno.into()),
        }
    }
    shared.word(2).store(1, SeqCst);
    child.join()
}

/// Two processes that wake each other by signals which they take with `sigtimedwait`.
fn ping_pong(random: &mut Random) -> Outcome {
    let (ping, pong) = (libc::SIGRTMIN() + 5, libc::SIGRTMIN() + 6);
    let rounds = random.within(1..=60) as u64;
    mask(Change::Block, &[ping, pong])?;
    let outcome = play_ping_pong(ping, pong, rounds);
    mask(Change::Unblock, &[ping, pong])?;
    outcome
}

/// The next signal of this number.
fn expect(signal: i32) -> Outcome<(i32, i32, u64)> {
    take(&[signal], LONG)?.ok_or_else(|| Stop::left("who was to send a signal"))
}

fn play_ping_pong(ping: i32, pong: i32, rounds: u64) -> Outcome {
    let parent = rustix::process::getpid().as_raw_nonzero().get();
    let child = process::spawn(|| {
        for round in 0..rounds {
            ensure_eq!(expect(ping)?, (ping, parent, round), "a ping");
            queue(parent, pong, round + 1)?;
        }
        Ok(())
    })?;
    let pid = child.pid().as_raw_nonzero().get();
    for round in 0..rounds {
        if let Err(errno) = queue(pid, ping, round) {
            // It ended: for want of memory, or it has told why.
            child.join()?;
            return Err(errno.into());
        }
        ensure_eq!(expect(pong)?, (pong, pid, round + 1), "a pong");
    }
    child.join()
}
