//! A queue through which one buffer at a time goes: for drivers that have one thing to say, and then wait.

use super::ring::Ring;
use super::session::Session;
use crate::error::{Error, Result};
use abi::errno::Errno;
use machine::mm::DmaBuffer;
use virtqueue::{Buffer, DeviceError};

/// The queue, with its buffer of at least a page.
pub(super) struct Mailbox {
    ring: Ring,
    number: u16,
    buffer: DmaBuffer,
}

impl Mailbox {
    /// Makes queue `number` of the device.
    ///
    /// # Errors
    /// Those of [`Ring::set_up`].
    pub(super) fn set_up(session: &Session, number: u16, length: usize) -> Result<Self> {
        let buffer = DmaBuffer::allocate(length)?;
        Ok(Self { ring: Ring::set_up(session, number, 0)?, number, buffer })
    }

    /// Has the device read these bytes, which are not more than the buffer holds. It must have [done](Self::is_done) what
    /// it had before.
    ///
    /// # Errors
    /// EIO if the device has broken the rules.
    pub(super) fn send(&mut self, session: &Session, bytes: &[u8]) -> Result<()> {
        self.buffer.write(0, bytes);
        let buffer = Buffer::to_device(self.buffer.address().as_u64(), bytes.len() as u32);
        self.ring
            .queue
            .add(&[buffer])
            .map_err(|_| Error::new(Errno::EIO, "the queue does not take the buffer"))?;
        if self.ring.queue.should_notify() {
            session.notify(self.number);
        }
        Ok(())
    }

    /// Whether the device has nothing, or has just done it.
    ///
    /// # Errors
    /// How the device breaks the rules.
    pub(super) fn is_done(&mut self) -> core::result::Result<bool, DeviceError> {
        if self.ring.queue.in_flight() == 0 {
            return Ok(true);
        }
        self.ring.queue.pop_used().map(|used| used.is_some())
    }
}
