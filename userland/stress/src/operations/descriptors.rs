//! Descriptors: many of them, duplicated, closed, and passed to other processes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use super::mark;
use crate::random::Random;
use crate::report::{Outcome, Stop, ensure, ensure_eq};
use crate::sys::process;
use crate::worker::Context;

pub(crate) fn run(context: &mut Context<'_>) -> Outcome {
    fs::create_dir(&context.directory)?;
    let files = (0..4)
        .map(|index| {
            let path = context.directory.join(format!("{index}"));
            fs::write(&path, [index; 4])?;
            Ok(File::open(path)?)
        })
        .collect::<Outcome<Vec<File>>>()?;
    mark!(context);
    duplicate(&mut context.random, &files)?;
    mark!(context);
    pass(&mut context.random, &files)?;
    drop(files);
    Ok(fs::remove_dir_all(&context.directory)?)
}

/// What file a descriptor leads to.
fn content(fd: impl AsFd) -> Outcome<u8> {
    let mut bytes = [0; 4];
    ensure_eq!(rustix::io::pread(fd, &mut bytes, 0)?, 4, "the file's length");
    ensure!(bytes.iter().all(|byte| *byte == bytes[0]), "content {bytes:?}");
    Ok(bytes[0])
}

/// Descriptors come and go; each leads to its own file, and a new one has the lowest number.
fn duplicate(random: &mut Random, files: &[File]) -> Outcome {
    let mut open: BTreeMap<i32, (OwnedFd, u8)> = BTreeMap::new();
    for _ in 0..random.within(5..=120) {
        if random.once_in(3) && !open.is_empty() {
            let number = *open.keys().nth(random.below(open.len())).expect("an index in range");
            open.remove(&number);
            continue;
        }
        let file = random.below(files.len());
        let copy = match random.below(2) {
            0 => rustix::io::dup(&files[file])?,
            _ => rustix::io::fcntl_dupfd_cloexec(&files[file], random.below(200) as i32)?,
        };
        ensure!(!open.contains_key(&copy.as_raw_fd()), "descriptor {} was given out twice", copy.as_raw_fd());
        open.insert(copy.as_raw_fd(), (copy, file as u8));
    }
    for (fd, file) in open.values() {
        ensure_eq!(content(fd)?, *file, "the file behind {fd:?}");
    }
    Ok(())
}

/// Descriptors go through a socket with their messages.
fn pass(random: &mut Random, files: &[File]) -> Outcome {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let batches: Vec<Vec<usize>> = (0..random.within(1..=12))
        .map(|_| (0..random.within(1..=4)).map(|_| random.below(files.len())).collect())
        .collect();
    let is_abandoned = random.once_in(4);
    let child = process::spawn_without(&[&ours], || {
        for batch in &batches {
            let fds: Vec<_> = batch.iter().map(|index| files[*index].as_fd()).collect();
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            ensure!(ancillary.push(SendAncillaryMessage::ScmRights(&fds)), "room for descriptors");
            let bytes: Vec<u8> = batch.iter().map(|index| *index as u8).collect();
            let data = [IoSlice::new(&bytes)];
            match sendmsg(&theirs, &data, &mut ancillary, SendFlags::NOSIGNAL) {
                Err(Errno::PIPE | Errno::CONNRESET) if is_abandoned => return Ok(()),
                sent => ensure_eq!(sent?, bytes.len(), "the length of a message sent"),
            }
        }
        Ok(())
    })?;
    drop(theirs);
    let outcome = if is_abandoned {
        Ok(()) // What is on the way is closed with the socket.
    } else {
        batches.iter().try_for_each(|batch| receive(&ours, batch))
    };
    drop(ours);
    child.join()?;
    outcome
}

fn receive(socket: &OwnedFd, batch: &[usize]) -> Outcome {
    let mut bytes = [0; 8];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
    })?;
    if received.bytes == 0 {
        return Err(Stop::left("the sender"));
    }
    ensure_eq!(received.bytes, batch.len(), "the length of a message");
    let mut got = Vec::new();
    for message in ancillary.drain() {
        let RecvAncillaryMessage::ScmRights(fds) = message else { return Err(Stop::fail("another message")) };
        for fd in fds {
            got.push(usize::from(content(&fd)?));
        }
    }
    if batch.starts_with(&got) && got.len() < batch.len() {
        // There was no memory for all of them in this process.
        return Err(Stop::left("a descriptor"));
    }
    ensure_eq!(got, batch, "the files that were passed");
    Ok(())
}
