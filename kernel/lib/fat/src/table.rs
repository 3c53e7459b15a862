//! Chains of clusters (section 4): each entry of the table names the next cluster of a file.

use crate::{Disk, Error, Kind, Parameters};
use alloc::vec::Vec;

/// Bytes of the table that are kept at hand.
const KEPT: usize = 4096;

/// A piece of the table at hand, so that not each entry is a transfer.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Where it begins on the disk.
    start: u64,
    bytes: Vec<u8>,
}

impl Table {
    /// The cluster behind this one; `None` at the end.
    pub(crate) fn next(
        &mut self,
        disk: &impl Disk,
        parameters: &Parameters,
        cluster: u32,
    ) -> Result<Option<u32>, Error> {
        if !parameters.has_cluster(cluster) {
            return Err(Error::Corrupt("a chain leads to a cluster that is not there"));
        }
        let index = u64::from(cluster);
        let (value, end) = match parameters.kind {
            Kind::Fat12 => {
                let pair = u32::from(self.u16(disk, parameters, index + index / 2)?);
                (if index.is_multiple_of(2) { pair & 0xfff } else { pair >> 4 }, 0xff8)
            }
            Kind::Fat16 => (u32::from(self.u16(disk, parameters, index * 2)?), 0xfff8),
            Kind::Fat32 => {
                let low = self.u16(disk, parameters, index * 4)?;
                let high = self.u16(disk, parameters, index * 4 + 2)?;
                ((u32::from(low) | u32::from(high) << 16) & 0x0fff_ffff, 0x0fff_fff8)
            }
        };
        if value >= end {
            return Ok(None);
        }
        // Free (0), bad (one below the end), or wild.
        if !parameters.has_cluster(value) {
            return Err(Error::Corrupt("a chain goes on with a free or bad cluster"));
        }
        Ok(Some(value))
    }

    /// Two bytes of the table.
    fn u16(&mut self, disk: &impl Disk, parameters: &Parameters, offset: u64) -> Result<u16, Error> {
        let mut byte = |offset: u64| {
            let at = parameters.table_offset() + offset;
            let start = at - at % KEPT as u64;
            if self.bytes.is_empty() || self.start != start {
                self.fill(disk, parameters, start)?;
            }
            let byte = self.bytes.get((at - start) as usize);
            byte.copied().ok_or(Error::Corrupt("the table is too short"))
        };
        Ok(u16::from_le_bytes([byte(offset)?, byte(offset + 1)?]))
    }

    /// Reads a piece, as far as the tables and what is before them go.
    fn fill(&mut self, disk: &impl Disk, parameters: &Parameters, start: u64) -> Result<(), Error> {
        let length = parameters.root_offset().saturating_sub(start).min(KEPT as u64);
        self.bytes.clear();
        self.bytes.resize(length as usize, 0);
        self.start = start;
        if disk.read(start, &mut self.bytes) {
            return Ok(());
        }
        self.bytes.clear();
        Err(Error::Read)
    }
}
