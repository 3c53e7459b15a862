//! virtio-scsi: disks and CD drives behind a host adapter (virtio 1.2, section 5.6).
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | the driver |
//! | `host.rs` | the adapter: queues, commands that are asked by threads, resets |
//! | `units.rs` | which units there are, and what they are; they come and go |
//! | `unit.rs` | a unit: requests of the block layer as commands |
//! | `wire.rs` | the shapes of requests, answers and events |
//!
//! The adapter has a queue for control, one for events, and queues for commands, each a lane that all units share. What the
//! commands and their answers are is in `lib/scsi`.
//!
//! Locks: a request queue's lane, then that of the adapter's lane. That one is not held while something is completed.

mod host;
#[cfg(feature = "tests")]
mod tests;
mod unit;
mod units;
mod wire;

use super::{VirtioDevice, kind};
use crate::device::bus::{Device, Driver, InService, wait_until_alone};
use crate::error::Result;
use crate::sched;
use alloc::{boxed::Box, sync::Arc};
use host::Host;

/// The driver.
pub(crate) struct ScsiDriver;

impl Driver<VirtioDevice> for ScsiDriver {
    fn name(&self) -> &'static str {
        "virtio_scsi"
    }

    fn matches(&self, device: &VirtioDevice) -> bool {
        device.kind() == kind::SCSI
    }

    fn attach(&self, device: &Arc<VirtioDevice>) -> Result<Box<dyn InService>> {
        let host = Host::start(device.start(wire::feature::ALL)?, device.node().clone())?;
        let service = Box::new(InUse(host.clone()));
        host.find_all();
        let watcher = host.clone();
        match sched::spawn("virtio-scsi", move || watcher.watch()) {
            Ok(_) => Ok(service),
            Err(error) => {
                drop(host);
                service.remove();
                Err(error)
            }
        }
    }
}

struct InUse(Arc<Host>);

impl InService for InUse {
    fn remove(self: Box<Self>) {
        let InUse(host) = *self;
        host.remove();
        wait_until_alone(&host);
    }
}
