//! The balloon: frames that the host has.
//!
//! Frames go and come in batches, as many as a message has room for. A frame is in the balloon from before the device is told of
//! it, and until the device has said that it knows it is out again. A device that does not answer or breaks the rules is stopped.
//! The frames come back then, unless the host must know first: those are lost.

use super::super::mailbox::Mailbox;
use super::super::session::Session;
use super::{DEFLATED, INFLATED, config, feature, queue};
use crate::error::{Error, Result};
use crate::sched::wait::WaitQueue;
use abi::errno::Errno;
use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::Ordering;
use machine::mm::{Lending, LentFrame};
use machine::time;

/// Frames that go or come at a time.
pub(super) const BATCH: usize = 256;

/// A device that takes longer to do what it is told is broken.
const TIME_LIMIT_NS: u64 = 10_000_000_000;

/// The frames, and the queues for them.
pub(super) struct Pages {
    inflate: Mailbox,
    deflate: Mailbox,
    terms: Lending,
    /// All but the last are full; to it is added, and from it is taken.
    batches: Vec<Vec<LentFrame>>,
    held: usize,
    is_broken: bool,
    /// The numbers of frames that the device is told.
    message: Vec<u8>,
    /// Woken when the device may have done something.
    news: Arc<WaitQueue>,
    limit_ns: u64,
}

impl Pages {
    /// An empty balloon, whose queues the device gets.
    pub(super) fn new(session: &Session, news: Arc<WaitQueue>) -> Result<Self> {
        let mailbox = |number| Mailbox::set_up(session, number, BATCH * size_of::<u32>());
        let terms = match session.has(feature::DEFLATE_ON_OOM) {
            true => Lending::OnDemand,
            false => Lending::UntilReturned,
        };
        Ok(Self {
            inflate: mailbox(queue::INFLATE)?,
            deflate: mailbox(queue::DEFLATE)?,
            terms,
            batches: Vec::new(),
            held: 0,
            is_broken: false,
            message: Vec::with_capacity(BATCH * size_of::<u32>()),
            news,
            limit_ns: TIME_LIMIT_NS,
        })
    }

    /// How many frames it has.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Whether the device was stopped.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Has another limit for the device's answers.
    #[cfg(feature = "tests")]
    pub(super) fn set_limit(&mut self, limit_ns: u64) {
        self.limit_ns = limit_ns;
    }

    /// Gives the host up to `most` frames, a batch at most; tells how many it got. Waits for the device.
    pub(super) fn inflate(&mut self, session: &Session, most: usize) -> usize {
        if self.is_broken || !self.make_room() {
            return 0;
        }
        let Some(batch) = self.batches.last_mut() else { return 0 };
        let start = batch.len();
        let free = core::iter::repeat_with(|| LentFrame::allocate(self.terms));
        batch.extend(free.take(most.min(BATCH - start)).map_while(core::result::Result::ok));
        let count = batch.len() - start;
        self.held += count;
        if self.tell(session, queue::INFLATE, start).is_err() {
            return 0;
        }
        INFLATED.fetch_add(count as u64, Ordering::Relaxed);
        count
    }

    /// Takes up to `most` frames back, a batch at most; tells how many. Waits for the device, but takes no memory.
    pub(super) fn deflate(&mut self, session: &Session, most: usize) -> usize {
        if self.is_broken {
            return 0;
        }
        while self.batches.pop_if(|batch| batch.is_empty()).is_some() {}
        let Some(start) = self.batches.last().map(|batch| batch.len().saturating_sub(most)) else { return 0 };
        if self.tell(session, queue::DEFLATE, start).is_err() {
            return 0;
        }
        let Some(batch) = self.batches.last_mut() else { return 0 };
        let count = batch.len() - start;
        batch.truncate(start);
        self.held -= count;
        session.set_config(config::ACTUAL, self.held as u32);
        DEFLATED.fetch_add(count as u64, Ordering::Relaxed);
        count
    }

    /// Takes all back, as far as the device lets them go.
    pub(super) fn deflate_all(&mut self, session: &Session) {
        while self.deflate(session, BATCH) > 0 {}
    }

    /// Sees to it that the last batch has room; `false` if there is no memory for that.
    fn make_room(&mut self) -> bool {
        if self.batches.last().is_some_and(|batch| batch.len() < BATCH) {
            return true;
        }
        let mut batch = Vec::new();
        let has_room = self.batches.try_reserve(1).is_ok() && batch.try_reserve_exact(BATCH).is_ok();
        if has_room {
            self.batches.push(batch);
        }
        has_room
    }

    /// Tells the device of the frames of the last batch from `start` on, and waits until it knows.
    fn tell(&mut self, session: &Session, number: u16, start: usize) -> Result<()> {
        let Self { inflate, deflate, batches, message, news, limit_ns, .. } = self;
        let mailbox = if number == queue::INFLATE { inflate } else { deflate };
        message.clear();
        for frame in batches.last().and_then(|batch| batch.get(start..)).unwrap_or_default() {
            message.extend(frame.number().to_le_bytes());
        }
        if message.is_empty() {
            return Ok(());
        }
        let told = mailbox.send(session, message).and_then(|()| {
            let deadline = time::monotonic_ns() + *limit_ns;
            let answer = news.wait_until(deadline, || match mailbox.is_done() {
                Ok(is_done) => is_done.then_some(Ok(())),
                Err(error) => Some(Err(error)),
            });
            answer?.map_err(|error| {
                log::error!("balloon: the device breaks the rules: {error}");
                Error::new(Errno::EIO, "the device breaks the rules")
            })
        });
        if told.is_ok() {
            session.set_config(config::ACTUAL, self.held as u32);
        } else {
            self.give_up(session);
        }
        told
    }

    /// Stops a device that does not work as it should.
    fn give_up(&mut self, session: &Session) {
        session.stop();
        self.is_broken = true;
        let batches = core::mem::take(&mut self.batches);
        if session.has(feature::MUST_TELL_HOST) {
            log::error!("balloon: the device does not work; {} pages are lost", self.held);
            core::mem::forget(batches);
        } else {
            log::error!("balloon: the device does not work; {} pages come back", self.held);
            self.held = 0;
        }
    }
}
