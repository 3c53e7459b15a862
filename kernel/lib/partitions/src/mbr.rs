//! The master boot record, and the chain of logical partitions in an extended one.

use crate::{Disk, Partition, byte_range, read_block, u16_at, u32_at};
use alloc::{format, string::String, vec::Vec};

const TABLE: usize = 446;
const ENTRY: usize = 16;
const SIGNATURE: u16 = 0xaa55;
/// A partition that only says that the disk has a GPT.
const PROTECTIVE: u8 = 0xee;
/// Partitions that hold a chain of others: CHS, LBA, Linux.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];
/// The first logical partition's number.
const FIRST_LOGICAL: u32 = 5;
const MAX_LOGICAL: u32 = 60;

struct Entry {
    kind: u8,
    first: u64,
    count: u64,
}

/// Reads the record in block 0; without a valid one there are no partitions.
pub(crate) fn read(disk: &dyn Disk) -> Vec<Partition> {
    let mut partitions = Vec::new();
    let Some(record) = read_block(disk, 0) else { return partitions };
    // A FAT or other boot sector carries the same signature, but has no plausible table.
    let has_table = (0..4).all(|index| matches!(record[TABLE + index * ENTRY], 0 | 0x80));
    if u16_at(&record, 510) != SIGNATURE || !has_table {
        return partitions;
    }
    let disk_id = u32_at(&record, 440);
    for index in 0..4 {
        let entry = entry(&record, index);
        if entry.kind == PROTECTIVE {
            return Vec::new();
        }
        if EXTENDED.contains(&entry.kind) {
            read_chain(disk, disk_id, &entry, &mut partitions);
        } else if entry.kind != 0 {
            add(disk, disk_id, index as u32 + 1, entry.first, entry.count, &mut partitions);
        }
    }
    partitions.sort_by_key(|partition| partition.number);
    partitions
}

/// Each record of the chain has one partition (counted from the record) and a link (counted from the first).
fn read_chain(disk: &dyn Disk, disk_id: u32, extended: &Entry, partitions: &mut Vec<Partition>) {
    let mut at = extended.first;
    for number in (FIRST_LOGICAL..).take(MAX_LOGICAL as usize) {
        let Some(record) = read_block(disk, at).filter(|record| u16_at(record, 510) == SIGNATURE) else {
            return;
        };
        let (logical, link) = (entry(&record, 0), entry(&record, 1));
        if logical.kind != 0 {
            add(disk, disk_id, number, at + logical.first, logical.count, partitions);
        }
        if !EXTENDED.contains(&link.kind) || link.first == 0 {
            return;
        }
        at = extended.first + link.first;
    }
}

fn entry(record: &[u8], index: usize) -> Entry {
    let bytes = &record[TABLE + index * ENTRY..][..ENTRY];
    Entry { kind: bytes[4], first: u32_at(bytes, 8).into(), count: u32_at(bytes, 12).into() }
}

fn add(disk: &dyn Disk, disk_id: u32, number: u32, first: u64, count: u64, to: &mut Vec<Partition>) {
    if let Some((start, length)) = byte_range(disk, first, count) {
        let id = format!("{disk_id:08x}-{number:02x}");
        to.push(Partition { number, start, length, id, label: String::new() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Image;

    fn set_entry(image: &mut Image, record: usize, index: usize, kind: u8, first: u32, count: u32) {
        let at = record * 512 + TABLE + index * ENTRY;
        image.set(at + 4, &[kind]);
        image.set(at + 8, &first.to_le_bytes());
        image.set(at + 12, &count.to_le_bytes());
        image.set(record * 512 + 510, &[0x55, 0xaa]);
    }

    fn numbers(image: &Image) -> Vec<(u32, u64, u64)> {
        read(image).iter().map(|p| (p.number, p.start / 512, p.length / 512)).collect()
    }

    #[test]
    fn primary_and_logical_partitions_are_found() {
        let mut image = Image(vec![0; 100 * 512]);
        image.set(440, &0x1234_abcd_u32.to_le_bytes());
        set_entry(&mut image, 0, 0, 0x83, 1, 9);
        set_entry(&mut image, 0, 1, 0x05, 50, 50);
        set_entry(&mut image, 0, 3, 0x83, 95, 6); // one block too long
        set_entry(&mut image, 50, 0, 0x83, 2, 5);
        set_entry(&mut image, 50, 1, 0x05, 20, 10);
        set_entry(&mut image, 70, 0, 0x82, 1, 4);
        assert_eq!(numbers(&image), [(1, 1, 9), (5, 52, 5), (6, 71, 4)]);
        assert_eq!(read(&image)[1].id, "1234abcd-05");
    }

    #[test]
    fn a_circular_chain_ends() {
        let mut image = Image(vec![0; 100 * 512]);
        set_entry(&mut image, 0, 0, 0x0f, 10, 50);
        set_entry(&mut image, 10, 0, 0x83, 1, 1);
        set_entry(&mut image, 10, 1, 0x05, 10, 1);
        set_entry(&mut image, 20, 0, 0x83, 1, 1);
        set_entry(&mut image, 20, 1, 0x05, 10, 1);
        assert_eq!(numbers(&image).len(), MAX_LOGICAL as usize);
    }

    #[test]
    fn a_protective_record_has_no_partitions() {
        let mut image = Image(vec![0; 100 * 512]);
        set_entry(&mut image, 0, 0, PROTECTIVE, 1, 99);
        assert_eq!(numbers(&image), []);
    }
}
