//! The vectors of device interrupts, their handlers and their counts.

use super::IrqError;
use crate::sync::IrqSpinLock;
use alloc::{boxed::Box, vec, vec::Vec};

/// First vector for devices; exceptions and the old controllers are below.
const FIRST: u8 = 0x30;
/// End of the vectors for devices; the timer and the CPUs among themselves are above.
const END: u8 = 0xf0;

/// Called for each interrupt, with interrupts disabled.
type Handler = Box<dyn Fn() + Send + Sync>;

struct Slot {
    is_allocated: bool,
    name: &'static str,
    handler: Option<Handler>,
    /// Interrupts on each CPU.
    counts: Vec<u64>,
}

static SLOTS: [IrqSpinLock<Slot>; (END - FIRST) as usize] = [const {
    IrqSpinLock::new("irq line", Slot { is_allocated: false, name: "", handler: None, counts: Vec::new() })
}; (END - FIRST) as usize];

/// A vector that belongs to its holder.
pub(super) struct Vector(u8);

impl Vector {
    /// Takes a free one.
    pub(super) fn allocate() -> Result<Vector, IrqError> {
        let counts = vec![0; crate::cpu::count()];
        for (number, slot) in (FIRST..END).zip(&SLOTS) {
            let mut slot = slot.lock();
            if !slot.is_allocated {
                slot.is_allocated = true;
                slot.counts = counts;
                return Ok(Vector(number));
            }
        }
        Err(IrqError::NoVector)
    }

    pub(super) fn number(&self) -> u8 {
        self.0
    }

    pub(super) fn set_handler(&self, name: &'static str, handler: Handler) {
        let mut slot = self.slot().lock();
        slot.name = name;
        let old = slot.handler.replace(handler);
        drop(slot);
        drop(old);
    }

    fn slot(&self) -> &'static IrqSpinLock<Slot> {
        &SLOTS[usize::from(self.0 - FIRST)]
    }
}

impl Drop for Vector {
    fn drop(&mut self) {
        let mut slot = self.slot().lock();
        let handler = slot.handler.take();
        let counts = core::mem::take(&mut slot.counts);
        slot.is_allocated = false;
        drop(slot);
        // What the handler owns is dropped with interrupts as they were.
        drop((handler, counts));
    }
}

/// Handles an interrupt of a device: called by the trap path, with interrupts disabled.
/// A vector without handler is counted and otherwise ignored: its line was just given back.
pub(crate) fn dispatch(vector: u8) {
    if let Some(slot) = vector.checked_sub(FIRST).and_then(|index| SLOTS.get(usize::from(index))) {
        let mut slot = slot.lock();
        if let Some(count) = slot.counts.get_mut(crate::cpu::current_id()) {
            *count += 1;
        }
        if let Some(handler) = &slot.handler {
            handler();
        }
    }
    crate::cpu::apic::end_of_interrupt();
}

/// For /proc/interrupts: visits (vector, name, counts for each CPU). Allocates no memory; `visit` must not sleep.
pub fn visit_lines(visit: &mut dyn FnMut(u8, &'static str, &[u64])) {
    for (number, slot) in (FIRST..END).zip(&SLOTS) {
        let slot = slot.lock();
        if slot.is_allocated {
            visit(number, slot.name, &slot.counts);
        }
    }
}
