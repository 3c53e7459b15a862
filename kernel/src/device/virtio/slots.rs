//! A virtqueue whose buffers are all of one size and go round: filled on one side, emptied on the other, used again.
//! For events and streams of bytes; nobody waits for a single one.
//!
//! Buffers of a queue are all for one direction: of one that the device writes, each that is free is [offered](Slots::offer)
//! to it; of one that it reads, [`Slots::send`] fills one. Whoever has changed something asks
//! [`Slots::should_notify`] and, without the lock around this, tells the device.

use super::ring::{Ring, hand_over};
use super::session::Session;
use crate::error::Result;
use alloc::{vec, vec::Vec};
use machine::mm::DmaBuffer;
use virtqueue::{Buffer, DeviceError};

/// A queue with a buffer for each of its descriptors.
pub(super) struct Slots {
    ring: Ring,
    buffers: DmaBuffer,
    /// Bytes of a buffer.
    slot_bytes: usize,
    /// The buffer of each chain that the device has, by token.
    places: Vec<usize>,
    free: Vec<usize>,
    /// The device has broken the rules: nothing goes through this queue any more.
    is_broken: bool,
    fault: Option<DeviceError>,
}

/// A buffer that the device has given back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    place: usize,
    /// Bytes that the device says it wrote, at most the buffer's size.
    pub(super) written: usize,
}

impl Slots {
    /// Makes queue `number` of the device, with buffers of `slot_bytes`.
    ///
    /// # Errors
    /// Those of [`Ring::set_up`].
    pub(super) fn set_up(session: &Session, number: u16, slot_bytes: usize) -> Result<Slots> {
        let slots = Self::new(session, number, slot_bytes)?;
        hand_over(session, number, &slots.ring.queue)?;
        Ok(slots)
    }

    /// The same, without handing it to the device, which [`restart`](Self::restart) does.
    pub(super) fn new(session: &Session, number: u16, slot_bytes: usize) -> Result<Slots> {
        let ring = Ring::new(session, number, 0)?;
        let count = usize::from(ring.size);
        let buffers = DmaBuffer::allocate(count * slot_bytes)?;
        let (places, free) = (vec![0; count], (0..count).collect());
        Ok(Slots { ring, buffers, slot_bytes, places, free, is_broken: false, fault: None })
    }

    /// After a reset of the device: all buffers are free, and the queue is handed to it.
    ///
    /// # Errors
    /// Those of [`hand_over`].
    pub(super) fn restart(&mut self, session: &Session, number: u16) -> Result<()> {
        self.ring.queue.restart();
        self.free.clear();
        self.free.extend(0..self.places.len());
        self.is_broken = false;
        hand_over(session, number, &self.ring.queue)
    }

    /// Buffers that the device has.
    pub(super) fn in_flight(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// All its buffers.
    pub(super) fn count(&self) -> usize {
        self.places.len()
    }

    /// Whether [`take`](Self::take) would give a buffer.
    pub(super) fn has_used(&self) -> bool {
        !self.is_broken && self.ring.queue.has_used()
    }

    /// What rule the device has broken, the first time that this is asked. It is not logged here, since the log may go
    /// through this very queue.
    pub(super) fn take_fault(&mut self) -> Option<DeviceError> {
        self.fault.take()
    }

    /// Gives the device a free buffer to write; `false` if there is none.
    pub(super) fn offer(&mut self) -> bool {
        self.hand_over(self.slot_bytes, Buffer::from_device)
    }

    /// Has the device read these bytes, which are not more than a buffer holds; `false` if no buffer is free.
    pub(super) fn send(&mut self, bytes: &[u8]) -> bool {
        let Some(place) = self.free.last() else { return false };
        self.buffers.write(place * self.slot_bytes, bytes);
        self.hand_over(bytes.len(), Buffer::to_device)
    }

    fn hand_over(&mut self, length: usize, buffer: fn(u64, u32) -> Buffer) -> bool {
        if self.is_broken {
            return false;
        }
        let Some(place) = self.free.pop() else { return false };
        let address = self.buffers.address().as_u64() + (place * self.slot_bytes) as u64;
        match self.ring.queue.add(&[buffer(address, length as u32)]) {
            Ok(token) => {
                self.places[token.index()] = place;
                true
            }
            Err(_) => {
                self.free.push(place);
                false
            }
        }
    }

    /// A buffer that the device is done with. It stays taken until it is [freed](Self::free_slot).
    pub(super) fn take(&mut self) -> Option<Slot> {
        if self.is_broken {
            return None;
        }
        match self.ring.queue.pop_used() {
            Ok(used) => used.map(|used| Slot {
                place: self.places[used.token.index()],
                written: (used.written as usize).min(self.slot_bytes),
            }),
            Err(error) => {
                self.is_broken = true;
                self.fault = Some(error);
                None
            }
        }
    }

    /// Copies what is in a buffer, from its beginning.
    pub(super) fn read(&self, slot: Slot, bytes: &mut [u8]) {
        self.buffers.read(slot.place * self.slot_bytes, bytes);
    }

    /// A buffer can be used again.
    pub(super) fn free_slot(&mut self, slot: Slot) {
        self.free.push(slot.place);
    }

    /// Takes back all buffers that the device is done with, whatever is in them.
    pub(super) fn reclaim(&mut self) {
        while let Some(slot) = self.take() {
            self.free_slot(slot);
        }
    }

    /// Whether the device wants to be told of what was handed over.
    pub(super) fn should_notify(&mut self) -> bool {
        self.ring.queue.should_notify()
    }
}
