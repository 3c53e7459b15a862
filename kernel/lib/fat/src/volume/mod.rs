//! A FAT file system as a kernel mounts it: files and directories are [`Item`]s, which stand for their entries.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | mounting: is it clean, how much is free |
//! | `item.rs` | an entry and what it tells: [`Item`] |
//! | `directory.rs` | names: listing, finding, making, moving, removing |
//! | `clusters.rs` | the clusters of a file: where they are, more, fewer |
//!
//! Whoever holds an [`Item`] keeps it true: what changes it gives the new one back. A name may be removed while the item is in
//! use; its clusters stay until [`Volume::free`].

mod clusters;
mod directory;
mod item;

pub use clusters::Place;
pub use directory::Found;
pub use item::Item;

use crate::parameters::BOOT_SECTOR;
use crate::table::Table;
use crate::{Error, Kind, Medium, Parameters, u16_at, u32_at};

/// Signatures of the sector of FAT32 that knows how much is free (section 5).
const INFORMATION: [(usize, u32); 3] = [(0, 0x4161_5252), (484, 0x6141_7272), (508, 0xaa55_0000)];

/// A mounted file system.
#[derive(Debug)]
pub struct Volume<M> {
    disk: M,
    parameters: Parameters,
    table: Table,
    /// Free clusters, once they have been counted.
    free: Option<u32>,
    /// Where to look for a free cluster first.
    next_free: u32,
    /// Where the information sector is.
    information: Option<u64>,
    /// Where the byte is whose lowest bit says that it is in use.
    state: u64,
}

impl<M: Medium> Volume<M> {
    /// The one on this disk.
    ///
    /// # Errors
    /// [`Error::NotFat`], [`Error::Read`].
    pub fn new(disk: M) -> Result<Self, Error> {
        let mut sector = [0; BOOT_SECTOR];
        if !disk.read(0, &mut sector) {
            return Err(Error::Read);
        }
        let parameters = Parameters::parse(&sector)?;
        let is_fat32 = parameters.kind == Kind::Fat32;
        if is_fat32 && u16_at(&sector, 40) & 0x80 != 0 {
            return Err(Error::NotFat("its tables are not copies of each other"));
        }
        let number = u64::from(u16_at(&sector, 48));
        let place = number * u64::from(parameters.bytes_per_sector);
        let is_place = is_fat32 && number > 0 && number < u64::from(parameters.reserved_sectors);
        let mut volume = Self {
            disk,
            parameters,
            table: Table::default(),
            free: None,
            next_free: 2,
            information: is_place.then_some(place),
            state: if is_fat32 { 0x41 } else { 0x25 },
        };
        volume.read_information();
        Ok(volume)
    }

    /// Takes the hint where to look first; how much is free is counted, since others may not have kept it.
    fn read_information(&mut self) {
        let Some(place) = self.information else { return };
        let mut sector = [0; BOOT_SECTOR];
        let is_there = self.disk.read(place, &mut sector);
        if !is_there || INFORMATION.iter().any(|(at, value)| u32_at(&sector, *at) != *value) {
            self.information = None;
            return;
        }
        let hint = u32_at(&sector, 492);
        if self.parameters.has_cluster(hint) {
            self.next_free = hint;
        }
    }

    /// What its boot sector says.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The disk.
    pub fn disk(&self) -> &M {
        &self.disk
    }

    /// Whether it is marked as in use: if it is so before anybody uses it, it was not unmounted.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn is_in_use(&self) -> Result<bool, Error> {
        let mut byte = [0];
        if self.disk.read(self.state, &mut byte) { Ok(byte[0] & 1 != 0) } else { Err(Error::Read) }
    }

    /// Marks it as in use, or as not.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Write`].
    pub fn mark(&self, is_in_use: bool) -> Result<(), Error> {
        let mut byte = [0];
        if !self.disk.read(self.state, &mut byte) {
            return Err(Error::Read);
        }
        let wanted = byte[0] & !1 | u8::from(is_in_use);
        self.write(self.state, &[wanted])
    }

    /// Free clusters.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn free_clusters(&mut self) -> Result<u32, Error> {
        if let Some(free) = self.free {
            return Ok(free);
        }
        let mut free = 0;
        for cluster in 2..self.parameters.clusters + 2 {
            free += u32::from(self.table.value(&self.disk, &self.parameters, cluster)? == 0);
        }
        self.free = Some(free);
        Ok(free)
    }

    /// Writes how much is free where FAT32 keeps it.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Write`].
    pub fn write_information(&mut self) -> Result<(), Error> {
        let Some(place) = self.information else { return Ok(()) };
        let free = self.free_clusters()?;
        self.write(place + 488, &free.to_le_bytes())?;
        self.write(place + 492, &self.next_free.to_le_bytes())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        if self.disk.write(offset, bytes) { Ok(()) } else { Err(Error::Write) }
    }
}
