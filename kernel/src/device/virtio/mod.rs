//! The virtio bus: devices of hypervisors, all worked in the same way.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | the bus and its devices; what a transport (PCI) must offer: [`Transport`] |
//! | `session.rs` | a device taken into service: reset, features, queues: [`Session`] |
//! | `ring.rs` | setting up a queue |
//! | `queue.rs` | requests on a virtqueue, from several threads, completed by interrupt |
//! | `slots.rs` | buffers that go round on a virtqueue: events, streams of bytes |
//! | `mailbox.rs` | one buffer at a time |
//! | `played.rs`, `pulled_out.rs` | a device that tests play; disks that vanish |
//! | `balloon/`, `block.rs`, `console/`, `entropy.rs`, `gpu.rs`, `input.rs`, `ninep.rs`, `scsi/` | the drivers |
//!
//! Source: Virtual I/O Device (VIRTIO) Version 1.2.

pub(crate) mod balloon;
pub(super) mod block;
pub(super) mod console;
pub(crate) mod entropy;
pub(super) mod gpu;
pub(super) mod input;
mod mailbox;
pub(crate) mod ninep;
#[cfg(feature = "tests")]
pub(crate) mod played;
#[cfg(feature = "tests")]
mod pulled_out;
mod queue;
mod ring;
pub(super) mod scsi;
mod session;
mod slots;

use super::bus::{Bus, Device, InService};
use super::drivers;
use super::pci::PciDevice;
use super::registry::{Attribute, Node};
use crate::error::{Error, Result};
use abi::errno::Errno;
use alloc::{boxed::Box, format, sync::Arc, vec};
use core::sync::atomic::{AtomicU32, Ordering};
use machine::mm::Mmio;
use machine::sync::SpinLock;
use session::Session;

/// All virtio devices.
pub(crate) static BUS: Bus<VirtioDevice> = Bus::new("virtio", drivers::VIRTIO);

/// Numbers of the kinds of devices that have drivers (section 5).
pub(super) mod kind {
    pub(in super::super) const BLOCK: u32 = 2;
    pub(super) const CONSOLE: u32 = 3;
    pub(super) const ENTROPY: u32 = 4;
    pub(super) const BALLOON: u32 = 5;
    pub(in super::super) const SCSI: u32 = 8;
    pub(super) const NINEP: u32 = 9;
    pub(super) const GPU: u32 = 16;
    pub(super) const INPUT: u32 = 18;
}

/// What a kind of device is called (section 5).
pub(crate) fn kind_name(kind: u32) -> &'static str {
    match kind {
        1 => "network",
        kind::BLOCK => "block",
        kind::CONSOLE => "console",
        kind::ENTROPY => "entropy",
        kind::BALLOON => "memory balloon",
        kind::SCSI => "SCSI host",
        kind::NINEP => "9P",
        16 => "graphics",
        18 => "input",
        19 => "socket",
        20 => "crypto",
        26 => "file system",
        _ => "other",
    }
}

/// Called in interrupt context when the device may have used a buffer.
pub(super) type Handler = Arc<dyn Fn() + Send + Sync>;

/// Physical addresses of the parts of a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueAddresses {
    pub(super) descriptors: u64,
    pub(super) available: u64,
    pub(super) used: u64,
}

/// How a device's registers are reached. Dropping it ends all access of the device to memory.
pub(super) trait Transport: Send + Sync {
    /// The device status (section 2.1).
    fn status(&self) -> u8;
    /// Writes the device status; 0 resets.
    fn set_status(&self, status: u8);
    /// What the device offers.
    fn device_features(&self) -> u64;
    /// What the driver accepts.
    fn set_driver_features(&self, features: u64);
    /// The largest size of a queue, 0 if there is no such queue.
    fn max_queue_size(&self, queue: u16) -> u16;
    /// Hands a queue to the device.
    fn enable_queue(&self, queue: u16, size: u16, addresses: QueueAddresses) -> Result<()>;
    /// Tells the device of new buffers.
    fn notify(&self, queue: u16);
    /// Has `handler` called when the device interrupts.
    fn set_handler(&self, name: &'static str, handler: Handler);
    /// How many interrupts there are, at least one: queue `n` has interrupt `n`, or the last one.
    fn interrupts(&self) -> usize;
    /// Has `handler` called at one interrupt, on the CPU of that number if that can be arranged.
    fn set_handler_of(&self, index: usize, name: &'static str, handler: Handler);
    /// Handlers are not called any more, and none is running on return.
    fn silence(&self);
    /// The device's own configuration, if it has any.
    fn config(&self) -> Option<&Mmio>;
    /// Keeps the device from memory, whatever it does.
    fn cut_off(&self);
    /// Changes whenever the device changes its configuration.
    fn config_generation(&self) -> u8;
}

/// A device on the bus.
pub(crate) struct VirtioDevice {
    node: Arc<Node>,
    kind: u32,
    transport: SpinLock<Option<Box<dyn Transport>>>,
}

impl Device for VirtioDevice {
    fn node(&self) -> &Arc<Node> {
        &self.node
    }
}

impl VirtioDevice {
    /// What it is (section 5): 1 network, 2 block, 3 console, 4 entropy, ...
    pub(crate) fn kind(&self) -> u32 {
        self.kind
    }

    /// Takes it into service with those of `wanted` features that it offers; EBUSY if somebody has it.
    fn start(&self, wanted: u64) -> Result<Session> {
        let transport = self.transport.lock().take();
        Session::new(transport.ok_or(Error::new(Errno::EBUSY, "the device is taken"))?, wanted)
    }
}

/// A device of another bus that is a device of this one.
struct OnThisBus {
    device: Arc<VirtioDevice>,
    above: Arc<Node>,
}

impl InService for OnThisBus {
    fn is_removable(&self) -> bool {
        BUS.is_removable(&self.device)
    }

    fn remove(self: Box<Self>) {
        if let Err(error) = BUS.remove(&self.device) {
            return log::error!("virtio: {} stays: {error}", self.device.node.name());
        }
        // That of a device without a driver is still here.
        drop(self.device.transport.lock().take());
        self.above.remove_child(&self.device.node);
    }
}

/// Puts a device on the bus, and has it taken by its driver.
pub(super) fn add(kind: u32, parent: &PciDevice, transport: Box<dyn Transport>) -> Box<dyn InService> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let alias = format!("virtio:d{kind:08X}v{:08X}", parent.function().vendor);
    let mut attributes = vec![
        Attribute::fixed("uevent", format!("MODALIAS={alias}")),
        Attribute::fixed("modalias", alias),
        Attribute::fixed("device", format!("{kind:#06x}")),
        Attribute::fixed("vendor", format!("{:#06x}", parent.function().vendor)),
        Attribute::fixed("features", format!("{:#018x}", transport.device_features())),
    ];
    if kind == kind::NINEP {
        attributes.push(Attribute::fixed("mount_tag", ninep::tag(&*transport)));
    }
    let node = Node::new(format!("virtio{number}"), "virtio", attributes);
    parent.node().add_child(node.clone());
    let transport = SpinLock::new("virtio device", Some(transport));
    let device = Arc::new(VirtioDevice { node, kind, transport });
    BUS.add(device.clone());
    Box::new(OnThisBus { device, above: parent.node().clone() })
}
