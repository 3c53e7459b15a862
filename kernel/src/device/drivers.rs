//! Every driver, by bus. A new driver is a line here.

use super::bus::Driver;
use super::pci::PciDevice;
use super::virtio::VirtioDevice;

/// Drivers of PCI functions.
pub(super) const PCI: &[&dyn Driver<PciDevice>] = &[
    &super::pci::port::PortDriver,
    &super::pci::virtio::VirtioPci,
    &super::ahci::AhciDriver,
    &super::nvme::NvmeDriver,
    &super::display::bochs::BochsDriver,
];

/// Drivers of virtio devices, whatever they are connected by.
pub(super) const VIRTIO: &[&dyn Driver<VirtioDevice>] = &[
    &super::virtio::balloon::BalloonDriver,
    &super::virtio::block::BlockDriver,
    &super::virtio::console::ConsoleDriver,
    &super::virtio::entropy::EntropyDriver,
    &super::virtio::gpu::GpuDriver,
    &super::virtio::input::InputDriver,
    &super::virtio::ninep::NinepDriver,
    &super::virtio::scsi::ScsiDriver,
];
