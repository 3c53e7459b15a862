//! The table of function names that backtraces read: sorted addresses and names, in one flat byte string.
//!
//! Format, little-endian: `base: u64`, `count: u32`, `names: u32` (bytes of names); then `count` pairs
//! `address - base: u32`, `offset of the name: u32`, sorted by address; then the names, one after another.
//! A name ends where the next in table order begins. Everything is checked when it is read, so a damaged
//! table gives no names and no panic; nothing is allocated by the reader.
//!
//! `embed-symbols` puts this table and that of call frames (`kernel/lib/unwind`) behind the kernel as one
//! [`Bundle`].
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "embed"))]
extern crate std;

const HEADER: usize = 16;
const ENTRY: usize = 8;

/// A table in memory.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    base: u64,
    entries: &'a [u8],
    names: &'a [u8],
}

/// A function, and how far into it an address lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// The demangled name.
    pub name: &'a str,
    /// Bytes from the start of the function.
    pub offset: u64,
}

/// The tables behind the kernel: `bytes of names: u32`, `bytes of frames: u32`, the table of names, that of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bundle<'a> {
    /// For [`Table::parse`].
    pub names: &'a [u8],
    /// For `unwind::Table::parse`.
    pub frames: &'a [u8],
}

impl<'a> Bundle<'a> {
    /// Bytes of the two lengths.
    const LENGTHS: usize = 8;

    /// Takes the tables apart.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let names = u32_at(bytes, 0).ok_or(Malformed)? as usize;
        let frames = u32_at(bytes, 4).ok_or(Malformed)? as usize;
        let tables = bytes.get(Self::LENGTHS..).ok_or(Malformed)?;
        let (names, rest) = tables.split_at_checked(names).ok_or(Malformed)?;
        Ok(Self { names, frames: rest.get(..frames).ok_or(Malformed)? })
    }

    /// Puts them together.
    ///
    /// # Errors
    /// One has 4 GiB or more.
    #[cfg(any(test, feature = "embed"))]
    pub fn bytes(&self) -> Result<std::vec::Vec<u8>, std::num::TryFromIntError> {
        let mut bytes = std::vec::Vec::new();
        bytes.extend(u32::try_from(self.names.len())?.to_le_bytes());
        bytes.extend(u32::try_from(self.frames.len())?.to_le_bytes());
        bytes.extend(self.names);
        bytes.extend(self.frames);
        Ok(bytes)
    }
}

/// The bytes are no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

impl<'a> Table<'a> {
    /// Looks at the header only; entries are checked when they are used.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let header: &[u8; HEADER] = bytes.first_chunk().ok_or(Malformed)?;
        let base = u64::from_le_bytes(*header.first_chunk().ok_or(Malformed)?);
        let count = u32_at(header, 8).ok_or(Malformed)? as usize;
        let names = u32_at(header, 12).ok_or(Malformed)? as usize;
        let split = count.checked_mul(ENTRY).and_then(|n| n.checked_add(HEADER)).ok_or(Malformed)?;
        let end = split.checked_add(names).ok_or(Malformed)?;
        let (entries, names) =
            (bytes.get(HEADER..split).ok_or(Malformed)?, bytes.get(split..end).ok_or(Malformed)?);
        Ok(Self { base, entries, names })
    }

    /// How many functions it names.
    pub fn len(&self) -> usize {
        self.entries.len() / ENTRY
    }

    /// Whether it names none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn address(&self, index: usize) -> Option<u64> {
        self.base.checked_add(u64::from(u32_at(self.entries, index * ENTRY)?))
    }

    fn name_offset(&self, index: usize) -> Option<usize> {
        Some(u32_at(self.entries, index * ENTRY + 4)? as usize)
    }

    /// The function that contains `address`: the last that begins at or before it.
    pub fn lookup(&self, address: u64) -> Option<Symbol<'a>> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.address(middle)? <= address { low = middle + 1 } else { high = middle }
        }
        let index = low.checked_sub(1)?;
        let start = self.name_offset(index)?;
        let end = if index + 1 < self.len() { self.name_offset(index + 1)? } else { self.names.len() };
        let name = core::str::from_utf8(self.names.get(start..end)?).ok()?;
        Some(Symbol { name, offset: address - self.address(index)? })
    }
}

