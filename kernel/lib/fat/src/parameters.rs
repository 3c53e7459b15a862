//! The boot sector: the BIOS parameter block (section 3) and the geometry that follows from it.

use crate::{Error, u16_at, u32_at};

/// Bytes of the boot sector that matter.
pub const BOOT_SECTOR: usize = 512;

/// Bytes of an entry of a directory.
pub(crate) const ENTRY: u64 = 32;

/// Which of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Entries of the table have 12 bits.
    Fat12,
    /// 16 bits.
    Fat16,
    /// 28 bits, in 32.
    Fat32,
}

/// The BIOS parameter block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Which FAT.
    pub kind: Kind,
    /// The system that made it, as far as it is ASCII.
    pub oem_name: [u8; 8],
    /// 512, 1024, 2048 or 4096.
    pub bytes_per_sector: u32,
    /// A power of two, up to 128.
    pub sectors_per_cluster: u32,
    /// Sectors before the first table.
    pub reserved_sectors: u32,
    /// Number of tables, each a copy of the first.
    pub tables: u32,
    /// Entries of the root directory; 0 for FAT32.
    pub root_entries: u32,
    /// All sectors.
    pub sectors: u32,
    /// What kind of medium.
    pub media: u8,
    /// Sectors of one table.
    pub sectors_per_table: u32,
    /// For BIOSes.
    pub sectors_per_track: u16,
    /// For BIOSes.
    pub heads: u16,
    /// Sectors before this file system on its disk.
    pub hidden_sectors: u32,
    /// First cluster of the root directory, for FAT32.
    pub root_cluster: u32,
    /// A number, and the label, if there are any.
    pub volume: Option<(u32, [u8; 11])>,
    /// How many clusters there are; their numbers begin with 2.
    pub clusters: u32,
}

impl Parameters {
    /// Reads a boot sector.
    ///
    /// # Errors
    /// [`Error::NotFat`].
    pub fn parse(sector: &[u8; BOOT_SECTOR]) -> Result<Parameters, Error> {
        let no = |why| Err(Error::NotFat(why));
        if u16_at(sector, 510) != 0xaa55 {
            return no("the boot sector does not end with 55 aa");
        }
        let bytes_per_sector = u32::from(u16_at(sector, 11));
        if !matches!(bytes_per_sector, 512 | 1024 | 2048 | 4096) {
            return no("sectors have an odd size");
        }
        let sectors_per_cluster = u32::from(sector[13]);
        if !sectors_per_cluster.is_power_of_two() {
            return no("clusters have an odd size");
        }
        let reserved_sectors = u32::from(u16_at(sector, 14));
        let tables = u32::from(sector[16]);
        if reserved_sectors == 0 || tables == 0 {
            return no("there is no boot sector or no table");
        }
        let either = |short: usize, long: usize| match u16_at(sector, short) {
            0 => u32_at(sector, long),
            value => u32::from(value),
        };
        let (sectors, sectors_per_table) = (either(19, 32), either(22, 36));
        let root_entries = u32::from(u16_at(sector, 17));
        let root_sectors = (root_entries * ENTRY as u32).div_ceil(bytes_per_sector);
        // Section 3.5: the number of clusters alone tells which FAT it is.
        let before_data = u64::from(reserved_sectors)
            + u64::from(tables) * u64::from(sectors_per_table)
            + u64::from(root_sectors);
        let Some(data_sectors) = u64::from(sectors).checked_sub(before_data) else {
            return no("there is no room for files");
        };
        let clusters = data_sectors as u32 / sectors_per_cluster;
        let kind = match clusters {
            0..4085 => Kind::Fat12,
            4085..65525 => Kind::Fat16,
            _ => Kind::Fat32,
        };
        let bits = match kind {
            Kind::Fat12 => 12,
            Kind::Fat16 => 16,
            Kind::Fat32 => 32,
        };
        let table_bits = u64::from(sectors_per_table) * u64::from(bytes_per_sector) * 8;
        if clusters == 0 || table_bits < (u64::from(clusters) + 2) * bits {
            return no("the table is too small");
        }
        if (kind == Kind::Fat32) != (root_entries == 0) {
            return no("the root directory is not where it should be");
        }
        let extended = if kind == Kind::Fat32 { 64 } else { 36 };
        let volume = (sector[extended + 2] == 0x29).then(|| {
            let label = core::array::from_fn(|index| sector[extended + 7 + index]);
            (u32_at(sector, extended + 3), label)
        });
        Ok(Parameters {
            kind,
            oem_name: core::array::from_fn(|index| sector[3 + index]),
            bytes_per_sector,
            sectors_per_cluster,
            reserved_sectors,
            tables,
            root_entries,
            sectors,
            media: sector[21],
            sectors_per_table,
            sectors_per_track: u16_at(sector, 24),
            heads: u16_at(sector, 26),
            hidden_sectors: u32_at(sector, 28),
            root_cluster: if kind == Kind::Fat32 { u32_at(sector, 44) & 0x0fff_ffff } else { 0 },
            volume,
            clusters,
        })
    }

