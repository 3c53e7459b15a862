//! I/O APICs: inputs that become vectors.
//!
//! Each input has a redirection entry of two registers, reached through an index and a data register
//! (82093AA data sheet, section 3). Each controller has a lock of its own, since an access is two steps.

use super::{IrqError, Trigger};
use crate::acpi;
use crate::addr::PhysAddr;
use crate::mm::Mmio;
use crate::sync::{IrqSpinLock, Once};
use alloc::vec::Vec;

/// Memory-mapped registers: index and data.
const SELECT: usize = 0x00;
const WINDOW: usize = 0x10;
/// Length of the register page that is used.
const LENGTH: usize = 0x20;

/// Indexed registers.
const VERSION: u32 = 0x01;
const REDIRECTION: u32 = 0x10;

/// Bits of a redirection entry's low half; delivery mode "fixed" and destination mode "physical" are zero.
const DELIVER_NMI: u32 = 4 << 8;
const ACTIVE_LOW: u32 = 1 << 13;
const LEVEL: u32 = 1 << 15;
const MASKED: u32 = 1 << 16;

/// The number of ISA interrupts.
const ISA_LINES: u8 = 16;

struct IoApic {
    registers: Mmio,
    /// Global number of input 0.
    first_interrupt: u32,
    /// Which inputs are claimed.
    claimed: Vec<bool>,
}

static IO_APICS: Once<Vec<IrqSpinLock<IoApic>>> = Once::new();

/// Maps the controllers that the MADT lists and masks all inputs but those that are non-maskable interrupts: these go
/// to the boot CPU, and nobody can claim them.
pub(super) fn init() {
    let interrupts = &acpi::platform().interrupts;
    IO_APICS.call_once(|| {
        let listed = &interrupts.io_apics;
        listed.iter().filter_map(IoApic::new).map(|apic| IrqSpinLock::new("ioapic", apic)).collect()
    });
    for source in &interrupts.nmi_sources {
        if let Ok(input) = Input::claim(source.interrupt, trigger(source.is_level, source.is_active_low)) {
            let mode = DELIVER_NMI | mode(input.trigger);
            input.apic.lock().redirect(input.index, mode, crate::cpu::apic::boot_id() as u8);
            core::mem::forget(input);
        }
    }
}

fn trigger(is_level: bool, is_active_low: bool) -> Trigger {
    match (is_level, is_active_low) {
        (false, false) => Trigger::RisingEdge,
        (false, true) => Trigger::FallingEdge,
        (true, false) => Trigger::HighLevel,
        (true, true) => Trigger::LowLevel,
    }
}

/// Where an ISA interrupt arrives, and how: one to one, high and by edges, unless the MADT says otherwise.
pub(super) fn route_isa(irq: u8) -> Result<(u32, Trigger), IrqError> {
    if irq >= ISA_LINES {
        return Err(IrqError::NoSuchLine);
    }
    let overrides = &acpi::platform().interrupts.overrides;
    Ok(match overrides.iter().find(|o| o.isa_irq == irq) {
        None => (irq.into(), Trigger::RisingEdge),
        Some(line) => (line.interrupt, trigger(line.is_level, line.is_active_low)),
    })
}

/// How many inputs there are: global numbers end there.
pub(super) fn inputs() -> u32 {
    let ends = IO_APICS.get().into_iter().flatten().map(|apic| {
        let apic = apic.lock();
        apic.first_interrupt + apic.claimed.len() as u32
    });
    ends.max().unwrap_or(0)
}

/// An input that belongs to its holder.
pub(super) struct Input {
    apic: &'static IrqSpinLock<IoApic>,
    index: usize,
    interrupt: u32,
    trigger: Trigger,
}

impl Input {
    /// Takes an input; it stays masked.
    pub(super) fn claim(interrupt: u32, trigger: Trigger) -> Result<Input, IrqError> {
        for apic in IO_APICS.get().map_or(&[][..], |apics| &apics[..]) {
            let mut locked = apic.lock();
            let Some(index) = interrupt.checked_sub(locked.first_interrupt).map(|index| index as usize)
            else {
                continue;
            };
            match locked.claimed.get_mut(index) {
                None => continue,
                Some(true) => return Err(IrqError::Claimed),
                Some(claimed) => *claimed = true,
            }
            drop(locked);
            return Ok(Input { apic, index, interrupt, trigger });
        }
        Err(IrqError::NoSuchLine)
    }

    /// Its global number.
    pub(super) fn interrupt(&self) -> u32 {
        self.interrupt
    }

    /// When it asks for service.
    pub(super) fn trigger(&self) -> Trigger {
        self.trigger
    }

    /// Keeps its interrupts back. A level stays noted at the line itself, an edge is lost.
    pub(super) fn mask(&self) {
        self.apic.lock().redirect(self.index, MASKED, 0);
    }

    /// Sends the input's interrupts to a CPU, as `vector`.
    pub(super) fn unmask(&self, vector: u8, apic_id: u8) {
        let mode = mode(self.trigger);
        let apic = self.apic.lock();
        apic.redirect(self.index, u32::from(vector) | mode, apic_id);
    }
}

/// The bits of a redirection entry for a way to ask for service.
fn mode(trigger: Trigger) -> u32 {
    match trigger {
        Trigger::RisingEdge => 0,
        Trigger::FallingEdge => ACTIVE_LOW,
        Trigger::HighLevel => LEVEL,
        Trigger::LowLevel => LEVEL | ACTIVE_LOW,
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        let mut apic = self.apic.lock();
        apic.redirect(self.index, MASKED, 0);
        apic.claimed[self.index] = false;
    }
}

impl IoApic {
    fn new(listed: &acpi::IoApic) -> Option<IoApic> {
        let registers = Mmio::map(PhysAddr::new(listed.address.into()), LENGTH)?;
        let mut apic = IoApic { registers, first_interrupt: listed.first_interrupt, claimed: Vec::new() };
        let inputs = (apic.read(VERSION) >> 16 & 0xff) as usize + 1;
        apic.claimed.resize(inputs, false);
        for index in 0..inputs {
            apic.redirect(index, MASKED, 0);
        }
        Some(apic)
    }

    /// Writes an entry; masked in between, so that no half of it is ever in force.
    fn redirect(&self, index: usize, low: u32, apic_id: u8) {
        let register = REDIRECTION + 2 * index as u32;
        self.write(register, MASKED);
        self.write(register + 1, u32::from(apic_id) << 24);
        self.write(register, low);
    }

    fn read(&self, register: u32) -> u32 {
        self.registers.write::<u32>(SELECT, register);
        self.registers.read(WINDOW)
    }

    fn write(&self, register: u32, value: u32) {
        self.registers.write::<u32>(SELECT, register);
        self.registers.write::<u32>(WINDOW, value);
    }
}
