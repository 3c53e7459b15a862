//! Exceptions and interrupts: the descriptor table, the frame, and what is done in kernel mode.
//!
//! All 256 vectors have an entry (`entry.s`). What happens in user mode leaves [`crate::user`]'s
//! `run` as a value; what happens in kernel mode comes to [`kernel_trap`]. Vectors: 0-31 exceptions,
//! 0x20-0x2f what a masked PIC may still send, 0x30-0xef devices, 0xf0-0xff this crate's own.
//!
//! Source: Intel SDM vol. 3, chapter 6 (interrupts), 4.7 (page-fault error code).
//!
//! # Soundness
//! The table is filled once, from the addresses of the assembly stubs, before it is loaded; a gate's
//! stack switching follows the table in `gdt`. The frame is the stub's, on the stack of this very call.

use crate::cpu::{self, CpuEvent, apic, events, gdt, local, msr};
use crate::sync::Once;
use crate::upcalls::{Access, upcalls};
use core::arch::{asm, global_asm};
use core::sync::atomic::Ordering;

global_asm!(
    include_str!("entry.s"),
    KERNEL_STACK = const local::KERNEL_STACK,
    USER_STACK = const local::USER_STACK,
    USER_ENTRY_STACK = const local::USER_ENTRY_STACK,
    USER_DATA = const gdt::USER_DATA,
    USER_CODE = const gdt::USER_CODE,
);

