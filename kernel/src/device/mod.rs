//! Devices.
//!
//! | file | what |
//! |---|---|
//! | `bus.rs` | buses and drivers: how a device finds its driver |
//! | `drivers.rs` | the list of all drivers |
//! | `registers.rs` | typed blocks of registers |
//! | `resources.rs` | who has which addresses |
//! | `registry.rs` | the tree of devices, as /sys shows it |
//! | `display/` | screens |
//! | `input/` | keyboards, mice, tablets |
//! | `pci/` | the PCI bus |
//! | `ahci/`, `nvme/` | disks on SATA; NVMe disks |
//! | `virtio/` | the virtio bus and its drivers: balloon, block, console, entropy, gpu, input, 9P, SCSI |
//! | `character/` | character device files: null, zero, random, kmsg, ... |
//! | `random.rs` | random numbers |

mod ahci;
mod bus;
pub(crate) mod character;
pub(crate) mod display;
mod drivers;
pub(crate) mod input;
#[cfg(feature = "tests")]
mod interrupt_tests;
mod nvme;
pub(crate) mod pci;
pub(crate) mod random;
mod registers;
pub(crate) mod registry;
pub(crate) mod resources;
#[cfg(feature = "tests")]
mod tests;
pub(crate) mod virtio;

pub(crate) use bus::{Bus, Device};

/// Registers the devices without hardware.
pub(crate) fn init(_threads: &crate::sched::Ready) -> Ready {
    random::init();
    character::init();
    Ready(())
}

/// Device files can be added, and there are random numbers: [`init`] has run.
pub(crate) struct Ready(());

/// What was found on the buses.
pub(crate) struct Found(pci::Found);

/// Finds the hardware. Its registers do not answer for moments: it is best if nothing else runs.
pub(crate) fn find(_threads: &crate::sched::Ready) -> Found {
    Found(pci::find())
}

/// Has the drivers take the hardware into service. May sleep.
pub(crate) fn probe(
    found: Found,
    _devices: &Ready,
    _disks: &crate::block::Ready,
    _interrupts: &crate::init::InterruptsEnabled,
) -> Probed {
    pci::init(found.0);
    Probed(())
}

/// The disks that are there are known: [`probe`] has run.
pub(crate) struct Probed(());
