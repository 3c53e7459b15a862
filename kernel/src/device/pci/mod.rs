//! The PCI bus: finds all functions and hands each to one driver at most.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | the bus, and what is known of a function without touching it: [`PciDevice`] |
//! | `function.rs` | a function that was claimed: its registers, its bus mastering: [`PciFunction`] |
//! | `interrupt.rs`, `routing.rs` | its interrupts: MSI-X, MSI, or INTx; where INTx arrives |
//! | `firmware.rs` | what the firmware's code says of that |
//! | `virtio.rs` | the driver that turns a virtio function into a device on the virtio bus |
//!
//! What stands in configuration space is decoded by `lib/pci-config`; the access is `machine::io::pci_config`.

mod firmware;
mod function;
mod interrupt;
mod routing;
pub(crate) mod virtio;

pub(crate) use function::PciFunction;
pub(crate) use interrupt::Interrupts;

use super::bus::{Bus, Device};
use super::drivers;
use super::registry::{self, Attribute, Node};
use alloc::{collections::BTreeMap, format, string::String, sync::Arc, vec, vec::Vec};
use core::fmt::Write;
use core::sync::atomic::{AtomicBool, Ordering};
use machine::io::pci_config as config_access;
use pci_config::{Address, Bar, Capability, ConfigSpace, Function};

/// All PCI functions.
pub(crate) static BUS: Bus<PciDevice> = Bus::new("pci", drivers::PCI);

/// The configuration space of this machine.
struct Space;

impl ConfigSpace for Space {
    fn read(&self, at: Address, offset: u16) -> u32 {
        config_access::read_u32(at.bus, at.device, at.function, offset)
    }

    fn write(&self, at: Address, offset: u16, value: u32) {
        config_access::write_u32(at.bus, at.device, at.function, offset, value);
    }
}

/// A function on the bus: what it says of itself. To do something with it, [`claim`](Self::claim) it.
pub(crate) struct PciDevice {
    node: Arc<Node>,
    function: Function,
    bars: [Option<Bar>; 6],
    capabilities: Vec<Capability>,
    is_claimed: AtomicBool,
}

impl Device for PciDevice {
    fn node(&self) -> &Arc<Node> {
        &self.node
    }
}

impl PciDevice {
    fn new(function: &Function) -> Arc<Self> {
        // Nobody has the function yet, so that its registers may be moved about to find their sizes.
        let bars = pci_config::read_bars(&Space, function);
        Arc::new(Self {
            node: Node::new(format!("{}", function.address), "pci", attributes(function, &bars)),
            function: *function,
            bars,
            capabilities: pci_config::read_capabilities(&Space, function.address),
            is_claimed: AtomicBool::new(false),
        })
    }

    /// Its header.
    pub(crate) fn function(&self) -> &Function {
        &self.function
    }

    /// Where its registers are.
    pub(crate) fn bars(&self) -> &[Option<Bar>; 6] {
        &self.bars
    }

    /// Its capabilities, in the order of the list.
    pub(crate) fn capabilities(&self) -> &[Capability] {
        &self.capabilities
    }

    /// Takes it for oneself; `None` if somebody has it.
    pub(crate) fn claim(self: &Arc<Self>) -> Option<PciFunction> {
        (!self.is_claimed.swap(true, Ordering::Acquire)).then(|| PciFunction::new(self.clone()))
    }

    fn release(&self) {
        self.is_claimed.store(false, Ordering::Release);
    }
}

/// Finds all functions, then has each taken by its driver.
pub(super) fn init() {
    let host = Node::new("pci0000:00".into(), "", Vec::new());
    registry::root().add_child(host.clone());
    let mut nodes = BTreeMap::new();
    let mut devices = Vec::new();
    pci_config::scan(&Space, &mut |function, bridge| {
        let device = PciDevice::new(function);
        let parent = bridge.and_then(|bridge| nodes.get(&bridge)).unwrap_or(&host);
        parent.add_child(device.node.clone());
        nodes.insert(function.address, device.node.clone());
        log::debug!(
            "pci: {}: {:04x}:{:04x} class {:06x}",
            function.address,
            function.vendor,
            function.device,
            function.class
        );
        devices.push(device);
    });
    log::info!("pci: {} functions", devices.len());
    firmware::init();
    devices.into_iter().for_each(|device| BUS.add(device));
}

/// Looks for all functions again, and visits each with the first 64 double words of its configuration space.
pub(crate) fn visit_again(visit: &mut dyn FnMut(&Function, &[u32; 64])) {
    pci_config::scan(&Space, &mut |function, _| {
        visit(function, &core::array::from_fn(|index| Space.read(function.address, index as u16 * 4)));
    });
}

/// The files that Linux has for a function in /sys.
fn attributes(function: &Function, bars: &[Option<Bar>; 6]) -> Vec<Attribute> {
    let mut resource = String::new();
    for bar in bars {
        // Linux's resource flags: 0x100 ports, 0x200 memory, 0x2000 prefetchable, 0x100000 64 bits.
        let flags = match bar {
            None => 0,
            Some(Bar::Ports { .. }) => 0x100,
            Some(Bar::Memory { is_prefetchable, is_wide, .. }) => {
                0x200 | u64::from(*is_prefetchable) << 13 | u64::from(*is_wide) << 20
            }
        };
        let start = bar.map_or(0, |bar| bar.start());
        let end = bar.map_or(0, |bar| start.saturating_add(bar.length() - 1));
        // Writing to a string does not fail.
        let _ = writeln!(resource, "{start:#018x} {end:#018x} {flags:#018x}");
    }
    let fixed = Attribute::fixed;
    let Function { vendor, device, subsystem_vendor, subsystem, class, .. } = function;
    let [_, class_byte, subclass, interface] = class.to_be_bytes();
    let alias = format!(
        "pci:v{vendor:08X}d{device:08X}sv{subsystem_vendor:08X}sd{subsystem:08X}\
         bc{class_byte:02X}sc{subclass:02X}i{interface:02X}"
    );
    vec![
        fixed(
            "uevent",
            format!(
                "PCI_CLASS={class:X}\nPCI_ID={vendor:04X}:{device:04X}\n\
                 PCI_SUBSYS_ID={subsystem_vendor:04X}:{subsystem:04X}\n\
                 PCI_SLOT_NAME={}\nMODALIAS={alias}",
                function.address
            ),
        ),
        fixed("modalias", alias.clone()),
        fixed("vendor", format!("{:#06x}", function.vendor)),
        fixed("device", format!("{:#06x}", function.device)),
        fixed("subsystem_vendor", format!("{:#06x}", function.subsystem_vendor)),
        fixed("subsystem_device", format!("{:#06x}", function.subsystem)),
        fixed("class", format!("{:#08x}", function.class)),
        fixed("revision", format!("{:#04x}", function.revision)),
        fixed("irq", format!("{}", function.interrupt_line)),
        fixed("resource", String::from(resource.trim_end())),
    ]
}