/// Registers at the time of an exception or interrupt in kernel mode, as `entry.s` pushes them.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the fields are the registers of the same names")]
pub struct TrapFrame {
    pub rax: u64,
    pub rbx: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rbp: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub vector: u64,
    pub error_code: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

/// RFLAGS.IF.
pub(crate) const INTERRUPT_FLAG: u64 = 1 << 9;

const NMI: u64 = 2;
const DOUBLE_FAULT: u64 = 8;
const GENERAL_PROTECTION: u64 = 13;
const PAGE_FAULT: u64 = 14;

/// First vector of a device.
pub const FIRST_DEVICE_VECTOR: u8 = 0x30;
/// Last vector of a device.
pub const LAST_DEVICE_VECTOR: u8 = 0xef;
/// The local APIC timer.
pub(crate) const TIMER_VECTOR: u8 = 0xf0;
/// Another CPU wants this one to reconsider what it runs.
pub(crate) const RESCHEDULE_VECTOR: u8 = 0xf1;
/// Another CPU changed page tables that this one uses.
pub(crate) const SHOOTDOWN_VECTOR: u8 = 0xf2;
/// Another CPU wants this one to call a function.
pub(crate) const CALL_VECTOR: u8 = 0xf3;
/// The local APIC has something to complain of.
pub(crate) const ERROR_VECTOR: u8 = 0xfe;
/// The local APIC's spurious interrupt (Intel SDM vol. 3, 11.9): no end-of-interrupt.
pub(crate) const SPURIOUS_VECTOR: u8 = 0xff;

/// A gate of the interrupt descriptor table, two words.
type Gate = [u64; 2];

fn gate(handler: u64, ist: u8, privilege: u8) -> Gate {
    const PRESENT_INTERRUPT_GATE: u64 = 0x8e;
    let kind = PRESENT_INTERRUPT_GATE | u64::from(privilege) << 5;
    [
        (handler & 0xffff)
            | u64::from(gdt::KERNEL_CODE) << 16
            | u64::from(ist) << 32
            | kind << 40
            | (handler >> 16 & 0xffff) << 48,
        handler >> 32,
    ]
}

/// Loads the interrupt descriptor table on this CPU, after its segments.
pub(crate) fn load() {
    static TABLE: Once<[Gate; 256]> = Once::new();
    unsafe extern "C" {
        static trap_vectors: [u64; 256];
    }
    let table = TABLE.call_once(|| {
        // SAFETY: a constant table in entry.s.
        let stubs = unsafe { &trap_vectors };
        core::array::from_fn(|vector| {
            let (ist, privilege) = match vector {
                2 => (gdt::IST_NMI, 0),
                8 => (gdt::IST_DOUBLE_FAULT, 0),
                18 => (gdt::IST_MACHINE_CHECK, 0),
                // `int3` and `into` are for programs too.
                3 | 4 => (0, 3),
                _ => (0, 0),
            };
            gate(stubs[vector], ist, privilege)
        })
    });
    #[repr(C, packed)]
    struct Pointer {
        limit: u16,
        base: u64,
    }
    let pointer = Pointer { limit: size_of_val(table) as u16 - 1, base: table.as_ptr() as u64 };
    // SAFETY: the table is static and complete.
    unsafe { asm!("lidt [{}]", in(reg) &pointer, options(readonly, nostack, preserves_flags)) };
}

/// What an access wanted, from the error code of a page fault.
pub(crate) fn access(error_code: u64) -> Access {
    match (error_code & 2 != 0, error_code & 16 != 0) {
        (_, true) => Access::Execute,
        (true, false) => Access::Write,
        (false, false) => Access::Read,
    }
}

/// Handles an interrupt vector (32 and up), in whatever mode it came. Interrupts are disabled.
pub(crate) fn interrupt(vector: u8) {
    let local = local::get();
    local.handlers.fetch_add(1, Ordering::Relaxed);
    handle(vector);
    local.handlers.fetch_sub(1, Ordering::Relaxed);
}

fn handle(vector: u8) {
    match vector {
        FIRST_DEVICE_VECTOR..=LAST_DEVICE_VECTOR => crate::irq::dispatch(vector),
        TIMER_VECTOR => {
            events::note(CpuEvent::Timer);
            apic::end_of_interrupt();
            crate::irq::resume_throttled();
            cpu::inspect::report_unknown();
            upcalls().timer_interrupt();
        }
        RESCHEDULE_VECTOR => {
            events::note(CpuEvent::Reschedule);
            apic::end_of_interrupt();
            upcalls().reschedule_interrupt();
        }
        SHOOTDOWN_VECTOR => {
            events::note(CpuEvent::Shootdown);
            apic::end_of_interrupt();
            cpu::shootdown::poll();
        }
        CALL_VECTOR => {
            events::note(CpuEvent::Call);
            apic::end_of_interrupt();
            cpu::call::answer();
        }
        ERROR_VECTOR => {
            events::note(CpuEvent::ApicError);
            let errors = apic::take_errors();
            apic::end_of_interrupt();
            log::warn!("apic: error {errors:#x} on CPU {}", cpu::current_id());
        }
        SPURIOUS_VECTOR => events::note(CpuEvent::Spurious),
        // The PIC is masked; what comes from it all the same is its spurious interrupt and wants no answer.
        0x20..0x30 => events::note(CpuEvent::Stray),
        _ => {
            apic::end_of_interrupt();
            crate::irq::report_stray(vector);
        }
    }
}

/// Everything that happens in kernel mode; called by `entry.s`.
#[unsafe(no_mangle)]
extern "C" fn kernel_trap(frame: &mut TrapFrame) {
    cpu::forbid_user_access();
    match frame.vector {
        PAGE_FAULT => page_fault(frame),
        GENERAL_PROTECTION => match crate::mm::fault::lookup_fixup(frame.rip) {
            Some(fixup) => frame.rip = fixup,
            None => fatal(frame, 0),
        },
        NMI => cpu::inspect::nmi(frame),
        0..32 => fatal(frame, 0),
        vector => {
            interrupt(vector as u8);
            // The interrupted code had interrupts enabled, so it may be switched away from, unless it said no.
            if cpu::preemption_count() == 0 {
                upcalls().interrupt_exit();
            } else {
                local::set_pending(true);
            }
        }
    }
}

/// A page fault in kernel mode: legitimate only in the copy functions, on user addresses.
fn page_fault(frame: &mut TrapFrame) {
    let address = msr::cr2();
    let Some(fixup) = crate::mm::fault::lookup_fixup(frame.rip) else { return fatal(frame, address) };
    if address < crate::addr::USER_END && cpu::preemption_count() == 0 && frame.rflags & INTERRUPT_FLAG != 0 {
        cpu::enable_interrupts();
        let resolved = upcalls().user_page_fault(address, access(frame.error_code));
        // Not a guard: the trap's return restores what was.
        cpu::disable_interrupts_for_good();
        if resolved {
            return;
        }
    }
    frame.rip = fixup;
}

/// The names of the exceptions (Intel SDM vol. 3, table 6-1).
pub(crate) fn exception_name(vector: u64) -> &'static str {
    match vector {
        0 => "divide error",
        1 => "debug exception",
        2 => "non-maskable interrupt",
        3 => "breakpoint",
        4 => "overflow",
        5 => "bound range exceeded",
        6 => "invalid opcode",
        7 => "device not available",
        8 => "double fault",
        10 => "invalid TSS",
        11 => "segment not present",
        12 => "stack-segment fault",
        13 => "general protection",
        14 => "page fault",
        16 => "x87 floating-point error",
        17 => "alignment check",
        18 => "machine check",
        19 => "SIMD floating-point exception",
        _ => "exception",
    }
}

fn fatal(frame: &TrapFrame, address: u64) {
    let name = exception_name(frame.vector);
    let error = frame.error_code;
    if frame.vector == PAGE_FAULT {
        let verb = match access(error) {
            Access::Read => "read",
            Access::Write => "write",
            Access::Execute => "execute",
        };
        let present = if error & 1 != 0 { "forbidden" } else { "absent" };
        let place = crate::mm::Place(address);
        let report = format_args!("cannot {verb} {present} page at {address:#x}: {place}");
        if let Some(kernel) = crate::upcalls::registered() {
            kernel.faulted(report);
        }
        crate::panic::die(report, Some(frame));
    }
    if frame.vector == DOUBLE_FAULT {
        // Mostly a stack that overflowed: the page fault found no room for its frame.
        let address = msr::cr2();
        let place = crate::mm::Place(address);
        crate::panic::die(
            format_args!("double fault, last page fault at {address:#x}: {place}"),
            Some(frame),
        );
    }
    crate::panic::die(format_args!("{name} in the kernel, error code {error:#x}"), Some(frame));
}
