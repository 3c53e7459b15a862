//! What a disk does next: the pure part of the block layer.
//!
//! A [`Queue`] holds what was asked of a disk and has not been started yet. Neighbours are merged into one request, and
//! [`Queue::next`] picks the request to be started:
//!
//! 1. one whose deadline has passed, the oldest deadline first;
//! 2. else the most urgent ([`Priority`]); among equals one that must be alone, else the next one upwards on the disk,
//!    then from its beginning again. Background work never takes the last quarter of the places that the device has.
//!
//! The rule that makes all of this harmless: **of two requests that overlap and of which one changes the disk, the
//! one that came later never starts before the other is done**, merged or not. (What is wanted early takes along what it
//! has to wait for.) Requests that do not overlap come in any order; for more than that there is the flush.
//!
//! A request that failed together with others is tried by itself: [`Item::is_alone`]. Nothing else is under way then,
//! so an error is that request's own.
//!
//! [`FlushGate`] has one flush of the device serve everybody who asked for one before it began.
//!
//! Positions and lengths are in one unit of the caller's (bytes), times too. Nothing allocates except
//! [`Queue::insert`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod flush;
mod queue;
#[cfg(test)]
mod tests;

pub use flush::FlushGate;
pub use queue::{Id, Queue, Request};

/// What a request does to its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Reads it.
    Read,
    /// Writes it.
    Write,
    /// Writes it, and is done when the contents are safe from a power cut.
    WriteThrough,
    /// Changes it without data (discarding, zeroing); never merged.
    Change,
    /// Has no range (flushing); never merged, waits for nobody.
    Command,
}

impl Kind {
    const fn can_merge(self) -> bool {
        matches!(self, Kind::Read | Kind::Write | Kind::WriteThrough)
    }
}

/// How much somebody waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A thread waits: reads, and what an fsync writes.
    Urgent,
    /// Somebody will wait soon.
    Normal,
    /// Nobody waits: write-back after a while, reading ahead.
    Background,
}

/// What a device takes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Length of a request.
    pub max_length: u64,
    /// Pieces of memory of a request.
    pub max_segments: usize,
    /// Requests under way at a time, at least 1.
    pub depth: usize,
    /// Whether pieces of memory must lie against one another at page borders (NVMe).
    pub needs_whole_pages: bool,
}

/// Something to be done, as it is handed in.
#[derive(Clone, Copy, Debug)]
pub struct Item<T> {
    /// What to do.
    pub kind: Kind,
    /// Where.
    pub start: u64,
    /// How much.
    pub length: u64,
    /// Pieces of memory.
    pub segments: usize,
    /// Whether the first piece begins, and whether the last one ends at a page border.
    pub borders: (bool, bool),
    /// How much it is waited for.
    pub priority: Priority,
    /// When it is to be started at the latest.
    pub deadline: u64,
    /// It is started when nothing else is under way, and nothing else until it is done.
    pub is_alone: bool,
    /// The caller's.
    pub what: T,
}
