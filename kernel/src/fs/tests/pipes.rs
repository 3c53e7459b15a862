//! Pipes: order, ends, blocking.

use super::{errno, write};
use crate::fs::{
    file::{File, OpenFlags},
    io::Destination,
    pipe,
    poll::PollTable,
};
use crate::{error::Result, sched};
use abi::{errno::Errno, poll::PollEvents};
use alloc::vec::Vec;
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
