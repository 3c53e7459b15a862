//! virtio over PCI: the driver that finds a virtio function's registers and puts the device on the virtio bus.
//!
//! Only "modern" devices (virtio 1.0 and later) are taken; transitional ones offer the modern interface too.
//! Source: Virtual I/O Device (VIRTIO) Version 1.2, section 4.1.

use super::{PciDevice, PciFunction, Space, interrupt::Interrupts};
use crate::device::bus::{Driver, InService};
use crate::device::virtio::{self, Handler, QueueAddresses, Transport};
use crate::error::{Error, Result};
use abi::errno::Errno;
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use machine::cpu;
use machine::irq::Handled;
use machine::mm::Mmio;
use machine::sync::Once;
use pci_config::{Capability, ConfigSpace};

/// The vendor, and its range of modern and of transitional devices.
const VENDOR: u16 = 0x1af4;
const MODERN: core::ops::RangeInclusive<u16> = 0x1040..=0x107f;
const TRANSITIONAL: core::ops::RangeInclusive<u16> = 0x1000..=0x103f;

/// Fields of a virtio capability (section 4.1.4): kind, BAR, offset and length of a structure.
mod capability {
    pub(super) const KIND: u16 = 0;
    pub(super) const BAR: u16 = 4;
    pub(super) const OFFSET: u16 = 8;
    pub(super) const LENGTH: u16 = 12;
    pub(super) const NOTIFY_MULTIPLIER: u16 = 16;

    pub(super) const COMMON: u8 = 1;
    pub(super) const NOTIFY: u8 = 2;
    pub(super) const ISR: u8 = 3;
    pub(super) const DEVICE: u8 = 4;
}

/// The common configuration structure (section 4.1.4.3).
mod common {
    pub(super) const DEVICE_FEATURE_SELECT: usize = 0x00;
    pub(super) const DEVICE_FEATURE: usize = 0x04;
    pub(super) const DRIVER_FEATURE_SELECT: usize = 0x08;
    pub(super) const DRIVER_FEATURE: usize = 0x0c;
    pub(super) const CONFIG_MSIX_VECTOR: usize = 0x10;
    pub(super) const NUM_QUEUES: usize = 0x12;
    pub(super) const DEVICE_STATUS: usize = 0x14;
    pub(super) const CONFIG_GENERATION: usize = 0x15;
    pub(super) const QUEUE_SELECT: usize = 0x16;
    pub(super) const QUEUE_SIZE: usize = 0x18;
    pub(super) const QUEUE_MSIX_VECTOR: usize = 0x1a;
    pub(super) const QUEUE_ENABLE: usize = 0x1c;
    pub(super) const QUEUE_NOTIFY_OFF: usize = 0x1e;
    pub(super) const QUEUE_DESC: usize = 0x20;
    pub(super) const QUEUE_DRIVER: usize = 0x28;
    pub(super) const QUEUE_DEVICE: usize = 0x30;
    pub(super) const LENGTH: usize = 0x38;
}

/// The driver.
pub(crate) struct VirtioPci;

impl Driver<PciDevice> for VirtioPci {
    fn name(&self) -> &'static str {
        "virtio-pci"
    }

    fn matches(&self, device: &PciDevice) -> bool {
        kind(device).is_some()
    }

    fn attach(&self, device: &Arc<PciDevice>) -> Result<Box<dyn InService>> {
        let kind = kind(device).ok_or(Error::new(Errno::ENODEV, "no virtio function"))?;
        let function = device.claim(self.name())?;
        Ok(virtio::add(kind, device, Box::new(PciTransport::new(function, kind)?)))
    }
}

/// What the device is, by virtio's numbers (section 5).
fn kind(device: &PciDevice) -> Option<u32> {
    let function = device.function();
    match function.device {
        _ if function.vendor != VENDOR => None,
        id if MODERN.contains(&id) => Some(u32::from(id - MODERN.start())),
        id if TRANSITIONAL.contains(&id) => Some(function.subsystem.into()),
        _ => None,
    }
}

/// The registers of a virtio function.
struct PciTransport {
    common: Mmio,
    notify: Mmio,
    notify_multiplier: u32,
    /// Where each queue is notified, in the notification structure. Found once, as finding it is not for several threads.
    notify_offsets: Vec<Once<usize>>,
    /// Queues that are no CPU's, before those that are.
    for_all: usize,
    isr: Mmio,
    config: Option<Mmio>,
    // Dropped last, in this order: no interrupts, then no access to memory any more.
    interrupts: Interrupts,
    function: PciFunction,
}

