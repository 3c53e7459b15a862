//! Which locks are held and waited for, for panic reports and for whoever asks.

use super::{Place, checks, waiting};
use ::lockdep::ClassSet;
use core::fmt::{self, Write};

/// A lock that is held.
#[derive(Clone, Copy, Debug)]
pub struct LockReport {
    /// The name of its class.
    pub name: &'static str,
    /// Where it was taken.
    pub place: Place,
}

/// A class of locks, and how it was used.
#[derive(Clone, Copy, Debug)]
pub struct ClassReport {
    /// Its name.
    pub name: &'static str,
    /// How many times a lock of it was taken.
    pub taken: u64,
    /// How many times it had to be waited for.
    pub contended: u64,
    /// The classes that were taken while it was held.
    pub taken_under: ClassSet,
    /// The classes under which it was taken.
    pub held_over: ClassSet,
    /// Interrupt handlers take it.
    pub in_handlers: bool,
    /// It is taken while interrupts are enabled.
    pub with_interrupts: bool,
}

/// What was seen of all locks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Statistics {
    /// Classes that were used.
    pub classes: usize,
    /// The most classes there can be.
    pub most_classes: usize,
    /// Pairs of classes of which one was taken under the other.
    pub dependencies: usize,
    /// Classes that interrupt handlers take.
    pub in_handlers: usize,
    /// Classes that are taken while interrupts are enabled.
    pub with_interrupts: usize,
    /// The most locks that a task or CPU held at a time.
    pub deepest: usize,
    /// Violations so far.
    pub violations: usize,
}

/// Writes which spin lock each CPU waits for, and in debug builds which ones it holds. Waits for nothing, so panics
/// can call it.
///
/// # Errors
/// Those of `out`.
pub fn write_cpu_locks(out: &mut dyn Write) -> fmt::Result {
    for cpu in 0..crate::cpu::count() {
        waiting::write(out, cpu)?;
        checks::write_held_by_cpu(out, cpu)?;
    }
    Ok(())
}
