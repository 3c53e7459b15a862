//! Backtraces without frame pointers: a compact table that says for each instruction where its caller's frame is.
//!
//! The compiler describes each function's frame in `.eh_frame` (and `.debug_frame`) by small programs for an
//! interpreter. The tool that links the kernel runs these programs once (`cfi`) and writes what comes
//! of them as a [`Table`] (`encode`): per instruction a [`Row`], which is all that a backtrace needs. [`Walk`] then goes
//! up a stack with it: through calls, and through traps onto the stack that was interrupted.
//!
//! The reader allocates nothing, takes no lock and believes nobody: a damaged table or stack ends a trace
//! early, with a mark, and never panics or loops. So it works in panics and non-maskable interrupts.
//!
//! Sources: System V ABI for x86-64, 3.7 (stack unwinding) and figure 3.36 (register numbers); DWARF 5, 6.4
//! (call frames); Intel SDM vol. 3, 6.14.2 (what the CPU pushes for a trap).
#![cfg_attr(not(any(test, feature = "encode")), no_std)]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "encode"))]
pub mod cfi;
#[cfg(any(test, feature = "encode"))]
pub mod encode;
mod program;
mod table;
mod walk;

pub use table::{Malformed, Table};
pub use walk::{Frame, Memory, Registers, Walk};

/// The register from which a frame is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// RSP.
    Stack,
    /// RBP, in functions that use it for that.
    Frame,
}

/// What stands where the return address would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The return address, in the word below the frame address.
    Call,
    /// What the CPU pushed for a trap: SS, RSP, RFLAGS, CS, RIP; below it error code and vector.
    Trap,
    /// Nobody called: the end of the stack.
    End,
    /// Something that the table cannot express.
    Unknown,
}

/// How to find the caller of an instruction. The frame address (DWARF: CFA) is what RSP is in the caller after
/// the return; for a trap, the address behind what the CPU pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What stands below the frame address.
    pub kind: Kind,
    /// The register from which the frame address counts.
    pub base: Base,
    /// Words of 8 bytes from that register up to the frame address.
    pub offset: u32,
    /// Words from the frame address down to where the caller's RBP was saved; 0: it is still in RBP.
    pub saved: u32,
}

impl Row {
    /// At the first instruction of every function: only the return address is on the stack.
    pub const ENTRY: Row = Row { kind: Kind::Call, base: Base::Stack, offset: 1, saved: 0 };
    /// See [`Kind::End`].
    pub const END: Row = Row { kind: Kind::End, base: Base::Stack, offset: 0, saved: 0 };
    /// See [`Kind::Unknown`].
    pub const UNKNOWN: Row = Row { kind: Kind::Unknown, base: Base::Stack, offset: 0, saved: 0 };
}
