//! Functions that come and go while the system runs, whoever says so: a port's registers (`port.rs`), the firmware
//! (`firmware_events.rs`), or a program, by `remove` of a device and `rescan` of the bus in /sys.
//!
//! One comes or goes at a time.

use super::{BUS, PciDevice, Space, root_bridge};
use crate::device::bus::Device;
use crate::error::{Error, Result};
use crate::sched;
use crate::sync::Mutex;
use abi::errno::Errno;
use alloc::{sync::Arc, vec::Vec};
use machine::time;
use pci_config::window::{self, Windows};
use pci_config::{Bridge, Kind, functions_of};

/// What functions need after the power came, before the first access (PCI Express Base Specification 5.0, section 6.6.1).
const SETTLING_NS: u64 = 100_000_000;
/// How long a device may take before it answers.
const ANSWER_LIMIT_NS: u64 = 1_000_000_000;
/// How often something is looked for that does not tell when it comes.
const STEP_NS: u64 = 1_000_000;

/// Held while functions come or go.
static CHANGES: Mutex<()> = Mutex::new("pci changes", ());

/// Waits for the functions of a device that has power now, behind a bridge, gives their registers places, and hands them to
/// their drivers. Tells how many there are.
///
/// # Errors
/// ENODEV if there are none, or it is a bridge; ENOSPC if the bridge passes on too few addresses.
pub(super) fn take_in(above: &Arc<PciDevice>, bridge: Bridge, device: u8) -> Result<usize> {
    let _changes = CHANGES.lock();
    sched::sleep_until(time::monotonic_ns() + SETTLING_NS);
    let find = || functions_of(&Space, bridge.secondary, device);
    if !wait_until(ANSWER_LIMIT_NS, || !find().is_empty()) {
        return Err(Error::new(Errno::ENODEV, "it does not answer"));
    }
    let functions = find();
    if functions.iter().any(|function| matches!(function.kind, Kind::Bridge(_))) {
        return Err(Error::new(Errno::ENODEV, "there are no bus numbers for a bridge"));
    }
    let windows = Windows::read(&Space, above.function().address);
    window::place(&Space, &functions, &windows)
        .map_err(|_| Error::new(Errno::ENOSPC, "the bridge passes on too few addresses"))?;
    for function in &functions {
        let device = PciDevice::new(function);
        log::debug!("pci: {} has come", device.node().name());
        above.node().add_child(device.node().clone());
        BUS.add(device);
    }
    Ok(functions.len())
}

/// One of the functions whose driver cannot do without it.
pub(super) fn that_stays(devices: &[Arc<PciDevice>]) -> Option<&Arc<PciDevice>> {
    devices.iter().find(|device| !BUS.is_removable(device))
}

/// A program wants a function to be taken from its driver and forgotten, until the [next look](look_again).
///
/// # Errors
/// EBUSY if its driver cannot do without it, or it is a bridge; ENODEV if it has gone.
pub(crate) fn remove(device: &Arc<PciDevice>) -> Result<()> {
    let _changes = CHANGES.lock();
    if matches!(device.function().kind, Kind::Bridge(_)) {
        return Err(Error::new(Errno::EBUSY, "what is behind a bridge needs it"));
    }
    BUS.remove(device)?;
    forget(device);
    Ok(())
}

/// A program wants all functions to be looked for again: those that are not known go to their drivers. Their registers are where
/// they were.
pub(crate) fn look_again() {
    let _changes = CHANGES.lock();
    pci_config::scan(&Space, &mut |function, bridge| {
        let devices = BUS.devices();
        let find = |address| devices.iter().find(|known| known.function().address == address);
        if find(function.address).is_some() {
            return;
        }
        let device = PciDevice::new(function);
        match bridge {
            // It is known: bridges are never forgotten.
            Some(bridge) => {
                if let Some(above) = find(bridge) {
                    above.node().add_child(device.node().clone());
                }
            }
            None => root_bridge().add_child(device.node().clone()),
        }
        log::info!("pci: {} has come", device.node().name());
        BUS.add(device);
    });
}

fn forget(device: &PciDevice) {
    log::info!("pci: {} has gone", device.node().name());
    if let Some(above) = device.node().parent() {
        above.remove_child(device.node());
    }
}

/// Takes functions from their drivers, or tells those that they are gone.
pub(super) fn take_out(devices: Vec<Arc<PciDevice>>) {
    let _changes = CHANGES.lock();
    for device in devices {
        match BUS.remove(&device) {
            Ok(()) => forget(&device),
            Err(error) => log::error!("pci: {}: {error}", device.node().name()),
        }
    }
}

/// Waits for a state of the hardware, looking every millisecond. Whether it came.
pub(super) fn wait_until(limit_ns: u64, condition: impl Fn() -> bool) -> bool {
    let deadline = time::monotonic_ns() + limit_ns;
    while !condition() {
        let now = time::monotonic_ns();
        if now > deadline {
            return false;
        }
        sched::sleep_until(now + STEP_NS);
    }
    true
}
