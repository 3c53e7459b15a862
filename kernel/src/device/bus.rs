//! Buses and drivers: how a device finds the driver that takes it.
//!
//! A [`Bus`] has one type of device, `D`, and a fixed list of drivers for it (`drivers.rs`). Whoever finds a device
//! adds it; the first driver that matches and attaches has it. What a driver gets is shared and can only be
//! looked at; to change something it must claim the device, and only one claim succeeds (see each bus).

use super::registry::Node;
use crate::error::Result;
use alloc::{sync::Arc, vec::Vec};
use machine::sync::SpinLock;

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
    fn attach(&self, device: &Arc<D>) -> Result<()>;
}

/// The devices of one kind of bus, and their drivers.
pub(crate) struct Bus<D: Device> {
    name: &'static str,
    drivers: &'static [&'static dyn Driver<D>],
    devices: SpinLock<Vec<Arc<D>>>,
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
        self.devices.lock().clone()
    }

    /// Takes in a device and gives it to its driver, if there is one.
    pub(super) fn add(&self, device: Arc<D>) {
        let mut devices = self.devices.lock();
        devices.push(device.clone());
        drop(devices);
        let name = device.node().name();
        for driver in self.drivers.iter().filter(|driver| driver.matches(&device)) {
            match driver.attach(&device) {
                Ok(()) => {
                    device.node().set_driver(Some(driver.name()));
                    return;
                }
                Err(error) => log::warn!("{}: {name}: {}: {error}", self.name, driver.name()),
            }
        }
    }
}
