//! What the host gets to know of memory (section 5.5.6.3).
//!
//! The device has a message all the time. When it wants another, it gives this one back.

use super::super::mailbox::Mailbox;
use super::super::session::Session;
use super::queue;
use crate::block;
use crate::error::Result;
use crate::fs::page_cache;
use crate::mm::reclaimable_frames;
use machine::addr::PAGE_SIZE;
use machine::mm;

/// What a figure is about. Figures that the system does not keep are not sent.
mod tag {
    pub(super) const SWAP_IN: u16 = 0;
    pub(super) const SWAP_OUT: u16 = 1;
    pub(super) const FREE: u16 = 4;
    pub(super) const TOTAL: u16 = 5;
    pub(super) const AVAILABLE: u16 = 6;
    pub(super) const CACHES: u16 = 7;
}

/// Bytes of a figure: its tag in 16 bits, its value in 64.
const FIGURE: usize = 10;
const FIGURES: usize = 6;

/// The figures of this moment, in bytes of memory.
pub(super) fn message() -> [u8; FIGURE * FIGURES] {
    let memory = mm::statistics();
    let files = page_cache::usage();
    let cached = files.cached + files.in_memory + block::cache_usage().cached;
    let figures: [(u16, usize); FIGURES] = [
        // There is no swapping.
        (tag::SWAP_IN, 0),
        (tag::SWAP_OUT, 0),
        (tag::FREE, memory.free),
        (tag::TOTAL, memory.total),
        (tag::AVAILABLE, memory.free + reclaimable_frames()),
        (tag::CACHES, cached),
    ];
    let mut bytes = [0; FIGURE * FIGURES];
    for ((tag, frames), place) in figures.into_iter().zip(bytes.chunks_exact_mut(FIGURE)) {
        let (first, rest) = place.split_at_mut(size_of::<u16>());
        first.copy_from_slice(&tag.to_le_bytes());
        rest.copy_from_slice(&((frames * PAGE_SIZE) as u64).to_le_bytes());
    }
    bytes
}

/// The queue for it.
pub(super) struct Reporter {
    mailbox: Mailbox,
    is_broken: bool,
}

impl Reporter {
    /// Has the queue made.
    pub(super) fn new(session: &Session) -> Result<Self> {
        let mailbox = Mailbox::set_up(session, queue::STATISTICS, FIGURE * FIGURES)?;
        Ok(Self { mailbox, is_broken: false })
    }

    /// Whether the device wants a message.
    pub(super) fn is_asked(&mut self) -> bool {
        if self.is_broken {
            return false;
        }
        self.mailbox.is_done().unwrap_or_else(|error| {
            self.is_broken = true;
            log::error!("balloon: the device breaks the rules of statistics: {error}");
            false
        })
    }

    /// Sends this one if the device wants one.
    pub(super) fn answer(&mut self, session: &Session, message: &[u8]) {
        if self.is_asked() && self.mailbox.send(session, message).is_err() {
            self.is_broken = true;
        }
    }
}
