//! ACPI's machine language (AML): tables become a namespace, and methods of it are evaluated.
//!
//! | file | what |
//! |---|---|
//! | `code.rs` | numbers, lengths and names in the code |
//! | `opcode.rs` | the operations and what follows them |
//! | `value.rs` | what names and variables hold |
//! | `namespace.rs` | the tree of names |
//! | `field.rs` | fields of device registers and of buffers |
//! | `machine.rs`, `stacks.rs` | running code: one step at a time, no recursion |
//! | `execute.rs`, `operators.rs` | what each operation does |
//! | `initialize.rs` | what tables want to be done first (`_INI`, `_REG`) |
//! | `resource.rs` | lists of resources (`_CRS`, `_PRS`, `_SRS`) |
//! | `events.rs` | what happens while the machine runs: `_Exx`, `_Lxx`, `Notify`, `_EJ0` |
//! | `pci_routing.rs` | which interrupt a pin of PCI raises (`_PRT`) |
//!
//! Tables come from the firmware and are not trusted to be well made: whatever they contain, nothing here panics or
//! recurses by it, and what an evaluation may take in steps, memory and nesting is bounded by [`Limits`]. What is wrong is
//! an [`Error`]; a table that ends in one has defined what came before it.
//!
//! The machine is reached through a [`Host`], who may refuse any access. There is one flow of control, so that mutexes are
//! always free and events have always happened. Tables are not loaded by other tables, and no reference to a variable of a
//! method can be made; both are errors.
//!
//! Where the specification is vague, what ACPICA does is done, which Linux has and tables are tested with: the check `acpi`
//! (`nix/tests/acpi.py`) compares the two.
//!
//! Source: ACPI Specification 6.5, chapters 5, 6, 19 and 20.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod code;
pub mod events;
mod execute;
mod field;
mod initialize;
mod machine;
mod namespace;
mod opcode;
mod operators;
pub mod pci_routing;
pub mod resource;
mod stacks;
#[cfg(test)]
mod tests;
mod value;

pub use code::Segment;
pub use initialize::Initialization;
pub use machine::Interpreter;
pub use namespace::NodeId;
pub use value::{Name, Reference, Value};

use alloc::string::String;
use core::fmt;

/// Where a register is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Physical memory.
    Memory,
    /// I/O ports.
    Port,
    /// The configuration space of a PCI function in segment 0.
    PciConfig {
        /// 0-255.
        bus: u8,
        /// 0-31.
        device: u8,
        /// 0-7.
        function: u8,
    },
}

/// The machine on which the code runs.
pub trait Host {
    /// Reads a register of 1, 2, 4 or 8 bytes; `None`: it must not be, or cannot.
    fn read(&mut self, space: Space, address: u64, bytes: usize) -> Option<u64>;

    /// Writes one; `None`: it must not be, or cannot.
    fn write(&mut self, space: Space, address: u64, bytes: usize, value: u64) -> Option<()>;

    /// The code wants to wait.
    fn wait_us(&mut self, microseconds: u64);
}

/// What tables may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Names.
    pub names: usize,
    /// Steps of one evaluation, or of the loading of one table.
    pub steps: usize,
    /// Bytes of all values that one evaluation, or the loading of one table, makes.
    pub bytes: usize,
    /// Nested operations, blocks, methods and packages.
    pub depth: usize,
    /// Microseconds that one evaluation may wait.
    pub wait_us: u64,
}

impl Limits {
    /// More than the tables of large machines need.
    pub const USUAL: Limits =
        Limits { names: 1 << 16, steps: 1 << 20, bytes: 8 << 20, depth: 64, wait_us: 1_000_000 };
}

/// What is wrong with a table, or how an evaluation failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The code ends too early, or a length leads out of it.
    Truncated,
    /// The code is not what the specification says.
    Malformed(&'static str),
    /// A byte that is no operation.
    UnknownOperation(u16),
    /// An operation that is not supported, or not in this way.
    Unsupported(&'static str),
    /// A name that is not there.
    Unknown(String),
    /// A name that is there already.
    Exists(String),
    /// A value of another type is needed: by this operation.
    Type(&'static str),
    /// An index or a length lies outside.
    OutOfRange(&'static str),
    /// The host has refused a register.
    Register(Space, u64),
    /// A limit: of this.
    TooMuch(&'static str),
    /// The code says that the machine is not to go on.
    Fatal(u64),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Truncated => write!(f, "the code ends too early"),
            Error::Malformed(what) => write!(f, "the code has {what}"),
            Error::UnknownOperation(code) => write!(f, "operation {code:#x} is not known"),
            Error::Unsupported(what) => write!(f, "not supported: {what}"),
            Error::Unknown(name) => write!(f, "there is no {name}"),
            Error::Exists(name) => write!(f, "there are two of {name}"),
            Error::Type(operation) => write!(f, "{operation} has a value of the wrong type"),
            Error::OutOfRange(what) => write!(f, "{what} leads outside"),
            Error::Register(space, address) => write!(f, "no access to {space:?} at {address:#x}"),
            Error::TooMuch(what) => write!(f, "too many {what}"),
            Error::Fatal(code) => write!(f, "it gives up with code {code:#x}"),
        }
    }
}

/// Reads a name of at most four characters, as the specification writes it.
///
/// # Panics
/// If it is longer: names are constants of the source.
pub fn segment(name: &str) -> Segment {
    let mut segment = *b"____";
    assert!(name.len() <= 4, "names have four characters: {name}");
    segment.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
    segment
}
