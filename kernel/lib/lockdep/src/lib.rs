//! The order in which locks are taken, watched at run time.
//!
//! Each lock belongs to a class. Whoever takes a lock of class B while holding one of class A adds the edge A -> B to a
//! graph. If the graph already leads from B to A, two tasks could wait for each other for ever: that is reported at the
//! first time both orders have been *seen*, long before it happens. An order that is written down beforehand
//! ([`Graph::declare`]) is a set of such edges, too. Reported as well:
//!
//! * taking a lock that is held already, or another one of its class, unless the class nests ([`Nesting`]);
//! * a class that interrupt handlers take and others take with interrupts enabled;
//! * a class of the first kind under which one of the second is taken: the handler waits for whoever holds the first,
//!   who waits for the second, whose holder the handler has interrupted.
//!
//! | file | what |
//! |---|---|
//! | `held.rs` | the locks that a task or CPU holds |
//! | `graph.rs` | classes, edges, the checks |
//! | `report.rs` | what a violation says |
//! | `known.rs` | what was checked already, readable without a lock |
//!
//! Nothing is allocated: this runs inside every lock. The caller guards the [`Graph`] with something that is not
//! watched, keeps one [`Held`] for each task or CPU, and asks [`Known`] first.
#![no_std]
#![forbid(unsafe_code)]

mod graph;
mod held;
mod known;
mod report;
mod set;
#[cfg(test)]
mod tests;

pub use graph::{Chain, Graph, InterruptPath, Nesting, TooManyClasses, Violation};
pub use held::{Held, HeldLock};
pub use known::Known;
pub use set::ClassSet;

use core::panic::Location;

/// The most classes.
pub const CLASSES: usize = 256;
/// The most locks held at a time that are remembered.
pub const DEPTH: usize = 24;

/// Where a lock was taken.
pub type Place = &'static Location<'static>;

/// A class of locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Class(u8);

impl Class {
    /// Its number, below [`CLASSES`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The class with a number that [`index`](Self::index) gave; `None` if it is too large for one.
    pub fn from_index(index: usize) -> Option<Class> {
        u8::try_from(index).ok().map(Class)
    }
}

/// What the CPU is doing when it takes a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// A task, and interrupts may come.
    InterruptsEnabled,
    /// A task, and the lock (or somebody before it) disabled interrupts.
    InterruptsDisabled,
    /// An interrupt handler.
    Interrupt,
}
