//! Unix-domain sockets: streams, datagrams and packets, names, descriptors in messages.

use libc::{SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM};

use crate::report::{Outcome, ensure, ensure_eq, ensure_errno, or_skip, tests};
use crate::sys::files::{Fd, fcntl, fstat, ioctl_int, pipe, read, read_to_end, unlink, write};
use crate::sys::process::{self, Status, fork};
use crate::sys::signals::{self, Action};
use crate::sys::sockets::{
    Name, accept, bind, connect, listen, name_of, option, receive, receive_from, receive_message, send,
    send_descriptors, send_to, set_option, shutdown, socket, socketpair,
};

tests! {
    stream_has_no_boundaries,
    stream_waits_for_all,
    stream_ends_after_shutdown,
    stream_to_nobody_kills,
    stream_unread_is_a_reset,
    large_transfer_between_processes,
    peeking_leaves_the_bytes,
    datagrams_keep_their_boundaries,
    packets_keep_their_boundaries,
    names_in_the_tree,
    abstract_names,
    server_and_client,
    backlog_is_bounded,
    datagrams_go_by_name,
    descriptors_are_passed,
    descriptors_without_room_are_closed,
    credentials_of_the_peer,
    credentials_come_with_messages,
    options_are_kept,
    sockets_are_sockets_for_stat,
    misuse_is_refused,
}

fn received(fd: &Fd, room: usize) -> Vec<u8> {
    let mut bytes = vec![0; room];
    let count = receive(**fd, &mut bytes, 0).unwrap_or(0);
    bytes.truncate(count);
    bytes
}

fn stream_has_no_boundaries() -> Outcome {
    let (one, other) = or_skip!(socketpair(SOCK_STREAM), EAFNOSUPPORT | ENOSYS);
    send(*one, b"ab", 0)?;
    write(*one, b"cd")?;
    ensure_eq!(received(&other, 1), b"a");
    ensure_eq!(received(&other, 2), b"bc");
    ensure_eq!(received(&other, 9), b"d");
    ensure_errno!(receive(*other, &mut [0], libc::MSG_DONTWAIT), EAGAIN);
    ensure_eq!(write(*other, b"back")?, 4, "both ways");
    ensure_eq!(received(&one, 9), b"back");
    Ok(())
}

fn stream_waits_for_all() -> Outcome {
    let (one, other) = socketpair(SOCK_STREAM)?;
    let child = fork(|| (0..3).map(|_| i32::from(send(*one, b"xy", 0) != Ok(2))).sum())?;
    let mut bytes = [0; 6];
    ensure_eq!(receive(*other, &mut bytes, libc::MSG_WAITALL)?, 6);
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}

fn stream_ends_after_shutdown() -> Outcome {
    let (one, other) = socketpair(SOCK_STREAM)?;
    write(*one, b"last")?;
    shutdown(*one, libc::SHUT_WR)?;
    ensure_eq!(read_to_end(*other)?, b"last");
    ensure_eq!(write(*other, b"on")?, 2, "the other direction goes on");
    ensure_eq!(received(&one, 9), b"on");
    ensure_errno!(send(*one, b"x", libc::MSG_NOSIGNAL), EPIPE);
    ensure_errno!(shutdown(*one, 3), EINVAL);
    Ok(())
}

fn stream_to_nobody_kills() -> Outcome {
    let (one, other) = socketpair(SOCK_STREAM)?;
    drop(other);
    ensure_errno!(send(*one, b"x", libc::MSG_NOSIGNAL), EPIPE);
    let child = fork(|| {
        let _ = write(*one, b"x");
        7
    })?;
    ensure_eq!(child.wait()?, Status::Killed(libc::SIGPIPE));
    signals::act(libc::SIGPIPE, Action::Ignore, 0, &[])?;
    ensure_errno!(write(*one, b"x"), EPIPE);
    Ok(())
}

