//! Multiboot2, as GRUB speaks it under BIOS and UEFI.

use super::{Bytes, Early, Framebuffer, MemoryKind, refuse};
use bootinfo::multiboot2::{Tag, visit};
use x86_64::PhysAddr;

/// More than GRUB ever leaves.
const MAX_INFO: u64 = 1 << 20;

/// Reads the information structure at a physical address.
pub(super) fn collect(early: &mut Early, info: u64) {
    early.protocol = "multiboot2";
    let header = early.bytes(info, 4);
    let length = u64::from(u32::from_le_bytes(*header.first_chunk().expect("four bytes")));
    if info == 0 || !(8..MAX_INFO).contains(&length) {
        refuse("multiboot2: no boot information");
    }
    let bytes = early.bytes(info, length);
    let place = |part: &[u8]| Bytes {
        start: info + (part.as_ptr() as u64 - bytes.as_ptr() as u64),
        length: part.len() as u64,
    };
    // RAM first, so that what is said of parts of it prevails.
    for ram in [true, false] {
        visit(bytes, &mut |tag| {
            if let Tag::Memory { start, length, kind } = tag
                && (kind == bootinfo::e820::RAM) == ram
            {
                early.add_memory(start, length, kind);
            }
        });
    }
    visit(bytes, &mut |tag| match tag {
        Tag::CommandLine(text) => early.command_line = place(text),
        Tag::Module { start, end, name } => {
            let data = Bytes { start: start.into(), length: end.saturating_sub(start).into() };
            early.add_module(data, place(name));
        }
        Tag::Rsdp { offset, extended } => {
            if extended || early.rsdp.is_none() {
                early.rsdp = Some(info + offset as u64);
            }
        }
        Tag::Framebuffer(f) => {
            early.framebuffer = Some(Framebuffer {
                address: PhysAddr::new_truncate(f.address),
                width: f.width,
                height: f.height,
                pitch: f.pitch,
                bits_per_pixel: f.bits_per_pixel,
                red_shift: f.red_shift,
                green_shift: f.green_shift,
                blue_shift: f.blue_shift,
            });
        }
        Tag::Memory { .. } => {}
    });
    if !early.map.stretches().iter().any(|s| s.kind == MemoryKind::Usable) {
        refuse("multiboot2: no memory map");
    }
    early.reserve_while_starting(Bytes { start: info, length });
}
