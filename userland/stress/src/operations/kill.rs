//! Processes that are killed in the middle of whatever they do: they end, and nothing of theirs stays.

use std::time::Duration;

use rustix::process::Signal;
use rustix::thread::futex::{self, Flags};

use super::{mark, threads, write_all};
use crate::random::Random;
use crate::report::Outcome;
use crate::sys::memory::{Mapping, PAGE};
use crate::sys::process;
use crate::worker::Context;

pub(crate) fn run(context: &mut Context<'_>) -> Outcome {
    let mut random = context.random.fork();
    let kind = random.below(7);
    let path = context.directory.clone();
    let pause = Duration::from_micros(random.below(3000) as u64);
    mark!(context);
    let (reader, writer) = rustix::pipe::pipe()?;
    let child = process::spawn_without(&[&reader], || be_busy(kind, &mut random.fork(), &path, &writer))?;
    std::thread::sleep(pause);
    mark!(context);
    child.kill(Signal::KILL)?;
    child.expect_killed(libc::SIGKILL)?;
    drop(writer);
    // No other process has the pipe any more, whatever the child had made of it.
    let mut rest = vec![0; 1 << 17];
    super::read_full(&reader, &mut rest)?;
    Ok(())
}

/// Does one thing for ever.
fn be_busy(kind: usize, random: &mut Random, path: &std::path::Path, pipe: &std::os::fd::OwnedFd) -> Outcome {
    loop {
        match kind {
            0 => {
                std::hint::black_box((0..10_000_u64).fold(1, |sum: u64, step| sum.wrapping_mul(step | 1)));
            }
            1 => {
                // Forks that wait for the child's end: the children end by themselves.
                process::spawn(|| Ok(()))?.join()?;
            }
            2 => {
                let memory = Mapping::private(random.within(1..=64) * PAGE)?;
                (0..memory.length()).step_by(PAGE).for_each(|offset| memory.set(offset, 1));
            }
            3 => {
                std::fs::write(path, random.bytes(5000))?;
                std::fs::remove_file(path)?;
            }
            4 => write_all(pipe, &[1; 700])?,
            5 => {
                let word = std::sync::atomic::AtomicU32::new(0);
                let _ = futex::wait(&word, Flags::empty(), 0, None);
            }
            _ => {
                let threads: Vec<_> =
                    (0..3).map(|_| threads::start(std::thread::yield_now)).collect::<Outcome<_>>()?;
                for thread in threads {
                    let _ = thread.join();
                }
            }
        }
    }
}
