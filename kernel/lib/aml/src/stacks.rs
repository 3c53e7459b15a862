//! What lies on the machine's stacks.

use crate::code::{Code, Path};
use crate::namespace::NodeId;
use crate::opcode::Follows;
use crate::value::{Reference, Value};
use alloc::vec::Vec;

pub(crate) const LOCALS: usize = 8;
pub(crate) const ARGUMENTS: usize = 7;

/// An operation whose operands are being collected.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) code: u16,
    /// The method of a call.
    pub(crate) method: NodeId,
    /// Where it stands.
    pub(crate) start: usize,
    /// Where its package ends.
    pub(crate) end: usize,
    pub(crate) operands: Vec<Operand>,
    pub(crate) follows: &'static [Follows],
    /// Which of those comes next.
    pub(crate) next: usize,
    /// The block it began in, counted from 1.
    pub(crate) block: usize,
}

#[derive(Debug)]
pub(crate) enum Operand {
    Value(Value),
    Target(Target),
    Path(Path),
    Number(u64),
}

/// Where a result goes, or what is looked at.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Nowhere,
    /// A name that is not there.
    Missing,
    Local(usize),
    Argument(usize),
    Place(Reference),
}

#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) code: Code,
    pub(crate) scope: NodeId,
    pub(crate) kind: BlockKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockKind {
    Table,
    Method,
    /// A scope or a branch: goes on behind it.
    Plain,
    /// The body of a loop; where the loop stands in the block below, and where it ends.
    Loop {
        start: usize,
        end: usize,
    },
}

/// The variables of a method that runs.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) locals: [Value; LOCALS],
    pub(crate) arguments: [Value; ARGUMENTS],
    /// How large the stacks and the namespace were before the call.
    pub(crate) blocks: usize,
    pub(crate) operations: usize,
    pub(crate) names: usize,
}
