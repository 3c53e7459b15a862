//! A range of pages that is mapped, unmapped, protected, moved and forgotten in parts, against a model of each page.
//!
//! Unreadable pages are probed through the kernel (`write` from them must give EFAULT), so no fault ends the process.

use rustix::io::Errno;
use rustix::mm::{Advice, MprotectFlags};

use super::mark;
use crate::report::{Outcome, ensure_eq, same_bytes};
use crate::sys::memory::{Mapping, PAGE};
use crate::sys::process;
use crate::worker::Context;

/// What a page is like.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Hole,
    NoAccess(u8),
    Readable(u8),
    Writable(u8),
}

impl State {
    fn tag(self) -> u8 {
        match self {
            State::Hole => 0,
            State::NoAccess(tag) | State::Readable(tag) | State::Writable(tag) => tag,
        }
    }
}

pub(crate) fn run(context: &mut Context<'_>) -> Outcome {
    let count = context.random.within(4..=64);
    let memory = Mapping::private(count * PAGE)?;
    let mut model = vec![State::Writable(0); count];
    let (reader, writer) = rustix::pipe::pipe()?;
    for _ in 0..context.random.within(5..=40) {
        mark!(context);
        let random = &mut context.random;
        let first = random.below(count);
        let length = random.within(1..=8.min(count - first));
        let pages = first..first + length;
        let (offset, bytes) = (first * PAGE, length * PAGE);
        let has_hole = model[pages.clone()].contains(&State::Hole);
        match random.below(7) {
            0 => {
                memory.unmap(offset, bytes)?;
                model[pages].fill(State::Hole);
            }
            1 => {
                memory.renew(offset, bytes)?;
                model[pages].fill(State::Writable(0));
            }
            2 if !has_hole => {
                let kind = random.below(3);
                let flags =
                    [MprotectFlags::empty(), MprotectFlags::READ, MprotectFlags::READ | MprotectFlags::WRITE]
                        [kind];
                memory.protect(offset, bytes, flags)?;
                for state in &mut model[pages] {
                    let tag = state.tag();
                    *state = [State::NoAccess(tag), State::Readable(tag), State::Writable(tag)][kind];
                }
            }
            3 if !has_hole => {
                memory.advise(offset, bytes, Advice::LinuxDontNeed)?;
                for state in &mut model[pages] {
                    *state = match *state {
                        State::NoAccess(_) => State::NoAccess(0),
                        State::Readable(_) => State::Readable(0),
                        State::Writable(_) => State::Writable(0),
                        State::Hole => State::Hole,
                    };
                }
            }
            _ => {
                for page in pages {
                    if let State::Writable(tag) = &mut model[page] {
                        *tag = random.next() as u8;
                        memory.set(page * PAGE + usize::from(*tag) * 16, *tag);
                        memory.set(page * PAGE, *tag);
                    }
                }
            }
        }
        check(&memory, &model, &reader, &writer)?;
    }
    mark!(context);
    fault_in_child(&memory, &model)?;
    resize(context)
}

/// Each page is as the model says; asked by the kernel, and where readable by the program, too.
fn check(
    memory: &Mapping,
    model: &[State],
    reader: &std::os::fd::OwnedFd,
    writer: &std::os::fd::OwnedFd,
) -> Outcome {
    use std::os::fd::AsFd;
    for (page, state) in model.iter().enumerate() {
        let offered = memory.offer(page * PAGE, writer.as_fd());
        // A page that has to be made first may find no memory.
        if offered == Err(Errno::NOMEM) {
            return Err(Errno::NOMEM.into());
        }
        if matches!(state, State::Hole | State::NoAccess(_)) {
            ensure_eq!(offered, Err(Errno::FAULT), "reading page {page}, {state:?}");
            continue;
        }
        ensure_eq!(offered, Ok(1), "reading page {page}, {state:?}");
        let mut byte = [0];
        rustix::io::retry_on_intr(|| rustix::io::read(reader, &mut byte))?;
        ensure_eq!(byte[0], state.tag(), "page {page} by the kernel");
        ensure_eq!(memory.get(page * PAGE), state.tag(), "page {page}");
    }
    Ok(())
}

/// A child that touches a page it must not touch is killed; and only then.
fn fault_in_child(memory: &Mapping, model: &[State]) -> Outcome {
    let bad = model.iter().position(|state| !matches!(state, State::Writable(_)));
    let Some(page) = bad else { return Ok(()) };
    let child = process::fork(|| {
        crate::sys::signals::act(libc::SIGSEGV, crate::sys::signals::Action::Default)?;
        memory.set(page * PAGE, 1);
        Ok(0)
    })?;
    child.expect_killed(libc::SIGSEGV)
}

/// Grows and shrinks a mapping; what stays keeps its content, what is new is zero.
fn resize(context: &mut Context<'_>) -> Outcome {
    let random = &mut context.random;
    let mut memory = Mapping::private(random.within(1..=16) * PAGE)?;
    let mut model = random.bytes(memory.length());
    memory.write(0, &model);
    // In the way of growing in place, now and then.
    let mut neighbours = Vec::new();
    for _ in 0..random.within(1..=8) {
        let length = random.within(1..=32) * PAGE;
        memory.resize(length)?;
        model.resize(length, 0);
        let mut seen = vec![0; length];
        memory.read(0, &mut seen);
        same_bytes("a mapping of another length", &seen, &model)?;
        neighbours.push(Mapping::private(PAGE)?);
    }
    Ok(())
}
