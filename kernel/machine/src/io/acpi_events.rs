//! ACPI's registers of events: which have happened, and which interrupt (ACPI 6.5, section 4.8.4).
//!
//! Fixed events have a meaning that the specification gives them; of these the power button is used. What the others, general-purpose
//! events, mean knows the firmware's code. An event that has interrupted is [taken](EventRegisters::take): it does not
//! interrupt again until it is [armed](EventRegisters::arm) anew.
//!
//! # Soundness
//! The port numbers come from ACPI's FADT, which is trusted as firmware is: behind them are registers of events, with which no
//! memory can be reached. A lock keeps changes of one register apart.

use super::port;
use crate::sync::IrqSpinLock;
use acpi_tables::fadt::{Events, Fadt, Register};
use alloc::vec::Vec;

/// Bits of the fixed events' registers.
const POWER_BUTTON: u16 = 1 << 8;
/// In PM1a's control register: ACPI's registers are used, not the firmware's own mode.
const ACPI_MODE: u16 = 1;
/// How long the change to that mode may take.
const MODE_LIMIT_NS: u64 = 3_000_000_000;

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody pressed the power button.
    PowerButton,
    /// A general-purpose event of this number.
    General(u8),
}

/// Held while registers change.
static LOCK: IrqSpinLock<()> = IrqSpinLock::new("acpi events", ());

/// The registers.
#[derive(Debug)]
pub struct EventRegisters {
    interrupt: u16,
    has_power_button: bool,
    /// Ports of the blocks of fixed events.
    fixed: Vec<u16>,
    /// Bytes of half such a block.
    fixed_half: u16,
    general: Vec<Block>,
    /// The control register, the port that asks for ACPI's mode, and what is written there.
    control: u16,
    mode_port: u16,
    mode_value: u8,
}

/// A block of general-purpose events: `bytes` that say what has happened, and as many behind them that say what interrupts.
#[derive(Clone, Copy, Debug)]
struct Block {
    port: u16,
    bytes: u16,
    first: u16,
}

impl EventRegisters {
    /// Those of a machine that has them, in ports.
    pub(crate) fn of(fadt: &Fadt) -> Option<Self> {
        let port = |register| match register {
            Register::Port(port) => Some(port),
            _ => None,
        };
        let Events { interrupt, fixed, fixed_length, general, has_power_button } = fadt.events?;
        let block = |(register, length, first): (Register, u8, u8)| {
            Some(Block { port: port(register)?, bytes: u16::from(length / 2), first: first.into() })
        };
        Some(Self {
            interrupt,
            has_power_button,
            fixed: fixed.into_iter().flatten().filter_map(port).collect(),
            fixed_half: u16::from(fixed_length / 2),
            general: general.into_iter().flatten().filter_map(block).collect(),
            control: fadt.pm1a_control.and_then(port)?,
            mode_port: fadt.smi_command_port,
            mode_value: fadt.acpi_enable,
        })
    }

    /// The ISA interrupt that tells of events.
    pub fn interrupt(&self) -> u16 {
        self.interrupt
    }

    /// Has the chipset tell us of events, and not the firmware. `false`: it does not. May take a while.
    pub fn take_over(&self) -> bool {
        // SAFETY: see Soundness.
        let is_ours = || unsafe { port::read_u16(self.control) } & ACPI_MODE != 0;
        if !is_ours() && self.mode_port != 0 && self.mode_value != 0 {
            // SAFETY: the FADT says that this asks for ACPI's mode, and does nothing else.
            unsafe { port::write_u8(self.mode_port, self.mode_value) };
            let deadline = crate::time::monotonic_ns() + MODE_LIMIT_NS;
            while !is_ours() && crate::time::monotonic_ns() < deadline {
                core::hint::spin_loop();
            }
        }
        is_ours()
    }