fn stream_unread_is_a_reset() -> Outcome {
    let (one, other) = socketpair(SOCK_STREAM)?;
    write(*one, b"unread")?;
    drop(other);
    ensure_errno!(read(*one, &mut [0]), ECONNRESET);
    ensure_eq!(read(*one, &mut [0])?, 0, "told once");
    Ok(())
}

fn large_transfer_between_processes() -> Outcome {
    const LENGTH: usize = 3_000_000;
    let (one, other) = socketpair(SOCK_STREAM)?;
    let child = fork(|| {
        let bytes: Vec<u8> = (0..LENGTH).map(|index| (index / 7) as u8).collect();
        i32::from(send(*one, &bytes, 0) != Ok(LENGTH))
    })?;
    let mut bytes = vec![0; LENGTH];
    ensure_eq!(receive(*other, &mut bytes, libc::MSG_WAITALL)?, LENGTH);
    ensure!(bytes.iter().enumerate().all(|(index, &byte)| byte == (index / 7) as u8), "bytes differ");
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}

fn peeking_leaves_the_bytes() -> Outcome {
    let (one, other) = socketpair(SOCK_STREAM)?;
    write(*one, b"abc")?;
    let mut bytes = [0; 2];
    ensure_eq!(receive(*other, &mut bytes, libc::MSG_PEEK)?, 2);
    ensure_eq!(&bytes, b"ab");
    ensure_eq!(ioctl_int(*other, libc::FIONREAD as u64)?, 3);
    ensure_eq!(received(&other, 9), b"abc");
    Ok(())
}

fn datagrams_keep_their_boundaries() -> Outcome {
    let (one, other) = socketpair(SOCK_DGRAM)?;
    for message in [b"first".as_slice(), b"", b"second"] {
        ensure_eq!(send(*one, message, 0)?, message.len());
    }
    let mut bytes = [0; 2];
    ensure_eq!(receive(*other, &mut bytes, libc::MSG_PEEK | libc::MSG_TRUNC)?, 5, "its true length");
    ensure_eq!(received(&other, 2), b"fi", "the rest is lost");
    ensure_eq!(received(&other, 9), b"");
    ensure_eq!(received(&other, 9), b"second");
    ensure_errno!(send(*one, &[0; 1 << 20], 0), EMSGSIZE);
    Ok(())
}

fn packets_keep_their_boundaries() -> Outcome {
    let (one, other) = socketpair(SOCK_SEQPACKET)?;
    send(*one, b"first", 0)?;
    send(*one, b"second", 0)?;
    let message = receive_message(*other, &mut [0; 3], 0)?;
    ensure_eq!((message.count, message.flags & libc::MSG_TRUNC), (3, libc::MSG_TRUNC));
    ensure_eq!(received(&other, 9), b"second");
    drop(one);
    ensure_eq!(read(*other, &mut [0; 9])?, 0, "the peer has gone");
    Ok(())
}

fn names_in_the_tree() -> Outcome {
    let server = socket(SOCK_STREAM)?;
    ensure_eq!(name_of(*server)?, Name::new(b""));
    bind(*server, &Name::new(b"name"))?;
    ensure_eq!(name_of(*server)?, Name::new(b"name\0"));
    ensure_errno!(bind(*server, &Name::new(b"another")), EINVAL);
    ensure_errno!(bind(*socket(SOCK_STREAM)?, &Name::new(b"name")), EADDRINUSE);
    ensure_errno!(connect(*socket(SOCK_STREAM)?, &Name::new(b"name")), ECONNREFUSED);
    listen(*server, 1)?;
    ensure_errno!(connect(*socket(SOCK_DGRAM)?, &Name::new(b"name")), EPROTOTYPE);
    connect(*socket(SOCK_STREAM)?, &Name::new(b"name\0"))?;
    drop(server);
    ensure_errno!(connect(*socket(SOCK_STREAM)?, &Name::new(b"name")), ECONNREFUSED);
    unlink("name")?;
    ensure_errno!(connect(*socket(SOCK_STREAM)?, &Name::new(b"name")), ENOENT);
    Ok(())
}

