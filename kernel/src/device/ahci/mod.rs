//! AHCI: controllers of SATA disks.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | the controller: reset, ports, its one interrupt |
//! | `port.rs` | a port with a disk: commands, completion, recovery; it is the disk's hardware |
//! | `command.rs` | what a command says: frames of bytes for the disk |
//! | `identify.rs` | what a disk says of itself |
//!
//! A port has 32 slots for commands in memory that the controller reads; which are under way is a bit each. Disks with
//! native command queuing (NCQ) get as many commands at a time as they take, others one.
//!
//! Source: Serial ATA AHCI 1.3.1; ATA/ATAPI Command Set 3 (ACS-3).

mod command;
mod identify;
mod port;

use super::bus::{Device, Driver, InService, wait_until_alone};
use super::pci::{Interrupts, PciDevice, PciFunction};
use super::registers::registers;
use super::registry::{Attribute, Node};
use crate::block::RequestQueue;
use crate::block::hardware::Hardware;
use crate::block::registry::{self, Kind};
use crate::error::{Error, Result};
use crate::sched;
use abi::errno::Errno;
use alloc::{boxed::Box, format, string::String, sync::Arc, vec, vec::Vec};
use machine::irq::Handled;
use machine::mm::Mmio;
use machine::sync::Once;
use machine::time;
use port::Port;

/// Class code of a SATA controller with this interface.
const CLASS: u32 = 0x01_06_01;
/// The base address register of its registers.
const REGISTERS: usize = 5;

registers! {
    /// The controller's own registers (section 3.1).
    struct Global (0x2c) {
        0x00 => capabilities: u32, ReadOnly;
        0x04 => control: u32, ReadWrite;
        0x08 => interrupt_status: u32, ReadWrite;
        0x0c => ports: u32, ReadOnly;
        0x24 => more_capabilities: u32, ReadOnly;
        0x28 => handoff: u32, ReadWrite;
    }
}

/// Bits of `capabilities` and `more_capabilities`.
mod capability {
    /// Commands that a port can have at a time, less one.
    pub(super) const SLOTS_SHIFT: u32 = 8;
    pub(super) const SLOTS_MASK: u32 = 0x1f;
    pub(super) const QUEUING: u32 = 1 << 30;
    pub(super) const ADDRESSES_OF_64_BITS: u32 = 1 << 31;
    /// In the second word: firmware may own the controller.
    pub(super) const HANDOFF: u32 = 1 << 0;
}

/// Bits of `control`.
mod control {
    pub(super) const RESET: u32 = 1 << 0;
    pub(super) const INTERRUPTS: u32 = 1 << 1;
    pub(super) const AHCI: u32 = 1 << 31;
}

/// Bits of `handoff` (section 10.6).
mod handoff {
    pub(super) const FIRMWARE: u32 = 1 << 0;
    pub(super) const SYSTEM: u32 = 1 << 1;
}

/// How long links may take to come up; a device answers within 10 ms (section 10.4.2).
const LINK_LIMIT_NS: u64 = 100_000_000;

/// How long a reset, and firmware's farewell, may take.
const LIMIT_NS: u64 = 2_000_000_000;

/// How often the controller is asked in an interrupt whether there is more.
const ROUNDS: usize = 8;

/// What the controller is, for its ports.
#[derive(Clone, Copy, Debug)]
struct Abilities {
    slots: usize,
    has_queuing: bool,
}

/// The driver.
pub(super) struct AhciDriver;

impl Driver<PciDevice> for AhciDriver {
    fn name(&self) -> &'static str {
        "ahci"
    }

    fn matches(&self, device: &PciDevice) -> bool {
        device.function().class == CLASS
    }

    fn attach(&self, device: &Arc<PciDevice>) -> Result<Box<dyn InService>> {
        let controller = Controller::start(device.claim(self.name())?)?;
        let ports = controller.find_disks();
        log::info!("ahci: {}: {} disks", device.node().name(), ports.len());
        let above = device.node().clone();
        let nodes = controller.serve(ports, &above);
        Ok(Box::new(InUse { controller, nodes, above }))
    }
}

struct InUse {
    controller: Arc<Controller>,
    /// The disks in the tree of devices, below the controller.
    nodes: Vec<Arc<Node>>,
    above: Arc<Node>,
}

/// A disk in the tree of devices. It is named as Linux names disks, which are all SCSI's there: by port, channel, target and
/// unit.
fn node_of(port: &Port) -> Arc<Node> {
    let identity = port.identify();
    let text = |fact: Option<String>, length: usize| format!("{:length$.length$}", fact.unwrap_or_default());
    let attributes = vec![
        Attribute::fixed("vendor", format!("{:8}", "ATA")),
        Attribute::fixed("model", text(identity.model, 16)),
        Attribute::fixed("rev", text(identity.firmware, 4)),
        Attribute::fixed("type", "0".into()),
    ];
    Node::new(format!("{}:0:0:0", port.number()), "", attributes)
}

impl InService for InUse {
    fn remove(self: Box<Self>) {
        let Self { controller, nodes, above } = *self;
        nodes.iter().for_each(|node| above.remove_child(node));
        let ports = controller.ports.get().map_or(&[][..], |ports| ports);
        ports.iter().filter_map(|port| port.request_queue()).for_each(|queue| queue.remove());
        controller.global.control().write(control::AHCI);
        controller.interrupts.silence();
        wait_until_alone(&controller);
    }
}

