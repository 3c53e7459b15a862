//! Interrupts of a function: messages by its MSI-X table, or its wired line.

use super::{PciFunction, Space};
use crate::error::{Error, Result};
use abi::errno::Errno;
use alloc::{boxed::Box, vec::Vec};
use machine::irq::{IrqError, IrqLine};
use machine::mm::Mmio;
use pci_config::{Capability, msix, register::command};

/// The interrupts of a function, each with a handler of its own. Dropping it silences them.
pub(crate) struct Interrupts {
    /// The lines; with messages, number n belongs to entry n of the table.
    lines: Vec<IrqLine>,
    messages: Option<Messages>,
}

/// The MSI-X side.
struct Messages {
    table: Mmio,
    msix: msix::MsiX,
    address: pci_config::Address,
}

impl Interrupts {
    pub(super) fn new(function: &PciFunction, wanted: usize) -> Result<Self> {
        let mut capabilities = function.device().capabilities().iter();
        match capabilities.find(|capability| capability.id == Capability::MSI_X) {
            Some(capability) => Self::by_messages(function, *capability, wanted),
            None => Self::by_line(function),
        }
    }

    fn by_messages(function: &PciFunction, capability: Capability, wanted: usize) -> Result<Self> {
        let address = function.device().function().address;
        let msix = msix::MsiX::read(&Space, address, capability.offset);
        let table = function
            .map_bar(msix.table_bar.into())?
            .slice(msix.table_offset as usize, msix.table_length())
            .ok_or(Error::new(Errno::ENODEV, "the MSI-X table lies outside of its registers"))?;
        let mut lines = Vec::new();
        for _ in 0..wanted.min(msix.entries.into()) {
            lines.push(IrqLine::allocate_msi().map_err(no_line)?);
        }
        msix.set_state(&Space, address, msix::State::Masked);
        for entry in 0..usize::from(msix.entries) {
            table.write(entry * msix::ENTRY_LENGTH + msix::ENTRY_CONTROL, msix::ENTRY_MASKED);
        }
        msix.set_state(&Space, address, msix::State::On);
        Ok(Self { lines, messages: Some(Messages { table, msix, address }) })
    }

    /// The wired line, by the number that firmware noted. It cannot be shared with another function.
    fn by_line(function: &PciFunction) -> Result<Self> {
        let header = function.device().function();
        if header.interrupt_pin == 0 {
            return Err(Error::new(Errno::ENODEV, "the function has no interrupt"));
        }
        let line = IrqLine::claim_isa(header.interrupt_line).map_err(no_line)?;
        function.change_command(0, command::INTERRUPT_DISABLE);
        Ok(Self { lines: [line].into(), messages: None })
    }

    /// How many there are; at least one.
    pub(crate) fn count(&self) -> usize {
        self.lines.len()
    }

    /// Whether they are messages. A wired line must be acknowledged at the device, and may come for any reason.
    pub(crate) fn are_messages(&self) -> bool {
        self.messages.is_some()
    }

    /// Sets the handler of interrupt `index` and lets it through.
    pub(crate) fn set_handler(&self, index: usize, name: &'static str, handler: Box<dyn Fn() + Send + Sync>) {
        let line = &self.lines[index];
        line.set_handler(name, handler);
        if let (Some(Messages { table, .. }), Some(message)) = (&self.messages, line.message()) {
            let entry = index * msix::ENTRY_LENGTH;
            table.write(entry + msix::ENTRY_ADDRESS_LOW, message.address as u32);
            table.write(entry + msix::ENTRY_ADDRESS_HIGH, (message.address >> 32) as u32);
            table.write(entry + msix::ENTRY_DATA, message.data);
            table.write(entry + msix::ENTRY_CONTROL, 0_u32);
        }
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        if let Some(Messages { table, msix, address }) = &self.messages {
            for entry in 0..usize::from(msix.entries) {
                table.write(entry * msix::ENTRY_LENGTH + msix::ENTRY_CONTROL, msix::ENTRY_MASKED);
            }
            msix.set_state(&Space, *address, msix::State::Off);
        }
    }
}

fn no_line(error: IrqError) -> Error {
    match error {
        IrqError::Claimed => Error::new(Errno::EBUSY, "the interrupt line is taken"),
        IrqError::NoSuchLine => Error::new(Errno::ENODEV, "there is no such interrupt line"),
        IrqError::NoVector => Error::new(Errno::ENOSPC, "no interrupt vector is left"),
    }
}