impl PciTransport {
    fn new(function: PciFunction, kind: u32) -> Result<Self> {
        let missing = |what| Error::new(Errno::ENODEV, what);
        let (common, _) = structure(&function, capability::COMMON)?.ok_or(missing("no common structure"))?;
        let (notify, notify_capability) =
            structure(&function, capability::NOTIFY)?.ok_or(missing("no notification structure"))?;
        let (isr, _) = structure(&function, capability::ISR)?.ok_or(missing("no ISR structure"))?;
        let config = structure(&function, capability::DEVICE)?.map(|(registers, _)| registers);
        if common.len() < common::LENGTH || isr.len() == 0 {
            return Err(missing("a structure is too short"));
        }
        let notify_multiplier = function.read_capability(notify_capability, capability::NOTIFY_MULTIPLIER);
        let queues = usize::from(common.read::<u16>(common::NUM_QUEUES));
        // Disks have a queue for each CPU, behind those that are for all. What others say has an order, which is kept by one
        // interrupt after the other.
        let (for_all, wanted) = match kind {
            virtio::kind::BLOCK => (0, cpu::count()),
            virtio::kind::SCSI => (2, 2 + cpu::count()),
            _ => (0, 1),
        };
        let wanted = queues.clamp(1, wanted);
        let interrupts = function.interrupts(wanted)?;
        function.enable_bus_mastering();
        let notify_offsets = (0..queues).map(|_| Once::new()).collect();
        Ok(Self {
            common,
            notify,
            notify_multiplier,
            notify_offsets,
            for_all,
            isr,
            config,
            interrupts,
            function,
        })
    }

    fn select_queue(&self, queue: u16) {
        self.common.write(common::QUEUE_SELECT, queue);
    }

    /// 64-bit fields are accessed by halves (section 4.1.3.1).
    fn write_u64(&self, offset: usize, value: u64) {
        self.common.write(offset, value as u32);
        self.common.write(offset + 4, (value >> 32) as u32);
    }

    /// Where to notify a queue, as an offset into the notification structure.
    fn notify_offset(&self, queue: u16) -> Option<usize> {
        self.select_queue(queue);
        let offset = u32::from(self.common.read::<u16>(common::QUEUE_NOTIFY_OFF));
        let offset = offset.checked_mul(self.notify_multiplier)? as usize;
        (offset.checked_add(2)? <= self.notify.len() && offset.is_multiple_of(2)).then_some(offset)
    }
}

/// Finds and maps the first structure of a kind that lies within its registers.
fn structure(function: &PciFunction, wanted: u8) -> Result<Option<(Mmio, Capability)>> {
    for capability in function.device().capabilities().iter().filter(|c| c.id == Capability::VENDOR) {
        let [_, _, _, kind] = function.read_capability(*capability, capability::KIND).to_le_bytes();
        if kind != wanted {
            continue;
        }
        let [bar, ..] = function.read_capability(*capability, capability::BAR).to_le_bytes();
        let offset = function.read_capability(*capability, capability::OFFSET) as usize;
        let length = function.read_capability(*capability, capability::LENGTH) as usize;
        let registers = function.map_bar(bar.into())?;
        if let Some(registers) = registers.slice(offset, length) {
            return Ok(Some((registers, *capability)));
        }
    }
    Ok(None)
}

impl Transport for PciTransport {
    fn status(&self) -> u8 {
        self.common.read(common::DEVICE_STATUS)
    }

    fn set_status(&self, status: u8) {
        self.common.write(common::DEVICE_STATUS, status);
    }

    fn device_features(&self) -> u64 {
        let half = |select: u32| {
            self.common.write(common::DEVICE_FEATURE_SELECT, select);
            u64::from(self.common.read::<u32>(common::DEVICE_FEATURE))
        };
        half(0) | half(1) << 32
    }

    fn set_driver_features(&self, features: u64) {
        for (select, half) in [(0_u32, features as u32), (1, (features >> 32) as u32)] {
            self.common.write(common::DRIVER_FEATURE_SELECT, select);
            self.common.write(common::DRIVER_FEATURE, half);
        }
    }

    fn max_queue_size(&self, queue: u16) -> u16 {
        if queue >= self.common.read::<u16>(common::NUM_QUEUES) {
            return 0;
        }
        self.select_queue(queue);
        self.common.read(common::QUEUE_SIZE)
    }

