//! Multiboot2's boot information (Multiboot2 specification 2.0, section 3.6).

use crate::{u32_at, u64_at};

/// The parts that this system uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag<'a> {
    /// The kernel's command line, without the terminating zero.
    CommandLine(&'a [u8]),
    /// A boot module: physical start and end, and its string.
    Module {
        /// First byte.
        start: u32,
        /// Behind the last byte.
        end: u32,
        /// Its command line, without the terminating zero.
        name: &'a [u8],
    },
    /// A stretch of the memory map.
    Memory {
        /// First byte.
        start: u64,
        /// Bytes.
        length: u64,
        /// See [`crate::e820`].
        kind: u32,
    },
    /// A framebuffer with direct colours.
    Framebuffer(Framebuffer),
    /// A copy of ACPI's root pointer lies at this offset of the information; `true`: of version 2 or later.
    Rsdp {
        /// Offset into the boot information.
        offset: usize,
        /// The extended form.
        extended: bool,
    },
}

/// A linear framebuffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the specification's")]
pub struct Framebuffer {
    pub address: u64,
    pub pitch: u32,
    pub width: u32,
    pub height: u32,
    pub bits_per_pixel: u8,
    pub red_shift: u8,
    pub green_shift: u8,
    pub blue_shift: u8,
}

const COMMAND_LINE: u32 = 1;
const MODULE: u32 = 3;
const MEMORY_MAP: u32 = 6;
const FRAMEBUFFER: u32 = 8;
const ACPI_OLD: u32 = 14;
const ACPI_NEW: u32 = 15;
const END: u32 = 0;
const DIRECT_COLOUR: u8 = 1;
const HEADER: usize = 8;

/// Calls `visit` for each known tag of `info`, which begins with its total size.
pub fn visit<'a>(info: &'a [u8], visit: &mut dyn FnMut(Tag<'a>)) {
    let total = u32_at(info, 0).map_or(0, |size| (size as usize).min(info.len()));
    let info = &info[..total];
    let mut at = HEADER;
    while let (Some(kind), Some(size)) = (u32_at(info, at), u32_at(info, at + 4)) {
        let size = size as usize;
        if kind == END || size < HEADER {
            return;
        }
        let Some(body) = at.checked_add(size).and_then(|end| info.get(at + HEADER..end)) else { return };
        one(kind, body, at + HEADER, visit);
        let Some(next) = at.checked_add(size).and_then(|end| end.checked_next_multiple_of(8)) else { return };
        at = next;
    }
}

fn one<'a>(kind: u32, body: &'a [u8], offset: usize, visit: &mut dyn FnMut(Tag<'a>)) {
    match kind {
        COMMAND_LINE => visit(Tag::CommandLine(until_zero(body))),
        MODULE => {
            if let (Some(start), Some(end)) = (u32_at(body, 0), u32_at(body, 4)) {
                visit(Tag::Module { start, end, name: until_zero(&body[8..]) });
            }
        }
        MEMORY_MAP => memory_map(body, visit),
        FRAMEBUFFER => {
            if let Some(framebuffer) = framebuffer(body) {
                visit(Tag::Framebuffer(framebuffer));
            }
        }
        ACPI_OLD | ACPI_NEW => visit(Tag::Rsdp { offset, extended: kind == ACPI_NEW }),
        _ => {}
    }
}

fn memory_map<'a>(body: &'a [u8], visit: &mut dyn FnMut(Tag<'a>)) {
    let Some(entry_size) = u32_at(body, 0).filter(|&size| size >= 20) else { return };
    for entry in body.get(8..).unwrap_or_default().chunks_exact(entry_size as usize) {
        if let (Some(start), Some(length), Some(kind)) =
            (u64_at(entry, 0), u64_at(entry, 8), u32_at(entry, 16))
        {
            visit(Tag::Memory { start, length, kind });
        }
    }
}

fn framebuffer(body: &[u8]) -> Option<Framebuffer> {
    (*body.get(21)? == DIRECT_COLOUR).then_some(())?;
    Some(Framebuffer {
        address: u64_at(body, 0)?,
        pitch: u32_at(body, 8)?,
        width: u32_at(body, 12)?,
        height: u32_at(body, 16)?,
        bits_per_pixel: *body.get(20)?,
        red_shift: *body.get(24)?,
        green_shift: *body.get(26)?,
        blue_shift: *body.get(28)?,
    })
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{vec, vec::Vec};

    fn info(tags: &[(u32, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = vec![0; 8];
        for (kind, body) in tags {
            bytes.extend(kind.to_le_bytes());
            bytes.extend((body.len() as u32 + 8).to_le_bytes());
            bytes.extend(body);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
        bytes.extend([0, 0, 0, 0, 8, 0, 0, 0]);
        let total = bytes.len() as u32;
        bytes[..4].copy_from_slice(&total.to_le_bytes());
        bytes
    }

    fn all(bytes: &[u8]) -> Vec<Tag<'_>> {
        let mut tags = Vec::new();
        visit(bytes, &mut |tag| tags.push(tag));
        tags
    }

    fn sample() -> Vec<u8> {
        let mut module = 0x10_0000u32.to_le_bytes().to_vec();
        module.extend(0x20_0000u32.to_le_bytes());
        module.extend(b"rootfs\0");
        let mut map = vec![24, 0, 0, 0, 0, 0, 0, 0];
        map.extend(0x10_0000u64.to_le_bytes());
        map.extend(0x4000_0000u64.to_le_bytes());
        map.extend(1u32.to_le_bytes());
        map.extend([0; 4]);
        info(&[
            (1, b"root=/dev/ram0\0".to_vec()),
            (3, module),
            (6, map),
            (15, b"RSD PTR ".to_vec()),
            (99, vec![1]),
        ])
    }

    #[test]
    fn known_tags_are_read_and_others_skipped() {
        let bytes = sample();
        let tags = all(&bytes);
        assert_eq!(tags[0], Tag::CommandLine(b"root=/dev/ram0"));
        assert_eq!(tags[1], Tag::Module { start: 0x10_0000, end: 0x20_0000, name: b"rootfs" });
        assert_eq!(tags[2], Tag::Memory { start: 0x10_0000, length: 0x4000_0000, kind: 1 });
        let Tag::Rsdp { offset, extended: true } = tags[3] else { panic!("{:?}", tags[3]) };
        assert_eq!(&bytes[offset..offset + 8], b"RSD PTR ");
        assert_eq!(tags.len(), 4);
    }

    #[test]
    fn damaged_information_ends_without_a_panic() {
        let bytes = sample();
        for cut in 0..bytes.len() {
            all(&bytes[..cut]);
        }
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut broken = bytes.clone();
                broken[at] = value;
                all(&broken);
            }
        }
    }
}
