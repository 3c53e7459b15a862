//! What is asked of a disk: [`Transfer`], and several of them at once: [`Batch`].
//!
//! A transfer owns its memory (a reference to each frame), so it may outlive whoever asked for it. Transfers of a batch
//! that are handed in together are merged where they are neighbours, and done in any order; each has an outcome of its own.
//! There is no other way to a device: what looks like a plain read or write is a batch of one.

use super::{BlockDevice, Limits};
use crate::error::{Error, Result};
use crate::sched::wait::WaitQueue;
use abi::errno::Errno;
use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicUsize, Ordering};
use machine::addr::PAGE_SIZE;
use machine::mm::Frame;
use machine::sync::Once;

pub(crate) use request_queue::Priority;

/// When a write counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// When the device has it, which may keep it in a cache of its own until a flush.
    Cached,
    /// When it is safe from a power cut ("forced unit access").
    Safe,
}

/// What a transfer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Fills the memory.
    Read,
    /// Writes what is in the memory.
    Write(Durability),
    /// Has everything written before made safe from a power cut.
    Flush,
    /// The range holds nothing of value any more.
    Discard,
    /// Writes zeros, without memory for them.
    WriteZeroes,
}

/// A piece of memory: a part of a frame.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) frame: Frame,
    /// Where it begins in the frame.
    pub(crate) offset: u32,
    /// Bytes, not 0.
    pub(crate) length: u32,
}

impl Segment {
    /// The first bytes of a frame.
    pub(crate) fn first(frame: Frame, length: usize) -> Self {
        Self { frame, offset: 0, length: length.min(PAGE_SIZE) as u32 }
    }

    /// Where a device finds it.
    pub(crate) fn address(&self) -> u64 {
        self.frame.address().as_u64() + u64::from(self.offset)
    }

    fn ends_page(&self) -> bool {
        self.offset + self.length == PAGE_SIZE as u32
    }
}

/// One request to a device, from a thread that waits or not.
pub(crate) struct Transfer {
    pub(crate) operation: Operation,
    /// Where on the device, in bytes.
    pub(crate) offset: u64,
    /// How much, in bytes; 0 for a flush.
    pub(crate) length: u64,
    pub(crate) segments: Vec<Segment>,
    pub(crate) priority: Priority,
    outcome: Once<Result<()>>,
    group: Arc<Group>,
}

/// The transfers of a batch.
struct Group {
    /// How many have not ended.
    left: AtomicUsize,
    done: WaitQueue,
}

impl Group {
    fn new(left: usize) -> Arc<Self> {
        Arc::new(Group { left: AtomicUsize::new(left), done: WaitQueue::named("disk") })
    }
}

impl Transfer {
    /// A flush that nobody waits for.
    pub(super) fn flush() -> Arc<Self> {
        Arc::new(Self::new(Operation::Flush, (0, 0), Vec::new(), Priority::Urgent, Group::new(1)))
    }

    fn new(
        operation: Operation,
        (offset, length): (u64, u64),
        segments: Vec<Segment>,
        priority: Priority,
        group: Arc<Group>,
    ) -> Self {
        Self { operation, offset, length, segments, priority, outcome: Once::new(), group }
    }

    /// Tells how it ended, once, from any context.
    pub(crate) fn finish(&self, outcome: Result<()>) {
        self.outcome.call_once(|| outcome);
        if self.group.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.group.done.wake_all();
        }
    }

    /// Whether its memory begins, and whether it ends at a page border.
    pub(crate) fn borders(&self) -> (bool, bool) {
        let begins = self.segments.first().is_none_or(|segment| segment.offset == 0);
        (begins, self.segments.last().is_none_or(Segment::ends_page))
    }

    fn outcome(&self) -> Result<()> {
        self.outcome.get().copied().unwrap_or(Err(Error::new(Errno::EIO, "the transfer has not ended")))
    }
}

/// Transfers that are handed in together.
#[must_use = "transfers are handed in by `wait`"]
pub(crate) struct Batch<'a> {
    device: &'a dyn BlockDevice,
    limits: Limits,
    priority: Priority,
    group: Arc<Group>,
    /// Not handed in yet.
    plugged: Vec<Arc<Transfer>>,
    all: Vec<Arc<Transfer>>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(device: &'a dyn BlockDevice, priority: Priority) -> Self {
        let (plugged, all) = (Vec::new(), Vec::new());
        Self { device, limits: device.limits(), priority, group: Group::new(0), plugged, all }
    }

    /// Adds a read or a write of a range whose memory is `segments`, as as many transfers as the device needs for it.
    pub(super) fn add(&mut self, operation: Operation, offset: u64, segments: Vec<Segment>) {
        let mut at = offset;
        let mut rest = segments.into_iter().peekable();
        while rest.peek().is_some() {
            let mut length = 0;
            let mut part = Vec::new();
            while let Some(segment) = rest.next_if(|next| {
                let grown = length + u64::from(next.length);
                part.len() < self.limits.max_segments && (grown <= self.limits.max_length || part.is_empty())
            }) {
                length += u64::from(segment.length);
                part.push(segment);
            }
            self.push(operation, at, length, part);
            at += length;
        }
    }

    /// Adds a transfer without memory.
    pub(super) fn add_command(&mut self, operation: Operation, offset: u64, length: u64) {
        self.push(operation, offset, length, Vec::new());
    }

    fn push(&mut self, operation: Operation, offset: u64, length: u64, segments: Vec<Segment>) {
        self.group.left.fetch_add(1, Ordering::AcqRel);
        let group = self.group.clone();
        let transfer = Arc::new(Transfer::new(operation, (offset, length), segments, self.priority, group));
        self.plugged.push(transfer.clone());
        self.all.push(transfer);
    }

    /// Hands in what was added. May sleep while the device has too much to do.
    pub(crate) fn submit(&mut self) {
        if !self.plugged.is_empty() {
            self.device.submit(core::mem::take(&mut self.plugged));
        }
    }

    /// Hands in what was added and sleeps until all of it has ended. The first transfer's error that failed; all others
    /// were done nevertheless.
    pub(crate) fn wait(self) -> Result<()> {
        self.wait_for_each().into_iter().try_for_each(|(_, outcome)| outcome)
    }

    /// The same, with the outcome of each transfer and its place on the device.
    pub(crate) fn wait_for_each(mut self) -> Vec<(u64, Result<()>)> {
        self.submit();
        let group = &self.group;
        group.done.wait(|| (group.left.load(Ordering::Acquire) == 0).then_some(()));
        self.all.iter().map(|transfer| (transfer.offset, transfer.outcome())).collect()
    }
}