struct Controller {
    global: Global,
    registers: Mmio,
    abilities: Abilities,
    ports: Once<Vec<Arc<Port>>>,
    // Dropped last, in this order: no interrupts, then no access to memory any more.
    interrupts: Interrupts,
    function: PciFunction,
}

impl Controller {
    fn start(function: PciFunction) -> Result<Arc<Self>> {
        let registers = function.map_bar(REGISTERS)?;
        let global = Global::new(&registers, 0).ok_or(Error::new(Errno::ENODEV, "too few registers"))?;
        take_over(&global);
        global.control().write(control::AHCI);
        global.control().write(control::AHCI | control::RESET);
        if !wait_for(LIMIT_NS, || global.control().read() & control::RESET == 0) {
            return Err(Error::new(Errno::EIO, "the controller does not reset"));
        }
        global.control().write(control::AHCI);
        let capabilities = global.capabilities().read();
        if capabilities & capability::ADDRESSES_OF_64_BITS == 0 {
            return Err(Error::new(Errno::ENODEV, "the controller reaches only a part of memory"));
        }
        let slots = (capabilities >> capability::SLOTS_SHIFT & capability::SLOTS_MASK) as usize + 1;
        let abilities = Abilities { slots, has_queuing: capabilities & capability::QUEUING != 0 };
        let interrupts = function.interrupts(1)?;
        function.enable_bus_mastering();
        let ports = Once::new();
        Ok(Arc::new(Self { global, registers, abilities, ports, interrupts, function }))
    }

    /// Starts all ports at the same time, as disks may take seconds, and looks who is there.
    fn find_disks(&self) -> Vec<Arc<Port>> {
        let implemented = self.global.ports().read();
        let numbers = (0..32).filter(|number| implemented & 1 << number != 0);
        let started = numbers.filter_map(|number| {
            Port::begin(&self.registers, number, self.abilities)
                .inspect_err(|error| log::warn!("ahci: port {number}: {error}"))
                .ok()
        });
        let ports: Vec<_> = started.collect();
        // The links have to be in reset for a millisecond, and there is nothing that tells when it has passed.
        sched::sleep_until(time::monotonic_ns() + 1_000_000);
        ports.iter().for_each(Port::release_link);
        let deadline = time::monotonic_ns() + LINK_LIMIT_NS;
        let is_disk = |port: &Port| match port.finish_start(deadline) {
            Ok(is_disk) => is_disk,
            Err(error) => {
                log::warn!("ahci: port {}: {error}", port.number());
                false
            }
        };
        ports.into_iter().filter(is_disk).map(Arc::new).collect()
    }

    /// Lets interrupts in and makes the disks known, also below the controller's node; returns what they are there.
    fn serve(self: &Arc<Self>, ports: Vec<Arc<Port>>, above: &Arc<Node>) -> Vec<Arc<Node>> {
        let queues: Vec<_> = ports.iter().map(|port| (Port::queue(port), node_of(port))).collect();
        self.ports.call_once(|| ports);
        let weak = Arc::downgrade(self);
        let handler =
            Box::new(move || weak.upgrade().map_or(Handled::No, |controller| controller.interrupt()));
        self.interrupts.set_handler(0, "ahci", handler);
        self.global.control().write(control::AHCI | control::INTERRUPTS);
        let mut nodes = Vec::new();
        for (queue, node) in queues {
            above.add_child(node.clone());
            let added = queue
                .and_then(|queue: Arc<RequestQueue>| registry::add(Kind::Scsi, queue, Some(node.clone())));
            if let Err(error) = added {
                log::error!("ahci: a disk cannot be used: {error}");
            }
            nodes.push(node);
        }
        nodes
    }

    fn interrupt(&self) -> Handled {
        let Some(ports) = self.ports.get() else { return Handled::No };
        let mut handled = Handled::No;
        for _ in 0..ROUNDS {
            let pending = self.global.interrupt_status().read();
            if pending == 0 {
                break;
            }
            handled = Handled::Yes;
            ports.iter().filter(|port| pending & 1 << port.number() != 0).for_each(|port| port.interrupt());
            // After the ports' own, or it is set again at once (section 10.7.2.1).
            self.global.interrupt_status().write(pending);
        }
        handled
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.global.control().write(control::AHCI);
        self.function.disable_bus_mastering();
    }
}

/// Has firmware leave the controller to us.
fn take_over(global: &Global) {
    if global.more_capabilities().read() & capability::HANDOFF == 0 {
        return;
    }
    global.handoff().change(|value| value | handoff::SYSTEM);
    if !wait_for(LIMIT_NS, || global.handoff().read() & handoff::FIRMWARE == 0) {
        log::warn!("ahci: firmware does not let go of the controller; taking it");
    }
}

/// Waits for a state of the hardware, looking every millisecond. Whether it came.
fn wait_for(limit_ns: u64, condition: impl Fn() -> bool) -> bool {
    wait_until(time::monotonic_ns() + limit_ns, condition)
}

/// The same, until a point of time.
fn wait_until(deadline: u64, condition: impl Fn() -> bool) -> bool {
    while !condition() {
        let now = time::monotonic_ns();
        if now > deadline {
            return false;
        }
        sched::sleep_until(now + 1_000_000);
    }
    true
}
