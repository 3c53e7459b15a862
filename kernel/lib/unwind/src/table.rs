//! The table as the kernel reads it.
//!
//! Format, little-endian: `base: u64`, `blocks: u32`, `stream: u32` (its bytes); then for each block of up to
//! [`BLOCK`] functions, sorted by address, `first address - base: u32`, `offset in the stream: u32`; then the stream. There,
//! each function is three numbers (bytes of code since the end of the function before it in the block, or the
//! block's first address; bytes of its code; bytes of its program) and its program, see [`crate::program`].

use crate::Row;
use crate::program::{State, take_number, take_token};

const HEADER: usize = 16;
const ENTRY: usize = 8;
/// Functions of a block: a lookup looks at half as many on average.
pub(crate) const BLOCK: usize = 16;

/// A table in memory.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    base: u64,
    blocks: &'a [u8],
    stream: &'a [u8],
}

/// The bytes are no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

impl<'a> Table<'a> {
    /// Looks at the header only; the rest is checked when it is used.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let header: &[u8; HEADER] = bytes.first_chunk().ok_or(Malformed)?;
        let base = u64::from_le_bytes(*header.first_chunk().ok_or(Malformed)?);
        let blocks = u32_at(header, 8).ok_or(Malformed)? as usize;
        let stream = u32_at(header, 12).ok_or(Malformed)? as usize;
        let split = blocks.checked_mul(ENTRY).and_then(|n| n.checked_add(HEADER)).ok_or(Malformed)?;
        let end = split.checked_add(stream).ok_or(Malformed)?;
        let (blocks, stream) =
            (bytes.get(HEADER..split).ok_or(Malformed)?, bytes.get(split..end).ok_or(Malformed)?);
        Ok(Self { base, blocks, stream })
    }

    fn block_address(&self, index: usize) -> Option<u64> {
        self.base.checked_add(u64::from(u32_at(self.blocks, index * ENTRY)?))
    }

    /// The row of the instruction at `address`; `None` outside the functions that the table knows.
    pub fn lookup(&self, address: u64) -> Option<Row> {
        let (mut low, mut high) = (0, self.blocks.len() / ENTRY);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.block_address(middle)? <= address { low = middle + 1 } else { high = middle }
        }
        let index = low.checked_sub(1)?;
        let mut end = self.block_address(index)?;
        let mut stream = self.stream.get(u32_at(self.blocks, index * ENTRY + 4)? as usize..)?;
        for _ in 0..BLOCK {
            let start = end.checked_add(take_number(&mut stream)?)?;
            end = start.checked_add(take_number(&mut stream)?)?;
            let length = usize::try_from(take_number(&mut stream)?).ok()?;
            let (program, rest) = stream.split_at_checked(length)?;
            if address < start {
                return None;
            }
            if address < end {
                return run(program, address - start);
            }
            stream = rest;
        }
        None
    }
}

/// The row `offset` bytes into a function.
fn run(mut program: &[u8], offset: u64) -> Option<Row> {
    let mut state = State::START;
    let mut at = 0u64;
    while !program.is_empty() {
        let (distance, operation) = take_token(&mut program)?;
        at = at.checked_add(distance)?;
        if at > offset {
            break;
        }
        state = state.after(operation)?;
    }
    Some(state.row)
}
