//! bus/: the buses of the driver model, each with its devices and its drivers.

use super::tree::{Entries, directory, link, wish};
use crate::device::{Bus, Device, pci, virtio};
use alloc::{format, string::ToString, vec};

/// The directory.
pub(super) fn all() -> Entries {
    vec![bus(&pci::BUS), bus(&virtio::BUS)]
}

fn bus<D: Device>(bus: &'static Bus<D>) -> super::tree::Entry {
    directory(bus.name(), move || {
        let mut entries =
            vec![directory("devices", move || devices(bus)), directory("drivers", move || drivers(bus))];
        if bus.name() == pci::BUS.name() {
            entries.push(wish("rescan", || {
                pci::look_again();
                Ok(())
            }));
        }
        entries
    })
}

fn devices<D: Device>(bus: &Bus<D>) -> Entries {
    let entry = |node: &crate::device::registry::Node| {
        link(node.name().to_string(), format!("../../../{}", node.path()))
    };
    bus.devices().iter().map(|device| entry(device.node())).collect()
}

/// Each driver has links to the devices that it has.
fn drivers<D: Device>(bus: &'static Bus<D>) -> Entries {
    let entry = |driver: &'static str| {
        directory(driver, move || {
            let devices = bus.devices();
            let bound = devices.iter().map(|device| device.node());
            let bound = bound.filter(|node| node.driver() == Some(driver));
            bound.map(|node| link(node.name().to_string(), format!("../../../../{}", node.path()))).collect()
        })
    };
    bus.drivers().iter().map(|driver| entry(driver.name())).collect()
}
