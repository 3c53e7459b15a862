//! From the boot protocols (Limine, Multiboot2, PVH) to one [`BootInfo`].

use crate::addr::PhysAddr;
use alloc::{string::String, vec::Vec};

/// What the boot loader told, in the kernel's own memory.
#[derive(Debug)]
pub struct BootInfo {
    /// Which protocol: "limine", "multiboot2" or "pvh".
    pub protocol: &'static str,
    /// The kernel's command line, as given.
    pub command_line: String,
    /// Boot modules: their bytes stay reserved until [`Module::data`]'s user drops them.
    pub modules: Vec<Module>,
    /// ACPI's root pointer.
    pub rsdp: Option<PhysAddr>,
    /// A linear framebuffer.
    pub framebuffer: Option<Framebuffer>,
    /// The memory map: start, length in bytes, kind; sorted.
    pub memory_map: Vec<MemoryRegion>,
}

/// A file that the boot loader put into memory.
#[derive(Debug, Clone)]
pub struct Module {
    /// Its name or command line.
    pub name: String,
    /// Where it lies.
    pub start: PhysAddr,
    /// Its length in bytes.
    pub length: u64,
}
impl Module {
    /// Its bytes, mapped read-only; they are never freed.
    pub fn data(&self) -> &'static [u8] { todo!() }
}

/// One stretch of physical memory.
#[derive(Debug, Clone, Copy)]
pub struct MemoryRegion {
    /// First byte.
    pub start: PhysAddr,
    /// Length in bytes.
    pub length: u64,
    /// What it may be used for.
    pub kind: MemoryKind,
}
/// Kinds of physical memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryKind {
    /// RAM that is free to use.
    Usable,
    /// RAM that holds ACPI tables; usable once they are read.
    AcpiReclaimable,
    /// RAM that belongs to the firmware for ever.
    AcpiNvs,
    /// RAM that holds boot data (BootInfo's sources, page tables) or the kernel or modules.
    Kernel,
    /// Anything else.
    Reserved,
}
/// A linear framebuffer, 32 bits a pixel unless `bits_per_pixel` says otherwise.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names say it; pitch is in bytes")]
pub struct Framebuffer {
    pub address: PhysAddr, pub width: u32, pub height: u32, pub pitch: u32, pub bits_per_pixel: u8,
    pub red_shift: u8, pub green_shift: u8, pub blue_shift: u8,
}
