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

use super::bus::{Device, Driver, InService, wait_until_alone};
use super::pci::PciDevice;
use super::registry::{Attribute, Node};
use crate::block::registry;
use crate::error::Result;
use alloc::{boxed::Box, format, sync::Arc, vec::Vec};
use controller::Controller;
use machine::sync::SpinLock;
use wire::ControllerDescription;

/// Class code of a controller with this interface.
const CLASS: u32 = 0x01_08_02;

/// Numbers of the controllers in service.
static NUMBERS: SpinLock<Vec<u32>> = SpinLock::new("nvme numbers", Vec::new());

/// The driver.
pub(super) struct NvmeDriver;

impl Driver<PciDevice> for NvmeDriver {
    fn name(&self) -> &'static str {
        "nvme"
    }

    fn matches(&self, device: &PciDevice) -> bool {
        device.function().class == CLASS
    }

    fn attach(&self, device: &Arc<PciDevice>) -> Result<Box<dyn InService>> {
        let controller = Controller::start(device.claim(self.name())?)?;
        let number = take_number();
        log::info!("nvme: {} is nvme{number}", device.node().name());
        let node = Node::new(format!("nvme{number}"), "", attributes(controller.description()));
        let above = device.node().clone();
        above.add_child(node.clone());
        controller.serve(number, &node);
        Ok(Box::new(InUse { controller, number, node, above }))
    }
}

/// What /sys says of a controller.
fn attributes(description: &ControllerDescription) -> Vec<Attribute> {
    let ControllerDescription { serial, model, firmware, .. } = description;
    let facts = [("serial", serial), ("model", model), ("firmware_rev", firmware)];
    let known = facts.into_iter().filter_map(|(name, fact)| Some((name, fact.clone()?)));
    known.map(|(name, fact)| Attribute::fixed(name, fact)).collect()
}

/// The first number that no controller has, and no disk that is gone and still in use.
fn take_number() -> u32 {
    let is_free = |number: &u32| {
        let is_taken = NUMBERS.lock().contains(number);
        !is_taken && !registry::has_name_beginning(&format!("nvme{number}n"))
    };
    // One controller is attached at a time.
    let number = (0..u32::MAX).find(is_free).expect("there are fewer controllers than numbers");
    NUMBERS.lock().push(number);
    number
}

struct InUse {
    controller: Arc<Controller>,
    number: u32,
    /// The controller in the tree of devices, below its function.
    node: Arc<Node>,
    above: Arc<Node>,
}

impl InService for InUse {
    fn remove(self: Box<Self>) {
        self.controller.remove();
        self.above.remove_child(&self.node);
        wait_until_alone(&self.controller);
        NUMBERS.lock().retain(|number| *number != self.number);
    }
}
