//! A PCI function that was claimed: the only way to its registers.

use super::{PciDevice, Space, interrupt::Interrupts};
use crate::device::resources::{self, Claim};
use crate::error::{Error, Result};
use abi::errno::Errno;
use alloc::{sync::Arc, vec::Vec};
use machine::addr::PhysAddr;
use machine::mm::Mmio;
use machine::sync::SpinLock;
use pci_config::{Bar, Capability, ConfigSpace, Kind, register, register::command};

/// Exclusive use of a function. Dropping it ends all that the function does by itself (memory access, interrupts)
/// and gives it back; so whoever owns memory that the function may write drops that memory afterwards.
pub(crate) struct PciFunction {
    device: Arc<PciDevice>,
    owner: &'static str,
    /// By base address register: what was taken, and the registers if they are mapped.
    bars: SpinLock<Vec<(usize, Claim)>>,
}

impl PciFunction {
    pub(super) fn new(device: Arc<PciDevice>, owner: &'static str) -> Self {
        let bars = SpinLock::new("pci registers", Vec::new());
        let function = Self { device, owner, bars };
        function.quiet();
        function
    }

    /// What was known of it without claiming it.
    pub(crate) fn device(&self) -> &Arc<PciDevice> {
        &self.device
    }

    /// Takes the memory that base address register `index` tells of, for as long as the function is claimed: its address and
    /// length in bytes.
    ///
    /// # Errors
    /// ENODEV if there is none or firmware gave it no address; EBUSY if somebody else has a part of it.
    pub(crate) fn take_bar(&self, index: usize) -> Result<(PhysAddr, usize)> {
        let Some(Some(Bar::Memory { address, length, .. })) = self.device.bars().get(index) else {
            return Err(Error::new(Errno::ENODEV, "no memory behind this base address register"));
        };
        if *address == 0 {
            return Err(Error::new(Errno::ENODEV, "firmware gave the registers no address"));
        }
        let unusable = Error::new(Errno::ENODEV, "no address of this machine");
        let start = PhysAddr::try_new(*address).map_err(|_| unusable)?;
        let bytes = usize::try_from(*length).map_err(|_| unusable)?;
        let mut bars = self.bars.lock();
        if bars.iter().all(|(known, _)| *known != index) {
            let claim = resources::claim(*address, *length, self.owner)?;
            bars.push((index, claim));
        }
        drop(bars);
        self.change_command(command::MEMORY, 0);
        Ok((start, bytes))
    }

    /// Takes them and maps them as registers. Structures that share them may do so several times.
    ///
    /// # Errors
    /// Those of [`take_bar`](Self::take_bar); ENODEV if they cannot be mapped.
    pub(crate) fn map_bar(&self, index: usize) -> Result<Mmio> {
        let (start, length) = self.take_bar(index)?;
        Mmio::map(start, length).ok_or(Error::new(Errno::ENODEV, "the registers cannot be mapped"))
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

    /// Ends what it does by itself. What a bridge passes on is not its own doing, so that goes on.
    fn quiet(&self) {
        let is_bridge = matches!(self.device.function().kind, Kind::Bridge(_));
        self.change_command(command::INTERRUPT_DISABLE, if is_bridge { 0 } else { command::BUS_MASTER });
    }

    /// Sets and clears bits of the command register.
    pub(super) fn change_command(&self, set: u16, clear: u16) {
        let address = self.device.function().address;
        let old = Space.read_u16(address, register::COMMAND);
        Space.write_u16(address, register::COMMAND, old & !clear | set);
    }
}

impl Drop for PciFunction {
    fn drop(&mut self) {
        self.quiet();
        self.device.release();
    }
}
