//! Socket pairs: streams, and messages that stay whole; also with both directions at work.

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType};

use super::{mark, pipes, read_exact, write_all};
use crate::random::Random;
use crate::report::{Outcome, ensure_eq, same_bytes};
use crate::sys::process;
use crate::worker::Context;

pub(crate) fn run(context: &mut Context<'_>) -> Outcome {
    mark!(context);
    match context.random.below(3) {
        0 => stream(&mut context.random),
        1 => messages(context),
        _ => echo(&mut context.random),
    }
}

fn stream(random: &mut Random) -> Outcome {
    let (ours, theirs) = pair(SocketType::STREAM)?;
    let total = random.within(1..=60_000) / 8 * 8;
    let seed = random.fork();
    let child = process::spawn_without(&[&ours], || {
        pipes::send(&mut seed.clone(), total, &theirs)?;
        rustix::net::shutdown(&theirs, Shutdown::Write)?;
        // The other direction is still there.
        let mut answer = [0; 4];
        read_exact(&theirs, &mut answer)
    })?;
    drop(theirs);
    let received = pipes::receive(&mut seed.clone(), total, &ours);
    if received.is_ok() {
        match write_all(&ours, b"done") {
            // It ended already: it tells why.
            Err(Errno::PIPE) => {}
            answer => answer?,
        }
    }
    drop(ours);
    child.join()?;
    received
}

fn pair(kind: SocketType) -> Result<(std::os::fd::OwnedFd, std::os::fd::OwnedFd), Errno> {
    rustix::net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
}

/// Messages keep their length and order.
fn messages(context: &mut Context<'_>) -> Outcome {
    let random = &mut context.random;
    // Datagrams have no end: a sender that was refused memory would be waited for.
    let has_end = context.options.has_refusals || random.once_in(2);
    let kind = if has_end { SocketType::SEQPACKET } else { SocketType::DGRAM };
    let (ours, theirs) = pair(kind)?;
    let mut seed = random.fork();
    let lengths: Vec<usize> = (0..random.within(1..=60)).map(|_| seed.within(1..=3000)).collect();
    let child = process::spawn_without(&[&ours], || {
        let mut data = seed.clone();
        for length in &lengths {
            let message = data.bytes(*length);
            let flags = SendFlags::NOSIGNAL;
            let sent = rustix::io::retry_on_intr(|| rustix::net::send(&theirs, &message, flags))?;
            ensure_eq!(sent, *length, "the length of a message sent");
        }
        Ok(())
    })?;
    drop(theirs);
    let outcome = receive_messages(&ours, &lengths, &mut seed.clone());
    drop(ours);
    child.join()?;
    outcome
}

fn receive_messages(socket: &std::os::fd::OwnedFd, lengths: &[usize], data: &mut Random) -> Outcome {
    let mut buffer = vec![0; 4000];
    for length in lengths {
        let receive = || rustix::net::recv(socket, &mut buffer[..], RecvFlags::empty());
        let (_, count) = rustix::io::retry_on_intr(receive)?;
        same_bytes("a message", &buffer[..count], &data.bytes(*length))?;
    }
    Ok(())
}

/// Each side answers the other's bytes, some at a time.
fn echo(random: &mut Random) -> Outcome {
    let (ours, theirs) = pair(SocketType::STREAM)?;
    let rounds = random.within(1..=80);
    let child = process::spawn_without(&[&ours], || {
        let mut buffer = [0; 64];
        for _ in 0..rounds {
            read_exact(&theirs, &mut buffer)?;
            buffer.reverse();
            write_all(&theirs, &buffer)?;
        }
        Ok(())
    })?;
    drop(theirs);
    let outcome = ask(&ours, rounds, random);
    drop(ours);
    child.join()?;
    outcome
}

fn ask(socket: &std::os::fd::OwnedFd, rounds: usize, random: &mut Random) -> Outcome {
    for _ in 0..rounds {
        let mut request = random.bytes(64);
        write_all(socket, &request)?;
        let mut answer = [0; 64];
        read_exact(socket, &mut answer)?;
        request.reverse();
        same_bytes("an answer", &answer, &request)?;
    }
    Ok(())
}
