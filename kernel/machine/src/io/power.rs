//! The ways to end: off, reset, halt, and QEMU's debug exit.
//!
//! What ACPI says about switching off and resetting is stored here by [`crate::acpi`]; until then
//! only the means of every PC are known.
//!
//! # Soundness
//! Every function stops or resets the machine; no memory is read by this system afterwards. The
//! port numbers come from ACPI's FADT, which is trusted as firmware is.

use super::port;
use crate::cpu;
use core::arch::asm;
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// PM1a and PM1b control ports, 16 bits each; 0: unknown.
static PM1_CONTROL: AtomicU32 = AtomicU32::new(0);
/// Sleep types for S5, for PM1a (low byte) and PM1b.
static S5_TYPES: AtomicU32 = AtomicU32::new(0);
/// Reset port (low half) and the value for it (bits 16..24); 0: unknown.
static RESET: AtomicU32 = AtomicU32::new(0);
/// Set when QEMU's debug exit may be used.
static DEBUG_EXIT: AtomicU8 = AtomicU8::new(0);

const SLEEP_ENABLE: u16 = 1 << 13;
const DEBUG_EXIT_PORT: u16 = 0xf4;

/// How ACPI switches off: the PM1 control ports and the sleep type of S5 for each (ACPI 6.5, 4.8.3.2.1).
pub(crate) fn set_power_off(pm1a: u16, pm1b: u16, type_a: u8, type_b: u8) {
    S5_TYPES.store(u32::from(type_a) | u32::from(type_b) << 8, Ordering::Relaxed);
    PM1_CONTROL.store(u32::from(pm1a) | u32::from(pm1b) << 16, Ordering::Release);
}

/// How ACPI resets: a port and the value to write (ACPI 6.5, 4.8.3.6).
pub(crate) fn set_reset(reset_port: u16, value: u8) {
    RESET.store(u32::from(reset_port) | u32::from(value) << 16, Ordering::Release);
}

/// Allows [`debug_exit`] to touch QEMU's device; without this it does nothing, since on a real
/// machine port 0xf4 may be anything. Set from the command line.
pub fn allow_debug_exit() {
    DEBUG_EXIT.store(1, Ordering::Relaxed);
}

/// Whether [`allow_debug_exit`] was called.
pub fn debug_exit_allowed() -> bool {
    DEBUG_EXIT.load(Ordering::Relaxed) != 0
}

/// Ends QEMU by its isa-debug-exit device, if allowed and present: QEMU's exit status is
/// `code * 2 + 1` (0x10 gives 33).
pub fn debug_exit(code: u8) {
    if debug_exit_allowed() {
        super::serial::drain();
        // SAFETY: the command line says that the device is there; it ends the emulator.
        unsafe { port::write_u32(DEBUG_EXIT_PORT, u32::from(code)) };
    }
}

/// Seconds after which a panic restarts the machine; the highest number: never.
static RESTART_AFTER_PANIC: AtomicU32 = AtomicU32::new(u32::MAX);

/// From now on a panic restarts the machine after so many seconds; without this it stands still.
pub fn restart_after_panic(seconds: u32) {
    RESTART_AFTER_PANIC.store(seconds.min(u32::MAX - 1), Ordering::Relaxed);
}

/// What comes after the report of a panic.
pub(crate) fn end_after_panic() -> ! {
    match RESTART_AFTER_PANIC.load(Ordering::Relaxed) {
        u32::MAX => halt(),
        seconds => {
            for _ in 0..seconds {
                crate::time::busy_wait_ns(1_000_000_000);
            }
            reboot()
        }
    }
}

/// Switches the machine off by ACPI (S5); halts if there is no way.
pub fn power_off() -> ! {
    super::serial::drain();
    let ports = PM1_CONTROL.load(Ordering::Acquire);
    let types = S5_TYPES.load(Ordering::Relaxed);
    for (shift, kind) in [(0, types as u8), (16, (types >> 8) as u8)] {
        let control = (ports >> shift) as u16;
        if control != 0 {
            // SAFETY: see Soundness.
            unsafe { port::write_u16(control, u16::from(kind & 7) << 10 | SLEEP_ENABLE) };
        }
    }
    halt()
}

/// Resets the machine: ACPI's reset register, the chipset's, the keyboard controller, a triple fault.
pub fn reboot() -> ! {
    super::serial::drain();
    let reset = RESET.load(Ordering::Acquire);
    if reset as u16 != 0 {
        // SAFETY: see Soundness.
        unsafe { port::write_u8(reset as u16, (reset >> 16) as u8) };
        crate::time::busy_wait_ns(10_000_000);
    }
    // SAFETY: the reset control register of PC chipsets; the machine restarts.
    unsafe { port::write_u8(0xcf9, 0x06) };
    crate::time::busy_wait_ns(10_000_000);
    // SAFETY: command "pulse the reset line" of the keyboard controller.
    unsafe { port::write_u8(0x64, 0xfe) };
    crate::time::busy_wait_ns(10_000_000);
    let no_idt = [0u16; 5];
    // SAFETY: with an empty IDT the exception cannot be delivered, which resets the CPU.
    unsafe { asm!("lidt [{}]", "ud2", in(reg) &no_idt, options(noreturn)) };
}

/// Stops this CPU for good; the others are stopped too, if they run.
pub fn halt() -> ! {
    super::serial::drain();
    cpu::inspect::stop_others();
    cpu::halt_for_good()
}
