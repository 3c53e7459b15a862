//! Partition tables: GPT and MBR, read with distrust.
//!
//! [`read`] gives what Linux would name `vda1`, `vda2` and so on: a GPT if there is a valid one (the copy at
//! the end of the disk counts), else an MBR with its chain of logical partitions. Partitions that do not
//! lie on the disk are left out; a disk without a table has none.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod crc32;
mod gpt;
mod mbr;

use alloc::{string::String, vec::Vec};

/// A disk to be read.
pub trait Disk {
    /// Fills `buffer` with what is at a byte offset; both are multiples of the block size. `false`: it failed.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> bool;

    /// Size in bytes.
    fn size_bytes(&self) -> u64;

    /// Bytes in a block, by which the tables count: a power of two from 512 to 4096.
    fn block_size(&self) -> u32;
}

/// A part of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1.
    pub number: u32,
    /// First byte.
    pub start: u64,
    /// Length in bytes.
    pub length: u64,
    /// Its unique id as Linux writes it behind `PARTUUID=`.
    pub id: String,
    /// Its name, empty with MBR.
    pub label: String,
}

/// The largest block.
const MAX_BLOCK: usize = 4096;

/// Reads the partition table of a disk.
pub fn read(disk: &dyn Disk) -> Vec<Partition> {
    let block_size = disk.block_size();
    if !block_size.is_power_of_two() || !(512..=MAX_BLOCK as u32).contains(&block_size) {
        return Vec::new();
    }
    gpt::read(disk).unwrap_or_else(|| mbr::read(disk))
}

/// One block by its number.
fn read_block(disk: &dyn Disk, number: u64) -> Option<[u8; MAX_BLOCK]> {
    let size = u64::from(disk.block_size());
    let offset = number.checked_mul(size)?;
    if offset.checked_add(size)? > disk.size_bytes() {
        return None;
    }
    let mut block = [0; MAX_BLOCK];
    disk.read(offset, &mut block[..size as usize]).then_some(block)
}

/// Where a range of blocks is in bytes; `None` if it is empty or not on the disk.
fn byte_range(disk: &dyn Disk, first: u64, count: u64) -> Option<(u64, u64)> {
    let size = u64::from(disk.block_size());
    let (start, length) = (first.checked_mul(size)?, count.checked_mul(size)?);
    (length > 0 && start.checked_add(length)? <= disk.size_bytes()).then_some((start, length))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) struct Image(pub(crate) Vec<u8>);

    impl Disk for Image {
        fn read(&self, offset: u64, buffer: &mut [u8]) -> bool {
            let at = offset as usize;
            buffer.copy_from_slice(&self.0[at..at + buffer.len()]);
            true
        }

        fn size_bytes(&self) -> u64 {
            self.0.len() as u64
        }

        fn block_size(&self) -> u32 {
            512
        }
    }

    impl Image {
        pub(crate) fn set(&mut self, at: usize, bytes: &[u8]) {
            self.0[at..at + bytes.len()].copy_from_slice(bytes);
        }
    }

    #[test]
    fn an_empty_or_tiny_disk_has_no_partitions() {
        for size in [0, 512, 1024, 100 * 512] {
            assert_eq!(read(&Image(vec![0; size])), []);
        }
    }

    #[test]
    fn noise_is_survived() {
        let mut state = 1_u64;
        for _ in 0..200 {
            let mut image = Image(vec![0; 64 * 512]);
            for byte in &mut image.0 {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                *byte = (state >> 56) as u8;
            }
            image.set(510, &[0x55, 0xaa]);
            image.set(450, &[5]);
            image.set(512, b"EFI PART");
            read(&image);
        }
    }
}
