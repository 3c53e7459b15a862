//! The driver's side of a split virtqueue.
//!
//! A queue is three tables in memory that driver and device share: descriptors (buffers), the available ring (what the
//! driver offers) and the used ring (what the device has done). The memory is behind [`DmaMemory`], so that the same
//! code runs on a machine and against a fake device in tests.
//!
//! * The device may lie. What the driver must know is in shadow copies that the device cannot reach; of the shared
//!   memory only the used ring and the event fields are read, each value once, and checked. After a lie the queue is
//!   broken ([`DeviceError`]): reset the device.
//! * Indices count modulo 65,536 and completions come in any order.
//! * Negotiated features change the logic: [`Features::event_index`], [`Features::indirect`].
//!
//! A buffer that was added belongs to the device until its token comes back. Source: Virtual I/O Device (VIRTIO) 1.2,
//! section 2.7.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod error;
mod layout;
mod queue;
#[cfg(test)]
mod tests;

pub use error::{AddError, DeviceError, LayoutError};
pub use layout::{Addresses, Layout};
pub use queue::{Token, Used, VirtQueue};

/// Memory that the device reads and writes too: each access happens exactly once, as one volatile access of its size.
/// Offsets are in bytes, naturally aligned and inside the length.
pub trait DmaMemory {
    /// The physical address of offset 0, as the device sees it.
    fn address(&self) -> u64;
    /// Length in bytes.
    fn len(&self) -> usize;
    /// Whether it has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Loads 16 bits.
    fn load_u16(&self, offset: usize) -> u16;
    /// Loads 32 bits.
    fn load_u32(&self, offset: usize) -> u32;
    /// Stores 16 bits.
    fn store_u16(&self, offset: usize, value: u16);
    /// Stores 32 bits.
    fn store_u32(&self, offset: usize, value: u32);
    /// Stores 64 bits.
    fn store_u64(&self, offset: usize, value: u64);
    /// A full memory barrier: what was stored before is seen by the device before what is loaded or stored after.
    fn barrier(&self);
}

/// Features that were negotiated with the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// `VIRTIO_F_EVENT_IDX` (bit 29): both sides say at which index they want to be told.
    pub event_index: bool,
    /// `VIRTIO_F_INDIRECT_DESC` (bit 28): a chain of several buffers takes one descriptor. So many buffers fit at most
    /// into an indirect table; 0 if the feature was not negotiated.
    pub indirect: u16,
}

/// Who writes a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The driver: the device reads.
    ToDevice,
    /// The device.
    FromDevice,
}

/// A buffer for the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Physical address.
    pub address: u64,
    /// Length in bytes, not 0.
    pub len: u32,
    /// Who writes it.
    pub direction: Direction,
}

impl Buffer {
    /// A buffer that the device reads.
    pub const fn to_device(address: u64, len: u32) -> Buffer {
        Buffer { address, len, direction: Direction::ToDevice }
    }

    /// A buffer that the device writes.
    pub const fn from_device(address: u64, len: u32) -> Buffer {
        Buffer { address, len, direction: Direction::FromDevice }
    }
}
