//! The locks that a task, a CPU or an interrupt handler holds.

use super::{Class, DEPTH, Place};

/// A lock that somebody holds, or wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldLock {
    /// Its class.
    pub class: Class,
    /// Which of the class: its address.
    pub address: usize,
    /// How deep its holder says it is nested in others of its class; 0: it does not say.
    pub depth: u8,
    /// Where it was, or is to be, taken.
    pub place: Place,
}

/// The locks that a task or CPU holds, the first taken first.
#[derive(Clone, Debug)]
pub struct Held {
    locks: [Option<HeldLock>; DEPTH],
    known: usize,
    /// How many more there are, beyond the depth.
    forgotten: usize,
}

impl Default for Held {
    fn default() -> Held {
        Held::new()
    }
}

impl Held {
    /// None.
    pub const fn new() -> Held {
        Held { locks: [None; DEPTH], known: 0, forgotten: 0 }
    }

    /// Number of locks held.
    pub const fn len(&self) -> usize {
        self.known + self.forgotten
    }

    /// Whether none is held.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The locks, the first taken first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &HeldLock> {
        self.locks.iter().flatten()
    }

    /// Notes a lock that was taken.
    pub fn push(&mut self, lock: HeldLock) {
        match self.locks.get_mut(self.known) {
            Some(slot) => {
                *slot = Some(lock);
                self.known += 1;
            }
            None => self.forgotten += 1,
        }
    }

    /// Notes that a lock was released; any order of releases is fine. `false`: it was not held.
    pub fn release(&mut self, address: usize) -> bool {
        let known = &mut self.locks[..self.known];
        match known.iter().rposition(|lock| lock.is_some_and(|held| held.address == address)) {
            Some(at) => {
                known[at..].rotate_left(1);
                self.known -= 1;
                self.locks[self.known] = None;
            }
            None if self.forgotten > 0 => self.forgotten -= 1,
            None => return false,
        }
        true
    }
}
