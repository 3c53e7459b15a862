//! What the file system on a disk is called: ext2's and FAT's numbers and labels, for `root=UUID=...` and `LABEL=...`.
//!
//! Source: the kernel's Documentation/filesystems/ext4/super.rst; Microsoft's FAT specification 1.03, section 3.

use super::Disk;
use alloc::{format, string::String};
use core::fmt::Write;

/// What is read of a disk: FAT's boot sector and ext2's superblock.
const LENGTH: usize = 4096;

/// ext2's superblock, and its fields from there.
mod ext2 {
    pub(super) const SUPERBLOCK: usize = 1024;
    pub(super) const MAGIC: (usize, [u8; 2]) = (SUPERBLOCK + 56, [0x53, 0xef]);
    pub(super) const UUID: usize = SUPERBLOCK + 104;
    pub(super) const LABEL: (usize, usize) = (SUPERBLOCK + 120, 16);
}

/// Of FAT's boot sector: where the name of the type stands, and the number and label before it.
struct Fat {
    kind: (usize, &'static [u8]),
    number: usize,
    label: usize,
}

const FATS: [Fat; 3] = [
    Fat { kind: (54, b"FAT12"), number: 39, label: 43 },
    Fat { kind: (54, b"FAT16"), number: 39, label: 43 },
    Fat { kind: (82, b"FAT32"), number: 67, label: 71 },
];
const FAT_LABEL_LENGTH: usize = 11;

fn beginning(disk: &Disk) -> Option<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    disk.read(0, &mut bytes).ok().map(|()| bytes)
}

fn is_ext2(bytes: &[u8; LENGTH]) -> bool {
    let (at, magic) = ext2::MAGIC;
    bytes[at..].starts_with(&magic)
}

fn fat(bytes: &[u8; LENGTH]) -> Option<&'static Fat> {
    FATS.iter().find(|fat| bytes[fat.kind.0..].starts_with(fat.kind.1) && bytes[510..512] == [0x55, 0xaa])
}

/// The number of the file system on a disk, as blkid(8) writes it.
pub(super) fn uuid(disk: &Disk) -> Option<String> {
    let bytes = beginning(disk)?;
    if is_ext2(&bytes) {
        let mut text = String::new();
        for (index, byte) in bytes[ext2::UUID..][..16].iter().enumerate() {
            let dash = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
            // Writing to a string does not fail.
            let _ = write!(text, "{dash}{byte:02x}");
        }
        return Some(text);
    }
    let number = &bytes[fat(&bytes)?.number..];
    Some(format!("{:02X}{:02X}-{:02X}{:02X}", number[3], number[2], number[1], number[0]))
}

/// The label of the file system on a disk.
pub(super) fn label(disk: &Disk) -> Option<String> {
    let bytes = beginning(disk)?;
    let label = match is_ext2(&bytes) {
        true => &bytes[ext2::LABEL.0..][..ext2::LABEL.1],
        false => &bytes[fat(&bytes)?.label..][..FAT_LABEL_LENGTH],
    };
    let end = label.iter().position(|byte| *byte == 0).unwrap_or(label.len());
    let text = String::from_utf8_lossy(&label[..end]);
    let text = text.trim_end();
    (!text.is_empty()).then(|| text.into())
}