fn abstract_names() -> Outcome {
    let name = Name::new(b"\0systest abstract");
    let server = socket(SOCK_STREAM)?;
    bind(*server, &name)?;
    listen(*server, 1)?;
    ensure_eq!(name_of(*server)?, name.clone());
    ensure_errno!(bind(*socket(SOCK_STREAM)?, &name), EADDRINUSE);
    connect(*socket(SOCK_STREAM)?, &name)?;
    drop(server);
    ensure_errno!(connect(*socket(SOCK_STREAM)?, &name), ECONNREFUSED);
    bind(*socket(SOCK_STREAM)?, &name)?;
    Ok(())
}

fn server_and_client() -> Outcome {
    let server = socket(SOCK_STREAM)?;
    bind(*server, &Name::new(b"server"))?;
    listen(*server, 5)?;
    ensure_eq!(option(*server, libc::SO_ACCEPTCONN)?, [1]);
    let child = fork(|| {
        let Ok(client) = socket(SOCK_STREAM) else { return 1 };
        if connect(*client, &Name::new(b"server")).is_err() || write(*client, b"question") != Ok(8) {
            return 2;
        }
        i32::from(received(&client, 99) != b"answer")
    })?;
    let connection = accept(*server)?;
    ensure_eq!(received(&connection, 99), b"question");
    write(*connection, b"answer")?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    ensure_eq!(read(*connection, &mut [0])?, 0);
    Ok(())
}

fn backlog_is_bounded() -> Outcome {
    let server = socket(SOCK_STREAM)?;
    bind(*server, &Name::new(b"server"))?;
    listen(*server, 0)?;
    let client = || socket(SOCK_STREAM | libc::SOCK_NONBLOCK);
    let (first, second) = (client()?, client()?);
    connect(*first, &Name::new(b"server"))?;
    ensure_errno!(connect(*second, &Name::new(b"server")), EAGAIN);
    drop(accept(*server)?);
    connect(*second, &Name::new(b"server"))?;
    ensure_errno!(connect(*second, &Name::new(b"server")), EAGAIN);
    drop(accept(*server)?);
    ensure_errno!(connect(*second, &Name::new(b"server")), EISCONN);
    Ok(())
}

fn datagrams_go_by_name() -> Outcome {
    let (server, client) = (socket(SOCK_DGRAM)?, socket(SOCK_DGRAM)?);
    bind(*server, &Name::new(b"server"))?;
    bind(*client, &Name::new(b"client"))?;
    send_to(*client, b"one", &Name::new(b"server"))?;
    let (count, sender) = receive_from(*server, &mut [0; 9])?;
    ensure_eq!((count, sender), (3, Name::new(b"client\0")));
    connect(*client, &Name::new(b"server"))?;
    send(*client, b"two", 0)?;
    ensure_eq!(received(&server, 9), b"two");
    drop(server);
    ensure_errno!(send(*client, b"three", 0), ECONNREFUSED);
    Ok(())
}

fn descriptors_are_passed() -> Outcome {
    let (one, other) = socketpair(SOCK_STREAM)?;
    let (reader, writer) = pipe(0)?;
    send_descriptors(*one, b"x", &[*reader, *writer])?;
    write(*one, b"tail")?;
    drop(reader);
    let message = receive_message(*other, &mut [0; 9], 4)?;
    ensure_eq!((message.count, message.kind), (1, libc::SCM_RIGHTS), "bytes with descriptors stand alone");
    ensure_eq!(message.words.len(), 2);
    let passed = Fd::own(message.words[0] as usize);
    drop(Fd::own(message.words[1] as usize));
    ensure_eq!(fcntl(*passed, libc::F_GETFD, 0)?, 0);
    write(*writer, b"through")?;
    drop(writer);
    ensure_eq!(read_to_end(*passed)?, b"through");
    ensure_eq!(received(&other, 9), b"tail");
    ensure_errno!(send_descriptors(*one, b"x", &[999]), EBADF);
    Ok(())
}

