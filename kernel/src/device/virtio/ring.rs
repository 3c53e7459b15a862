//! Setting up a virtqueue of a device: memory for it, and handing it over. What is done with it then is in `queue.rs`
//! (requests that threads wait for) and `slots.rs` (buffers of one size that go round).

use super::QueueAddresses;
use super::session::{Session, feature};
use crate::error::{Error, Result};
use abi::errno::Errno;
use machine::mm::{DmaBuffer, device_barrier};
use virtqueue::{DmaMemory, Features, Layout, VirtQueue};

/// Descriptors of a queue, if the device has as many: buffers or requests that are under way at a time.
const MAX_SIZE: u16 = 64;

/// A queue that the device knows.
pub(super) struct Ring {
    pub(super) queue: VirtQueue<SharedMemory>,
    /// Its descriptors.
    pub(super) size: u16,
}

impl Ring {
    /// Makes a queue and hands it to the device. Up to `indirect` buffers of a chain stand in a table of their own, if the
    /// device can do that; 0: never.
    ///
    /// # Errors
    /// ENODEV if the device lacks the queue or has one of no use; ENOMEM.
    pub(super) fn set_up(session: &Session, number: u16, indirect: u16) -> Result<Ring> {
        let ring = Self::new(session, number, indirect)?;
        hand_over(session, number, &ring.queue)?;
        Ok(ring)
    }

    /// The same, without handing it to the device.
    pub(super) fn new(session: &Session, number: u16, indirect: u16) -> Result<Ring> {
        let size = session.max_queue_size(number)?.min(MAX_SIZE);
        // No chain may be longer than the queue, indirect or not (section 2.7.5.3.1).
        let indirect = if session.has(feature::INDIRECT_DESC) { indirect.min(size) } else { 0 };
        let features = Features { event_index: session.has(feature::EVENT_IDX), indirect };
        let layout = Layout::new(size, features).map_err(|_| unusable())?;
        let memory = SharedMemory(DmaBuffer::allocate(layout.len)?);
        let queue = VirtQueue::new(memory, size, features).map_err(|_| unusable())?;
        Ok(Ring { queue, size })
    }
}

/// Hands a queue to the device.
pub(super) fn hand_over(session: &Session, number: u16, queue: &VirtQueue<SharedMemory>) -> Result<()> {
    let addresses = queue.addresses();
    let addresses = QueueAddresses {
        descriptors: addresses.descriptors,
        available: addresses.driver,
        used: addresses.device,
    };
    session.enable_queue(number, queue.size(), addresses)
}

fn unusable() -> Error {
    Error::new(Errno::ENODEV, "the device's queue is of no use")
}

/// The memory of a queue.
pub(super) struct SharedMemory(DmaBuffer);

impl DmaMemory for SharedMemory {
    fn address(&self) -> u64 {
        self.0.address().as_u64()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn load_u16(&self, offset: usize) -> u16 {
        self.0.load(offset)
    }

    fn load_u32(&self, offset: usize) -> u32 {
        self.0.load(offset)
    }

    fn store_u16(&self, offset: usize, value: u16) {
        self.0.store(offset, value);
    }

    fn store_u32(&self, offset: usize, value: u32) {
        self.0.store(offset, value);
    }

    fn store_u64(&self, offset: usize, value: u64) {
        self.0.store(offset, value);
    }

    fn barrier(&self) {
        device_barrier();
    }
}
