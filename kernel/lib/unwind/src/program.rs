//! A function's rows as a string of tokens: what changes from one row to the next, and after how many bytes of code.
//!
//! A token is a byte: the operation in its upper three bits, in the lower five the bytes of code since the last
//! change, 0 to 30; 31 says that they follow as a number. Operands come after that. Numbers are little-endian groups
//! of seven bits, the top bit set in all but the last. A program starts from [`Row::ENTRY`].

use crate::{Base, Kind, Row};

/// A change of row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A word more is on the stack.
    Push,
    /// A word less.
    Pop,
    /// The frame's offset becomes that.
    Offset(u32),
    /// The place of the saved RBP becomes that.
    Saved(u32),
    /// As in the function's body, after an epilogue in its middle: the latest row whose offset no row before it
    /// exceeds.
    Body,
    /// Anything else.
    Whole(Row),
}

/// Bytes of code that stand for "a number follows".
const LONG: u64 = 31;

/// The state while tokens are applied in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    pub(crate) row: Row,
    body: Row,
}

impl State {
    pub(crate) const START: State = State { row: Row::ENTRY, body: Row::ENTRY };

    /// The state after an operation; `None` if it makes no sense.
    pub(crate) fn after(mut self, operation: Operation) -> Option<State> {
        match operation {
            Operation::Push => self.row.offset = self.row.offset.checked_add(1)?,
            Operation::Pop => self.row.offset = self.row.offset.checked_sub(1)?,
            Operation::Offset(words) => self.row.offset = words,
            Operation::Saved(words) => self.row.saved = words,
            Operation::Body => self.row = self.body,
            Operation::Whole(row) => self.row = row,
        }
        // What an epilogue has taken from the stack is in the register again, though few compilers say so.
        if self.row.base == Base::Stack && self.row.saved > self.row.offset {
            self.row.saved = 0;
        }
        if self.row.offset >= self.body.offset {
            self.body = self.row;
        }
        Some(self)
    }
}

/// Takes a number off the front.
pub(crate) fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..63).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn take_words(bytes: &mut &[u8]) -> Option<u32> {
    u32::try_from(take_number(bytes)?).ok()
}

/// Takes a token off the front: bytes of code since the last one, and what changes.
pub(crate) fn take_token(bytes: &mut &[u8]) -> Option<(u64, Operation)> {
    let (&token, rest) = bytes.split_first()?;
    *bytes = rest;
    let distance = match u64::from(token) & LONG {
        LONG => take_number(bytes)?,
        short => short,
    };
    let operation = match token >> 5 {
        0 => Operation::Push,
        1 => Operation::Pop,
        2 => Operation::Offset(take_words(bytes)?),
        3 => Operation::Saved(take_words(bytes)?),
        4 => Operation::Body,
        5 => Operation::Whole(take_row(bytes)?),
        _ => return None,
    };
    Some((distance, operation))
}

fn take_row(bytes: &mut &[u8]) -> Option<Row> {
    let shape = take_number(bytes)?;
    let kind = match shape >> 1 {
        0 => Kind::Call,
        1 => Kind::Trap,
        2 => Kind::End,
        3 => Kind::Unknown,
        _ => return None,
    };
    let base = if shape & 1 == 0 { Base::Stack } else { Base::Frame };
    Some(Row { kind, base, offset: take_words(bytes)?, saved: take_words(bytes)? })
}

/// The writer's side.
#[cfg(any(test, feature = "encode"))]
pub(crate) mod write {
    use super::{LONG, Operation};
    use crate::{Base, Kind, Row};

    pub(crate) fn number(mut number: u64, out: &mut Vec<u8>) {
        while number >= 0x80 {
            out.push(number as u8 | 0x80);
            number >>= 7;
        }
        out.push(number as u8);
    }

    pub(crate) fn token(distance: u64, operation: Operation, out: &mut Vec<u8>) {
        let code: u8 = match operation {
            Operation::Push => 0,
            Operation::Pop => 1,
            Operation::Offset(_) => 2,
            Operation::Saved(_) => 3,
            Operation::Body => 4,
            Operation::Whole(_) => 5,
        };
        out.push(code << 5 | distance.min(LONG) as u8);
        if distance >= LONG {
            number(distance, out);
        }
        match operation {
            Operation::Offset(words) | Operation::Saved(words) => number(words.into(), out),
            Operation::Whole(row) => whole(row, out),
            Operation::Push | Operation::Pop | Operation::Body => {}
        }
    }

    fn whole(row: Row, out: &mut Vec<u8>) {
        let kind = match row.kind {
            Kind::Call => 0,
            Kind::Trap => 1,
            Kind::End => 2,
            Kind::Unknown => 3,
        };
        number(kind << 1 | u64::from(row.base == Base::Frame), out);
        number(row.offset.into(), out);
        number(row.saved.into(), out);
    }
}
