//! A device in service: from reset over the features and queues to work, and back to reset when dropped.

use super::{Handler, QueueAddresses, Transport};
use crate::error::{Error, Result};
use abi::errno::Errno;
use alloc::boxed::Box;
use machine::mm::MmioValue;
use machine::time;

/// Bits of the device status (section 2.1).
mod status {
    pub(super) const ACKNOWLEDGE: u8 = 1;
    pub(super) const DRIVER: u8 = 2;
    pub(super) const DRIVER_OK: u8 = 4;
    pub(super) const FEATURES_OK: u8 = 8;
    pub(super) const FAILED: u8 = 128;
}

/// What registers of a device say that is not there any more. No status has all bits.
const GONE: u8 = u8::MAX;

/// Features that concern the queues and the transport (section 6).
pub(super) mod feature {
    /// A request's buffers may stand in a table of their own.
    pub(in super::super) const INDIRECT_DESC: u64 = 1 << 28;
    /// Both sides tell at which index they want to be notified.
    pub(in super::super) const EVENT_IDX: u64 = 1 << 29;
    /// The device follows version 1 or later; without it nothing here works.
    pub(in super::super) const VERSION_1: u64 = 1 << 32;
}

/// What the queue code makes use of.
const QUEUE_FEATURES: u64 = feature::VERSION_1 | feature::INDIRECT_DESC | feature::EVENT_IDX;

/// How long a reset may take.
const RESET_NS: u64 = 1_000_000_000;

/// A device that belongs to a driver.
pub(super) struct Session {
    transport: Box<dyn Transport>,
    features: u64,
}

impl Session {
    /// Resets the device and agrees on features (section 3.1.1, steps 1 to 6).
    pub(super) fn new(transport: Box<dyn Transport>, wanted: u64) -> Result<Self> {
        let features = transport.device_features() & (wanted | QUEUE_FEATURES);
        let session = Self { transport, features };
        session.restart()?;
        Ok(session)
    }

    /// Does the same again, after which the queues have to be set up and the device made ready.
    pub(super) fn restart(&self) -> Result<()> {
        self.reset()?;
        self.add_status(status::ACKNOWLEDGE);
        self.add_status(status::DRIVER);
        let features = self.features;
        if features & feature::VERSION_1 == 0 {
            return Err(self.fail("the device is older than virtio 1.0"));
        }
        self.transport.set_driver_features(features);
        self.add_status(status::FEATURES_OK);
        if self.transport.status() & status::FEATURES_OK == 0 {
            return Err(self.fail("the device does not accept the features"));
        }
        Ok(())
    }

    /// Whether a feature was agreed on.
    pub(super) fn has(&self, feature: u64) -> bool {
        self.features & feature != 0
    }

    /// Whether a chain of several buffers takes one descriptor.
    pub(super) fn has_indirect(&self) -> bool {
        self.has(feature::INDIRECT_DESC)
    }

    /// The largest size of a queue, a power of two; ENODEV if there is no such queue.
    pub(super) fn max_queue_size(&self, queue: u16) -> Result<u16> {
        match self.transport.max_queue_size(queue) {
            0 => Err(Error::new(Errno::ENODEV, "the device lacks a queue")),
            size => Ok(1 << size.ilog2()),
        }
    }

    /// Hands a queue to the device.
    pub(super) fn enable_queue(&self, queue: u16, size: u16, addresses: QueueAddresses) -> Result<()> {
        self.transport.enable_queue(queue, size, addresses)
    }

    /// Has `handler` called when the device interrupts.
    pub(super) fn set_handler(&self, name: &'static str, handler: Handler) {
        self.transport.set_handler(name, handler);
    }

    /// Sets a handler for each interrupt. Interrupt `n` is that of queue `n`, the last one that of all others too.
    pub(super) fn set_handlers(&self, name: &'static str, handler_of: &dyn Fn(usize) -> Handler) {
        for index in 0..self.interrupts() {
            self.transport.set_handler_of(index, name, handler_of(index));
        }
    }

    /// Handlers are not called any more, and none is running on return.
    pub(super) fn silence(&self) {
        self.transport.silence();
    }

    /// How many interrupts the device has, at least one.
    pub(super) fn interrupts(&self) -> usize {
        self.transport.interrupts()
    }

    /// All queues are set up: the device may work.
    pub(super) fn set_ready(&self) {
        self.add_status(status::DRIVER_OK);
    }

    /// Tells the device of new buffers.
    pub(super) fn notify(&self, queue: u16) {
        self.transport.notify(queue);
    }

    /// Stops the device: it does not touch memory any more. `false`: it had to be cut off from it, and is of no use
    /// afterwards.
    pub(super) fn stop(&self) -> bool {
        let is_reset = self.reset().is_ok();
        if !is_reset {
            self.transport.cut_off();
        }
        is_reset
    }

    fn reset(&self) -> Result<()> {
        self.transport.set_status(0);
        let deadline = time::monotonic_ns() + RESET_NS;
        loop {
            match self.transport.status() {
                0 => return Ok(()),
                GONE => return Err(Error::new(Errno::EIO, "the device is gone")),
                _ => {}
            }
            if time::monotonic_ns() > deadline {
                return Err(Error::new(Errno::EIO, "the device does not reset"));
            }
            core::hint::spin_loop();
        }
    }

    /// A value of the device's configuration; 0 if it has no such field.
    pub(super) fn config<T: MmioValue + Default>(&self, offset: usize) -> T {
        match self.transport.config() {
            Some(config) if offset + size_of::<T>() <= config.len() => config.read(offset),
            _ => T::default(),
        }
    }

    /// Writes a value of the device's configuration, if it has such a field.
    pub(super) fn set_config<T: MmioValue>(&self, offset: usize, value: T) {
        if let Some(config) = self.transport.config().filter(|config| offset + size_of::<T>() <= config.len())
        {
            config.write(offset, value);
        }
    }

    /// A value of 64 bits, which is read by halves until both are of one time.
    pub(super) fn config_u64(&self, offset: usize) -> u64 {
        loop {
            let generation = self.transport.config_generation();
            let (low, high) = (self.config::<u32>(offset), self.config::<u32>(offset + 4));
            if self.transport.config_generation() == generation {
                return u64::from(high) << 32 | u64::from(low);
            }
        }
    }

    fn add_status(&self, bit: u8) {
        self.transport.set_status(self.transport.status() | bit);
    }

    fn fail(&self, why: &'static str) -> Error {
        self.add_status(status::FAILED);
        Error::new(Errno::ENODEV, why)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.stop();
    }
}
