//! Interrupts of devices: lines that are claimed, one by one or together, and given back when dropped.
//!
//! [`IrqLine`] is a claim on a vector of the CPUs together with what raises it: an input of an I/O APIC, a message
//! that the device writes (MSI, MSI-X), or software. What each kind needs is decided here, once:
//!
//! | step | input, by edges | input, by level | message |
//! |---|---|---|---|
//! | claim | vector allocated; input taken, masked | the same | vector allocated; masked at the device |
//! | first handler | input sent to a CPU, unmasked | the same | address and data written, unmasked |
//! | interrupt | end of interrupt, then the handlers: an edge that comes meanwhile is not lost | the handlers, then end of interrupt: the level is over by then | as by edges |
//! | move to a CPU | masked, redirected, unmasked | the same; no handler runs then, so none waits for its end | masked, rewritten, unmasked |
//! | last drop | masked, input and vector free | the same | masked, vector free |
//!
//! A line has a lock of its own, held while its handlers run: after the drop no handler runs any more, and a handler
//! must not touch its own line. A line is exclusive, unless all who claim it say that they share it.
//!
//! No line can hang the machine. One whose interrupts nobody wants is disabled, one that interrupts all the time is
//! kept quiet for moments ([`storm`]); both is said in the log. Lines are spread over the CPUs; /proc/irq moves them.

mod ioapic;
mod line;
mod storm;

use alloc::{boxed::Box, vec::Vec};

pub(crate) use line::{dispatch, report_stray, resume_throttled};
pub use line::{lines, set_affinity};

/// Why a line cannot be had, or not be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IrqError {
    /// Somebody else has it, and does not share it.
    Claimed,
    /// There is no such input, or no line with this number.
    NoSuchLine,
    /// All vectors are in use.
    NoVector,
    /// None of the CPUs wanted can get it.
    NoCpu,
}

/// Whether others may claim the same line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nobody else.
    Exclusive,
    /// Everybody who says the same.
    Shared,
}

/// What a message-signalled interrupt writes, and where (Intel SDM vol. 3, 11.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl Trigger {
    fn is_level(self) -> bool {
        matches!(self, Self::HighLevel | Self::LowLevel)
    }
}

/// What a handler found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// Its device had asked for it.
    Yes,
    /// Not its device.
    No,
}

/// What is called for an interrupt, with interrupts disabled. Must not sleep, nor touch its own line.
pub type Handler = Box<dyn Fn() -> Handled + Send + Sync>;

/// Makes a device send this message from now on; `None`: nothing.
pub type MessageWriter = Box<dyn Fn(Option<MsiMessage>) + Send + Sync>;

/// A claim on an interrupt line.
pub struct IrqLine(line::Claimed);

/// Maps the I/O APICs and masks all their inputs. Once, after ACPI is read; the local APIC is up, the
/// controllers of old are silenced.
pub(crate) fn init() {
    ioapic::init();
}

impl IrqLine {
    /// An ISA interrupt (0-15), by the ACPI overrides.
    pub fn claim_isa(irq: u8, claim: Claim) -> Result<IrqLine, IrqError> {
        let (interrupt, trigger) = ioapic::route_isa(irq)?;
        line::Claimed::wired(irq.into(), interrupt, trigger, claim).map(IrqLine)
    }

    /// An interrupt by its global number, counted over all I/O APICs. A shared one must be claimed with the same
    /// trigger by all.
    pub fn claim_wired(interrupt: u32, trigger: Trigger, claim: Claim) -> Result<IrqLine, IrqError> {
        line::Claimed::wired(interrupt, interrupt, trigger, claim).map(IrqLine)
    }

    /// A vector for a message; `write` puts it where the device looks. It is called with `None` at once, and must not
    /// touch any line.
    pub fn allocate_message(write: MessageWriter) -> Result<IrqLine, IrqError> {
        line::Claimed::message(write).map(IrqLine)
    }

    /// A vector that only [`raise`](Self::raise) raises.
    pub fn allocate_software() -> Result<IrqLine, IrqError> {
        line::Claimed::software().map(IrqLine)
    }

    /// Interrupts the CPU that a software line is for, unless the line is disabled. Nothing for other kinds.
    /// Unlike the rest, this may be called in the line's own handler.
    pub fn raise(&self) {
        self.0.raise();
    }

    /// Sets the handler of this claim and lets interrupts through; `name` is for /proc/interrupts.
    pub fn set_handler(&self, name: &'static str, handler: Handler) {
        self.0.set_handler(name, handler);
    }

    /// The number under which /proc/interrupts and /proc/irq know it.
    pub fn number(&self) -> u32 {
        self.0.number()
    }

    /// The vector.
    pub fn vector(&self) -> u8 {
        self.0.vector()
    }
}

/// A line that is claimed, for /proc.
#[derive(Clone, Debug)]
pub struct LineInfo {
    /// Its number.
    pub number: u32,
    /// "IO-APIC", "PCI-MSI" or "software".
    pub chip: &'static str,
    /// "edge" or "fasteoi", as Linux calls the two orders of handling.
    pub flow: &'static str,
    /// The input of the I/O APICs, or the vector.
    pub input: u32,
    /// Who has a handler.
    pub names: Vec<&'static str>,
    /// Interrupts on each CPU.
    pub counts: Vec<u64>,
    /// Interrupts that no handler wanted.
    pub unhandled: u64,
    /// The CPUs that may get it, as a mask.
    pub affinity: u64,
    /// The CPU that gets it.
    pub target: usize,
    /// Whether it was disabled because nobody wanted its interrupts.
    pub is_disabled: bool,
}
