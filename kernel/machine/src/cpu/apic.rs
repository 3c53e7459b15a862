//! The local APIC: end of interrupt, timer, messages to other CPUs.
//!
//! Used through model-specific registers where the CPU knows the x2APIC mode, else through its memory page
//! (xAPIC); all CPUs in the same mode. The legacy PICs are moved out of the way and masked for good. Of the two local
//! inputs only those that the firmware's table calls a source of non-maskable interrupts are let through.
//!
//! Source: Intel SDM vol. 3, chapter 11.
//!
//! # Soundness
//! The page at the address that the APIC base register names is the local APIC's own and mapped uncached;
//! none of its registers makes it write memory.

use super::{local, msr};
use crate::io::port;
use crate::mm::Mmio;
use crate::sync::Once;
use crate::time::TimerMode;
use crate::trap::{ERROR_VECTOR, SPURIOUS_VECTOR, TIMER_VECTOR};
use core::sync::atomic::Ordering;
use x86_64::PhysAddr;

/// Registers, as offsets into the page; the x2APIC register is 0x800 + offset / 16.
const ID: usize = 0x20;
const TASK_PRIORITY: usize = 0x80;
const END_OF_INTERRUPT: usize = 0xb0;
const SPURIOUS: usize = 0xf0;
const ERROR_STATUS: usize = 0x280;
const COMMAND_LOW: usize = 0x300;
const COMMAND_HIGH: usize = 0x310;
const TIMER: usize = 0x320;
const LOCAL_INPUTS: [usize; 2] = [0x350, 0x360];
const ERROR: usize = 0x370;
const TIMER_INITIAL: usize = 0x380;
const TIMER_CURRENT: usize = 0x390;
const TIMER_DIVIDE: usize = 0x3e0;

const SOFTWARE_ENABLE: u32 = 1 << 8;
const MASKED: u32 = 1 << 16;
const TSC_DEADLINE_MODE: u32 = 2 << 17;
const DIVIDE_BY_1: u32 = 0b1011;
const DELIVERY_PENDING: u32 = 1 << 12;
const DELIVER_NMI: u32 = 4 << 8;
const ACTIVE_LOW: u32 = 1 << 13;
const LEVEL: u32 = 1 << 15;
const BASE_X2APIC: u64 = 1 << 10;
const BASE_ENABLE: u64 = 1 << 11;
const ADDRESS_MASK: u64 = 0x000f_ffff_ffff_f000;

/// How this machine's local APICs are reached.
enum Access {
    Page(Mmio),
    Registers,
}

static ACCESS: Once<Access> = Once::new();

fn read(register: usize) -> u32 {
    match ACCESS.get() {
        Some(Access::Page(page)) => page.read::<u32>(register),
        // SAFETY: in x2APIC mode the register exists.
        Some(Access::Registers) => (unsafe { msr::read(0x800 + register as u32 / 16) }) as u32,
        None => 0,
    }
}

fn write(register: usize, value: u32) {
    match ACCESS.get() {
        Some(Access::Page(page)) => page.write::<u32>(register, value),
        // SAFETY: as above; see Soundness.
        Some(Access::Registers) => unsafe { msr::write(0x800 + register as u32 / 16, u64::from(value)) },
        None => {}
    }
}

/// Masks the two legacy PICs, after moving their vectors to 0x20-0x2f, where spurious ones do no harm.
fn retire_pics() {
    const COMMANDS: [(u16, u8); 10] = [
        (0x20, 0x11),
        (0xa0, 0x11), // initialise, cascade, ICW4 follows
        (0x21, 0x20),
        (0xa1, 0x28), // vectors
        (0x21, 0x04),
        (0xa1, 0x02), // wiring
        (0x21, 0x01),
        (0xa1, 0x01), // 8086 mode
        (0x21, 0xff),
        (0xa1, 0xff), // mask all
    ];
    for (register, value) in COMMANDS {
        // SAFETY: the PICs' own ports; masking them only removes interrupts.
        unsafe { port::write_u8(register, value) };
    }
}

/// Sets up the local APIC of the boot CPU, and decides for all how it is reached. Memory management must be up.
pub(crate) fn init_boot() {
    const HAS_X2APIC: u32 = 1 << 21;
    retire_pics();
    // SAFETY: every x86-64 CPU has the register.
    let base = unsafe { msr::read(msr::APIC_BASE) };
    let has_x2apic = core::arch::x86_64::__cpuid(1).ecx & HAS_X2APIC != 0;
    ACCESS.call_once(|| {
        if has_x2apic || base & BASE_X2APIC != 0 {
            Access::Registers
        } else {
            let page = Mmio::map(PhysAddr::new(base & ADDRESS_MASK), 4096);
            Access::Page(page.expect("the local APIC's page is no RAM"))
        }
    });
    init_this();
}

/// Whether local APIC ids of more than eight bits can be reached.
pub(super) fn is_x2apic() -> bool {
    matches!(ACCESS.get(), Some(Access::Registers))
}

/// Puts the local APIC of the CPU that runs this into the mode of all. One step at a time: from "off" straight to
/// x2APIC is forbidden (Intel SDM vol. 3, 11.12.5).
fn enable() {
    // SAFETY: every x86-64 CPU has the register.
    let base = unsafe { msr::read(msr::APIC_BASE) };
    let enabled = base | BASE_ENABLE;
    if base != enabled {
        // SAFETY: turns the APIC on where it is.
        unsafe { msr::write(msr::APIC_BASE, enabled) };
    }
    if is_x2apic() && enabled & BASE_X2APIC == 0 {
        // SAFETY: the CPU knows the mode, and is in the one that it may be entered from.
        unsafe { msr::write(msr::APIC_BASE, enabled | BASE_X2APIC) };
    }
}

