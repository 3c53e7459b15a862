//! MCFG: where PCI Express configuration space is mapped (PCI Firmware Specification 3.3, section 4.1.2).

use crate::{Error, HEADER_LENGTH, bytes::Bytes};
use alloc::vec::Vec;

/// Configuration space of a range of buses: 1 MiB a bus, 4 KiB a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Physical address of bus 0 (not of `first_bus`).
    pub address: u64,
    /// PCI segment group.
    pub segment: u16,
    /// First bus.
    pub first_bus: u8,
    /// Last bus.
    pub last_bus: u8,
}

/// Reads an MCFG; entries that make no sense are left out.
pub fn parse(table: &[u8]) -> Result<Vec<Region>, Error> {
    let entries = table.get(HEADER_LENGTH + 8..).ok_or(Error::Length)?;
    Ok(entries.chunks_exact(16).filter_map(|entry| region(Bytes(entry))).collect())
}

fn region(entry: Bytes<'_>) -> Option<Region> {
    let region = Region {
        address: entry.u64(0)?,
        segment: entry.u16(8)?,
        first_bus: entry.u8(10)?,
        last_bus: entry.u8(11)?,
    };
    let is_aligned = region.address != 0 && region.address.is_multiple_of(1 << 20);
    let is_in_range = region.address.checked_add(256 << 20).is_some();
    (is_aligned && is_in_range && region.first_bus <= region.last_bus).then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::table;

    #[test]
    fn regions_are_read_and_nonsense_is_left_out() {
        let mut body = [0; 8 + 32];
        body[8..16].copy_from_slice(&0xb000_0000_u64.to_le_bytes());
        body[19] = 0xff;
        body[24..32].copy_from_slice(&0x1234_u64.to_le_bytes());
        assert_eq!(
            parse(&table(b"MCFG", &body)),
            Ok([Region { address: 0xb000_0000, segment: 0, first_bus: 0, last_bus: 255 }].into())
        );
        assert_eq!(parse(&table(b"MCFG", &body[..30])).map(|r| r.len()), Ok(1));
        assert_eq!(parse(&table(b"MCFG", &[])), Err(Error::Length));
    }
}
