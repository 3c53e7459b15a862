//! Model-specific registers and control registers, for this crate only.

use core::arch::asm;

pub(crate) const APIC_BASE: u32 = 0x1b;
pub(crate) const PAT: u32 = 0x277;
pub(crate) const TSC_DEADLINE: u32 = 0x6e0;
pub(crate) const EFER: u32 = 0xc000_0080;
pub(crate) const STAR: u32 = 0xc000_0081;
pub(crate) const LSTAR: u32 = 0xc000_0082;
pub(crate) const SFMASK: u32 = 0xc000_0084;
pub(crate) const FS_BASE: u32 = 0xc000_0100;
pub(crate) const GS_BASE: u32 = 0xc000_0101;
pub(crate) const KERNEL_GS_BASE: u32 = 0xc000_0102;
pub(crate) const TSC_AUX: u32 = 0xc000_0103;

/// Reads a model-specific register.
///
/// # Safety
/// The register must exist on this CPU.
pub(crate) unsafe fn read(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the caller's.
    unsafe {
        asm!("rdmsr", in("ecx") register, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags))
    };
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a model-specific register.
///
/// # Safety
/// The register must exist, and the value must keep the CPU in the state that the kernel's code expects.
pub(crate) unsafe fn write(register: u32, value: u64) {
    // SAFETY: the caller's.
    unsafe {
        asm!("wrmsr", in("ecx") register, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nostack, preserves_flags))
    };
}

/// CR2: the address of the last page fault.
pub(crate) fn cr2() -> u64 {
    let value: u64;
    // SAFETY: reading it has no effect.
    unsafe { asm!("mov {}, cr2", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// CR4.
pub(crate) fn cr4() -> u64 {
    let value: u64;
    // SAFETY: reading it has no effect.
    unsafe { asm!("mov {}, cr4", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Writes CR4.
///
/// # Safety
/// Paging must stay as the kernel expects it, and the bits must exist on this CPU.
pub(crate) unsafe fn set_cr4(value: u64) {
    // SAFETY: the caller's.
    unsafe { asm!("mov cr4, {}", in(reg) value, options(nostack, preserves_flags)) };
}

/// CR0.
pub(crate) fn cr0() -> u64 {
    let value: u64;
    // SAFETY: reading it has no effect.
    unsafe { asm!("mov {}, cr0", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Writes CR0.
///
/// # Safety
/// As for [`set_cr4`].
pub(crate) unsafe fn set_cr0(value: u64) {
    // SAFETY: the caller's.
    unsafe { asm!("mov cr0, {}", in(reg) value, options(nostack, preserves_flags)) };
}

/// CR3: the root of the page tables.
pub(crate) fn cr3() -> u64 {
    let value: u64;
    // SAFETY: reading it has no effect.
    unsafe { asm!("mov {}, cr3", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// RSP, RBP and RFLAGS, for reports.
pub(crate) fn stack_registers() -> (u64, u64, u64) {
    let (rsp, rbp, rflags): (u64, u64, u64);
    // SAFETY: reads registers; the stack is left as it was.
    unsafe {
        asm!(
            "mov {}, rsp",
            "mov {}, rbp",
            "pushfq",
            ".cfi_adjust_cfa_offset 8",
            "pop {}",
            ".cfi_adjust_cfa_offset -8",
            out(reg) rsp,
            out(reg) rbp,
            out(reg) rflags
        )
    };
    (rsp, rbp, rflags)
}
