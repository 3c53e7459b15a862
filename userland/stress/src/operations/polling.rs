//! Ping-pong between two processes, each waiting by `poll` or `epoll` for an eventfd or a pipe. A wake-up that is
//! lost stops the game, which the watchdog sees.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{EventfdFlags, PollFd, PollFlags, epoll, eventfd, poll};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use super::mark;
use crate::random::Random;
use crate::report::{Outcome, ensure, ensure_eq};
use crate::sys::process;
use crate::worker::Context;

pub(crate) fn run(context: &mut Context<'_>) -> Outcome {
    mark!(context);
    if context.random.once_in(3) { crowd(&mut context.random) } else { ping_pong(&mut context.random) }
}

/// One direction of the game.
struct Line {
    reader: OwnedFd,
    writer: OwnedFd,
    is_event: bool,
}

impl Line {
    fn new(random: &mut Random) -> Result<Line, Errno> {
        let is_event = random.once_in(2);
        if is_event {
            let reader = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            return Ok(Line { writer: rustix::io::dup(&reader)?, reader, is_event });
        }
        let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Line { reader, writer, is_event })
    }

    fn send(&self) -> Result<(), Errno> {
        let message = 1_u64.to_ne_bytes();
        super::write_all(&self.writer, &message)
    }

    /// Takes the message that is there.
    fn take(&self) -> Outcome<bool> {
        let mut message = [0; 8];
        match rustix::io::retry_on_intr(|| rustix::io::read(&self.reader, &mut message)) {
            Ok(count) => {
                ensure_eq!(
                    (count, u64::from_ne_bytes(message)),
                    (8, 1),
                    "a message; event {}",
                    self.is_event
                );
                Ok(true)
            }
            Err(Errno::AGAIN) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Waits for a message, in one of several ways; not for longer than the other player lives: `false` if it has left.
    fn wait(&self, means: &Means, life: Option<&OwnedFd>) -> Outcome<bool> {
        while !self.take()? {
            let (is_ready, has_left) = match means {
                Means::Poll => {
                    let mut set = vec![PollFd::new(&self.reader, PollFlags::IN)];
                    set.extend(life.map(|life| PollFd::new(life, PollFlags::IN)));
                    retry(|| poll(&mut set, None))?;
                    let is_over = |other: &PollFd<'_>| other.revents().contains(PollFlags::HUP);
                    (set[0].revents().contains(PollFlags::IN), set.get(1).is_some_and(is_over))
                }
                Means::Epoll(epoll) => {
                    let mut events = Vec::with_capacity(4);
                    retry(|| epoll::wait(epoll, rustix::buffer::spare_capacity(&mut events), None))?;
                    let has = |token| events.iter().any(|event| event.data.u64() == token);
                    (has(LINE), has(LIFE))
                }
            };
            ensure!(is_ready || has_left, "a wait without a limit ended with nothing");
            if has_left {
                return self.take();
            }
        }
        Ok(true)
    }
}

/// Tokens in an epoll set.
const LINE: u64 = 7;
const LIFE: u64 = 8;

/// Repeats a call that a handler has ended.
fn retry<T>(call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    rustix::io::retry_on_intr(call)
}

/// How a player waits.
enum Means {
    Poll,
    Epoll(OwnedFd),
}

impl Means {
    fn new(random: &mut Random, line: &Line, life: Option<&OwnedFd>) -> Result<Means, Errno> {
        if random.once_in(3) {
            return Ok(Means::Poll);
        }
        let edge = if random.once_in(2) { epoll::EventFlags::ET } else { epoll::EventFlags::empty() };
        let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let flags = epoll::EventFlags::IN | edge;
        epoll::add(&set, line.reader.as_fd(), epoll::EventData::new_u64(LINE), flags)?;
        if let Some(life) = life {
            epoll::add(&set, life, epoll::EventData::new_u64(LIFE), epoll::EventFlags::IN)?;
        }
        Ok(Means::Epoll(set))
    }
}

fn ping_pong(random: &mut Random) -> Outcome {
    let (there, back) = (Line::new(random)?, Line::new(random)?);
    let rounds = random.within(1..=150);
    let theirs = Means::new(random, &there, None)?;
    // The child alone keeps the other end.
    let (life, life_end) = rustix::pipe::pipe()?;
    let child = process::spawn_without(&[&life], || {
        for _ in 0..rounds {
            there.wait(&theirs, None)?;
            back.send()?;
        }
        Ok(())
    })?;
    drop(life_end);
    // A child that waits for what will not come any more is killed by the drop.
    let is_complete = answer(random, &there, &back, &life, rounds)?;
    // One that has left tells why.
    child.join()?;
    ensure!(is_complete, "a player left in the middle of the game, content");
    Ok(())
}

/// Plays the game to the end; `false` if the other player leaves before.
fn answer(random: &mut Random, there: &Line, back: &Line, life: &OwnedFd, rounds: usize) -> Outcome<bool> {
    let means = Means::new(random, back, Some(life))?;
    for _ in 0..rounds {
        there.send()?;
        if !back.wait(&means, Some(life))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Many processes wait for one event counter; each of its counts is taken by one of them.
fn crowd(random: &mut Random) -> Outcome {
    let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::SEMAPHORE)?;
    let count = random.within(2..=5);
    let each = random.within(1..=20);
    let mut children = Vec::new();
    for _ in 0..count {
        children.push(process::spawn(|| {
            for _ in 0..each {
                let mut value = [0; 8];
                retry(|| rustix::io::read(&event, &mut value))?;
                ensure_eq!(u64::from_ne_bytes(value), 1, "one count of a semaphore");
            }
            Ok(())
        })?);
    }
    let mut left = count * each;
    while left > 0 {
        let portion = random.within(1..=left);
        retry(|| rustix::io::write(&event, &(portion as u64).to_ne_bytes()))?;
        left -= portion;
    }
    children.iter().try_for_each(process::Child::join)
}
