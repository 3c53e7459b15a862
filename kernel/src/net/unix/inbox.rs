//! What has been sent to a socket and not been received yet.
//!
//! The messages are guarded by a sleeping lock, held over the copy to the program; who waits looks only at the
//! counters, which are atomic. A stream has messages as well, one for each write, and runs them together
//! when it is read; but never two with open files, so that a program can tell which bytes they came with.

use crate::{
    error::Result,
    fs::{file::File, io::Destination},
    net::socket::Received,
    sched::wait::WaitQueue,
    sync::{Mutex, MutexGuard},
};
use abi::socket::{MsgFlags, Ucred};
use alloc::{collections::VecDeque, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicUsize, Ordering};

/// One message.
pub(super) struct Message {
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
    /// How many of them have been received (of a stream).
    pub(super) start: usize,
    /// Open files that come along.
    pub(super) files: Vec<Arc<File>>,
    /// Who sent it.
    pub(super) credentials: Ucred,
    /// The sender's address.
    pub(super) address: Option<Vec<u8>>,
}

/// The messages of one socket.
pub(super) struct Inbox {
    messages: Mutex<VecDeque<Message>>,
    bytes: AtomicUsize,
    count: AtomicUsize,
    /// Woken when a message comes.
    pub(super) readable: WaitQueue,
    /// Woken when one goes.
    pub(super) space: WaitQueue,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self {
            messages: Mutex::new("socket", VecDeque::new()),
            bytes: AtomicUsize::new(0),
            count: AtomicUsize::new(0),
            readable: WaitQueue::named("socket receive"),
            space: WaitQueue::named("socket send"),
        }
    }

    /// Bytes in it.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }

    /// Messages in it.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// The length of the first message.
    pub(super) fn first_length(&self) -> usize {
        self.messages.lock().front().map_or(0, |message| message.bytes.len())
    }

    pub(super) fn put(&self, message: Message) {
        let mut messages = self.messages.lock();
        messages.push_back(message);
        self.update(&messages);
        drop(messages);
        self.readable.wake_all();
    }

    /// Forgets everything; tells whether there was something.
    pub(super) fn clear(&self) -> bool {
        let forgotten = core::mem::take(&mut *self.messages.lock());
        self.bytes.store(0, Ordering::Release);
        self.count.store(0, Ordering::Release);
        !forgotten.is_empty()
    }

    fn update(&self, messages: &MutexGuard<'_, VecDeque<Message>>) {
        let bytes = messages.iter().map(|message| message.bytes.len() - message.start).sum();
        self.bytes.store(bytes, Ordering::Release);
        self.count.store(messages.len(), Ordering::Release);
    }

    /// Takes one message; what does not fit is lost. `None` if there is none.
    pub(super) fn take_message(&self, to: &mut Destination<'_>, flags: MsgFlags) -> Result<Option<Received>> {
        let mut messages = self.messages.lock();
        let Some(first) = messages.front_mut() else { return Ok(None) };
        let length = if first.bytes.is_empty() { 0 } else { to.write(&first.bytes)? };
        let mut received = Received {
            length,
            message_length: first.bytes.len(),
            credentials: Some(first.credentials),
            ..Received::default()
        };
        if flags.contains(MsgFlags::MSG_PEEK) {
            received.files.clone_from(&first.files);
            received.address.clone_from(&first.address);
        } else {
            received.files = core::mem::take(&mut first.files);
            received.address = first.address.take();
            messages.pop_front();
            self.update(&messages);
            drop(messages);
            self.space.wake_all();
        }
        Ok(Some(received))
    }

    /// Takes bytes, adding to what was `received` before. `tells_sender`: those of different senders are
    /// not mixed. Answers whether more can be added.
    pub(super) fn take_bytes(
        &self,
        to: &mut Destination<'_>,
        flags: MsgFlags,
        received: &mut Received,
        tells_sender: TellsSender,
    ) -> Result<Continuation> {
        let mut messages = self.messages.lock();
        let is_peek = flags.contains(MsgFlags::MSG_PEEK);
        let mut index = 0;
        let mut outcome = Ok(Continuation::Possible);
        while to.remaining() > 0 {
            let Some(message) = messages.get_mut(index) else { break };
            let is_other = tells_sender == TellsSender::Yes
                && received.credentials.is_some_and(|known| known != message.credentials);
            let has_files = !message.files.is_empty();
            if is_other || (has_files && received.length > 0) {
                outcome = Ok(Continuation::Ends);
                break;
            }
            match to.write(&message.bytes[message.start..]) {
                Ok(moved) => {
                    received.length += moved;
                    received.credentials = Some(message.credentials);
                    if is_peek {
                        received.files.extend(message.files.iter().cloned());
                        index += 1;
                    } else {
                        received.files.append(&mut message.files);
                        message.start += moved;
                        if message.start == message.bytes.len() {
                            messages.pop_front();
                        }
                    }
                    if has_files {
                        outcome = Ok(Continuation::Ends);
                        break;
                    }
                }
                Err(error) => {
                    outcome = if received.length > 0 { Ok(Continuation::Ends) } else { Err(error) };
                    break;
                }
            }
        }
        self.update(&messages);
        drop(messages);
        if !is_peek && received.length > 0 {
            self.space.wake_all();
        }
        outcome
    }
}

/// Whether a receiver wants to know who sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TellsSender {
    Yes,
    No,
}

/// Whether the bytes that come next belong to the same answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Continuation {
    Possible,
    Ends,
}
