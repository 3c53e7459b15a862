//! Pipes: order, ends, blocking.

use super::{errno, write};
use crate::fs::{
    file::{File, OpenFlags},
    io::Destination,
    pipe,
    poll::PollTable,
};
use crate::{
    error::Result,
    sched::{self, State, Thread, wait::Waiter},
};
use abi::{errno::Errno, poll::PollEvents};
use alloc::{sync::Arc, vec::Vec};
use machine::time;
use test_macro::kernel_test;

fn read(file: &File, length: usize) -> Result<Vec<u8>> {
    let mut buffer = alloc::vec![0; length];
    let done = file.read(&mut Destination::kernel(&mut buffer))?;
    buffer.truncate(done);
    Ok(buffer)
}

#[kernel_test]
fn bytes_come_out_in_order_and_the_end_is_seen() {
    let (reader, writer) = pipe::create(OpenFlags::empty());
    write(&writer, b"abc").expect("a reader");
    write(&writer, b"def").expect("a reader");
    assert_eq!(read(&reader, 4).expect("bytes"), b"abcd");
    drop(writer);
    assert_eq!(read(&reader, 4).expect("bytes"), b"ef");
    assert_eq!(read(&reader, 4).expect("the end"), b"");
    assert_eq!(errno(write(&reader, b"x")), Some(Errno::EBADF));
}

#[kernel_test]
fn a_full_pipe_refuses_short_writes_as_a_whole() {
    let (reader, writer) = pipe::create(OpenFlags::O_NONBLOCK);
    assert_eq!(errno(read(&reader, 1)), Some(Errno::EAGAIN));
    let chunk = alloc::vec![1; 65536 - 100];
    assert_eq!(write(&writer, &chunk).expect("a reader"), chunk.len());
    assert_eq!(errno(write(&writer, &[2; 200])), Some(Errno::EAGAIN));
    assert_eq!(write(&writer, &[2; 5000]).expect("a part fits"), 100);
    assert_eq!(errno(write(&writer, &[2; 1])), Some(Errno::EAGAIN));
    let ready = |file: &File| file.poll(&mut PollTable::none());
    assert!(!ready(&writer).contains(PollEvents::POLLOUT));
    assert!(ready(&reader).contains(PollEvents::POLLIN));
    assert_eq!(read(&reader, 65536).expect("bytes").len(), 65536);
    assert!(ready(&writer).contains(PollEvents::POLLOUT));
    drop(reader);
    assert!(ready(&writer).contains(PollEvents::POLLERR));
    assert_eq!(errno(write(&writer, b"x")), Some(Errno::EPIPE));
}

#[kernel_test]
fn reader_and_writer_wait_for_each_other() {
    const TOTAL: usize = 1_000_000;
    let (reader, writer) = pipe::create(OpenFlags::empty());
    sched::spawn("pipe-writer", move || {
        let mut next = 0u32;
        for length in (1..).map(|n: usize| n * 7919 % 9000 + 1).scan(TOTAL, |left, length| {
            let now = length.min(*left);
            *left -= now;
            (now > 0).then_some(now)
        }) {
            let bytes: Vec<u8> = (0..length)
                .map(|_| {
                    next = next.wrapping_add(1);
                    next as u8
                })
                .collect();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let done = write(&writer, rest).expect("the reader stays");
                rest = &rest[done..];
            }
        }
    })
    .expect("memory for a thread");
    let (mut seen, mut expected) = (0, 0u32);
    loop {
        let bytes = read(&reader, 10_000).expect("bytes");
        if bytes.is_empty() {
            break;
        }
        for byte in &bytes {
            expected = expected.wrapping_add(1);
            assert_eq!(*byte, expected as u8);
        }
        seen += bytes.len();
    }
    assert_eq!(seen, TOTAL);
}

/// A thread that writes so many bytes with one call, to a pipe that is full.
fn start_writer(writer: &Arc<File>, length: usize) -> Arc<Thread> {
    let writer = writer.clone();
    let write_all = move || {
        assert_eq!(write(&writer, &alloc::vec![7; length]).expect("the reader stays"), length);
    };
    let thread = sched::spawn("pipe-writer", write_all).expect("memory for a thread");
    wait_until(|| waits_for_room(&thread));
    thread
}

fn waits_for_room(thread: &Thread) -> bool {
    let waits = thread.waiting().is_some_and(|waiting| waiting.what == "pipe write");
    waits && thread.state() == State::Sleeping
}

fn wait_until(is_so: impl Fn() -> bool) {
    while !is_so() {
        sched::yield_now();
    }
}

#[kernel_test]
fn a_writer_is_woken_when_half_of_the_pipe_is_free_or_the_rest_fits() {
    const FULL: usize = 65536;
    let (reader, writer) = pipe::create(OpenFlags::empty());
    let queued = || reader.operations().available(&reader).expect("a pipe can tell");
    let take = |length| assert_eq!(read(&reader, length).expect("bytes").len(), length);
    write(&writer, &alloc::vec![1; FULL]).expect("an empty pipe");
    let much = start_writer(&writer, 100_000);
    for page in 1..8 {
        take(4096);
        assert_eq!(queued(), FULL - page * 4096);
    }
    sched::sleep_until(time::monotonic_ns() + 20_000_000);
    assert_eq!(queued(), FULL - 7 * 4096, "the writer was woken before half was free");
    take(4096);
    wait_until(|| queued() == FULL && waits_for_room(&much));
    let little = start_writer(&writer, 5000);
    take(4999);
    sched::sleep_until(time::monotonic_ns() + 20_000_000);
    assert_eq!(queued(), FULL - 4999);
    // One more byte, and all that the second has to write fits; the first takes what there is when it is woken with it.
    take(1);
    wait_until(|| queued() == FULL);
    for _ in 0..(100_000 + 5000 - FULL / 2 - 5000) / 8 {
        take(8);
    }
    wait_until(|| much.state() == State::Exited && little.state() == State::Exited);
    assert_eq!(queued(), FULL);
}

#[kernel_test]
fn who_polls_a_pipe_is_woken_by_room_for_a_page() {
    let (reader, writer) = pipe::create(OpenFlags::empty());
    write(&writer, &alloc::vec![1; 65536]).expect("an empty pipe");
    let waiter = Waiter::new();
    assert!(!writer.poll(&mut PollTable::new(&waiter)).contains(PollEvents::POLLOUT));
    assert_eq!(read(&reader, 4096).expect("bytes").len(), 4096);
    waiter.wait(Some(time::monotonic_ns())).expect("it was woken already");
    assert!(writer.poll(&mut PollTable::none()).contains(PollEvents::POLLOUT));
}
