//! Starts the other CPUs, the same way under every boot protocol: INIT, then STARTUP to a page below 1 MiB.
//!
//! All are reset first; then one at a time, since the words at the front of the start code are the next CPU's until it
//! says that it runs. Each gets segments, interrupt stacks and a boot stack of its own, does what the boot CPU did
//! for itself, and goes to the kernel's [`secondary_cpu`](crate::upcalls::Upcalls::secondary_cpu). One that does not
//! come in time is given up: should it come later, it finds that out and halts.
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
use alloc::{boxed::Box, vec::Vec};
use core::arch::global_asm;
use core::sync::atomic::{AtomicU32, Ordering};

global_asm!(include_str!("start.s"));

/// Pages of the stack on which a CPU starts, which becomes that of its first task.
const STACK_PAGES: usize = 8;
/// A CPU that has not come up after this long is given up.
const PATIENCE_NS: u64 = 200_000_000;

/// Old CPUs want this pause between reset and start (Intel SDM vol. 3, 9.4.4.1); the others, whose local APIC is part
/// of them, need none.
const RESET_NS: u64 = 10_000_000;
/// Local APIC ids end here: the last stands for all CPUs (Intel SDM vol. 3, 11.6.2).
const XAPIC_BROADCAST: u32 = 0xff;

/// What a starting CPU finds; its address is in the start code's words.
struct Start {
    local: &'static local::CpuLocal,
    number: u32,
    gdt: IrqSpinLock<Option<(&'static mut gdt::Gdt, &'static mut gdt::IstStacks)>>,
    stack: KernelStack,
    /// [`WAITED_FOR`] until either the CPU has come or the boot CPU has lost its patience.
    state: AtomicU32,
}

const WAITED_FOR: u32 = 0;
const HERE: u32 = 1;
const RUNS: u32 = 2;
const GIVEN_UP: u32 = 3;

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

/// Why a CPU does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// The kernel has no room for more.
    TooMany,
    /// Messages cannot reach a local APIC with this id: it has more than eight bits, and there is no x2APIC.
    Unreachable,
    /// Its stack or tables cannot be had.
    OutOfMemory,
    /// It was told to start and did not.
    NoAnswer,
}

/// Starts the CPUs with these local APIC ids, but at most so many that `limit` run then (the boot CPU, whose own id is
/// skipped, is one of them). Returns those that were wanted and do not run.
/// Call with interrupts enabled or not, after the scheduler is ready for them.
pub fn start_others(apic_ids: &[u32], limit: usize) -> Vec<(u32, StartError)> {
    let mut failed = Vec::new();
    let room = limit.clamp(1, MAX_CPUS) - super::count().min(limit.clamp(1, MAX_CPUS));
    let mut wanted = Vec::new();
    for &id in apic_ids.iter().filter(|&&id| !is_running(id)) {
        match () {
            () if !apic::is_x2apic() && id >= XAPIC_BROADCAST => failed.push((id, StartError::Unreachable)),
            () if wanted.len() < room => wanted.push(id),
            () if limit > MAX_CPUS => failed.push((id, StartError::TooMany)),
            () => {}
        }
    }
    wanted.iter().for_each(|&id| apic::send_init(id));
    if !wanted.is_empty() && wants_pause() {
        time::busy_wait_ns(RESET_NS);
    }
    for id in wanted {
        if let Err(why) = start(COUNT.load(Ordering::Relaxed), id) {
            failed.push((id, why));
        }
    }
    failed
}

fn is_running(apic_id: u32) -> bool {
    (0..super::count()).any(|cpu| super::apic_id(cpu) == Some(apic_id))
}

/// Whether the CPU is of a time when the local APIC was slow after a reset: before family 6.
fn wants_pause() -> bool {
    core::arch::x86_64::__cpuid(1).eax >> 8 & 0xf < 6
}

fn start(number: usize, apic_id: u32) -> Result<(), StartError> {
    let stack = KernelStack::allocate(STACK_PAGES).map_err(|_| StartError::OutOfMemory)?;
    let root = mm::StartTables::new().map_err(|_| StartError::OutOfMemory)?;
    let top = stack.range().end;
    // Made where it stays: it is larger than the stack of the thread that runs this.
    let interrupt_stacks = Box::<gdt::IstStacks>::new_zeroed();
    // SAFETY: plain bytes, for which zeros are as good as any.
    let interrupt_stacks = unsafe { interrupt_stacks.assume_init() };
    let start: &'static Start = Box::leak(Box::new(Start {
        local: Box::leak(Box::new(local::CpuLocal::new())),
        number: number as u32,
        gdt: IrqSpinLock::new(
            "cpu start",
            Some((Box::leak(Box::new(gdt::Gdt::new())), Box::leak(interrupt_stacks))),
        ),
        stack,
        state: AtomicU32::new(WAITED_FOR),
    }));
    place_code([root.root().as_u64(), top, core::ptr::from_ref(start) as u64, cpu_start as *const () as u64]);
    start.local.apic_id.store(apic_id, Ordering::Relaxed);
    for _ in 0..2 {
        apic::send_startup(apic_id, (START_CODE.as_u64() >> 12) as u8);
        if wait_until(|| start.state.load(Ordering::Acquire) != WAITED_FOR) {
            break;
        }
    }
    let given_up =
        start.state.compare_exchange(WAITED_FOR, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire).is_ok();
    if given_up {
        // Reset again, it waits for another start. It may have come this far all the same, on these tables.
        apic::send_init(apic_id);
        core::mem::forget(root);
        return Err(StartError::NoAnswer);
    }
    // It is here, so it gets through the rest, however long an emulator lets it wait.
    while start.state.load(Ordering::Acquire) != RUNS {
        core::hint::spin_loop();
    }
    time::compare_counters();
    Ok(())
}

fn wait_until(is_so: impl Fn() -> bool) -> bool {
    let begun = time::monotonic_ns();
    while time::monotonic_ns() - begun < PATIENCE_NS {
        if is_so() {
            return true;
        }
        core::hint::spin_loop();
    }
    is_so()
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
    let came = start.state.compare_exchange(WAITED_FOR, HERE, Ordering::AcqRel, Ordering::Acquire);
    if came.is_err() {
        super::halt_for_good();
    }
    mm::load_kernel_tables();
    local::load(start.local, start.number);
    let (gdt, stacks) = start.gdt.lock().take().expect("each CPU starts once");
    // SAFETY: made for this CPU alone; its GS base has just been set.
    unsafe { gdt::load(gdt, stacks, start.local) };
    init_this();
    apic::init_this();
    apic::connect_nmis();
    time::init_cpu();
    LOCALS[start.number as usize].call_once(|| start);
    COUNT.fetch_add(1, Ordering::AcqRel);
    start.state.store(RUNS, Ordering::Release);
    time::compare_counters();
    crate::upcalls::upcalls().secondary_cpu()
}