    /// Lets nothing interrupt.
    pub fn disarm_all(&self) {
        let _lock = LOCK.lock();
        for fixed in &self.fixed {
            // SAFETY: see Soundness.
            unsafe { port::write_u16(fixed.wrapping_add(self.fixed_half), 0) };
        }
        for Block { port, bytes, .. } in &self.general {
            for at in 0..*bytes {
                // SAFETY: see Soundness.
                unsafe { port::write_u8(port.wrapping_add(bytes + at), 0) };
            }
        }
    }

    /// Has an event interrupt from now on; at once if it has happened and is not [forgotten](Self::forget). One that there is not
    /// is left alone.
    pub fn arm(&self, event: Event) {
        let _lock = LOCK.lock();
        match event {
            Event::PowerButton => {
                for fixed in self.fixed.iter().filter(|_| self.has_power_button) {
                    let enable = fixed.wrapping_add(self.fixed_half);
                    // SAFETY: see Soundness.
                    let old = unsafe { port::read_u16(enable) };
                    // SAFETY: see Soundness.
                    unsafe { port::write_u16(enable, old | POWER_BUTTON) };
                }
            }
            Event::General(number) => {
                if let Some((block, at, bit)) = self.place(number) {
                    let enable = block.port.wrapping_add(block.bytes + at);
                    // SAFETY: see Soundness.
                    let old = unsafe { port::read_u8(enable) };
                    // SAFETY: see Soundness.
                    unsafe { port::write_u8(enable, old | bit) };
                }
            }
        }
    }

    /// Forgets that an event has happened.
    pub fn forget(&self, event: Event) {
        match event {
            Event::PowerButton => {
                for fixed in &self.fixed {
                    // SAFETY: see Soundness.
                    unsafe { port::write_u16(*fixed, POWER_BUTTON) };
                }
            }
            Event::General(number) => {
                if let Some((block, at, bit)) = self.place(number) {
                    // SAFETY: see Soundness.
                    unsafe { port::write_u8(block.port.wrapping_add(at), bit) };
                }
            }
        }
    }

    /// Calls `act` with each event that interrupts now. The general-purpose ones do not any more, the power button is forgotten. Any
    /// context.
    pub fn take(&self, act: &mut dyn FnMut(Event)) {
        let _lock = LOCK.lock();
        for fixed in &self.fixed {
            // SAFETY: see Soundness.
            let status = unsafe { port::read_u16(*fixed) };
            // SAFETY: see Soundness.
            let enabled = unsafe { port::read_u16(fixed.wrapping_add(self.fixed_half)) };
            let active = status & enabled;
            if active != 0 {
                // SAFETY: see Soundness.
                unsafe { port::write_u16(*fixed, active) };
            }
            if active & POWER_BUTTON != 0 {
                act(Event::PowerButton);
            }
        }
        for Block { port, bytes, first } in &self.general {
            for at in 0..*bytes {
                let enable = port.wrapping_add(bytes + at);
                // SAFETY: see Soundness.
                let status = unsafe { port::read_u8(port.wrapping_add(at)) };
                // SAFETY: see Soundness.
                let enabled = unsafe { port::read_u8(enable) };
                let active = status & enabled;
                if active == 0 {
                    continue;
                }
                // SAFETY: see Soundness.
                unsafe { port::write_u8(enable, enabled & !active) };
                for bit in (0..8).filter(|bit| active & 1 << bit != 0) {
                    if let Ok(number) = u8::try_from(first + at * 8 + bit) {
                        act(Event::General(number));
                    }
                }
            }
        }
    }

    /// The block of an event, the byte in it, and the bit in that.
    fn place(&self, number: u8) -> Option<(Block, u16, u8)> {
        let number = u16::from(number);
        let block = self
            .general
            .iter()
            .find(|block| number.checked_sub(block.first).is_some_and(|index| index / 8 < block.bytes))?;
        let index = number - block.first;
        Some((*block, index / 8, 1 << (index % 8)))
    }
}
