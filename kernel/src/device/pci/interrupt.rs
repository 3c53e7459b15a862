//! Interrupts of a function: messages (MSI-X, MSI), or its wired line.
//!
//! Messages are preferred: each belongs to one function, needs no look at the device, and MSI-X has several. What a
//! message says is written by the interrupt line itself, whenever it moves to another CPU, through the closure that it
//! is given here.

use super::{PciFunction, Space, routing};
use crate::error::{Error, Result};
use abi::errno::Errno;
use alloc::{boxed::Box, vec::Vec};
use machine::irq::{self, Handled, Handler, IrqError, IrqLine, MsiMessage};
use machine::mm::Mmio;
use pci_config::{Address, Capability, msi::Msi, msix, register::command};

/// The interrupts of a function, each with a handler of its own. Dropping it silences them.
pub(crate) struct Interrupts {
    // Dropped first: each masks its message or its input.
    lines: Vec<IrqLine>,
    kind: Kind,
}

/// How they arrive.
enum Kind {
    MsiX {
        msix: msix::MsiX,
        address: Address,
    },
    /// One, by a message or by the wired line.
    Single,
}

impl Interrupts {
    pub(super) fn new(function: &PciFunction, wanted: usize) -> Result<Self> {
        let find = |id| function.device().capabilities().iter().find(|capability| capability.id == id);
        match (find(Capability::MSI_X), find(Capability::MSI)) {
            (Some(capability), _) => Self::by_msix(function, *capability, wanted),
            (None, Some(capability)) => Self::by_msi(function, *capability),
            (None, None) => Self::by_line(function),
        }
    }

    fn by_msix(function: &PciFunction, capability: Capability, wanted: usize) -> Result<Self> {
        let address = function.device().function().address;
        let msix = msix::MsiX::read(&Space, address, capability.offset);
        let outside = Error::new(Errno::ENODEV, "the MSI-X table lies outside of its registers");
        let table = function.map_bar(msix.table_bar.into())?;
        let table = table.slice(msix.table_offset as usize, msix.table_length()).ok_or(outside)?;
        msix.set_state(&Space, address, msix::State::Masked);
        for entry in 0..usize::from(msix.entries) {
            table.write(entry * msix::ENTRY_LENGTH + msix::ENTRY_CONTROL, msix::ENTRY_MASKED);
        }
        let mut interrupts = Self { lines: Vec::new(), kind: Kind::MsiX { msix, address } };
        for entry in 0..wanted.min(msix.entries.into()) {
            let entry = table.slice(entry * msix::ENTRY_LENGTH, msix::ENTRY_LENGTH).ok_or(outside)?;
            let write = Box::new(move |message| write_entry(&entry, message));
            interrupts.lines.push(IrqLine::allocate_message(write).map_err(no_line)?);
        }
        msix.set_state(&Space, address, msix::State::On);
        Ok(interrupts)
    }

    fn by_msi(function: &PciFunction, capability: Capability) -> Result<Self> {
        let address = function.device().function().address;
        let msi = Msi::read(&Space, address, capability.offset);
        let write = Box::new(move |message: Option<MsiMessage>| match message {
            Some(message) => msi.send(&Space, address, message.address, message.data as u16),
            None => msi.stop(&Space, address),
        });
        let line = IrqLine::allocate_message(write).map_err(no_line)?;
        Ok(Self { lines: [line].into(), kind: Kind::Single })
    }

    /// The wired line, which other functions may share.
    fn by_line(function: &PciFunction) -> Result<Self> {
        let line = routing::claim(function.device())?;
        function.change_command(0, command::INTERRUPT_DISABLE);
        Ok(Self { lines: [line].into(), kind: Kind::Single })
    }

    /// How many there are; at least one.
    pub(crate) fn count(&self) -> usize {
        self.lines.len()
    }

    /// Whether they are messages by a table, which the device refers to by number.
    pub(crate) fn are_numbered(&self) -> bool {
        matches!(self.kind, Kind::MsiX { .. })
    }

    /// Sets the handler of interrupt `index` and lets it through.
    pub(crate) fn set_handler(&self, index: usize, name: &'static str, handler: Handler) {
        self.lines[index].set_handler(name, handler);
    }
}

impl Interrupts {
    /// Nothing is done any more when they come. On return no handler is running.
    pub(crate) fn silence(&self) {
        for line in &self.lines {
            line.set_handler("gone", Box::new(|| Handled::Yes));
        }
    }

    /// Has interrupt `index` handled by a CPU, if that one runs.
    pub(crate) fn prefer_cpu(&self, index: usize, cpu: usize) {
        if let Err(error) = irq::set_affinity(self.lines[index].number(), 1 << (cpu % 64)) {
            log::debug!("pci: an interrupt cannot be handled by CPU {cpu}: {error:?}");
        }
    }
}

/// Writes an entry of an MSI-X table: masked while it changes.
fn write_entry(entry: &Mmio, message: Option<MsiMessage>) {
    entry.write(msix::ENTRY_CONTROL, msix::ENTRY_MASKED);
    if let Some(message) = message {
        entry.write(msix::ENTRY_ADDRESS_LOW, message.address as u32);
        entry.write(msix::ENTRY_ADDRESS_HIGH, (message.address >> 32) as u32);
        entry.write(msix::ENTRY_DATA, message.data);
        entry.write(msix::ENTRY_CONTROL, 0_u32);
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.lines.clear();
        if let Kind::MsiX { msix, address } = &self.kind {
            msix.set_state(&Space, *address, msix::State::Off);
        }
    }
}

pub(super) fn no_line(error: IrqError) -> Error {
    match error {
        IrqError::Claimed => Error::new(Errno::EBUSY, "the interrupt line is taken"),
        IrqError::NoSuchLine => Error::new(Errno::ENODEV, "there is no such interrupt line"),
        IrqError::NoVector => Error::new(Errno::ENOSPC, "no interrupt vector is left"),
        IrqError::NoCpu => Error::new(Errno::ENODEV, "no CPU can be interrupted"),
    }
}
