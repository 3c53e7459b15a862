//! A pair of queues: a ring of commands that the controller reads and a ring of completions that it writes (section 4).
//!
//! A completion is new if its phase bit differs from the last round's. Each ring has one more place than there are
//! commands under way, so neither ever overflows.

use super::wire::{COMMAND_LENGTH, COMPLETION_LENGTH, Status, Words};
use crate::error::Result;
use machine::mm::{DmaBuffer, Mmio, device_barrier};

/// A pair, without a lock.
pub(super) struct Pair {
    commands: DmaBuffer,
    completions: DmaBuffer,
    /// Places of each ring.
    places: u16,
    /// Where the next command goes, and up to which the controller was told.
    tail: u16,
    told: u16,
    /// Where the next completion comes, and the phase bit that it will have.
    head: u16,
    phase: bool,
    submission_bell: Mmio,
    completion_bell: Mmio,
}

/// A command that ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Completion {
    /// The command's number.
    pub(super) number: u16,
    pub(super) status: Status,
    /// The first word, which means something for a few commands.
    pub(super) result: u32,
}

impl Pair {
    /// Rings of so many places. The bells are the registers that tell the controller of new positions.
    pub(super) fn new(places: u16, submission_bell: Mmio, completion_bell: Mmio) -> Result<Self> {
        let commands = DmaBuffer::allocate(usize::from(places) * COMMAND_LENGTH)?;
        let completions = DmaBuffer::allocate(usize::from(places) * COMPLETION_LENGTH)?;
        let (tail, told, head, phase) = (0, 0, 0, true);
        Ok(Self { commands, completions, places, tail, told, head, phase, submission_bell, completion_bell })
    }

    /// Makes both rings as new, for a controller that was reset and does not use them now.
    pub(super) fn restart(&mut self) {
        for place in 0..usize::from(self.places) {
            self.completions.store(place * COMPLETION_LENGTH + 12, 0_u32);
        }
        (self.tail, self.told, self.head, self.phase) = (0, 0, 0, true);
    }

    /// Places of each ring.
    pub(super) fn places(&self) -> u16 {
        self.places
    }

    /// Where the controller finds the rings of commands and of completions.
    pub(super) fn addresses(&self) -> (u64, u64) {
        (self.commands.address().as_u64(), self.completions.address().as_u64())
    }

    /// Puts a command into its ring. The caller sees to it that there are fewer under way than there are places.
    pub(super) fn push(&mut self, command: &Words) {
        let start = usize::from(self.tail) * COMMAND_LENGTH;
        for (index, word) in command.iter().enumerate() {
            self.commands.store(start + 4 * index, *word);
        }
        self.tail = self.after(self.tail);
    }

    /// Tells the controller of new commands.
    pub(super) fn ring(&mut self) {
        if self.told != self.tail {
            self.told = self.tail;
            device_barrier();
            self.submission_bell.write(0, u32::from(self.tail));
        }
    }

    /// The next completion, if there is one.
    pub(super) fn pop(&mut self) -> Option<Completion> {
        let start = usize::from(self.head) * COMPLETION_LENGTH;
        let last: u32 = self.completions.load(start + 12);
        if (last >> 16 & 1 != 0) != self.phase {
            return None;
        }
        // The phase is read before the rest.
        device_barrier();
        let result = self.completions.load(start);
        self.head = self.after(self.head);
        self.phase ^= self.head == 0;
        Some(Completion { number: last as u16, status: Status((last >> 17) as u16), result })
    }

    /// Tells the controller which completions were taken.
    pub(super) fn acknowledge(&self) {
        self.completion_bell.write(0, u32::from(self.head));
    }

    fn after(&self, place: u16) -> u16 {
        if place + 1 == self.places { 0 } else { place + 1 }
    }
}