fn descriptors_without_room_are_closed() -> Outcome {
    let (one, other) = socketpair(SOCK_STREAM)?;
    let (reader, writer) = pipe(0)?;
    send_descriptors(*one, b"x", &[*writer, *writer])?;
    drop(writer);
    let message = receive_message(*other, &mut [0; 9], 1)?;
    ensure_eq!((message.words.len(), message.flags & libc::MSG_CTRUNC), (1, libc::MSG_CTRUNC));
    drop(Fd::own(message.words[0] as usize));
    ensure_eq!(read(*reader, &mut [0])?, 0, "no writer is left");
    Ok(())
}

fn credentials_of_the_peer() -> Outcome {
    let (one, _other) = socketpair(SOCK_STREAM)?;
    let [pid, ..] = option::<3>(*one, libc::SO_PEERCRED)?;
    ensure_eq!(pid, process::getpid()?);
    Ok(())
}

fn credentials_come_with_messages() -> Outcome {
    let (one, other) = socketpair(SOCK_DGRAM)?;
    set_option(*other, libc::SO_PASSCRED, 1)?;
    send(*one, b"x", 0)?;
    let message = receive_message(*other, &mut [0; 9], 3)?;
    ensure_eq!((message.kind, message.words.len()), (libc::SCM_CREDENTIALS, 3));
    ensure_eq!(message.words[0], process::getpid()?);
    Ok(())
}

fn options_are_kept() -> Outcome {
    let (one, _other) = socketpair(SOCK_SEQPACKET)?;
    ensure_eq!(option(*one, libc::SO_TYPE)?, [SOCK_SEQPACKET]);
    ensure_eq!(option(*one, libc::SO_DOMAIN)?, [libc::AF_UNIX]);
    ensure_eq!(option(*one, libc::SO_ERROR)?, [0]);
    set_option(*one, libc::SO_SNDBUF, 5000)?;
    ensure_eq!(option(*one, libc::SO_SNDBUF)?, [10000], "twice as much");
    set_option(*one, libc::SO_KEEPALIVE, 1)?;
    ensure_eq!(option(*one, libc::SO_KEEPALIVE)?, [1]);
    ensure_errno!(option::<1>(*one, 9999), ENOPROTOOPT);
    Ok(())
}

fn sockets_are_sockets_for_stat() -> Outcome {
    let (one, _other) = socketpair(SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK)?;
    ensure_eq!(fstat(*one)?.st_mode & libc::S_IFMT, libc::S_IFSOCK);
    ensure_eq!(fcntl(*one, libc::F_GETFD, 0)?, libc::FD_CLOEXEC);
    ensure_errno!(read(*one, &mut [0]), EAGAIN);
    Ok(())
}

fn misuse_is_refused() -> Outcome {
    let (stream, datagrams) = (socket(SOCK_STREAM)?, socket(SOCK_DGRAM)?);
    ensure_errno!(receive(*stream, &mut [0], 0), EINVAL);
    ensure_errno!(send(*stream, b"x", libc::MSG_NOSIGNAL), ENOTCONN);
    ensure_errno!(send(*datagrams, b"x", 0), ENOTCONN);
    ensure_errno!(listen(*stream, 1), EINVAL);
    ensure_errno!(listen(*datagrams, 1), EOPNOTSUPP);
    ensure_errno!(accept(*stream), EINVAL);
    ensure_errno!(accept(*datagrams), EOPNOTSUPP);
    ensure_errno!(accept(0), ENOTSOCK);
    ensure_errno!(socket(99), EINVAL);
    let (reader, _writer) = pipe(0)?;
    ensure_errno!(send(*reader, b"x", 0), ENOTSOCK);
    Ok(())
}
