//! Interrupts of devices: lines that are claimed exclusively and given back when dropped.
//!
//! [`IrqLine`] is a vector of the CPU together with what raises it: an input of an I/O APIC, or a message
//! that the device writes (MSI). How each kind is unmasked, acknowledged and released is decided here, once:
//!
//! | step | I/O APIC input | message |
//! |---|---|---|
//! | claim | input marked as taken, vector allocated, still masked | vector allocated |
//! | `set_handler` | handler stored, then the input is unmasked | handler stored |
//! | interrupt | handler runs, then end of interrupt (a level is over by then) | the same |
//! | drop | input masked, handler removed, vector and input free | handler removed, vector free |
//!
//! A line's lock is held while its handler runs, so after the drop no handler runs any more. Handlers
//! must not touch their own line. All lines go to the boot CPU.

mod ioapic;
mod vector;

use alloc::boxed::Box;

pub(crate) use vector::dispatch;
pub use vector::visit_lines;

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

/// When a wired line asks for service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// When it rises.
    RisingEdge,
    /// When it falls.
    FallingEdge,
    /// While it is high.
    HighLevel,
    /// While it is low.
    LowLevel,
}

/// An interrupt vector with its source. The handler runs with interrupts disabled and must not sleep.
pub struct IrqLine {
    /// Dropped first: the source is silent before the vector is free.
    input: Option<ioapic::Input>,
    vector: vector::Vector,
}

/// Maps the I/O APICs and masks all their inputs. Once, after ACPI is read; the local APIC is up, the
/// controllers of old are silenced.
pub(crate) fn init() {
    ioapic::init();
}

impl IrqLine {
    /// An ISA interrupt (0-15), by the ACPI overrides.
    pub fn claim_isa(irq: u8) -> Result<IrqLine, IrqError> {
        let (interrupt, trigger) = ioapic::route_isa(irq)?;
        Self::claim_wired(interrupt, trigger)
    }

    /// An interrupt by its global number, counted over all I/O APICs.
    pub fn claim_wired(interrupt: u32, trigger: Trigger) -> Result<IrqLine, IrqError> {
        let input = ioapic::Input::claim(interrupt, trigger)?;
        Ok(IrqLine { input: Some(input), vector: vector::Vector::allocate()? })
    }

    /// A vector for MSI or MSI-X.
    pub fn allocate_msi() -> Result<IrqLine, IrqError> {
        Ok(IrqLine { input: None, vector: vector::Vector::allocate()? })
    }

    /// What the device must write (MSI lines).
    pub fn message(&self) -> Option<MsiMessage> {
        // Fixed delivery to one CPU by its physical id, edge-triggered (Intel SDM vol. 3, 11.11.1 and .2).
        self.input.is_none().then(|| MsiMessage {
            address: 0xfee0_0000 | u64::from(target_apic_id()) << 12,
            data: self.vector().into(),
        })
    }

    /// Sets the handler and unmasks the line; `name` is for /proc/interrupts.
    pub fn set_handler(&self, name: &'static str, handler: Box<dyn Fn() + Send + Sync>) {
        self.vector.set_handler(name, handler);
        if let Some(input) = &self.input {
            input.unmask(self.vector(), target_apic_id());
        }
    }

    /// The vector.
    pub fn vector(&self) -> u8 {
        self.vector.number()
    }
}

/// The local APIC of the CPU that gets all device interrupts: the boot CPU's. Its number fits in the eight
/// bits that I/O APICs and messages have for it on every machine without interrupt remapping.
fn target_apic_id() -> u8 {
    crate::cpu::apic::boot_id() as u8
}
