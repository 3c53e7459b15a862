//! What each CPU keeps for itself: one [`CpuLocal`], found through the GS segment base.
//!
//! The fields that the entry code of system calls and interrupts uses come first, at offsets that the
//! assembly names. The boot CPU's stands in a static, so that preemption counts and locks work from
//! the first line of Rust; the others' are made by [`super::smp`].
//!
//! # Soundness
//! A CPU's GS base points to its own `CpuLocal` from [`load`] on, in the kernel always (the entry code
//! swaps it). Fields are read and written by single instructions relative to GS, so a task that is moved
//! to another CPU between two of them sees either CPU's value, never a torn one.

use super::gdt::Tss;
use core::arch::asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// The data of one CPU. Offsets of the first fields are known to `trap/entry.s` and `user.rs`.
#[repr(C, align(64))]
pub(crate) struct CpuLocal {
    /// Its own address.
    this: AtomicU64,
    /// Stack pointer at which system calls and user interrupts enter; points at the saved `UserContext` pointer.
    pub(crate) kernel_stack: AtomicU64,
    /// Where `syscall` entry keeps the user's stack pointer for some instructions.
    pub(crate) user_stack: AtomicU64,
    /// How many guards forbid preemption.
    preemption: AtomicU32,
    /// Number of this CPU, from 0.
    id: AtomicU32,
    /// A preemption was due while it was forbidden.
    pending: AtomicBool,
    /// The task that runs, see [`crate::task`].
    pub(crate) task: AtomicU64,
    /// Local APIC id.
    pub(crate) apic_id: AtomicU32,
    /// Interrupt handlers that are active.
    pub(crate) handlers: AtomicU32,
    /// The FS base that the CPU holds.
    pub(crate) loaded_fs: AtomicU64,
    /// The user's GS base that the CPU holds (swapped out while in the kernel).
    pub(crate) loaded_gs: AtomicU64,
    /// What interrupted it, counted.
    pub(super) events: super::events::Counters,
    /// Its task state segment.
    pub(crate) tss: core::cell::UnsafeCell<Tss>,
}

// SAFETY: all fields are atomic but the TSS, which only its own CPU touches (see `gdt`).
unsafe impl Sync for CpuLocal {}

/// Offset of [`CpuLocal::kernel_stack`] from GS.
pub(crate) const KERNEL_STACK: usize = offset_of!(CpuLocal, kernel_stack);
/// Offset of the TSS's RSP0 from GS: where interrupts from user mode enter.
pub(crate) const USER_ENTRY_STACK: usize = offset_of!(CpuLocal, tss) + Tss::RSP0;
/// Offset of [`CpuLocal::user_stack`] from GS.
pub(crate) const USER_STACK: usize = offset_of!(CpuLocal, user_stack);
const PREEMPTION: usize = offset_of!(CpuLocal, preemption);
const ID: usize = offset_of!(CpuLocal, id);
const PENDING: usize = offset_of!(CpuLocal, pending);

/// The boot CPU's.
pub(crate) static BOOT: CpuLocal = CpuLocal::new();

impl CpuLocal {
    pub(crate) const fn new() -> Self {
        Self {
            this: AtomicU64::new(0),
            kernel_stack: AtomicU64::new(0),
            user_stack: AtomicU64::new(0),
            preemption: AtomicU32::new(0),
            id: AtomicU32::new(0),
            pending: AtomicBool::new(false),
            task: AtomicU64::new(0),
            apic_id: AtomicU32::new(0),
            handlers: AtomicU32::new(0),
            loaded_fs: AtomicU64::new(u64::MAX),
            loaded_gs: AtomicU64::new(u64::MAX),
            events: super::events::Counters::new(),
            tss: core::cell::UnsafeCell::new(Tss::new()),
        }
    }
}

/// Makes `local` the data of the CPU that runs this, as CPU number `id`. Once per CPU, before anything else.
pub(super) fn load(local: &'static CpuLocal, id: u32) {
    let address = core::ptr::from_ref(local) as u64;
    local.this.store(address, Ordering::Relaxed);
    local.id.store(id, Ordering::Relaxed);
    // SAFETY: the address of a static structure of the right type.
    unsafe { super::msr::write(super::msr::GS_BASE, address) };
}

/// In debug builds: there is no such data before [`load`]. Whoever asks all the same is told so, and not by a fault
/// at some low address.
#[cfg(debug_assertions)]
#[inline(always)]
fn check() {
    // SAFETY: every x86-64 CPU has the register.
    let base = unsafe { super::msr::read(super::msr::GS_BASE) };
    if !is_kernel_address(base) {
        not_set_up();
    }
}

#[cfg(not(debug_assertions))]
#[inline(always)]
fn check() {}

/// Whether a GS base can be the kernel's: in the upper half.
#[cfg(debug_assertions)]
const fn is_kernel_address(base: u64) -> bool {
    base >> 63 != 0
}

/// The report needs per-CPU data itself: it borrows the boot CPU's.
#[cfg(debug_assertions)]
#[cold]
fn not_set_up() -> ! {
    load(&BOOT, 0);
    panic!("per-CPU data is used before it was set up");
}

/// The data of the CPU that runs this. Stays its own only while preemption or interrupts are off.
pub(crate) fn get() -> &'static CpuLocal {
    check();
    let address: *const CpuLocal;
    // SAFETY: GS points to a CpuLocal, whose first field is its address.
    unsafe { asm!("mov {}, gs:[0]", out(reg) address, options(nostack, preserves_flags, readonly)) };
    // SAFETY: CpuLocals are never freed.
    unsafe { &*address }
}

/// The number of the CPU that runs this.
#[inline(always)]
pub(super) fn id() -> u32 {
    check();
    let id: u32;
    // SAFETY: a field of this CPU's data.
    unsafe { asm!("mov {:e}, gs:[{}]", out(reg) id, const ID, options(nostack, preserves_flags, readonly)) };
    id
}

#[inline(always)]
pub(super) fn preemption() -> u32 {
    let count: u32;
    // SAFETY: a field of this CPU's data.
    unsafe {
        asm!("mov {:e}, gs:[{}]", out(reg) count, const PREEMPTION, options(nostack, preserves_flags, readonly))
    };
    count
}

#[inline(always)]
pub(super) fn forbid_preemption() {
    // SAFETY: a field of this CPU's data; one instruction.
    unsafe { asm!("inc dword ptr gs:[{}]", const PREEMPTION, options(nostack)) };
}

/// Takes one back; `true` if preemption is allowed again and one was missed meanwhile.
#[inline(always)]
pub(super) fn allow_preemption() -> bool {
    let allowed: u8;
    // SAFETY: a field of this CPU's data; one instruction.
    unsafe {
        asm!("dec dword ptr gs:[{}]", "setz {}", const PREEMPTION, out(reg_byte) allowed, options(nostack))
    };
    allowed != 0 && is_pending()
}

#[inline(always)]
pub(super) fn is_pending() -> bool {
    let pending: u8;
    // SAFETY: a field of this CPU's data.
    unsafe {
        asm!("mov {}, gs:[{}]", out(reg_byte) pending, const PENDING, options(nostack, preserves_flags, readonly))
    };
    pending != 0
}

/// Notes, or clears, a missed preemption.
pub(crate) fn set_pending(pending: bool) {
    get().pending.store(pending, Ordering::Relaxed);
}