/// Writes a table of `(address, name)` pairs in any order; of several names for an address the shortest stays.
/// Addresses more than 4 GiB above the lowest are left out.
#[cfg(any(test, feature = "embed"))]
pub fn build(mut symbols: std::vec::Vec<(u64, std::string::String)>) -> std::vec::Vec<u8> {
    use std::vec::Vec;
    symbols.sort_by(|a, b| (a.0, a.1.len(), &a.1).cmp(&(b.0, b.1.len(), &b.1)));
    symbols.dedup_by_key(|symbol| symbol.0);
    let base = symbols.first().map_or(0, |symbol| symbol.0);
    symbols.retain(|symbol| u32::try_from(symbol.0 - base).is_ok());
    let mut entries = Vec::new();
    let mut names = Vec::new();
    for (address, name) in &symbols {
        entries.extend(((address - base) as u32).to_le_bytes());
        entries.extend((names.len() as u32).to_le_bytes());
        names.extend(name.bytes());
    }
    let mut table = Vec::new();
    table.extend(base.to_le_bytes());
    table.extend((symbols.len() as u32).to_le_bytes());
    table.extend((names.len() as u32).to_le_bytes());
    table.extend(entries);
    table.extend(names);
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{format, string::ToString, vec, vec::Vec};

    #[test]
    fn finds_the_function_around_an_address() {
        let bytes =
            build(vec![(0x2000, "b".to_string()), (0x1000, "alpha".to_string()), (0x2000, "bb".to_string())]);
        let table = Table::parse(&bytes).unwrap();
        assert_eq!(table.len(), 2);
        assert_eq!(table.lookup(0xfff), None);
        assert_eq!(table.lookup(0x1000), Some(Symbol { name: "alpha", offset: 0 }));
        assert_eq!(table.lookup(0x1fff), Some(Symbol { name: "alpha", offset: 0xfff }));
        assert_eq!(table.lookup(0x2004), Some(Symbol { name: "b", offset: 4 }));
    }

    #[test]
    fn a_bundle_comes_apart_as_it_was_put_together() {
        let bundle = Bundle { names: &[1, 2, 3], frames: &[4, 5] };
        let bytes = bundle.bytes().unwrap();
        assert_eq!(Bundle::parse(&bytes), Ok(bundle));
        for cut in 0..bytes.len() {
            assert_eq!(Bundle::parse(&bytes[..cut]), Err(Malformed));
        }
    }

    #[test]
    fn agrees_with_a_linear_search() {
        let symbols: Vec<_> = (0..500u64).map(|i| (0x1000 + i * i * 3, format!("f{i}"))).collect();
        let bytes = build(symbols.clone());
        let table = Table::parse(&bytes).unwrap();
        for address in (0x1000..0x1000 + 500 * 500 * 3).step_by(97) {
            let expected = symbols.iter().rfind(|s| s.0 <= address).unwrap();
            assert_eq!(
                table.lookup(address),
                Some(Symbol { name: &expected.1, offset: address - expected.0 })
            );
        }
    }

    #[test]
    fn damaged_tables_give_no_names_and_no_panic() {
        let bytes = build(vec![(0x1000, "alpha".to_string()), (0x2000, "beta".to_string())]);
        for cut in 0..bytes.len() {
            if let Ok(table) = Table::parse(&bytes[..cut]) {
                table.lookup(0x1800);
            }
        }
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 0xff;
            if let Ok(table) = Table::parse(&broken) {
                table.lookup(0x1800);
            }
        }
    }
}
