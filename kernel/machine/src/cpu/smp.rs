//! Starts the other CPUs, the same way under every boot protocol: INIT, then STARTUP to a page below 1 MiB.
//!
//! One at a time: the words at the front of the start code are the next CPU's until it says that it runs. Each gets
//! segments, interrupt stacks and a boot stack of its own, does what the boot CPU did for itself, and goes to
//! the kernel's [`secondary_cpu`](crate::upcalls::Upcalls::secondary_cpu).
//!
//! Source: Intel SDM vol. 3, 9.4.4 (the start-up sequence).
//!
//! # Soundness
//! The page at [`START_CODE`] is kept free by [`crate::mm`] and written only here, while no CPU runs in it. What a
//! CPU is given is leaked, so it lives as long as the CPU.

use super::{COUNT, MAX_CPUS, apic, gdt, init_this, local};
use crate::mm::{self, START_CODE, layout, stack::KernelStack};
use crate::sync::{IrqSpinLock, Once};
use crate::time;
use alloc::boxed::Box;
use core::arch::global_asm;
use core::sync::atomic::{AtomicBool, Ordering};

global_asm!(include_str!("start.s"));

/// Pages of the stack on which a CPU starts, which becomes that of its first task.
const STACK_PAGES: usize = 8;
/// A CPU that has not come up after this long is given up.
const PATIENCE_NS: u64 = 200_000_000;

/// What a starting CPU finds; its address is in the start code's words.
struct Start {
    local: &'static local::CpuLocal,
    number: u32,
    gdt: IrqSpinLock<Option<(&'static mut gdt::Gdt, &'static mut gdt::IstStacks)>>,
    stack: KernelStack,
    runs: AtomicBool,
}

static LOCALS: [Once<&'static Start>; MAX_CPUS] = [const { Once::new() }; MAX_CPUS];

/// The data of CPU number `cpu`, if it runs.
pub(super) fn local_of(cpu: usize) -> Option<&'static local::CpuLocal> {
    match cpu {
        0 => Some(&local::BOOT),
        _ => LOCALS.get(cpu)?.get().map(|start| start.local),
    }
}

/// The stack on which CPU number `cpu` (not the boot CPU) was started.
pub(super) fn start_stack(cpu: usize) -> core::ops::Range<u64> {
    LOCALS[cpu].get().expect("a CPU that runs was started").stack.range()
}

/// Starts the CPUs with these local APIC ids (the boot CPU's own is skipped); returns how many CPUs run then.
/// Call once, with interrupts enabled or not, after the scheduler is ready for them.
pub fn start_others(apic_ids: impl Iterator<Item = u32>) -> usize {
    for apic_id in apic_ids.filter(|&id| id != apic::boot_id()) {
        let number = COUNT.load(Ordering::Relaxed);
        if number == MAX_CPUS {
            log::warn!("smp: only {MAX_CPUS} CPUs are used");
            break;
        }
        match start(number, apic_id) {
            Ok(()) => {}
            Err(why) => log::error!("smp: CPU with APIC id {apic_id} not started: {why}"),
        }
    }
    COUNT.load(Ordering::Relaxed)
}

fn start(number: usize, apic_id: u32) -> Result<(), &'static str> {
    let stack = KernelStack::allocate(STACK_PAGES).map_err(|_| "out of memory")?;
    let top = stack.range().end;
    let start: &'static Start = Box::leak(Box::new(Start {
        local: Box::leak(Box::new(local::CpuLocal::new())),
        number: number as u32,
        gdt: IrqSpinLock::new(
            "cpu start",
            Some((Box::leak(Box::new(gdt::Gdt::new())), Box::leak(Box::new(gdt::IstStacks::new())))),
        ),
        stack,
        runs: AtomicBool::new(false),
    }));
    let root = mm::StartTables::new().map_err(|_| "out of memory")?;
    place_code([root.root().as_u64(), top, core::ptr::from_ref(start) as u64, cpu_start as *const () as u64]);
    start.local.apic_id.store(apic_id, Ordering::Relaxed);
    LOCALS[number].call_once(|| start);
    apic::send_init(apic_id);
    time::busy_wait_ns(10_000_000);
    for _ in 0..2 {
        apic::send_startup(apic_id, (START_CODE.as_u64() >> 12) as u8);
        let begun = time::monotonic_ns();
        while time::monotonic_ns() - begun < PATIENCE_NS {
            if start.runs.load(Ordering::Acquire) {
                return Ok(());
            }
            core::hint::spin_loop();
        }
    }
    // It may still come, and would then run on these tables and this stack.
    core::mem::forget(root);
    Err("it does not answer")
}

/// Copies the start code to its page, with the words at its front filled.
fn place_code(words: [u64; 4]) {
    unsafe extern "C" {
        static start_code: u8;
        static start_words: u8;
        static start_code_end: u8;
    }
    let code = &raw const start_code;
    let length = &raw const start_code_end as usize - code as usize;
    let page = layout::direct(START_CODE);
    // SAFETY: see Soundness; the code is shorter than a page.
    unsafe { core::ptr::copy_nonoverlapping(code, page, length) };
    let offset = &raw const start_words as usize - code as usize;
    let place = (page as u64 + offset as u64) as *mut [u64; 4];
    // SAFETY: inside the page, aligned to 8 as the code is.
    unsafe { place.write(words) };
}

/// The first Rust code of another CPU, on its own stack and the temporary tables.
extern "sysv64" fn cpu_start(start: &'static Start) -> ! {
    mm::load_kernel_tables();
    local::load(start.local, start.number);
    let (gdt, stacks) = start.gdt.lock().take().expect("each CPU starts once");
    // SAFETY: made for this CPU alone; its GS base has just been set.
    unsafe { gdt::load(gdt, stacks, start.local) };
    init_this();
    apic::init_this();
    apic::start_timer();
    COUNT.fetch_add(1, Ordering::AcqRel);
    start.runs.store(true, Ordering::Release);
    crate::upcalls::upcalls().secondary_cpu()
}
