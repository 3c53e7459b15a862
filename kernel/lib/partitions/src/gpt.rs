//! GUID partition table (UEFI Specification 2.10, section 5.3).

use crate::{Disk, Partition, byte_range, crc32::crc32, read_block, u32_at, u64_at};
use alloc::{format, string::String, vec, vec::Vec};

/// Entries of at least this length, and not more of them than this (16 KiB of 128 bytes is the rule).
const MIN_ENTRY: usize = 128;
const MAX_TABLE: usize = 1 << 20;

/// Reads the table in block 1, or its copy in the last block; `None` if neither is valid.
pub(crate) fn read(disk: &dyn Disk) -> Option<Vec<Partition>> {
    let last = (disk.size_bytes() / u64::from(disk.block_size())).checked_sub(1)?;
    read_table(disk, 1).or_else(|| read_table(disk, last))
}

fn read_table(disk: &dyn Disk, number: u64) -> Option<Vec<Partition>> {
    let header = read_block(disk, number)?;
    let header = &header[..disk.block_size() as usize];
    let length = u32_at(header, 12) as usize;
    if &header[..8] != b"EFI PART" || !(92..=header.len()).contains(&length) {
        return None;
    }
    let is_whole = crc32(&[&header[..16], &[0; 4], &header[20..length]]) == u32_at(header, 16);
    if !is_whole || u64_at(header, 24) != number {
        return None;
    }
    let (count, size) = (u32_at(header, 80) as usize, u32_at(header, 84) as usize);
    let table_length = count.checked_mul(size)?;
    if size < MIN_ENTRY || !size.is_power_of_two() || table_length > MAX_TABLE {
        return None;
    }
    let block_size = disk.block_size() as usize;
    let mut table = vec![0; table_length.next_multiple_of(block_size)];
    let start = u64_at(header, 72).checked_mul(block_size as u64)?;
    if start.checked_add(table.len() as u64)? > disk.size_bytes() || !disk.read(start, &mut table) {
        return None;
    }
    table.truncate(table_length);
    if crc32(&[&table]) != u32_at(header, 88) {
        return None;
    }
    let entries = (1..).zip(table.chunks_exact(size));
    Some(entries.filter_map(|(number, entry)| partition(disk, number, entry)).collect())
}

fn partition(disk: &dyn Disk, number: u32, entry: &[u8]) -> Option<Partition> {
    if entry[..16] == [0; 16] {
        return None;
    }
    let (first, last) = (u64_at(entry, 32), u64_at(entry, 40));
    let (start, length) = byte_range(disk, first, last.checked_sub(first)?.checked_add(1)?)?;
    let label = entry[56..128].chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    let label = char::decode_utf16(label.take_while(|unit| *unit != 0));
    let label = label.map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    Some(Partition { number, start, length, id: guid(&entry[16..32]), label })
}

/// The text form of a GUID, whose first three fields are little-endian.
fn guid(bytes: &[u8]) -> String {
    let hex = |range: core::ops::Range<usize>| {
        bytes[range].iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    };
    let (a, b, c) = (u32_at(bytes, 0), crate::u16_at(bytes, 4), crate::u16_at(bytes, 6));
    format!("{a:08x}-{b:04x}-{c:04x}-{}-{}", hex(8..10), hex(10..16))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Image;

    const BLOCKS: usize = 100;

    fn write_table(image: &mut Image, number: u64, entries_at: u64) {
        let mut entry = [0; 128];
        entry[..16].copy_from_slice(&[1; 16]);
        for (index, byte) in entry[16..32].iter_mut().enumerate() {
            *byte = index as u8;
        }
        entry[32..40].copy_from_slice(&40_u64.to_le_bytes());
        entry[40..48].copy_from_slice(&49_u64.to_le_bytes());
        entry[56..62].copy_from_slice(&[b'r', 0, 0xe9, 0, b't', 0]);
        let mut table = vec![0; 4 * 128];
        table[128..256].copy_from_slice(&entry);
        entry[32..40].copy_from_slice(&90_u64.to_le_bytes());
        entry[40..48].copy_from_slice(&100_u64.to_le_bytes()); // one block too far
        table[256..384].copy_from_slice(&entry);
        let mut header = vec![0; 92];
        header[..8].copy_from_slice(b"EFI PART");
        header[12..16].copy_from_slice(&92_u32.to_le_bytes());
        header[24..32].copy_from_slice(&number.to_le_bytes());
        header[72..80].copy_from_slice(&entries_at.to_le_bytes());
        header[80..84].copy_from_slice(&4_u32.to_le_bytes());
        header[84..88].copy_from_slice(&128_u32.to_le_bytes());
        header[88..92].copy_from_slice(&crc32(&[&table]).to_le_bytes());
        let sum = crc32(&[&header]);
        header[16..20].copy_from_slice(&sum.to_le_bytes());
        image.set(number as usize * 512, &header);
        image.set(entries_at as usize * 512, &table);
    }

    #[test]
    fn the_table_and_its_copy_are_read() {
        for damage in [None, Some(512 + 30), Some(2 * 512 + 200)] {
            let mut image = Image(vec![0; BLOCKS * 512]);
            write_table(&mut image, 1, 2);
            write_table(&mut image, BLOCKS as u64 - 1, 60);
            if let Some(at) = damage {
                image.0[at] ^= 0xff;
            }
            let expected = Partition {
                number: 2,
                start: 40 * 512,
                length: 10 * 512,
                id: "03020100-0504-0706-0809-0a0b0c0d0e0f".into(),
                label: "r\u{e9}t".into(),
            };
            assert_eq!(read(&image), Some(vec![expected]));
        }
    }

    #[test]
    fn no_valid_table_is_none() {
        let mut image = Image(vec![0; BLOCKS * 512]);
        write_table(&mut image, 1, 2);
        image.0[512 + 84] = 0;
        assert_eq!(read(&image), None);
    }
}
