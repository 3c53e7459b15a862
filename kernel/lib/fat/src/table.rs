//! Chains of clusters (section 4): each entry of the table names the next cluster of a file.

use crate::{Disk, Error, Kind, Medium, Parameters};
use alloc::vec::Vec;

/// Bytes of the table that are kept at hand.
const KEPT: usize = 4096;

/// The entry of the last cluster of a chain.
pub(crate) fn end_mark(kind: Kind) -> u32 {
    match kind {
        Kind::Fat12 => 0xfff,
        Kind::Fat16 => 0xffff,
        Kind::Fat32 => 0x0fff_ffff,
    }
}

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
        let value = self.value(disk, parameters, cluster)?;
        if value >= end_mark(parameters.kind) & !7 {
            return Ok(None);
        }
        // Free (0), bad (one below the end), or wild.
        if !parameters.has_cluster(value) {
            return Err(Error::Corrupt("a chain goes on with a free or bad cluster"));
        }
        Ok(Some(value))
    }

    /// The entry of a cluster that is there; 0: it is free.
    pub(crate) fn value(
        &mut self,
        disk: &impl Disk,
        parameters: &Parameters,
        cluster: u32,
    ) -> Result<u32, Error> {
        let index = u64::from(cluster);
        Ok(match parameters.kind {
            Kind::Fat12 => {
                let pair = u32::from(self.u16(disk, parameters, index + index / 2)?);
                if index.is_multiple_of(2) { pair & 0xfff } else { pair >> 4 }
            }
            Kind::Fat16 => u32::from(self.u16(disk, parameters, index * 2)?),
            Kind::Fat32 => {
                let low = self.u16(disk, parameters, index * 4)?;
                let high = self.u16(disk, parameters, index * 4 + 2)?;
                (u32::from(low) | u32::from(high) << 16) & 0x0fff_ffff
            }
        })
    }

    /// Sets the entry of a cluster that is there, in all copies of the table.
    pub(crate) fn set(
        &mut self,
        disk: &impl Medium,
        parameters: &Parameters,
        cluster: u32,
        value: u32,
    ) -> Result<(), Error> {
        let index = u64::from(cluster);
        match parameters.kind {
            Kind::Fat12 => {
                let offset = index + index / 2;
                let pair = u32::from(self.u16(disk, parameters, offset)?);
                let is_low = index.is_multiple_of(2);
                let pair = if is_low { pair & 0xf000 | value } else { pair & 0x000f | value << 4 };
                self.store(disk, parameters, offset, &(pair as u16).to_le_bytes())
            }
            Kind::Fat16 => self.store(disk, parameters, index * 2, &(value as u16).to_le_bytes()),
            Kind::Fat32 => {
                // The four highest bits are somebody else's.
                let high = u32::from(self.u16(disk, parameters, index * 4 + 2)?) << 16 & 0xf000_0000;
                self.store(disk, parameters, index * 4, &(value | high).to_le_bytes())
            }
        }
    }

    /// Changes bytes of all copies.
    fn store(
        &mut self,
        disk: &impl Medium,
        parameters: &Parameters,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let size = u64::from(parameters.sectors_per_table) * u64::from(parameters.bytes_per_sector);
        for copy in 0..u64::from(parameters.tables) {
            if !disk.write(parameters.table_offset() + copy * size + offset, bytes) {
                return Err(Error::Write);
            }
        }
        for (at, byte) in (parameters.table_offset() + offset..).zip(bytes) {
            let kept = at.checked_sub(self.start).and_then(|at| self.bytes.get_mut(at as usize));
            if let Some(kept) = kept {
                *kept = *byte;
            }
        }
        Ok(())
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
