//! Data through pipes: every byte arrives once and in order, whatever the sizes of the pieces.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::{mark, read_full, write_all};
use crate::random::Random;
use crate::report::{Outcome, ensure_eq, same_bytes};
use crate::sys::process;
use crate::sys::signals::{self, Action};
use crate::worker::Context;

pub(crate) fn run(context: &mut Context<'_>) -> Outcome {
    mark!(context);
    match context.random.below(4) {
        0 => many_writers(&mut context.random),
        1 => broken(&mut context.random),
        _ => chain(&mut context.random),
    }
}

/// The bytes that go through, from a number that both ends know.
pub(super) fn send(random: &mut Random, total: usize, pipe: &OwnedFd) -> Outcome {
    let mut data = random.fork();
    let mut left = total;
    while left > 0 {
        let length = random.within(1..=9000).min(left).next_multiple_of(8).min(left);
        write_all(pipe, &data.bytes(length))?;
        left -= length;
    }
    Ok(())
}

/// Reads what [`send`] with the same numbers has written.
pub(super) fn receive(random: &mut Random, total: usize, pipe: &OwnedFd) -> Outcome {
    let mut data = random.fork();
    let expected = data.bytes(total);
    let mut seen = Vec::new();
    let mut buffer = vec![0; 12_000];
    loop {
        let length = random.within(1..=buffer.len());
        match rustix::io::retry_on_intr(|| rustix::io::read(pipe, &mut buffer[..length]))? {
            0 => break,
            count => seen.extend_from_slice(&buffer[..count]),
        }
    }
    same_bytes("what came through", &seen, &expected)
}

/// A process that writes, some that pass on, and this one, which reads.
fn chain(random: &mut Random) -> Outcome {
    let total = random.within(1..=100_000) / 8 * 8;
    let seed = random.fork();
    let (mut reader, writer) = rustix::pipe::pipe()?;
    // Dropped before the pipe: a child that is killed does not see its end.
    let mut children = Vec::new();
    children.push(process::spawn_without(&[&reader], || send(&mut seed.clone(), total, &writer))?);
    drop(writer);
    for _ in 0..random.below(3) {
        let (next_reader, next_writer) = rustix::pipe::pipe()?;
        let mut own = random.fork();
        let child = process::spawn_without(&[&next_reader], || {
            let mut buffer = [0; 5000];
            loop {
                let length = own.within(1..=buffer.len());
                let count = rustix::io::retry_on_intr(|| rustix::io::read(&reader, &mut buffer[..length]))?;
                if count == 0 {
                    return Ok(());
                }
                write_all(&next_writer, &buffer[..count])?;
            }
        })?;
        children.push(child);
        reader = next_reader;
    }
    let received = receive(&mut seed.clone(), total, &reader);
    drop(reader);
    // A child that was refused memory explains what is missing.
    children.iter().try_for_each(process::Child::join)?;
    received
}

/// Writes of up to 4096 bytes from several processes do not mix.
fn many_writers(random: &mut Random) -> Outcome {
    const LENGTH: usize = 512;
    let (reader, writer) = rustix::pipe::pipe()?;
    let writers = random.within(2..=5);
    let rounds = random.within(1..=60);
    let mut children = Vec::new();
    for me in 0..writers {
        let writer = &writer;
        children.push(process::spawn(move || {
            for round in 0..rounds {
                let mut block = [me as u8 + 1; LENGTH];
                block[0] = round as u8;
                ensure_eq!(rustix::io::retry_on_intr(|| rustix::io::write(writer, &block))?, LENGTH);
            }
            Ok(())
        })?);
    }
    drop(writer);
    let mut next = vec![0; writers];
    let mut block = [0; LENGTH];
    let mut outcome = Ok(());
    while outcome.is_ok() && read_full(&reader, &mut block)? == LENGTH {
        let writer = usize::from(block[1]).wrapping_sub(1);
        outcome = match next.get_mut(writer) {
            Some(round) if block[2..].iter().all(|byte| *byte == block[1]) && *round == block[0] => {
                *round += 1;
                Ok(())
            }
            _ => Err(crate::report::Stop::fail(format!("a mixed block: {:?}", &block[..16]))),
        };
    }
    outcome?;
    children.iter().try_for_each(process::Child::join)?;
    ensure_eq!(next, vec![rounds as u8; writers], "blocks by writer");
    Ok(())
}

/// The reader goes away, in the middle of a write or before: the writer gets EPIPE.
fn broken(random: &mut Random) -> Outcome {
    let (reader, writer) = rustix::pipe::pipe()?;
    let child = process::spawn_without(&[&reader], || {
        signals::act(libc::SIGPIPE, Action::Ignore)?;
        loop {
            match rustix::io::retry_on_intr(|| rustix::io::write(&writer, &[7; 3000])) {
                Ok(_) => {}
                Err(Errno::PIPE) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
        }
    })?;
    drop(writer);
    read_full(&reader, &mut vec![0; random.below(100_000)])?;
    drop(reader);
    child.join()
}
