//! The static ACPI tables that a kernel needs, read with distrust.
//!
//! [`Tables::locate`] walks from the root pointer to the list of tables; one module for each kind turns
//! bytes into values: [`madt`] (CPUs, interrupt controllers), [`mcfg`] (PCI configuration space), [`fadt`]
//! (power and reset registers), [`hpet`] (timer), [`sleep`] (how to switch off, from the DSDT).
//! Nothing here interprets AML; the one value that stands there is found by a checked scan.
//!
//! Firmware is input: every length is checked, sums are verified, and what is wrong is an [`Error`],
//! never a panic. Source: ACPI Specification 6.5, chapter 5.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod bytes;
pub mod fadt;
pub mod hpet;
pub mod madt;
pub mod mcfg;
pub mod sleep;

use alloc::{vec, vec::Vec};
use bytes::Bytes;
use core::fmt;

/// Length of the header that all tables but the root pointer have (section 5.2.6).
pub const HEADER_LENGTH: usize = 36;

/// The longest table that is read; real DSDTs are below 1 MiB.
const MAX_TABLE_LENGTH: usize = 4 << 20;

/// Reads physical memory.
pub trait Memory {
    /// Copies from `address` into `buffer`; `false` if a part of it cannot be read.
    fn read(&self, address: u64, buffer: &mut [u8]) -> bool;
}

/// What is wrong with the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// A table lies outside of the memory that can be read.
    Unreadable,
    /// A signature is not what it must be.
    Signature,
    /// The bytes do not add up to zero.
    Checksum,
    /// A length field is impossible.
    Length,
    /// The table does not exist.
    Missing,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "table lies in memory that cannot be read",
            Self::Signature => "table has a wrong signature",
            Self::Checksum => "table has a wrong checksum",
            Self::Length => "table has an impossible length",
            Self::Missing => "no such table",
        })
    }
}

/// A table's name and place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Four letters.
    pub signature: [u8; 4],
    /// Physical address.
    pub address: u64,
    /// Length in bytes, header included.
    pub length: usize,
}

/// The list of tables.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    entries: Vec<Entry>,
}

impl Tables {
    /// Follows the root pointer at `rsdp` to the RSDT or XSDT and lists what it names (section 5.2.5).
    /// Tables whose header cannot be read are left out.
    pub fn locate(memory: &dyn Memory, rsdp: u64) -> Result<Self, Error> {
        let mut root = [0; 36];
        read(memory, rsdp, &mut root[..20])?;
        if &root[..8] != b"RSD PTR " {
            return Err(Error::Signature);
        }
        check_sum(&root[..20])?;
        let has_xsdt = root[15] >= 2 && memory.read(rsdp, &mut root) && check_sum(&root).is_ok();
        let fields = Bytes(&root);
        let xsdt = if has_xsdt { fields.u64(24).unwrap_or(0) } else { 0 };
        let (address, signature, width) = if xsdt != 0 {
            (xsdt, b"XSDT", 8)
        } else {
            (u64::from(fields.u32(16).ok_or(Error::Length)?), b"RSDT", 4)
        };
        let list = load_at(memory, address, Some(signature))?;
        let mut tables = Self::default();
        for pointer in list[HEADER_LENGTH..].chunks_exact(width) {
            let pointer = Bytes(pointer);
            let address = if width == 8 { pointer.u64(0) } else { pointer.u32(0).map(u64::from) };
            if let Some(entry) = address.and_then(|address| header_at(memory, address)) {
                tables.entries.push(entry);
            }
        }
        Ok(tables)
    }

    /// Name and place of each table.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The bytes of the first table of that name, length and sum verified.
    pub fn load(&self, memory: &dyn Memory, signature: &[u8; 4]) -> Result<Vec<u8>, Error> {
        let entry = self.entries.iter().find(|e| &e.signature == signature).ok_or(Error::Missing)?;
        load_at(memory, entry.address, Some(signature))
    }
}

