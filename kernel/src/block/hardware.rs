//! What a driver of hardware is for its disk, and what it is told by the queue before it (`queue.rs`).

use super::transfer::{Operation, Segment, Transfer};
use super::{Access, Features, Identity, Limits};
use crate::error::Result;
use alloc::sync::Arc;

/// What a driver does for its disk. Lanes and tags count from 0.
pub(crate) trait Hardware: Send + Sync {
    /// Has the device do a request, known from now on by `lane` and `tag`. Called with the lane locked. An error: it has no
    /// room now (EBUSY; it will be asked again after the next completion), or it cannot do this (any other).
    fn start(&self, lane: usize, tag: u16, command: &Command<'_>) -> Result<()>;

    /// Tells the device of what was started.
    fn kick(&self, _lane: usize) {}

    /// Takes the device out of whatever state it is in and makes it ready again. On return it does not touch memory of
    /// earlier requests, and completes none of them any more. Sleeps. An error: it is of no use any more.
    fn reset(&self) -> Result<()>;

    /// Has the device touch no memory of requests from now on, for good. Nothing is started any more. Sleeps.
    fn stop(&self);

    /// What it says of itself. Asked once, before the first request.
    fn identify(&self) -> Identity {
        Identity::default()
    }
}

/// A request as a driver sees it.
pub(crate) struct Command<'a> {
    pub(crate) operation: Operation,
    /// In bytes, whole blocks.
    pub(crate) offset: u64,
    /// In bytes, whole blocks; 0 for a flush.
    pub(crate) length: u64,
    parts: &'a [Job],
}

impl<'a> Command<'a> {
    /// That of a request of the queue.
    pub(super) fn of(request: &'a Request) -> Self {
        let operation = request.parts.first().map_or(Operation::Flush, |job| job.transfer.operation);
        let Request { start, length, parts, .. } = request;
        Self { operation, offset: *start, length: *length, parts }
    }

    /// Its memory, in order.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.parts.iter().flat_map(|job| &job.transfer.segments)
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Well.
    Done,
    /// It failed and will always do so.
    Failed,
    /// It failed; it may work later.
    Retry,
    /// It was ended together with another one that failed.
    Aborted,
    /// The device does not know such requests.
    Unsupported,
}

/// What a disk is, for [`RequestQueue::new`](super::RequestQueue::new).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// A multiple of the block size.
    pub(crate) size_bytes: u64,
    pub(crate) block_size: u32,
    pub(crate) access: Access,
    pub(crate) features: Features,
    /// Of a lane.
    pub(crate) limits: Limits,
    pub(crate) lanes: usize,
    /// Whether reads and writes are all that it does at the same time (SATA).
    pub(crate) are_others_alone: bool,
    /// A request that takes longer is lost.
    pub(crate) time_limit_ns: u64,
    /// See [`memory_alignment`](super::BlockDevice::memory_alignment).
    pub(crate) memory_alignment: u32,
}

/// A transfer with what the queue knows of it.
pub(super) struct Job {
    pub(super) transfer: Arc<Transfer>,
    /// How often it was tried.
    pub(super) attempts: u8,
}

pub(super) type Request = request_queue::Request<Job>;
