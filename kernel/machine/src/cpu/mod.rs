//! The CPUs: which one runs this, what it can do, interrupts and preemption off and on.
//!
//! # Soundness
//! The instructions here change only what interrupts this CPU, or set control registers once at boot to
//! what the rest of the crate expects.

pub(crate) mod apic;
pub(crate) mod call;
mod description;
pub(crate) mod events;
pub(crate) mod gdt;
pub(crate) mod inspect;
pub(crate) mod local;
pub(crate) mod msr;
pub(crate) mod shootdown;
pub(crate) mod smp;

pub use call::{call_on, running, stop_machine};
pub use description::{Description, description};
pub use events::CpuEvent;
pub use inspect::write_all as write_what_cpus_do;
pub use smp::{StartError, start_others};

use core::arch::asm;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Most CPUs that the kernel runs on.
pub const MAX_CPUS: usize = 64;

static COUNT: AtomicUsize = AtomicUsize::new(1);
/// SMAP is on: user pages are reachable only between `stac` and `clac`.
static HAS_SMAP: AtomicBool = AtomicBool::new(false);

/// Number of CPUs that run the kernel.
pub fn count() -> usize {
    COUNT.load(Ordering::Relaxed)
}

/// The CPU that runs this, 0 to `count() - 1`. Stable only while preemption is disabled.
#[inline(always)]
pub fn current_id() -> usize {
    local::id() as usize
}

/// Whether interrupts are enabled on this CPU.
#[inline(always)]
pub fn interrupts_enabled() -> bool {
    let flags: u64;
    // SAFETY: reads the flags.
    unsafe {
        asm!(
            "pushfq",
            // For whoever looks at the stack from an NMI between the two.
            ".cfi_adjust_cfa_offset 8",
            "pop {}",
            ".cfi_adjust_cfa_offset -8",
            out(reg) flags,
            options(preserves_flags)
        )
    };
    flags & crate::trap::INTERRUPT_FLAG != 0
}

/// Enables interrupts on this CPU.
#[inline(always)]
pub fn enable_interrupts() {
    // SAFETY: interrupt handlers preserve all registers and take only locks that disable them.
    unsafe { asm!("sti", options(nostack)) };
}

/// Disables interrupts; the caller enables them in its own way.
#[inline(always)]
pub(crate) fn disable_interrupts_for_good() {
    // SAFETY: only delays interrupts.
    unsafe { asm!("cli", options(nostack)) };
}

/// Disables interrupts until the guard is dropped, which restores what was.
#[inline(always)]
pub fn disable_interrupts() -> InterruptGuard {
    let enabled = interrupts_enabled();
    disable_interrupts_for_good();
    InterruptGuard { enabled, this_cpu: PhantomData }
}

/// See [`disable_interrupts`].
#[must_use]
pub struct InterruptGuard {
    enabled: bool,
    this_cpu: PhantomData<*mut ()>,
}

impl Drop for InterruptGuard {
    #[inline(always)]
    fn drop(&mut self) {
        if self.enabled {
            if local::is_pending() && local::preemption() == 0 {
                missed_preemption();
            }
            enable_interrupts();
        }
    }
}

/// Keeps the current task on this CPU until the guard is dropped. (Spin locks do this too.)
#[inline(always)]
pub fn disable_preemption() -> PreemptionGuard {
    local::forbid_preemption();
    PreemptionGuard { this_cpu: PhantomData }
}

/// See [`disable_preemption`].
#[must_use]
pub struct PreemptionGuard {
    this_cpu: PhantomData<*mut ()>,
}

impl Drop for PreemptionGuard {
    #[inline(always)]
    fn drop(&mut self) {
        if local::allow_preemption() && interrupts_enabled() {
            disable_interrupts_for_good();
            missed_preemption();
            enable_interrupts();
        }
    }
}

/// Makes up for a preemption that came while it was forbidden. Interrupts are disabled.
#[cold]
fn missed_preemption() {
    local::set_pending(false);
    crate::upcalls::upcalls().interrupt_exit();
}

/// For a thread that will never go on (a test that panicked): whatever guards it holds are given up. Interrupts
/// stay as they are, for this may be another stack than the thread's own (a double fault). `false`, and nothing done, in an interrupt handler, which is not the thread's own.
pub fn abandon_guards() -> bool {
    if local::get().handlers.load(Ordering::Relaxed) != 0 {
        return false;
    }
    local::forbid_preemption();
    crate::sync::abandon();
    while local::preemption() > 0 {
        local::allow_preemption();
    }
    true
}

