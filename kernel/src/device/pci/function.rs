//! A PCI function that was claimed: the only way to its registers.

use super::{PciDevice, Space, interrupt::Interrupts};
use crate::error::{Error, Result};
use abi::errno::Errno;
use alloc::sync::Arc;
use machine::addr::PhysAddr;
use machine::mm::Mmio;
use pci_config::{Bar, Capability, ConfigSpace, register, register::command};

/// Exclusive use of a function. Dropping it ends all that the function does by itself (memory access, interrupts)
/// and gives it back; so whoever owns memory that the function may write drops that memory afterwards.
pub(crate) struct PciFunction {
    device: Arc<PciDevice>,
}

impl PciFunction {
    pub(super) fn new(device: Arc<PciDevice>) -> Self {
        let function = Self { device };
        function.change_command(command::INTERRUPT_DISABLE, command::BUS_MASTER);
        function
    }

    /// What was known of it without claiming it.
    pub(crate) fn device(&self) -> &Arc<PciDevice> {
        &self.device
    }

    /// Maps the registers that base address register `index` tells of.
    pub(crate) fn map_bar(&self, index: usize) -> Result<Mmio> {
        let Some(Some(Bar::Memory { address, length, .. })) = self.device.bars().get(index) else {
            return Err(Error::new(Errno::ENODEV, "no memory behind this base address register"));
        };
        if *address == 0 {
            return Err(Error::new(Errno::ENODEV, "firmware gave the registers no address"));
        }
        let start = PhysAddr::try_new(*address).ok();
        let length = usize::try_from(*length).ok();
        self.change_command(command::MEMORY, 0);
        start
            .zip(length)
            .and_then(|(start, length)| Mmio::map(start, length))
            .ok_or(Error::new(Errno::ENODEV, "the registers cannot be mapped"))
    }

    /// Reads a double word of a capability, `offset` bytes from its start.
    pub(crate) fn read_capability(&self, capability: Capability, offset: u16) -> u32 {
        Space.read(self.device.function().address, (capability.offset + offset).min(252) & !3)
    }

    /// Lets the function read and write memory on its own.
    pub(crate) fn enable_bus_mastering(&self) {
        self.change_command(command::BUS_MASTER, 0);
    }

    /// Keeps the function from memory.
    pub(crate) fn disable_bus_mastering(&self) {
        self.change_command(0, command::BUS_MASTER);
    }

    /// Sets up to `wanted` interrupts: as many as there are messages for, or the one wired line.
    pub(crate) fn interrupts(&self, wanted: usize) -> Result<Interrupts> {
        Interrupts::new(self, wanted)
    }

    /// Sets and clears bits of the command register. (The status half is written as zero, which changes nothing.)
    pub(super) fn change_command(&self, set: u16, clear: u16) {
        let address = self.device.function().address;
        let old = Space.read_u16(address, register::COMMAND);
        Space.write(address, register::COMMAND, u32::from(old & !clear | set));
    }
}

impl Drop for PciFunction {
    fn drop(&mut self) {
        self.change_command(command::INTERRUPT_DISABLE, command::BUS_MASTER);
        self.device.release();
    }
}
