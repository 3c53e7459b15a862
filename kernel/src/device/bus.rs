//! Buses and drivers: how a device finds the driver that takes it, and how it goes.
//!
//! A [`Bus`] has one type of device, `D`, and a fixed list of drivers for it (`drivers.rs`). Whoever finds a device
//! adds it; the first driver that matches and attaches has it. What a driver gets is shared and can only be
//! looked at; to change something it must claim the device, and only one claim succeeds (see each bus).
//!
//! A driver that has taken a device gives an [`InService`] for it, which the bus keeps. When the device is to go, or is
//! gone, that is asked to end: everything that belongs to the device comes back then, whoever still uses what the driver
//! made of it (a mounted disk, say). A bus device that is a device of another bus too passes both questions on.

use super::registry::Node;
use crate::error::{Error, Result};
use crate::sched;
use abi::errno::Errno;
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use machine::sync::SpinLock;
use machine::time;

/// What can be on a bus.
pub(crate) trait Device: Send + Sync + 'static {
    /// Its place in the tree of devices.
    fn node(&self) -> &Arc<Node>;
}

/// Knows how to work devices of type `D`.
pub(crate) trait Driver<D: Device>: Sync {
    /// Its name, as in /sys/bus/*/drivers.
    fn name(&self) -> &'static str;

    /// Whether it can work this device, by what the device says of itself.
    fn matches(&self, device: &D) -> bool;

    /// Takes the device into service. After an error the device is as it was.
    fn attach(&self, device: &Arc<D>) -> Result<Box<dyn InService>>;
}

/// A device that a driver has.
pub(crate) trait InService: Send {
    /// Whether the driver can give it back.
    fn is_removable(&self) -> bool {
        true
    }

    /// The device goes, or has gone: it may answer nothing but ones. On return it touches no memory, and its registers,
    /// interrupts and memory are given back. Sleeps; nobody else's transfers may wait for the caller.
    fn remove(self: Box<Self>);
}

/// Waits until nobody else has a driver's part of a device, so that it goes with the caller. Nobody can get it any more.
pub(super) fn wait_until_alone<T>(part: &Arc<T>) {
    while Arc::strong_count(part) > 1 {
        sched::sleep_until(time::monotonic_ns() + 1_000_000);
    }
}

/// A device that is kept as long as the system runs.
pub(super) struct Kept;

impl InService for Kept {
    fn is_removable(&self) -> bool {
        false
    }

    fn remove(self: Box<Self>) {}
}

/// The devices of one kind of bus, and their drivers.
pub(crate) struct Bus<D: Device> {
    name: &'static str,
    drivers: &'static [&'static dyn Driver<D>],
    devices: SpinLock<Vec<Entry<D>>>,
}

struct Entry<D> {
    device: Arc<D>,
    /// What its driver has made of it.
    service: Option<Box<dyn InService>>,
}

impl<D: Device> Bus<D> {
    /// A bus without devices.
    pub(super) const fn new(name: &'static str, drivers: &'static [&'static dyn Driver<D>]) -> Self {
        Self { name, drivers, devices: SpinLock::new("bus devices", Vec::new()) }
    }

    /// Its name, as in /sys/bus.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Its drivers.
    pub(crate) fn drivers(&self) -> &'static [&'static dyn Driver<D>] {
        self.drivers
    }

    /// Its devices, at this moment, in the order in which they were found.
    pub(crate) fn devices(&self) -> Vec<Arc<D>> {
        self.devices.lock().iter().map(|entry| entry.device.clone()).collect()
    }

    /// Takes in a device and gives it to its driver, if there is one.
    pub(super) fn add(&self, device: Arc<D>) {
        self.devices.lock().push(Entry { device: device.clone(), service: None });
        let name = device.node().name();
        for driver in self.drivers.iter().filter(|driver| driver.matches(&device)) {
            match driver.attach(&device) {
                Ok(service) => {
                    device.node().set_driver(Some(driver.name()));
                    return self.put(&device, service);
                }
                Err(error) => log::warn!("{}: {name}: {}: {error}", self.name, driver.name()),
            }
        }
    }

    /// Whether a device can be taken away: it is there, and its driver, if it has one, can give it back.
    pub(super) fn is_removable(&self, device: &Arc<D>) -> bool {
        // Asked without the lock, as another bus may be asked in turn.
        let service = match self.take(device) {
            Some(Some(service)) => service,
            other => return other.is_some(),
        };
        let is_removable = service.is_removable();
        self.put(device, service);
        is_removable
    }

    /// Takes a device away, from its driver too. One device is added, asked about or removed by one thread at a time.
    ///
    /// # Errors
    /// EBUSY if its driver cannot give it back; ENODEV if it is not there.
    pub(super) fn remove(&self, device: &Arc<D>) -> Result<()> {
        let service = self.take(device).ok_or(Error::new(Errno::ENODEV, "there is no such device"))?;
        if let Some(service) = service {
            if !service.is_removable() {
                self.put(device, service);
                return Err(Error::new(Errno::EBUSY, "the driver cannot give the device back"));
            }
            service.remove();
        }
        device.node().set_driver(None);
        self.devices.lock().retain(|entry| !Arc::ptr_eq(&entry.device, device));
        Ok(())
    }

    /// What the driver of a device has made of it; `None`: there is no such device.
    fn take(&self, device: &Arc<D>) -> Option<Option<Box<dyn InService>>> {
        let mut devices = self.devices.lock();
        let entry = devices.iter_mut().find(|entry| Arc::ptr_eq(&entry.device, device))?;
        Some(entry.service.take())
    }

    fn put(&self, device: &Arc<D>, service: Box<dyn InService>) {
        let mut devices = self.devices.lock();
        if let Some(entry) = devices.iter_mut().find(|entry| Arc::ptr_eq(&entry.device, device)) {
            entry.service = Some(service);
        }
    }
}