/// Sets up the local APIC of the CPU that runs this.
pub(super) fn init_this() {
    enable();
    write(TASK_PRIORITY, 0);
    write(SPURIOUS, SOFTWARE_ENABLE | u32::from(SPURIOUS_VECTOR));
    let id = match ACCESS.get() {
        Some(Access::Page(_)) => read(ID) >> 24,
        _ => read(ID),
    };
    local::get().apic_id.store(id, Ordering::Relaxed);
    write(TIMER_DIVIDE, DIVIDE_BY_1);
    write(TIMER, MASKED | u32::from(TIMER_VECTOR));
    LOCAL_INPUTS.iter().for_each(|&input| write(input, MASKED));
    // What is noted there from before is taken away by two writes.
    write(ERROR_STATUS, 0);
    write(ERROR_STATUS, 0);
    write(ERROR, u32::from(ERROR_VECTOR));
}

/// Lets the non-maskable interrupts of the local inputs through, on the CPU that runs this, as the MADT says.
pub(crate) fn connect_nmis() {
    let interrupts = &crate::acpi::platform().interrupts;
    let id = local::get().apic_id.load(Ordering::Relaxed);
    let me = interrupts.cpus.iter().find(|cpu| cpu.apic_id == id).map(|cpu| cpu.processor_id);
    for nmi in interrupts.local_nmis.iter().filter(|nmi| nmi.processor_id.is_none_or(|id| Some(id) == me)) {
        if let Some(&input) = LOCAL_INPUTS.get(usize::from(nmi.input)) {
            let low = if nmi.is_active_low { ACTIVE_LOW } else { 0 };
            write(input, DELIVER_NMI | low | if nmi.is_level { LEVEL } else { 0 });
        }
    }
}

/// Takes what the local APIC complains of (Intel SDM vol. 3, 11.5.3); the register tells after a write.
pub(crate) fn take_errors() -> u32 {
    write(ERROR_STATUS, 0);
    read(ERROR_STATUS)
}

/// The local APIC id of the boot CPU, for interrupt routing.
pub(crate) fn boot_id() -> u32 {
    local::BOOT.apic_id.load(Ordering::Relaxed)
}

/// Signals the end of the interrupt that is being handled.
pub(crate) fn end_of_interrupt() {
    write(END_OF_INTERRUPT, 0);
}

/// Puts this CPU's timer into a mode; it is stopped then.
pub(crate) fn set_timer_mode(mode: TimerMode) {
    let bits = match mode {
        TimerMode::Deadline => TSC_DEADLINE_MODE,
        TimerMode::Counting => 0,
    };
    write(TIMER, bits | u32::from(TIMER_VECTOR));
    // The mode must have arrived before a deadline is set (Intel SDM vol. 3, 11.5.4.1).
    crate::mm::device_barrier();
}

/// In deadline mode: has the timer go off at a count of the TSC; 0 stops it.
pub(crate) fn set_timer_deadline(tsc: u64) {
    // SAFETY: a timer can be in deadline mode only where the CPU has the register.
    unsafe { msr::write(msr::TSC_DEADLINE, tsc) };
}

/// In counting mode: has the timer go off after so many counts; 0 stops it. Returns the number.
pub(crate) fn start_timer_count(counts: u32) -> u32 {
    write(TIMER_INITIAL, counts);
    counts
}

/// In counting mode: what is left.
pub(crate) fn timer_count() -> u32 {
    read(TIMER_CURRENT)
}

fn command(low: u32, destination: u32) {
    match ACCESS.get() {
        Some(Access::Page(_)) => {
            while read(COMMAND_LOW) & DELIVERY_PENDING != 0 {
                core::hint::spin_loop();
            }
            write(COMMAND_HIGH, destination << 24);
            write(COMMAND_LOW, low);
        }
        Some(Access::Registers) => {
            let value = u64::from(destination) << 32 | u64::from(low);
            // SAFETY: in x2APIC mode the register exists; an interrupt message touches no memory.
            unsafe { msr::write(0x830, value) };
        }
        None => {}
    }
}

/// Interrupts CPU number `cpu` with `vector`.
pub(crate) fn send(cpu: usize, vector: u8) {
    send_to(cpu, u32::from(vector));
}

/// Interrupts CPU number `cpu`, even if it has interrupts disabled.
pub(crate) fn send_nmi(cpu: usize) {
    send_to(cpu, DELIVER_NMI);
}

fn send_to(cpu: usize, low: u32) {
    if let Some(local) = super::smp::local_of(cpu) {
        let _here = super::disable_interrupts();
        command(low, local.apic_id.load(Ordering::Relaxed));
    }
}

/// Resets another CPU, which then waits for [`send_startup`].
pub(super) fn send_init(apic_id: u32) {
    const INIT_ASSERT: u32 = 5 << 8 | 1 << 14;
    let _here = super::disable_interrupts();
    command(INIT_ASSERT, apic_id);
}

/// Starts a CPU at page number `page` of physical memory.
pub(super) fn send_startup(apic_id: u32, page: u8) {
    const STARTUP: u32 = 6 << 8;
    let _here = super::disable_interrupts();
    command(STARTUP | u32::from(page), apic_id);
}
