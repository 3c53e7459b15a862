//! The options that sockets of all families have, and how long their calls wait. Source: socket(7).

use crate::{
    clock,
    error::{Error, Result},
    fs::file::Blocking,
    sched::wait::WaitQueue,
};
use abi::{errno::Errno, socket::Linger};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use machine::sync::SpinLock;

/// Size of a buffer unless a program sets it (/proc/sys/net/core/wmem_default).
const DEFAULT_BUFFER: usize = 212_992;
/// The most that a program can ask for, before it is doubled.
const MAXIMUM_BUFFER: usize = DEFAULT_BUFFER;
/// The least that a send buffer has.
const MINIMUM_SEND_BUFFER: usize = 4608;
/// The least that a receive buffer has.
const MINIMUM_RECEIVE_BUFFER: usize = 2304;

/// How long a call waits.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// Not at all: EAGAIN.
    Never,
    /// Until this point of the monotonic clock: EAGAIN.
    Until(u64),
    /// For ever.
    Endless,
}

impl Patience {
    /// Waits until `condition` holds.
    pub(super) fn wait(self, queue: &WaitQueue, mut condition: impl FnMut() -> bool) -> Result<()> {
        let deadline = match self {
            Self::Never => return Err(Errno::EAGAIN.into()),
            Self::Until(deadline) => Some(deadline),
            Self::Endless => None,
        };
        let outcome = queue.wait_interruptible(|| condition().then_some(()), deadline);
        outcome.map_err(|error| match (error.errno, deadline) {
            (Errno::ETIMEDOUT, _) => Errno::EAGAIN.into(),
            // What has a time-out is not made again: it would wait anew.
            (_, Some(_)) => error.restarting(None),
            (_, None) => error,
        })
    }
}

/// One buffer's size as a program sets it.
pub(crate) struct BufferSize {
    bytes: AtomicUsize,
    minimum: usize,
}

impl BufferSize {
    fn new(minimum: usize) -> Self {
        Self { bytes: AtomicUsize::new(DEFAULT_BUFFER), minimum }
    }

    /// In bytes.
    pub(crate) fn get(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Sets it to twice what is asked for, as Linux does for its own needs, within the limits.
    pub(crate) fn set(&self, wanted: usize) {
        self.bytes.store((wanted.min(MAXIMUM_BUFFER) * 2).max(self.minimum), Ordering::Relaxed);
    }
}

/// A time-out in nanoseconds; 0 is none.
pub(crate) struct Timeout(AtomicU64);

impl Timeout {
    /// In nanoseconds.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets it.
    pub(crate) fn set(&self, nanoseconds: u64) {
        self.0.store(nanoseconds, Ordering::Relaxed);
    }

    /// How long a call that begins now may wait.
    pub(crate) fn patience(&self, blocking: Blocking) -> Patience {
        match (blocking, self.get()) {
            (Blocking::Never, _) => Patience::Never,
            (Blocking::Allowed, 0) => Patience::Endless,
            (Blocking::Allowed, ns) => Patience::Until(clock::monotonic_ns().saturating_add(ns)),
        }
    }
}

/// The options of level SOL_SOCKET.
pub(crate) struct Options {
    /// SO_REUSEADDR.
    pub(crate) reuse_address: AtomicBool,
    /// SO_REUSEPORT.
    pub(crate) reuse_port: AtomicBool,
    /// SO_KEEPALIVE.
    pub(crate) keep_alive: AtomicBool,
    /// SO_BROADCAST.
    pub(crate) broadcast: AtomicBool,
    /// SO_PASSCRED.
    pub(crate) pass_credentials: AtomicBool,
    /// SO_SNDBUF.
    pub(crate) send_buffer: BufferSize,
    /// SO_RCVBUF.
    pub(crate) receive_buffer: BufferSize,
    /// SO_SNDTIMEO.
    pub(crate) send_timeout: Timeout,
    /// SO_RCVTIMEO.
    pub(crate) receive_timeout: Timeout,
    /// SO_LINGER.
    pub(crate) linger: SpinLock<Linger>,
}

impl Options {
    /// Those of a new socket.
    pub(super) fn new() -> Self {
        let off = || AtomicBool::new(false);
        Self {
            reuse_address: off(),
            reuse_port: off(),
            keep_alive: off(),
            broadcast: off(),
            pass_credentials: off(),
            send_buffer: BufferSize::new(MINIMUM_SEND_BUFFER),
            receive_buffer: BufferSize::new(MINIMUM_RECEIVE_BUFFER),
            send_timeout: Timeout(AtomicU64::new(0)),
            receive_timeout: Timeout(AtomicU64::new(0)),
            linger: SpinLock::new("socket-linger", Linger::default()),
        }
    }

    /// Whether the receiver wants to know who sends.
    pub(super) fn passes_credentials(&self) -> bool {
        self.pass_credentials.load(Ordering::Relaxed)
    }
}

/// ENOPROTOOPT, for options that a socket does not have.
pub(crate) const UNKNOWN_OPTION: Error = Error::new(Errno::ENOPROTOOPT, "no such socket option");
