//! What keeps the kernel from its own mistakes: the CPU's protections, and attempts to break them, for tests.
//!
//! # Soundness
//! Each attempt is harmless where it does not fault: it stores what is there already, or calls a `ret`.

use super::{entry::EntryFlags, kernel_table, layout};
use crate::addr::{PAGE_SIZE, VirtAddr};
use core::{
    arch::{asm, x86_64::__cpuid, x86_64::__cpuid_count},
    sync::atomic::AtomicU64,
};
use paging::PageKind;
use x86_64::registers::{
    control::{Cr0, Cr0Flags, Cr4, Cr4Flags},
    model_specific::{Efer, EferFlags},
};

bitflags::bitflags! {
    /// Protections of the CPU (Intel SDM vol. 3, 2.5 and 4.6).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Protections: u8 {
        /// NX: pages can forbid instruction fetches.
        const NO_EXECUTE = 1;
        /// WP: read-only pages are so for the kernel too.
        const WRITE_PROTECT = 1 << 1;
        /// SMEP: the kernel executes nothing from a program's pages.
        const SMEP = 1 << 2;
        /// SMAP: the kernel touches a program's pages only where it says so.
        const SMAP = 1 << 3;
        /// UMIP: programs cannot read descriptor table registers.
        const UMIP = 1 << 4;
    }
}

/// Which protections this CPU has, and which of them are on.
pub fn protections() -> (Protections, Protections) {
    let mut available = Protections::WRITE_PROTECT;
    let extended = if __cpuid(0x8000_0000).eax >= 0x8000_0001 { __cpuid(0x8000_0001).edx } else { 0 };
    available.set(Protections::NO_EXECUTE, extended & 1 << 20 != 0);
    if __cpuid(0).eax >= 7 {
        let features = __cpuid_count(7, 0);
        available.set(Protections::SMEP, features.ebx & 1 << 7 != 0);
        available.set(Protections::SMAP, features.ebx & 1 << 20 != 0);
        available.set(Protections::UMIP, features.ecx & 1 << 2 != 0);
    }
    let mut enabled = Protections::empty();
    let cr4 = Cr4::read();
    enabled.set(Protections::NO_EXECUTE, Efer::read().contains(EferFlags::NO_EXECUTE_ENABLE));
    enabled.set(Protections::WRITE_PROTECT, Cr0::read().contains(Cr0Flags::WRITE_PROTECT));
    enabled.set(Protections::SMEP, cr4.contains(Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION));
    enabled.set(Protections::SMAP, cr4.contains(Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION));
    enabled.set(Protections::UMIP, cr4.contains(Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION));
    (available, enabled)
}

/// Something that must fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// A store to the kernel's code.
    WriteText,
    /// The same through the direct map.
    WriteTextInDirectMap,
    /// A store to a constant.
    WriteConstant,
    /// A call into the kernel's data.
    ExecuteData,
    /// A call into the direct map.
    ExecuteDirectMap,
    /// A load from address 0.
    ReadNull,
    /// A load from the page below this stack.
    ReadBelowStack,
}

/// Bytes that begin with a `ret`.
static DATA: AtomicU64 = AtomicU64::new(0xc3);
static CONSTANT: u64 = 0x6b72_6e6c;

/// Tries it. Returns only if nothing keeps it from being done.
pub fn attempt(what: Forbidden) {
    let text = attempt as *const () as u64;
    let data = DATA.as_ptr() as u64;
    match what {
        Forbidden::WriteText => store(text),
        Forbidden::WriteTextInDirectMap => store(direct(text)),
        Forbidden::WriteConstant => store(&raw const CONSTANT as u64),
        Forbidden::ExecuteData => call(data),
        Forbidden::ExecuteDirectMap => call(direct(data)),
        Forbidden::ReadNull => load(0),
        Forbidden::ReadBelowStack => load(below_stack()),
    }
}

/// Where the direct map shows what is at an address of the image.
fn direct(address: u64) -> u64 {
    let entry = kernel_table::leaf_at(VirtAddr::new(address));
    layout::direct(entry.entry.address()) as u64 + (address - entry.start.as_u64())
}

/// An address in the guard page below the stack that this runs on.
fn below_stack() -> u64 {
    let local = 0u8;
    let mut page = &raw const local as u64 & !(PAGE_SIZE as u64 - 1);
    while kernel_table::entry_at(VirtAddr::new(page)).flags().contains(EntryFlags::PRESENT) {
        page -= PAGE_SIZE as u64;
    }
    assert_eq!(kernel_table::entry_at(VirtAddr::new(page)).kind(), PageKind::Guard);
    page + PAGE_SIZE as u64 - 8
}

fn load(address: u64) {
    // SAFETY: the load faults, or reads a byte and drops it.
    unsafe {
        asm!("mov {byte}, [{address}]", byte = out(reg_byte) _, address = in(reg) address, options(nostack, readonly))
    };
}

fn store(address: u64) {
    // SAFETY: the store faults, or stores the byte that is there.
    unsafe {
        asm!("mov {byte}, [{address}]", "mov [{address}], {byte}",
            byte = out(reg_byte) _, address = in(reg) address, options(nostack));
    };
}

fn call(address: u64) {
    // SAFETY: the call faults, or comes to a `ret` and back.
    unsafe { asm!("call {address}", address = in(reg) address, clobber_abi("C")) };
}
