//! The name of a lock, and the points at which it is checked.
//!
//! Every lock has a [`Watch`] and tells it what happens to it: [`will_lock`](Watch::will_lock) before it waits,
//! [`locked`](Watch::locked) or [`locked_at_once`](Watch::locked_at_once) when it has been taken,
//! [`unlocked`](Watch::unlocked) when it has been given back. In release builds these are nothing.

use super::Place;
use super::checks;

/// How a lock waits, which says who holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It spins; a CPU holds it.
    Spin,
    /// It spins and keeps interrupts away; a CPU holds it.
    IrqSpin,
    /// It sleeps; a task holds it.
    Sleeping,
}

/// A taking of a lock.
#[derive(Clone, Copy, Debug)]
pub struct Taking {
    /// The kind of the lock.
    pub kind: Kind,
    /// How deep it is nested in others of its class, if it is on purpose.
    pub depth: u8,
    /// Where it is taken.
    pub place: Place,
}

/// See the module.
pub struct Watch {
    pub(super) name: &'static str,
    #[cfg_attr(
        not(debug_assertions),
        expect(dead_code, reason = "only the checks of debug builds tell classes apart")
    )]
    pub(super) class: checks::ClassCell,
}

impl Watch {
    /// For a lock of the class `name`.
    pub const fn new(name: &'static str) -> Watch {
        Watch { name, class: checks::ClassCell::new() }
    }

    /// The name of its class.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The caller is going to take the lock, and waits if it has to.
    #[inline(always)]
    pub fn will_lock(&self, taking: Taking) {
        checks::will_lock(self, taking);
    }

    /// The caller, who has said so, has taken the lock.
    #[inline(always)]
    pub fn locked(&self, taking: Taking) {
        checks::locked(self, taking);
    }

    /// The caller has taken the lock without waiting.
    #[inline(always)]
    pub fn locked_at_once(&self, taking: Taking) {
        checks::locked_at_once(self, taking);
    }

    /// The caller has to wait for the lock.
    #[inline(always)]
    pub fn contended(&self) {
        checks::contended(self);
    }

    /// The caller gives the lock back.
    #[inline(always)]
    pub fn unlocked(&self, kind: Kind) {
        checks::unlocked(self, kind);
    }
}
