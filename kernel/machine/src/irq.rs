//! Interrupt lines of devices: claimed exclusively, given back when dropped.

use alloc::boxed::Box;

/// Why a line cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IrqError {
    /// Somebody else has it.
    Claimed,
    /// There is no such input.
    NoSuchLine,
    /// All vectors are in use.
    NoVector,
}
/// What a message-signalled interrupt writes, and where (Intel SDM vol. 3, 11.11).
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct MsiMessage {
    pub address: u64,
    pub data: u32,
}

/// An interrupt vector with its source. The handler runs with interrupts disabled and must not sleep.
pub struct IrqLine(());
impl IrqLine {
    /// An ISA interrupt (0-15), by the ACPI overrides.
    pub fn claim_isa(irq: u8) -> Result<IrqLine, IrqError> {
        todo!()
    }
    /// A vector for MSI or MSI-X.
    pub fn allocate_msi() -> Result<IrqLine, IrqError> {
        todo!()
    }
    /// What the device must write (MSI lines).
    pub fn message(&self) -> Option<MsiMessage> {
        todo!()
    }
    /// Sets the handler and unmasks the line; `name` is for /proc/interrupts.
    pub fn set_handler(&self, name: &'static str, handler: Box<dyn Fn() + Send + Sync>) {
        todo!()
    }
    /// The vector.
    pub fn vector(&self) -> u8 {
        todo!()
    }
}
/// For /proc/interrupts: visits (vector, name, counts for each CPU).
pub fn visit_lines(visit: &mut dyn FnMut(u8, &'static str, &[u64])) {
    todo!()
}
pub(crate) fn dispatch(_vector: u8) {}
