//! Limine, under BIOS and UEFI.
//!
//! Base revision 2: what Limine 8 has. The command line comes with the kernel's own file, since the request
//! for it alone is newer. Source: Limine's PROTOCOL.md.

use super::{Early, Framebuffer, MemoryKind, refuse};
use crate::addr::PhysAddr;
use limine::BaseRevision;
use limine::memory_map::EntryType;
use limine::request::{
    ExecutableAddressRequest, ExecutableFileRequest, FramebufferRequest, HhdmRequest, MemoryMapRequest,
    ModuleRequest, RequestsEndMarker, RequestsStartMarker, RsdpRequest,
};

#[used]
#[unsafe(link_section = ".limine_requests_start")]
static START: RequestsStartMarker = RequestsStartMarker::new();
#[used]
#[unsafe(link_section = ".limine_requests")]
static REVISION: BaseRevision = BaseRevision::with_revision(2);
#[used]
#[unsafe(link_section = ".limine_requests")]
static HHDM: HhdmRequest = HhdmRequest::new();
#[used]
#[unsafe(link_section = ".limine_requests")]
static ADDRESS: ExecutableAddressRequest = ExecutableAddressRequest::new();
#[used]
#[unsafe(link_section = ".limine_requests")]
static FILE: ExecutableFileRequest = ExecutableFileRequest::new();
#[used]
#[unsafe(link_section = ".limine_requests")]
static MEMORY_MAP: MemoryMapRequest = MemoryMapRequest::new();
#[used]
#[unsafe(link_section = ".limine_requests")]
static MODULES: ModuleRequest = ModuleRequest::new();
#[used]
#[unsafe(link_section = ".limine_requests")]
static RSDP: RsdpRequest = RsdpRequest::new();
#[used]
#[unsafe(link_section = ".limine_requests")]
static FRAMEBUFFER: FramebufferRequest = FramebufferRequest::new();
#[used]
#[unsafe(link_section = ".limine_requests_end")]
static END: RequestsEndMarker = RequestsEndMarker::new();

/// Reads the answers.
pub(super) fn collect(early: &mut Early) {
    early.protocol = "limine";
    if !REVISION.is_supported() {
        refuse("limine: base revision 2 is not supported by this Limine; use version 8 or later");
    }
    let (Some(hhdm), Some(address), Some(map)) =
        (HHDM.get_response(), ADDRESS.get_response(), MEMORY_MAP.get_response())
    else {
        refuse("limine: no answer about the direct map, the kernel's address or the memory map");
    };
    early.hhdm = hhdm.offset();
    early.kernel_base = address.physical_base();
    let physical = |pointer: *const u8| (pointer as u64).wrapping_sub(hhdm.offset());
    for entry in map.entries() {
        let kind = match entry.entry_type {
            EntryType::USABLE => MemoryKind::Usable,
            EntryType::ACPI_RECLAIMABLE => MemoryKind::AcpiReclaimable,
            EntryType::ACPI_NVS => MemoryKind::AcpiNvs,
            EntryType::BOOTLOADER_RECLAIMABLE => MemoryKind::BootLoader,
            EntryType::EXECUTABLE_AND_MODULES => MemoryKind::Kernel,
            _ => MemoryKind::Reserved,
        };
        early.map.set(entry.base, entry.length, kind);
    }
    if let Some(file) = FILE.get_response() {
        early.command_line = early.string(physical(file.file().string().as_ptr().cast()));
    }
    for module in MODULES.get_response().map(|answer| answer.modules()).unwrap_or_default() {
        let name = early.string(physical(module.string().as_ptr().cast()));
        early.add_module(super::Bytes { start: physical(module.addr()), length: module.size() }, name);
    }
    if let Some(rsdp) = RSDP.get_response() {
        // A pointer into the direct map in base revisions below 3.
        let pointer = rsdp.address() as u64;
        early.rsdp = Some(if pointer >= hhdm.offset() { pointer - hhdm.offset() } else { pointer });
    }
    if let Some(f) = FRAMEBUFFER.get_response().and_then(|answer| answer.framebuffers().next()) {
        early.framebuffer = Some(Framebuffer {
            address: PhysAddr::new_truncate(physical(f.addr())),
            width: f.width() as u32,
            height: f.height() as u32,
            pitch: f.pitch() as u32,
            bits_per_pixel: f.bpp() as u8,
            red_shift: f.red_mask_shift(),
            green_shift: f.green_mask_shift(),
            blue_shift: f.blue_mask_shift(),
        });
    }
}
