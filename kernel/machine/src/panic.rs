//! Panics: the report, and the end.
//!
//! The first CPU that panics stops the others (by a non-maskable interrupt), prints message, CPU,
//! registers, a symbolised backtrace and what the kernel adds, then what each of the others was doing, and ends: QEMU
//! with a failure status where its debug exit is allowed, else a halt. Nothing here takes a lock or allocates. A panic
//! inside a panic prints one line and stops; one on another CPU meanwhile waits to be stopped and is reported as that.

use crate::cpu;
use crate::io::{power, serial};
use crate::trap::TrapFrame;
use crate::upcalls;
use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The CPU that panics.
static PANICKING: AtomicU32 = AtomicU32::new(NOBODY);
const NOBODY: u32 = u32::MAX;
/// QEMU's exit status becomes 35.
const FAILURE: u8 = 0x11;

struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if let Some(kernel) = upcalls::registered() {
            kernel.panic_output(text);
        }
        for line in text.split_inclusive('\n') {
            match line.strip_suffix('\n') {
                Some(line) => {
                    serial::emergency_write(line.as_bytes());
                    serial::emergency_write(b"\r\n");
                }
                None => serial::emergency_write(line.as_bytes()),
            }
        }
        Ok(())
    }
}

/// Whether a panic has told the other CPUs to stop.
pub(crate) fn stop_requested() -> bool {
    PANICKING.load(Ordering::Relaxed) != NOBODY
}

/// Whether this CPU has panicked: everything else stands still, and what is locked stays locked.
pub(crate) fn is_mine() -> bool {
    stop_requested() && PANICKING.load(Ordering::Relaxed) == cpu::current_id() as u32
}

/// CPUs that panicked while the first one did.
static PANICKING_TOO: AtomicU64 = AtomicU64::new(0);

/// Ends with a report about `message`, and about the registers of a trap if that is the cause.
pub(crate) fn die(message: fmt::Arguments<'_>, frame: Option<&TrapFrame>) -> ! {
    // A test that is meant to panic, or a failing one, ends here as a thread, not as the system.
    if !stop_requested()
        && let Some(kernel) = upcalls::registered()
    {
        kernel.panicked(message);
    }
    cpu::disable_interrupts_for_good();
    let me = cpu::current_id() as u32;
    let first = PANICKING.compare_exchange(NOBODY, me, Ordering::AcqRel, Ordering::Relaxed);
    let mut out = Console;
    match first {
        Ok(_) => {
            cpu::inspect::stop_others();
            serial::drain();
            report(&mut out, message, frame);
            report_others(&mut out);
        }
        Err(holder) if holder == me => {
            let _ = writeln!(out, "\npanic inside a panic: {message}");
            if let Some(f) = frame {
                let _ = writeln!(out, "rip {:016x} cr2 {:016x}", f.rip, cpu::msr::cr2());
            }
        }
        Err(_) => {
            PANICKING_TOO.fetch_or(1 << me, Ordering::Relaxed);
            cpu::halt_for_good();
        }
    }
    if let Some(kernel) = upcalls::registered() {
        kernel.after_panic();
    }
    power::debug_exit(FAILURE);
    power::end_after_panic()
}

fn report(out: &mut Console, message: fmt::Arguments<'_>, frame: Option<&TrapFrame>) {
    // A write to the console cannot fail.
    let _ = writeln!(out, "\nkernel panic on CPU {}: {message}", cpu::current_id());
    if let Some(f) = frame {
        let _ = write!(
            out,
            "rip {:016x} rsp {:016x} rflags {:08x} cs {:02x}\n\
             rax {:016x} rbx {:016x} rcx {:016x} rdx {:016x}\n\
             rsi {:016x} rdi {:016x} rbp {:016x} r8  {:016x}\n\
             r9  {:016x} r10 {:016x} r11 {:016x} r12 {:016x}\n\
             r13 {:016x} r14 {:016x} r15 {:016x} cr2 {:016x}\n",
            f.rip,
            f.rsp,
            f.rflags,
            f.cs,
            f.rax,
            f.rbx,
            f.rcx,
            f.rdx,
            f.rsi,
            f.rdi,
            f.rbp,
            f.r8,
            f.r9,
            f.r10,
            f.r11,
            f.r12,
            f.r13,
            f.r14,
            f.r15,
            cpu::msr::cr2(),
        );
    }
    if frame.is_none() {
        let (rsp, rbp, rflags) = cpu::msr::stack_registers();
        let cr2 = cpu::msr::cr2();
        let _ = writeln!(out, "rsp {rsp:016x} rbp {rbp:016x} rflags {rflags:08x} cr2 {cr2:016x}");
    }
    let _ = writeln!(out, "cr3 {:016x} cr4 {:08x}", cpu::msr::cr3(), cpu::msr::cr4());
    if let Some(kernel) = upcalls::registered() {
        kernel.panic_notes(out);
    }
    let _ = writeln!(out, "backtrace:");
    if let Some(f) = frame {
        crate::backtrace::print_trap(out, f);
    } else {
        crate::backtrace::print_here(out);
    }
}

/// What the other CPUs were doing.
fn report_others(out: &mut Console) {
    cpu::inspect::write_stopped(out);
    let too = PANICKING_TOO.load(Ordering::Relaxed);
    if too != 0 {
        // A write to the console cannot fail.
        let _ = writeln!(out, "these CPUs panicked at the same time (a mask): {too:#x}");
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    match info.location() {
        Some(place) => die(format_args!("{} ({}:{})", info.message(), place.file(), place.line()), None),
        None => die(format_args!("{}", info.message()), None),
    }
}
