//! Segments and the task state segment: what is left of segmentation in 64-bit mode.
//!
//! The selectors are those of Linux, since programs meet them in signal frames and debuggers.
//! Source: Intel SDM vol. 3, 3.4.5 (descriptors), 7.7 (64-bit TSS); `syscall`/`sysret` in vol. 2.
//!
//! # Soundness
//! The table is static and never changes once loaded, but for the TSS descriptor, which each CPU
//! writes into its own copy before it loads it.

use super::local::CpuLocal;
use core::arch::asm;
use core::ptr::from_ref;

/// Kernel code (`syscall` loads it, and the next as stack segment).
pub(crate) const KERNEL_CODE: u16 = 0x10;
/// Kernel data.
pub(crate) const KERNEL_DATA: u16 = 0x18;
/// What `sysret` counts from: +8 is the user's stack segment, +16 its 64-bit code.
const SYSRET_BASE: u16 = 0x20 | 3;
/// User data and stack.
pub(crate) const USER_DATA: u16 = 0x28 | 3;
/// User code, 64 bits.
pub(crate) const USER_CODE: u16 = 0x30 | 3;
const TASK_STATE: u16 = 0x40;

/// What the STAR register must hold for these selectors.
pub(crate) const STAR_VALUE: u64 = (SYSRET_BASE as u64) << 48 | (KERNEL_CODE as u64) << 32;

/// Interrupt stacks for exceptions that may strike when the current stack cannot be trusted; numbers of IST slots.
pub(crate) const IST_DOUBLE_FAULT: u8 = 1;
/// See [`IST_DOUBLE_FAULT`].
pub(crate) const IST_NMI: u8 = 2;
/// See [`IST_DOUBLE_FAULT`].
pub(crate) const IST_MACHINE_CHECK: u8 = 3;

/// Bytes of each such stack.
pub(crate) const IST_STACK_BYTES: usize = 16 * 1024;

/// The 64-bit task state segment.
#[repr(C, packed(4))]
pub(crate) struct Tss {
    reserved0: u32,
    rsp: [u64; 3],
    reserved1: u64,
    ist: [u64; 7],
    reserved2: [u16; 5],
    io_map: u16,
}

const _: () = assert!(size_of::<Tss>() == 104);

impl Tss {
    /// Offset of RSP0, which `trap/entry.s` sets.
    pub(crate) const RSP0: usize = core::mem::offset_of!(Tss, rsp);

    pub(crate) const fn new() -> Self {
        Self {
            reserved0: 0,
            rsp: [0; 3],
            reserved1: 0,
            ist: [0; 7],
            reserved2: [0; 5],
            io_map: size_of::<Tss>() as u16,
        }
    }
}

/// A descriptor table with room for every selector above.
#[repr(C, align(64))]
pub(super) struct Gdt([u64; 10]);

impl Gdt {
    pub(super) const fn new() -> Self {
        Self([
            0,
            0,
            0x00af_9b00_0000_ffff,
            0x00cf_9300_0000_ffff,
            0x00cf_fb00_0000_ffff,
            0x00cf_f300_0000_ffff,
            0x00af_fb00_0000_ffff,
            0,
            0,
            0,
        ])
    }
}

/// Memory for the interrupt stacks of one CPU.
#[repr(C, align(4096))]
pub(super) struct IstStacks([[u8; IST_STACK_BYTES]; 3]);

impl IstStacks {
    pub(super) const fn new() -> Self {
        Self([[0; IST_STACK_BYTES]; 3])
    }
}

/// The addresses of the interrupt stacks of the CPU whose data `local` is; empty before [`load`].
pub(crate) fn ist_stacks(local: &CpuLocal) -> [core::ops::Range<u64>; 3] {
    let tss = local.tss.get().cast_const();
    core::array::from_fn(|slot| {
        // SAFETY: inside the TSS.
        let place = unsafe { &raw const (*tss).ist[slot] };
        // SAFETY: written once, by `load`; the structure is packed.
        let top = unsafe { place.read_unaligned() };
        top.saturating_sub(IST_STACK_BYTES as u64)..top
    })
}

/// Loads the table, the segments and the TSS on the CPU that runs this, whose data is `local`.
///
/// # Safety
/// `gdt` and `stacks` must be this CPU's alone, once; its GS base must have been set already and is kept.
pub(super) unsafe fn load(gdt: &'static mut Gdt, stacks: &'static mut IstStacks, local: &'static CpuLocal) {
    let tss = local.tss.get();
    for (slot, stack) in stacks.0.iter().enumerate() {
        let top = from_ref(stack) as u64 + IST_STACK_BYTES as u64;
        // SAFETY: this CPU's own TSS, which is not loaded yet.
        let place = unsafe { &raw mut (*tss).ist[slot] };
        // SAFETY: as above; the structure is packed.
        unsafe { place.write_unaligned(top) };
    }
    let base = tss as u64;
    gdt.0[8] =
        (base & 0xff_ffff) << 16 | (base >> 24 & 0xff) << 56 | 0x89 << 40 | (size_of::<Tss>() as u64 - 1);
    gdt.0[9] = base >> 32;

    #[repr(C, packed)]
    struct Pointer {
        limit: u16,
        base: u64,
    }
    let pointer = Pointer { limit: (size_of::<Gdt>() - 1) as u16, base: from_ref(gdt) as u64 };
    // SAFETY: the table is static and holds valid descriptors; FS and GS are left alone (their bases
    // live in registers of their own), DS, ES and SS get the data segment, CS the code segment.
    unsafe {
        asm!(
            "lgdt [{pointer}]",
            "push {code}",
            "lea {scratch}, [rip + 2f]",
            "push {scratch}",
            "retfq",
            "2:",
            "mov ss, {data:x}",
            "mov ds, {data:x}",
            "mov es, {data:x}",
            "ltr {tss:x}",
            pointer = in(reg) &pointer,
            code = in(reg) u64::from(KERNEL_CODE),
            data = in(reg) KERNEL_DATA,
            tss = in(reg) TASK_STATE,
            scratch = out(reg) _,
        );
    }
}
