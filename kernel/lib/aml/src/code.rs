//! Reading the byte code: numbers, lengths, names.
//!
//! Source: ACPI Specification 6.5, 20.2 (AML grammar).

use crate::Error;
use alloc::rc::Rc;
use alloc::vec::Vec;

/// The four characters of a name.
pub type Segment = [u8; 4];

/// Most segments of a path.
const MAX_SEGMENTS: u8 = 32;

/// A path as it stands in the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// From the root, else from the scope.
    pub(crate) is_absolute: bool,
    /// Up by so many levels first.
    pub(crate) up: u8,
    pub(crate) segments: Vec<Segment>,
}

/// A stretch of a table, and a place in it.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    table: Rc<[u8]>,
    pub(crate) at: usize,
    /// Behind the last byte; never behind the table's.
    end: usize,
}

impl Code {
    pub(crate) fn new(table: Rc<[u8]>) -> Code {
        let end = table.len();
        Code { table, at: 0, end }
    }

    /// The part from here to `end`, which [`Code::package`] gave.
    pub(crate) fn part(&self, end: usize) -> Code {
        Code { table: self.table.clone(), at: self.at, end: end.min(self.end) }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.at >= self.end
    }

    pub(crate) fn peek(&self, ahead: usize) -> Option<u8> {
        let at = self.at.checked_add(ahead).filter(|at| *at < self.end)?;
        self.table.get(at).copied()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Error> {
        let byte = self.peek(0).ok_or(Error::Truncated)?;
        self.at += 1;
        Ok(byte)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&[u8], Error> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.end).ok_or(Error::Truncated)?;
        let bytes = self.table.get(self.at..end).ok_or(Error::Truncated)?;
        self.at = end;
        Ok(bytes)
    }

    /// A little-endian number of 1 to 8 bytes.
    pub(crate) fn number(&mut self, bytes: usize) -> Result<u64, Error> {
        Ok(self.bytes(bytes)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// A string up to its zero byte, which is skipped.
    pub(crate) fn string(&mut self) -> Result<Vec<u8>, Error> {
        let rest = self.table.get(self.at..self.end).ok_or(Error::Truncated)?;
        let length = rest.iter().position(|byte| *byte == 0).ok_or(Error::Truncated)?;
        let string = self.bytes(length)?.to_vec();
        self.byte()?;
        Ok(string)
    }

    /// A length as fields have it: 6 bits, or 4 and up to three bytes more.
    pub(crate) fn length(&mut self) -> Result<usize, Error> {
        let lead = usize::from(self.byte()?);
        let more = lead >> 6;
        if more == 0 {
            return Ok(lead & 0x3f);
        }
        Ok(lead & 0xf | (self.number(more)? as usize) << 4)
    }

    /// A package length, which counts from its own first byte: where the package ends.
    pub(crate) fn package(&mut self) -> Result<usize, Error> {
        let start = self.at;
        let end = start + self.length()?;
        if end < self.at || end > self.end {
            return Err(Error::Truncated);
        }
        Ok(end)
    }

    /// Whether a name begins here.
    pub(crate) fn is_name(&self) -> bool {
        self.peek(0).is_some_and(|byte| matches!(byte, b'A'..=b'Z' | b'_' | b'\\' | b'^' | b'.' | b'/'))
    }

    pub(crate) fn segment(&mut self) -> Result<Segment, Error> {
        let mut segment = [0; 4];
        segment.copy_from_slice(self.bytes(4)?);
        let is_valid = |byte: &u8| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_');
        if segment[0].is_ascii_digit() || !segment.iter().all(is_valid) {
            return Err(Error::Malformed("a name with characters that names do not have"));
        }
        Ok(segment)
    }

    pub(crate) fn path(&mut self) -> Result<Path, Error> {
        let mut path = Path { is_absolute: false, up: 0, segments: Vec::new() };
        if self.peek(0) == Some(b'\\') {
            path.is_absolute = true;
            self.byte()?;
        }
        while self.peek(0) == Some(b'^') {
            path.up = path.up.checked_add(1).ok_or(Error::Malformed("a path that goes up without end"))?;
            self.byte()?;
        }
        let count = match self.peek(0).ok_or(Error::Truncated)? {
            0 => {
                self.byte()?;
                0
            }
            b'.' => {
                self.byte()?;
                2
            }
            b'/' => {
                self.byte()?;
                self.byte()?
            }
            _ => 1,
        };
        if count > MAX_SEGMENTS {
            return Err(Error::Malformed("a path of more than 32 names"));
        }
        for _ in 0..count {
            let segment = self.segment()?;
            path.segments.push(segment);
        }
        Ok(path)
    }
}