    fn enable_queue(&self, queue: u16, size: u16, addresses: QueueAddresses) -> Result<()> {
        let offset = self.notify_offset(queue).zip(self.notify_offsets.get(usize::from(queue)));
        let Some((offset, known)) = offset else {
            return Err(Error::new(Errno::ENODEV, "a queue's notification register is out of range"));
        };
        known.call_once(|| offset);
        self.select_queue(queue);
        self.common.write(common::QUEUE_SIZE, size);
        self.write_u64(common::QUEUE_DESC, addresses.descriptors);
        self.write_u64(common::QUEUE_DRIVER, addresses.available);
        self.write_u64(common::QUEUE_DEVICE, addresses.used);
        if self.interrupts.are_numbered() {
            let vector = queue.min(self.interrupts.count() as u16 - 1);
            // Changes of the configuration interrupt as the last queue does; a device that cannot tells of none.
            self.common.write(common::CONFIG_MSIX_VECTOR, self.interrupts.count() as u16 - 1);
            self.common.write(common::QUEUE_MSIX_VECTOR, vector);
            if self.common.read::<u16>(common::QUEUE_MSIX_VECTOR) != vector {
                return Err(Error::new(Errno::ENOSPC, "the device has no interrupt for a queue"));
            }
        }
        self.common.write(common::QUEUE_ENABLE, 1_u16);
        Ok(())
    }

    fn notify(&self, queue: u16) {
        if let Some(&offset) = self.notify_offsets.get(usize::from(queue)).and_then(Once::get) {
            self.notify.write(offset, queue);
        }
    }

    fn set_handler(&self, name: &'static str, handler: Handler) {
        for index in 0..self.interrupts.count() {
            self.set_handler_of(index, name, handler.clone());
        }
    }

    fn interrupts(&self) -> usize {
        self.interrupts.count()
    }

    fn set_handler_of(&self, index: usize, name: &'static str, handler: Handler) {
        let isr = (!self.interrupts.are_numbered()).then(|| self.isr.slice(0, 1)).flatten();
        self.interrupts.set_handler(
            index,
            name,
            Box::new(move || {
                // Reading the status takes the wired line back (section 4.1.4.5).
                if isr.as_ref().is_none_or(|isr| isr.read::<u8>(0) != 0) {
                    handler();
                    return Handled::Yes;
                }
                Handled::No
            }),
        );
        if self.interrupts.count() > 1 {
            self.interrupts.prefer_cpu(index, index.saturating_sub(self.for_all));
        }
    }

    fn silence(&self) {
        self.interrupts.silence();
    }

    fn config(&self) -> Option<&Mmio> {
        self.config.as_ref()
    }

    fn cut_off(&self) {
        self.function.disable_bus_mastering();
    }

    fn config_generation(&self) -> u8 {
        self.common.read(common::CONFIG_GENERATION)
    }
}

/// What a function says of its virtio structures, for people: a line each. Whether it is a virtio function at all.
///
/// # Errors
/// Those of `out`.
pub(crate) fn describe(
    device: &PciDevice,
    out: &mut dyn core::fmt::Write,
) -> core::result::Result<bool, core::fmt::Error> {
    let Some(kind) = kind(device) else { return Ok(false) };
    let function = device.function();
    let (address, id) = (function.address, function.device);
    let transitional = if TRANSITIONAL.contains(&id) { ", transitional" } else { "" };
    writeln!(out, "{address} virtio device of kind {kind} ({}){transitional}", virtio::kind_name(kind))?;
    for at in device.capabilities().iter().filter(|c| c.id == Capability::VENDOR) {
        let read = |field: u16| Space.read(address, (at.offset + field).min(252) & !3);
        let [_, _, length, structure] = read(capability::KIND).to_le_bytes();
        let [bar, ..] = read(capability::BAR).to_le_bytes();
        let name = match structure {
            capability::COMMON => "common configuration",
            capability::NOTIFY => "notifications",
            capability::ISR => "interrupt status",
            capability::DEVICE => "device configuration",
            5 => "PCI configuration access",
            8 => "shared memory",
            9 => "vendor data",
            _ => "unknown",
        };
        let (start, size) = (read(capability::OFFSET), read(capability::LENGTH));
        write!(out, "  capability at {:#04x}, {length} bytes: {name} ({structure}), ", at.offset)?;
        write!(out, "BAR {bar} offset {start:#x} length {size:#x}")?;
        if structure == capability::NOTIFY {
            write!(out, ", multiplier {}", read(capability::NOTIFY_MULTIPLIER))?;
        }
        writeln!(out)?;
    }
    Ok(true)
}
