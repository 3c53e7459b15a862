//! The PCI bus: finds all functions and hands each to one driver at most.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | the bus, and what is known of a function without touching it: [`PciDevice`] |
//! | `function.rs` | a function that was claimed: its registers, its bus mastering: [`PciFunction`] |
//! | `interrupt.rs`, `routing.rs` | its interrupts: MSI-X, MSI, or INTx; where INTx arrives |
//! | `firmware.rs` | what the firmware's code says of that, and of hot-plug |
//! | `firmware_events.rs` | what happens that the firmware's code has to look at: devices come and go, the power button |
//! | `coming.rs` | functions that come and go |
//! | `port.rs` | PCI Express ports, and their slots |
//! | `attributes.rs` | what /sys says of a function |
//! | `virtio.rs` | the driver that turns a virtio function into a device on the virtio bus |
//!
//! What stands in configuration space is decoded by `lib/pci-config`; the access is `machine::io::pci_config`.

mod attributes;
mod coming;
mod firmware;
mod firmware_events;
mod function;
mod interrupt;
pub(super) mod port;
mod routing;
pub(crate) mod virtio;

pub(crate) use coming::{look_again, remove};
pub(crate) use function::PciFunction;
pub(crate) use interrupt::Interrupts;

use super::bus::{Bus, Device};
use super::drivers;
use super::registry::{self, Node};
use crate::error::{Error, Result};
use abi::errno::Errno;
use alloc::{collections::BTreeMap, format, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering};
use machine::cpu;
use machine::io::pci_config as config_access;
use machine::sync::Lazy;
use pci_config::register::{self, command};
use pci_config::{Address, Bar, Capability, ConfigSpace, Function, Kind, window::Windows};

/// All PCI functions.
pub(crate) static BUS: Bus<PciDevice> = Bus::new("pci", drivers::PCI);

/// The configuration space of this machine.
struct Space;

impl ConfigSpace for Space {
    fn read(&self, at: Address, offset: u16) -> u32 {
        config_access::read_u32(at.bus, at.device, at.function, offset)
    }

    fn write(&self, at: Address, offset: u16, value: u32) {
        let write = || config_access::write_u32(at.bus, at.device, at.function, offset, value);
        if moves(at, offset, value as u16) { cpu::stop_machine(write) } else { write() }
    }

    // Not by writing back the other half, some of whose bits mean something when they are written.
    fn write_u16(&self, at: Address, offset: u16, value: u16) {
        let write = || config_access::write_u16(at.bus, at.device, at.function, offset, value);
        if moves(at, offset, value) { cpu::stop_machine(write) } else { write() }
    }
}

/// Whether writing a word changes what addresses the function answers at. Nothing may be under way to a device then:
/// QEMU before 8.2 can lose what another CPU writes to its local APIC in that moment, and with the end of an interrupt
/// all that would come after it. (Base address registers are written while the function answers at none.)
fn moves(at: Address, offset: u16, value: u16) -> bool {
    let answers = command::IO | command::MEMORY;
    offset == register::COMMAND && (Space.read_u16(at, offset) ^ value) & answers != 0
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
        let rom = pci_config::read_rom(&Space, function);
        Arc::new(Self {
            node: Node::new(format!("{}", function.address), "pci", attributes::of(function, &bars, rom)),
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

    /// Bytes of its configuration space: 4096 for PCI Express, else 256.
    pub(crate) fn configuration_size(&self) -> u16 {
        let is_express = self.capabilities.iter().any(|capability| capability.id == Capability::PCI_EXPRESS);
        if is_express { config_access::size() } else { 256 }
    }

    /// The first `length` bytes of it, a multiple of four.
    pub(crate) fn read_configuration(&self, length: u16) -> Vec<u8> {
        let words = (0..length).step_by(4).map(|offset| Space.read(self.function.address, offset));
        words.flat_map(u32::to_le_bytes).collect()
    }

    /// What it passes on, if it is a bridge.
    pub(crate) fn windows(&self) -> Windows {
        match self.function.kind {
            Kind::Bridge(_) => Windows::read(&Space, self.function.address),
            _ => Windows::default(),
        }
    }

    /// Its capabilities, in the order of the list.
    pub(crate) fn capabilities(&self) -> &[Capability] {
        &self.capabilities
    }

    /// Takes it for a driver.
    ///
    /// # Errors
    /// EBUSY if somebody has it.
    pub(crate) fn claim(self: &Arc<Self>, owner: &'static str) -> Result<PciFunction> {
        match self.is_claimed.swap(true, Ordering::Acquire) {
            false => Ok(PciFunction::new(self.clone(), owner)),
            true => Err(Error::new(Errno::EBUSY, "the function is taken")),
        }
    }

    /// Whether somebody has it.
    pub(crate) fn is_claimed(&self) -> bool {
        self.is_claimed.load(Ordering::Acquire)
    }

    fn release(&self) {
        self.is_claimed.store(false, Ordering::Release);
    }
}

/// The bridge that leads to bus 0, in the tree of devices.
fn root_bridge() -> &'static Arc<Node> {
    static NODE: Lazy<Arc<Node>> = Lazy::new(|| Node::new("pci0000:00".into(), "", Vec::new()));
    &NODE
}

/// The functions that were found.
pub(super) struct Found(Vec<Arc<PciDevice>>);

/// Finds all functions, and how large their registers are.
pub(super) fn find() -> Found {
    let host = root_bridge();
    registry::root().add_child(host.clone());
    let mut nodes = BTreeMap::new();
    let mut devices = Vec::new();
    pci_config::scan(&Space, &mut |function, bridge| {
        let device = PciDevice::new(function);
        let parent = bridge.and_then(|bridge| nodes.get(&bridge)).unwrap_or(host);
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
    Found(devices)
}

/// Has each function taken by its driver.
pub(super) fn init(found: Found) {
    firmware::init();
    found.0.into_iter().for_each(|device| BUS.add(device));
    if let Err(error) = port::start() {
        log::error!("pci: nothing can come or go: {error}");
    }
    firmware_events::begin();
}

/// Looks for all functions again, and visits each with the first 64 double words of its configuration space.
pub(crate) fn visit_again(visit: &mut dyn FnMut(&Function, &[u32; 64])) {
    pci_config::scan(&Space, &mut |function, _| {
        visit(function, &core::array::from_fn(|index| Space.read(function.address, index as u16 * 4)));
    });
}