/// How many guards keep the current task on this CPU.
#[inline(always)]
pub fn preemption_count() -> u32 {
    local::preemption()
}

/// Enables interrupts and halts until one arrives, atomically; they are disabled again on return.
/// For idle tasks, called with interrupts disabled.
pub fn wait_for_interrupt() {
    // SAFETY: `sti` takes effect after the next instruction, so no wake-up is lost in between.
    unsafe { asm!("sti", "hlt", "cli", options(nostack)) };
}

/// Stops this CPU: nothing but a non-maskable interrupt makes it do something again.
pub(crate) fn halt_for_good() -> ! {
    loop {
        // SAFETY: with interrupts off nothing more runs on this CPU.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}

/// Asks another CPU to call [`reschedule_interrupt`](crate::upcalls::Upcalls::reschedule_interrupt).
pub fn send_reschedule(cpu: usize) {
    if cpu != current_id() && cpu < count() {
        apic::send(cpu, crate::trap::RESCHEDULE_VECTOR);
    }
}

/// The stack on which the CPU that runs this was started.
pub(crate) fn boot_stack() -> core::ops::Range<u64> {
    match current_id() {
        0 => crate::boot::stack_range(),
        cpu => smp::start_stack(cpu),
    }
}

/// The local APIC id of a CPU that runs.
pub fn apic_id(cpu: usize) -> Option<u32> {
    smp::local_of(cpu).map(|local| local.apic_id.load(Ordering::Relaxed))
}

/// Whether local APICs are used in the x2APIC mode, through model-specific registers (Intel SDM vol. 3, 11.12).
pub fn has_x2apic() -> bool {
    apic::is_x2apic()
}

/// A hardware random number, where the CPU has RDSEED or RDRAND.
pub fn hardware_random() -> Option<u64> {
    let leaf1 = core::arch::x86_64::__cpuid(1);
    if leaf1.ecx & 1 << 30 == 0 {
        return None;
    }
    for _ in 0..16 {
        let (value, ok): (u64, u8);
        // SAFETY: CPUID says that the instruction is there.
        unsafe { asm!("rdrand {}", "setc {}", out(reg) value, out(reg_byte) ok, options(nomem, nostack)) };
        if ok != 0 {
            return Some(value);
        }
    }
    None
}

/// One `T` for each possible CPU, each on its own cache lines; made at run time.
pub struct PerCpu<T>(alloc::boxed::Box<[CacheLine<T>]>);

/// The same for statics, which are there before any memory can be had.
pub struct StaticPerCpu<T>([CacheLine<T>; MAX_CPUS]);

/// A `T` that shares no cache line with anything else.
#[repr(align(64))]
pub struct CacheLine<T>(T);

impl<T> CacheLine<T> {
    /// Puts a value on cache lines of its own.
    pub const fn new(value: T) -> Self {
        Self(value)
    }
}

impl<T: Sync> PerCpu<T> {
    /// Makes one for each possible CPU; `make` is given the CPU's number.
    pub fn new(mut make: impl FnMut(usize) -> T) -> Self {
        Self((0..MAX_CPUS).map(|cpu| CacheLine(make(cpu))).collect())
    }

    /// That of the CPU that runs this; the guard shows that it stays the same.
    #[inline]
    pub fn get<'a>(&'a self, _guard: &'a PreemptionGuard) -> &'a T {
        self.of(current_id())
    }

    /// That of a given CPU; panics beyond [`MAX_CPUS`].
    #[inline]
    pub fn of(&self, cpu: usize) -> &T {
        &self.0[cpu].0
    }
}

impl<T: Sync> StaticPerCpu<T> {
    /// One for each possible CPU: `StaticPerCpu::new([const { CacheLine::new(...) }; MAX_CPUS])`.
    pub const fn new(lines: [CacheLine<T>; MAX_CPUS]) -> Self {
        Self(lines)
    }

    /// That of the CPU that runs this; the guard shows that it stays the same.
    #[inline]
    pub fn get<'a>(&'a self, _guard: &'a PreemptionGuard) -> &'a T {
        self.of(current_id())
    }

    /// That of a given CPU; panics beyond [`MAX_CPUS`].
    #[inline]
    pub fn of(&self, cpu: usize) -> &T {
        &self.0[cpu].0
    }
}

/// A static that is borrowed once, for ever.
struct StaticCell<T>(core::cell::UnsafeCell<T>);

// SAFETY: `get` is called once, by one CPU.
unsafe impl<T: Send> Sync for StaticCell<T> {}

impl<T> StaticCell<T> {
    const fn new(value: T) -> Self {
        Self(core::cell::UnsafeCell::new(value))
    }

    /// The value.
    ///
    /// # Safety
    /// At most once.
    #[expect(clippy::mut_from_ref, reason = "the caller promises to call it once")]
    unsafe fn get(&'static self) -> &'static mut T {
        // SAFETY: the only reference, by the caller's promise.
        unsafe { &mut *self.0.get() }
    }
}

/// Sets up the boot CPU: its data, segments, vectors, system calls, protections. First thing at boot.
pub(crate) fn init_boot() {
    static GDT: StaticCell<gdt::Gdt> = StaticCell::new(gdt::Gdt::new());
    static STACKS: StaticCell<gdt::IstStacks> = StaticCell::new(gdt::IstStacks::new());
    local::load(&local::BOOT, 0);
    // SAFETY: called once, on the boot CPU, so the references are the only ones.
    let gdt = unsafe { GDT.get() };
    // SAFETY: as above.
    let stacks = unsafe { STACKS.get() };
    // SAFETY: this CPU's alone; its data has just been loaded.
    unsafe { gdt::load(gdt, stacks, &local::BOOT) };
    init_this();
}

/// What every CPU does: vectors, control registers, system calls, FPU.
fn init_this() {
    crate::trap::load();
    protect();
    crate::user::init_cpu();
    let leaf1 = core::arch::x86_64::__cpuid(1);
    if leaf1.edx & 1 << 16 != 0 {
        set_memory_types();
    }
    crate::user::fpu::init_cpu(leaf1.ecx & 1 << 26 != 0);
}

/// Turns on what the CPU has against mistakes: WP, NX, SMEP, SMAP, UMIP; and global pages.
/// Source: Intel SDM vol. 3, 2.5 (control registers).
fn protect() {
    const CR0_WRITE_PROTECT: u64 = 1 << 16;
    const CR4_GLOBAL_PAGES: u64 = 1 << 7;
    const CR4_UMIP: u64 = 1 << 11;
    const CR4_SMEP: u64 = 1 << 20;
    const CR4_SMAP: u64 = 1 << 21;
    const EFER_NO_EXECUTE: u64 = 1 << 11;
    let leaf7 = core::arch::x86_64::__cpuid_count(7, 0);
    let mut cr4 = msr::cr4() | CR4_GLOBAL_PAGES;
    if leaf7.ebx & 1 << 7 != 0 {
        cr4 |= CR4_SMEP;
    }
    if leaf7.ebx & 1 << 20 != 0 {
        cr4 |= CR4_SMAP;
        HAS_SMAP.store(true, Ordering::Relaxed);
    }
    if leaf7.ecx & 1 << 2 != 0 {
        cr4 |= CR4_UMIP;
    }
    // SAFETY: bits that CPUID lists; no kernel code runs from, or reaches, user pages unasked.
    unsafe { msr::set_cr4(cr4) };
    // SAFETY: the kernel writes to read-only pages nowhere.
    unsafe { msr::set_cr0(msr::cr0() | CR0_WRITE_PROTECT) };
    // SAFETY: EFER exists on every x86-64 CPU.
    let efer = unsafe { msr::read(msr::EFER) };
    // SAFETY: every x86-64 CPU of the last twenty years has NX.
    unsafe { msr::write(msr::EFER, efer | EFER_NO_EXECUTE) };
}

/// Makes the page-table bit for write-through mean write-combining, which pixels want and nothing else uses.
/// Source: Intel SDM vol. 3, 12.12 (page attribute table).
fn set_memory_types() {
    // As after a reset (write-back, write-through, uncached unless MTRRs say more, uncached; twice), but for entry 1.
    const TYPES: u64 = 0x0007_0406_0007_0106;
    // SAFETY: CPUID lists the register. No page of another kind uses entry 1, so none has two types in caches.
    unsafe { msr::write(msr::PAT, TYPES) };
}

/// Whether SMAP is on, so that user copies need `stac` and `clac`.
#[inline(always)]
pub(crate) fn has_smap() -> bool {
    HAS_SMAP.load(Ordering::Relaxed)
}

/// Clears RFLAGS.AC, which interrupts from user mode and inside user copies leave set, so that SMAP
/// protects the kernel. The interrupted code gets its flags back on return.
#[inline(always)]
pub(crate) fn forbid_user_access() {
    if has_smap() {
        // SAFETY: the CPU has the instruction.
        unsafe { asm!("clac", options(nomem, nostack)) };
    }
}
