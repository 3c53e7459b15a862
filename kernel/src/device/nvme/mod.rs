//! NVMe: controllers whose disks are "namespaces", worked by many queues in memory.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | the driver; what a namespace is as a disk |
//! | `controller.rs` | reset, administrative commands, interrupts |
//! | `pair.rs` | a pair of queues: commands go in, completions come out |
//! | `namespace.rs` | a namespace: requests of the block layer as commands |
//! | `wire.rs` | bytes of commands, completions and descriptions |
//!
//! Each namespace has a pair of queues for each CPU, as far as the controller has them, each with an interrupt of its own.
//! There is no lock that two CPUs want on the way of a request.
//!
//! Source: NVM Express Base Specification 1.4.

mod controller;
mod namespace;
mod pair;
mod wire;

use super::bus::{Device, Driver};
use super::pci::PciDevice;
use crate::error::{Error, Result};
use abi::errno::Errno;
use alloc::{sync::Arc, vec::Vec};
use controller::Controller;
use core::sync::atomic::{AtomicU32, Ordering};
use machine::sync::SpinLock;

/// Class code of a controller with this interface.
const CLASS: u32 = 0x01_08_02;

/// All controllers in service, which stay.
static CONTROLLERS: SpinLock<Vec<Arc<Controller>>> = SpinLock::new("nvme controllers", Vec::new());

/// The driver.
pub(super) struct NvmeDriver;

impl Driver<PciDevice> for NvmeDriver {
    fn name(&self) -> &'static str {
        "nvme"
    }

    fn matches(&self, device: &PciDevice) -> bool {
        device.function().class == CLASS
    }

    fn attach(&self, device: &Arc<PciDevice>) -> Result<()> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let function = device.claim().ok_or(Error::new(Errno::EBUSY, "the function is taken"))?;
        let controller = Controller::start(function)?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        log::info!("nvme: {} is nvme{number}", device.node().name());
        CONTROLLERS.lock().push(controller.clone());
        controller.serve(number);
        Ok(())
    }
}