/// The bytes of the table at an address, length and sum verified.
pub fn load_at(memory: &dyn Memory, address: u64, signature: Option<&[u8; 4]>) -> Result<Vec<u8>, Error> {
    let entry = header_at(memory, address).ok_or(Error::Unreadable)?;
    if signature.is_some_and(|wanted| wanted != &entry.signature) {
        return Err(Error::Signature);
    }
    if !(HEADER_LENGTH..=MAX_TABLE_LENGTH).contains(&entry.length) {
        return Err(Error::Length);
    }
    let mut table = vec![0; entry.length];
    read(memory, address, &mut table)?;
    check_sum(&table)?;
    Ok(table)
}

fn header_at(memory: &dyn Memory, address: u64) -> Option<Entry> {
    let mut header = [0; 8];
    if address == 0 || !memory.read(address, &mut header) {
        return None;
    }
    let [a, b, c, d, length @ ..] = header;
    Some(Entry { signature: [a, b, c, d], address, length: u32::from_le_bytes(length) as usize })
}

fn read(memory: &dyn Memory, address: u64, buffer: &mut [u8]) -> Result<(), Error> {
    if memory.read(address, buffer) { Ok(()) } else { Err(Error::Unreadable) }
}

fn check_sum(bytes: &[u8]) -> Result<(), Error> {
    let sum = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    if sum == 0 { Ok(()) } else { Err(Error::Checksum) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A table with the right length and sum around `body`.
    pub(crate) fn table(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_LENGTH];
        bytes[..4].copy_from_slice(signature);
        bytes[4..8].copy_from_slice(&((HEADER_LENGTH + body.len()) as u32).to_le_bytes());
        bytes.extend_from_slice(body);
        bytes[9] = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte));
        bytes
    }

    struct FakeMemory(Vec<(u64, Vec<u8>)>);

    impl Memory for FakeMemory {
        fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
            self.0.iter().any(|(start, bytes)| {
                let Some(at) = address.checked_sub(*start) else { return false };
                match bytes.get(at as usize..at as usize + buffer.len()) {
                    Some(part) => {
                        buffer.copy_from_slice(part);
                        true
                    }
                    None => false,
                }
            })
        }
    }

    fn root_pointer(rsdt: u32, xsdt: u64) -> Vec<u8> {
        let mut bytes = b"RSD PTR \0OEMID.\x02".to_vec();
        bytes.extend_from_slice(&rsdt.to_le_bytes());
        bytes[8] = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte));
        bytes.extend_from_slice(&36_u32.to_le_bytes());
        bytes.extend_from_slice(&xsdt.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes[32] = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte));
        bytes
    }

    fn memory_with(xsdt: u64) -> FakeMemory {
        FakeMemory(vec![
            (0xe0000, root_pointer(0x1000, xsdt)),
            (0x1000, table(b"RSDT", &[0x00, 0x30, 0, 0, 0x00, 0xf0, 0xff, 0xff])),
            (0x2000, table(b"XSDT", &[0x00, 0x30, 0, 0, 0, 0, 0, 0])),
            (0x3000, table(b"HPET", &[1, 2, 3])),
        ])
    }

    #[test]
    fn both_root_tables_lead_to_the_others() {
        for xsdt in [0, 0x2000] {
            let memory = memory_with(xsdt);
            let tables = Tables::locate(&memory, 0xe0000).expect("well formed");
            assert_eq!(tables.entries(), &[Entry { signature: *b"HPET", address: 0x3000, length: 39 }]);
            assert_eq!(tables.load(&memory, b"HPET").expect("it is there")[36..], [1, 2, 3]);
            assert_eq!(tables.load(&memory, b"APIC"), Err(Error::Missing));
        }
    }

    #[test]
    fn broken_tables_are_errors() {
        let mut memory = memory_with(0);
        memory.0[3].1[37] ^= 1;
        let tables = Tables::locate(&memory, 0xe0000).expect("the list is well formed");
        assert_eq!(tables.load(&memory, b"HPET"), Err(Error::Checksum));
        memory.0[3].1[4] = 1;
        assert_eq!(tables.load(&memory, b"HPET"), Err(Error::Length));
        memory.0[3].1[7] = 0xff;
        assert_eq!(tables.load(&memory, b"HPET"), Err(Error::Length));
        memory.0[0].1[0] = 0;
        assert_eq!(Tables::locate(&memory, 0xe0000).err(), Some(Error::Signature));
        assert_eq!(Tables::locate(&memory, 0x5000).err(), Some(Error::Unreadable));
    }
}