    /// Bytes of a cluster, up to 512 KiB.
    pub fn cluster_bytes(&self) -> u64 {
        u64::from(self.bytes_per_sector) * u64::from(self.sectors_per_cluster)
    }

    /// Where the first table begins, in bytes.
    pub(crate) fn table_offset(&self) -> u64 {
        u64::from(self.reserved_sectors) * u64::from(self.bytes_per_sector)
    }

    /// Where the root directory of FAT12 and FAT16 begins, in bytes.
    pub(crate) fn root_offset(&self) -> u64 {
        let tables = u64::from(self.tables) * u64::from(self.sectors_per_table);
        self.table_offset() + tables * u64::from(self.bytes_per_sector)
    }

    /// Where a cluster begins, in bytes. Its number is valid.
    pub(crate) fn cluster_offset(&self, cluster: u32) -> u64 {
        let root_bytes =
            (u64::from(self.root_entries) * ENTRY).next_multiple_of(self.bytes_per_sector.into());
        self.root_offset() + root_bytes + u64::from(cluster - 2) * self.cluster_bytes()
    }

    /// Whether there is a cluster of that number.
    pub(crate) fn has_cluster(&self, cluster: u32) -> bool {
        cluster >= 2 && cluster - 2 < self.clusters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A floppy disk of 1440 KiB.
    fn floppy() -> [u8; BOOT_SECTOR] {
        let mut sector = [0; BOOT_SECTOR];
        sector[11..13].copy_from_slice(&512_u16.to_le_bytes());
        (sector[13], sector[14], sector[16]) = (1, 1, 2);
        sector[17..19].copy_from_slice(&224_u16.to_le_bytes());
        sector[19..21].copy_from_slice(&2880_u16.to_le_bytes());
        sector[22] = 9;
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        sector
    }

    #[test]
    fn a_floppy_disk_has_fat12() {
        let parameters = Parameters::parse(&floppy()).expect("it is in order");
        assert_eq!((parameters.kind, parameters.clusters, parameters.volume), (Kind::Fat12, 2847, None));
        assert_eq!((parameters.root_offset(), parameters.cluster_offset(2)), (19 * 512, 33 * 512));
        assert!(parameters.has_cluster(2848) && !parameters.has_cluster(2849) && !parameters.has_cluster(1));
    }

    #[test]
    fn nonsense_is_refused() {
        for (at, value) in [(510, 0), (11, 1), (13, 0), (13, 3), (14, 0), (16, 0), (22, 1), (17, 0)] {
            let mut sector = floppy();
            sector[at] = value;
            if at == 17 {
                sector[18] = 0;
            }
            assert!(matches!(Parameters::parse(&sector), Err(Error::NotFat(_))), "{at} {value}");
        }
        assert!(Parameters::parse(&[0xff; BOOT_SECTOR]).is_err());
    }
}
